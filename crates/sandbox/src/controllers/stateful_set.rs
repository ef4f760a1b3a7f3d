//! StatefulSets -> pods with stable names, one after the other.

use std::time::Duration;

use serde_json::{Value, json};

use crate::controllers::pods::{self, Pod};
use crate::controllers::{MANAGER, revisions};
use crate::object::{self, int, list, text};
use crate::resources::VOLUME_CLAIMS;
use crate::store::Key;
use crate::world::World;
use crate::writes::Write;

const COMPONENT: &str = "statefulset-controller";
const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// Makes the next step, and writes the status; says when to look again.
pub(crate) fn sync(world: &World, key: &Key) -> Option<Duration> {
    let set = world.store.get(key)?;
    let templates = revisions::of(world, key, &set);
    let current = match text(&set, "/status/currentRevision") {
        "" => templates.update.clone(),
        current => current.to_owned(),
    };
    let mut refused = None;
    if !object::is_deleting(&set) {
        let step = Step { world, key, set: &set, templates: &templates, current: &current };
        refused = step.go();
    }
    let wait = write_status(world, key, &set, &templates.update, current);
    match (refused, wait) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// One look at a StatefulSet, and what follows.
struct Step<'a> {
    world: &'a World,
    key: &'a Key,
    set: &'a Value,
    templates: &'a revisions::Revisions,
    current: &'a str,
}

