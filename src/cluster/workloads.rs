//! Guarded writes to a colour.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, DynamicObject, Patch, Preconditions};
use serde_json::{Value, json};

use super::annotations as name;
use super::apply::Dress;
use super::snapshot::app_of;
use super::{Cluster, ClusterError, Subject, by_us, call, delete, record, sizes, states};
use crate::core::action::{ColourGuard, Deploy, NewBounds, Scale, Schedules, ServiceGuard, Size, Stamp};
use crate::core::colour::Colour;
use crate::core::desired::Bounds;
use crate::core::ids::ObjectKey;
use crate::core::observed::Record;
use crate::core::workload::WorkloadKind;

impl Cluster {
    /// Applies a colour's overlay: first what the workloads need, then the workloads with the record, each under the
    /// resource version that was seen. Jobs come first among them: where another one says that it carries the revision, the
    /// Jobs were applied. Then come the fronts.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] where the guard does not hold; whatever the server refuses.
    pub async fn deploy(&self, subject: &Subject, deploy: &Deploy, objects: &[Value]) -> Result<(), ClusterError> {
        self.hold(subject, deploy.colour, &deploy.guard).await?;
        self.try_changes(subject, deploy, objects).await?;
        for (key, version) in &deploy.renew {
            self.delete_seen(subject, key, version).await?;
        }
        let renewed = |key: &ObjectKey| deploy.renew.iter().any(|(job, _)| job == key);
        let versions: BTreeMap<&ObjectKey, &String> = deploy
            .guard
            .workloads
            .iter()
            .filter(|(key, _)| !renewed(key))
            .map(|(key, version)| (key, version))
            .collect();
        for object in objects.iter().filter(|object| !is_workload(object)) {
            self.apply(subject, object, &dress_of(subject, deploy.colour, object)).await?;
        }
        let mut workloads: Vec<(ObjectKey, &Value)> =
            objects.iter().filter_map(|object| Some((ObjectKey::of(object)?, object))).collect();
        workloads.retain(|(key, _)| key.is_workload());
        workloads.sort_by_key(|(key, _)| (!key.is_kind(WorkloadKind::Job), !deploy.fronts.contains(key)));
        for (key, object) in workloads {
            let version = versions.get(&key).map(|version| (*version).clone());
            if version.is_none() && !renewed(&key) {
                self.hold_absent(subject, &key).await?;
            }
            let mark = if deploy.record.in_use { self.mark_of(subject, &key).await? } else { None };
            let mut dress = dress_of(subject, deploy.colour, object);
            dress.annotations = workload_annotations(object, &deploy.record, mark, &deploy.inventory);
            dress.resource_version = version;
            let size = deploy.sizes.iter().find(|size| size.workload == key);
            let sized = sizes::dressed(object, size, deploy.autoscaled.contains(&key), &mut dress);
            self.apply(subject, &sized, &dress).await?;
        }
        Ok(())
    }

    /// A refusal of a workload that is there already (a field that cannot change, a policy) is heard before anything is
    /// written: half a deploy would leave tiers of two versions side by side for connections that clients still keep.
    async fn try_changes(&self, subject: &Subject, deploy: &Deploy, objects: &[Value]) -> Result<(), ClusterError> {
        let changes = objects.iter().filter(|object| {
            let Some(key) = ObjectKey::of(object) else { return false };
            let there = deploy.guard.workloads.iter().any(|(seen, _)| *seen == key);
            there && !deploy.renew.iter().any(|(job, _)| *job == key)
        });
        // Nothing is done, so no order is kept.
        try_join_all(
            changes
                .map(async |object| self.try_apply(subject, object, &dress_of(subject, deploy.colour, object)).await),
        )
        .await
        .map(drop)
    }

