//! The controllers: one task that follows all changes and brings what is into line with what is wanted.

mod autoscaler;
pub(crate) mod budget;
mod daemon_set;
mod deployment;
mod endpoints;
mod garbage;
mod job;
mod namespace;
mod pods;
mod replica_set;
mod revisions;
mod rollout;
mod stateful_set;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::object::{self, list, text};
use crate::quota;
use crate::resources::{
    AUTOSCALERS, DAEMON_SETS, DEPLOYMENTS, DISRUPTION_BUDGETS, JOBS, NAMESPACES, QUOTAS, REPLICA_SETS, RESOURCES,
    SERVICES, STATEFUL_SETS, of_kind,
};
use crate::store::{Change, Key, LabelSelector, Scope};
use crate::world::World;

/// Who the controllers are in managed fields.
pub(crate) const MANAGER: &str = "kube-controller-manager";

/// Far enough away never to come.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What is to be looked at.
#[derive(Default)]
struct Work {
    deployments: BTreeSet<Key>,
    replica_sets: BTreeSet<Key>,
    /// StatefulSets, DaemonSets and Jobs.
    others: BTreeSet<Key>,
    /// Autoscalers, disruption budgets and quotas: they look at what others do.
    onlookers: BTreeSet<Key>,
    services: BTreeSet<Key>,
    /// Owners whose deletion waits for their dependents.
    owners: BTreeSet<Key>,
    /// Owners that are gone, by uid.
    gone: BTreeSet<String>,
    /// Objects whose owners may be gone.
    dependents: BTreeSet<Key>,
    namespaces: BTreeSet<Key>,
}

/// Runs until the sandbox stops.
pub(crate) async fn run(world: Arc<World>) {
    let mut tip = world.store.listen(Scope::Everything);
    let mut seen = 0;
    let mut later: BTreeMap<(Instant, Key), ()> = BTreeMap::new();
    loop {
        let mut work = Work::default();
        match world.store.changes_after(seen) {
            Some(changes) => {
                seen = changes.last().map_or(seen, |change| change.version);
                changes.iter().for_each(|change| note(&world, change, &mut work));
            }
            None => seen = note_everything(&world, &mut work),
        }
        while let Some(((due, key), ())) = later.first_key_value().map(|(key, ())| (key.clone(), ())) {
            if due > Instant::now() {
                break;
            }
            later.remove(&(due, key.clone()));
            match key.resource().plural {
                "deployments" => work.deployments.insert(key),
                "replicasets" => work.replica_sets.insert(key),
                _ => work.others.insert(key),
            };
        }
        for (key, wait) in perform(&world, work) {
            later.retain(|(_, other), ()| *other != key);
            later.insert((Instant::now() + wait, key), ());
        }
        let wake = later.keys().next().map_or_else(|| Instant::now() + NEVER, |(due, _)| *due);
        tokio::select! {
            () = world.stop.cancelled() => break,
            () = sleep_until(wake) => (),
            changed = tip.changed() => if changed.is_err() { break },
        }
    }
}

/// Does the work, and says what wants to be looked at again and when.
fn perform(world: &World, work: Work) -> Vec<(Key, Duration)> {
    let mut again = Vec::new();
    // Endpoints first: traffic must follow at once, whatever else there is to do.
    work.services.iter().for_each(|key| endpoints::sync(world, key));
    for key in work.deployments {
        if let Some(wait) = deployment::sync(world, &key) {
            again.push((key, wait));
        }
    }
    for key in work.replica_sets {
        if let Some(wait) = replica_set::sync(world, &key) {
            again.push((key, wait));
        }
    }
    for key in work.others {
        let wait = match key.resource().plural {
            "statefulsets" => stateful_set::sync(world, &key),
            "daemonsets" => daemon_set::sync(world, &key),
            _ => job::sync(world, &key),
        };
        again.extend(wait.map(|wait| (key, wait)));
    }
    for key in &work.onlookers {
        match key.resource().plural {
            "horizontalpodautoscalers" => autoscaler::sync(world, key),
            "poddisruptionbudgets" => budget::sync(world, key),
            _ => count_quota(world, key),
        }
    }
    work.gone.iter().for_each(|uid| garbage::owner_gone(world, uid));
    work.owners.iter().for_each(|key| garbage::finish_owner(world, key));
    work.dependents.iter().for_each(|key| garbage::check_owners(world, key));
    work.namespaces.iter().for_each(|key| namespace::sync(world, key));
    again
}

fn count_quota(world: &World, key: &Key) {
    let counted = world.store.transaction(|transaction| {
        let quota = transaction.get(key)?;
        Some(quota::status(transaction, key, &quota))
    });
    if let Some(status) = counted {
        pods::write_status(world, key, status);
    }
}

