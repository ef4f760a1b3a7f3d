//! What every write goes through, a client's or a controller's: preconditions, defaults, validation, generation, managed fields.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::admission::{self, Attempt};
use crate::api::errors::ApiError;
use crate::apply::{self, Author};
use crate::defaults;
use crate::network::service;
use crate::object::{self, text};
use crate::quota;
use crate::resources::{NAMESPACES, Resource, SERVICE_ACCOUNTS};
use crate::store::{Key, Transaction};
use crate::validate;
use crate::world::World;

/// Characters that generated names end in, without vowels and look-alikes, as Kubernetes has them.
pub(crate) const SAFE_CHARACTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The length of a generated name's random end.
const SUFFIX_CHARS: usize = 5;

/// How a write is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write<'a> {
    pub(crate) manager: &'a str,
    /// `status`, `scale`, or empty for the object itself.
    pub(crate) subresource: &'a str,
    pub(crate) dry_run: bool,
    /// Whether `managedFields` are already what they are to be (after an apply).
    pub(crate) is_applied: bool,
    /// Whether a client asks, whose objects are validated.
    pub(crate) is_client: bool,
}

impl Write<'_> {
    /// A controller's or the kubelet's own write.
    pub(crate) fn by(manager: &'static str, subresource: &'static str) -> Write<'static> {
        Write { manager, subresource, dry_run: false, is_applied: false, is_client: false }
    }
}

/// How an object is to be deleted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deletion {
    pub(crate) grace_seconds: Option<i64>,
    /// `Background`, `Foreground`, `Orphan`, or empty.
    pub(crate) propagation: String,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) dry_run: bool,
}

/// Namespaces that the server does not let go.
const PERMANENT_NAMESPACES: [&str; 3] = ["default", "kube-system", "kube-public"];

/// The finalizer of a foreground deletion.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";

/// The finalizer of an orphaning deletion.
pub(crate) const ORPHAN: &str = "orphan";

