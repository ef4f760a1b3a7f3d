//! What each verb does.

use std::sync::Arc;

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::api::errors::{ApiError, FieldError};
use crate::api::output::{Format, Output};
use crate::api::request::ApiRequest;
use crate::api::{Body, events, output, subresources, watching};
use crate::apply::{self, Author};
use crate::decode::{self, FieldValidation};
use crate::faults::Verb;
use crate::object;
use crate::patch::Patch;
use crate::resources::{PODS, Resource};
use crate::store::{Key, Transaction};
use crate::world::World;
use crate::writes::{Deletion, Write};

/// Answers a request for objects.
pub(crate) async fn perform(
    world: &Arc<World>,
    verb: Verb,
    resource: &'static Resource,
    request: ApiRequest,
) -> Result<Response<Body>, ApiError> {
    let door = events::stored_as(resource);
    if resource.group == "authorization.k8s.io" {
        return subresources::review(resource, &request);
    }
    match request.subresource.as_str() {
        "" => (),
        "status" if door.status => (),
        "finalize" if door.plural == "namespaces" => (),
        _ => return subresources::perform(world, verb, door, request).await,
    }
    let format = Format::of(&request);
    match verb {
        Verb::Get => {
            let key = key_of(door, &request)?;
            let found = match world.faults.stale() {
                Some(stale) if request.param("resourceVersion") == Some("0") => stale.get(&key),
                Some(_) | None => world.store.get(&key),
            };
            let object = found.ok_or_else(|| ApiError::not_found(resource, &key.name))?;
            Ok(Output { resource, format }.object(StatusCode::OK, &object, &[]))
        }
        Verb::List => list(world, resource, &request, format),
        Verb::Watch => watching::answer(world, resource, &request, format),
        Verb::Create => {
            let (object, warnings) = create(world, resource, &request)?;
            Ok(Output { resource, format }.object(StatusCode::CREATED, &object, &warnings))
        }
        Verb::Update => {
            let (object, warnings, status) = update(world, resource, &request)?;
            Ok(Output { resource, format }.object(status, &object, &warnings))
        }
        Verb::Patch => {
            let (object, warnings, status) = patch(world, resource, &request)?;
            Ok(Output { resource, format }.object(status, &object, &warnings))
        }
        Verb::Delete => delete(world, resource, &request, format),
        Verb::DeleteCollection => delete_all(world, resource, &request, format),
    }
}

/// Where the object lies that the request names.
pub(crate) fn key_of(resource: &'static Resource, request: &ApiRequest) -> Result<Key, ApiError> {
    let name = request.name.as_deref().ok_or_else(ApiError::method_not_allowed)?;
    if resource.namespaced && request.namespace.is_none() {
        return Err(ApiError::no_such_path());
    }
    Ok(Key::new(resource, request.namespace.clone().unwrap_or_default(), name))
}

fn list(
    world: &World,
    resource: &'static Resource,
    request: &ApiRequest,
    format: Format,
) -> Result<Response<Body>, ApiError> {
    let door = events::stored_as(resource);
    let selectors = request.selectors(door)?;
    let namespace = request.namespace.as_deref();
    let (version, mut objects) = match world.faults.stale() {
        Some(stale) => (stale.version, stale.list(door, namespace)),
        None => world.store.list(door, namespace),
    };
    if let Some(asked) = request.param("resourceVersion").and_then(|asked| asked.parse::<u64>().ok())
        && asked > version
    {
        return Err(ApiError::version_too_large(asked, version));
    }
    objects.retain(|object| selectors.matches(object));
    let page = output::page(request, version, &mut objects)?;
    Ok(Output { resource, format }.list(page.version, page.token, page.remaining, &objects))
}

/// A write's parts that come from the request.
fn write_of<'a>(request: &'a ApiRequest, manager: &'a str) -> Result<Write<'a>, ApiError> {
    Ok(Write {
        manager,
        subresource: if request.subresource == "finalize" { "" } else { &request.subresource },
        dry_run: request.is_dry_run()?,
        is_applied: false,
        is_client: true,
    })
}

