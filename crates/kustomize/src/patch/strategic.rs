//! Strategic merge: maps merge, lists merge by key where the kind's schema says so, and are replaced everywhere else.
//!
//! The original's behaviour is followed into its corners, among them lists with two keys, whose patches are partly lost.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::value::{Map, Null, Value};

use super::directive::{Directive, map_directive};
use super::lists::{add_list, merge_lists, settle_list};
use crate::schema::{ListMerge, Type};
use crate::yaml::{plain, text_of};

/// Merges a patch into an object. `None`: the patch deletes it.
pub(crate) fn merge_object(object: Map, patch: &Value, ty: Option<Type<'_>>) -> Result<Option<Map>, String> {
    match merge(Some(Value::Object(object)), Some(patch), ty, &ListMerge::Replace)? {
        Merged::InPlace(Value::Object(map)) | Merged::Replaced(Value::Object(map)) => Ok(Some(map)),
        Merged::InPlace(_) | Merged::Replaced(_) | Merged::Gone => Ok(None),
    }
}

/// Where a part stands that only the patch has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// It is missing in the object.
    Top,
    /// It is a part of such a part.
    Below,
}

/// What became of a value.
pub(super) enum Merged {
    /// The object's own value, changed.
    InPlace(Value),
    /// Another value stands in its place.
    Replaced(Value),
    Gone,
}

impl Merged {
    pub(super) fn value(self) -> Option<Value> {
        match self {
            Merged::InPlace(value) | Merged::Replaced(value) => Some(value),
            Merged::Gone => None,
        }
    }
}

pub(super) fn merge(
    base: Option<Value>,
    patch: Option<&Value>,
    ty: Option<Type<'_>>,
    list: &ListMerge,
) -> Result<Merged, String> {
    let base = base.filter(|value| !value.is_null() || patch.is_none());
    match (base, patch) {
        (None, None) | (Some(_), Some(Value::Null(_))) | (None, Some(Value::Null(_))) => Ok(Merged::Gone),
        (None, Some(patch)) => add(patch, ty, list, Added::Top),
        (Some(base), None) => Ok(settle(base, ty, list)?.map_or(Merged::Gone, Merged::InPlace)),
        (Some(Value::Object(base)), Some(Value::Object(patch))) => merge_maps(base, patch, ty),
        (Some(Value::Array(base)), Some(Value::Array(patch))) => merge_lists(base, patch, ty, list),
        (Some(Value::Object(_)), Some(other)) => Err(format!("a map cannot be patched with {}", kind_of(other))),
        (Some(Value::Array(_)), Some(other)) => Err(format!("a list cannot be patched with {}", kind_of(other))),
        (Some(_), Some(other @ (Value::Object(_) | Value::Array(_)))) => {
            Err(format!("a scalar cannot be patched with {}", kind_of(other)))
        }
        (Some(base), Some(scalar)) => Ok(Merged::InPlace(in_place_of(&base, scalar))),
    }
}

/// A scalar of the patch keeps the style of the one in whose place it comes: what stood in quotes stays a string.
fn in_place_of(base: &Value, patch: &Value) -> Value {
    let in_quotes = match base {
        Value::Quoted(_) => true,
        // Only quotes made this a string.
        Value::String(text) => !plain(text).is_string(),
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    };
    match (in_quotes, patch) {
        (true, patch) => text_of(patch).map_or_else(|| patch.clone(), Value::Quoted),
        (false, Value::Quoted(text)) => Value::String(text.clone()),
        (false, patch) => patch.clone(),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "a map",
        Value::Array(_) => "a list",
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => "a scalar",
    }
}

/// What a patch adds where the object has nothing: itself without nulls and directives.
///
/// The original's merge of the part with itself is followed: what is `below` a part that is added meets its own double, so
/// that a directive counts there that is only text at the part's own top.
pub(super) fn add(patch: &Value, ty: Option<Type<'_>>, list: &ListMerge, at: Added) -> Result<Merged, String> {
    match patch {
        Value::Object(map) => {
            let (directive, map) = match (map_directive(map), at) {
                (Ok(read), _) => read,
                (Err(_), Added::Top) => (Directive::Merge, Cow::Borrowed(map)),
                (Err(unknown), Added::Below) => return Err(unknown),
            };
            if directive == Directive::Delete {
                return Ok(Merged::Gone);
            }
            Ok(Merged::Replaced(Value::Object(cleaned(&map, ty)?)))
        }
        Value::Array(items) if *list != ListMerge::Replace => add_list(items, ty, list, at),
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => {
            Ok(Merged::Replaced(patch.clone()))
        }
        Value::Null(_) => Ok(Merged::Gone),
    }
}