impl World {
    /// Stores a new object.
    pub(crate) fn create(
        &self,
        transaction: &mut Transaction<'_>,
        resource: &'static Resource,
        mut object: Value,
        write: Write<'_>,
    ) -> Result<Arc<Value>, ApiError> {
        let namespace = if resource.namespaced { object::namespace(&object).to_owned() } else { String::new() };
        if resource.namespaced {
            check_namespace(transaction, resource, &namespace, object::name(&object))?;
        }
        generate_name(&mut object);
        let key = Key::new(resource, namespace, object::name(&object));
        if transaction.get(&key).is_some() {
            return Err(ApiError::already_exists(resource, &key.name));
        }
        object["apiVersion"] = Value::from(resource.api_version());
        object["kind"] = Value::from(resource.kind);
        let metadata = object::child(&mut object, "metadata");
        for field in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"] {
            object::remove(metadata, field);
        }
        if !resource.namespaced {
            object::remove(metadata, "namespace");
        }
        metadata["uid"] = Value::from(self.uid());
        metadata["creationTimestamp"] = Value::from(self.options.clock.seconds());
        if resource.generation {
            metadata["generation"] = json!(1);
        }
        if write.is_client && resource.status {
            object::remove(&mut object, "status");
        }
        defaults::fill(resource, &mut object);
        if resource.plural == "jobs" {
            defaults::job_selector(&mut object);
        }
        if write.is_client {
            refuse_invalid(resource, None, &object)?;
        }
        let attempt = Attempt { operation: "CREATE", resource, namespace: &key.namespace, old: None, new: &object };
        admission::check(transaction, &attempt)?;
        quota::check(transaction, resource, &key.namespace, &key.name)?;
        if resource.plural == "pods" {
            check_account(transaction, &key, &object)?;
        }
        if !write.is_applied {
            let time = self.options.clock.seconds();
            let author = Author { manager: write.manager, subresource: write.subresource, time: &time };
            apply::record_update(resource, None, &mut object, author);
        }
        // What the server allocates belongs to no manager.
        if resource.plural == "services" {
            service::allocate(self, None, &mut object)
                .map_err(|error| ApiError::invalid(resource, &key.name, &[error]))?;
        }
        if write.dry_run {
            if resource.plural == "services" {
                service::release(self, &object);
            }
            return Ok(Arc::new(object));
        }
        Ok(transaction.put(&key, object))
    }

    /// Stores a changed object, if it changed at all.
    pub(crate) fn replace(
        &self,
        transaction: &mut Transaction<'_>,
        key: &Key,
        old: &Arc<Value>,
        mut new: Value,
        write: Write<'_>,
    ) -> Result<Arc<Value>, ApiError> {
        let resource = key.resource();
        check_preconditions(key, old, &new)?;
        keep_server_fields(resource, old, &mut new, write);
        defaults::fill(resource, &mut new);
        if write.is_client && write.subresource != "status" {
            refuse_invalid(resource, Some(old), &new)?;
        }
        if resource.plural == "services" && write.subresource.is_empty() {
            if write.dry_run {
                // What would be allocated is not worth knowing, and must not leak.
            } else {
                service::allocate(self, Some(old), &mut new)
                    .map_err(|error| ApiError::invalid(resource, &key.name, &[error]))?;
            }
        }
        if write.subresource.is_empty() {
            let namespace = &key.namespace;
            let attempt = Attempt { operation: "UPDATE", resource, namespace, old: Some(old), new: &new };
            admission::check(transaction, &attempt)?;
        }
        if resource.generation && differs_beyond_metadata(old, &new) {
            let generation = object::int(old, "/metadata/generation").unwrap_or(0) + 1;
            new["metadata"]["generation"] = json!(generation);
        }
        if !write.is_applied {
            let time = self.options.clock.seconds();
            let author = Author { manager: write.manager, subresource: write.subresource, time: &time };
            apply::record_update(resource, Some(old), &mut new, author);
        }
        if new == **old {
            return Ok(Arc::clone(old));
        }
        if write.dry_run {
            return Ok(Arc::new(new));
        }
        if is_done(resource, &new) {
            transaction.put(key, new);
            return transaction.remove(key).ok_or_else(|| ApiError::not_found(resource, &key.name)).inspect(|last| {
                self.removed(key, last);
            });
        }
        Ok(transaction.put(key, new))
    }

    /// Deletes an object, or begins to: the last state, and whether it is gone.
    pub(crate) fn delete(
        &self,
        transaction: &mut Transaction<'_>,
        key: &Key,
        deletion: &Deletion,
    ) -> Result<(Arc<Value>, bool), ApiError> {
        let resource = key.resource();
        let old = transaction.get(key).ok_or_else(|| ApiError::not_found(resource, &key.name))?;
        check_deletion(key, &old, deletion)?;
        if resource.plural == "namespaces" && PERMANENT_NAMESPACES.contains(&key.name.as_str()) {
            return Err(ApiError::forbidden(resource, &key.name, "this namespace may not be deleted"));
        }
        let mut new = Value::clone(&old);
        let grace = grace_seconds(resource, &old, deletion);
        mark_finalizers(resource, &mut new, deletion);
        if resource.plural == "namespaces" {
            new["status"]["phase"] = json!("Terminating");
        }
        let has_finalizers = !object::list(&new, "/metadata/finalizers").is_empty() || resource.plural == "namespaces";
        if grace == 0 && !has_finalizers {
            if deletion.dry_run {
                return Ok((old, true));
            }
            let last = transaction.remove(key).ok_or_else(|| ApiError::not_found(resource, &key.name))?;
            self.removed(key, &last);
            return Ok((last, true));
        }
        let pending = object::int(&old, "/metadata/deletionGracePeriodSeconds");
        let is_sooner = pending.is_none_or(|pending| grace < pending);
        if !object::is_deleting(&old) || is_sooner {
            let due = self.options.clock.now() + jiff::SignedDuration::from_secs(grace);
            new["metadata"]["deletionTimestamp"] = Value::from(due.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
            new["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
            if resource.generation && !object::is_deleting(&old) {
                let generation = object::int(&old, "/metadata/generation").unwrap_or(0) + 1;
                new["metadata"]["generation"] = json!(generation);
            }
        }
        if new == *old || deletion.dry_run {
            return Ok((old, false));
        }
        Ok((transaction.put(key, new), false))
    }

    /// Gives back what an object held that is gone.
    fn removed(&self, key: &Key, last: &Value) {
        match key.resource().plural {
            "services" => service::release(self, last),
            "pods" => self.logs.forget(key),
            _ => (),
        }
    }
}

fn check_namespace(
    transaction: &Transaction<'_>,
    resource: &Resource,
    namespace: &str,
    name: &str,
) -> Result<(), ApiError> {
    let place = transaction.get(&Key::new(*NAMESPACES, "", namespace));
    let place = place.ok_or_else(|| ApiError::not_found(*NAMESPACES, namespace))?;
    if object::is_deleting(&place) {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut error = ApiError::forbidden(resource, name, &why);
        error.details["causes"] = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
        return Err(error);
    }
    Ok(())
}

/// A pod is refused until its own ServiceAccount is there. Every namespace has a `default` one, which is not stored here.
fn check_account(transaction: &Transaction<'_>, key: &Key, pod: &Value) -> Result<(), ApiError> {
    let account = text(pod, "/spec/serviceAccountName");
    let named = !matches!(account, "" | "default");
    if named && transaction.get(&Key::new(*SERVICE_ACCOUNTS, key.namespace.clone(), account)).is_none() {
        let place = format!("{}/{account}", key.namespace);
        let why = format!("error looking up service account {place}: serviceaccount {account:?} not found");
        return Err(ApiError::forbidden(key.resource(), &key.name, &why));
    }
    Ok(())
}

fn generate_name(object: &mut Value) {
    let prefix = text(object, "/metadata/generateName").to_owned();
    if object::name(object).is_empty() && !prefix.is_empty() {
        let name = format!("{prefix}{}", suffix());
        object["metadata"]["name"] = Value::from(name);
    }
}

/// A random end of a name.
pub(crate) fn suffix() -> String {
    (0..SUFFIX_CHARS).map(|_| char::from(SAFE_CHARACTERS[fastrand::usize(..SAFE_CHARACTERS.len())])).collect()
}

fn refuse_invalid(resource: &Resource, old: Option<&Value>, new: &Value) -> Result<(), ApiError> {
    let errors = validate::check(resource, old, new);
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(resource, object::name(new), &errors)) }
}

