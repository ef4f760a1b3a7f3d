//! The steps of a rollout, and the status that tells of them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::controllers::MANAGER;
use crate::controllers::deployment::{Set, conditions};
use crate::controllers::pods::age_seconds;
use crate::controllers::replica_set::FAILURE;
use crate::object::{self, condition, int, text};
use crate::store::Key;
use crate::world::World;
use crate::writes::Write;

/// A deadline that means none.
const NO_DEADLINE_SECONDS: i64 = i32::MAX as i64;

fn replicas(set: &Value) -> i64 {
    int(set, "/spec/replicas").unwrap_or(0)
}

fn available(set: &Value) -> i64 {
    int(set, "/status/availableReplicas").unwrap_or(0)
}

fn sum(sets: &[Set], of: impl Fn(&Value) -> i64) -> i64 {
    sets.iter().map(|(_, set)| of(set)).sum()
}

/// A number or a share of the replicas.
fn amount(deployment: &Value, field: &str, round_up: bool) -> i64 {
    let wanted = int(deployment, "/spec/replicas").unwrap_or(0);
    let value = &deployment["spec"]["strategy"]["rollingUpdate"][field];
    if let Some(number) = value.as_i64() {
        return number;
    }
    let percent: i64 = value.as_str().and_then(|text| text.trim_end_matches('%').parse().ok()).unwrap_or(25);
    if round_up { (wanted * percent + 99) / 100 } else { wanted * percent / 100 }
}

pub(crate) fn max_surge(deployment: &Value) -> i64 {
    if text(deployment, "/spec/strategy/type") == "Recreate" { 0 } else { amount(deployment, "maxSurge", true) }
}

/// How many may be missing; never none together with no surge, or nothing could move.
fn max_unavailable(deployment: &Value) -> i64 {
    if text(deployment, "/spec/strategy/type") == "Recreate" {
        return 0;
    }
    let missing = amount(deployment, "maxUnavailable", false);
    let missing = if missing == 0 && max_surge(deployment) == 0 { 1 } else { missing };
    missing.min(int(deployment, "/spec/replicas").unwrap_or(0))
}

/// The size with which the newest ReplicaSet starts.
pub(crate) fn first_size(deployment: &Value, others: &[Set]) -> i64 {
    let wanted = int(deployment, "/spec/replicas").unwrap_or(0);
    if text(deployment, "/spec/strategy/type") == "Recreate" {
        return if sum(others, replicas) == 0 && sum(others, |set| int(set, "/status/replicas").unwrap_or(0)) == 0 {
            wanted
        } else {
            0
        };
    }
    (wanted + max_surge(deployment) - sum(others, replicas)).clamp(0, wanted)
}

/// One step of a rolling update: the newest up as far as the surge allows, the others down as far as availability allows.
pub(crate) fn roll(world: &World, deployment: &Value, new: &Set, old: &[Set]) {
    let wanted = int(deployment, "/spec/replicas").unwrap_or(0);
    let total = replicas(&new.1) + sum(old, replicas);
    let mut new_size = replicas(&new.1);
    if new_size > wanted {
        new_size = wanted;
    } else if new_size < wanted {
        let room = wanted + max_surge(deployment) - total;
        new_size += room.clamp(0, wanted - new_size);
    }
    scale(world, deployment, new, new_size);

    let min_available = wanted - max_unavailable(deployment);
    let total = new_size + sum(old, replicas);
    let new_unavailable = new_size - available(&new.1);
    let mut room = total - min_available - new_unavailable;
    let mut sizes: Vec<i64> = old.iter().map(|(_, set)| replicas(set)).collect();
    if room <= 0 || sizes.iter().sum::<i64>() == 0 {
        return;
    }
    // Broken ones first: they help nobody.
    for (size, (_, set)) in sizes.iter_mut().zip(old) {
        let broken = (*size - available(set)).clamp(0, room);
        *size -= broken;
        room -= broken;
    }
    let mut spare = available(&new.1) + sum(old, available) - min_available;
    for (size, (_, set)) in sizes.iter_mut().zip(old) {
        let fewer = (*size).min(available(set)).min(spare).max(0);
        *size -= fewer;
        spare -= fewer;
    }
    for (set, size) in old.iter().zip(sizes) {
        scale(world, deployment, set, size);
    }
}

/// All old pods end before the first new one starts.
pub(crate) fn recreate(world: &World, deployment: &Value, new: &Set, old: &[Set]) {
    old.iter().for_each(|set| scale(world, deployment, set, 0));
    let has_pods =
        |(_, set): &Set| world.store.owned_by(object::uid(set)).iter().any(|(key, _)| key.resource().plural == "pods");
    if !old.iter().any(has_pods) {
        scale(world, deployment, new, int(deployment, "/spec/replicas").unwrap_or(0));
    }
}

/// Sets a ReplicaSet's size.
pub(crate) fn scale(world: &World, deployment: &Value, (key, set): &Set, size: i64) {
    let before = replicas(set);
    if before == size {
        return;
    }
    world.edit(key, Write::by(MANAGER, ""), |set| {
        set["spec"]["replicas"] = json!(size);
        true
    });
    tell_scaled(world, deployment, &key.name, before, size);
}

pub(crate) fn tell_scaled(world: &World, deployment: &Value, set: &str, before: i64, after: i64) {
    let way = if after > before { "up" } else { "down" };
    let message = format!("Scaled {way} replica set {set} from {before} to {after}");
    world.event(deployment, "deployment-controller", "Normal", "ScalingReplicaSet", &message);
}

