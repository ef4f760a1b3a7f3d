//! Strategic merge: maps merge, lists merge by key where the kind's schema says so, and are replaced everywhere else.
//!
//! The original's behaviour is followed into its corners, among them lists with two keys, whose patches are partly lost.

use std::collections::{HashMap, HashSet};

use crate::value::{Map, Null, Text, Value};

use super::directive::{Directive, list_directive, map_directive};
use crate::schema::{ListMerge, Type};
use crate::yaml::text_of;

/// The longest list with two merge keys: merging them takes quadratic time.
const TWO_KEY_LIST_MAX: usize = 2_000;

/// Merges a patch into an object. `None`: the patch deletes it.
pub(crate) fn merge_object(object: Map, patch: &Value, ty: Option<Type<'_>>) -> Result<Option<Map>, String> {
    match merge(Some(Value::Object(object)), Some(patch), ty, &ListMerge::Replace)? {
        Merged::InPlace(Value::Object(map)) | Merged::Replaced(Value::Object(map)) => Ok(Some(map)),
        Merged::InPlace(_) | Merged::Replaced(_) | Merged::Gone => Ok(None),
    }
}

/// What became of a value.
enum Merged {
    /// The object's own value, changed.
    InPlace(Value),
    /// Another value stands in its place.
    Replaced(Value),
    Gone,
}

impl Merged {
    fn value(self) -> Option<Value> {
        match self {
            Merged::InPlace(value) | Merged::Replaced(value) => Some(value),
            Merged::Gone => None,
        }
    }
}

fn merge(base: Option<Value>, patch: Option<&Value>, ty: Option<Type<'_>>, list: &ListMerge) -> Result<Merged, String> {
    let base = base.filter(|value| !value.is_null() || patch.is_none());
    match (base, patch) {
        (None, None) | (Some(_), Some(Value::Null(_))) | (None, Some(Value::Null(_))) => Ok(Merged::Gone),
        (None, Some(patch)) => add(patch, ty, list),
        (Some(base), None) => Ok(settle(base, ty, list)?.map_or(Merged::Gone, Merged::InPlace)),
        (Some(Value::Object(base)), Some(Value::Object(patch))) => merge_maps(base, patch, ty),
        (Some(Value::Array(base)), Some(Value::Array(patch))) => merge_lists(base, patch, ty, list),
        (Some(Value::Object(_)), Some(other)) => Err(format!("a map cannot be patched with {}", kind_of(other))),
        (Some(Value::Array(_)), Some(other)) => Err(format!("a list cannot be patched with {}", kind_of(other))),
        (Some(_), Some(other @ (Value::Object(_) | Value::Array(_)))) => {
            Err(format!("a scalar cannot be patched with {}", kind_of(other)))
        }
        (Some(_), Some(scalar)) => Ok(Merged::InPlace(scalar.clone())),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "a map",
        Value::Array(_) => "a list",
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => "a scalar",
    }
}

/// What a patch adds where the object has nothing: itself without nulls and directives.
fn add(patch: &Value, ty: Option<Type<'_>>, list: &ListMerge) -> Result<Merged, String> {
    match patch {
        Value::Object(map) => {
            // A directive that is not known stays, unlike where it meets something.
            let (directive, map) = map_directive(map).unwrap_or((Directive::Merge, std::borrow::Cow::Borrowed(map)));
            if directive == Directive::Delete {
                return Ok(Merged::Gone);
            }
            Ok(Merged::Replaced(Value::Object(cleaned(&map, ty)?)))
        }
        Value::Array(items) if *list != ListMerge::Replace => {
            let (directive, items) = list_directive(items)?;
            if directive == Directive::Delete {
                return Ok(Merged::Gone);
            }
            let base = items.clone();
            Ok(Merged::Replaced(Value::Array(merge_elements(base, &items, ty, list)?)))
        }
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(Merged::Replaced(patch.clone())),
        Value::Null(_) => Ok(Merged::Gone),
    }
}

fn cleaned(map: &Map, ty: Option<Type<'_>>) -> Result<Map, String> {
    let mut out = Map::new();
    for (key, value) in map {
        let field = ty.and_then(|ty| ty.field(key));
        let (ty, list) = field.map_or((None, ListMerge::Replace), |field| (field.ty, field.merge));
        if let Some(value) = add(value, ty, &list).map_err(|reason| below(key, &reason))?.value() {
            out.insert(key.clone(), value);
        }
    }
    Ok(out)
}