fn check_kind(resource: &Resource, object: &Value) -> Result<(), ApiError> {
    let (version, kind) = (object::text(object, "/apiVersion"), object::text(object, "/kind"));
    if (version.is_empty() || version == resource.api_version()) && (kind.is_empty() || kind == resource.kind) {
        return Ok(());
    }
    let wanted = resource.api_version();
    Err(ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): {kind} in version {version:?} cannot be handled as a \
         {} in {wanted:?}",
        resource.kind, resource.kind
    )))
}

/// The name in an object is the name in the URL.
fn check_named(key: &Key, named: &str) -> Result<(), ApiError> {
    if named == key.name {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "the name of the object ({named}) does not match the name on the URL ({})",
        key.name
    )))
}

/// The object that a request brings, as it is stored, with what there is to warn of.
fn brought(resource: &'static Resource, request: &ApiRequest) -> Result<(Value, Vec<String>), ApiError> {
    let door = events::stored_as(resource);
    let mut object = request.object()?;
    check_kind(resource, &object)?;
    events::to_stored(resource, &mut object);
    let warnings = decode::decode(door, &mut object, request.field_validation()?)?;
    place(request, door, &mut object)?;
    Ok((object, warnings))
}

/// The request's namespace belongs to the object; another one in the object is an error.
fn place(request: &ApiRequest, resource: &Resource, object: &mut Value) -> Result<(), ApiError> {
    let Some(namespace) = request.namespace.as_deref().filter(|_| resource.namespaced) else { return Ok(()) };
    let own = object::namespace(object);
    if !own.is_empty() && own != namespace {
        return Err(ApiError::bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the request ({own} != {namespace})"
        )));
    }
    object::child(object, "metadata")["namespace"] = json!(namespace);
    Ok(())
}

fn create(
    world: &World,
    resource: &'static Resource,
    request: &ApiRequest,
) -> Result<(Arc<Value>, Vec<String>), ApiError> {
    if request.name.is_some() {
        return Err(ApiError::method_not_allowed());
    }
    let door = events::stored_as(resource);
    if door.namespaced && request.namespace.is_none() {
        return Err(ApiError::no_such_path());
    }
    let (object, warnings) = brought(resource, request)?;
    let manager = request.manager();
    let write = write_of(request, &manager)?;
    let created = world.store.transaction(|transaction| world.create(transaction, door, object, write))?;
    Ok((created, warnings))
}

fn update(
    world: &World,
    resource: &'static Resource,
    request: &ApiRequest,
) -> Result<(Arc<Value>, Vec<String>, StatusCode), ApiError> {
    let door = events::stored_as(resource);
    let key = key_of(door, request)?;
    let (object, warnings) = brought(resource, request)?;
    check_named(&key, object::name(&object))?;
    let manager = request.manager();
    let write = write_of(request, &manager)?;
    let (stored, status) = world.store.transaction(|transaction| {
        let Some(old) = transaction.get(&key) else {
            // Leases may be created by their first update, most other kinds may not.
            if door.plural == "leases" && request.subresource.is_empty() {
                return world.create(transaction, door, object, write).map(|object| (object, StatusCode::CREATED));
            }
            return Err(ApiError::not_found(resource, &key.name));
        };
        if door.plural == "leases" && object::resource_version(&object).is_empty() {
            let why = FieldError::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
            return Err(ApiError::invalid(door, &key.name, &[why]));
        }
        world.replace(transaction, &key, &old, object, write).map(|object| (object, StatusCode::OK))
    })?;
    Ok((stored, warnings, status))
}

