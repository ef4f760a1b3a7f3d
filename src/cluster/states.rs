//! Colours and workloads as facts: from what the API server has to what the planner asks.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use serde_json::Value;

use super::annotations as name;
use super::snapshot::{Labelled, Workload, label, matches};
use super::{pods, record};
use crate::core::colour::Colour;
use crate::core::digest;
use crate::core::ids::CommitId;
use crate::core::observed::{AutoscalerState, ColourState, Record, Trouble, WorkloadState};
use crate::core::text::OneLine;
use crate::core::trouble::TroubleReason;
use crate::core::workload::WorkloadKind;

/// One colour.
pub(super) fn colour(colour: Colour, workloads: &[Workload], pods: &[Pod], labelled: &[Labelled]) -> ColourState {
    let is_own = |workload: &&Workload| label(&workload.object.metadata, name::COLOUR) == Some(colour.as_str());
    let own: Vec<&Workload> = workloads.iter().filter(is_own).collect();
    let records: Vec<Option<Record>> = own
        .iter()
        .map(|workload| {
            let in_use = annotation(workload, name::IN_USE) == Some(&template_digest(workload.kind, &workload.object));
            workload.object.metadata.annotations.as_ref().and_then(|all| record::from_annotations(all, in_use))
        })
        .collect();
    let agreed = record::agreed(records.iter().cloned());
    let of_colour = || labelled.iter().filter(|one| one.colour == Some(colour));
    ColourState {
        torn: if agreed.is_none() { record::revisions(records.into_iter().flatten()) } else { BTreeSet::new() },
        record: agreed,
        workloads: own.iter().map(|workload| workload_state(workload, pods)).collect(),
        autoscalers: of_colour().filter(|one| one.key.is_autoscaler()).map(autoscaler).collect(),
        present: of_colour().map(|one| one.key.clone()).collect(),
        inventory: own
            .iter()
            .flat_map(|one| one.object.metadata.annotations.iter().flat_map(record::inventory))
            .collect(),
    }
}

fn autoscaler(one: &Labelled) -> AutoscalerState {
    AutoscalerState {
        key: one.key.clone(),
        resource_version: one.meta.resource_version.clone().unwrap_or_default(),
        applied: one.meta.annotations.as_ref().and_then(|all| all.get(name::BOUNDS)?.parse().ok()),
    }
}

fn annotation<'a>(workload: &'a Workload, key: &str) -> Option<&'a String> {
    workload.object.metadata.annotations.as_ref()?.get(key)
}

/// The digest of a workload's pod template as the API server has it: who edits it later is found out. What holds a DaemonSet
/// down is no edit.
pub(super) fn template_digest(kind: WorkloadKind, object: &DynamicObject) -> String {
    let mut template = object.data.pointer(kind.template()).cloned().unwrap_or_default();
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut)
        && let Some(selector) = spec.get_mut("nodeSelector").and_then(Value::as_object_mut)
    {
        selector.remove(name::PARKED);
        if selector.is_empty() {
            spec.remove("nodeSelector");
        }
    }
    digest::of_json(&template).to_string()
}

/// The labels that a workload's selector asks for.
pub(super) fn match_labels(workload: &Workload) -> BTreeMap<String, String> {
    texts(workload.object.data.pointer("/spec/selector/matchLabels"))
}

/// Whether the pods of a workload have a label.
pub(super) fn makes_pods_with(workload: &Workload, key: &str) -> bool {
    let template = workload.kind.template();
    texts(workload.object.data.pointer(&format!("{template}/metadata/labels"))).contains_key(key)
}

fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    let map = map.and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn workload_state(workload: &Workload, all: &[Pod]) -> WorkloadState {
    let (data, meta) = (&workload.object.data, &workload.object.metadata);
    let selector = match_labels(workload);
    let own = all.iter().filter(|pod| matches(&selector, &pod.metadata) && !pods::is_terminating(pod));
    let status = Status { data, generation: meta.generation };
    let current = status.is_fresh() || !workload.kind.serves();
    let mut pods = pods::states(own, current);
    let size = match workload.kind {
        WorkloadKind::Deployment | WorkloadKind::StatefulSet => status.counted(workload.kind),
        WorkloadKind::DaemonSet => status.of_daemon_set(),
        WorkloadKind::Job => {
            // A Job's own limit says when its crashes are enough.
            for trouble in pods.iter_mut().filter_map(|pod| pod.trouble.as_mut()) {
                if trouble.reason == TroubleReason::CrashLoop {
                    trouble.hopeless_from = None;
                }
            }
            status.of_job()
        }
        WorkloadKind::CronJob => Extent { replicas: u32::from(!status.is_suspended()), ready: 0, rolled_out: true },
    };
    WorkloadState {
        key: workload.key.clone(),
        resource_version: meta.resource_version.clone().unwrap_or_default(),
        revision: annotation(workload, name::REVISION).map(CommitId::new),
        replicas: size.replicas,
        parked: is_parked(workload),
        applied_replicas: annotation(workload, name::REPLICAS).and_then(|text| text.parse().ok()),
        rolled_out: size.rolled_out,
        trouble: status.trouble(workload.kind, &pods).filter(|_| current).or_else(|| status.lags(workload.kind, &size)),
        ready: size.ready,
        pods,
    }
}

/// Whether turquoise holds a workload down that has no count.
fn is_parked(workload: &Workload) -> bool {
    match workload.kind {
        WorkloadKind::Deployment | WorkloadKind::StatefulSet => false,
        WorkloadKind::DaemonSet => {
            texts(workload.object.data.pointer("/spec/template/spec/nodeSelector")).contains_key(name::PARKED)
        }
        WorkloadKind::Job | WorkloadKind::CronJob => {
            let held = annotation(workload, name::PARKED).is_some();
            held && workload.object.data.pointer("/spec/suspend") == Some(&Value::Bool(true))
        }
    }
}

/// How large a workload is, and how far it has come.
#[derive(Debug, PartialEq, Eq)]
struct Extent {
    replicas: u32,
    ready: u32,
    rolled_out: bool,
}

/// A workload's status, read kind by kind.
struct Status<'a> {
    data: &'a Value,
    generation: Option<i64>,
}

