//! What a build gives back.

use crate::value::Value;

use crate::error::Warning;
use crate::resource::Origin;
use crate::yaml;

/// The objects of a build in the order in which they are printed.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
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
///
/// ```
/// use turquoise_kustomize::{Build, MemoryTree};
///
/// let tree = MemoryTree::new([
///     ("kustomization.yaml", "resources: [deployment.yaml]\nnamespace: shop\n"),
///     ("deployment.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2}\n"),
/// ]);
/// let output = Build::new(&tree, "").run()?;
/// let object = &output.objects[0];
/// assert_eq!((object.group(), object.api_version(), object.kind()), ("apps", "apps/v1", "Deployment"));
/// assert_eq!((object.name(), object.namespace()), ("web", Some("shop")));
/// assert_eq!((object.origin.path.as_str(), object.origin.line), ("deployment.yaml", 1));
/// assert_eq!(object.to_json()["spec"]["replicas"], 2);
/// # Ok::<(), turquoise_kustomize::BuildErrors>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Object {
    /// The object, always a map.
    pub(crate) value: Value,
    /// Where it came from.
    pub origin: Origin,
}

impl Object {
    /// The object as JSON, always a map.
    pub fn to_json(&self) -> serde_json::Value {
        self.value.to_json()
    }

    /// The object as one YAML document.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        yaml::append_document(&mut out, &self.value);
        out
    }

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
        self.value.at(&["metadata", "name"]).and_then(Value::as_str).unwrap_or("")
    }

    /// `metadata.namespace`, if there is one.
    pub fn namespace(&self) -> Option<&str> {
        self.value.at(&["metadata", "namespace"]).and_then(Value::as_str)
    }
}