fn patch(
    world: &World,
    resource: &'static Resource,
    request: &ApiRequest,
) -> Result<(Arc<Value>, Vec<String>, StatusCode), ApiError> {
    let door = events::stored_as(resource);
    let key = key_of(door, request)?;
    let patch = Patch::read(request.content_type(), &request.body)?;
    let validation = request.field_validation()?;
    let manager = request.manager();
    let write = write_of(request, &manager)?;
    if let Patch::Apply(config) = patch {
        return server_side_apply(world, door, request, key, config, write);
    }
    if request.param("force").is_some() {
        return Err(ApiError::invalid_patch_options("force", "may not be specified for non-apply patch"));
    }
    world.store.transaction(|transaction| {
        let old = transaction.get(&key).ok_or_else(|| ApiError::not_found(resource, &key.name))?;
        let mut new = patch.changed(door, &events::shown(resource, &old))?;
        events::to_stored(resource, &mut new);
        let warnings = decode::decode(door, &mut new, validation)?;
        check_unmoved(door, &key, &old, &new)?;
        let stored = world.replace(transaction, &key, &old, new, write)?;
        Ok((stored, warnings, StatusCode::OK))
    })
}

/// A patch may not turn an object into another one.
fn check_unmoved(resource: &Resource, key: &Key, old: &Value, new: &Value) -> Result<(), ApiError> {
    if old["apiVersion"] != new["apiVersion"] || old["kind"] != new["kind"] {
        check_kind(resource, new)?;
    }
    check_named(key, object::name(new))?;
    if object::namespace(new) != key.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the object does not match the namespace on the request".to_owned(),
        ));
    }
    Ok(())
}

