//! What a kustomization file says, as types.

pub(crate) mod decode;
mod parse;
pub(crate) mod parts;

use std::collections::BTreeMap;

use crate::error::Position;
use crate::fieldspec::FieldSpec;
use crate::resource::{Behavior, Gvk};
use crate::transform::Image;
pub(crate) use decode::Placed;
pub(crate) use parse::parse;

/// The recognised names of kustomization files.
pub(crate) const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// A kustomization file or a component.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kustomization {
    pub(crate) is_component: bool,
    pub(crate) openapi: Placed<OpenApi>,
    pub(crate) name_prefix: Placed<String>,
    pub(crate) name_suffix: Placed<String>,
    pub(crate) namespace: Placed<String>,
    pub(crate) common_labels: Placed<BTreeMap<String, String>>,
    pub(crate) labels: Vec<Placed<Label>>,
    pub(crate) common_annotations: Placed<BTreeMap<String, String>>,
    pub(crate) patches_strategic_merge: Vec<Placed<String>>,
    pub(crate) patches_json6902: Vec<Placed<Patch>>,
    pub(crate) patches: Vec<Placed<Patch>>,
    pub(crate) images: Vec<Placed<Image>>,
    pub(crate) replacements: Vec<Placed<ReplacementEntry>>,
    pub(crate) replicas: Vec<Placed<Replica>>,
    pub(crate) vars: Vec<Placed<Var>>,
    pub(crate) sort_options: Option<Placed<SortOptions>>,
    pub(crate) resources: Vec<Placed<String>>,
    pub(crate) components: Vec<Placed<String>>,
    pub(crate) crds: Vec<Placed<String>>,
    pub(crate) config_map_generator: Vec<Placed<Generator>>,
    pub(crate) secret_generator: Vec<Placed<Generator>>,
    pub(crate) generator_options: Option<GeneratorOptions>,
    pub(crate) configurations: Vec<Placed<String>>,
    pub(crate) generators: Vec<Placed<String>>,
    pub(crate) transformers: Vec<Placed<String>>,
    pub(crate) validators: Vec<Placed<String>>,
    pub(crate) build_metadata: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct OpenApi {
    pub(crate) path: String,
    pub(crate) version: String,
}

/// One entry of `labels`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Label {
    pub(crate) pairs: BTreeMap<String, String>,
    pub(crate) include_selectors: bool,
    pub(crate) include_templates: bool,
    pub(crate) fields: Vec<FieldSpec>,
}

/// A patch of either kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patch {
    pub(crate) path: String,
    pub(crate) patch: String,
    /// Where the inline text stands.
    pub(crate) patch_position: Position,
    pub(crate) target: Option<Selector>,
    pub(crate) allow_name_change: bool,
    pub(crate) allow_kind_change: bool,
}

/// Which objects are meant: by regular expressions in patches, by plain text in replacements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) gvk: Gvk,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) annotation_selector: String,
    pub(crate) label_selector: String,
}

/// An entry of `replacements`: inline, or a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReplacementEntry {
    pub(crate) path: String,
    pub(crate) replacement: Replacement,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Replacement {
    pub(crate) source: Option<ReplacementSource>,
    /// `None` when the field is missing.
    pub(crate) targets: Option<Vec<ReplacementTarget>>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ReplacementSource {
    pub(crate) selector: Selector,
    pub(crate) field_path: String,
    pub(crate) options: FieldOptions,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ReplacementTarget {
    pub(crate) select: Option<Selector>,
    pub(crate) reject: Vec<Selector>,
    pub(crate) field_paths: Vec<String>,
    pub(crate) options: FieldOptions,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FieldOptions {
    pub(crate) delimiter: String,
    pub(crate) index: i64,
    pub(crate) create: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) count: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Var {
    pub(crate) name: String,
    pub(crate) gvk: Gvk,
    pub(crate) object_name: String,
    pub(crate) object_namespace: String,
    pub(crate) field_path: String,
    /// The kustomization that declares it, and where.
    pub(crate) place: (String, Position),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct SortOptions {
    pub(crate) order: String,
    pub(crate) legacy: Option<(Vec<String>, Vec<String>)>,
}

/// A config map or secret to generate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Generator {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) behavior: Behavior,
    pub(crate) literals: Vec<String>,
    pub(crate) files: Vec<String>,
    pub(crate) envs: Vec<String>,
    pub(crate) options: Option<GeneratorOptions>,
    /// Of secrets; empty for the default.
    pub(crate) secret_type: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct GeneratorOptions {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) disable_name_suffix_hash: bool,
    pub(crate) immutable: bool,
}

impl GeneratorOptions {
    /// A generator's own options with the kustomization's: its own labels win, switches add up.
    pub(crate) fn merged(own: Option<&Self>, global: Option<&Self>) -> Self {
        let mut merged = own.cloned().unwrap_or_default();
        if let Some(global) = global {
            for (key, value) in &global.labels {
                merged.labels.entry(key.clone()).or_insert_with(|| value.clone());
            }
            for (key, value) in &global.annotations {
                merged.annotations.entry(key.clone()).or_insert_with(|| value.clone());
            }
            merged.disable_name_suffix_hash |= global.disable_name_suffix_hash;
            merged.immutable |= global.immutable;
        }
        merged
    }
}
