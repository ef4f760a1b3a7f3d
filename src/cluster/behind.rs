//! What is left of apps that git does not name any more. It is shown, and never touched (rule 14).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;

use super::annotations as name;
use super::{Cluster, ClusterError, call, record};
use crate::core::ids::{AppName, CommitId, ObjectKey};

/// Apps that are asked for in one call: their names fit into a URL.
const APPS_A_CALL: usize = 50;

/// What is looked for: a colour without any of these workloads serves nobody. Whatever else there is, their inventories name.
const KINDS: [(&str, &str); 4] =
    [("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"), ("v1", "Service")];

/// What is left of one app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remains {
    /// Its objects: those that are found by their label, and those that a workload's inventory names.
    pub objects: BTreeSet<ObjectKey>,
    /// The revisions that its colours carry.
    pub revisions: BTreeSet<CommitId>,
}

impl Cluster {
    /// What is left of apps in a namespace; apps of which nothing is left are not in the answer.
    ///
    /// # Errors
    /// Whatever the API server refuses or does not answer in time.
    pub async fn remains(&self, namespace: &str, apps: &[AppName]) -> Result<BTreeMap<AppName, Remains>, ClusterError> {
        let mut found: BTreeMap<AppName, Remains> = BTreeMap::new();
        for apps in apps.chunks(APPS_A_CALL) {
            let names: Vec<&str> = apps.iter().map(AppName::as_str).collect();
            let params = ListParams::default().labels(&format!("{} in ({})", name::APP, names.join(",")));
            for kind in KINDS {
                let api = self.dynamic(namespace, kind.0, kind.1).await?;
                for object in call(&format!("list {}s", kind.1), api.list_metadata(&params)).await?.items {
                    note(&mut found, kind, &object.metadata);
                }
            }
        }
        Ok(found)
    }
}

fn note(found: &mut BTreeMap<AppName, Remains>, (api_version, kind): (&str, &str), meta: &ObjectMeta) {
    let Some(app) = meta.labels.as_ref().and_then(|labels| labels.get(name::APP)) else { return };
    let remains = found.entry(AppName::new(app)).or_default();
    remains.objects.insert(ObjectKey {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: None,
        name: meta.name.clone().unwrap_or_default(),
    });
    if let Some(annotations) = &meta.annotations {
        remains.objects.extend(record::inventory(annotations));
        remains.revisions.extend(annotations.get(name::REVISION).map(CommitId::new));
        remains.revisions.extend(annotations.get(name::FLIPPED_REVISION).map(CommitId::new));
    }
}