impl Status<'_> {
    fn number(&self, pointer: &str) -> u32 {
        let number = self.data.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.data.pointer(pointer).and_then(Value::as_str)
    }

    /// Whether the status speaks of the newest spec.
    fn is_fresh(&self) -> bool {
        self.data.pointer("/status/observedGeneration").and_then(Value::as_i64) == self.generation
    }

    fn counted(&self, kind: WorkloadKind) -> Extent {
        let replicas = self.number("/spec/replicas");
        let counts = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"];
        let all = counts.iter().all(|field| self.number(&format!("/status/{field}")) == replicas);
        // A StatefulSet says by its revisions, too, that its update is over.
        let over = kind == WorkloadKind::Deployment
            || self.text("/status/currentRevision") == self.text("/status/updateRevision");
        Extent { replicas, ready: self.number("/status/readyReplicas"), rolled_out: self.is_fresh() && all && over }
    }

    fn of_daemon_set(&self) -> Extent {
        let selector = texts(self.data.pointer("/spec/template/spec/nodeSelector"));
        let wanted = self.number("/status/desiredNumberScheduled");
        let ready = self.number("/status/numberReady");
        let counts = ["updatedNumberScheduled", "numberReady", "numberAvailable", "currentNumberScheduled"];
        let all = counts.iter().all(|field| self.number(&format!("/status/{field}")) == wanted);
        let replicas = if selector.contains_key(name::PARKED) { 0 } else { wanted.max(1) };
        Extent { replicas, ready, rolled_out: self.is_fresh() && all }
    }

    fn is_suspended(&self) -> bool {
        self.data.pointer("/spec/suspend") == Some(&Value::Bool(true))
    }

    fn condition(&self, kind: &str) -> Option<&Value> {
        let conditions = self.data.pointer("/status/conditions").and_then(Value::as_array);
        conditions.into_iter().flatten().find(|one| one["type"] == kind && one["status"] == "True")
    }

    fn of_job(&self) -> Extent {
        let complete = self.condition("Complete").is_some();
        let over = complete || self.condition("Failed").is_some();
        Extent { replicas: u32::from(!over && !self.is_suspended()), ready: 0, rolled_out: complete }
    }

    /// What is missing where all pods are ready and the workload is not: its controller has not come so far.
    fn lags(&self, kind: WorkloadKind, size: &Extent) -> Option<Trouble> {
        if size.rolled_out || size.replicas == 0 || size.ready != size.replicas {
            return None;
        }
        let counts: &[(&str, &str)] = match kind {
            WorkloadKind::Deployment | WorkloadKind::StatefulSet => {
                &[("replicas", "there"), ("updatedReplicas", "updated"), ("availableReplicas", "available")]
            }
            WorkloadKind::DaemonSet => &[
                ("currentNumberScheduled", "scheduled"),
                ("updatedNumberScheduled", "updated"),
                ("numberAvailable", "available"),
            ],
            WorkloadKind::Job | WorkloadKind::CronJob => &[],
        };
        let behind = counts.iter().find_map(|(field, word)| {
            let number = self.number(&format!("/status/{field}"));
            (number != size.replicas).then(|| format!("{number} of {} pods {word}", size.replicas))
        });
        let words = if self.is_fresh() {
            behind.unwrap_or_else(|| "its update is not over".to_owned())
        } else {
            "its controller has not seen the last change of it yet".to_owned()
        };
        Some(Trouble { reason: TroubleReason::RolloutNotOver, words: OneLine::new(&words), hopeless_from: None })
    }

    /// What a workload says is wrong with itself; of a failed Job with its pod's last words.
    fn trouble(&self, kind: WorkloadKind, pods: &[crate::core::observed::PodState]) -> Option<Trouble> {
        let condition = match kind {
            WorkloadKind::Deployment => return pods::refused(self.data),
            WorkloadKind::Job => self.condition("Failed")?,
            WorkloadKind::StatefulSet | WorkloadKind::DaemonSet | WorkloadKind::CronJob => return None,
        };
        let text = |field: &str| condition.get(field).and_then(Value::as_str).unwrap_or_default();
        let last = pods.iter().rev().find_map(|pod| pod.trouble.as_ref());
        let words =
            last.map_or_else(|| text("message").to_owned(), |last| format!("{}: {}", text("message"), last.words));
        Some(Trouble {
            reason: TroubleReason::of(text("reason")),
            words: OneLine::new(&words),
            hopeless_from: Some(Timestamp::MIN),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(kind: WorkloadKind, object: Value) -> WorkloadState {
        let mut object = object;
        object["metadata"]["name"] = json!("a");
        object["metadata"]["generation"] = json!(2);
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        let (api_version, kind_name) = kind.gvk();
        let key = crate::core::ids::ObjectKey {
            api_version: api_version.into(),
            kind: kind_name.into(),
            namespace: None,
            name: "a".into(),
        };
        workload_state(&Workload { key, kind, object }, &[])
    }

    #[test]
    fn sizes_and_readiness_by_kind() {
        let counts = |n: u32| json!({"observedGeneration": 2, "replicas": n, "updatedReplicas": n, "readyReplicas": n, "availableReplicas": n});
        let revisions = |n: u32, current: &str| {
            let mut status = counts(n);
            status["currentRevision"] = json!(current);
            status["updateRevision"] = json!("new");
            status
        };
        let agents = |wanted: u32, ready: u32| json!({"observedGeneration": 2, "desiredNumberScheduled": wanted, "currentNumberScheduled": wanted, "updatedNumberScheduled": wanted, "numberReady": ready, "numberAvailable": ready});
        let of_before = |mut status: Value| {
            status["observedGeneration"] = json!(1);
            status
        };
        let parked = json!({"template": {"spec": {"nodeSelector": {"turquoise.dev/parked": "true"}}}});
        let held = json!({"annotations": {"turquoise.dev/parked": "true"}});
        let holds =
            |kind: &str| json!({"conditions": [{"type": kind, "status": "True", "reason": "R", "message": "m"}]});
        use WorkloadKind as K;
        for (kind, object, expect) in [
            (K::Deployment, json!({"spec": {"replicas": 2}, "status": counts(2)}), (2, 2, true, false)),
            (K::Deployment, json!({"spec": {"replicas": 3}, "status": counts(2)}), (3, 2, false, false)),
            // A status that speaks of an older spec says nothing, whatever it counts.
            (K::Deployment, json!({"spec": {"replicas": 2}, "status": of_before(counts(2))}), (2, 2, false, false)),
            (
                K::StatefulSet,
                json!({"spec": {"replicas": 2}, "status": of_before(revisions(2, "new"))}),
                (2, 2, false, false),
            ),
            (K::DaemonSet, json!({"spec": {}, "status": of_before(agents(3, 3))}), (3, 3, false, false)),
            (K::StatefulSet, json!({"spec": {"replicas": 2}, "status": revisions(2, "new")}), (2, 2, true, false)),
            (K::StatefulSet, json!({"spec": {"replicas": 2}, "status": revisions(2, "old")}), (2, 2, false, false)),
            (K::StatefulSet, json!({"spec": {"replicas": 0}, "status": revisions(0, "new")}), (0, 0, true, false)),
            (K::DaemonSet, json!({"spec": {}, "status": agents(3, 3)}), (3, 3, true, false)),
            (K::DaemonSet, json!({"spec": {}, "status": agents(3, 2)}), (3, 2, false, false)),
            (K::DaemonSet, json!({"spec": {}, "status": agents(0, 0)}), (1, 0, true, false)),
            (K::DaemonSet, json!({"spec": parked, "status": agents(0, 0)}), (0, 0, true, true)),
            (K::Job, json!({"spec": {}, "status": {"active": 1}}), (1, 0, false, false)),
            (K::Job, json!({"spec": {}, "status": holds("Complete")}), (0, 0, true, false)),
            (K::Job, json!({"spec": {}, "status": holds("Failed")}), (0, 0, false, false)),
            (K::Job, json!({"metadata": held, "spec": {"suspend": true}}), (0, 0, false, true)),
            (K::CronJob, json!({"spec": {"suspend": false}}), (1, 0, true, false)),
            (K::CronJob, json!({"spec": {"suspend": true}}), (0, 0, true, false)),
            (K::CronJob, json!({"metadata": held, "spec": {"suspend": true}}), (0, 0, true, true)),
        ] {
            let state = state(kind, object.clone());
            assert_eq!((state.replicas, state.ready, state.rolled_out, state.parked), expect, "{kind:?} {object}");
        }
        let failed = state(K::Job, json!({"spec": {}, "status": holds("Failed")})).trouble.expect("words");
        assert_eq!(
            (failed.reason.as_str(), failed.words.as_str(), failed.hopeless_from),
            ("R", "m", Some(Timestamp::MIN))
        );
        let mut refusal = holds("ReplicaFailure");
        refusal["observedGeneration"] = json!(2);
        let mut late = counts(2);
        late["availableReplicas"].take();
        for (status, words) in [
            (late, Some("0 of 2 pods available")),
            (
                json!({"observedGeneration": 1, "readyReplicas": 2}),
                Some("its controller has not seen the last change of it yet"),
            ),
            (counts(1), None),
            (counts(2), None),
        ] {
            let trouble = state(K::Deployment, json!({"spec": {"replicas": 2}, "status": status})).trouble;
            assert_eq!(trouble.as_ref().map(|trouble| trouble.words.as_str()), words, "{trouble:?}");
        }
        let refused = state(K::Deployment, json!({"spec": {}, "status": refusal})).trouble.expect("words");
        assert_eq!(refused.hopeless_from, None, "without a time there is no end to it");
    }

    #[test]
    fn what_holds_a_daemon_set_down_is_no_edit_of_its_template() {
        let digest = |selector: Value| {
            let template = json!({"spec": {"nodeSelector": selector, "containers": []}});
            let object = json!({"metadata": {"name": "a"}, "spec": {"template": template}});
            let mut object: DynamicObject = serde_json::from_value(object).expect("an object");
            if object.data["spec"]["template"]["spec"]["nodeSelector"].is_null() {
                object.data["spec"]["template"]["spec"].as_object_mut().expect("a map").remove("nodeSelector");
            }
            template_digest(WorkloadKind::DaemonSet, &object)
        };
        assert_eq!(digest(json!({"turquoise.dev/parked": "true"})), digest(Value::Null));
        assert_eq!(digest(json!({"disk": "ssd", "turquoise.dev/parked": "true"})), digest(json!({"disk": "ssd"})));
        assert_ne!(digest(json!({"disk": "ssd"})), digest(Value::Null));
    }
}
