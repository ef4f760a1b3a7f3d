//! Scale, logs, eviction, binding, proxies, and the answers to "may I?".

use std::sync::Arc;

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::api::errors::ApiError;
use crate::api::request::ApiRequest;
use crate::api::{Body, logs, proxy, verbs};
use crate::controllers::budget;
use crate::faults::Verb;
use crate::object::{self, int, text};
use crate::patch::Patch;
use crate::resources::Resource;
use crate::store::Key;
use crate::world::World;
use crate::writes::{Deletion, Write};

/// Answers a request for a subresource other than `status`.
pub(crate) async fn perform(
    world: &Arc<World>,
    verb: Verb,
    resource: &'static Resource,
    request: ApiRequest,
) -> Result<Response<Body>, ApiError> {
    match (resource.plural, request.subresource.as_str()) {
        (_, "scale") if resource.scale => scale(world, verb, resource, &request),
        ("pods", "log") => logs::answer(world, &request),
        ("pods" | "services", "proxy") => proxy::answer(world, resource, request).await,
        ("pods", "eviction") if verb == Verb::Create => evict(world, &request),
        ("serviceaccounts", "token") if verb == Verb::Create => {
            let expires = world.options.clock.now() + jiff::SignedDuration::from_hours(1);
            let status =
                json!({"token": "sandbox", "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()});
            let answer = json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "status": status});
            Ok(crate::api::json(StatusCode::CREATED, &answer))
        }
        _ => Err(ApiError::no_such_path()),
    }
}

fn evict(world: &World, request: &ApiRequest) -> Result<Response<Body>, ApiError> {
    let (key, pod) = verbs::pod_of(world, request)?;
    budget::check_eviction(world, &key, &pod)?;
    let body = request.object()?;
    let grace_seconds = int(&body, "/deleteOptions/gracePeriodSeconds");
    let deletion = Deletion { grace_seconds, ..Deletion::default() };
    world.store.transaction(|transaction| world.delete(transaction, &key, &deletion))?;
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(crate::api::json(StatusCode::CREATED, &status))
}

fn shown(object: &Value) -> Value {
    let labels = object::map(object, "/spec/selector/matchLabels").into_iter().flatten();
    let selector: Vec<_> =
        labels.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": object::name(object),
            "namespace": object::namespace(object),
            "uid": object::uid(object),
            "resourceVersion": object::resource_version(object),
            "creationTimestamp": object["metadata"]["creationTimestamp"],
        },
        "spec": {"replicas": int(object, "/spec/replicas").unwrap_or(0)},
        "status": {"replicas": int(object, "/status/replicas").unwrap_or(0), "selector": selector.join(",")},
    })
}

fn scale(
    world: &World,
    verb: Verb,
    resource: &'static Resource,
    request: &ApiRequest,
) -> Result<Response<Body>, ApiError> {
    let key = verbs::key_of(resource, request)?;
    if verb == Verb::Get {
        let object = world.store.get(&key).ok_or_else(|| ApiError::not_found(resource, &key.name))?;
        return Ok(crate::api::json(StatusCode::OK, &shown(&object)));
    }
    let manager = request.manager();
    let write = Write {
        manager: &manager,
        subresource: "scale",
        dry_run: request.is_dry_run()?,
        is_applied: false,
        is_client: true,
    };
    let change = match verb {
        Verb::Update => Change::Replace(request.object()?),
        Verb::Patch => Change::Patch(Patch::read(request.content_type(), &request.body)?),
        Verb::Get | Verb::List | Verb::Watch | Verb::Create | Verb::Delete | Verb::DeleteCollection => {
            return Err(ApiError::method_not_allowed());
        }
    };
    let stored = world.store.transaction(|transaction| {
        let old = transaction.get(&key).ok_or_else(|| ApiError::not_found(resource, &key.name))?;
        let scale = change.changed(resource, &shown(&old))?;
        let mut new = Value::clone(&old);
        new["spec"]["replicas"] = json!(int(&scale, "/spec/replicas").unwrap_or(0));
        new["metadata"]["resourceVersion"] = json!(text(&scale, "/metadata/resourceVersion"));
        world.replace(transaction, &Key::clone(&key), &old, new, write)
    })?;
    Ok(crate::api::json(StatusCode::OK, &shown(&stored)))
}

/// A change of a `Scale`.
enum Change {
    Replace(Value),
    Patch(Patch),
}

impl Change {
    fn changed(&self, resource: &Resource, scale: &Value) -> Result<Value, ApiError> {
        match self {
            Change::Replace(wanted) => Ok(wanted.clone()),
            Change::Patch(Patch::Apply(config)) => {
                let mut scale = scale.clone();
                scale["spec"]["replicas"] = config["spec"]["replicas"].clone();
                Ok(scale)
            }
            Change::Patch(patch) => patch.changed(resource, scale),
        }
    }
}

/// Everybody may do everything here.
pub(crate) fn review(resource: &'static Resource, request: &ApiRequest) -> Result<Response<Body>, ApiError> {
    let mut review = request.object()?;
    review["status"] = match resource.kind {
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        _ => json!({"allowed": true, "reason": "the sandbox allows everything"}),
    };
    Ok(crate::api::json(StatusCode::CREATED, &review))
}
