//! What every controller of pods does with them: whose they are, how they are made, how they go.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::errors::ApiError;
use crate::controllers::MANAGER;
use crate::object::{self, condition, int, text};
use crate::resources::{PODS, Resource};
use crate::store::Key;
use crate::world::World;
use crate::writes::{Deletion, Write};

/// A pod and where it lies.
pub(crate) type Pod = (Key, Arc<Value>);

/// How soon a pod that was refused is asked for again.
pub(crate) const AGAIN: Duration = Duration::from_secs(1);

/// The pods that an owner controls, by name.
pub(crate) fn controlled_by(world: &World, owner: &Value) -> Vec<Pod> {
    let mut pods = world.store.owned_by(object::uid(owner));
    pods.retain(|(key, pod)| key.resource().plural == "pods" && is_controlled(pod, owner));
    pods
}

/// Whether this owner is the object's controller.
pub(crate) fn is_controlled(object: &Value, owner: &Value) -> bool {
    object::controller(object).is_some_and(|reference| text(reference, "/uid") == object::uid(owner))
}

/// Neither on its way out nor at its end.
pub(crate) fn is_active(pod: &Value) -> bool {
    !object::is_deleting(pod) && !is_finished(pod)
}

/// Whether all its containers ended for good.
pub(crate) fn is_finished(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// The reference to a controlling owner.
pub(crate) fn reference(resource: &Resource, owner: &Value) -> Value {
    json!({
        "apiVersion": resource.api_version(), "kind": resource.kind, "name": object::name(owner),
        "uid": object::uid(owner), "controller": true, "blockOwnerDeletion": true,
    })
}

/// A pod of a template, for an owner; `shape` gives it its name and whatever else is its own.
pub(crate) fn from_template(key: &Key, owner: &Value, template: &Value, shape: impl FnOnce(&mut Value)) -> Value {
    let mut metadata = json!({
        "generateName": format!("{}-", key.name),
        "namespace": key.namespace,
        "ownerReferences": [reference(key.resource(), owner)],
    });
    for field in ["labels", "annotations"] {
        if let Some(map) = template["metadata"].get(field) {
            metadata[field] = map.clone();
        }
    }
    let mut pod = json!({"metadata": metadata, "spec": template["spec"]});
    shape(&mut pod);
    pod
}

/// Creates a pod and tells of it, or of why it was refused.
pub(crate) fn create(world: &World, owner: &Value, component: &str, pod: Value) -> Result<(), ApiError> {
    let created = world.store.transaction(|transaction| world.create(transaction, *PODS, pod, Write::by(MANAGER, "")));
    match created {
        Ok(pod) => {
            let message = format!("Created pod: {}", object::name(&pod));
            world.event(owner, component, "Normal", "SuccessfulCreate", &message);
            Ok(())
        }
        Err(error) => {
            let message = format!("Error creating: {}", error.message);
            world.event(owner, component, "Warning", "FailedCreate", &message);
            Err(error)
        }
    }
}

/// Deletes a pod with its own grace, and tells of it.
pub(crate) fn delete(world: &World, owner: &Value, component: &str, key: &Key, pod: &Value) {
    if object::is_deleting(pod) {
        return;
    }
    let deletion = Deletion { uid: Some(object::uid(pod).to_owned()), ..Deletion::default() };
    if world.store.transaction(|transaction| world.delete(transaction, key, &deletion)).is_ok() {
        let message = format!("Deleted pod: {}", key.name);
        world.event(owner, component, "Normal", "SuccessfulDelete", &message);
    }
}

/// How many pods are ready, how many of them for long enough, and when the next one will be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Readiness {
    pub(crate) ready: i64,
    pub(crate) available: i64,
    pub(crate) wait: Option<Duration>,
}

/// Counts ready and available pods of an owner with `spec.minReadySeconds`.
pub(crate) fn readiness<'a>(owner: &Value, pods: impl IntoIterator<Item = &'a Value>, now: Timestamp) -> Readiness {
    let mut counted = Readiness::default();
    for pod in pods {
        match until_available(owner, pod, now) {
            None => {}
            Some(0) => {
                counted.ready += 1;
                counted.available += 1;
            }
            Some(seconds) => {
                counted.ready += 1;
                let wait = Duration::from_secs(u64::try_from(seconds).unwrap_or(1));
                counted.wait = Some(counted.wait.map_or(wait, |known| known.min(wait)));
            }
        }
    }
    counted
}

/// The seconds until a ready pod counts as available; nothing for one that is not ready.
pub(crate) fn until_available(owner: &Value, pod: &Value, now: Timestamp) -> Option<i64> {
    if !object::is_ready(pod) {
        return None;
    }
    let min_ready = int(owner, "/spec/minReadySeconds").unwrap_or(0);
    let age = condition(pod, "Ready").map_or(0, |ready| age_seconds(text(ready, "/lastTransitionTime"), now));
    Some((min_ready - age).max(0))
}

/// How long ago a time was, in whole seconds.
pub(crate) fn age_seconds(at: &str, now: Timestamp) -> i64 {
    at.parse::<Timestamp>().map_or(0, |at| now.duration_since(at).as_secs())
}

/// Writes an object's status where it differs; the status's own conditions are kept unless the new one brings some.
pub(crate) fn write_status(world: &World, key: &Key, mut status: Value) {
    world.edit(key, Write::by(MANAGER, "status"), |current| {
        if status.get("conditions").is_none()
            && let Some(conditions) = current["status"].get("conditions")
        {
            status["conditions"] = conditions.clone();
        }
        let same = current["status"] == status;
        current["status"] = status;
        !same
    });
}

/// Sets a condition in a list of them; its time moves with its status.
pub(crate) fn set_condition(
    conditions: &mut Vec<Value>,
    kind: &str,
    (state, reason, message): (&str, &str, &str),
    now: &str,
) {
    let old = conditions.iter_mut().find(|condition| condition["type"] == kind);
    let new = json!({
        "type": kind, "status": state, "reason": reason, "message": message, "lastTransitionTime": now,
    });
    match old {
        Some(old) => {
            let moved = old["status"] == state;
            let at = if moved { old["lastTransitionTime"].clone() } else { json!(now) };
            *old = new;
            old["lastTransitionTime"] = at;
        }
        None => conditions.push(new),
    }
}
