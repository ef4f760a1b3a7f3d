//! A place in objects of a kind, such as `spec/template/metadata/labels` in Deployments, and how to reach it.

use std::borrow::Cow;

use crate::value::{Map, Value};

use crate::resource::Gvk;

/// Which field of which kinds, and whether to make it where it is missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FieldSpec {
    /// Empty parts allow anything.
    pub(crate) gvk: Gvk,
    /// Segments separated by `/`; `\/` stands for a slash, a trailing `[]` asks for a list.
    pub(crate) path: String,
    pub(crate) create: bool,
}

/// What is made at the end of a path that is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    Nothing,
    Map,
    Scalar,
}

impl FieldSpec {
    pub(crate) fn new(group: &str, version: &str, kind: &str, path: &str, create: bool) -> Self {
        Self { gvk: Gvk { group: group.into(), version: version.into(), kind: kind.into() }, path: path.into(), create }
    }

    /// Calls `set` for every value at this place of the object.
    pub(crate) fn apply(
        &self,
        object: &mut Value,
        make: Make,
        set: &mut dyn FnMut(&mut Value) -> Result<(), String>,
    ) -> Result<(), String> {
        let make = if self.create { make } else { Make::Nothing };
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        walk(object, Some(path), make, set).map_err(|reason| format!("at `{}`: {reason}", self.path))
    }
}

fn walk(
    value: &mut Value,
    path: Option<&str>,
    make: Make,
    set: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    let Some(remaining) = path else { return set(value) };
    let (segment, rest) = first_segment(remaining);
    match value {
        Value::Null(_) => Ok(()),
        Value::Array(items) => items.iter_mut().try_for_each(|item| walk(item, path, make, set)),
        Value::Object(map) => {
            let (field, is_list) = match segment.strip_suffix("[]") {
                Some(field) => (field, true),
                None => (segment.as_ref(), false),
            };
            if field.is_empty() {
                return Err("a field name is empty".into());
            }
            if make != Make::Nothing && !is_list && !map.contains_key(field) {
                map.insert(field.to_string(), Value::NULL);
            }
            let Some(next) = map.get_mut(field) else { return Ok(()) };
            if next.is_null() {
                *next = match (is_list, rest.is_none(), make) {
                    (true, _, _) => Value::Array(Vec::new()),
                    (false, _, Make::Nothing) => Value::NULL,
                    (false, true, Make::Scalar) => "".into(),
                    (false, true, Make::Map) | (false, false, _) => Value::Object(Map::new()),
                };
            }
            walk(next, rest, make, set)
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => {
            Err(format!("`{segment}` is looked for in a scalar"))
        }
    }
}

/// The first segment of a path, and the rest if there is one. Most paths need no copy.
fn first_segment(path: &str) -> (Cow<'_, str>, Option<&str>) {
    let (mut segment, mut rest) = match path.split_once('/') {
        Some((segment, rest)) => (Cow::Borrowed(segment), Some(rest)),
        None => return (Cow::Borrowed(path), None),
    };
    while let (Some(open), Some(after)) = (segment.strip_suffix('\\'), rest) {
        let (next, remaining) = after.split_once('/').map_or((after, None), |(next, rest)| (next, Some(rest)));
        segment = Cow::Owned(format!("{open}/{next}"));
        rest = remaining;
    }
    (segment, rest)
}

/// Splits a path at a delimiter that a backslash can protect. A leading delimiter does not count.
pub(crate) fn split_path(path: &str, delimiter: char) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let path = path.strip_prefix(delimiter).unwrap_or(path);
    for part in path.split(delimiter) {
        match parts.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push(delimiter);
                last.push_str(part);
            }
            _ => parts.push(part.to_string()),
        }
    }
    parts
}

/// Adds a place to a list unless one of the list covers it; the two must agree whether to create it.
pub(crate) fn merge_one(list: &mut Vec<FieldSpec>, spec: FieldSpec) -> Result<(), String> {
    match list.iter().find(|known| known.gvk.is_selected_by(&spec.gvk) && known.path == spec.path) {
        Some(known) if known.create != spec.create => {
            Err(format!("conflicting field specifications for `{}`: `create` differs", spec.path))
        }
        Some(_) => Ok(()),
        None => {
            list.push(spec);
            Ok(())
        }
    }
}

/// Adds many places, see [`merge_one`].
pub(crate) fn merge_all(list: &mut Vec<FieldSpec>, specs: &[FieldSpec]) -> Result<(), String> {
    specs.iter().try_for_each(|spec| merge_one(list, spec.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::json;

    #[test]
    fn slashes_can_be_protected() {
        assert_eq!(split_path(r"metadata/annotations/a.b\/c", '/'), ["metadata", "annotations", "a.b/c"]);
        assert_eq!(split_path("/a/b", '/'), ["a", "b"]);
    }

    #[test]
    fn values_are_found_made_or_left() {
        let mut object = json!({"spec": {"items": [{"a": 1}, {"b": 2}], "n": null}});
        let set = |v: &mut Value| {
            *v = json!("x");
            Ok(())
        };
        let at = |path: &str, create: bool| FieldSpec { path: path.into(), create, ..FieldSpec::default() };
        at("spec/items/a", false).apply(&mut object, Make::Scalar, &mut set.clone()).expect("found");
        at("spec/n/m", true).apply(&mut object, Make::Scalar, &mut set.clone()).expect("made");
        at("spec/z", false).apply(&mut object, Make::Scalar, &mut set.clone()).expect("left");
        assert_eq!(object, json!({"spec": {"items": [{"a": "x"}, {"b": 2}], "n": {"m": "x"}}}));
    }
}
