//! Deployments -> ReplicaSets.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::controllers::{MANAGER, rollout};
use crate::object::{self, int, list, text};
use crate::resources::REPLICA_SETS;
use crate::store::Key;
use crate::world::World;
use crate::writes::{Deletion, SAFE_CHARACTERS, Write};

/// The label that tells a Deployment's ReplicaSets apart.
const HASH_LABEL: &str = "pod-template-hash";

/// The annotation that counts a Deployment's templates.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";

/// A ReplicaSet of the Deployment.
pub(crate) type Set = (Key, Arc<Value>);

/// Brings the Deployment's ReplicaSets into line with it, and writes its status; says when to look again.
pub(crate) fn sync(world: &World, key: &Key) -> Option<Duration> {
    let deployment = world.store.get(key)?;
    let sets = sets_of(world, &deployment);
    if object::is_deleting(&deployment) {
        let newest = sets.iter().find(|(_, set)| has_template(set, &deployment)).cloned();
        return rollout::write_status(world, key, &deployment, &sets, newest.as_ref(), None);
    }
    let is_paused = deployment["spec"]["paused"] == true;
    let newest = sets.iter().find(|(_, set)| has_template(set, &deployment)).cloned();
    let (newest, event) = match newest {
        Some(set) => (Some(number(world, &deployment, &sets, set)), None),
        None if is_paused => (None, None),
        None => {
            let created = create(world, key, &deployment, &sets);
            let event = created.as_ref().map(|(key, _)| format!("Created new replica set {:?}", key.name));
            (created, event)
        }
    };
    if let Some((set, _)) = &newest {
        copy_revision(world, key, set);
    }
    let sets = sets_of(world, &deployment);
    if is_paused {
        scale_paused(world, &deployment, &sets);
    } else if let Some((newest, _)) = &newest {
        let (new, old): (Vec<_>, Vec<_>) = sets.iter().cloned().partition(|(set, _)| set == newest);
        if let Some(new) = new.first() {
            match text(&deployment, "/spec/strategy/type") {
                "Recreate" => rollout::recreate(world, &deployment, new, &old),
                _ => rollout::roll(world, &deployment, new, &old),
            }
        }
    }
    let sets = sets_of(world, &deployment);
    let newest = newest.and_then(|(newest, _)| sets.iter().find(|(set, _)| *set == newest).cloned());
    if !is_paused {
        clean_up(world, &deployment, &sets, newest.as_ref());
    }
    rollout::write_status(world, key, &deployment, &sets, newest.as_ref(), event)
}

/// The Deployment's ReplicaSets, oldest revision first.
fn sets_of(world: &World, deployment: &Value) -> Vec<Set> {
    let mut sets: Vec<Set> = world
        .store
        .owned_by(object::uid(deployment))
        .into_iter()
        .filter(|(key, set)| {
            key.resource().plural == "replicasets"
                && object::controller(set).is_some_and(|owner| text(owner, "/uid") == object::uid(deployment))
        })
        .collect();
    sets.sort_by_key(|(key, set)| (revision(set), key.name.clone()));
    sets
}

pub(crate) fn revision(object: &Value) -> u64 {
    object["metadata"]["annotations"][REVISION].as_str().and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

fn has_template(set: &Value, deployment: &Value) -> bool {
    let mut template = set["spec"]["template"].clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels") {
        object::remove(labels, HASH_LABEL);
    }
    let mut wanted = deployment["spec"]["template"].clone();
    for template in [&mut template, &mut wanted] {
        object::remove(&mut template["metadata"], "creationTimestamp");
    }
    template == wanted
}

