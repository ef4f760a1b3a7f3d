//! Values as the build holds them: small, because thousands of objects are held at once.
//!
//! A map is a sorted list of entries and a string of up to 23 bytes stands where it is, without memory of its own: a
//! manifest takes a third of what `serde_json` needs for it. Outside the crate values are `serde_json`'s.

use std::borrow::Borrow;
use std::fmt;

use serde_json::Number;

use crate::yaml::prints_plain;
pub(crate) use smol_str::SmolStr as Text;

/// A value of JSON.
#[derive(Clone)]
pub(crate) enum Value {
    Null(Null),
    Bool(bool),
    Number(Number),
    String(Text),
    /// A string that stands in quotes, or as a block, in a manifest or patch: whatever a strategic merge puts in its place
    /// stands in quotes, too, and so is a string. In all else it is the same as any other.
    Quoted(Text),
    Array(Vec<Value>),
    Object(Map),
}

/// How null stands in a manifest: a strategic merge drops fields that were left out and keeps those that were written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Null {
    /// `null` or `~`.
    Written,
    /// Nothing at all, as in `emptyDir:` at the end of a line.
    LeftOut,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Null(_), Value::Null(_)) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Number(a), Value::Number(b)) => a == b,
            (Value::String(a) | Value::Quoted(a), Value::String(b) | Value::Quoted(b)) => a == b,
            (Value::Array(a), Value::Array(b)) => a == b,
            (Value::Object(a), Value::Object(b)) => a == b,
            _ => false,
        }
    }
}

/// Entries in the order of their keys, no key twice.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Map {
    entries: Vec<(Text, Value)>,
}

/// In maps of so few entries looking at each is faster than halving.
const LINEAR_MAX: usize = 12;

/// Adds to a list that will be kept: it grows by a quarter, not to the double, since thousands of half empty lists add up.
pub(crate) fn push_tight<T>(list: &mut Vec<T>, item: T) {
    const GROWTH_MIN: usize = 2;
    if list.len() == list.capacity() {
        list.reserve_exact(GROWTH_MIN.max(list.len() / 4));
    }
    list.push(item);
}

impl Map {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// From entries in any order; of a key that is there twice the last one counts.
    pub(crate) fn from_entries(mut entries: Vec<(Text, Value)>) -> Self {
        let sorted = entries.is_sorted_by(|(a, _), (b, _)| a < b);
        if !sorted {
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            entries.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    std::mem::swap(later, earlier);
                }
                same
            });
        }
        Self { entries }
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(known, _)| known.as_str().cmp(key))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where a key is. Asked most of all: among few keys most differ in their length already.
    fn position(&self, key: &str) -> Option<usize> {
        if self.entries.len() <= LINEAR_MAX {
            return self.entries.iter().position(|(known, _)| known.len() == key.len() && known.as_str() == key);
        }
        self.find(key).ok()
    }

    pub(crate) fn contains_key(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(self.position(key)?).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        let at = self.position(key)?;
        self.entries.get_mut(at).map(|(_, value)| value)
    }

    /// Sets a value and gives back the one that was there.
    pub(crate) fn insert(&mut self, key: impl Into<Text> + Borrow<str>, value: Value) -> Option<Value> {
        match self.find(key.borrow()) {
            Ok(at) => self.entries.get_mut(at).map(|(_, place)| std::mem::replace(place, value)),
            Err(at) => {
                self.entries.reserve_exact(1);
                self.entries.insert(at, (key.into(), value));
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.position(key)?;
        Some(self.entries.remove(at).1)
    }

    /// The value under a key; null is put there if there is none.
    pub(crate) fn get_or_null(&mut self, key: &str) -> &mut Value {
        let at = match self.find(key) {
            Ok(at) => at,
            Err(at) => {
                self.entries.insert(at, (key.into(), Value::NULL));
                at
            }
        };
        &mut self.entries[at].1
    }

    /// Adds entries; those whose key is there already replace it.
    pub(crate) fn extend(&mut self, added: impl IntoIterator<Item = (Text, Value)>) {
        /// So few are put in one by one.
        const FEW: usize = 4;
        let added: Vec<(Text, Value)> = added.into_iter().collect();
        if added.len() <= FEW {
            added.into_iter().for_each(|(key, value)| drop(self.insert(key, value)));
            return;
        }
        let mut entries = std::mem::take(&mut self.entries);
        entries.extend(added);
        *self = Self::from_entries(entries);
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value) -> bool) {
        self.entries.retain_mut(|(key, value)| keep(key, value));
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Value)> + DoubleEndedIterator {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&Text, &mut Value)> {
        self.entries.iter_mut().map(|(key, value)| (&*key, value))
    }

    pub(crate) fn keys(&self) -> impl ExactSizeIterator<Item = &Text> {
        self.entries.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Value> {
        self.entries.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.entries.iter_mut().map(|(_, value)| value)
    }
}

impl IntoIterator for Map {
    type Item = (Text, Value);
    type IntoIter = std::vec::IntoIter<(Text, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = &'a (Text, Value);
    type IntoIter = std::slice::Iter<'a, (Text, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

impl FromIterator<(Text, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Text, Value)>>(entries: I) -> Self {
        Self::from_entries(entries.into_iter().collect())
    }
}

impl Value {
    pub(crate) const NULL: Value = Value::Null(Null::Written);

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Value::Null(_))
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Value::Number(_))
    }

    pub(crate) fn is_boolean(&self) -> bool {
        matches!(self, Value::Bool(_))
    }

    pub(crate) fn is_string(&self) -> bool {
        matches!(self, Value::String(_) | Value::Quoted(_))
    }

    pub(crate) fn is_object(&self) -> bool {
        matches!(self, Value::Object(_))
    }

    pub(crate) fn is_array(&self) -> bool {
        matches!(self, Value::Array(_))
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Value::String(text) | Value::Quoted(text) = self { Some(text) } else { None }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(value) = self { Some(*value) } else { None }
    }

    pub(crate) fn as_i64(&self) -> Option<i64> {
        if let Value::Number(number) = self { number.as_i64() } else { None }
    }

    pub(crate) fn as_object(&self) -> Option<&Map> {
        if let Value::Object(map) = self { Some(map) } else { None }
    }

    pub(crate) fn as_object_mut(&mut self) -> Option<&mut Map> {
        if let Value::Object(map) = self { Some(map) } else { None }
    }

    pub(crate) fn as_array(&self) -> Option<&Vec<Value>> {
        if let Value::Array(items) = self { Some(items) } else { None }
    }

    pub(crate) fn as_array_mut(&mut self) -> Option<&mut Vec<Value>> {
        if let Value::Array(items) = self { Some(items) } else { None }
    }

    /// The value under a key, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.as_object_mut()?.get_mut(key)
    }

    /// The value under a key under a key, and so on.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    pub(crate) fn at_mut(&mut self, path: &[&str]) -> Option<&mut Value> {
        path.iter().try_fold(self, |value, key| value.get_mut(key))
    }

    /// As it comes out of JSON: every null is written, and in quotes stands only what has to.
    pub(crate) fn through_json(&mut self) {
        match self {
            Value::Null(_) => *self = Value::NULL,
            Value::Array(items) => items.iter_mut().for_each(Value::through_json),
            Value::Object(map) => map.values_mut().for_each(Value::through_json),
            Value::String(text) | Value::Quoted(text) => {
                let text = std::mem::take(text);
                *self = if prints_plain(&text) { Value::String(text) } else { Value::Quoted(text) };
            }
            Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Leaves null.
    pub(crate) fn take(&mut self) -> Value {
        std::mem::take(self)
    }

    /// The same for the world outside.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null(_) => serde_json::Value::Null,
            Value::Bool(value) => serde_json::Value::Bool(*value),
            Value::Number(number) => serde_json::Value::Number(number.clone()),
            Value::String(text) | Value::Quoted(text) => serde_json::Value::String(text.to_string()),
            Value::Array(items) => serde_json::Value::Array(items.iter().map(Value::to_json).collect()),
            Value::Object(map) => map_to_json(map).into(),
        }
    }
}

