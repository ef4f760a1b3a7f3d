//! DaemonSets -> one pod on each node that their selector names.

use std::time::Duration;

use serde_json::{Value, json};

use crate::controllers::{pods, revisions};
use crate::kubelet;
use crate::object::{self, int, text};
use crate::resources::NODES;
use crate::store::Key;
use crate::world::World;

const COMPONENT: &str = "daemonset-controller";

/// Creates, ends and replaces pods, and writes the status; says when to look again.
pub(crate) fn sync(world: &World, key: &Key) -> Option<Duration> {
    let set = world.store.get(key)?;
    let templates = revisions::of(world, key, &set);
    let (_, nodes) = world.store.list(*NODES, None);
    let selector = &set["spec"]["template"]["spec"];
    let wanted: Vec<&str> =
        nodes.iter().filter(|node| kubelet::fits(selector, node)).map(|node| object::name(node)).collect();
    let mut refused = false;
    if !object::is_deleting(&set) {
        refused = manage(world, key, &set, &templates.update, &wanted);
        replace(world, &set, &templates.update, &wanted);
    }
    let wait = write_status(world, key, &set, &templates.update, &wanted);
    if refused { Some(pods::AGAIN) } else { wait }
}

/// The node that a pod of a DaemonSet was made for.
fn node_of(pod: &Value) -> &str {
    text(pod, NODE_POINTER)
}

const NODE_POINTER: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0";

/// One pod on each wanted node, none elsewhere; whether one was refused.
fn manage(world: &World, key: &Key, set: &Value, update: &str, wanted: &[&str]) -> bool {
    let pods = pods::controlled_by(world, set);
    let mut refused = false;
    for node in wanted {
        let own: Vec<_> = pods.iter().filter(|(_, pod)| node_of(pod) == *node).collect();
        for (pod_key, pod) in own.iter().filter(|(_, pod)| pods::is_finished(pod)) {
            pods::delete(world, set, COMPONENT, pod_key, pod);
        }
        if own.is_empty() {
            let pod = pods::from_template(key, set, &set["spec"]["template"], |pod| {
                object::child(&mut pod["metadata"], "labels")[revisions::HASH_LABEL] = json!(update);
                let fields = json!([{"key": "metadata.name", "operator": "In", "values": [node]}]);
                let terms = json!({"nodeSelectorTerms": [{"matchFields": fields}]});
                pod["spec"]["affinity"] =
                    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}});
            });
            refused |= pods::create(world, set, COMPONENT, pod).is_err();
        }
    }
    for (key, pod) in pods.iter().filter(|(_, pod)| !wanted.contains(&node_of(pod))) {
        pods::delete(world, set, COMPONENT, key, pod);
    }
    refused
}

/// Ends pods of older templates, as many at once as may be unavailable.
fn replace(world: &World, set: &Value, update: &str, wanted: &[&str]) {
    if text(set, "/spec/updateStrategy/type") == "OnDelete" {
        return;
    }
    let now = world.options.clock.now();
    let pods = pods::controlled_by(world, set);
    let available = |pod: &Value| pods::is_active(pod) && pods::until_available(set, pod, now) == Some(0);
    let is_old = |pod: &Value| !object::is_deleting(pod) && revision_of(pod) != update;
    let max = max_unavailable(set, wanted.len());
    let up = pods.iter().filter(|(_, pod)| available(pod)).count();
    let mut room = max.saturating_sub(wanted.len().saturating_sub(up));
    for (key, pod) in pods.iter().filter(|(_, pod)| is_old(pod)) {
        // A pod that is not available takes nothing away.
        if available(pod) {
            if room == 0 {
                continue;
            }
            room -= 1;
        }
        pods::delete(world, set, COMPONENT, key, pod);
    }
}

fn max_unavailable(set: &Value, wanted: usize) -> usize {
    let value = &set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"];
    let percent = value.as_str().and_then(|text| text.trim_end_matches('%').parse::<usize>().ok());
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    percent.map(|percent| (wanted * percent).div_ceil(100)).or(number).unwrap_or(1).max(1)
}

fn revision_of(pod: &Value) -> &str {
    pod["metadata"]["labels"][revisions::HASH_LABEL].as_str().unwrap_or_default()
}

fn write_status(world: &World, key: &Key, set: &Value, update: &str, wanted: &[&str]) -> Option<Duration> {
    let pods = pods::controlled_by(world, set);
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let on_wanted =
        |pod: &&Value| wanted.contains(&node_of(pod)) && !pods::is_finished(pod) && !object::is_deleting(pod);
    let placed: Vec<&Value> = pods.iter().map(|(_, pod)| &**pod).filter(on_wanted).collect();
    let astray = pods.iter().filter(|(_, pod)| !wanted.contains(&node_of(pod))).count();
    let counted = pods::readiness(set, placed.iter().copied(), world.options.clock.now());
    let desired = number(wanted.len());
    let mut status = json!({
        "currentNumberScheduled": number(placed.len()),
        "numberMisscheduled": number(astray),
        "desiredNumberScheduled": desired,
        "numberReady": counted.ready,
        "observedGeneration": int(set, "/metadata/generation").unwrap_or(0),
    });
    let updated = number(placed.iter().filter(|pod| revision_of(pod) == update).count());
    let counts = [
        ("updatedNumberScheduled", updated),
        ("numberAvailable", counted.available),
        ("numberUnavailable", desired - counted.available),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        status[name] = json!(count);
    }
    let used: Vec<&str> = placed.iter().map(|pod| revision_of(pod)).chain([update]).collect();
    revisions::clean_up(world, set, &used);
    pods::write_status(world, key, status);
    counted.wait
}
