//! Annotations that say where objects come from and what changed them, where `buildMetadata` asks for them.

use crate::value::Value;

use super::{Builder, Frame};
use crate::resource::Resource;
use crate::tree::FileTree;
use crate::yaml::plain;

/// Where an object came from.
pub(super) const ORIGIN_KEY: &str = "config.kubernetes.io/origin";

/// Which transformers it went through.
pub(super) const TRANSFORMATIONS_KEY: &str = "alpha.config.kubernetes.io/transformations";

/// What configured a generator or transformer.
pub(super) struct Configured {
    /// The file.
    pub(super) path: String,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: String,
}

impl Configured {
    /// As YAML, each line after the first with `indent` before it.
    fn to_yaml(&self, indent: &str) -> String {
        let mut out = format!("configuredIn: {}\n{indent}configuredBy:\n", scalar(&self.path));
        let fields = [
            ("apiVersion", &self.api_version),
            ("kind", &self.kind),
            ("name", &self.name),
            ("namespace", &self.namespace),
        ];
        for (field, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            out.push_str(&format!("{indent}  {field}: {}\n", scalar(value)));
        }
        out
    }
}

fn scalar(text: &str) -> String {
    if plain(text).is_string() { text.to_string() } else { format!("\"{text}\"") }
}

pub(super) fn set_annotation(resource: &mut Resource, key: &str, value: impl Into<Value>) {
    let mut annotations = resource.string_map("annotations");
    annotations.insert(key, value.into());
    resource.set_string_map("annotations", annotations);
}

pub(super) fn remove_annotation(resource: &mut Resource, key: &str) {
    let mut annotations = resource.string_map("annotations");
    annotations.remove(key);
    resource.set_string_map("annotations", annotations);
}

impl<T: FileTree + ?Sized> Builder<'_, T> {
    fn tracks_origin(&self) -> bool {
        !self.build_metadata.is_empty()
    }

    /// Marks the objects of a file.
    pub(super) fn annotate_origin(&self, resources: &mut [Resource], frame: &Frame, name: &str) {
        if self.tracks_origin() {
            let path = shown(&frame.shown_directory, name);
            for resource in resources {
                set_annotation(resource, ORIGIN_KEY, format!("path: {}\n", scalar(&path)));
            }
        }
    }

    fn builtin(&self, frame: &Frame, plugin: &str) -> Configured {
        Configured {
            path: shown(&frame.shown_directory, frame.file_name),
            api_version: "builtin".into(),
            kind: plugin.into(),
            name: String::new(),
            namespace: String::new(),
        }
    }

    /// Marks what a built-in generator made.
    pub(super) fn annotate_generated(&self, resources: &mut [Resource], frame: &Frame, plugin: &str) {
        self.annotate_generated_by(resources, &self.builtin(frame, plugin));
    }

    pub(super) fn annotate_generated_by(&self, resources: &mut [Resource], by: &Configured) {
        if !self.tracks_origin() {
            return;
        }
        for resource in resources.iter_mut().filter(|r| r.string_in("annotations", ORIGIN_KEY).is_none()) {
            set_annotation(resource, ORIGIN_KEY, by.to_yaml(""));
        }
    }

    /// Marks everything as changed by a built-in transformer.
    pub(super) fn annotate_transformed(&self, resources: &mut [Resource], frame: &Frame, plugin: &str) {
        self.annotate_transformed_by(resources, &self.builtin(frame, plugin));
    }

    pub(super) fn annotate_transformed_by(&self, resources: &mut [Resource], by: &Configured) {
        if !self.tracks_origin() {
            return;
        }
        for resource in resources {
            if resource.string_in("annotations", ORIGIN_KEY).is_none() {
                set_annotation(resource, ORIGIN_KEY, by.to_yaml(""));
                continue;
            }
            let before = resource.string_in("annotations", TRANSFORMATIONS_KEY).unwrap_or_default();
            set_annotation(resource, TRANSFORMATIONS_KEY, format!("{before}- {}", by.to_yaml("  ")));
        }
    }
}

/// The path as the kustomizations wrote it; one that leads above the start keeps its `..`.
fn shown(directory: &str, name: &str) -> String {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

pub(super) fn join_shown(directory: &str, name: &str) -> String {
    shown(directory, name)
}