fn server_side_apply(
    world: &World,
    resource: &'static Resource,
    request: &ApiRequest,
    key: Key,
    mut config: Value,
    write: Write<'_>,
) -> Result<(Arc<Value>, Vec<String>, StatusCode), ApiError> {
    if request.param("fieldManager").is_none_or(str::is_empty) {
        return Err(ApiError::invalid_patch_options("fieldManager", "is required for apply patch"));
    }
    if object::text(&config, "/apiVersion").is_empty() || object::text(&config, "/kind").is_empty() {
        return Err(ApiError::bad_request("apiVersion and kind must be set in an apply patch"));
    }
    check_kind(resource, &config)?;
    if config.pointer("/metadata/managedFields").is_some_and(|managed| !managed.is_null()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    request.field_validation()?;
    decode::decode_applied(resource, &mut config, &format!("{}/{}", key.namespace, key.name))?;
    place(request, resource, &mut config)?;
    let named = object::name(&config);
    if !named.is_empty() {
        check_named(&key, named)?;
    }
    object::child(&mut config, "metadata")["name"] = json!(key.name);
    let force = matches!(request.param("force"), Some("true" | "1"));
    let time = world.options.clock.seconds();
    let author = Author { manager: write.manager, subresource: write.subresource, time: &time };
    let write = Write { is_applied: true, ..write };
    world.store.transaction(|transaction| {
        let old = transaction.get(&key);
        // An apply's own resourceVersion and uid are preconditions, not fields to own.
        let (version, uid) = take_preconditions(&mut config);
        let conflict = |conflicts: apply::Conflicts| ApiError::apply_conflict(&conflicts);
        let Some(old) = old else {
            return apply_new(world, transaction, &key, &config, author, write, (version.is_some(), uid.is_some()))
                .map(|object| (object, Vec::new(), StatusCode::CREATED));
        };
        let mut merged = apply::apply(resource, Some(&old), &config, author, force).map_err(conflict)?;
        if let Some(version) = version {
            merged["metadata"]["resourceVersion"] = version;
        }
        if let Some(uid) = uid {
            merged["metadata"]["uid"] = uid;
        }
        decode::decode(resource, &mut merged, FieldValidation::Ignore)?;
        let stored = world.replace(transaction, &key, &old, merged, write)?;
        Ok((stored, Vec::new(), StatusCode::OK))
    })
}

fn take_preconditions(config: &mut Value) -> (Option<Value>, Option<Value>) {
    let metadata = object::child(config, "metadata");
    (object::remove(metadata, "resourceVersion"), object::remove(metadata, "uid"))
}

fn apply_new(
    world: &World,
    transaction: &mut Transaction<'_>,
    key: &Key,
    config: &Value,
    author: Author<'_>,
    write: Write<'_>,
    (has_version, has_uid): (bool, bool),
) -> Result<Arc<Value>, ApiError> {
    let resource = key.resource();
    if !write.subresource.is_empty() {
        return Err(ApiError::not_found(resource, &key.name));
    }
    if has_version {
        return Err(ApiError::modified(resource, &key.name));
    }
    if has_uid {
        let why = "uid mismatch: the provided object specified a uid, and no existing object was found";
        return Err(ApiError::conflict(resource, &key.name, why));
    }
    let object =
        apply::apply(resource, None, config, author, true).map_err(|conflicts| ApiError::apply_conflict(&conflicts))?;
    world.create(transaction, resource, object, write)
}

/// What a deletion's body and parameters ask for.
pub(crate) fn deletion(request: &ApiRequest) -> Result<Deletion, ApiError> {
    let body = if request.body.is_empty() { json!({}) } else { request.object()? };
    let parameter = |name: &str| request.param(name).map(str::to_owned);
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let mut propagation = text("/propagationPolicy").or_else(|| parameter("propagationPolicy")).unwrap_or_default();
    let orphans =
        body["orphanDependents"].as_bool().or_else(|| parameter("orphanDependents").map(|text| text == "true"));
    if propagation.is_empty() && orphans == Some(true) {
        "Orphan".clone_into(&mut propagation);
    }
    let dry_run =
        request.is_dry_run()? || body["dryRun"].as_array().is_some_and(|list| list.iter().any(|item| item == "All"));
    Ok(Deletion {
        grace_seconds: body["gracePeriodSeconds"]
            .as_i64()
            .or_else(|| parameter("gracePeriodSeconds").and_then(|text| text.parse().ok())),
        propagation,
        uid: text("/preconditions/uid"),
        resource_version: text("/preconditions/resourceVersion"),
        dry_run,
    })
}

fn delete(
    world: &World,
    resource: &'static Resource,
    request: &ApiRequest,
    format: Format,
) -> Result<Response<Body>, ApiError> {
    let door = events::stored_as(resource);
    let key = key_of(door, request)?;
    let deletion = deletion(request)?;
    let (last, is_gone) = world.store.transaction(|transaction| world.delete(transaction, &key, &deletion))?;
    let shows_object =
        !is_gone || matches!(door.plural, "pods" | "services" | "serviceaccounts" | "persistentvolumeclaims");
    if shows_object {
        return Ok(Output { resource, format }.object(StatusCode::OK, &last, &[]));
    }
    let mut details = json!({"name": key.name, "kind": door.plural, "uid": object::uid(&last)});
    if !door.group.is_empty() {
        details["group"] = json!(door.group);
    }
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    Ok(crate::api::json(StatusCode::OK, &status))
}

fn delete_all(
    world: &World,
    resource: &'static Resource,
    request: &ApiRequest,
    format: Format,
) -> Result<Response<Body>, ApiError> {
    let door = events::stored_as(resource);
    if door.plural == "namespaces" || door.plural == "services" && request.namespace.is_none() {
        return Err(ApiError::method_not_allowed());
    }
    let selectors = request.selectors(door)?;
    let deletion = deletion(request)?;
    let (version, mut objects) = world.store.list(door, request.namespace.as_deref());
    objects.retain(|object| selectors.matches(object));
    for object in &objects {
        let key = Key::of(door, object);
        match world.store.transaction(|transaction| world.delete(transaction, &key, &deletion)) {
            Err(error) if error.reason != "NotFound" => return Err(error),
            Ok(_) | Err(_) => (),
        }
    }
    Ok(Output { resource, format }.list(version, None, None, &objects))
}

/// The pod that a request for one of its subresources names.
pub(crate) fn pod_of(world: &World, request: &ApiRequest) -> Result<(Key, Arc<Value>), ApiError> {
    let key = key_of(*PODS, request)?;
    let pod = world.store.get(&key).ok_or_else(|| ApiError::not_found(*PODS, &key.name))?;
    Ok((key, pod))
}