/// What looks at objects of others: autoscalers at their targets, budgets and quotas at what they count.
fn note_onlookers(world: &World, change: &Change, work: &mut Work) {
    let key = &change.key;
    let of = |kind: &'static crate::resources::Resource| {
        let (_, objects) = world.store.list(kind, Some(&key.namespace));
        objects.into_iter().map(move |object| (Key::of(kind, &object), object))
    };
    match key.resource().plural {
        "horizontalpodautoscalers" | "poddisruptionbudgets" | "resourcequotas" => {
            work.onlookers.insert(key.clone());
        }
        "deployments" | "statefulsets" | "replicasets" => {
            let scales =
                |scaler: &Value| autoscaler::target_of(scaler, &key.namespace).is_some_and(|target| target == *key);
            work.onlookers.extend(of(*AUTOSCALERS).filter(|(_, scaler)| scales(scaler)).map(|(key, _)| key));
            work.onlookers.extend(of(*DISRUPTION_BUDGETS).map(|(key, _)| key));
        }
        "pods" => work.onlookers.extend(of(*DISRUPTION_BUDGETS).map(|(key, _)| key)),
        _ => {}
    }
    // What a quota counts moves when objects come and go, and when pods end.
    if change.old.is_none() || change.new.is_none() || key.resource().plural == "pods" {
        let counts = |quota: &Value| quota::concerns(quota, key.resource());
        work.onlookers.extend(of(*QUOTAS).filter(|(_, quota)| counts(quota)).map(|(key, _)| key));
    }
}

fn note(world: &World, change: &Change, work: &mut Work) {
    let key = &change.key;
    let Some(object) = change.new.as_ref().or(change.old.as_ref()) else { return };
    match key.resource().plural {
        "deployments" => {
            work.deployments.insert(key.clone());
        }
        "replicasets" => {
            work.replica_sets.insert(key.clone());
            work.deployments.extend(owner_of(object, &key.namespace, *DEPLOYMENTS));
        }
        "statefulsets" | "daemonsets" | "jobs" => {
            work.others.insert(key.clone());
        }
        "nodes" => {
            let (_, sets) = world.store.list(*DAEMON_SETS, None);
            work.others.extend(sets.iter().map(|set| Key::of(*DAEMON_SETS, set)));
        }
        "pods" => {
            for kind in [*STATEFUL_SETS, *DAEMON_SETS, *JOBS] {
                work.others.extend(owner_of(object, &key.namespace, kind));
            }
            let set = owner_of(object, &key.namespace, *REPLICA_SETS);
            // A Deployment that recreates waits for the last old pod to be gone.
            if change.new.is_none()
                && let Some(found) = set.as_ref().and_then(|set| world.store.get(set))
            {
                work.deployments.extend(owner_of(&found, &key.namespace, *DEPLOYMENTS));
            }
            work.replica_sets.extend(set);
            work.services.extend(services_of(world, change));
        }
        "services" => {
            work.services.insert(key.clone());
        }
        "endpointslices" => {
            // A slice of ours that somebody deleted is written again.
            if change.new.is_none()
                && let Some(name) = object["metadata"]["labels"][crate::network::SERVICE_NAME].as_str()
            {
                work.services.insert(Key::new(*SERVICES, key.namespace.clone(), name));
            }
        }
        "namespaces" => {
            work.namespaces.insert(key.clone());
        }
        _ => (),
    }
    note_onlookers(world, change, work);
    note_ownership(world, change, object, work);
}

fn note_ownership(world: &World, change: &Change, object: &Value, work: &mut Work) {
    let key = &change.key;
    let owners = list(object, "/metadata/ownerReferences");
    if change.new.is_none() {
        work.gone.insert(object::uid(object).to_owned());
        work.owners.extend(owners.iter().filter_map(|owner| owner_key(owner, &key.namespace)));
        let namespace = Key::new(*NAMESPACES, "", key.namespace.clone());
        if world.store.get(&namespace).is_some_and(|namespace| object::is_deleting(&namespace)) {
            work.namespaces.insert(namespace);
        }
        return;
    }
    if change.old.is_none() && !owners.is_empty() {
        work.dependents.insert(key.clone());
    }
    if object::is_deleting(object) {
        work.owners.insert(key.clone());
    }
}

/// After the log was outrun: look at everything.
fn note_everything(world: &World, work: &mut Work) -> u64 {
    let snapshot = world.store.snapshot();
    for resource in &RESOURCES {
        for object in snapshot.list(resource, None) {
            let change =
                Change { version: snapshot.version, key: Key::of(resource, &object), old: None, new: Some(object) };
            note(world, &change, work);
        }
    }
    snapshot.version
}

/// The controlling owner of this kind.
fn owner_of(object: &Value, namespace: &str, resource: &'static crate::resources::Resource) -> Option<Key> {
    let owner = object::controller(object)?;
    (owner["kind"] == resource.kind).then(|| Key::new(resource, namespace, text(owner, "/name")))
}

/// Where an owner reference points to.
fn owner_key(owner: &Value, namespace: &str) -> Option<Key> {
    let resource = of_kind(text(owner, "/apiVersion"), text(owner, "/kind"))?;
    let namespace = if resource.namespaced { namespace } else { "" };
    Some(Key::new(resource, namespace, text(owner, "/name")))
}

/// The Services that select a pod, or selected it before the change.
fn services_of(world: &World, change: &Change) -> Vec<Key> {
    let (_, services) = world.store.list(*SERVICES, Some(&change.key.namespace));
    let selects = |service: &Value| {
        let selector = LabelSelector::equal(object::map(service, "/spec/selector"));
        [&change.old, &change.new].into_iter().flatten().any(|pod| selector.matches(pod))
    };
    services.iter().filter(|service| selects(service)).map(|service| Key::of(*SERVICES, service)).collect()
}
