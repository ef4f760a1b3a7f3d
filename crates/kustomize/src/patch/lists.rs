//! Lists whose elements merge: by one key, by two, or as a set.
//!
//! The original's behaviour is followed into its corners: what becomes of elements without a key, of repetitions, of directives,
//! and of lists with two keys, whose patches are partly lost.

use std::collections::{HashMap, HashSet};

use crate::value::{Map, Text, Value};

use super::directive::{Directive, list_directive, map_directive};
use super::strategic::{Added, Merged, add, below, merge, settle};
use crate::schema::{ListMerge, Type};
use crate::yaml::text_of;

/// The longest list with two merge keys: merging them takes quadratic time.
const TWO_KEY_LIST_MAX: usize = 2_000;

/// What stands beside the object's list.
#[derive(Clone, Copy)]
enum Other<'a> {
    /// The patch's list, which may be empty.
    Patch(&'a [Value]),
    /// The list itself: it is all the patch's.
    Itself,
}

/// Merges a patch's list into the object's.
pub(super) fn merge_lists(
    base: Vec<Value>,
    patch: &[Value],
    ty: Option<Type<'_>>,
    list: &ListMerge,
) -> Result<Merged, String> {
    if *list == ListMerge::Replace {
        return Ok(Merged::Replaced(Value::Array(patch.to_vec())));
    }
    let (directive, patch) = list_directive(patch)?;
    match directive {
        Directive::Delete => Ok(Merged::Gone),
        Directive::Replace => Ok(Merged::Replaced(Value::Array(merge_elements(patch, Other::Itself, ty, list)?))),
        Directive::Merge => Ok(Merged::InPlace(Value::Array(merge_elements(base, Other::Patch(&patch), ty, list)?))),
    }
}

/// A list that only the patch has. Its directive counts where the list is part of something that is added.
pub(super) fn add_list(items: &[Value], ty: Option<Type<'_>>, list: &ListMerge, at: Added) -> Result<Merged, String> {
    let (directive, items) = match at {
        Added::Top => (Directive::Merge, items.to_vec()),
        Added::Below => list_directive(items)?,
    };
    if directive == Directive::Delete {
        return Ok(Merged::Gone);
    }
    Ok(Merged::Replaced(Value::Array(merge_elements(items, Other::Itself, ty, list)?)))
}

/// A list that the patch does not mention.
pub(super) fn settle_list(items: Vec<Value>, ty: Option<Type<'_>>, list: &ListMerge) -> Result<Vec<Value>, String> {
    merge_elements(items, Other::Patch(&[]), ty, list)
}