    /// Scales workloads, and starts their deadline where they are scaled up.
    ///
    /// # Errors
    /// As [`Cluster::deploy`].
    pub async fn scale(&self, subject: &Subject, scale: &Scale) -> Result<(), ClusterError> {
        self.hold(subject, scale.colour, &scale.guard).await?;
        for (key, version) in &scale.guard.workloads {
            let size = scale.sizes.iter().find(|size| size.workload == *key);
            let mut patch = size.map_or_else(|| json!({}), sizes::patch);
            if let Some((attempt, started_at)) = &scale.attempt {
                let annotations = sizes::annotations(&mut patch);
                annotations.insert(name::ATTEMPT.into(), attempt.as_str().into());
                annotations.insert(name::STARTED_AT.into(), started_at.to_string().into());
                annotations.insert(name::ENDPOINTS_SINCE.into(), record::endpoints_word(None).into());
            } else if size.is_none() {
                continue;
            }
            self.patch_seen(subject, key, version, patch).await?;
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
            self.patch_seen(subject, key, version, json!({"metadata": {"annotations": annotations}})).await?;
        }
        Ok(())
    }

    /// Marks the workloads of a colour that is about to take traffic with their pod template's digest. The mark moves
    /// the resource version, so that a deploy that was planned before conflicts.
    ///
    /// # Errors
    /// As [`Cluster::deploy`].
    pub async fn mark_in_use(&self, subject: &Subject, at: Timestamp, guard: &ColourGuard) -> Result<(), ClusterError> {
        // At once, because each release waits for it twice: which of them is marked first says nothing.
        try_join_all(guard.workloads.iter().map(async |(key, version)| {
            let Some(kind) = key.workload_kind() else { return Ok(()) };
            let workload = self.get_workload(subject, key).await?;
            let workload = workload.filter(|one| one.metadata.resource_version.as_ref() == Some(version));
            let workload = workload.ok_or_else(|| ClusterError::Conflict(key.to_string()))?;
            let digest = states::template_digest(kind, &workload);
            let annotations = json!({name::IN_USE: digest, name::STARTED_AT: at.to_string()});
            self.patch_seen(subject, key, version, json!({"metadata": {"annotations": annotations}})).await
        }))
        .await
        .map(drop)
    }