/// Creates the ReplicaSet for the Deployment's template.
fn create(world: &World, key: &Key, deployment: &Value, sets: &[Set]) -> Option<Set> {
    let hash = hash(&deployment["spec"]["template"]);
    let name = format!("{}-{hash}", key.name);
    let mut template = deployment["spec"]["template"].clone();
    object::child(object::child(&mut template, "metadata"), "labels")[HASH_LABEL] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    object::child(&mut selector, "matchLabels")[HASH_LABEL] = json!(hash);
    let next = sets.iter().map(|(_, set)| revision(set)).max().unwrap_or(0) + 1;
    let mut annotations = inherited_annotations(deployment);
    annotations[REVISION] = json!(next.to_string());
    let replicas = rollout::first_size(deployment, sets);
    set_sizes(&mut annotations, deployment);
    let mut spec = json!({"replicas": replicas, "selector": selector, "template": template});
    if let Some(seconds) = int(deployment, "/spec/minReadySeconds").filter(|seconds| *seconds > 0) {
        spec["minReadySeconds"] = json!(seconds);
    }
    let set = json!({
        "metadata": {
            "name": name,
            "namespace": key.namespace,
            "labels": template["metadata"]["labels"],
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": key.name, "uid": object::uid(deployment),
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": spec,
    });
    let created =
        world.store.transaction(|transaction| world.create(transaction, *REPLICA_SETS, set, Write::by(MANAGER, "")));
    let set = created.ok()?;
    if replicas > 0 {
        rollout::tell_scaled(world, deployment, &name, 0, replicas);
    }
    Some((Key::new(*REPLICA_SETS, key.namespace.clone(), name), set))
}

/// A template that is wanted again gets the newest number; sizes and patience follow the Deployment.
fn number(world: &World, deployment: &Value, sets: &[Set], (key, set): Set) -> Set {
    let others = sets.iter().filter(|(other, _)| *other != key).map(|(_, set)| revision(set)).max().unwrap_or(0);
    let wanted = revision(&set).max(others + 1);
    let changed = world.edit(&key, Write::by(MANAGER, ""), |set| {
        let before = set.clone();
        let inherited = inherited_annotations(deployment);
        let annotations = object::child(object::child(set, "metadata"), "annotations");
        for (name, value) in inherited.as_object().into_iter().flatten() {
            annotations[name] = value.clone();
        }
        annotations[REVISION] = json!(wanted.to_string());
        set_sizes(annotations, deployment);
        let seconds = int(deployment, "/spec/minReadySeconds").unwrap_or(0);
        if int(set, "/spec/minReadySeconds").unwrap_or(0) != seconds {
            set["spec"]["minReadySeconds"] = json!(seconds);
        }
        *set != before
    });
    (key, changed.unwrap_or(set))
}

fn inherited_annotations(deployment: &Value) -> Value {
    let mut annotations = object::map(deployment, "/metadata/annotations").cloned().unwrap_or_default();
    for own in [crate::apply::LAST_APPLIED, REVISION, DESIRED, MAX, "deprecated.deployment.rollback.to"] {
        annotations.remove(own);
    }
    Value::Object(annotations)
}

fn set_sizes(annotations: &mut Value, deployment: &Value) {
    let replicas = int(deployment, "/spec/replicas").unwrap_or(0);
    annotations[DESIRED] = json!(replicas.to_string());
    annotations[MAX] = json!((replicas + rollout::max_surge(deployment)).to_string());
}

fn copy_revision(world: &World, key: &Key, set: &Key) {
    let Some(wanted) = world.store.get(set).map(|set| revision(&set).to_string()) else { return };
    world.edit(key, Write::by(MANAGER, "status"), |deployment| {
        let annotations = object::child(object::child(deployment, "metadata"), "annotations");
        let same = annotations[REVISION] == wanted.as_str();
        annotations[REVISION] = json!(wanted);
        !same
    });
}

/// A paused Deployment still follows its size.
fn scale_paused(world: &World, deployment: &Value, sets: &[Set]) {
    let active: Vec<_> = sets.iter().filter(|(_, set)| int(set, "/spec/replicas").unwrap_or(0) > 0).collect();
    if let ([only], Some(replicas)) = (active.as_slice(), int(deployment, "/spec/replicas")) {
        rollout::scale(world, deployment, only, replicas);
    }
}

/// Old ReplicaSets beyond the history limit go once the rollout is complete.
fn clean_up(world: &World, deployment: &Value, sets: &[Set], newest: Option<&Set>) {
    let limit = usize::try_from(int(deployment, "/spec/revisionHistoryLimit").unwrap_or(10)).unwrap_or(10);
    let is_idle = |set: &Value| {
        int(set, "/spec/replicas") == Some(0)
            && int(set, "/status/replicas").unwrap_or(0) == 0
            && !object::is_deleting(set)
    };
    let old: Vec<_> = sets.iter().filter(|(key, _)| newest.is_none_or(|(newest, _)| newest != key)).collect();
    let excess = old.len().saturating_sub(limit);
    for (key, set) in old.into_iter().take(excess).filter(|(_, set)| is_idle(set)) {
        let deletion = Deletion { uid: Some(object::uid(set).to_owned()), ..Deletion::default() };
        // Gone meanwhile is as good as deleted.
        let _ = world.store.transaction(|transaction| world.delete(transaction, key, &deletion));
    }
}

/// A short name for a template: FNV-1a over its canonical JSON (maps are ordered), in characters that form no words.
pub(crate) fn hash(template: &Value) -> String {
    let mut hash: u32 = 0x811c_9dc5;
    for byte in template.to_string().bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    let digits = hash.to_string();
    digits.bytes().map(|digit| char::from(SAFE_CHARACTERS[usize::from(digit) % SAFE_CHARACTERS.len()])).collect()
}

/// The conditions of a Deployment as they are.
pub(crate) fn conditions(deployment: &Value) -> Vec<Value> {
    list(deployment, "/status/conditions").to_vec()
}
