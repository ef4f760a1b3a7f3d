//! The patch types that change an object without managed fields: JSON Patch, merge patch, strategic merge patch.

mod strategic;

use serde_json::Value;

use crate::api::errors::ApiError;
use crate::resources::Resource;
use crate::schema;

/// Operations in one JSON Patch; the real server's limit.
const JSON_PATCH_OPERATIONS_MAX: usize = 10_000;

/// A patch as it came in.
#[derive(Clone, Debug)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' own, which merges lists by key.
    Strategic(Value),
    /// Server-side apply's configuration.
    Apply(Value),
}

impl Patch {
    /// Reads a request's body by its content type.
    pub(crate) fn read(content_type: &str, body: &[u8]) -> Result<Patch, ApiError> {
        let mime = content_type.split(';').next().unwrap_or_default().trim();
        match mime {
            "application/json-patch+json" => {
                let patch: json_patch::Patch = serde_json::from_slice(body)
                    .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
                if patch.0.len() > JSON_PATCH_OPERATIONS_MAX {
                    return Err(ApiError::too_large());
                }
                Ok(Patch::Json(patch))
            }
            "application/merge-patch+json" => Ok(Patch::Merge(map(body)?)),
            "application/strategic-merge-patch+json" => Ok(Patch::Strategic(map(body)?)),
            "application/apply-patch+yaml" | "application/apply-patch+json" => Ok(Patch::Apply(yaml(body)?)),
            other => Err(ApiError::unsupported_media_type(other)),
        }
    }

    /// The patched object. Server-side apply is no change of one object alone, and is not done here.
    pub(crate) fn changed(&self, resource: &Resource, object: &Value) -> Result<Value, ApiError> {
        let mut changed = object.clone();
        match self {
            Patch::Json(patch) => {
                json_patch::patch(&mut changed, &patch.0).map_err(|_| ApiError::unprocessable())?;
                if !changed.is_object() {
                    return Err(ApiError::unprocessable());
                }
            }
            Patch::Merge(patch) => json_patch::merge(&mut changed, patch),
            Patch::Strategic(_) if resource.group == "gateway.networking.k8s.io" => {
                return Err(ApiError::unsupported_media_type("application/strategic-merge-patch+json"));
            }
            Patch::Strategic(patch) => strategic::merge(&mut changed, patch, schema::of(resource))?,
            Patch::Apply(_) => return Err(ApiError::bad_request("an apply is not a patch of one object")),
        }
        Ok(changed)
    }
}

fn map(body: &[u8]) -> Result<Value, ApiError> {
    let patch: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    if patch.is_object() { Ok(patch) } else { Err(ApiError::bad_request("error decoding patch: it is no object")) }
}

/// A body in YAML, of which JSON is a part.
pub(crate) fn yaml(body: &[u8]) -> Result<Value, ApiError> {
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        return Ok(value);
    }
    let text =
        std::str::from_utf8(body).map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))?;
    serde_yaml::from_str(text).map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))
}
