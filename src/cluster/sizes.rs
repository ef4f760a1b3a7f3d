//! How a size is written, kind by kind.

use serde_json::{Map, Value, json};

use super::annotations as name;
use super::apply::Dress;
use crate::core::action::Size;
use crate::core::workload::WorkloadKind;

/// Lays a size over a manifest. A count that an autoscaler owns is left out, so that a later apply does not take it back; a
/// CronJob of size 0 is held.
pub(super) fn dressed(manifest: &Value, size: Option<&Size>, autoscaled: bool, dress: &mut Dress) -> Value {
    let mut object = manifest.clone();
    if autoscaled && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("replicas");
    }
    let Some(size) = size else { return object };
    match size.workload.workload_kind() {
        Some(WorkloadKind::Deployment | WorkloadKind::StatefulSet) => object["spec"]["replicas"] = size.replicas.into(),
        Some(WorkloadKind::CronJob) if size.replicas == 0 => {
            object["spec"]["suspend"] = true.into();
            dress.annotations.insert(name::PARKED.into(), name::IS_PARKED.into());
        }
        Some(WorkloadKind::DaemonSet | WorkloadKind::Job | WorkloadKind::CronJob) | None => {}
    }
    object
}

/// A size as a merge patch.
pub(super) fn patch(size: &Size) -> Value {
    let held = if size.replicas == 0 { json!(name::IS_PARKED) } else { Value::Null };
    match size.workload.workload_kind() {
        Some(WorkloadKind::DaemonSet) => {
            json!({"spec": {"template": {"spec": {"nodeSelector": {name::PARKED: held}}}}})
        }
        Some(WorkloadKind::Job | WorkloadKind::CronJob) => json!({
            "metadata": {"annotations": {name::PARKED: held}},
            "spec": {"suspend": size.replicas == 0},
        }),
        Some(WorkloadKind::Deployment | WorkloadKind::StatefulSet) | None => {
            json!({"spec": {"replicas": size.replicas}})
        }
    }
}

/// The annotations of a patch, to add to.
pub(super) fn annotations(patch: &mut Value) -> &mut Map<String, Value> {
    let meta = &mut patch["metadata"];
    if !meta["annotations"].is_object() {
        meta["annotations"] = Value::Object(Map::new());
    }
    match &mut meta["annotations"] {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            unreachable!("it was made a map above")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::ObjectKey;

    fn manifest(kind: WorkloadKind, spec: Value) -> Value {
        let (api_version, kind) = kind.gvk();
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec})
    }

    #[test]
    fn sizes_are_written_by_kind() {
        use WorkloadKind as K;
        let node =
            |value: Value| json!({"spec": {"template": {"spec": {"nodeSelector": {"turquoise.dev/parked": value}}}}});
        let hold = |mark: Value, suspend: bool| json!({"metadata": {"annotations": {"turquoise.dev/parked": mark}}, "spec": {"suspend": suspend}});
        let count = |n: u32| json!({"spec": {"replicas": n}});
        for (kind, spec, size, autoscaled, expect) in [
            (K::Deployment, json!({"replicas": 2}), Some(5), false, json!({"replicas": 5})),
            (K::Deployment, json!({"replicas": 2}), None, false, json!({"replicas": 2})),
            (K::StatefulSet, json!({"replicas": 2}), None, true, json!({})),
            (K::DaemonSet, json!({}), None, false, json!({})),
            (
                K::CronJob,
                json!({"schedule": "* * * * *"}),
                Some(0),
                false,
                json!({"schedule": "* * * * *", "suspend": true}),
            ),
        ] {
            let object = manifest(kind, spec);
            let size = size.and_then(|replicas| Some(Size { workload: ObjectKey::of(&object)?, replicas }));
            let mut dress = Dress::default();
            let sized = dressed(&object, size.as_ref(), autoscaled, &mut dress);
            assert_eq!(sized["spec"], expect, "{object}");
            assert_eq!(dress.annotations.contains_key(name::PARKED), kind == K::CronJob);
        }
        let down = |kind| Size { workload: ObjectKey::of(&manifest(kind, json!({}))).expect("a key"), replicas: 0 };
        assert_eq!(patch(&down(K::DaemonSet)), node(json!("true")));
        assert_eq!(patch(&down(K::CronJob)), hold(json!("true"), true));
        assert_eq!(patch(&down(K::StatefulSet)), count(0));
        let up = |kind| Size { replicas: 1, ..down(kind) };
        assert_eq!(patch(&up(K::DaemonSet)), node(Value::Null));
        assert_eq!(patch(&up(K::Job)), hold(Value::Null, false));
    }
}