impl Step<'_> {
    /// Creates, ends and replaces pods, as far as the order allows; says when a refused pod is asked for again.
    fn go(&self) -> Option<Duration> {
        let start = int(self.set, "/spec/ordinals/start").unwrap_or(0);
        let end = start + int(self.set, "/spec/replicas").unwrap_or(0);
        let is_ordered = text(self.set, "/spec/podManagementPolicy") != "Parallel";
        let mut pods = pods::controlled_by(self.world, self.set);
        pods.sort_by_key(|pod| self.ordinal(pod));
        for ordinal in start..end {
            let pod = pods.iter().find(|pod| self.ordinal(pod) == Some(ordinal));
            match pod {
                None => {
                    if self.create(ordinal).is_err() {
                        return Some(pods::AGAIN);
                    }
                    if is_ordered {
                        return None;
                    }
                }
                Some((key, pod)) if pods::is_finished(pod) => {
                    pods::delete(self.world, self.set, COMPONENT, key, pod);
                    if is_ordered {
                        return None;
                    }
                }
                // The next one waits until this one is well.
                Some((_, pod)) if is_ordered && !self.is_healthy(pod) => return None,
                Some(_) => {}
            }
        }
        let condemned = pods.iter().rev().filter(|pod| self.ordinal(pod).is_none_or(|at| at < start || at >= end));
        for (key, pod) in condemned {
            pods::delete(self.world, self.set, COMPONENT, key, pod);
            if is_ordered {
                return None;
            }
        }
        self.update(&pods, start, end);
        None
    }

    /// Replaces the pods of older templates, from the last one down to the partition, one at a time.
    fn update(&self, pods: &[Pod], start: i64, end: i64) {
        if text(self.set, "/spec/updateStrategy/type") == "OnDelete" {
            return;
        }
        let partition = int(self.set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
        for ordinal in (start.max(partition)..end).rev() {
            let Some((key, pod)) = pods.iter().find(|pod| self.ordinal(pod) == Some(ordinal)) else { return };
            if revision_of(pod) != self.templates.update {
                pods::delete(self.world, self.set, COMPONENT, key, pod);
                return;
            }
            if !self.is_healthy(pod) {
                return;
            }
        }
    }

    fn ordinal(&self, (key, _): &Pod) -> Option<i64> {
        key.name.strip_prefix(&self.key.name)?.strip_prefix('-')?.parse().ok()
    }

    fn is_healthy(&self, pod: &Value) -> bool {
        let now = self.world.options.clock.now();
        pods::is_active(pod) && pods::until_available(self.set, pod, now) == Some(0)
    }

    fn create(&self, ordinal: i64) -> Result<(), ()> {
        let partition = int(self.set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
        let is_rolling = text(self.set, "/spec/updateStrategy/type") != "OnDelete";
        let keeps_old = is_rolling && ordinal < partition;
        let revision = if keeps_old { self.current } else { self.templates.update.as_str() };
        let own = &self.set["spec"]["template"];
        let template = self.templates.template(revision).unwrap_or(own);
        let name = format!("{}-{ordinal}", self.key.name);
        for claim in list(self.set, "/spec/volumeClaimTemplates") {
            self.claim(claim, &name);
        }
        let pod = pods::from_template(self.key, self.set, template, |pod| {
            object::remove(&mut pod["metadata"], "generateName");
            pod["metadata"]["name"] = json!(name);
            let labels = object::child(&mut pod["metadata"], "labels");
            labels[revisions::HASH_LABEL] = json!(revision);
            labels[POD_NAME_LABEL] = json!(name);
            labels[POD_INDEX_LABEL] = json!(ordinal.to_string());
            pod["spec"]["hostname"] = json!(name);
            if let Some(service) = self.set["spec"]["serviceName"].as_str().filter(|service| !service.is_empty()) {
                pod["spec"]["subdomain"] = json!(service);
            }
            let claims = list(self.set, "/spec/volumeClaimTemplates").iter().map(|claim| {
                let volume = object::name(claim);
                json!({"name": volume, "persistentVolumeClaim": {"claimName": format!("{volume}-{name}")}})
            });
            let claims: Vec<Value> = claims.collect();
            if !claims.is_empty() {
                let mut volumes = list(pod, "/spec/volumes").to_vec();
                volumes.extend(claims);
                pod["spec"]["volumes"] = json!(volumes);
            }
        });
        pods::create(self.world, self.set, COMPONENT, pod).map_err(drop)
    }

    /// A pod's own volume claim: it outlives the pod.
    fn claim(&self, template: &Value, pod: &str) {
        let name = format!("{}-{pod}", object::name(template));
        let mut claim = json!({
            "metadata": {"name": name, "namespace": self.key.namespace},
            "spec": template["spec"],
            "status": {"phase": "Bound"},
        });
        let labels = object::map(self.set, "/spec/selector/matchLabels").cloned().unwrap_or_default();
        claim["metadata"]["labels"] = Value::Object(labels);
        // One that is there already is taken as it is.
        let _ = self
            .world
            .store
            .transaction(|transaction| self.world.create(transaction, *VOLUME_CLAIMS, claim, Write::by(MANAGER, "")));
    }
}

fn revision_of(pod: &Value) -> &str {
    pod["metadata"]["labels"][revisions::HASH_LABEL].as_str().unwrap_or_default()
}

fn write_status(world: &World, key: &Key, set: &Value, update: &str, current: String) -> Option<Duration> {
    let pods = pods::controlled_by(world, set);
    let there: Vec<&Value> = pods.iter().map(|(_, pod)| &**pod).filter(|pod| !pods::is_finished(pod)).collect();
    let counted = pods::readiness(set, there.iter().copied(), world.options.clock.now());
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let of = |revision: &str| {
        number(there.iter().filter(|pod| !object::is_deleting(pod) && revision_of(pod) == revision).count())
    };
    let updated = of(update);
    let wanted = int(set, "/spec/replicas").unwrap_or(0);
    let all = number(there.len());
    // A finished update makes the new template the current one.
    let is_done = updated == wanted && all == wanted && counted.ready == wanted;
    let current = if is_done { update.to_owned() } else { current };
    let mut status = json!({
        "observedGeneration": int(set, "/metadata/generation").unwrap_or(0),
        "replicas": all,
        "availableReplicas": counted.available,
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": 0,
    });
    let counts = [("readyReplicas", counted.ready), ("currentReplicas", of(&current)), ("updatedReplicas", updated)];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        status[name] = json!(count);
    }
    let used: Vec<&str> = there.iter().map(|pod| revision_of(pod)).chain([update, current.as_str()]).collect();
    revisions::clean_up(world, set, &used);
    pods::write_status(world, key, status);
    counted.wait
}
