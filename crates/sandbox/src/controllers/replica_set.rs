//! ReplicaSets -> pods.

use std::time::Duration;

use serde_json::{Value, json};

use crate::controllers::MANAGER;
use crate::controllers::pods::{self, Pod, is_active, is_controlled};
use crate::object::{self, int, list, text};
use crate::store::{Key, LabelSelector};
use crate::world::World;
use crate::writes::Write;

const COMPONENT: &str = "replicaset-controller";

/// Creates and deletes pods until there are as many as wanted, and writes the status; says when to look again.
pub(crate) fn sync(world: &World, key: &Key) -> Option<Duration> {
    let set = world.store.get(key)?;
    let selector = LabelSelector::of(&set["spec"]["selector"]);
    let mut pods: Vec<Pod> = pods::controlled_by(world, &set);
    pods.retain(|(key, pod)| {
        let fits = selector.matches(pod);
        if !fits {
            release(world, key, &set);
        }
        fits
    });
    pods.retain(|(_, pod)| is_active(pod));
    let mut refused = None;
    if !object::is_deleting(&set) {
        let wanted = usize::try_from(int(&set, "/spec/replicas").unwrap_or(0)).unwrap_or(0);
        if pods.len() < wanted {
            let template = &set["spec"]["template"];
            refused = (pods.len()..wanted).find_map(|_| {
                let pod = pods::from_template(key, &set, template, |_| ());
                pods::create(world, &set, COMPONENT, pod).err()
            });
        } else if pods.len() > wanted {
            pods.sort_by_cached_key(|(_, pod)| rank(pod));
            let excess = pods.len() - wanted;
            for (pod, object) in pods.drain(..excess) {
                pods::delete(world, &set, COMPONENT, &pod, &object);
            }
        }
    }
    let wait = write_status(world, key, &set, refused.as_ref().map(|error| error.message.as_str()));
    // A refused pod is asked for again: a quota may have been raised.
    if refused.is_some() { Some(wait.map_or(pods::AGAIN, |wait| wait.min(pods::AGAIN))) } else { wait }
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

/// A pod whose labels were changed belongs to nobody any more.
fn release(world: &World, key: &Key, set: &Value) {
    world.edit(key, Write::by(MANAGER, ""), |pod| {
        let owners = pod["metadata"]["ownerReferences"].as_array_mut();
        owners.map(|owners| owners.retain(|owner| text(owner, "/uid") != object::uid(set))).is_some()
    });
}

fn write_status(world: &World, key: &Key, set: &Value, refused: Option<&str>) -> Option<Duration> {
    let labels = object::map(set, "/spec/template/metadata/labels");
    let mut pods = world.store.owned_by(object::uid(set));
    pods.retain(|(_, pod)| is_controlled(pod, set) && is_active(pod));
    let is_labelled = |pod: &Value| {
        let has = object::map(pod, "/metadata/labels");
        labels.into_iter().flatten().all(|(name, value)| has.and_then(|has| has.get(name)) == Some(value))
    };
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let labelled = number(pods.iter().filter(|(_, pod)| is_labelled(pod)).count());
    let counted = pods::readiness(set, pods.iter().map(|(_, pod)| &**pod), world.options.clock.now());
    let mut conditions = list(set, "/status/conditions").to_vec();
    match refused {
        // Its first words stay: each try names another pod.
        Some(message) if !conditions.iter().any(|condition| condition["type"] == FAILURE) => {
            let state = ("True", "FailedCreate", message);
            pods::set_condition(&mut conditions, FAILURE, state, &world.options.clock.seconds());
        }
        Some(_) => {}
        None => conditions.retain(|condition| condition["type"] != FAILURE),
    }
    let mut status =
        json!({"replicas": number(pods.len()), "observedGeneration": int(set, "/metadata/generation").unwrap_or(0)});
    let counts = [
        ("fullyLabeledReplicas", labelled),
        ("readyReplicas", counted.ready),
        ("availableReplicas", counted.available),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        status[name] = json!(count);
    }
    world.edit(key, Write::by(MANAGER, "status"), |current| {
        if !conditions.is_empty() {
            status["conditions"] = json!(conditions);
        }
        let same = current["status"] == status;
        current["status"] = status;
        !same
    });
    counted.wait
}

/// The condition that tells of pods that were refused; a Deployment shows its newest ReplicaSet's.
pub(crate) const FAILURE: &str = "ReplicaFailure";
