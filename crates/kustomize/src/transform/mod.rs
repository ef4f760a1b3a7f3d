//! The transformers that set fields: names, namespaces, labels, annotations, images and replicas.

mod images;
mod namespace;
mod simple;

pub(crate) use images::{Image, apply as set_images};
pub(crate) use namespace::{Namespace, SubjectMode, apply as set_namespace, apply_one as set_namespace_of};
pub(crate) use simple::{Affix, add_affix, set_entries, set_replicas};

use crate::value::{Map, Value};

use crate::fieldspec::{FieldSpec, Make};
use crate::resource::Resource;

/// Applies a place to a resource if the place is meant for its kind.
pub(crate) fn apply_to(
    resource: &mut Resource,
    spec: &FieldSpec,
    make: Make,
    set: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    if !resource.is_selected_by(&spec.gvk) {
        return Ok(());
    }
    with_value(resource, |value| spec.apply(value, make, set)).map_err(|reason| describe(resource, &reason))
}

/// Lends the object as a value.
pub(crate) fn with_value<R>(resource: &mut Resource, act: impl FnOnce(&mut Value) -> R) -> R {
    let mut value = Value::Object(std::mem::take(&mut resource.object));
    let result = act(&mut value);
    resource.object = match value {
        Value::Object(map) => map,
        Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Quoted(_) | Value::Array(_) => {
            Map::new()
        }
    };
    result
}

/// A reason with the object it is about.
pub(crate) fn describe(resource: &Resource, reason: &str) -> String {
    format!("{} (from {}:{}): {reason}", resource.id(), resource.origin.path, resource.origin.line)
}
