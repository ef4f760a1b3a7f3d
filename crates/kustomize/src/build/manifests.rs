//! Reads files of resources.

use crate::value::{Map, Text, Value};

use crate::error::{Position, Problem};
use crate::resource::{Resource, Source};
use crate::yaml::{self, Annotations, Budget};

/// The objects of a patch or a plug-in's configuration; lists are expanded. `path` is for messages.
pub(crate) fn read(text: &str, path: &str, budget: &Budget) -> Result<Vec<Resource>, Problem> {
    // Who patches mends one at a time; there is always one.
    read_with(text, path, Annotations::TextOrNull, budget)
        .map_err(|problems| problems.into_iter().next().unwrap_or_else(|| "unreadable".into()))
}

/// The objects of a file of manifests, or all that is wrong with them.
pub(crate) fn read_manifests(text: &str, path: &str, budget: &Budget) -> Result<Vec<Resource>, Vec<Problem>> {
    read_with(text, path, Annotations::Text, budget)
}

fn read_with(text: &str, path: &str, annotations: Annotations, budget: &Budget) -> Result<Vec<Resource>, Vec<Problem>> {
    let documents = yaml::objects_within(text, annotations, budget).map_err(|error| vec![error.problem(path, text)])?;
    // A lone `List` may hold anything; otherwise lists go to the end, one level at a time, as in the original.
    let mut queue: Vec<(Value, usize)> = documents.into_iter().map(|d| (d.value, d.line)).collect();
    if let [(only, line)] = queue.as_mut_slice()
        && matches!(only.get("kind").and_then(Value::as_str), Some("List" | "ResourceList"))
        && let Some(items) = only.get_mut("items").filter(|items| items.is_array())
    {
        let (items, line) = (items.take(), *line);
        queue = into_items(items).into_iter().map(|item| (item, line)).collect();
    }
    let path = Text::from(path);
    let mut resources = Vec::new();
    let mut next = Vec::new();
    let mut problems = Vec::new();
    while !queue.is_empty() {
        for (value, line) in queue {
            let at = Position { line, column: 0 };
            if is_empty(&value) {
                continue;
            }
            let object = match check(value) {
                Ok(object) => object,
                Err(message) => {
                    problems.push(Problem::at(&path, at, message));
                    continue;
                }
            };
            let is_list = object.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
            match object.get("items") {
                Some(Value::Null(_)) if is_list => {}
                Some(Value::Array(_)) if is_list => {
                    let items = object.into_iter().find(|(key, _)| key == "items").map(|(_, items)| items);
                    next.extend(items.map(into_items).unwrap_or_default().into_iter().map(|item| (item, line)));
                }
                Some(_) if is_list => problems.push(Problem::at(&path, at, "`items` of a list must be a list")),
                Some(_) | None => {
                    let mut resource = Resource::new(object, Source { path: path.clone(), line });
                    resource.take_history();
                    resources.push(resource);
                }
            }
        }
        queue = std::mem::take(&mut next);
    }
    if problems.is_empty() { Ok(resources) } else { Err(problems) }
}

fn into_items(items: Value) -> Vec<Value> {
    match items {
        Value::Array(items) => items,
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) | Value::Object(_) => {
            Vec::new()
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

/// An object needs a kind and a name; lists need a kind.
fn check(value: Value) -> Result<Map, String> {
    let Value::Object(object) = value else {
        return Err("a resource must be a map with `apiVersion`, `kind` and `metadata`".into());
    };
    let kind = match object.get("kind") {
        Some(Value::String(kind) | Value::Quoted(kind)) if !kind.is_empty() => kind,
        Some(Value::Null(_)) | None => return Err("the resource has no `kind`".into()),
        Some(_) => return Err("`kind` must be a string that is not empty".into()),
    };
    if object.get("apiVersion").is_some_and(|version| !version.is_string()) {
        return Err("`apiVersion` must be a string".into());
    }
    let metadata = object.get("metadata");
    if metadata.is_some_and(|metadata| !metadata.is_object() && !metadata.is_null()) {
        return Err("`metadata` must be a map".into());
    }
    let field = |name: &str| metadata.and_then(|metadata| metadata.get(name)).filter(|value| !value.is_null());
    for name in ["name", "namespace"] {
        if field(name).is_some_and(|value| value.is_object() || value.is_array()) {
            return Err(format!("`metadata.{name}` must be a string"));
        }
    }
    for name in ["labels", "annotations"] {
        // `{labels: , ...}` is an empty string, which the original takes for none.
        if let Some(map) = field(name).filter(|value| value.as_str() != Some("")) {
            let map = map.as_object().ok_or_else(|| format!("`metadata.{name}` must be a map"))?;
            if let Some((key, _)) = map.iter().find(|(_, value)| value.is_object() || value.is_array()) {
                return Err(format!("`metadata.{name}.{key}` must be a string"));
            }
        }
    }
    let named = field("name").is_some_and(|name| name.as_str() != Some(""));
    if !named && !kind.ends_with("List") {
        let hint = if field("generateName").is_some() { "; `generateName` is not enough" } else { "" };
        return Err(format!("the {kind} has no `metadata.name`{hint}"));
    }
    Ok(object)
}
