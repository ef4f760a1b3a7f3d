//! Typed reading of configuration: unknown fields and wrong types are collected with their places, not raised one by one.

use std::collections::{BTreeMap, HashMap};

use crate::value::{Text, Value};

use crate::error::{Position, Problem, did_you_mean};
use crate::yaml::{Entry, Node, text_of};

/// A value with its place.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    pub(crate) value: &'a Value,
    node: Option<&'a Node>,
    pub(crate) position: Position,
    /// Unknown fields are left alone and other scalars taken for strings: so plug-in configurations are read.
    lenient: bool,
}

/// Problems of one file.
pub(crate) struct Problems<'a> {
    pub(crate) path: &'a str,
    pub(crate) list: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(path: &'a str) -> Self {
        Self { path, list: Vec::new() }
    }

    pub(crate) fn add(&mut self, position: Position, message: impl Into<String>) {
        self.list.push(Problem::at(self.path, position, message));
    }
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(value: &'a Value, node: Option<&'a Node>) -> Self {
        Self { value, node, position: node.map_or_else(Position::default, |node| node.span.position), lenient: false }
    }

    /// For configurations of plug-ins.
    pub(crate) fn lenient(value: &'a Value, node: Option<&'a Node>) -> Self {
        Self { lenient: true, ..Self::new(value, node) }
    }

    fn child(self, value: &'a Value, node: Option<&'a Node>, position: Option<Position>) -> Self {
        let position = position.or(node.map(|node| node.span.position)).unwrap_or(self.position);
        Self { value, node, position, lenient: self.lenient }
    }

    /// Calls `on` for each field that is there, under its right name. Names are compared without regard to case, like the
    /// original does; null counts as absent. Unknown fields are problems, but for plug-in configurations.
    pub(crate) fn fields(
        self,
        what: &str,
        known: &[&'static str],
        problems: &mut Problems<'_>,
        mut on: impl FnMut(&'static str, Cursor<'a>, &mut Problems<'_>),
    ) {
        let Some(map) = self.value.as_object() else {
            return problems.add(self.position, format!("{what} must be a map, not {}", kind_of(self.value)));
        };
        let entries = Entries::of(self.node);
        for (key, value) in map {
            let entry = entries.get(key);
            let position = entry.map_or(self.position, |entry| entry.key_span.position);
            let exact = known.iter().find(|name| *name == key);
            let name = exact.or_else(|| known.iter().find(|name| name.eq_ignore_ascii_case(key)));
            match name {
                Some(_) if value.is_null() => {}
                Some(name) => {
                    let node = entry.map(|entry| &entry.value);
                    let child = self.child(value, node, Some(position));
                    on(name, child, problems);
                }
                None if self.lenient => {}
                None => {
                    let hint = did_you_mean(key, known.iter().copied()).map_or_else(
                        || "remove it, or check the spelling".to_string(),
                        |near| format!("did you mean `{near}`?"),
                    );
                    problems.add(position, format!("unknown field `{key}` in {what}; {hint}"));
                }
            }
        }
    }

    fn wrong(self, name: &str, wanted: &str, problems: &mut Problems<'_>) {
        let hint = match self.value {
            Value::Bool(_) | Value::Number(_) if wanted == "a string" => "; put it in quotes",
            Value::Null(_)
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Quoted(_)
            | Value::Array(_)
            | Value::Object(_) => "",
        };
        problems.add(self.position, format!("`{name}` must be {wanted}, not {}{hint}", kind_of(self.value)));
    }

    pub(crate) fn string(self, name: &str, problems: &mut Problems<'_>) -> String {
        match self.value {
            Value::String(text) | Value::Quoted(text) => text.to_string(),
            Value::Null(_) => String::new(),
            Value::Bool(_) | Value::Number(_) if self.lenient => text_of(self.value).unwrap_or_default().to_string(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                self.wrong(name, "a string", problems);
                String::new()
            }
        }
    }

    pub(crate) fn text(self, name: &str, problems: &mut Problems<'_>) -> Text {
        self.string(name, problems).into()
    }

    pub(crate) fn bool(self, name: &str, problems: &mut Problems<'_>) -> bool {
        self.value.as_bool().unwrap_or_else(|| {
            self.wrong(name, "true or false", problems);
            false
        })
    }

    pub(crate) fn integer(self, name: &str, problems: &mut Problems<'_>) -> i64 {
        self.value.as_i64().unwrap_or_else(|| {
            self.wrong(name, "an integer", problems);
            0
        })
    }

    /// The elements of a list, each with its place.
    pub(crate) fn items(self, name: &str, problems: &mut Problems<'_>) -> Vec<Cursor<'a>> {
        let Some(items) = self.value.as_array() else {
            self.wrong(name, "a list", problems);
            return Vec::new();
        };
        let at = |(i, value)| self.child(value, self.node.and_then(|node| node.at(i)), None);
        items.iter().enumerate().map(at).collect()
    }

    pub(crate) fn strings(self, name: &str, problems: &mut Problems<'_>) -> Vec<String> {
        self.items(name, problems).into_iter().map(|item| item.string(name, problems)).collect()
    }

    pub(crate) fn placed_strings(self, name: &str, problems: &mut Problems<'_>) -> Vec<Placed<String>> {
        let items = self.items(name, problems);
        items.into_iter().map(|item| Placed { position: item.position, value: item.string(name, problems) }).collect()
    }

    pub(crate) fn string_map(self, name: &str, problems: &mut Problems<'_>) -> BTreeMap<String, String> {
        let Some(map) = self.value.as_object() else {
            self.wrong(name, "a map", problems);
            return BTreeMap::new();
        };
        let mut out = BTreeMap::new();
        let entries = Entries::of(self.node);
        for (key, value) in map {
            let entry = entries.get(key);
            let child = self.child(value, entry.map(|entry| &entry.value), None);
            out.insert(key.to_string(), child.string(&format!("{name}.{key}"), problems));
        }
        out
    }
}

/// The entries of a map's node by their keys.
struct Entries<'a>(HashMap<&'a str, &'a Entry>);

impl<'a> Entries<'a> {
    fn of(node: Option<&'a Node>) -> Self {
        let entries = node.map_or(&[][..], Node::entries);
        Self(entries.iter().map(|entry| (entry.key.as_str(), entry)).collect())
    }

    fn get(&self, key: &str) -> Option<&'a Entry> {
        self.0.get(key).copied()
    }
}

/// Something with its place in the kustomization file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Placed<T> {
    pub(crate) position: Position,
    pub(crate) value: T,
}

pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null(_) => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) | Value::Quoted(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
