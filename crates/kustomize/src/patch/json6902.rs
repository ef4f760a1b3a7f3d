//! JSON patches in the dialect of the original: `replace` makes what is missing, index -1 appends, and the first segment of
//! a path without a leading slash is lost.

use crate::value::{Map, Text, Value};

use crate::limits::{DEPTH_MAX, PATCH_COPY_NODES_MAX};
use crate::yaml::{self, Budget, number_from_f64, value_depth};

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operation {
    op: Text,
    path: Option<Text>,
    from: Option<Text>,
    value: Option<Value>,
}

/// Reads a patch: JSON if it begins with `[`, YAML 1.1 otherwise.
pub(crate) fn parse(text: &str, budget: &Budget) -> Result<Vec<Operation>, String> {
    let value = if text.starts_with('[') {
        let value: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| format!("a patch that begins with `[` must be JSON: {error}"))?;
        let mut value = Value::from(value);
        settle_numbers(&mut value);
        value
    } else {
        let documents = yaml::strict_within(text, budget).map_err(|error| error.to_string())?;
        documents.into_iter().next().map_or(Value::NULL, |document| document.value)
    };
    let Value::Array(items) = value else { return Err("a JSON patch is a list of operations".into()) };
    items.into_iter().map(operation).collect()
}

fn operation(item: Value) -> Result<Operation, String> {
    let Value::Object(mut fields) = item else { return Err("each operation of a JSON patch is a map".into()) };
    let mut text = |field: &str| match fields.remove(field) {
        Some(Value::String(text) | Value::Quoted(text)) => Ok(Some(text)),
        None | Some(Value::Null(_)) => Ok(None),
        Some(_) => Err(format!("`{field}` of an operation must be a string")),
    };
    let (op, path, from) = (text("op")?, text("path")?, text("from")?);
    Ok(Operation { op: op.unwrap_or_default(), path, from, value: fields.remove("value") })
}

/// Numbers as they are after a way through floats: without a fraction they are integers, and beyond 2^53 they are rounded.
/// The original sends every object that it patches that way.
fn settle_numbers(value: &mut Value) {
    const EXACT_UP_TO: u64 = 1 << 53;
    match value {
        Value::Number(number) => {
            let exact = number.as_i64().is_some_and(|n| n.unsigned_abs() <= EXACT_UP_TO);
            if let (false, Some(float)) = (exact, number.as_f64()) {
                *number = number_from_f64(float);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle_numbers),
        Value::Object(map) => map.values_mut().for_each(settle_numbers),
        Value::Null(_) | Value::Bool(_) | Value::String(_) | Value::Quoted(_) => {}
    }
}

/// What is wrong with operations whatever they are applied to.
pub(crate) fn check(operations: &[Operation]) -> Result<(), String> {
    operations.iter().try_for_each(|operation| {
        operation.path.as_ref().ok_or(NO_PATH)?;
        match operation.op.as_str() {
            "add" | "remove" | "replace" | "test" | "move" | "copy" => Ok(()),
            other => Err(unknown(other)),
        }
    })
}

const NO_PATH: &str = "an operation has no `path`";

fn unknown(op: &str) -> String {
    format!("`{op}` is no operation; it is add, remove, replace, move, copy or test")
}

/// Applies the operations in order.
pub(crate) fn apply(object: Map, operations: &[Operation], budget: &Budget) -> Result<Map, String> {
    let mut root = Value::Object(object);
    let mut copied = 0;
    for operation in operations {
        let path = operation.path.as_deref().ok_or(NO_PATH)?;
        run(&mut root, operation, path, &mut copied, budget)
            .map_err(|why| format!("operation `{}` at `{path}` does not apply: {why}", operation.op))?;
    }
    if value_depth_exceeds(&root) {
        return Err(format!("the patched object is nested more than {DEPTH_MAX} deep"));
    }
    settle_numbers(&mut root);
    match root {
        Value::Object(map) => Ok(map),
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) | Value::Array(_) => {
            Err("the patched object is no map any more".into())
        }
    }
}

/// Depth is checked after every operation that nests, so this never recurses far.
fn value_depth_exceeds(value: &Value) -> bool {
    value_depth(value) > DEPTH_MAX
}

fn run(root: &mut Value, operation: &Operation, path: &str, copied: &mut usize, budget: &Budget) -> Result<(), String> {
    let value = || operation.value.clone().unwrap_or(Value::NULL);
    budget.add(operation.value.as_ref().map_or(0, nodes))?;
    match operation.op.as_str() {
        "add" => add(find(root, path)?, value()),
        "remove" => remove(find(root, path)?).map(drop),
        "replace" => replace(find(root, path)?, value()),
        "test" => {
            let (container, key) = find(root, path)?;
            let found = get(container, &key)?.unwrap_or(&Value::NULL);
            if *found == value() { Ok(()) } else { Err(format!("the value there is {}", short(found))) }
        }
        "move" | "copy" => {
            let from = operation.from.as_deref().ok_or("it has no `from`")?;
            let moved = if operation.op == "move" {
                remove(find(root, from)?)?
            } else {
                let (container, key) = find(root, from)?;
                // What is missing in a map is copied as null.
                let found = get(container, &key)?.unwrap_or(&Value::NULL);
                *copied += nodes(found);
                budget.add(nodes(found))?;
                if *copied > PATCH_COPY_NODES_MAX {
                    return Err(format!("the patch copies more than {PATCH_COPY_NODES_MAX} nodes"));
                }
                found.clone()
            };
            add(find(root, path)?, moved)?;
            if value_depth_exceeds(root) {
                return Err(format!("the object would be nested more than {DEPTH_MAX} deep"));
            }
            Ok(())
        }
        other => Err(unknown(other)),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or("")),
        None => text,
    }
}

