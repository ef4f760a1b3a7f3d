//! Variables: `$(NAME)` in known fields is replaced by a field of some object.

use std::collections::BTreeMap;

use crate::value::{Null, Value};

use crate::error::Problem;
use crate::fieldspec::{FieldSpec, Make};
use crate::kustomization::Var;
use crate::limits::COPIED_BYTES_MAX;
use crate::replacement::look_up;
use crate::resource::{Resource, effective_namespace};
use crate::schema;
use crate::transform::apply_to;
use crate::yaml::text_of;

/// Adds variables to those known, and marks the objects they are read from.
pub(crate) fn declare(vars: &mut BTreeMap<String, Var>, var: Var, resources: &mut [Resource]) -> Result<(), String> {
    let cluster_scoped = schema::is_cluster_scoped(&var.gvk.api_version(), &var.gvk.kind);
    let namespace = effective_namespace(cluster_scoped, var.object_namespace.as_str().into());
    let by_namespace = cluster_scoped || !var.object_namespace.is_empty();
    let fits = |resource: &Resource| {
        resource
            .all_ids()
            .iter()
            .any(|id| id.gvk == var.gvk && id.name == var.object_name && (!by_namespace || id.namespace == namespace))
    };
    let mut found = resources.iter_mut().filter(|resource| fits(resource));
    let (first, second) = (found.next(), found.next());
    if second.is_some() {
        let hint = if var.object_namespace.is_empty() { "; give `objref` a namespace" } else { "" };
        return Err(format!("the variable `{}` could be read from several objects{hint}", var.name));
    }
    if let Some(first) = first {
        first.variables.push(var.name.clone());
    }
    match vars.insert(var.name.clone(), var) {
        Some(other) => Err(format!("the variable `{}` is declared twice", other.name)),
        None => Ok(()),
    }
}

/// Replaces every variable in every field that may hold one. Returns the names of variables that nothing uses.
pub(crate) fn resolve(
    resources: &mut [Resource],
    vars: &BTreeMap<String, Var>,
    fields: &[FieldSpec],
) -> Result<Vec<String>, Problem> {
    let mut values = BTreeMap::new();
    for (name, var) in vars {
        let fail = |reason: String| {
            let (path, position) = &var.place;
            Problem::at(path, *position, format!("the variable `{name}` {reason}"))
        };
        let holder = resources.iter().find(|resource| resource.variables.contains(name)).ok_or_else(|| {
            fail(format!("refers to {} `{}`, which is not in the build", var.gvk.kind, var.object_name))
        })?;
        let value = field_value(holder, &var.field_path)
            .ok_or_else(|| fail(format!("reads `{}`, which {} does not have", var.field_path, holder.id())))?;
        values.insert(name.clone(), Known { value, used: false });
    }
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let mut written = 0;
    for resource in resources.iter_mut() {
        for spec in fields {
            apply_to(resource, spec, Make::Nothing, &mut |value| set(value, &mut values, &mut written))?;
        }
    }
    crate::shared::follow(resources);
    Ok(values.into_iter().filter(|(_, known)| !known.used).map(|(name, _)| name).collect())
}

struct Known {
    value: Value,
    used: bool,
}

fn field_value(resource: &Resource, path: &str) -> Option<Value> {
    let value = Value::Object(resource.object.clone());
    let mut segments = Vec::new();
    for part in crate::replacement::split_field_path(path) {
        match part.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
            Some((field, index)) if index.bytes().all(|b| b.is_ascii_digit()) && !index.is_empty() => {
                if !field.is_empty() {
                    segments.push(field.to_string());
                }
                segments.push(index.to_string());
            }
            _ => segments.push(part),
        }
    }
    let value = look_up(&value, &segments)?;
    // Null is the text that stands there.
    match value {
        Value::Null(Null::Written) => Some("null".into()),
        Value::Null(Null::LeftOut) => Some("".into()),
        Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Quoted(_)
        | Value::Array(_)
        | Value::Object(_) => Some(value.clone()),
    }
}

fn set(value: &mut Value, known: &mut BTreeMap<String, Known>, written: &mut usize) -> Result<(), String> {
    let mut replace = |text: &str| -> Result<Value, String> {
        let replaced = expand(text, known);
        if let Value::String(text) | Value::Quoted(text) = &replaced {
            *written += text.len();
            if *written > COPIED_BYTES_MAX {
                return Err(format!("variables write more than {COPIED_BYTES_MAX} bytes"));
            }
        }
        Ok(replaced)
    };
    match value {
        Value::String(text) | Value::Quoted(text) => *value = replace(text)?,
        Value::Object(map) => {
            for value in map.values_mut() {
                if let Value::String(text) | Value::Quoted(text) = value {
                    *value = replace(text)?;
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let (Value::String(text) | Value::Quoted(text)) = item else {
                    return Err("a list that may hold variables holds something else than strings".into());
                };
                *item = replace(text)?;
            }
        }
        Value::Null(_) | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

/// `$(NAME)` becomes the value, `$$` a dollar. A text that is one variable takes the value's type.
fn expand(text: &str, known: &mut BTreeMap<String, Known>) -> Value {
    if !text.contains('$') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let after = from.get(1..).unwrap_or("");
        if let Some(inner) = after.strip_prefix('(') {
            match inner.split_once(')') {
                Some((name, tail)) => {
                    let value =
                        known.get_mut(name).filter(|known| text_of(&known.value).is_some() && !known.value.is_null());
                    match value {
                        Some(found) => {
                            found.used = true;
                            if text.len() == name.len() + 3 {
                                return found.value.clone();
                            }
                            out.push_str(&text_of(&found.value).unwrap_or_default());
                        }
                        None => {
                            out.push_str("$(");
                            out.push_str(name);
                            out.push(')');
                        }
                    }
                    rest = tail;
                }
                None => {
                    out.push_str("$(");
                    rest = inner;
                }
            }
        } else if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::json;

    #[test]
    fn variables_expand_like_in_containers() {
        let mut known = BTreeMap::from([
            ("A".to_string(), Known { value: json!("x"), used: false }),
            ("N".to_string(), Known { value: json!(5), used: false }),
        ]);
        for (text, expected) in [
            ("$(A)", json!("x")),
            ("$(N)", json!(5)),
            ("n=$(N)!", json!("n=5!")),
            ("$$(A)", json!("$(A)")),
            ("$(B) $(A", json!("$(B) $(A")),
            ("cost $5", json!("cost $5")),
        ] {
            assert_eq!(expand(text, &mut known), expected, "{text}");
        }
    }
}
