//! A value put into fields of selected objects, whole or as one part of a path.

use crate::value::{Map, Value};

use crate::fieldspec::split_path;
use crate::kustomization::Selector;
use crate::patch::target::Target;
use crate::resource::Resource;
use crate::transform::{self, Namespace, SubjectMode, describe, with_value};
use crate::yaml::{plain, text_of};

/// Where the value goes.
pub(super) struct ValueTarget {
    pub(super) selector: Option<Selector>,
    pub(super) field_path: String,
    /// From 1: the value becomes this part of a path that stands in the field. 0: the field is set.
    pub(super) path_position: usize,
}

pub(super) fn apply(resources: &mut [Resource], value: &str, targets: &[ValueTarget]) -> Result<(), String> {
    for target in targets {
        let selector = target.selector.as_ref().map(Target::new).transpose()?;
        let segments = split_path(&target.field_path, '/');
        for resource in resources.iter_mut().filter(|r| selector.as_ref().is_none_or(|s| s.matches(r))) {
            if target.field_path == "metadata/namespace" {
                let namespace = Namespace {
                    namespace: value.into(),
                    fields: Vec::new(),
                    unset_only: false,
                    subjects: SubjectMode::DefaultOnly,
                };
                transform::set_namespace_of(resource, &namespace)?;
                continue;
            }
            with_value(resource, |object| set(object, &segments, value, target.path_position))
                .map_err(|reason| describe(resource, &reason))?;
        }
    }
    Ok(())
}

fn set(value: &mut Value, path: &[String], new: &str, position: usize) -> Result<(), String> {
    let Some((segment, rest)) = path.split_first() else {
        let old = text_of(value).ok_or("a value can be added to a scalar only, not to a list or map")?;
        let text = match position.checked_sub(1) {
            None => new.to_string(),
            Some(at) => insert_part(if value.is_null() { "" } else { &old }, at, new),
        };
        // What stood in quotes stays in quotes, and these had to be there where the text alone means something else.
        let quoted = value.is_string() && !plain(&old).is_string();
        *value = if quoted { text.into() } else { plain(&text) };
        return Ok(());
    };
    match value {
        Value::Null(_) => {
            *value = Value::Object(Map::new());
            set(value, path, new, position)
        }
        Value::Object(map) => set(map.get_or_null(segment), rest, new, position),
        Value::Array(items) => {
            let found =
                match segment.strip_prefix('[').and_then(|s| s.strip_suffix(']')).and_then(|s| s.split_once('=')) {
                    Some((key, text)) => {
                        items.iter_mut().find(|item| item.get(key).and_then(text_of).as_deref() == Some(text))
                    }
                    None => segment.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
                };
            found.map_or_else(|| Err(format!("the list has no `{segment}`")), |item| set(item, rest, new, position))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) => {
            Err(format!("`{segment}` is looked for in a scalar"))
        }
    }
}

/// Puts a part into a path; beyond the end it becomes the last one.
fn insert_part(path: &str, at: usize, part: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts.insert(at.min(parts.len()), part);
    let joined = parts.join("/");
    if absolute { format!("/{joined}") } else { joined }
}
