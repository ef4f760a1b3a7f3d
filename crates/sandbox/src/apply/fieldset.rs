//! Sets of fields as managedFields write them (`fieldsV1`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::schema::Schema;

/// A set of fields: a tree whose edges are written as in `fieldsV1` (`f:spec`, `k:{"name":"web"}`, `v:"x"`).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FieldSet {
    /// Whether this place itself belongs to the set.
    pub(crate) member: bool,
    pub(crate) children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// Reads `fieldsV1`.
    pub(crate) fn parse(fields: &Value) -> FieldSet {
        fn walk(fields: &Map<String, Value>, is_root: bool) -> FieldSet {
            let mut set = FieldSet { member: fields.is_empty() && !is_root, children: BTreeMap::new() };
            for (edge, below) in fields {
                if edge == "." {
                    set.member = true;
                } else if let Some(below) = below.as_object() {
                    set.children.insert(edge.clone(), walk(below, false));
                }
            }
            set
        }
        fields.as_object().map_or_else(FieldSet::default, |fields| walk(fields, true))
    }

    /// Writes `fieldsV1`.
    pub(crate) fn write(&self) -> Value {
        let mut fields = Map::new();
        if self.member && !self.children.is_empty() {
            fields.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (edge, below) in &self.children {
            fields.insert(edge.clone(), below.write());
        }
        Value::Object(fields)
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(FieldSet::is_empty)
    }

    /// The fields that are in both.
    pub(crate) fn intersection(&self, other: &FieldSet) -> FieldSet {
        let mut both = FieldSet { member: self.member && other.member, children: BTreeMap::new() };
        for (edge, below) in &self.children {
            if let Some(others) = other.children.get(edge) {
                both.put(edge, below.intersection(others));
            }
        }
        both
    }

    /// The fields of this set that are not in the other.
    pub(crate) fn difference(&self, other: &FieldSet) -> FieldSet {
        let mut rest = FieldSet { member: self.member && !other.member, children: BTreeMap::new() };
        for (edge, below) in &self.children {
            let below = match other.children.get(edge) {
                Some(others) => below.difference(others),
                None => below.clone(),
            };
            rest.put(edge, below);
        }
        rest
    }

    /// The fields that are in either.
    pub(crate) fn union(&self, other: &FieldSet) -> FieldSet {
        let mut all = self.clone();
        all.add(other);
        all
    }

    fn add(&mut self, other: &FieldSet) {
        self.member |= other.member;
        for (edge, below) in &other.children {
            self.children.entry(edge.clone()).or_default().add(below);
        }
    }

    /// This set with every named field on the way to a member a member, too; items of lists stay as they are.
    pub(crate) fn with_parents(&self) -> FieldSet {
        let mut set = FieldSet { member: self.member, children: BTreeMap::new() };
        for (edge, below) in &self.children {
            let mut below = below.with_parents();
            below.member |= edge.starts_with("f:") && !below.is_empty();
            set.put(edge, below);
        }
        set
    }

    /// The members as paths for messages: `.spec.replicas`, `.spec.containers[name="web"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        fn walk(set: &FieldSet, path: &str, paths: &mut Vec<String>) {
            if set.member {
                paths.push(path.to_owned());
            }
            for (edge, below) in &set.children {
                walk(below, &format!("{path}{}", shown(edge)), paths);
            }
        }
        let mut paths = Vec::new();
        walk(self, "", &mut paths);
        paths
    }

    fn put(&mut self, edge: &str, below: FieldSet) {
        if !below.is_empty() {
            self.children.insert(edge.to_owned(), below);
        }
    }

    fn insert(&mut self, edge: String) -> &mut FieldSet {
        self.children.entry(edge).or_default()
    }

    /// Takes out what never belongs to a manager: the object's identity and what the server writes.
    pub(crate) fn without_server_fields(mut self) -> FieldSet {
        for edge in ["f:apiVersion", "f:kind"] {
            self.children.remove(edge);
        }
        if let Some(metadata) = self.children.get_mut("f:metadata") {
            metadata.member = false;
            let server = [
                "name",
                "namespace",
                "creationTimestamp",
                "selfLink",
                "uid",
                "clusterName",
                "generation",
                "managedFields",
                "resourceVersion",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
            ];
            for field in server {
                metadata.children.remove(&format!("f:{field}"));
            }
            if metadata.is_empty() {
                self.children.remove("f:metadata");
            }
        }
        self
    }
}

fn shown(edge: &str) -> String {
    match edge.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<_> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        Some(("v", value)) => format!("[={value}]"),
        _ => format!("[{edge}]"),
    }
}

/// The edge of a list's item.
pub(crate) fn edge_of(item: &Value, schema: &Schema) -> String {
    if schema.keys.is_empty() {
        return format!("v:{item}");
    }
    let mut keys = Map::new();
    let mut names: Vec<_> = schema.keys.iter().collect();
    names.sort_by(|a, b| a.name.cmp(&b.name));
    for key in names {
        let value = match item.get(&key.name) {
            Some(value) => value.clone(),
            None => match key.default {
                Some(default) => Value::from(default),
                None => continue,
            },
        };
        keys.insert(key.name.clone(), value);
    }
    format!("k:{}", Value::Object(keys))
}

/// All fields of a value.
pub(crate) fn fields_of(value: &Value, schema: &Schema) -> FieldSet {
    let mut set = FieldSet::default();
    collect(value, schema, &mut set);
    set.member = false;
    set
}

