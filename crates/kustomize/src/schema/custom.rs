//! Schemas that a kustomization brings along: an OpenAPI document with merge keys for kinds of its own.

use std::collections::HashMap;

use crate::value::{Text, Value};

use super::{Field, ListMerge, Type, builtin};

/// Following references stops here: a schema may refer to itself.
const REFERENCES_MAX: usize = 16;

/// An OpenAPI document: `definitions` with `x-kubernetes-group-version-kind`.
#[derive(Debug)]
pub(crate) struct CustomSchema {
    document: Value,
    /// From (API version, kind) to the definition's name.
    kinds: HashMap<(String, String), Text>,
}

impl CustomSchema {
    pub(crate) fn new(document: Value) -> Result<Self, String> {
        let definitions = document
            .get("definitions")
            .and_then(Value::as_object)
            .ok_or("the OpenAPI document has no `definitions`")?;
        let mut kinds = HashMap::new();
        for (name, definition) in definitions {
            let listed = definition.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
            for gvk in listed.into_iter().flatten() {
                let part = |field: &str| gvk.get(field).and_then(Value::as_str).unwrap_or("");
                let api_version = match part("group") {
                    "" => part("version").to_string(),
                    group => format!("{group}/{}", part("version")),
                };
                kinds.insert((api_version, part("kind").to_string()), name.clone());
            }
        }
        Ok(Self { document, kinds })
    }

    pub(super) fn type_of(&self, api_version: &str, kind: &str) -> Option<Type<'_>> {
        let name = self.kinds.get(&(api_version.to_string(), kind.to_string()))?;
        Some(Type::Custom(self, self.document.get("definitions")?.get(name)?))
    }

    /// What a reference means that the document itself does not define.
    fn builtin(&self, reference: &str) -> Option<&'static builtin::Def> {
        let name = reference.strip_prefix("#/definitions/")?;
        let own = self.document.get("definitions").and_then(|definitions| definitions.get(name));
        if own.is_some() { None } else { builtin::definition(name) }
    }

    fn resolve<'s>(&'s self, mut definition: &'s Value) -> Option<&'s Value> {
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = definition.get("$ref").and_then(Value::as_str) else { return Some(definition) };
            definition = self.document.get("definitions")?.get(reference.strip_prefix("#/definitions/")?)?;
        }
        None
    }

    pub(super) fn field<'s>(&'s self, definition: &'s Value, name: &str) -> Option<Field<'s>> {
        let properties = definition.get("properties").and_then(|properties| properties.get(name));
        let field = properties.or_else(|| definition.get("additionalProperties").filter(|value| value.is_object()))?;
        let strategy = field.get("x-kubernetes-patch-strategy").and_then(Value::as_str).unwrap_or("");
        let merge = if strategy.split(',').any(|part| part == "merge") {
            let keys = field.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            let key = field.get("x-kubernetes-patch-merge-key").and_then(Value::as_str);
            match (keys, key) {
                (Some(keys), _) => {
                    ListMerge::Keys(keys.iter().filter_map(Value::as_str).map(ToString::to_string).collect())
                }
                (None, Some(key)) => ListMerge::Keys(vec![key.to_string()]),
                (None, None) => ListMerge::Set,
            }
        } else {
            ListMerge::Replace
        };
        let item = field.get("items").unwrap_or(field);
        if let Some(def) = item.get("$ref").and_then(Value::as_str).and_then(|name| self.builtin(name)) {
            return Some(Field { ty: Some(Type::Builtin(def)), merge });
        }
        let resolved = self.resolve(field)?;
        let element = resolved.get("items").and_then(|items| self.resolve(items)).unwrap_or(resolved);
        Some(Field { ty: Some(Type::Custom(self, element)), merge })
    }
}
