//! What is known of kinds: whether they live in namespaces, and which of their lists merge by key.
//!
//! The built-in knowledge is that of Kubernetes 1.21.2, which is what `kubectl kustomize` carries, whatever the cluster runs.
//! Kinds that are not known there merge maps and replace lists.

mod builtin;
mod custom;

pub(crate) use custom::CustomSchema;

use crate::value::Value;

/// How a patch's list joins the object's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListMerge {
    /// The patch's list replaces the object's.
    Replace,
    /// Elements are paired by these fields.
    Keys(Vec<String>),
    /// A set of scalars.
    Set,
}

/// The type of one value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Type<'s> {
    Builtin(&'static builtin::Def),
    Custom(&'s CustomSchema, &'s Value),
}

/// What is known of a field: its type and, if it is a list, how it merges and what its elements are.
#[derive(Debug, Clone)]
pub(crate) struct Field<'s> {
    pub(crate) ty: Option<Type<'s>>,
    pub(crate) merge: ListMerge,
}

impl<'s> Type<'s> {
    pub(crate) fn field(self, name: &str) -> Option<Field<'s>> {
        match self {
            Type::Builtin(def) => {
                let (_, field) = def.fields.iter().find(|(known, _)| *known == name)?;
                let merge = match field.keys {
                    None => ListMerge::Replace,
                    Some([]) => ListMerge::Set,
                    Some(keys) => ListMerge::Keys(keys.iter().map(ToString::to_string).collect()),
                };
                Some(Field { ty: field.def.map(Type::Builtin), merge })
            }
            Type::Custom(schema, definition) => schema.field(definition, name),
        }
    }
}

/// The type of objects of a kind, if it is known: from the custom schema first.
pub(crate) fn type_of<'s>(custom: Option<&'s CustomSchema>, api_version: &str, kind: &str) -> Option<Type<'s>> {
    custom
        .and_then(|schema| schema.type_of(api_version, kind))
        .or_else(|| builtin::find(api_version, kind).map(|known| Type::Builtin(known.def)))
}

/// Whether objects of a kind certainly have no namespace.
pub(crate) fn is_cluster_scoped(api_version: &str, kind: &str) -> bool {
    builtin::find(api_version, kind).is_some_and(|known| known.cluster_scoped)
}
