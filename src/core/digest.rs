//! Digests of rendered content: `D(rev, c)` of docs/rules.md.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::ids::{Digest, ObjectKey};

/// The digest of a colour's rendered objects: canonical JSON, sorted by identity, without `spec.replicas` of
/// workloads and the bounds of autoscalers, because size is no release (rule 7).
#[must_use]
pub fn of_objects<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Digest {
    let mut keyed: Vec<(Option<ObjectKey>, Value)> =
        objects.into_iter().map(|object| (ObjectKey::of(object), without_size(object))).collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    let mut hasher = Sha256::new();
    for (_, object) in &keyed {
        let mut text = String::new();
        canonical(object, &mut text);
        hasher.update(text.as_bytes());
        hasher.update(b"\n");
    }
    short(&hasher.finalize())
}

/// The digest of one JSON value, in canonical form.
#[must_use]
pub fn of_json(value: &Value) -> Digest {
    let mut text = String::new();
    canonical(value, &mut text);
    short(&Sha256::digest(text.as_bytes()))
}

fn short(hash: &[u8]) -> Digest {
    Digest::new(hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Workloads whose `spec.replicas` is a size.
const SIZED_KINDS: [&str; 4] = ["Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"];

/// An object without what is a matter of size (rule 7).
pub(crate) fn without_size(object: &Value) -> Value {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let fields: &[&str] = if SIZED_KINDS.contains(&kind) {
        &["replicas"]
    } else if kind == "HorizontalPodAutoscaler" {
        &["minReplicas", "maxReplicas"]
    } else {
        return object.clone();
    };
    let mut object = object.clone();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        for field in fields {
            spec.remove(*field);
        }
    }
    object
}

/// JSON with sorted keys and no spaces, whatever order the map keeps.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(&map[key], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn size_and_order_are_no_content() {
        let deployment = |replicas: u32, image: &str| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": replicas, "image": image}});
        let map =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"b": "1", "a": "2"}});
        let one = of_objects([&deployment(1, "x"), &map]);
        assert_eq!(one, of_objects([&map, &deployment(9, "x")]));
        assert_ne!(one, of_objects([&map, &deployment(1, "y")]));
    }
}