    /// Creates again what is missing of the colour in use.
    ///
    /// A CronJob waits suspended until it is known that the other colour's does.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] where a workload is there by now; whatever the server refuses.
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
            let mut dress = dress_of(subject, colour, object);
            let Some(key) = ObjectKey::of(object).filter(ObjectKey::is_workload) else {
                self.apply(subject, object, &dress).await?;
                continue;
            };
            self.hold_absent(subject, &key).await?;
            dress.annotations = workload_annotations(object, new_record, None, &all);
            let held = key.is_kind(WorkloadKind::CronJob).then_some(Size { workload: key, replicas: 0 });
            let sized = sizes::dressed(object, held.as_ref(), false, &mut dress);
            self.apply(subject, &sized, &dress).await?;
        }
        Ok(())
    }

    /// Applies new sizes and autoscalers' bounds in place.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] where one of them has changed since; whatever the server refuses.
    pub async fn resize(
        &self,
        subject: &Subject,
        sizes: &[Size],
        bounds: &[NewBounds],
        versions: &BTreeMap<ObjectKey, String>,
    ) -> Result<(), ClusterError> {
        let sizes = sizes.iter().map(|size| {
            let annotations = json!({name::REPLICAS: size.replicas.to_string()});
            let patch = json!({"metadata": {"annotations": annotations}, "spec": {"replicas": size.replicas}});
            (&size.workload, patch)
        });
        let bounds = bounds.iter().map(|new| {
            let annotations = json!({name::BOUNDS: new.bounds.to_string()});
            let spec = json!({"minReplicas": new.bounds.min, "maxReplicas": new.bounds.max});
            (&new.autoscaler, json!({"metadata": {"annotations": annotations}, "spec": spec}))
        });
        for (key, patch) in sizes.chain(bounds) {
            let version = versions.get(key).ok_or_else(|| ClusterError::Conflict(key.to_string()))?;
            self.patch_seen(subject, key, version, patch).await?;
        }
        Ok(())
    }

    /// Suspends the CronJobs of the idle colour, then lets those of the serving colour run.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] where a live Service or a CronJob has changed since; whatever the server refuses.
    pub async fn run_schedules(&self, subject: &Subject, schedules: &Schedules) -> Result<(), ClusterError> {
        for guard in &schedules.services {
            self.seen_service(subject, guard).await?;
        }
        let all = [(&schedules.suspend, 0), (&schedules.resume, 1)];
        for (crons, replicas) in all {
            for (key, version) in crons {
                let patch = sizes::patch(&Size { workload: key.clone(), replicas });
                self.patch_seen(subject, key, version, patch).await?;
            }
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
            delete(&api, key, &DeleteParams::background()).await?;
        }
        for (key, _) in guard.workloads.iter().filter(|(key, _)| !objects.contains(key)) {
            let Some(workload) = self.get_workload(subject, key).await? else { continue };
            let annotations = workload.metadata.annotations.clone().unwrap_or_default();
            let left: BTreeSet<ObjectKey> =
                record::inventory(&annotations).into_iter().filter(|key| !objects.contains(key)).collect();
            let version = workload.metadata.resource_version.unwrap_or_default();
            let patch = json!({"metadata": {"annotations": {name::INVENTORY: record::inventory_text(&left)}}});
            self.patch_seen(subject, key, &version, patch).await?;
        }
        Ok(())
    }

    /// Looks once more, right before a colour is written, whether the live Services are as they were seen.
    async fn hold(&self, subject: &Subject, colour: Colour, guard: &ColourGuard) -> Result<(), ClusterError> {
        let api = self.api::<Service>(&subject.namespace);
        for live in &subject.live {
            let service = call(&format!("get Service {live}"), api.get_opt(live)).await?;
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

    /// A workload that was not seen must not be there: applied without a version, it would be written over.
    async fn hold_absent(&self, subject: &Subject, key: &ObjectKey) -> Result<(), ClusterError> {
        let found = self.get_workload(subject, key).await?;
        let ours = found.is_some_and(|found| app_of(&found.metadata) == Some(subject.app.as_str()));
        if ours { Err(ClusterError::Conflict(key.to_string())) } else { Ok(()) }
    }

    async fn mark_of(&self, subject: &Subject, key: &ObjectKey) -> Result<Option<String>, ClusterError> {
        let workload = self.get_workload(subject, key).await?;
        Ok(workload.and_then(|one| one.metadata.annotations?.get(name::IN_USE).cloned()))
    }

    pub(super) async fn get_workload(
        &self,
        subject: &Subject,
        key: &ObjectKey,
    ) -> Result<Option<DynamicObject>, ClusterError> {
        let api = self.dynamic(&subject.namespace, &key.api_version, &key.kind).await?;
        call(&format!("get {key}"), api.get_opt(&key.name)).await
    }

    /// Patches an object, if it is as it was seen.
    async fn patch_seen(
        &self,
        subject: &Subject,
        key: &ObjectKey,
        version: &str,
        mut patch: Value,
    ) -> Result<(), ClusterError> {
        patch["metadata"]["resourceVersion"] = version.into();
        let api = self.dynamic(&subject.namespace, &key.api_version, &key.kind).await?;
        let params = by_us();
        call(&format!("patch {key}"), api.patch_metadata(&key.name, &params, &Patch::Merge(&patch))).await.map(drop)
    }

    /// Deletes an object with all that it owns, if it is as it was seen.
    async fn delete_seen(&self, subject: &Subject, key: &ObjectKey, version: &str) -> Result<(), ClusterError> {
        let api = self.dynamic(&subject.namespace, &key.api_version, &key.kind).await?;
        let seen = Preconditions { resource_version: Some(version.to_owned()), uid: None };
        let params = DeleteParams { preconditions: Some(seen), ..DeleteParams::background() };
        delete(&api, key, &params).await
    }
}

/// The labels of a colour's object; on an autoscaler also the bounds that its manifest names.
fn dress_of(subject: &Subject, colour: Colour, object: &Value) -> Dress {
    let mut dress = Dress::of(subject, (name::COLOUR, colour.as_str()));
    if ObjectKey::of(object).is_some_and(|key| key.is_autoscaler()) {
        dress.annotations.insert(name::BOUNDS.into(), Bounds::of(object).to_string());
    }
    dress
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
