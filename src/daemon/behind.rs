//! Apps that git does not name any more: nothing of them is touched, and their status says what to delete (rule 14).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cluster::{Cluster, Remains};
use crate::core::ids::{AppName, CommitId};
use crate::core::report::Blocked;
use crate::core::text::OneLine;
use crate::reconcile::PassError;
use crate::source::Repo;

/// Objects that a status names; the command deletes the rest with them.
const OBJECTS_SHOWN: usize = 40;

/// What is left of one app.
pub(super) struct Left {
    pub(super) namespace: String,
    pub(super) blocked: Blocked,
}

/// Looks for what is left of apps that the repository's log speaks of and that are not among `known`.
///
/// # Guarantees
/// An app whose colours carry only revisions that the repository does not have is somebody else's: it moved to another
/// repository, and is not in the answer.
pub(super) async fn look(
    repo: Arc<Repo>,
    cluster: Cluster,
    head: CommitId,
    known: BTreeSet<AppName>,
    namespaces: Vec<String>,
) -> Result<BTreeMap<AppName, Left>, PassError> {
    let asked = Arc::clone(&repo);
    let spoken = tokio::task::spawn_blocking(move || asked.spoken_of(&head)).await??;
    let gone: Vec<AppName> = spoken.difference(&known).cloned().collect();
    let mut left = BTreeMap::new();
    if gone.is_empty() {
        return Ok(left);
    }
    for namespace in namespaces {
        for (app, remains) in cluster.remains(&namespace, &gone).await? {
            if remains.revisions.is_empty() || repo.has_any(remains.revisions.iter())? {
                left.insert(
                    app.clone(),
                    Left { blocked: blocked(&namespace, &app, &remains), namespace: namespace.clone() },
                );
            }
        }
    }
    Ok(left)
}

/// Looks for what is left of apps whose repository is not watched any more.
pub(super) async fn remains_of(
    cluster: Cluster,
    apps: Vec<AppName>,
    namespaces: Vec<String>,
) -> Result<BTreeMap<AppName, Left>, PassError> {
    let mut left = BTreeMap::new();
    for namespace in namespaces {
        for (app, remains) in cluster.remains(&namespace, &apps).await? {
            left.insert(
                app.clone(),
                Left { blocked: blocked(&namespace, &app, &remains), namespace: namespace.clone() },
            );
        }
    }
    Ok(left)
}

fn blocked(namespace: &str, app: &AppName, remains: &Remains) -> Blocked {
    let mut kinds: BTreeSet<String> = ["deployments".to_owned(), "services".to_owned()].into();
    for key in &remains.objects {
        // kubectl takes `kind.version.group`, which needs no plural.
        kinds.insert(match key.api_version.split_once('/') {
            Some(("apps", _)) if key.kind == "Deployment" => continue,
            Some((group, version)) => format!("{}.{version}.{group}", key.kind.to_lowercase()),
            None if key.kind == "Service" => continue,
            None => key.kind.to_lowercase(),
        });
    }
    let kinds: Vec<String> = kinds.into_iter().collect();
    let delete = format!("kubectl -n {namespace} delete {} -l turquoise.dev/app={app}", kinds.join(","));
    Blocked::LeftBehind {
        objects: remains.objects.iter().take(OBJECTS_SHOWN).map(|key| OneLine::new(&key.to_string())).collect(),
        delete: OneLine::new(&delete),
    }
}
