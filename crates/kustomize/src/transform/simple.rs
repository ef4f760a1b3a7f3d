//! Prefixes and suffixes, labels and annotations, replicas.

use std::collections::BTreeMap;

use crate::value::Value;

use super::apply_to;
use crate::fieldspec::{FieldSpec, Make};
use crate::resource::{Gvk, Resource, open_annotations};
use crate::shared::{Created, follow};
use crate::yaml::{Budget, plain, text_of};

/// What is put before or after names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Affix<'a> {
    Prefix(&'a str),
    Suffix(&'a str),
}

/// Names of these kinds mean something by themselves and stay.
fn keeps_its_name(gvk: &Gvk) -> bool {
    match gvk.kind.as_str() {
        "CustomResourceDefinition" | "Namespace" => true,
        "APIService" => gvk.group == "apiregistration.k8s.io",
        _ => false,
    }
}

/// Puts a prefix or suffix on the name and the other places of each resource.
pub(crate) fn add_affix(resources: &mut [Resource], affix: Affix<'_>, specs: &[FieldSpec]) -> Result<(), String> {
    for resource in resources {
        let original = resource.original_id().gvk;
        if keeps_its_name(&original) {
            continue;
        }
        for spec in specs.iter().filter(|spec| original.is_selected_by(&spec.gvk)) {
            if spec.path == "metadata/name" {
                match affix {
                    Affix::Prefix(text) if !text.is_empty() => resource.prefixes.push(text.into()),
                    Affix::Suffix(text) if !text.is_empty() => resource.suffixes.push(text.into()),
                    Affix::Prefix(_) | Affix::Suffix(_) => continue,
                }
                resource.store_previous_id();
            }
            apply_to(resource, spec, Make::Scalar, &mut |value| {
                let text = text_of(value).ok_or("a name is no scalar")?;
                *value = Value::from(match affix {
                    Affix::Prefix(prefix) => format!("{prefix}{text}"),
                    Affix::Suffix(suffix) => format!("{text}{suffix}"),
                });
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Where the original keeps its notes.
const ANNOTATIONS_PATH: &str = "metadata/annotations";

/// Sets labels or annotations at their places. What is created in several places stays one, see [`crate::shared`].
pub(crate) fn set_entries(
    resources: &mut [Resource],
    entries: &BTreeMap<String, String>,
    specs: &[FieldSpec],
    budget: &Budget,
) -> Result<(), String> {
    if entries.is_empty() {
        return Ok(());
    }
    if let Some(key) = entries.keys().find(|key| !plain(key).is_string()) {
        return Err(format!("the key `{key}` is no string where it is written; such keys cannot be used"));
    }
    let mut created = Created::new(specs, entries.len());
    for resource in resources.iter_mut() {
        if resource.has_history() && specs.iter().any(|spec| spec.path.starts_with(ANNOTATIONS_PATH)) {
            open_annotations(&mut resource.object);
        }
        for (place, spec) in specs.iter().enumerate() {
            apply_to(resource, spec, Make::Map, &mut |value| {
                if value.is_null() {
                    return Ok(());
                }
                budget.add(entries.len())?;
                let map = value.as_object_mut().ok_or("labels and annotations can only be set in a map")?;
                for (i, _) in entries.keys().enumerate().filter(|(_, key)| !map.contains_key(key.as_str())) {
                    created.note(i, place);
                }
                map.extend(entries.iter().map(|(key, value)| (key.into(), value.as_str().into())));
                Ok(())
            })?;
        }
        created.settle(resource, entries.iter());
    }
    follow(resources);
    Ok(())
}

/// Sets the number of replicas of whatever has or had this name.
pub(crate) fn set_replicas(
    resources: &mut [Resource],
    name: &str,
    count: i64,
    specs: &[FieldSpec],
) -> Result<(), String> {
    let mut found = false;
    for spec in specs {
        for resource in resources.iter_mut() {
            let fits = resource.all_ids().iter().any(|id| id.name == name && id.gvk.is_selected_by(&spec.gvk));
            if fits {
                found = true;
                apply_to(resource, spec, Make::Scalar, &mut |value| {
                    *value = Value::from(count);
                    Ok(())
                })?;
            }
        }
    }
    if found {
        return Ok(());
    }
    let kinds: Vec<&str> = specs.iter().map(|spec| spec.gvk.kind.as_str()).collect();
    Err(format!("no resource named `{name}` is of a kind whose replicas can be set ({})", kinds.join(", ")))
}
