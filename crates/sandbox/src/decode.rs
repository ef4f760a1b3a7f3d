//! Reading objects as their types: wrong types are refused, unknown fields found, as the server's decoder does.

use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch, coordination::v1 as coordination,
    core::v1 as core, discovery::v1 as discovery, networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::api::errors::ApiError;
use crate::resources::Resource;

/// What a client wants to happen to unknown fields (`fieldValidation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// Drop them.
    Ignore,
    /// Drop them and warn: the default.
    Warn,
    /// Refuse the request.
    Strict,
}

/// Checks the types of an object's fields and takes unknown ones out; answers with the warnings for the client.
pub(crate) fn decode(
    resource: &Resource,
    object: &mut Value,
    validation: FieldValidation,
) -> Result<Vec<String>, ApiError> {
    let unknown = take_unknown(resource, object)?;
    if unknown.is_empty() || validation == FieldValidation::Ignore {
        return Ok(Vec::new());
    }
    let described: Vec<_> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
    if validation == FieldValidation::Strict {
        let Resource { kind, version, .. } = resource;
        let message = format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {}",
            described.join(", ")
        );
        return Err(ApiError::bad_request(message));
    }
    Ok(described)
}

/// The same for an apply: the server reads it by its schema, and a field that is not in there is an error whatever the
/// client wants to happen to unknown fields. `object` is what the server calls it: `namespace/name`.
pub(crate) fn decode_applied(resource: &Resource, config: &mut Value, object: &str) -> Result<(), ApiError> {
    let unknown = take_unknown(resource, config)?;
    let described: Vec<_> = unknown.iter().map(|path| format!(".{path}: field not declared in schema")).collect();
    let described = match described.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        several => format!("errors:\n  {}", several.join("\n  ")),
    };
    let version = match resource.group {
        "" => format!("/{}", resource.version),
        group => format!("{group}/{}", resource.version),
    };
    let kind = resource.kind;
    Err(ApiError::unforeseen(format!(
        "failed to create typed patch object ({object}; {version}, Kind={kind}): {described}"
    )))
}

/// Takes out what the type does not have, and answers with the paths.
fn take_unknown(resource: &Resource, object: &mut Value) -> Result<Vec<String>, ApiError> {
    crate::object::drop_nulls(object);
    let typed = match round_trip(resource, object) {
        None => return Ok(Vec::new()),
        Some(Ok(typed)) => typed,
        Some(Err(error)) => {
            let Resource { kind, version, .. } = resource;
            let message = format!("{kind} in version {version:?} cannot be handled as a {kind}: json: {error}");
            return Err(ApiError::bad_request(message));
        }
    };
    let mut unknown = Vec::new();
    drop_unknown(object, &typed, "", &mut unknown);
    Ok(unknown)
}

fn round_trip(resource: &Resource, object: &Value) -> Option<serde_json::Result<Value>> {
    fn through<T: DeserializeOwned + Serialize>(object: &Value) -> serde_json::Result<Value> {
        serde_json::to_value(T::deserialize(object)?)
    }
    Some(match (resource.group, resource.kind) {
        ("", "Namespace") => through::<core::Namespace>(object),
        ("", "Pod") => through::<core::Pod>(object),
        ("", "Service") => through::<core::Service>(object),
        ("", "Endpoints") => through::<core::Endpoints>(object),
        ("", "ConfigMap") => through::<core::ConfigMap>(object),
        // `stringData` is written only; the typed struct has it all the same.
        ("", "Secret") => through::<core::Secret>(object),
        ("", "Event") => through::<core::Event>(object),
        ("", "ServiceAccount") => through::<core::ServiceAccount>(object),
        ("", "PersistentVolumeClaim") => through::<core::PersistentVolumeClaim>(object),
        ("", "ResourceQuota") => through::<core::ResourceQuota>(object),
        ("apps", "Deployment") => through::<apps::Deployment>(object),
        ("apps", "ReplicaSet") => through::<apps::ReplicaSet>(object),
        ("apps", "StatefulSet") => through::<apps::StatefulSet>(object),
        ("apps", "DaemonSet") => through::<apps::DaemonSet>(object),
        ("batch", "Job") => through::<batch::Job>(object),
        ("batch", "CronJob") => through::<batch::CronJob>(object),
        ("autoscaling", _) => through::<autoscaling::HorizontalPodAutoscaler>(object),
        ("policy", _) => through::<policy::PodDisruptionBudget>(object),
        ("networking.k8s.io", "Ingress") => through::<networking::Ingress>(object),
        ("networking.k8s.io", "NetworkPolicy") => through::<networking::NetworkPolicy>(object),
        ("discovery.k8s.io", _) => through::<discovery::EndpointSlice>(object),
        ("coordination.k8s.io", _) => through::<coordination::Lease>(object),
        ("rbac.authorization.k8s.io", "Role") => through::<rbac::Role>(object),
        ("rbac.authorization.k8s.io", "RoleBinding") => through::<rbac::RoleBinding>(object),
        ("rbac.authorization.k8s.io", "ClusterRole") => through::<rbac::ClusterRole>(object),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding") => through::<rbac::ClusterRoleBinding>(object),
        _ => return None,
    })
}

/// Removes what the type does not have. `apiVersion` and `kind` are always known.
fn drop_unknown(given: &mut Value, typed: &Value, path: &str, unknown: &mut Vec<String>) {
    match (given, typed) {
        (Value::Object(given), Value::Object(typed)) => {
            given.retain(|name, _| {
                let known =
                    typed.contains_key(name) || (path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind"));
                if !known {
                    unknown.push(join(path, name));
                }
                known
            });
            for (name, inner) in given {
                if let Some(typed) = typed.get(name) {
                    drop_unknown(inner, typed, &join(path, name), unknown);
                }
            }
        }
        (Value::Array(given), Value::Array(typed)) => {
            for (at, (inner, typed)) in given.iter_mut().zip(typed).enumerate() {
                drop_unknown(inner, typed, &format!("{path}[{at}]"), unknown);
            }
        }
        _ => (),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
