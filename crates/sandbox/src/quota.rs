//! ResourceQuotas: how many objects of a kind a namespace may hold.

use serde_json::{Map, Value, json};

use crate::api::errors::ApiError;
use crate::object::{self, text};
use crate::resources::{QUOTAS, RESOURCES, Resource};
use crate::store::{Key, Transaction};

/// Kinds that a quota may name without `count/`.
const PLAIN: [&str; 7] =
    ["pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims"];

/// The kind that a quota's entry counts; compute resources are not counted here.
fn counted(entry: &str) -> Option<&'static Resource> {
    let find = |name: &str| RESOURCES.iter().find(|resource| resource.qualified() == name);
    match entry.strip_prefix("count/") {
        Some(name) => find(name),
        None => PLAIN.contains(&entry).then(|| find(entry)).flatten(),
    }
}

/// Whether objects of this kind may be limited by a quota.
pub(crate) fn concerns(quota: &Value, resource: &Resource) -> bool {
    let hard = object::map(quota, "/spec/hard");
    hard.into_iter().flatten().any(|(entry, _)| counted(entry).is_some_and(|kind| std::ptr::eq(kind, resource)))
}

fn used(objects: &[std::sync::Arc<Value>]) -> usize {
    objects.iter().filter(|object| !matches!(text(object, "/status/phase"), "Succeeded" | "Failed")).count()
}

fn number(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|number| usize::try_from(number).ok()).or_else(|| value.as_str()?.parse().ok())
}

/// Refuses an object that would be one too many.
pub(crate) fn check(
    transaction: &Transaction<'_>,
    resource: &'static Resource,
    namespace: &str,
    name: &str,
) -> Result<(), ApiError> {
    for quota in transaction.list(*QUOTAS, namespace) {
        let hard = object::map(&quota, "/spec/hard");
        for (entry, limit) in hard.into_iter().flatten() {
            if !counted(entry).is_some_and(|kind| std::ptr::eq(kind, resource)) {
                continue;
            }
            let Some(limit) = number(limit) else { continue };
            let used = used(&transaction.list(resource, namespace));
            if used >= limit {
                let quota = object::name(&quota);
                let why = format!(
                    "exceeded quota: {quota}, requested: {entry}=1, used: {entry}={used}, limited: {entry}={limit}"
                );
                return Err(ApiError::forbidden(resource, name, &why));
            }
        }
    }
    Ok(())
}

/// The status of a quota: what is allowed and what is used of it.
pub(crate) fn status(transaction: &Transaction<'_>, key: &Key, quota: &Value) -> Value {
    let hard = object::map(quota, "/spec/hard").cloned().unwrap_or_default();
    let mut counts = Map::new();
    for entry in hard.keys() {
        let Some(kind) = counted(entry) else { continue };
        counts.insert(entry.clone(), json!(used(&transaction.list(kind, &key.namespace)).to_string()));
    }
    json!({"hard": hard, "used": counts})
}