/// What becomes of a part that the patch does not mention: fields without a value go, and lists that merge by key lose
/// repetitions.
fn settle(base: Value, ty: Option<Type<'_>>, list: &ListMerge) -> Result<Option<Value>, String> {
    Ok(match base {
        Value::Object(mut map) => {
            settle_fields(&mut map, ty, |_| false)?;
            Some(Value::Object(map))
        }
        Value::Array(items) if *list != ListMerge::Replace => Some(Value::Array(merge_elements(items, &[], ty, list)?)),
        Value::Null(Null::LeftOut) => None,
        Value::Array(_) | Value::Null(Null::Written) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Some(base)
        }
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

fn below(key: &str, reason: &str) -> String {
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

fn merge_lists(base: Vec<Value>, patch: &[Value], ty: Option<Type<'_>>, list: &ListMerge) -> Result<Merged, String> {
    if *list == ListMerge::Replace {
        return Ok(Merged::Replaced(Value::Array(patch.to_vec())));
    }
    let (directive, patch) = list_directive(patch)?;
    match directive {
        Directive::Delete => Ok(Merged::Gone),
        Directive::Replace => {
            let base = patch.clone();
            Ok(Merged::Replaced(Value::Array(merge_elements(base, &patch, ty, list)?)))
        }
        Directive::Merge => Ok(Merged::InPlace(Value::Array(merge_elements(base, &patch, ty, list)?))),
    }
}

fn merge_elements(
    base: Vec<Value>,
    patch: &[Value],
    ty: Option<Type<'_>>,
    list: &ListMerge,
) -> Result<Vec<Value>, String> {
    match list {
        ListMerge::Replace => Ok(if patch.is_empty() { base } else { patch.to_vec() }),
        ListMerge::Set => Ok(union(base, patch)),
        ListMerge::Keys(keys) => match keys.as_slice() {
            [key] => merge_by_key(base, patch, ty, key),
            keys => merge_by_keys(base, patch, ty, keys),
        },
    }
}

/// The patch's scalars first, then those of the base that it lacks.
fn union(base: Vec<Value>, patch: &[Value]) -> Vec<Value> {
    let mut seen = HashSet::new();
    let all = patch.iter().cloned().chain(base);
    all.filter(|item| text_of(item).is_none_or(|text| seen.insert(text))).collect()
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

/// One key: the patch's elements first and in its order, then the rest of the base.
fn merge_by_key(mut base: Vec<Value>, patch: &[Value], ty: Option<Type<'_>>, key: &str) -> Result<Vec<Value>, String> {
    let key_of =
        |item: &Value| item.get(key).filter(|v| !v.is_null()).and_then(text_of).filter(|text| !text.is_empty());
    if let Some(keyless) = base.iter().rfind(|item| !is_empty(item) && key_of(item).is_none()) {
        // The original forgets everything before the last element without a key, and the patch with it.
        return Ok(settle(keyless.clone(), ty, &ListMerge::Replace)?.into_iter().collect());
    }
    let mut base_at: HashMap<Text, usize> = HashMap::new();
    for (i, item) in base.iter().enumerate() {
        if let Some(text) = key_of(item) {
            base_at.entry(text).or_insert(i);
        }
    }
    let mut items: Vec<Value> = Vec::with_capacity(base.len() + patch.len());
    let mut item_at: HashMap<Text, usize> = HashMap::new();
    let mut deleted: HashSet<Text> = HashSet::new();
    for item in patch {
        let Some(text) = key_of(item) else {
            // The original deletes the elements of the base that have a key: all that are left here.
            base.clear();
            base_at.clear();
            continue;
        };
        if item_at.contains_key(&text) || deleted.contains(&text) {
            continue;
        }
        let own = base_at.get(&text).and_then(|i| base.get_mut(*i));
        let merged = match own {
            Some(own) => {
                let before = own.clone();
                let merged = merge(Some(own.take()), Some(item), ty, &ListMerge::Replace);
                match merged.map_err(|reason| below(&format!("[{key}={text}]"), &reason))? {
                    Merged::InPlace(value) => {
                        own.clone_from(&value);
                        Some(value)
                    }
                    // A replaced element is put back below: the original forgets the replacement.
                    Merged::Replaced(value) => {
                        *own = before;
                        Some(value)
                    }
                    Merged::Gone => None,
                }
            }
            None => add(item, ty, &ListMerge::Replace)?.value(),
        };
        match merged.filter(|value| !is_empty(value)) {
            Some(value) => {
                item_at.insert(text, items.len());
                items.push(value);
            }
            None => {
                deleted.insert(text);
            }
        }
    }
    for item in base {
        if is_empty(&item) {
            continue;
        }
        let Some(text) = key_of(&item) else {
            items.push(item);
            continue;
        };
        if deleted.contains(&text) {
            continue;
        }
        match item_at.get(&text).and_then(|i| items.get_mut(*i)) {
            Some(place) => *place = item,
            None => {
                item_at.insert(text, items.len());
                items.extend(settle(item, ty, &ListMerge::Replace)?);
            }
        }
    }
    Ok(items)
}

/// Two keys, as the original does it: new elements of the patch first, then the base in its order, and a patch whose second
/// key is there where the base's is missing, or the other way round, is lost.
fn merge_by_keys(
    mut base: Vec<Value>,
    patch: &[Value],
    ty: Option<Type<'_>>,
    keys: &[String],
) -> Result<Vec<Value>, String> {
    if base.len() + patch.len() > TWO_KEY_LIST_MAX {
        return Err(format!("the list has more than {TWO_KEY_LIST_MAX} elements"));
    }
    let values_of = |item: &Value| -> Vec<Text> {
        keys.iter().map(|key| item.get(key).filter(|v| !v.is_null()).and_then(text_of).unwrap_or_default()).collect()
    };
    let mut wanted: Vec<Vec<Text>> = Vec::new();
    for values in patch.iter().chain(&base).map(values_of) {
        if !wanted.contains(&values) {
            wanted.push(values);
        }
    }
    pair_up(&mut wanted);
    let used: Vec<usize> =
        (0..keys.len()).filter(|i| wanted.iter().any(|v| v.get(*i).is_some_and(|v| !v.is_empty()))).collect();
    if used.is_empty() {
        // Without any key the original keeps the last element it sees.
        return Ok(base.pop().or_else(|| patch.last().cloned()).into_iter().collect());
    }
    let pick = |values: &[Text]| -> Vec<Text> { used.iter().filter_map(|i| values.get(*i).cloned()).collect() };
    let used_keys: Vec<&str> = used.iter().filter_map(|i| keys.get(*i).map(String::as_str)).collect();
    let mut items: Vec<Value> = Vec::new();
    for values in &wanted {
        let values = pick(values);
        let own = base.iter().position(|item| has_values(item, &used_keys, &values));
        let patched = patch.iter().find(|item| has_values(item, &used_keys, &values));
        let before = own.and_then(|i| base.get(i).cloned());
        let value = match merge(before, patched, ty, &ListMerge::Replace)? {
            Merged::InPlace(value) => {
                if let Some(place) = own.and_then(|i| base.get_mut(i)) {
                    place.clone_from(&value);
                }
                Some(value)
            }
            Merged::Replaced(value) => Some(value),
            Merged::Gone => None,
        };
        match value.filter(|value| !is_empty(value)) {
            None => set_element(&mut base, None, &used_keys, &values),
            Some(mut value) => {
                if let Some(map) = value.as_object_mut() {
                    for (key, text) in used_keys.iter().zip(&values).filter(|(_, text)| !text.is_empty()) {
                        if !map.contains_key(key) {
                            map.insert(*key, crate::yaml::plain(text));
                        }
                    }
                }
                set_element(&mut items, Some(value), &used_keys, &values);
            }
        }
    }
    for item in base {
        let mut values = Vec::new();
        for key in &used_keys {
            match item.get(key).filter(|v| !v.is_null()).and_then(text_of) {
                Some(text) => values.push(text),
                None => items.push(item.clone()),
            }
        }
        if used_keys.len() > 1 {
            set_element(&mut items, None, &used_keys, &values);
        }
        set_element(&mut items, Some(item), &used_keys, &values);
    }
    Ok(items)
}

/// Values that agree where both are given become one.
fn pair_up(wanted: &mut [Vec<Text>]) {
    for i in 0..wanted.len() {
        for j in 0..wanted.len() {
            let (Some(a), Some(b)) = (wanted.get(i), wanted.get(j)) else { continue };
            let fits = a.iter().zip(b).all(|(x, y)| x == y || x.is_empty() || y.is_empty());
            if fits && a.iter().zip(b).any(|(x, y)| x == y) {
                let joined: Vec<Text> =
                    a.iter().zip(b).map(|(x, y)| if x.is_empty() { y.clone() } else { x.clone() }).collect();
                if let Some(place) = wanted.get_mut(i) {
                    place.clone_from(&joined);
                }
                if let Some(place) = wanted.get_mut(j) {
                    *place = joined;
                }
            }
        }
    }
}

/// Whether the element has these values; keys without a value do not matter.
fn has_values(item: &Value, keys: &[&str], values: &[Text]) -> bool {
    let mut wanted = keys.iter().zip(values).filter(|(_, value)| !value.is_empty()).peekable();
    wanted.peek().is_some() && wanted.all(|(key, value)| item.get(key).and_then(text_of).as_ref() == Some(value))
}

/// Puts an element in the place of those that match, or at the end; `None` removes those that match.
fn set_element(items: &mut Vec<Value>, element: Option<Value>, keys: &[&str], values: &[Text]) {
    let mut found_one = false;
    let mut kept = Vec::with_capacity(items.len() + 1);
    for item in items.drain(..).filter(|item| !is_empty(item)) {
        let mut found = !keys.is_empty();
        let mut last = false;
        for (j, key) in keys.iter().enumerate() {
            if let Some(value) = values.get(j) {
                let field = item.get(key);
                last = field.is_some_and(|field| value.is_empty() || text_of(field).as_ref() == Some(value));
            }
            found &= last;
        }
        if !found {
            if !values.is_empty() {
                kept.push(item);
            }
            continue;
        }
        found_one = true;
        kept.extend(element.clone());
    }
    *items = kept;
    if !found_one {
        items.extend(element);
    }
}
