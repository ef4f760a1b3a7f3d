//! What a build gives back.

use serde_json::Value;

use crate::error::Warning;
use crate::resource::Origin;
use crate::yaml;

/// The objects of a build in the order in which they are printed.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// The objects.
    pub objects: Vec<Object>,
    /// What is worth knowing but did not stop the build.
    pub warnings: Vec<Warning>,
}

impl Output {
    /// The text that `kubectl kustomize` would print.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        for (i, object) in self.objects.iter().enumerate() {
            if i > 0 {
                out.push_str("---\n");
            }
            yaml::append_document(&mut out, &object.value);
        }
        out
    }
}

/// One rendered object.
#[derive(Debug, Clone)]
pub struct Object {
    /// The object, always a map.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

impl Object {
    fn text(&self, field: &str) -> &str {
        self.value.get(field).and_then(Value::as_str).unwrap_or("")
    }

    /// `apiVersion`, such as `apps/v1`; empty if the manifest has none.
    pub fn api_version(&self) -> &str {
        self.text("apiVersion")
    }

    /// The part of `apiVersion` before the slash; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// `kind`.
    pub fn kind(&self) -> &str {
        self.text("kind")
    }

    /// `metadata.name`; empty if it is no string.
    pub fn name(&self) -> &str {
        self.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("")
    }

    /// `metadata.namespace`, if there is one.
    pub fn namespace(&self) -> Option<&str> {
        self.value.pointer("/metadata/namespace").and_then(Value::as_str)
    }
}
