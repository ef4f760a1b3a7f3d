//! ReplicaSets -> pods.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::controllers::MANAGER;
use crate::object::{self, condition, int, list, text};
use crate::resources::PODS;
use crate::store::{Key, LabelSelector};
use crate::world::World;
use crate::writes::{Deletion, Write};

/// Creates and deletes pods until there are as many as wanted, and writes the status; says when to look again.
pub(crate) fn sync(world: &World, key: &Key) -> Option<Duration> {
    let set = world.store.get(key)?;
    let selector = LabelSelector::of(&set["spec"]["selector"]);
    let mut pods: Vec<(Key, Arc<Value>)> = world
        .store
        .owned_by(object::uid(&set))
        .into_iter()
        .filter(|(key, pod)| key.resource().plural == "pods" && is_controlled(pod, &set))
        .collect();
    pods.retain(|(key, pod)| {
        let fits = selector.matches(pod);
        if !fits {
            release(world, key, &set);
        }
        fits
    });
    pods.retain(|(_, pod)| is_active(pod));
    if !object::is_deleting(&set) {
        let wanted = usize::try_from(int(&set, "/spec/replicas").unwrap_or(0)).unwrap_or(0);
        if pods.len() < wanted {
            for _ in pods.len()..wanted {
                create(world, key, &set);
            }
        } else if pods.len() > wanted {
            pods.sort_by_cached_key(|(_, pod)| rank(pod));
            let excess = pods.len() - wanted;
            for (pod, object) in pods.drain(..excess) {
                delete(world, &set, &pod, &object);
            }
        }
    }
    write_status(world, key, &set)
}

fn is_controlled(pod: &Value, set: &Value) -> bool {
    object::controller(pod).is_some_and(|owner| text(owner, "/uid") == object::uid(set))
}

fn is_active(pod: &Value) -> bool {
    !object::is_deleting(pod) && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Pods to be deleted first come first: unassigned, pending, not ready, younger.
fn rank(pod: &Value) -> (bool, bool, bool, std::cmp::Reverse<String>) {
    (
        !text(pod, "/spec/nodeName").is_empty(),
        text(pod, "/status/phase") == "Running",
        object::is_ready(pod),
        std::cmp::Reverse(text(pod, "/metadata/creationTimestamp").to_owned()),
    )
}

fn create(world: &World, key: &Key, set: &Value) {
    let template = &set["spec"]["template"];
    let mut metadata = json!({
        "generateName": format!("{}-", key.name),
        "namespace": key.namespace,
        "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": key.name, "uid": object::uid(set),
            "controller": true, "blockOwnerDeletion": true,
        }],
    });
    for field in ["labels", "annotations"] {
        if let Some(map) = template["metadata"].get(field) {
            metadata[field] = map.clone();
        }
    }
    let pod = json!({"metadata": metadata, "spec": template["spec"]});
    let created = world.store.transaction(|transaction| world.create(transaction, *PODS, pod, Write::by(MANAGER, "")));
    match created {
        Ok(pod) => {
            let message = format!("Created pod: {}", object::name(&pod));
            world.event(set, "replicaset-controller", "Normal", "SuccessfulCreate", &message);
        }
        Err(error) => {
            let message = format!("Error creating: {}", error.message);
            world.event(set, "replicaset-controller", "Warning", "FailedCreate", &message);
        }
    }
}

fn delete(world: &World, set: &Value, key: &Key, pod: &Value) {
    let deletion = Deletion { uid: Some(object::uid(pod).to_owned()), ..Deletion::default() };
    if world.store.transaction(|transaction| world.delete(transaction, key, &deletion)).is_ok() {
        let message = format!("Deleted pod: {}", key.name);
        world.event(set, "replicaset-controller", "Normal", "SuccessfulDelete", &message);
    }
}

/// A pod whose labels were changed belongs to nobody any more.
fn release(world: &World, key: &Key, set: &Value) {
    world.edit(key, Write::by(MANAGER, ""), |pod| {
        let owners = pod["metadata"]["ownerReferences"].as_array_mut();
        owners.map(|owners| owners.retain(|owner| text(owner, "/uid") != object::uid(set))).is_some()
    });
}

fn write_status(world: &World, key: &Key, set: &Value) -> Option<Duration> {
    let now = world.options.clock.now();
    let min_ready = int(set, "/spec/minReadySeconds").unwrap_or(0);
    let labels = object::map(set, "/spec/template/metadata/labels");
    let (mut replicas, mut labelled, mut ready, mut available) = (0, 0, 0, 0);
    let mut wait: Option<i64> = None;
    for (_, pod) in world.store.owned_by(object::uid(set)) {
        if !is_controlled(&pod, set) || !is_active(&pod) {
            continue;
        }
        replicas += 1;
        let has = object::map(&pod, "/metadata/labels");
        let is_labelled =
            labels.into_iter().flatten().all(|(name, value)| has.and_then(|has| has.get(name)) == Some(value));
        labelled += i64::from(is_labelled);
        if object::is_ready(&pod) {
            ready += 1;
            let age = condition(&pod, "Ready").map_or(0, |ready| age_seconds(text(ready, "/lastTransitionTime"), now));
            if min_ready == 0 || age >= min_ready {
                available += 1;
            } else {
                wait = Some(wait.unwrap_or(i64::MAX).min(min_ready - age));
            }
        }
    }
    world.edit(key, Write::by(MANAGER, "status"), |current| {
        let mut status =
            json!({"replicas": replicas, "observedGeneration": int(set, "/metadata/generation").unwrap_or(0)});
        let counts = [("fullyLabeledReplicas", labelled), ("readyReplicas", ready), ("availableReplicas", available)];
        for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            status[name] = json!(count);
        }
        let conditions = list(current, "/status/conditions");
        if !conditions.is_empty() {
            status["conditions"] = json!(conditions);
        }
        let same = current["status"] == status;
        current["status"] = status;
        !same
    });
    wait.map(|seconds| Duration::from_secs(u64::try_from(seconds.max(1)).unwrap_or(1)))
}

/// How long ago a time was, in whole seconds.
pub(crate) fn age_seconds(at: &str, now: Timestamp) -> i64 {
    at.parse::<Timestamp>().map_or(0, |at| now.duration_since(at).as_secs())
}
