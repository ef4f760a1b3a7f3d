//! The status of a pod from the states of its containers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::kubelet::container::{ContainerState, Run};
use crate::object::{self, list, text};

/// The status as a kubelet writes it.
pub(crate) fn of(pod: &Value, states: &BTreeMap<String, ContainerState>, address: &str, now: &str) -> Value {
    let statuses: Vec<_> = list(pod, "/spec/containers").iter().map(|spec| container(spec, states)).collect();
    let all_ready = states.values().all(|state| state.ready);
    let phase = phase(pod, states);
    let unready: Vec<_> = states.iter().filter(|(_, state)| !state.ready).map(|(name, _)| name.as_str()).collect();
    let not_ready = format!("containers with unready status: [{}]", unready.join(" "));
    let condition = |kind: &str, holds: bool| {
        let mut condition = json!({
            "type": kind,
            "status": if holds { "True" } else { "False" },
            "lastProbeTime": null,
            "lastTransitionTime": now,
        });
        if !holds {
            condition["reason"] = json!("ContainersNotReady");
            condition["message"] = json!(not_ready);
        }
        condition
    };
    let mut status = json!({
        "phase": phase,
        "conditions": [
            condition("PodReadyToStartContainers", true),
            condition("Initialized", true),
            condition("Ready", all_ready),
            condition("ContainersReady", all_ready),
            condition("PodScheduled", true),
        ],
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "startTime": now,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "qosClass": "BestEffort",
        "containerStatuses": statuses,
    });
    let inits: Vec<_> = list(pod, "/spec/initContainers").iter().map(|spec| init_container(spec, now)).collect();
    if !inits.is_empty() {
        status["initContainerStatuses"] = json!(inits);
    }
    status
}

/// Conditions and start times that did not change keep the time of their last change.
pub(crate) fn keep_transition_times(old: &Value, new: &mut Value, now: &str) {
    if let Some(start) = old.get("startTime").filter(|start| start.is_string()) {
        new["startTime"] = start.clone();
    } else {
        new["startTime"] = json!(now);
    }
    for condition in object::items_mut(new, "conditions") {
        let same = list(old, "/conditions")
            .iter()
            .find(|other| other["type"] == condition["type"] && other["status"] == condition["status"]);
        if let Some(same) = same {
            condition["lastTransitionTime"] = same["lastTransitionTime"].clone();
        }
    }
    if let Some(inits) = old.get("initContainerStatuses") {
        new["initContainerStatuses"] = inits.clone();
    }
}

fn phase(pod: &Value, states: &BTreeMap<String, ContainerState>) -> &'static str {
    let restarts = text(pod, "/spec/restartPolicy") == "Always";
    let ended = |state: &ContainerState| match &state.run {
        Run::Terminated { code, .. } => Some(*code),
        Run::Waiting { .. } | Run::Running { .. } => None,
    };
    if !states.is_empty() && !restarts && states.values().all(|state| ended(state).is_some()) {
        let failed = states.values().any(|state| ended(state) != Some(0));
        return if failed { "Failed" } else { "Succeeded" };
    }
    let ran = |state: &ContainerState| {
        !matches!(state.run, Run::Waiting { .. }) || state.restarts > 0 || state.last.is_some()
    };
    if !states.is_empty() && states.values().all(ran) { "Running" } else { "Pending" }
}

fn container(spec: &Value, states: &BTreeMap<String, ContainerState>) -> Value {
    let name = text(spec, "/name");
    let fresh = ContainerState::default();
    let state = states.get(name).unwrap_or(&fresh);
    let ran = !matches!(state.run, Run::Waiting { .. }) || state.restarts > 0;
    let image_id = if ran { format!("sandbox/{}", text(spec, "/image")) } else { String::new() };
    let mut status = json!({
        "name": name,
        "image": spec["image"],
        "imageID": image_id,
        "ready": state.ready,
        "started": state.started,
        "restartCount": state.restarts,
        "state": run(&state.run),
        "lastState": state.last.as_ref().map_or_else(|| json!({}), run),
    });
    if ran {
        status["containerID"] = json!(format!("sandbox://{}", state.id));
    }
    status
}

fn run(run: &Run) -> Value {
    match run {
        Run::Waiting { reason, message } if message.is_empty() => json!({"waiting": {"reason": reason}}),
        Run::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
        Run::Running { since } => json!({"running": {"startedAt": since}}),
        Run::Terminated { code, reason, message, since, at } => {
            let mut terminated = json!({"exitCode": code, "reason": reason, "startedAt": since, "finishedAt": at});
            if !message.is_empty() {
                terminated["message"] = json!(message);
            }
            json!({"terminated": terminated})
        }
    }
}

/// Init containers are taken as done: their images do not run here.
fn init_container(spec: &Value, now: &str) -> Value {
    json!({
        "name": spec["name"],
        "image": spec["image"],
        "imageID": format!("sandbox/{}", text(spec, "/image")),
        "ready": true,
        "started": false,
        "restartCount": 0,
        "state": {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}},
        "lastState": {},
    })
}