/// Writes the Deployment's status; `event` tells of a ReplicaSet just created. Says when the deadline is to be looked at.
pub(crate) fn write_status(
    world: &World,
    key: &Key,
    deployment: &Value,
    sets: &[Set],
    newest: Option<&Set>,
    event: Option<String>,
) -> Option<Duration> {
    let stamp = world.options.clock.seconds();
    let count = |set: &Value, field: &str| int(set, &format!("/status/{field}")).unwrap_or(0);
    let updated = newest.map_or(0, |(_, set)| count(set, "replicas"));
    let total = sum(sets, |set| count(set, "replicas"));
    let ready = sum(sets, |set| count(set, "readyReplicas"));
    let available = sum(sets, available);
    let unavailable = (sum(sets, replicas) - available).max(0);
    let mut status = json!({"observedGeneration": int(deployment, "/metadata/generation").unwrap_or(0)});
    let counts = [
        ("replicas", total),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        ("unavailableReplicas", unavailable),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        status[name] = json!(count);
    }
    let mut conditions = conditions(deployment);
    let wanted = int(deployment, "/spec/replicas").unwrap_or(0);
    let is_available = available >= wanted - max_unavailable(deployment);
    let (state, reason, message) = if is_available {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set_condition(&mut conditions, "Available", (state, reason, message), &stamp, false);

    let before = |field: &str| int(&deployment["status"], &format!("/{field}")).unwrap_or(0);
    let progress = Progress {
        set: newest.map_or(key.name.as_str(), |(set, _)| set.name.as_str()),
        created: event,
        is_complete: updated == wanted && total == wanted && available == wanted && newest.is_some(),
        only_new: total == updated,
        has_moved: updated > before("updatedReplicas")
            || total - updated < before("replicas") - before("updatedReplicas")
            || ready > before("readyReplicas")
            || available > before("availableReplicas"),
    };
    let wait = tell_progress(world, deployment, progress, &mut conditions);
    match newest.and_then(|(_, set)| condition(set, FAILURE)) {
        Some(failure) => {
            let words = (text(failure, "/status"), text(failure, "/reason"), text(failure, "/message"));
            set_condition(&mut conditions, FAILURE, words, &stamp, false);
        }
        None => conditions.retain(|condition| condition["type"] != FAILURE),
    }
    status["conditions"] = Value::from(conditions);
    world.edit(key, Write::by(MANAGER, "status"), |current| {
        let same = current["status"] == status;
        current["status"] = status;
        !same
    });
    wait
}

/// How far a rollout has come since its status was last written.
struct Progress<'a> {
    /// The newest ReplicaSet's name.
    set: &'a str,
    /// The words about a ReplicaSet just created.
    created: Option<String>,
    is_complete: bool,
    only_new: bool,
    has_moved: bool,
}

/// Sets the condition `Progressing`; says when the deadline is to be looked at.
fn tell_progress(
    world: &World,
    deployment: &Value,
    progress: Progress<'_>,
    conditions: &mut Vec<Value>,
) -> Option<Duration> {
    let deadline = int(deployment, "/spec/progressDeadlineSeconds").unwrap_or(600);
    if deadline >= NO_DEADLINE_SECONDS {
        return None;
    }
    let was = condition(deployment, "Progressing").cloned().unwrap_or(Value::Null);
    let is_settled = was["reason"] == "NewReplicaSetAvailable" && progress.only_new && progress.created.is_none();
    let quiet = age_seconds(text(&was, "/lastUpdateTime"), world.options.clock.now());
    let timed_out = !was.is_null() && was["reason"] != "NewReplicaSetAvailable" && quiet >= deadline;
    let name = progress.set;
    let news = if deployment["spec"]["paused"] == true {
        Some(("Unknown", "DeploymentPaused", "Deployment is paused".to_owned(), false))
    } else if is_settled {
        None
    } else if progress.is_complete {
        Some(("True", "NewReplicaSetAvailable", format!("ReplicaSet {name:?} has successfully progressed."), true))
    } else if let Some(created) = progress.created {
        Some(("True", "NewReplicaSetCreated", created, true))
    } else if was.is_null() || was["status"] == "Unknown" {
        Some(("True", "FoundNewReplicaSet", format!("Found new replica set {name:?}"), true))
    } else if progress.has_moved {
        Some(("True", "ReplicaSetUpdated", format!("ReplicaSet {name:?} is progressing."), true))
    } else if timed_out {
        Some(("False", "ProgressDeadlineExceeded", format!("ReplicaSet {name:?} has timed out progressing."), false))
    } else {
        None
    };
    if let Some((state, reason, message, fresh)) = news {
        let now = world.options.clock.seconds();
        set_condition(conditions, "Progressing", (state, reason, &message), &now, fresh);
    }
    let is_over = is_settled || progress.is_complete || timed_out;
    (!is_over).then(|| Duration::from_secs(u64::try_from((deadline - quiet).max(1)).unwrap_or(1)))
}

/// Sets a condition; `fresh` renews its update time even where nothing else changed.
fn set_condition(
    conditions: &mut Vec<Value>,
    kind: &str,
    (state, reason, message): (&str, &str, &str),
    now: &str,
    fresh: bool,
) {
    let old = conditions.iter().position(|condition| condition["type"] == kind);
    let mut transition = now.to_owned();
    if let Some(old) = old {
        let old = &conditions[old];
        if old["status"] == state {
            transition = text(old, "/lastTransitionTime").to_owned();
            if old["reason"] == reason && !fresh {
                return;
            }
        }
    }
    let new = json!({
        "type": kind, "status": state, "reason": reason, "message": message,
        "lastUpdateTime": now, "lastTransitionTime": transition,
    });
    match old {
        Some(old) => conditions[old] = new,
        None => conditions.push(new),
    }
}
