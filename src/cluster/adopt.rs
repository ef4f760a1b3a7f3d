//! Taking over objects that somebody else applied: the label that says whose they are, what a colour carries, and the
//! fields that `kubectl apply` owned, so that what git drops later goes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::api::Patch;
use serde_json::{Value, json};

use super::annotations as name;
use super::{Cluster, ClusterError, MANAGER, Subject, by_us, call, record, states};
use crate::core::action::{Adopt, Adoption};
use crate::core::observed::Foreign;

/// What `kubectl apply` writes on the objects that it applies on the client's side.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Its field manager then, and its field manager with `--server-side`.
const KUBECTL_MANAGERS: [&str; 2] = ["kubectl-client-side-apply", "kubectl"];

/// What there is to know of an object that is not labelled as ours.
pub(super) fn foreign(meta: &ObjectMeta) -> Foreign {
    let last_applied = meta.annotations.as_ref().is_some_and(|all| all.contains_key(LAST_APPLIED));
    let managers = meta.managed_fields.iter().flatten();
    Foreign {
        resource_version: meta.resource_version.clone().unwrap_or_default(),
        by_kubectl_apply: last_applied || managers.into_iter().any(is_kubectl_apply),
    }
}

fn is_kubectl_apply(entry: &ManagedFieldsEntry) -> bool {
    let manager = entry.manager.as_deref().unwrap_or_default();
    let applies = entry.operation.as_deref() == Some("Apply") || manager == KUBECTL_MANAGERS[0];
    applies && KUBECTL_MANAGERS.contains(&manager) && entry.subresource.is_none()
}

impl Cluster {
    /// Takes objects over, each under the resource version that was seen. Nothing of their specs is changed.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] where one is not as it was seen; whatever the server refuses. Those before it are taken.
    pub async fn adopt(&self, subject: &Subject, adopt: &Adopt) -> Result<(), ClusterError> {
        for adoption in &adopt.objects {
            let Some(meta) = self.metadata_of(subject, &adoption.key).await? else {
                return Err(ClusterError::Conflict(adoption.key.to_string()));
            };
            if meta.resource_version.as_ref() != Some(&adoption.resource_version) {
                return Err(ClusterError::Conflict(adoption.key.to_string()));
            }
            let mut patch = json!({"metadata": {
                "resourceVersion": adoption.resource_version,
                "labels": labels(subject, adoption),
                "annotations": self.annotations(subject, adopt, adoption).await?,
            }});
            if let Some(managed) = taken_over(&meta) {
                patch["metadata"]["managedFields"] = managed;
            }
            let api = self.dynamic(&subject.namespace, &adoption.key.api_version, &adoption.key.kind).await?;
            let params = by_us();
            let what = format!("take over {}", adoption.key);
            call(&what, api.patch_metadata(&adoption.key.name, &params, &Patch::Merge(&patch))).await?;
        }
        Ok(())
    }

    /// On workloads of what serves as HEAD renders it: what it carries.
    async fn annotations(&self, subject: &Subject, adopt: &Adopt, adoption: &Adoption) -> Result<Value, ClusterError> {
        let carried = adopt.record.as_ref().filter(|(colour, _)| Some(*colour) == adoption.colour);
        let (Some((_, carried)), Some(kind)) = (carried, adoption.key.workload_kind()) else { return Ok(json!({})) };
        let Some(workload) = self.get_workload(subject, &adoption.key).await? else {
            return Err(ClusterError::Conflict(adoption.key.to_string()));
        };
        let mut annotations = record::to_annotations(carried, &adopt.inventory);
        annotations.insert(name::IN_USE.into(), states::template_digest(kind, &workload));
        annotations.extend(adoption.replicas.map(|replicas| (name::REPLICAS.to_owned(), replicas.to_string())));
        Ok(json!(annotations))
    }
}

fn labels(subject: &Subject, adoption: &Adoption) -> Value {
    match adoption.colour {
        Some(colour) => json!({name::APP: subject.app.as_str(), name::COLOUR: colour.as_str()}),
        None => json!({name::APP: subject.app.as_str(), name::PART: name::PART_LIVE}),
    }
}

/// The managed fields with turquoise in the place of `kubectl apply`; `None` where nothing of it is there.
fn taken_over(meta: &ObjectMeta) -> Option<Value> {
    let entries = meta.managed_fields.as_ref()?;
    // A second one would be a second entry of the same manager and operation, which the server refuses.
    let at = entries.iter().position(is_kubectl_apply)?;
    let mut entries = entries.clone();
    entries[at].manager = Some(MANAGER.to_owned());
    entries[at].operation = Some("Apply".to_owned());
    serde_json::to_value(entries).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(json: Value) -> ObjectMeta {
        serde_json::from_value(json).expect("metadata")
    }

    #[test]
    fn kubectl_apply_is_told_from_others() {
        let entry =
            |manager: &str, operation: &str| json!({"managedFields": [{"manager": manager, "operation": operation}]});
        for (json, expect) in [
            (json!({}), false),
            (json!({"annotations": {LAST_APPLIED: "{}"}}), true),
            (entry("kubectl-client-side-apply", "Update"), true),
            (entry("kubectl", "Apply"), true),
            (entry("kubectl-create", "Update"), false),
            (entry("kubectl", "Update"), false),
            (entry("helm", "Apply"), false),
        ] {
            assert_eq!(foreign(&meta(json.clone())).by_kubectl_apply, expect, "{json}");
        }
    }

    #[test]
    fn turquoise_takes_the_place_of_kubectl() {
        let before = meta(json!({"managedFields": [
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status"},
            {"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:spec": {}}}]}));
        let after = taken_over(&before).expect("something of kubectl");
        assert_eq!(after[0]["manager"], "kube-controller-manager");
        assert_eq!(after[1], json!({"manager": "turquoise", "operation": "Apply", "fieldsV1": {"f:spec": {}}}));
        assert_eq!(taken_over(&meta(json!({"managedFields": [{"manager": "helm", "operation": "Apply"}]}))), None);
    }
}
