//! Guarded writes to a colour.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::annotations as name;
use super::apply::Dress;
use super::snapshot::template_digest;
use super::{Cluster, ClusterError, MANAGER, Subject, call, call_opt, record};
use crate::core::action::{ColourGuard, Deploy, Scale, ServiceGuard, Size, Stamp};
use crate::core::colour::Colour;
use crate::core::ids::ObjectKey;
use crate::core::observed::Record;

impl Cluster {
    /// Applies a colour's overlay: first what the workloads need, then the workloads with the record, each under the
    /// resource version that was seen.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] where the guard does not hold; whatever the server refuses.
    pub async fn deploy(&self, subject: &Subject, deploy: &Deploy, objects: &[Value]) -> Result<(), ClusterError> {
        self.hold(subject, deploy.colour, &deploy.guard).await?;
        let versions: BTreeMap<&ObjectKey, &String> =
            deploy.guard.workloads.iter().map(|(key, version)| (key, version)).collect();
        let dress = Dress::of(subject, (name::COLOUR, deploy.colour.as_str()));
        for object in objects.iter().filter(|object| !is_workload(object)) {
            self.apply(subject, object, &dress).await?;
        }
        for object in objects.iter().filter(|object| is_workload(object)) {
            let Some(key) = ObjectKey::of(object) else { continue };
            let mark = if deploy.record.in_use { self.mark_of(subject, &key).await? } else { None };
            let dress = Dress {
                annotations: workload_annotations(object, &deploy.record, mark, &deploy.inventory),
                resource_version: versions.get(&key).map(|version| (*version).clone()),
                ..dress.clone()
            };
            let size = deploy.sizes.iter().find(|size| size.workload == key).map(|size| size.replicas);
            self.apply_workload(subject, object, &key, size, &dress).await?;
        }
        Ok(())
    }

    /// A manifest that names `replicas` gets its size in the apply itself; one that leaves it to an autoscaler gets it
    /// by a patch of its own, so that a later apply does not take it back.
    async fn apply_workload(
        &self,
        subject: &Subject,
        object: &Value,
        key: &ObjectKey,
        size: Option<u32>,
        dress: &Dress,
    ) -> Result<(), ClusterError> {
        let named = object.pointer("/spec/replicas").is_some_and(|replicas| !replicas.is_null());
        match size {
            Some(replicas) if named => {
                let mut object = object.clone();
                object["spec"]["replicas"] = replicas.into();
                self.apply(subject, &object, dress).await
            }
            Some(replicas) => {
                self.apply(subject, object, dress).await?;
                self.patch_workload(subject, key, &json!({"spec": {"replicas": replicas}})).await
            }
            None => self.apply(subject, object, dress).await,
        }
    }

    /// Scales workloads, and starts their deadline where they are scaled up.
    ///
    /// # Errors
    /// As [`Cluster::deploy`].
    pub async fn scale(&self, subject: &Subject, scale: &Scale) -> Result<(), ClusterError> {
        self.hold(subject, scale.colour, &scale.guard).await?;
        for (key, version) in &scale.guard.workloads {
            let size = scale.sizes.iter().find(|size| size.workload == *key);
            let mut patch = json!({"metadata": {"resourceVersion": version}});
            if let Some((attempt, started_at)) = &scale.attempt {
                patch["metadata"]["annotations"] = json!({name::ATTEMPT: attempt, name::STARTED_AT: started_at.to_string(), name::ENDPOINTS_SINCE: ""});
            } else if size.is_none() {
                continue;
            }
            if let Some(size) = size {
                patch["spec"] = json!({"replicas": size.replicas});
            }
            self.patch_workload(subject, key, &patch).await?;
        }
        Ok(())
    }

    /// Starts the colour's deadline for a new attempt.
    ///
    /// # Errors
    /// As [`Cluster::deploy`].
    pub async fn stamp(&self, subject: &Subject, stamp: &Stamp) -> Result<(), ClusterError> {
        self.hold(subject, stamp.colour, &stamp.guard).await?;
        for (key, version) in &stamp.guard.workloads {
            let annotations = json!({
                name::ATTEMPT: stamp.attempt,
                name::STARTED_AT: stamp.started_at.to_string(),
                name::ENDPOINTS_SINCE: record::endpoints_word(stamp.endpoints_since),
            });
            let patch = json!({"metadata": {"resourceVersion": version, "annotations": annotations}});
            self.patch_workload(subject, key, &patch).await?;
        }
        Ok(())
    }

    /// Marks the workloads of a colour that is about to take traffic with their pod template's digest. The mark moves
    /// the resource version, so that a deploy that was planned before conflicts (DESIGN 4).
    ///
    /// # Errors
    /// As [`Cluster::deploy`].
    pub async fn mark_in_use(&self, subject: &Subject, guard: &ColourGuard) -> Result<(), ClusterError> {
        for (key, version) in &guard.workloads {
            let deployment = self.get_workload(subject, key).await?;
            let deployment = deployment.filter(|one| one.metadata.resource_version.as_ref() == Some(version));
            let deployment = deployment.ok_or_else(|| ClusterError::Conflict(key.to_string()))?;
            let annotations = json!({name::IN_USE: template_digest(&deployment)});
            let patch = json!({"metadata": {"resourceVersion": version, "annotations": annotations}});
            self.patch_workload(subject, key, &patch).await?;
        }
        Ok(())
    }

