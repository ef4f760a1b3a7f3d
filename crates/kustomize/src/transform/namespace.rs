//! Sets the namespace of everything that has one.

use crate::value::Value;

use super::{apply_to, describe, with_value};
use crate::fieldspec::{FieldSpec, Make};
use crate::resource::{Resource, refuse_twins};
use crate::yaml::text_of;

/// Which subjects of role bindings get the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SubjectMode {
    /// Those named `default`.
    #[default]
    DefaultOnly,
    AllServiceAccounts,
    None,
}

/// What a namespace transformer does.
#[derive(Debug, Clone)]
pub(crate) struct Namespace {
    pub(crate) namespace: String,
    pub(crate) fields: Vec<FieldSpec>,
    /// Leaves namespaces that are already set.
    pub(crate) unset_only: bool,
    pub(crate) subjects: SubjectMode,
}

/// Sets the namespace and refuses results in which two objects have the same id.
pub(crate) fn apply(resources: &mut [Resource], transformer: &Namespace) -> Result<(), String> {
    if transformer.namespace.is_empty() {
        return Ok(());
    }
    for resource in resources.iter_mut().filter(|resource| !resource.is_deleted()) {
        resource.store_previous_id();
        apply_one(resource, transformer)?;
    }
    refuse_twins(resources, "the namespace transformation")
}

/// Sets the namespace of one resource.
pub(crate) fn apply_one(resource: &mut Resource, transformer: &Namespace) -> Result<(), String> {
    let set = |value: &mut Value| {
        if value.is_object() || value.is_array() {
            return Err("the namespace's place is no scalar".to_string());
        }
        let is_set = text_of(value).is_some_and(|text| !value.is_null() && !text.is_empty());
        if !(transformer.unset_only && is_set) {
            *value = transformer.namespace.as_str().into();
        }
        Ok(())
    };
    if !resource.is_cluster_scoped() {
        let own = FieldSpec::new("", "", "", "metadata/namespace", true);
        apply_to(resource, &own, Make::Scalar, &mut set.clone())?;
    }
    let binding = matches!(resource.kind(), "RoleBinding" | "ClusterRoleBinding");
    if binding {
        with_value(resource, |object| set_subjects(object, transformer.subjects, &set))
            .map_err(|reason| describe(resource, &reason))?;
    }
    for spec in &transformer.fields {
        let done_above = spec.path == "metadata/namespace" || (binding && spec.path == "subjects/namespace");
        let foreign_name = spec.path == "metadata/name" && resource.api_version() != "v1";
        if !done_above && !foreign_name {
            apply_to(resource, spec, Make::Scalar, &mut set.clone())?;
        }
    }
    Ok(())
}

fn set_subjects(
    object: &mut Value,
    mode: SubjectMode,
    set: &dyn Fn(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    let Some(subjects) = object.get_mut("subjects").and_then(Value::as_array_mut) else { return Ok(()) };
    for subject in subjects {
        let fits = match mode {
            SubjectMode::None => false,
            SubjectMode::DefaultOnly => subject.get("name").and_then(Value::as_str) == Some("default"),
            SubjectMode::AllServiceAccounts => subject.get("kind").and_then(Value::as_str) == Some("ServiceAccount"),
        };
        if let (true, Some(map)) = (fits, subject.as_object_mut()) {
            set(map.get_or_null("namespace"))?;
        }
    }
    Ok(())
}
