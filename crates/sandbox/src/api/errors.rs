//! Errors as the API server words them: `Status` objects with reason, code and details.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::resources::Resource;

/// A `Status` of failure.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) code: StatusCode,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: Value,
}

/// One wrong field.
#[derive(Clone, Debug)]
pub(crate) struct FieldError {
    /// `FieldValueInvalid`, `FieldValueRequired`, ...
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

impl FieldError {
    pub(crate) fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        let message = format!("Invalid value: {}: {why}", shown(value));
        FieldError { reason: "FieldValueInvalid", field: field.into(), message }
    }

    pub(crate) fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        FieldError { reason: "FieldValueRequired", field: field.into(), message }
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        FieldError { reason: "FieldValueForbidden", field: field.into(), message: format!("Forbidden: {why}") }
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        FieldError {
            reason: "FieldValueDuplicate",
            field: field.into(),
            message: format!("Duplicate value: {}", shown(value)),
        }
    }

    pub(crate) fn unsupported(field: impl Into<String>, value: &Value, known: &[&str]) -> Self {
        let known: Vec<_> = known.iter().map(|word| format!("{word:?}")).collect();
        FieldError {
            reason: "FieldValueNotSupported",
            field: field.into(),
            message: format!("Unsupported value: {}: supported values: {}", shown(value), known.join(", ")),
        }
    }
}

fn shown(value: &Value) -> String {
    value.to_string()
}

impl ApiError {
    fn of(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        ApiError { code, reason, message: message.into(), details: Value::Null }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        let mut details = json!({"kind": resource.plural});
        if !name.is_empty() {
            details["name"] = Value::from(name);
        }
        if !resource.group.is_empty() {
            details["group"] = Value::from(resource.group);
        }
        self.details = details;
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        ApiError::of(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// What the server's handlers return without a status of their own: 500, without a reason.
    pub(crate) fn unforeseen(message: impl Into<String>) -> Self {
        ApiError::of(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        ApiError::of(StatusCode::NOT_FOUND, "NotFound", message).about(resource, name)
    }

    pub(crate) fn no_such_path() -> Self {
        let mut error =
            ApiError::of(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource");
        error.details = json!({});
        error
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified());
        ApiError::of(StatusCode::CONFLICT, "AlreadyExists", message).about(resource, name)
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified());
        ApiError::of(StatusCode::CONFLICT, "Conflict", message).about(resource, name)
    }

    pub(crate) fn modified(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        ApiError::conflict(resource, name, why)
    }

    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} {name:?} is forbidden: {why}", resource.qualified());
        ApiError::of(StatusCode::FORBIDDEN, "Forbidden", message).about(resource, name)
    }

    /// What an admission policy denies.
    pub(crate) fn denied(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} {name:?} is forbidden: {why}", resource.qualified());
        ApiError::of(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).about(resource, name)
    }

    /// An eviction that a disruption budget does not allow.
    pub(crate) fn budget_exceeded(why: &str) -> Self {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        let mut error = ApiError::of(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
        error.details = json!({"causes": [{"reason": "DisruptionBudget", "message": why}]});
        error
    }

    pub(crate) fn unauthorized() -> Self {
        ApiError::of(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn method_not_allowed() -> Self {
        let mut error = ApiError::of(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        error.details = json!({});
        error
    }

    pub(crate) fn unsupported_media_type(given: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, \
             application/apply-patch+yaml (was {given})"
        );
        ApiError::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    pub(crate) fn too_large() -> Self {
        ApiError::of(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "limit is 3145728")
    }

    /// What a watch or a continued list is told whose version is forgotten.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        ApiError::of(StatusCode::GONE, "Expired", message)
    }

    /// A version that does not exist yet.
    pub(crate) fn version_too_large(asked: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {asked}, current: {current}");
        let mut error = ApiError::of(StatusCode::GATEWAY_TIMEOUT, "Timeout", message);
        error.details = json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        });
        error
    }

    /// A JSON patch that can't be applied, a failed `test` included.
    pub(crate) fn unprocessable() -> Self {
        let message = "the server rejected our request due to an error in our request";
        let mut error = ApiError::of(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        error.details = json!({});
        error
    }

    pub(crate) fn invalid(resource: &Resource, name: &str, errors: &[FieldError]) -> Self {
        let described: Vec<_> = errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
        let described = match described.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let kind = if resource.group.is_empty() {
            resource.kind.to_owned()
        } else {
            format!("{}.{}", resource.kind, resource.group)
        };
        let mut error = ApiError::of(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            format!("{kind} {name:?} is invalid: {described}"),
        );
        let causes: Vec<_> = errors
            .iter()
            .map(|error| json!({"reason": error.reason, "message": error.message, "field": error.field}))
            .collect();
        error.details = json!({"name": name, "kind": resource.kind, "causes": causes});
        if !resource.group.is_empty() {
            error.details["group"] = Value::from(resource.group);
        }
        error
    }

    /// Wrong parameters of a patch.
    pub(crate) fn invalid_patch_options(field: &str, why: &str) -> Self {
        let message = format!("PatchOptions.meta.k8s.io \"\" is invalid: {field}: Required value: {why}");
        let mut error = ApiError::of(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        error.details = json!({
            "group": "meta.k8s.io",
            "kind": "PatchOptions",
            "causes": [{"reason": "FieldValueRequired", "message": format!("Required value: {why}"), "field": field}],
        });
        error
    }

    /// Fields that other managers own and a server-side apply would change.
    pub(crate) fn apply_conflict(conflicts: &[(String, String)]) -> Self {
        let mut by_manager: Vec<(&str, Vec<&str>)> = Vec::new();
        for (manager, field) in conflicts {
            match by_manager.iter_mut().find(|(known, _)| known == manager) {
                Some((_, fields)) => fields.push(field),
                None => by_manager.push((manager, vec![field])),
            }
        }
        let described: Vec<_> = by_manager
            .iter()
            .map(|(manager, fields)| match fields.as_slice() {
                [one] => format!("conflict with {manager}: {one}"),
                several => {
                    let lines: Vec<_> = several.iter().map(|field| format!("- {field}")).collect();
                    format!("conflicts with {manager}:\n{}", lines.join("\n"))
                }
            })
            .collect();
        let noun = if conflicts.len() == 1 { "conflict" } else { "conflicts" };
        let message = format!("Apply failed with {} {noun}: {}", conflicts.len(), described.join("\n"));
        let causes: Vec<_> = conflicts
            .iter()
            .map(|(manager, field)| {
                json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": field})
            })
            .collect();
        let mut error = ApiError::of(StatusCode::CONFLICT, "Conflict", message);
        error.details = json!({"causes": causes});
        error
    }

    /// A failure that a test asked for.
    pub(crate) fn injected(code: u16) -> Self {
        let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (reason, message) = match code.as_u16() {
            403 => ("Forbidden", "forbidden: injected by the sandbox"),
            404 => ("NotFound", "the server could not find the requested resource"),
            409 => (
                "Conflict",
                "the object has been modified; please apply your changes to the latest version and try again",
            ),
            410 => ("Expired", "too old resource version"),
            422 => ("Invalid", "the server rejected our request due to an error in our request"),
            429 => ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "the server was unable to return a response in the time allotted"),
            _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
        };
        let mut error = ApiError::of(code, reason, message);
        if code.as_u16() == 429 {
            error.details = json!({"retryAfterSeconds": 1});
        }
        error
    }

    pub(crate) fn service_unavailable(message: impl Into<String>) -> Self {
        ApiError::of(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// The `Status` object.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code.as_u16(),
        });
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}
