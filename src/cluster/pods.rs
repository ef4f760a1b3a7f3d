//! Pods as facts: ready or not, and what is wrong with them in their own words.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use serde_json::Value;

use crate::core::observed::{PodState, Trouble, after};
use crate::core::text::OneLine;
use crate::core::trouble::TroubleReason;

/// The labels by which Deployments, and StatefulSets and DaemonSets, tell the pods of their templates apart.
const TEMPLATE_HASHES: [&str; 2] = ["pod-template-hash", "controller-revision-hash"];
/// A container that crashed that often will crash again: one restart may be a race at the start.
const HOPELESS_RESTARTS: i32 = 2;
/// The kubelet tries a pull again after 10 s: a pod without its image after that time was refused at least twice, and one
/// hiccup of a registry rejects nothing. A pod does not say how often it was tried, so a first pull that takes longer
/// than this to fail counts as repeated.
const PULL_REPEATED_AFTER: Duration = Duration::from_secs(15);
/// A Secret or ConfigMap that another controller makes for the candidate is there within that time.
const CONFIG_MISSING_MAX: Duration = Duration::from_secs(30);
/// Pods that stop still count against a quota: twice the grace period that they have by default.
const REFUSED_MAX: Duration = Duration::from_secs(60);

/// Whether a pod is on its way out.
pub(super) fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether a pod's Ready condition is true and it is not on its way out.
pub(super) fn is_ready(pod: &Pod) -> bool {
    !is_terminating(pod) && ready_condition(pod).is_some_and(|condition| condition.status == "True")
}

fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == "Ready")
}

/// The facts of a workload's pods. What is wrong with pods of an older template is on its way out with them, and says
/// nothing about the new one: `current` says whether the status speaks of the newest spec.
pub(super) fn states<'a>(pods: impl Iterator<Item = &'a Pod> + Clone, current: bool) -> Vec<PodState> {
    let template = |pod: &'a Pod| {
        let labels = pod.metadata.labels.as_ref()?;
        TEMPLATE_HASHES.iter().find_map(|label| labels.get(*label))
    };
    let newest = pods.clone().max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let newest = newest.and_then(template);
    pods.map(|pod| {
        let state = state(pod);
        if current && template(pod) == newest { state } else { PodState { trouble: None, ..state } }
    })
    .collect()
}

/// The facts of one pod.
pub(super) fn state(pod: &Pod) -> PodState {
    let statuses = containers(pod);
    let ready = is_ready(pod);
    let status = pod.status.as_ref();
    let started = status.and_then(|status| status.start_time.as_ref()).or(pod.metadata.creation_timestamp.as_ref());
    let started = started.map(|time| time.0);
    let changed = ready_condition(pod).and_then(|condition| condition.last_transition_time.as_ref());
    PodState {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        ready,
        ready_since: changed.filter(|_| ready).map(|time| time.0),
        restarts: statuses.iter().map(|status| u32::try_from(status.restart_count).unwrap_or(0)).sum(),
        trouble: statuses
            .iter()
            .find_map(|status| container_trouble(status, started))
            .or_else(|| if ready { None } else { pod_trouble(pod) }),
    }
}

/// Why a Deployment has fewer pods than it asks for: what the API server said to its controller.
pub(super) fn refused(deployment: &Value) -> Option<Trouble> {
    let mut conditions = deployment.pointer("/status/conditions")?.as_array()?.iter();
    let refused = conditions.find(|one| one["type"] == "ReplicaFailure" && one["status"] == "True")?;
    let text = |field: &str| refused.get(field).and_then(Value::as_str);
    let at: Option<Timestamp> = text("lastTransitionTime").and_then(|time| time.parse().ok());
    Some(Trouble {
        reason: TroubleReason::of(text("reason").unwrap_or("FailedCreate")),
        words: OneLine::new(text("message").unwrap_or_default()),
        hopeless_from: at.map(|at| after(at, REFUSED_MAX)),
    })
}