fn merge_elements(
    base: Vec<Value>,
    other: Other<'_>,
    ty: Option<Type<'_>>,
    list: &ListMerge,
) -> Result<Vec<Value>, String> {
    match (list, other) {
        (ListMerge::Replace, _) => Ok(base),
        (ListMerge::Set, Other::Patch(patch)) => Ok(union(base, patch)),
        (ListMerge::Set, Other::Itself) => Ok(union(base, &[])),
        (ListMerge::Keys(keys), other) => match (keys.as_slice(), other) {
            ([key], Other::Patch(patch)) => merge_by_key(base, patch, ty, key),
            ([key], Other::Itself) => add_by_key(base, ty, key),
            (keys, other) => merge_by_keys(base, other, ty, keys),
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

/// The text of an element's key, where it has one.
fn key_of(item: &Value, key: &str) -> Option<Text> {
    item.get(key).filter(|v| !v.is_null()).and_then(text_of).filter(|text| !text.is_empty())
}

/// The last element that lacks the key altogether: the original forgets all others, and the patch.
fn without_key<'a>(items: &'a [Value], key: &str) -> Option<&'a Value> {
    items.iter().rfind(|item| !is_empty(item) && item.get(key).is_none())
}

/// Elements that are placed by the text of their key.
#[derive(Default)]
struct Placed {
    items: Vec<Value>,
    at: HashMap<Text, usize>,
    deleted: HashSet<Text>,
}

impl Placed {
    fn knows(&self, text: &Text) -> bool {
        self.at.contains_key(text) || self.deleted.contains(text)
    }

    /// Notes an element; `None` or an empty one: it is deleted.
    fn push(&mut self, text: Text, element: Option<Value>) {
        match element.filter(|value| !is_empty(value)) {
            Some(value) => {
                self.at.insert(text, self.items.len());
                self.items.push(value);
            }
            None => drop(self.deleted.insert(text)),
        }
    }

    /// Where an element with this key stands already.
    fn place(&mut self, text: &Text) -> Option<&mut Value> {
        self.at.get(text).and_then(|i| self.items.get_mut(*i))
    }
}

/// A list that is all the patch's: each element without nulls and directives. After one whose key has no value nothing is taken,
/// and of repetitions the last is taken as it is.
fn add_by_key(items: Vec<Value>, ty: Option<Type<'_>>, key: &str) -> Result<Vec<Value>, String> {
    if let Some(keyless) = without_key(&items, key) {
        return Ok(vec![keyless.clone()]);
    }
    let mut placed = Placed::default();
    for item in items {
        let Some(text) = key_of(&item, key) else { break };
        if placed.deleted.contains(&text) {
            continue;
        }
        match placed.place(&text) {
            Some(place) => *place = item,
            None => {
                let added = add(&item, ty, &ListMerge::Replace, Added::Below)
                    .map_err(|reason| below(&format!("[{key}={text}]"), &reason))?;
                placed.push(text, added.value());
            }
        }
    }
    Ok(placed.items)
}

/// One key: the patch's elements first and in its order, then the rest of the base.
fn merge_by_key(mut base: Vec<Value>, patch: &[Value], ty: Option<Type<'_>>, key: &str) -> Result<Vec<Value>, String> {
    if let Some(keyless) = without_key(&base, key) {
        return Ok(settle(keyless.clone(), ty, &ListMerge::Replace)?.into_iter().collect());
    }
    let end = base.iter().position(|item| key_of(item, key).is_none());
    let mut base_at: HashMap<Text, usize> = HashMap::new();
    for (i, item) in base.iter().enumerate() {
        if let Some(text) = key_of(item, key) {
            base_at.entry(text).or_insert(i);
        }
    }
    let mut placed = Placed { items: Vec::with_capacity(base.len() + patch.len()), ..Placed::default() };
    for item in patch {
        let Some(text) = key_of(item, key) else {
            // The original deletes the elements of the base that have a key: all that are left here.
            base.clear();
            base_at.clear();
            continue;
        };
        if placed.knows(&text) {
            continue;
        }
        let merged = match base_at.get(&text).and_then(|i| base.get_mut(*i)) {
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
            None => add(item, ty, &ListMerge::Replace, Added::Top)?.value(),
        };
        placed.push(text, merged);
    }
    // An element whose key has no value ends the base.
    base.truncate(end.unwrap_or(base.len()));
    for item in base {
        let Some(text) = key_of(&item, key).filter(|text| !placed.deleted.contains(text)) else { continue };
        match placed.place(&text) {
            Some(place) => *place = item,
            None => {
                let settled = settle(item, ty, &ListMerge::Replace)?;
                placed.push(text, settled);
            }
        }
    }
    Ok(placed.items)
}

/// Two keys, as the original does it: new elements of the patch first, then the base in its order, and a patch whose second
/// key is there where the base's is missing, or the other way round, is lost.
fn merge_by_keys(
    mut base: Vec<Value>,
    other: Other<'_>,
    ty: Option<Type<'_>>,
    keys: &[String],
) -> Result<Vec<Value>, String> {
    let patch = match other {
        Other::Patch(patch) => patch,
        Other::Itself => &[],
    };
    if base.len() + patch.len() > TWO_KEY_LIST_MAX {
        return Err(format!("the list has more than {TWO_KEY_LIST_MAX} elements"));
    }
    let values_of =
        |item: &Value| -> Vec<Text> { keys.iter().map(|key| key_of(item, key).unwrap_or_default()).collect() };
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
        return Ok(patch.iter().cloned().chain(base).rfind(|item| !is_empty(item)).into_iter().collect());
    }
    let pick = |values: &[Text]| -> Vec<Text> { used.iter().filter_map(|i| values.get(*i).cloned()).collect() };
    let used_keys: Vec<&str> = used.iter().filter_map(|i| keys.get(*i).map(String::as_str)).collect();
    let mut items: Vec<Value> = Vec::new();
    for values in &wanted {
        let values = pick(values);
        let own = base.iter().position(|item| has_values(item, &used_keys, &values));
        let before = own.and_then(|i| base.get(i).cloned());
        let merged = match (other, before) {
            (Other::Itself, None) => Merged::Gone,
            (Other::Itself, Some(item)) => match add(&item, ty, &ListMerge::Replace, Added::Below)? {
                Merged::Replaced(value) => Merged::InPlace(value),
                kept @ (Merged::InPlace(_) | Merged::Gone) => kept,
            },
            (Other::Patch(patch), before) => {
                let patched = patch.iter().find(|item| has_values(item, &used_keys, &values));
                merge(before, patched, ty, &ListMerge::Replace)?
            }
        };
        match (&merged, other, own.and_then(|i| base.get_mut(i))) {
            (Merged::InPlace(value), _, Some(place)) => place.clone_from(value),
            // Its directive is read, whether or not the element is found again below to be deleted.
            (Merged::Gone, Other::Itself, Some(Value::Object(place))) => *place = map_directive(place)?.1.into_owned(),
            _ => {}
        }
        match merged.value().filter(|value| !is_empty(value)) {
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
    append(base, &mut items, &used_keys);
    Ok(items)
}

/// What is left of the base, in the places of elements that have its keys, or at the end.
fn append(base: Vec<Value>, items: &mut Vec<Value>, keys: &[&str]) {
    for item in base {
        let mut values = Vec::new();
        for key in keys {
            match item.get(key).filter(|v| !v.is_null()).and_then(text_of) {
                Some(text) => values.push(text),
                None => items.push(item.clone()),
            }
        }
        if keys.len() > 1 {
            set_element(items, None, keys, &values);
        }
        set_element(items, Some(item), keys, &values);
    }
}

/// Values that agree where both are given become one. The first of a pair is what it was before any pairing of its own.
fn pair_up(wanted: &mut [Vec<Text>]) {
    for i in 0..wanted.len() {
        let Some(a) = wanted.get(i).cloned() else { continue };
        for j in 0..wanted.len() {
            let Some(b) = wanted.get(j) else { continue };
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
