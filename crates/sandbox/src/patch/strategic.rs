//! Strategic merge patches with their directives, as `kubectl apply`, `patch` and `rollout restart` send them.

use serde_json::{Map, Value};

use crate::api::errors::ApiError;
use crate::schema::Schema;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// Merges the patch into the value.
pub(crate) fn merge(value: &mut Value, patch: &Value, schema: &Schema) -> Result<(), ApiError> {
    let (Some(map), Some(patch)) = (value.as_object_mut(), patch.as_object()) else {
        *value = patch.clone();
        return Ok(());
    };
    merge_maps(map, patch, schema)
}

fn merge_maps(map: &mut Map<String, Value>, patch: &Map<String, Value>, schema: &Schema) -> Result<(), ApiError> {
    match patch.get(PATCH).and_then(Value::as_str) {
        Some("replace") => {
            *map = patch.clone();
            map.remove(PATCH);
            return Ok(());
        }
        Some("delete") => {
            map.clear();
            return Ok(());
        }
        Some("merge") | None => (),
        Some(other) => {
            return Err(ApiError::bad_request(format!("Unrecognized directive: {other:?}")));
        }
    }
    if let Some(keys) = patch.get(RETAIN_KEYS).and_then(Value::as_array) {
        map.retain(|name, _| keys.iter().any(|key| key == name));
    }
    for (name, gone) in patch {
        if let Some(name) = name.strip_prefix(DELETE_FROM)
            && let (Some(list), Some(gone)) = (map.get_mut(name).and_then(Value::as_array_mut), gone.as_array())
        {
            list.retain(|item| !gone.contains(item));
        }
    }
    for (name, change) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        let below = schema.field(name);
        let order = patch.get(&format!("{ORDER}{name}")).and_then(Value::as_array);
        match change {
            Value::Null => {
                map.remove(name);
            }
            Value::Object(change) => {
                let place = map.entry(name.clone()).or_insert(Value::Null);
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                if let Value::Object(inner) = place {
                    merge_maps(inner, change, below)?;
                }
                if change.get(PATCH).is_some_and(|directive| directive == "delete") {
                    map.remove(name);
                }
            }
            Value::Array(change) if below.patch_merge => {
                let old = match map.get_mut(name) {
                    Some(Value::Array(old)) => std::mem::take(old),
                    Some(_) | None => Vec::new(),
                };
                map.insert(name.clone(), Value::Array(merge_lists(old, change, order, below)?));
            }
            Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                map.insert(name.clone(), change.clone());
            }
        }
    }
    // An order alone, without a change of the list.
    for (directive, order) in patch {
        if let Some(name) = directive.strip_prefix(ORDER)
            && !patch.contains_key(name)
            && let (Some(Value::Array(list)), Some(order)) = (map.get_mut(name), order.as_array())
        {
            *list = ordered(std::mem::take(list), order, schema.field(name));
        }
    }
    Ok(())
}

fn merge_lists(
    old: Vec<Value>,
    change: &[Value],
    order: Option<&Vec<Value>>,
    schema: &Schema,
) -> Result<Vec<Value>, ApiError> {
    let Some(key) = &schema.patch_key else {
        let mut merged = old;
        merged.extend(change.iter().filter(|item| !item.is_null()).cloned());
        let mut seen = Vec::new();
        merged.retain(|item| {
            !seen.contains(item) && {
                seen.push(item.clone());
                true
            }
        });
        return Ok(order.map_or(merged.clone(), |order| ordered(merged, order, schema)));
    };
    if change.iter().any(|item| item[PATCH] == "replace") {
        return Ok(change.iter().filter(|item| item[PATCH] != "replace").cloned().collect());
    }
    let mut merged = old;
    for item in change {
        let Some(name) = item.get(key) else {
            return Err(ApiError::bad_request(format!("map: {item} does not contain declared merge key: {key}")));
        };
        if item[PATCH] == "delete" {
            merged.retain(|other| other.get(key) != Some(name));
            continue;
        }
        match merged.iter_mut().find(|other| other.get(key) == Some(name)) {
            Some(other) => merge(other, item, schema.items())?,
            None => {
                let mut fresh = Value::Object(Map::new());
                merge(&mut fresh, item, schema.items())?;
                merged.push(fresh);
            }
        }
    }
    Ok(order.map_or(merged.clone(), |order| ordered(merged, order, schema)))
}

/// The items in the order that the patch asks for; those it does not name stay behind the one they stood behind.
fn ordered(items: Vec<Value>, order: &[Value], schema: &Schema) -> Vec<Value> {
    let place = |item: &Value| match &schema.patch_key {
        Some(key) => order.iter().position(|other| other.get(key) == item.get(key)),
        None => order.iter().position(|other| other == item),
    };
    let mut named: Vec<(usize, Value)> = Vec::new();
    let mut others: Vec<(usize, Value)> = Vec::new();
    for item in items {
        match place(&item) {
            Some(at) => named.push((at, item)),
            None => others.push((named.len(), item)),
        }
    }
    named.sort_by_key(|(at, _)| *at);
    let mut result: Vec<Value> = named.into_iter().map(|(_, item)| item).collect();
    for (behind, item) in others.into_iter().rev() {
        result.insert(behind.min(result.len()), item);
    }
    result
}