fn map_to_json(map: &Map) -> serde_json::Map<String, serde_json::Value> {
    map.iter().map(|(key, value)| (key.to_string(), value.to_json())).collect()
}

impl Default for Value {
    fn default() -> Self {
        Self::NULL
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Value::NULL,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => Value::Number(number),
            serde_json::Value::String(text) => Value::String(text.into()),
            serde_json::Value::Array(items) => Value::Array(items.into_iter().map(Value::from).collect()),
            serde_json::Value::Object(map) => {
                Value::Object(map.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text.into())
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Value::String(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Number(number.into())
    }
}

/// As JSON, for messages.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_json().fmt(f)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&serde_json::Value::Object(map_to_json(self)), f)
    }
}

/// A value of the crate's own kind, written as in `serde_json::json!`.
#[cfg(test)]
macro_rules! json {
    ($($tokens:tt)*) => { $crate::value::Value::from(serde_json::json!($($tokens)*)) };
}
#[cfg(test)]
pub(crate) use json;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_small() {
        assert_eq!((size_of::<Value>(), size_of::<(Text, Value)>()), (32, 56));
    }

    #[test]
    fn maps_are_sorted_and_the_last_of_a_key_counts() {
        let entries = |pairs: &[(&str, i64)]| pairs.iter().map(|(k, v)| (Text::from(*k), Value::from(*v))).collect();
        let mut map = Map::from_entries(entries(&[("b", 1), ("a", 2), ("b", 3), ("c", 4), ("b", 5)]));
        assert_eq!(Value::Object(map.clone()), json!({"a": 2, "b": 5, "c": 4}));
        map.extend(entries(&[("z", 1), ("b", 6), ("y", 2), ("x", 3), ("a", 9)]));
        assert_eq!(Value::Object(map.clone()), json!({"a": 9, "b": 6, "c": 4, "x": 3, "y": 2, "z": 1}));
        assert_eq!(map.remove("b"), Some(Value::from(6)));
        assert_eq!(map.insert("c", Value::from(7)), Some(Value::from(4)));
        *map.get_or_null("m") = Value::from(8);
        map.retain(|key, _| key < "y");
        assert_eq!(Value::Object(map), json!({"a": 9, "c": 7, "m": 8, "x": 3}));
    }

    #[test]
    fn large_maps_are_searched_too() {
        let map: Map = (0..1000).map(|i| (Text::from(format!("k{i:04}")), Value::from(i))).collect();
        for i in 0..1000 {
            assert_eq!(map.get(&format!("k{i:04}")), Some(&Value::from(i)));
        }
        assert_eq!((map.len(), map.get("k1"), map.get("z")), (1000, None, None));
    }
}