fn cleaned(map: &Map, ty: Option<Type<'_>>) -> Result<Map, String> {
    let mut out = Map::new();
    for (key, value) in map {
        let field = ty.and_then(|ty| ty.field(key));
        let (ty, list) = field.map_or((None, ListMerge::Replace), |field| (field.ty, field.merge));
        if let Some(value) = add(value, ty, &list, Added::Below).map_err(|reason| below(key, &reason))?.value() {
            out.insert(key.clone(), value);
        }
    }
    Ok(out)
}

/// What becomes of a part that the patch does not mention: fields without a value go, and lists that merge by key lose
/// repetitions.
pub(super) fn settle(base: Value, ty: Option<Type<'_>>, list: &ListMerge) -> Result<Option<Value>, String> {
    Ok(match base {
        Value::Object(mut map) => {
            settle_fields(&mut map, ty, |_| false)?;
            Some(Value::Object(map))
        }
        Value::Array(items) if *list != ListMerge::Replace => Some(Value::Array(settle_list(items, ty, list)?)),
        Value::Null(Null::LeftOut) => None,
        Value::Array(_)
        | Value::Null(Null::Written)
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Quoted(_) => Some(base),
    })
}

/// Settles the fields of a map but those that the patch mentions.
fn settle_fields(map: &mut Map, ty: Option<Type<'_>>, patched: impl Fn(&str) -> bool) -> Result<(), String> {
    let mut left_out = false;
    for (key, value) in map.iter_mut().filter(|(key, _)| !patched(key)) {
        let field = ty.and_then(|ty| ty.field(key));
        let (ty, list) = field.map_or((None, ListMerge::Replace), |field| (field.ty, field.merge));
        match settle(value.take(), ty, &list)? {
            Some(settled) => *value = settled,
            None => {
                *value = Value::Null(Null::LeftOut);
                left_out = true;
            }
        }
    }
    if left_out {
        map.retain(|key, value| patched(key) || !matches!(value, Value::Null(Null::LeftOut)));
    }
    Ok(())
}

pub(super) fn below(key: &str, reason: &str) -> String {
    match reason.strip_prefix("at `") {
        Some(rest) => format!("at `{key}.{rest}"),
        None => format!("at `{key}`: {reason}"),
    }
}

fn merge_maps(mut base: Map, patch: &Map, ty: Option<Type<'_>>) -> Result<Merged, String> {
    let (directive, patch) = map_directive(patch)?;
    match directive {
        Directive::Delete => return Ok(Merged::Gone),
        Directive::Replace => return Ok(Merged::Replaced(Value::Object(cleaned(&patch, ty)?))),
        Directive::Merge => {}
    }
    let (mut added, mut gone) = (Vec::new(), HashSet::new());
    settle_fields(&mut base, ty, |key| patch.contains_key(key))?;
    for (key, value) in patch.iter() {
        let field = ty.and_then(|ty| ty.field(key));
        let (ty, list) = field.map_or((None, ListMerge::Replace), |field| (field.ty, field.merge));
        let place = base.get_mut(key);
        let own = place.as_ref().is_some();
        let merged = merge(place.map(Value::take), Some(value), ty, &list).map_err(|reason| below(key, &reason))?;
        match (merged.value(), base.get_mut(key)) {
            (Some(merged), Some(place)) => *place = merged,
            (Some(merged), None) => added.push((key.clone(), merged)),
            (None, _) if own => drop(gone.insert(key.as_str())),
            (None, _) => {}
        }
    }
    if !gone.is_empty() {
        base.retain(|key, _| !gone.contains(key));
    }
    base.extend(added);
    Ok(Merged::InPlace(Value::Object(base)))
}