pub(super) fn nodes(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(nodes).sum::<usize>(),
        Value::Array(items) => 1 + items.iter().map(nodes).sum::<usize>(),
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => 1,
    }
}

type Place<'v> = (&'v mut Value, String);

/// The container that holds the last segment, and that segment. What stands before the first slash is ignored.
fn find<'v>(root: &'v mut Value, path: &str) -> Result<Place<'v>, String> {
    let mut segments = path.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).peekable();
    let mut current = root;
    while let Some(segment) = segments.next() {
        if segments.peek().is_none() {
            return match current {
                Value::Object(_) | Value::Array(_) => Ok((current, segment)),
                Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => {
                    Err(format!("`{segment}` is looked for in a scalar"))
                }
            };
        }
        let missing = || format!("`{segment}` is missing");
        current = match current {
            Value::Object(map) => map.get_mut(&segment).filter(|value| !value.is_null()).ok_or_else(missing)?,
            Value::Array(items) => {
                let index = index(&segment, items.len(), items.len())?;
                items.get_mut(index).ok_or_else(missing)?
            }
            Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => {
                return Err(missing());
            }
        };
    }
    Err("the path names no field; it begins with `/`".into())
}

/// An index below `size`; negative ones count from `from_end`.
fn index(text: &str, size: usize, from_end: usize) -> Result<usize, String> {
    let outside = || format!("index {text} is outside the list of {size}");
    let number: i64 = text.parse().map_err(|_| format!("`{text}` is no index of a list"))?;
    let index = if number < 0 {
        from_end.checked_sub(usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX)).ok_or_else(outside)?
    } else {
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    if index < size { Ok(index) } else { Err(outside()) }
}

fn get<'v>(container: &'v Value, key: &str) -> Result<Option<&'v Value>, String> {
    match container {
        Value::Object(map) => Ok(map.get(key)),
        Value::Array(items) => Ok(items.get(index(key, items.len(), items.len())?)),
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => Ok(None),
    }
}

fn add((container, key): Place<'_>, value: Value) -> Result<(), String> {
    match container {
        Value::Object(map) => {
            map.insert(key, value);
            Ok(())
        }
        Value::Array(items) if key == "-" => {
            items.push(value);
            Ok(())
        }
        Value::Array(items) => {
            let size = items.len() + 1;
            items.insert(index(&key, size, size)?, value);
            Ok(())
        }
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => {
            Err("its parent is a scalar".into())
        }
    }
}

fn replace((container, key): Place<'_>, value: Value) -> Result<(), String> {
    match container {
        Value::Array(items) => {
            let index = index(&key, items.len(), items.len())?;
            if let Some(place) = items.get_mut(index) {
                *place = value;
            }
            Ok(())
        }
        Value::Object(_) | Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => {
            add((container, key), value)
        }
    }
}

fn remove((container, key): Place<'_>) -> Result<Value, String> {
    match container {
        Value::Object(map) => map.remove(&key).ok_or_else(|| format!("`{key}` is missing")),
        Value::Array(items) => Ok(items.remove(index(&key, items.len(), items.len())?)),
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => {
            Err("its parent is a scalar".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::json;

    fn check(object: Value, patch: Value, expected: Option<Value>) {
        let operations = parse(&patch.to_string(), &Budget::default()).expect("a patch");
        let object = object.as_object().expect("a map").clone();
        let got = apply(object, &operations, &Budget::default());
        assert_eq!(got.clone().ok().map(Value::Object), expected, "{patch}: {got:?}");
    }

    #[test]
    fn the_dialect_is_the_originals() {
        let base = || json!({"a": {"b": 1}, "l": [1, 2]});
        check(
            base(),
            json!([{"op": "replace", "path": "/a/c", "value": 2}]),
            Some(json!({"a": {"b": 1, "c": 2}, "l": [1, 2]})),
        );
        check(
            base(),
            json!([{"op": "add", "path": "/l/-1", "value": 3}]),
            Some(json!({"a": {"b": 1}, "l": [1, 2, 3]})),
        );
        check(
            base(),
            json!([{"op": "add", "path": "a/x", "value": 3}]),
            Some(json!({"a": {"b": 1}, "l": [1, 2], "x": 3})),
        );
        check(base(), json!([{"op": "remove", "path": "/a/zz"}]), None);
        check(
            json!({"n": 9_007_199_254_740_993_u64}),
            json!([{"op": "add", "path": "/x", "value": 1.0}]),
            Some(json!({"n": 9_007_199_254_740_992_u64, "x": 1})),
        );
        check(base(), json!([{"op": "add", "path": "/zz/y", "value": 1}]), None);
        check(base(), json!([{"op": "add", "path": "/l/3", "value": 1}]), None);
        check(base(), json!([{"op": "frob", "path": "/l"}]), None);
        check(base(), json!([{"op": "move", "from": "/a/b", "path": "/l/0"}]), Some(json!({"a": {}, "l": [1, 1, 2]})));
    }

    #[test]
    fn copies_cannot_grow_without_bound() {
        let double = |i: usize| json!({"op": "copy", "from": "/a", "path": format!("/a/{i}")});
        check(json!({"a": {}}), Value::Array((0..60).map(double).collect()), None);
    }
}