fn collect(value: &Value, schema: &Schema, set: &mut FieldSet) {
    match value {
        Value::Object(map) if !schema.atomic && !map.is_empty() => {
            for (name, below) in map {
                collect(below, schema.field(name), set.insert(format!("f:{name}")));
            }
        }
        Value::Array(items) if !schema.is_atomic_list() => {
            for item in items {
                let below = set.insert(edge_of(item, schema));
                collect(item, schema.items(), below);
                below.member = true;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) | Value::Array(_) => {
            set.member = true
        }
    }
}

/// How one value differs from another.
#[derive(Default)]
pub(crate) struct Comparison {
    /// Fields that are new or have another value.
    pub(crate) changed: FieldSet,
    /// Fields that are gone.
    pub(crate) removed: FieldSet,
}

/// Compares two states of an object.
pub(crate) fn compare(old: &Value, new: &Value, schema: &Schema) -> Comparison {
    let mut comparison = Comparison::default();
    compare_into(Some(old), Some(new), schema, &mut comparison.changed, &mut comparison.removed);
    comparison.changed.member = false;
    comparison.removed.member = false;
    comparison
}

fn compare_into(
    old: Option<&Value>,
    new: Option<&Value>,
    schema: &Schema,
    changed: &mut FieldSet,
    removed: &mut FieldSet,
) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => return,
        (None, Some(_)) => changed.member = true,
        (Some(_), None) => removed.member = true,
        (Some(_), Some(_)) | (None, None) => (),
    }
    let shape = new.or(old);
    let empty = Map::new();
    let both_empty = is_empty(old) && is_empty(new);
    if shape.is_some_and(Value::is_object) && !schema.atomic && !both_empty {
        let (old, new) =
            (old.and_then(Value::as_object).unwrap_or(&empty), new.and_then(Value::as_object).unwrap_or(&empty));
        for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
            let edge = format!("f:{name}");
            let (mut more, mut less) = (FieldSet::default(), FieldSet::default());
            compare_into(old.get(name), new.get(name), schema.field(name), &mut more, &mut less);
            changed.put(&edge, more);
            removed.put(&edge, less);
        }
    } else if shape.is_some_and(Value::is_array) && !schema.is_atomic_list() && !both_empty {
        let (old, new) = (by_edge(old, schema), by_edge(new, schema));
        for edge in old.keys().chain(new.keys().filter(|edge| !old.contains_key(*edge))) {
            let (mut more, mut less) = (FieldSet::default(), FieldSet::default());
            compare_into(old.get(edge).copied(), new.get(edge).copied(), schema.items(), &mut more, &mut less);
            changed.put(edge, more);
            removed.put(edge, less);
        }
    } else if old.is_some() && new.is_some() {
        changed.member = true;
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => false,
    }
}

fn by_edge<'a>(list: Option<&'a Value>, schema: &Schema) -> BTreeMap<String, &'a Value> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.map(|item| (edge_of(item, schema), item)).collect()
}

/// Takes the fields of a set out of a value, whole subtrees at each member.
pub(crate) fn remove_fields(value: &mut Value, set: &FieldSet, schema: &Schema) {
    match value {
        Value::Object(map) => {
            for (edge, below) in &set.children {
                let Some(name) = edge.strip_prefix("f:") else { continue };
                if below.member {
                    map.remove(name);
                } else if let Some(inner) = map.get_mut(name) {
                    remove_fields(inner, below, schema.field(name));
                }
            }
        }
        Value::Array(items) if !schema.is_atomic_list() => {
            items.retain(|item| !set.children.get(&edge_of(item, schema)).is_some_and(|below| below.member));
            for item in items {
                if let Some(below) = set.children.get(&edge_of(item, schema)) {
                    remove_fields(item, below, schema.items());
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => (),
    }
}

/// Merges an applied configuration into the live value.
pub(crate) fn merge(live: &Value, config: &Value, schema: &Schema) -> Value {
    match (live, config) {
        (Value::Object(live), Value::Object(config)) if !schema.atomic => {
            let mut merged = live.clone();
            for (name, value) in config {
                let value = match live.get(name) {
                    Some(old) => merge(old, value, schema.field(name)),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(live), Value::Array(config)) if !schema.is_atomic_list() => {
            Value::Array(merge_lists(live, config, schema))
        }
        (_, config) => config.clone(),
    }
}

/// The items of both lists: those of the configuration in its order, the others where they stood among them.
fn merge_lists(live: &[Value], config: &[Value], schema: &Schema) -> Vec<Value> {
    let wanted: Vec<_> = config.iter().map(|item| edge_of(item, schema)).collect();
    let present: Vec<_> = live.iter().map(|item| edge_of(item, schema)).collect();
    let mut merged = Vec::new();
    let mut passed = 0;
    for (item, edge) in config.iter().zip(&wanted) {
        let Some(place) = present.iter().position(|other| other == edge) else {
            merged.push(item.clone());
            continue;
        };
        for at in passed..place {
            if !wanted.contains(&present[at]) {
                merged.push(live[at].clone());
            }
        }
        passed = passed.max(place + 1);
        merged.push(merge(&live[place], item, schema.items()));
    }
    for at in passed..live.len() {
        if !wanted.contains(&present[at]) {
            merged.push(live[at].clone());
        }
    }
    merged
}
