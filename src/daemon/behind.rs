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
    // Whatever of these is left of the app after this look is deleted with the rest.
    let mut kinds: BTreeSet<String> = ["deployments".to_owned(), "services".to_owned()].into();
    for key in remains.objects.iter().filter(|key| is_name(&key.kind) && is_name(&key.api_version)) {
        // kubectl takes `kind.version.group`, which needs no plural.
        kinds.insert(match key.api_version.split_once('/') {
            Some(("apps", _)) if key.kind == "Deployment" => continue,
            Some((group, version)) => format!("{}.{version}.{group}", key.kind.to_lowercase()),
            None if key.kind == "Service" => continue,
            None => key.kind.to_lowercase(),
        });
    }
    let kinds: Vec<String> = kinds.into_iter().collect();
    Blocked::LeftBehind {
        objects: remains.objects.iter().take(OBJECTS_SHOWN).map(|key| OneLine::new(&key.to_string())).collect(),
        delete: format!("kubectl -n {namespace} delete {} -l turquoise.dev/app={app}", kinds.join(",")),
    }
}

/// Whether a word of an inventory, which is an annotation that anybody may have written, is fit for a command.
fn is_name(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::ObjectKey;

    #[test]
    fn the_command_names_every_kind_and_is_whole() {
        let kinds = [
            ("apps/v1", "StatefulSet"),
            ("autoscaling/v2", "HorizontalPodAutoscaler"),
            ("networking.k8s.io/v1", "Ingress"),
            ("networking.k8s.io/v1", "NetworkPolicy"),
            ("policy/v1", "PodDisruptionBudget"),
            ("v1", "ConfigMap"),
            ("v1", "ServiceAccount"),
            ("v1", "x;reboot"),
        ];
        let objects = kinds.map(|(api_version, kind)| ObjectKey {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: None,
            name: "web".to_owned(),
        });
        let remains = Remains { objects: objects.into(), revisions: BTreeSet::new() };
        let Blocked::LeftBehind { delete, .. } = blocked("shop", &AppName::new("web"), &remains) else {
            panic!("another reason")
        };
        let expect = "kubectl -n shop delete configmap,deployments,horizontalpodautoscaler.v2.autoscaling,\
                      ingress.v1.networking.k8s.io,networkpolicy.v1.networking.k8s.io,poddisruptionbudget.v1.policy,\
                      serviceaccount,services,statefulset.v1.apps -l turquoise.dev/app=web";
        assert_eq!(delete, expect);
    }
}