fn containers(pod: &Pod) -> Vec<&ContainerStatus> {
    let Some(status) = &pod.status else { return Vec::new() };
    let init = status.init_container_statuses.as_deref().unwrap_or_default();
    let main = status.container_statuses.as_deref().unwrap_or_default();
    init.iter().chain(main).collect()
}

fn container_trouble(status: &ContainerStatus, started: Option<Timestamp>) -> Option<Trouble> {
    let state = status.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = TroubleReason::of(waiting.reason.as_deref().unwrap_or_default());
        let patience = |span: Duration| started.map(|started| after(started, span));
        let hopeless_from = match &reason {
            TroubleReason::InvalidImageName | TroubleReason::ImageNeverPull => Some(Timestamp::MIN),
            TroubleReason::ImagePull | TroubleReason::ImagePullBackOff => patience(PULL_REPEATED_AFTER),
            TroubleReason::CreateContainerConfig => patience(CONFIG_MISSING_MAX),
            TroubleReason::CrashLoop if status.restart_count >= HOPELESS_RESTARTS => Some(Timestamp::MIN),
            TroubleReason::CrashLoop | TroubleReason::CreateContainer | TroubleReason::RunContainer => None,
            // `ContainerCreating` and `PodInitializing` are no trouble.
            TroubleReason::Unschedulable
            | TroubleReason::FailedCreate
            | TroubleReason::RolloutNotOver
            | TroubleReason::Other(_) => return None,
        };
        let words = last_words(status).or_else(|| waiting.message.clone()).unwrap_or_default();
        return Some(Trouble { reason, words: OneLine::new(&words), hopeless_from });
    }
    let terminated = state.terminated.as_ref().filter(|terminated| terminated.exit_code != 0)?;
    let words = terminated.message.clone().unwrap_or_else(|| format!("exit code {}", terminated.exit_code));
    Some(Trouble {
        reason: TroubleReason::of(terminated.reason.as_deref().unwrap_or("Error")),
        words: OneLine::new(&words),
        hopeless_from: None,
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
    Some(Trouble {
        reason: TroubleReason::of(reason.as_deref().unwrap_or("NotReady")),
        words: OneLine::new(&words),
        hopeless_from: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A pod's trouble, and from which second of its life on it is hopeless.
    fn trouble(mut status: Value) -> Option<(String, Option<i64>)> {
        status["startTime"] = json!("1970-01-01T00:00:00Z");
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "status": status})).expect("a pod");
        let second = |at: Timestamp| at.as_second().max(0);
        state(&pod)
            .trouble
            .map(|trouble| (format!("{}: {}", trouble.reason, trouble.words), trouble.hopeless_from.map(second)))
    }

    fn container(state: Value, last: Value, restarts: i32) -> Value {
        json!({"containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": restarts, "state": state, "lastState": last}]})
    }

    #[test]
    fn a_pod_on_its_way_out_is_not_ready() {
        let pod = |meta: Value| -> Pod {
            let status = json!({"conditions": [{"type": "Ready", "status": "True"}]});
            serde_json::from_value(json!({"metadata": meta, "status": status})).expect("a pod")
        };
        assert!(is_ready(&pod(json!({"name": "p"}))));
        assert!(!is_ready(&pod(json!({"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}))));
    }

    #[test]
    fn pods_say_what_is_wrong_and_from_when_on_waiting_cannot_mend_it() {
        let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": "words"}});
        let died = json!({"terminated": {"exitCode": 3, "message": "no config"}});
        let oom = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        for (status, expect) in [
            (container(waiting("ContainerCreating"), json!({}), 0), None),
            (container(waiting("PodInitializing"), json!({}), 0), None),
            (container(waiting("InvalidImageName"), json!({}), 0), Some(("InvalidImageName: words", Some(0)))),
            (container(waiting("ErrImageNeverPull"), json!({}), 0), Some(("ErrImageNeverPull: words", Some(0)))),
            (container(waiting("ErrImagePull"), json!({}), 0), Some(("ErrImagePull: words", Some(15)))),
            (container(waiting("ImagePullBackOff"), json!({}), 0), Some(("ImagePullBackOff: words", Some(15)))),
            (
                container(waiting("CreateContainerConfigError"), json!({}), 0),
                Some(("CreateContainerConfigError: words", Some(30))),
            ),
            (container(waiting("CreateContainerError"), json!({}), 0), Some(("CreateContainerError: words", None))),
            (container(waiting("RunContainerError"), json!({}), 0), Some(("RunContainerError: words", None))),
            (
                container(waiting("CrashLoopBackOff"), died.clone(), 1),
                Some(("CrashLoopBackOff: exit code 3: no config", None)),
            ),
            (
                container(waiting("CrashLoopBackOff"), died.clone(), 2),
                Some(("CrashLoopBackOff: exit code 3: no config", Some(0))),
            ),
            (container(died, json!({}), 0), Some(("Error: no config", None))),
            (container(oom, json!({}), 0), Some(("OOMKilled: exit code 137", None))),
            (
                json!({"conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "probe"}]}),
                Some(("ContainersNotReady: probe", None)),
            ),
            (
                json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}),
                Some(("Unschedulable: 0/3 nodes", None)),
            ),
            (
                json!({"reason": "Evicted", "message": "the node was low on memory"}),
                Some(("Evicted: the node was low on memory", None)),
            ),
            (json!({"conditions": [{"type": "Ready", "status": "True"}]}), None),
        ] {
            assert_eq!(trouble(status.clone()), expect.map(|(words, from)| (words.to_owned(), from)), "{status}");
        }
    }

    #[test]
    fn what_is_wrong_with_pods_of_an_older_template_does_not_count() {
        let pod = |hash: &str, second: u8| -> Pod {
            let waiting = json!({"waiting": {"reason": "InvalidImageName", "message": "no"}});
            let status = container(waiting, json!({}), 0);
            let created = format!("1970-01-01T00:00:0{second}Z");
            serde_json::from_value(json!({
                "metadata": {"name": hash, "uid": hash, "creationTimestamp": created, "labels": {"pod-template-hash": hash}},
                "status": status,
            }))
            .expect("a pod")
        };
        let (old, new) = (pod("old", 1), pod("new", 2));
        let troubled = |pods: &[&Pod], current| -> Vec<String> {
            let states = states(pods.iter().copied(), current);
            states.into_iter().filter(|pod| pod.trouble.is_some()).map(|pod| pod.name).collect()
        };
        assert_eq!(troubled(&[&old, &new], true), ["new"]);
        assert_eq!(troubled(&[&old], true), ["old"]);
        assert_eq!(troubled(&[&old], false), Vec::<String>::new(), "the controller has not seen the new template yet");
    }

    #[test]
    fn a_pod_tells_since_when_it_is_ready() {
        let pod = |status: &str| -> PodState {
            let condition = json!({"type": "Ready", "status": status, "lastTransitionTime": "1970-01-01T00:01:00Z"});
            let pod = json!({"metadata": {"name": "p", "uid": "u"}, "status": {"conditions": [condition]}});
            state(&serde_json::from_value(pod).expect("a pod"))
        };
        assert_eq!(pod("True").ready_since.map(Timestamp::as_second), Some(60));
        assert_eq!(pod("False").ready_since, None);
    }

    #[test]
    fn a_deployment_whose_pods_are_refused_says_so() {
        let refused_at = |conditions: Value| {
            let deployment = json!({"metadata": {"name": "d"}, "status": {"conditions": conditions}});
            refused(&deployment)
        };
        let words =
            "pods \"shop-7f\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4";
        let condition = |status: &str| json!({"type": "ReplicaFailure", "status": status, "reason": "FailedCreate", "message": words, "lastTransitionTime": "1970-01-01T00:00:10Z"});
        let trouble =
            refused_at(json!([{"type": "Available", "status": "False"}, condition("True")])).expect("refused");
        assert_eq!(trouble.reason, TroubleReason::FailedCreate);
        assert_eq!(trouble.words.as_str(), words);
        assert_eq!(trouble.hopeless_from.map(Timestamp::as_second), Some(70));
        assert_eq!(refused_at(json!([condition("False")])), None);
        assert_eq!(refused_at(json!([])), None);
    }
}
