//! From `apiVersion` and `kind` to the resource's path, with what the server says for kinds that are not well known.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use kube::Client;
use kube::api::{ApiResource, GroupVersionKind};

use super::{ClusterError, call};
use crate::core::text::OneLine;

/// Kinds whose plural is not the lower-cased kind with an `s`, of those that need no question to the server.
const WELL_KNOWN: [(&str, &str, &str); 15] = [
    ("v1", "ConfigMap", "configmaps"),
    ("v1", "Secret", "secrets"),
    ("v1", "Service", "services"),
    ("v1", "ServiceAccount", "serviceaccounts"),
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("apps/v1", "Deployment", "deployments"),
    ("apps/v1", "StatefulSet", "statefulsets"),
    ("apps/v1", "DaemonSet", "daemonsets"),
    ("batch/v1", "Job", "jobs"),
    ("batch/v1", "CronJob", "cronjobs"),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("networking.k8s.io/v1", "Ingress", "ingresses"),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    ("rbac.authorization.k8s.io/v1", "Role", "roles"),
];

/// Resources that were looked up, kept for the life of the process.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    known: Mutex<BTreeMap<(String, String), ApiResource>>,
}

impl Kinds {
    /// The resource of a kind.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] where the server does not serve the kind.
    pub(super) async fn resource(
        &self,
        client: &Client,
        api_version: &str,
        kind: &str,
    ) -> Result<ApiResource, ClusterError> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let gvk = GroupVersionKind::gvk(group, version, kind);
        if let Some((_, _, plural)) = WELL_KNOWN.iter().find(|known| known.0 == api_version && known.1 == kind) {
            return Ok(ApiResource::from_gvk_with_plural(&gvk, plural));
        }
        let key = (api_version.to_owned(), kind.to_owned());
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(resource) = known {
            return Ok(resource);
        }
        let what = format!("look up {api_version} {kind}");
        let list = match group {
            "" => call(&what, client.list_core_api_resources(version)).await?,
            _named_group => call(&what, client.list_api_group_resources(api_version)).await?,
        };
        let found = list.resources.iter().find(|resource| resource.kind == kind && !resource.name.contains('/'));
        let found = found.ok_or_else(|| ClusterError::Refused {
            what: what.clone(),
            code: 404,
            words: OneLine::new("the cluster does not serve this kind"),
        })?;
        // A kind that is not in the list of the linter shows here, before anything of it is written.
        if !found.namespaced {
            let words = "belongs to the whole cluster: turquoise writes only into the app's namespace";
            return Err(ClusterError::Refused { what, code: 403, words: OneLine::new(words) });
        }
        let resource = ApiResource::from_gvk_with_plural(&gvk, &found.name);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, resource.clone());
        Ok(resource)
    }
}