    /// Creates again what is missing of the colour in use.
    ///
    /// # Errors
    /// Whatever the server refuses.
    pub async fn recreate(
        &self,
        subject: &Subject,
        colour: Colour,
        missing: &BTreeSet<ObjectKey>,
        new_record: &Record,
        objects: &[Value],
    ) -> Result<(), ClusterError> {
        let all: BTreeSet<ObjectKey> = objects.iter().filter_map(ObjectKey::of).collect();
        let wanted = objects.iter().filter(|object| ObjectKey::of(object).is_some_and(|key| missing.contains(&key)));
        for object in wanted {
            let mut dress = Dress::of(subject, (name::COLOUR, colour.as_str()));
            if is_workload(object) {
                dress.annotations = workload_annotations(object, new_record, None, &all);
            }
            self.apply(subject, object, &dress).await?;
        }
        Ok(())
    }

    /// Applies new sizes in place.
    ///
    /// # Errors
    /// Whatever the server refuses.
    pub async fn resize(&self, subject: &Subject, sizes: &[Size]) -> Result<(), ClusterError> {
        for size in sizes {
            let annotations = json!({name::REPLICAS: size.replicas.to_string()});
            let patch = json!({"metadata": {"annotations": annotations}, "spec": {"replicas": size.replicas}});
            self.patch_workload(subject, &size.workload, &patch).await?;
        }
        Ok(())
    }

    /// Deletes objects of a colour that is not in use and takes them out of the inventory.
    ///
    /// # Errors
    /// As [`Cluster::deploy`].
    pub async fn prune(
        &self,
        subject: &Subject,
        colour: Colour,
        objects: &BTreeSet<ObjectKey>,
        guard: &ColourGuard,
    ) -> Result<(), ClusterError> {
        self.hold(subject, colour, guard).await?;
        for key in objects {
            let api = self.dynamic(&subject.namespace, &key.api_version, &key.kind).await?;
            match call(&format!("delete {key}"), api.delete(&key.name, &DeleteParams::background())).await {
                Ok(_) => {}
                // Gone already: that is what was asked for.
                Err(ClusterError::Refused { code: 404, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        for (key, _) in guard.workloads.iter().filter(|(key, _)| !objects.contains(key)) {
            let Some(deployment) = self.get_workload(subject, key).await? else { continue };
            let annotations = deployment.metadata.annotations.clone().unwrap_or_default();
            let left: BTreeSet<ObjectKey> =
                record::inventory(&annotations).into_iter().filter(|key| !objects.contains(key)).collect();
            let words: Vec<String> =
                left.iter().map(|key| format!("{}/{}/{}", key.api_version, key.kind, key.name)).collect();
            let patch = json!({"metadata": {
                "resourceVersion": deployment.metadata.resource_version,
                "annotations": {name::INVENTORY: words.join(" ")},
            }});
            self.patch_workload(subject, key, &patch).await?;
        }
        Ok(())
    }

    /// Looks once more, right before a colour is written, whether the live Services are as they were seen.
    async fn hold(&self, subject: &Subject, colour: Colour, guard: &ColourGuard) -> Result<(), ClusterError> {
        let api = self.api::<Service>(&subject.namespace);
        for live in &subject.live {
            let service = call_opt(&format!("get Service {live}"), api.get_opt(live)).await?;
            let seen: Option<&ServiceGuard> = guard.services.iter().find(|seen| seen.name == *live);
            let selects =
                service.as_ref().and_then(|one| one.spec.as_ref()?.selector.as_ref()?.get(&subject.key).cloned());
            // Other fields of the Service may have moved; what it selects may not.
            if service.is_some() != seen.is_some()
                || selects != seen.and_then(|seen| seen.selects.clone())
                || selects.as_deref() == Some(colour.as_str())
            {
                return Err(ClusterError::Conflict(format!("Service {live}")));
            }
        }
        Ok(())
    }

    async fn mark_of(&self, subject: &Subject, key: &ObjectKey) -> Result<Option<String>, ClusterError> {
        let deployment = self.get_workload(subject, key).await?;
        Ok(deployment.and_then(|one| one.metadata.annotations?.get(name::IN_USE).cloned()))
    }

    pub(super) async fn get_workload(
        &self,
        subject: &Subject,
        key: &ObjectKey,
    ) -> Result<Option<Deployment>, ClusterError> {
        call_opt(&format!("get {key}"), self.api::<Deployment>(&subject.namespace).get_opt(&key.name)).await
    }

    async fn patch_workload(&self, subject: &Subject, key: &ObjectKey, patch: &Value) -> Result<(), ClusterError> {
        let api = self.api::<Deployment>(&subject.namespace);
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        call(&format!("patch {key}"), api.patch_metadata(&key.name, &params, &Patch::Merge(patch))).await.map(drop)
    }
}

fn is_workload(object: &Value) -> bool {
    ObjectKey::of(object).is_some_and(|key| key.is_workload())
}

fn workload_annotations(
    object: &Value,
    new_record: &Record,
    mark: Option<String>,
    inventory: &BTreeSet<ObjectKey>,
) -> BTreeMap<String, String> {
    let mut annotations = record::to_annotations(new_record, inventory);
    annotations.insert(name::IN_USE.into(), mark.unwrap_or_else(|| name::NOT_IN_USE.into()));
    if let Some(replicas) = object.pointer("/spec/replicas").and_then(Value::as_u64) {
        annotations.insert(name::REPLICAS.into(), replicas.to_string());
    }
    annotations
}