fn check_preconditions(key: &Key, old: &Value, new: &Value) -> Result<(), ApiError> {
    let resource = key.resource();
    let uid = object::uid(new);
    if !uid.is_empty() && uid != object::uid(old) {
        let had = object::uid(old);
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {had}");
        return Err(ApiError::conflict(resource, &key.name, &why));
    }
    let version = object::resource_version(new);
    if !version.is_empty() && version != object::resource_version(old) {
        return Err(ApiError::modified(resource, &key.name));
    }
    Ok(())
}

fn check_deletion(key: &Key, old: &Value, deletion: &Deletion) -> Result<(), ApiError> {
    let differs = |wanted: &Option<String>, has: &str| wanted.as_deref().is_some_and(|wanted| wanted != has);
    let refuse = |what: &str, wanted: &Option<String>, has: &str| {
        let wanted = wanted.as_deref().unwrap_or_default();
        let why = format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {has}");
        Err(ApiError::conflict(key.resource(), &key.name, &why))
    };
    if differs(&deletion.uid, object::uid(old)) {
        return refuse("UID", &deletion.uid, object::uid(old));
    }
    if differs(&deletion.resource_version, object::resource_version(old)) {
        return refuse("ResourceVersion", &deletion.resource_version, object::resource_version(old));
    }
    Ok(())
}

fn grace_seconds(resource: &Resource, pod: &Value, deletion: &Deletion) -> i64 {
    if resource.plural != "pods" {
        return 0;
    }
    let runs = !text(pod, "/spec/nodeName").is_empty() && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    let asked = deletion.grace_seconds.or_else(|| object::int(pod, "/spec/terminationGracePeriodSeconds"));
    if runs { asked.unwrap_or(30).max(0) } else { 0 }
}

fn mark_finalizers(resource: &Resource, object: &mut Value, deletion: &Deletion) {
    let wanted = match deletion.propagation.as_str() {
        "Foreground" => FOREGROUND,
        "Orphan" => ORPHAN,
        _ => return,
    };
    if resource.plural == "pods" || resource.plural == "namespaces" {
        return;
    }
    let metadata = object::child(object, "metadata");
    object::default(metadata, "finalizers", json!([]));
    if let Some(finalizers) = metadata["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| *finalizer != FOREGROUND && *finalizer != ORPHAN);
        finalizers.push(json!(wanted));
    }
}

/// What clients can't change, and the half of the object that this door does not lead to.
fn keep_server_fields(resource: &Resource, old: &Value, new: &mut Value, write: Write<'_>) {
    if write.subresource == "status" {
        let status = new["status"].take();
        let managed = new["metadata"]["managedFields"].take();
        let annotations = new.pointer("/metadata/annotations").cloned();
        let mut kept = old.clone();
        kept["status"] = status;
        // As for Deployments in the real server, whose controller writes the revision with the status.
        match annotations {
            Some(annotations) => kept["metadata"]["annotations"] = annotations,
            None => {
                object::remove(&mut kept["metadata"], "annotations");
            }
        }
        if write.is_applied {
            kept["metadata"]["managedFields"] = managed;
        }
        *new = kept;
        return;
    }
    if write.is_client && resource.status {
        match old.get("status") {
            Some(status) => new["status"] = status.clone(),
            None => {
                object::remove(new, "status");
            }
        }
    }
    if resource.plural == "services" {
        service::keep_allocated(old, new);
    }
    new["apiVersion"] = old["apiVersion"].clone();
    new["kind"] = old["kind"].clone();
    let metadata = object::child(new, "metadata");
    let fixed = [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
    ];
    for field in fixed {
        match old["metadata"].get(field) {
            Some(value) => metadata[field] = value.clone(),
            None => {
                object::remove(metadata, field);
            }
        }
    }
    for map in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let is_empty = match metadata.get(map) {
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            Some(other) => other.is_null(),
            None => false,
        };
        if is_empty {
            object::remove(metadata, map);
        }
    }
}

fn differs_beyond_metadata(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return true };
    let counts = |name: &&String| !matches!(name.as_str(), "metadata" | "status");
    old.keys().filter(counts).any(|name| !new.contains_key(name))
        || new.iter().filter(|(name, _)| counts(name)).any(|(name, value)| old.get(name) != Some(value))
}

/// Whether a deletion that waited for finalizers can end now.
fn is_done(resource: &Resource, object: &Value) -> bool {
    object::is_deleting(object)
        && object::list(object, "/metadata/finalizers").is_empty()
        && match resource.plural {
            "pods" => object::int(object, "/metadata/deletionGracePeriodSeconds") == Some(0),
            "namespaces" => object::list(object, "/spec/finalizers").is_empty(),
            _ => true,
        }
}
