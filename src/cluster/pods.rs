//! Pods as facts: ready or not, and what is wrong with them in their own words.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::core::observed::{PodState, Trouble};
use crate::core::text::OneLine;

/// Reasons of a waiting container that no waiting mends: the image cannot be had, or the name is none.
const HOPELESS: [&str; 3] = ["ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];
/// Reasons of a waiting container that may mend themselves.
const TROUBLED: [&str; 5] =
    ["ErrImagePull", "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"];
/// A container that crashed that often will crash again: one restart may be a race at the start.
const HOPELESS_RESTARTS: i32 = 2;

/// Whether a pod is on its way out.
pub(super) fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether a pod's Ready condition is true and it is not on its way out.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    !is_terminating(pod) && conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The facts of one pod.
pub(super) fn state(pod: &Pod) -> PodState {
    let statuses = containers(pod);
    let ready = is_ready(pod);
    PodState {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        ready,
        restarts: statuses.iter().map(|status| u32::try_from(status.restart_count).unwrap_or(0)).sum(),
        trouble: statuses
            .iter()
            .find_map(|status| container_trouble(status))
            .or_else(|| if ready { None } else { pod_trouble(pod) }),
    }
}

fn containers(pod: &Pod) -> Vec<&ContainerStatus> {
    let Some(status) = &pod.status else { return Vec::new() };
    let init = status.init_container_statuses.as_deref().unwrap_or_default();
    let main = status.container_statuses.as_deref().unwrap_or_default();
    init.iter().chain(main).collect()
}

fn container_trouble(status: &ContainerStatus) -> Option<Trouble> {
    let state = status.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let known = HOPELESS.contains(&reason) || TROUBLED.contains(&reason);
        if !known {
            return None;
        }
        let crash_loop = reason == "CrashLoopBackOff" && status.restart_count >= HOPELESS_RESTARTS;
        let words = last_words(status).or_else(|| waiting.message.clone()).unwrap_or_default();
        return Some(Trouble {
            reason: reason.to_owned(),
            words: OneLine::new(&words),
            hopeless: HOPELESS.contains(&reason) || crash_loop,
        });
    }
    let terminated = state.terminated.as_ref().filter(|terminated| terminated.exit_code != 0)?;
    let words = terminated.message.clone().unwrap_or_else(|| format!("exit code {}", terminated.exit_code));
    Some(Trouble {
        reason: terminated.reason.clone().unwrap_or_else(|| "Error".into()),
        words: OneLine::new(&words),
        hopeless: false,
    })
}

/// What a container that crashed said last, with its exit code.
fn last_words(status: &ContainerStatus) -> Option<String> {
    let terminated = status.last_state.as_ref()?.terminated.as_ref()?;
    let message = terminated.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    Some(format!("exit code {}{message}", terminated.exit_code))
}

/// A pod as a whole: evicted, unschedulable, or running and not ready.
fn pod_trouble(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let failed = conditions.iter().find(|condition| {
        condition.status == "False" && matches!(condition.type_.as_str(), "PodScheduled" | "ContainersReady" | "Ready")
    });
    let words = status.message.clone().or_else(|| failed.and_then(|condition| condition.message.clone()))?;
    let reason = status.reason.clone().or_else(|| failed.and_then(|condition| condition.reason.clone()));
    Some(Trouble { reason: reason.unwrap_or_else(|| "NotReady".into()), words: OneLine::new(&words), hopeless: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn trouble(status: Value) -> Option<(String, bool)> {
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "status": status})).expect("a pod");
        state(&pod).trouble.map(|trouble| (format!("{}: {}", trouble.reason, trouble.words), trouble.hopeless))
    }

    fn container(state: Value, last: Value, restarts: i32) -> Value {
        json!({"containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": restarts, "state": state, "lastState": last}]})
    }

    #[test]
    fn pods_say_what_is_wrong() {
        let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": "words"}});
        let died = json!({"terminated": {"exitCode": 3, "message": "no config"}});
        for (status, expect) in [
            (container(waiting("ContainerCreating"), json!({}), 0), None),
            (container(waiting("ErrImagePull"), json!({}), 0), Some(("ErrImagePull: words", false))),
            (container(waiting("ImagePullBackOff"), json!({}), 0), Some(("ImagePullBackOff: words", true))),
            (
                container(waiting("CrashLoopBackOff"), died.clone(), 1),
                Some(("CrashLoopBackOff: exit code 3: no config", false)),
            ),
            (
                container(waiting("CrashLoopBackOff"), died.clone(), 2),
                Some(("CrashLoopBackOff: exit code 3: no config", true)),
            ),
            (container(died, json!({}), 0), Some(("Error: no config", false))),
            (
                json!({"conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "probe"}]}),
                Some(("ContainersNotReady: probe", false)),
            ),
            (json!({"conditions": [{"type": "Ready", "status": "True"}]}), None),
        ] {
            assert_eq!(
                trouble(status.clone()),
                expect.map(|(words, hopeless)| (words.to_owned(), hopeless)),
                "{status}"
            );
        }
    }
}
