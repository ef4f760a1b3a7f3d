//! HorizontalPodAutoscalers: sizes within their bounds.
//!
//! There are no metrics. What an autoscaler would want stands in the annotation [`WANTED`]; without it the size that the
//! target has, brought into the bounds.

use serde_json::{Value, json};

use crate::controllers::{MANAGER, pods};
use crate::object::{self, int, list, text};
use crate::resources::of_kind;
use crate::store::Key;
use crate::world::World;
use crate::writes::Write;

/// On an autoscaler: the size that its metrics would ask for.
const WANTED: &str = "sandbox.turquoise.dev/wanted-replicas";

const COMPONENT: &str = "horizontal-pod-autoscaler";

/// Brings the target's size into the bounds, and writes the status.
pub(crate) fn sync(world: &World, key: &Key) {
    let Some(scaler) = world.store.get(key).filter(|scaler| !object::is_deleting(scaler)) else { return };
    let target_key = target_of(&scaler, &key.namespace);
    let target = target_key.as_ref().and_then(|key| world.store.get(key));
    let mut conditions = list(&scaler, "/status/conditions").to_vec();
    let now = world.options.clock.seconds();
    let mut set = |kind: &str, state: (&str, &str, &str)| pods::set_condition(&mut conditions, kind, state, &now);
    let (Some(target_key), Some(target)) = (target_key, target) else {
        let why = "the HPA controller was unable to get the target's current scale: not found";
        set("AbleToScale", ("False", "FailedGetScale", why));
        write_status(world, key, &scaler, (0, 0), conditions);
        return;
    };
    let size = int(&target, "/spec/replicas").unwrap_or(1);
    let current = int(&target, "/status/replicas").unwrap_or(0);
    set("AbleToScale", ("True", "SucceededGetScale", "the HPA controller was able to get the target's current scale"));
    if size == 0 {
        let why = "scaling is disabled since the replica count of the target is zero";
        set("ScalingActive", ("False", "ScalingDisabled", why));
        write_status(world, key, &scaler, (current, 0), conditions);
        return;
    }
    let asked = scaler["metadata"]["annotations"][WANTED].as_str().and_then(|text| text.parse().ok()).unwrap_or(size);
    let low = int(&scaler, "/spec/minReplicas").unwrap_or(1);
    let high = int(&scaler, "/spec/maxReplicas").unwrap_or(1).max(low);
    let wanted = asked.clamp(low, high);
    set("ScalingActive", ("True", "ValidMetricFound", "the HPA was able to compute the replica count"));
    let limited = if asked > high {
        ("True", "TooManyReplicas", "the desired replica count is more than the maximum replica count")
    } else if asked < low {
        ("True", "TooFewReplicas", "the desired replica count is less than the minimum replica count")
    } else {
        ("False", "DesiredWithinRange", "the desired count is within the acceptable range")
    };
    set("ScalingLimited", limited);
    if wanted != size {
        world.edit(&target_key, Write::by(MANAGER, "scale"), |target| {
            target["spec"]["replicas"] = json!(wanted);
            true
        });
        let message = format!("New size: {wanted}; reason: asked for by the sandbox");
        world.event(&scaler, COMPONENT, "Normal", "SuccessfulRescale", &message);
    }
    write_status(world, key, &scaler, (current, wanted), conditions);
}

/// What an autoscaler scales, if it has a size.
pub(crate) fn target_of(scaler: &Value, namespace: &str) -> Option<Key> {
    let reference = &scaler["spec"]["scaleTargetRef"];
    let resource = of_kind(text(reference, "/apiVersion"), text(reference, "/kind"))?;
    resource.scale.then(|| Key::new(resource, namespace, text(reference, "/name")))
}

fn write_status(world: &World, key: &Key, scaler: &Value, (current, desired): (i64, i64), conditions: Vec<Value>) {
    let mut status = json!({
        "currentReplicas": current,
        "desiredReplicas": desired,
        "currentMetrics": null,
        "conditions": conditions,
    });
    let before = int(scaler, "/status/desiredReplicas").unwrap_or(0);
    let last = if before == desired || desired == 0 {
        scaler["status"]["lastScaleTime"].clone()
    } else {
        json!(world.options.clock.seconds())
    };
    if !last.is_null() {
        status["lastScaleTime"] = last;
    }
    pods::write_status(world, key, status);
}
