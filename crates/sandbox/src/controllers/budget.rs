//! PodDisruptionBudgets: how many pods may be evicted.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::errors::ApiError;
use crate::controllers::pods;
use crate::object::{self, int, list, text};
use crate::resources::{DISRUPTION_BUDGETS, PODS, of_kind};
use crate::store::{Key, LabelSelector};
use crate::world::World;

/// What a budget comes to now.
struct Count {
    healthy: i64,
    desired: i64,
    expected: i64,
}

impl Count {
    fn allowed(&self) -> i64 {
        if self.expected == 0 { 0 } else { (self.healthy - self.desired).max(0) }
    }
}

/// Writes the status.
pub(crate) fn sync(world: &World, key: &Key) {
    let Some(budget) = world.store.get(key) else { return };
    let count = count(world, &budget, &key.namespace);
    let allowed = count.allowed();
    let mut conditions = list(&budget, "/status/conditions").to_vec();
    let state = if allowed > 0 { ("True", "SufficientPods", "") } else { ("False", "InsufficientPods", "") };
    pods::set_condition(&mut conditions, "DisruptionAllowed", state, &world.options.clock.seconds());
    let status = json!({
        "currentHealthy": count.healthy,
        "desiredHealthy": count.desired,
        "expectedPods": count.expected,
        "disruptionsAllowed": allowed,
        "observedGeneration": int(&budget, "/metadata/generation").unwrap_or(0),
        "conditions": conditions,
    });
    pods::write_status(world, key, status);
}

/// Whether a pod may be evicted now.
pub(crate) fn check_eviction(world: &World, key: &Key, pod: &Value) -> Result<(), ApiError> {
    if pods::is_finished(pod) || text(pod, "/status/phase") == "Pending" || object::is_deleting(pod) {
        return Ok(());
    }
    let (_, budgets) = world.store.list(*DISRUPTION_BUDGETS, Some(&key.namespace));
    for budget in budgets.iter().filter(|budget| selects(budget, pod)) {
        let count = count(world, budget, &key.namespace);
        // An unready pod may go while the others are enough.
        let harmless = !object::is_ready(pod) && count.healthy >= count.desired;
        if count.allowed() == 0 && !harmless {
            let why = format!(
                "The disruption budget {} needs {} healthy pods and has {} currently",
                object::name(budget),
                count.desired,
                count.healthy
            );
            return Err(ApiError::budget_exceeded(&why));
        }
    }
    Ok(())
}

fn selects(budget: &Value, pod: &Value) -> bool {
    budget["spec"]["selector"].is_object() && LabelSelector::of(&budget["spec"]["selector"]).matches(pod)
}

fn count(world: &World, budget: &Value, namespace: &str) -> Count {
    let (_, pods) = world.store.list(*PODS, Some(namespace));
    let pods: Vec<_> = pods.iter().filter(|pod| selects(budget, pod) && !pods::is_finished(pod)).collect();
    let healthy = pods.iter().filter(|pod| object::is_ready(pod) && !object::is_deleting(pod)).count();
    let healthy = i64::try_from(healthy).unwrap_or(i64::MAX);
    let expected = expected(world, &pods, namespace);
    let (least, most) = (&budget["spec"]["minAvailable"], &budget["spec"]["maxUnavailable"]);
    let share = |value: &Value| {
        let percent: i64 = value.as_str()?.trim_end_matches('%').parse().ok()?;
        Some((expected * percent + 99) / 100)
    };
    let desired = if most.is_null() {
        least.as_i64().or_else(|| share(least)).unwrap_or(1)
    } else {
        (expected - most.as_i64().or_else(|| share(most)).unwrap_or(1)).max(0)
    };
    Count { healthy, desired, expected }
}

/// How many pods there should be: as many as their controllers' sizes say.
fn expected(world: &World, pods: &[&std::sync::Arc<Value>], namespace: &str) -> i64 {
    let mut sizes: BTreeMap<String, i64> = BTreeMap::new();
    let mut alone = 0;
    for pod in pods {
        let Some(owner) = object::controller(pod) else {
            alone += 1;
            continue;
        };
        let found = of_kind(text(owner, "/apiVersion"), text(owner, "/kind"))
            .and_then(|resource| world.store.get(&Key::new(resource, namespace, text(owner, "/name"))));
        let size = found.as_ref().and_then(|owner| int(owner, "/spec/replicas"));
        match size {
            Some(size) => {
                sizes.insert(text(owner, "/uid").to_owned(), size);
            }
            None => alone += 1,
        }
    }
    alone + sizes.values().sum::<i64>()
}
