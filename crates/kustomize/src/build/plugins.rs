//! `generators`, `transformers` and `validators`: configurations of the built-in plug-ins, inline or in files.

use std::collections::BTreeMap;

use crate::value::Value;

use super::accumulate::absorb;
use super::origin::{Configured, ORIGIN_KEY};
use super::valueadd::{self, ValueTarget};
use super::{Accumulated, Builder, Fallible, Frame, finish, manifests};
use crate::error::{Position, Problem};
use crate::fieldspec::FieldSpec;
use crate::generate::{self, GeneratedKind};
use crate::kustomization::decode::{Cursor, Problems};
use crate::kustomization::{Patch as PatchEntry, Placed, Selector, parts};
use crate::patch::apply::{self, Allowed};
use crate::resource::Resource;
use crate::transform::{self, Affix, Image, Namespace, SubjectMode};
use crate::tree::FileTree;
use crate::yaml;

impl<T: FileTree + ?Sized> Builder<'_, T> {
    /// The configurations that a list names, each with its place in the kustomization.
    fn plugin_configs(&mut self, frame: &Frame, entries: &[Placed<String>]) -> Fallible<Vec<(Position, Resource)>> {
        let mut configs = Vec::new();
        for entry in entries {
            let mut gathered = Accumulated::default();
            match manifests::read(&entry.value, &frame.path, &self.budget) {
                Ok(mut inline) => {
                    self.annotate_origin(&mut inline, frame, frame.file_name);
                    gathered.resources = inline;
                }
                Err(problem) if entry.value.contains('\n') => {
                    return Err(self.fail(problem.message, &frame.path, entry.position));
                }
                Err(_) => self.add_resources(frame, &mut gathered, std::slice::from_ref(entry))?,
            }
            configs.extend(gathered.resources.into_iter().map(|resource| (entry.position, resource)));
        }
        for (i, (position, config)) in configs.iter().enumerate() {
            if configs.iter().take(i).any(|(_, other)| other.id() == config.id()) {
                return Err(self.fail(
                    format!("two plug-in configurations have the same id: {}", config.id()),
                    &frame.path,
                    *position,
                ));
            }
            if config.api_version() != "builtin" {
                let message = format!(
                    "{} is no built-in plug-in; nothing is executed here: use a built-in one, or run yours beforehand and commit its output",
                    config.kind()
                );
                return Err(self.fail(message, &frame.path, *position));
            }
        }
        Ok(configs)
    }

    pub(super) fn run_generator_plugins(&mut self, frame: &Frame, accumulated: &mut Accumulated) -> Fallible<()> {
        for (position, config) in self.plugin_configs(frame, &frame.kustomization.generators)? {
            let made = self.generate_by(frame, &config);
            let mut made = made.map_err(|problem| self.fail(problem, &frame.path, position))?;
            self.annotate_generated_by(std::slice::from_mut(&mut made), &configured(&config));
            absorb(&mut accumulated.resources, made, &mut None)
                .map_err(|reason| self.fail(reason, &frame.path, position))?;
        }
        Ok(())
    }

    pub(super) fn run_transformer_plugins(&mut self, frame: &Frame, accumulated: &mut Accumulated) -> Fallible<()> {
        for (position, config) in self.plugin_configs(frame, &frame.kustomization.transformers)? {
            let result = self.transform_by(frame, &config, &mut accumulated.resources);
            result.map_err(|problem| self.fail(problem, &frame.path, position))?;
            crate::shared::follow(&mut accumulated.resources);
            accumulated.resources.retain(|resource| !resource.is_deleted());
            self.annotate_transformed_by(&mut accumulated.resources, &configured(&config));
        }
        Ok(())
    }

    pub(super) fn run_validators(&mut self, frame: &Frame, accumulated: &mut Accumulated) -> Fallible<()> {
        for (position, config) in self.plugin_configs(frame, &frame.kustomization.validators)? {
            let before = accumulated.resources.clone();
            let result = self.transform_by(frame, &config, &mut accumulated.resources);
            result.map_err(|problem| self.fail(problem, &frame.path, position))?;
            let same = before.len() == accumulated.resources.len()
                && before.iter().zip(&accumulated.resources).all(|(a, b)| a.object == b.object);
            if !same {
                return Err(self.fail("a validator must not change the resources", &frame.path, position));
            }
        }
        Ok(())
    }

    fn generate_by(&mut self, frame: &Frame, config: &Resource) -> Result<Resource, Problem> {
        let value = Value::Object(config.object.clone());
        let kind = match config.kind() {
            "ConfigMapGenerator" => GeneratedKind::ConfigMap,
            "SecretGenerator" => GeneratedKind::Secret,
            "IAMPolicyGenerator" => return iam_policy(&value, config),
            "HelmChartInflationGenerator" => {
                return Err("Helm is never run; render the chart with `helm template` and commit the result".into());
            }
            other => return Err(format!("{other} is no generator").into()),
        };
        let path = config.origin.path.clone();
        let mut problems = Problems::new(&path);
        let cursor = Cursor::lenient(&value, None);
        let mut generator = parts::generator(cursor, kind == GeneratedKind::Secret, &mut problems);
        first(problems)?;
        if generator.name.is_empty() {
            generator.name = config.name().to_string();
        }
        if generator.namespace.is_empty() {
            generator.namespace = config.namespace().to_string();
        }
        let options = generator.options.clone().unwrap_or_default();
        let directory = frame.directory.as_str();
        let mut load = |name: &str| self.load(directory, name).map(|(_, bytes)| bytes);
        Ok(generate::generate(kind, &generator, &options, config.origin.clone(), &mut load)?)
    }

    fn transform_by(&mut self, frame: &Frame, config: &Resource, resources: &mut [Resource]) -> Result<(), Problem> {
        let value = Value::Object(config.object.clone());
        let settings = Settings::read(&value, &config.origin.path)?;
        let result = match config.kind() {
            "AnnotationsTransformer" => {
                transform::set_entries(resources, &settings.annotations, &settings.fields, &self.budget)
            }
            "LabelTransformer" => transform::set_entries(resources, &settings.labels, &settings.fields, &self.budget),
            "PrefixTransformer" => prefix(resources, &settings),
            "SuffixTransformer" => suffix(resources, &settings),
            "PrefixSuffixTransformer" => prefix(resources, &settings).and_then(|()| suffix(resources, &settings)),
            "ReplicaCountTransformer" => {
                transform::set_replicas(resources, &settings.replica.0, settings.replica.1, &settings.fields)
            }
            "ImageTagTransformer" => transform::set_images(resources, &settings.image, &settings.fields),
            "NamespaceTransformer" => namespace(resources, config, &settings),
            "HashTransformer" => {
                finish::add_hashes(resources);
                Ok(())
            }
            "ValueAddTransformer" => return self.add_value(frame, settings, resources),
            "PatchTransformer" => {
                let patch = self.read_patch(frame, &settings.patch)?;
                return self.apply_patch(resources, &settings.patch, &patch, &mut None);
            }
            "PatchJson6902Transformer" => {
                let patch = PatchEntry { patch: settings.json_op.clone(), ..settings.patch.clone() };
                return self.json_patch(frame, resources, &patch);
            }
            "PatchStrategicMergeTransformer" => return self.merge_patches(frame, &settings, resources),
            "ReplacementTransformer" => {
                for entry in &settings.replacements {
                    self.replace(frame, resources, entry)?;
                }
                Ok(())
            }
            other => Err(format!("{other} is no built-in transformer")),
        };
        result.map_err(Problem::from)
    }

    fn merge_patches(&mut self, frame: &Frame, settings: &Settings, resources: &mut [Resource]) -> Result<(), Problem> {
        if settings.paths.is_empty() && settings.patches.is_empty() {
            return Err("the transformer has neither `paths` nor `patches`".into());
        }
        let mut patches = Vec::new();
        for source in &settings.paths {
            patches.extend(self.strategic_merge_source(frame, source)?);
        }
        if !settings.patches.is_empty() {
            patches.extend(
                manifests::read(&settings.patches, &frame.path, &self.budget).map_err(|p| Problem::from(p.message))?,
            );
        }
        if patches.is_empty() {
            return Err("the patches are empty".into());
        }
        patches.iter_mut().for_each(|patch| patch.object = apply::copied(&patch.object, &apply::COPIED));
        self.merge_named(resources, &patches, Allowed::default(), &mut None)
    }

    fn add_value(&mut self, frame: &Frame, settings: Settings, resources: &mut [Resource]) -> Result<(), Problem> {
        let mut targets = settings.targets;
        if !settings.target_file_path.is_empty() {
            let (path, text) = self.load_text(&frame.directory, &settings.target_file_path)?;
            let documents =
                yaml::strict_within(&text, &self.budget).map_err(|error| Problem::from(format!("{path}: {error}")))?;
            if let Some(document) = documents.first() {
                targets.extend(Settings::read(&document.value, &path)?.targets);
            }
        }
        if targets.is_empty() {
            return Err("the transformer needs at least one target".into());
        }
        if targets.iter().any(|target| target.field_path.is_empty()) {
            return Err("a target needs a `fieldPath`".into());
        }
        let value = settings.value.trim();
        let directory = frame.directory.rsplit('/').next().unwrap_or("");
        Ok(valueadd::apply(resources, if value.is_empty() { directory } else { value }, &targets)?)
    }
}

fn configured(config: &Resource) -> Configured {
    let origin = config.string_in("annotations", ORIGIN_KEY).unwrap_or_default();
    Configured {
        path: origin.strip_prefix("path: ").unwrap_or("").trim_end().to_string(),
        api_version: config.api_version().into(),
        kind: config.kind().into(),
        name: config.name().to_string(),
        namespace: config.namespace().to_string(),
    }
}

fn first(problems: Problems<'_>) -> Result<(), Problem> {
    problems.list.into_iter().next().map_or(Ok(()), Err)
}

fn prefix(resources: &mut [Resource], settings: &Settings) -> Result<(), String> {
    with_fields(settings, |fields| transform::add_affix(resources, Affix::Prefix(&settings.prefix), fields))
}

fn suffix(resources: &mut [Resource], settings: &Settings) -> Result<(), String> {
    with_fields(settings, |fields| transform::add_affix(resources, Affix::Suffix(&settings.suffix), fields))
}

fn with_fields(settings: &Settings, act: impl FnOnce(&[FieldSpec]) -> Result<(), String>) -> Result<(), String> {
    if settings.has_fields { act(&settings.fields) } else { Err("the transformer needs `fieldSpecs`".into()) }
}

fn namespace(resources: &mut [Resource], config: &Resource, settings: &Settings) -> Result<(), String> {
    let subjects = match settings.role_binding_subjects.as_str() {
        "" | "defaultOnly" => SubjectMode::DefaultOnly,
        "allServiceAccounts" => SubjectMode::AllServiceAccounts,
        "none" => SubjectMode::None,
        other => {
            return Err(format!(
                "`setRoleBindingSubjects` is `{other}`; it must be defaultOnly, allServiceAccounts or none"
            ));
        }
    };
    let transformer = Namespace {
        namespace: config.namespace().to_string(),
        fields: settings.fields.clone(),
        unset_only: settings.unset_only,
        subjects,
    };
    transform::set_namespace(resources, &transformer)
}

/// A service account that stands for one of a cloud.
fn iam_policy(value: &Value, config: &Resource) -> Result<Resource, Problem> {
    let text = |path: &[&str]| value.at(path).and_then(Value::as_str).unwrap_or("").to_string();
    if text(&["cloud"]) != "gke" {
        return Err(format!("the cloud `{}` is not supported; `gke` is", text(&["cloud"])).into());
    }
    let account = format!(
        "{}@{}.iam.gserviceaccount.com",
        text(&["serviceAccount", "name"]),
        text(&["serviceAccount", "projectId"])
    );
    let mut object = crate::value::Map::new();
    object.insert("apiVersion", "v1".into());
    object.insert("kind", "ServiceAccount".into());
    let mut made = Resource::new(object, config.origin.clone());
    made.set_name(&text(&["kubernetesService", "name"]));
    made.set_namespace(&text(&["kubernetesService", "namespace"]));
    super::origin::set_annotation(&mut made, "iam.gke.io/gcp-service-account", account);
    Ok(made)
}

/// Everything that configurations of transformers may hold. Fields that a transformer does not know are left alone.
#[derive(Default)]
struct Settings {
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    fields: Vec<FieldSpec>,
    has_fields: bool,
    prefix: String,
    suffix: String,
    replica: (String, i64),
    image: Image,
    unset_only: bool,
    role_binding_subjects: String,
    value: String,
    targets: Vec<ValueTarget>,
    target_file_path: String,
    patch: PatchEntry,
    json_op: String,
    paths: Vec<String>,
    patches: String,
    replacements: Vec<crate::kustomization::ReplacementEntry>,
}

impl Settings {
    fn read(value: &Value, path: &str) -> Result<Self, Problem> {
        let mut s = Settings::default();
        let mut problems = Problems::new(path);
        let known = [
            "annotations",
            "labels",
            "fieldSpecs",
            "prefix",
            "suffix",
            "replica",
            "imageTag",
            "unsetOnly",
            "setRoleBindingSubjects",
            "value",
            "targets",
            "targetFilePath",
            "path",
            "patch",
            "target",
            "options",
            "jsonOp",
            "paths",
            "patches",
            "replacements",
        ];
        Cursor::lenient(value, None).fields("the configuration", &known, &mut problems, |name, c, p| match name {
            "annotations" => s.annotations = c.string_map(name, p),
            "labels" => s.labels = c.string_map(name, p),
            "fieldSpecs" => (s.fields, s.has_fields) = (parts::field_specs(c, name, p), true),
            "prefix" => s.prefix = c.string(name, p),
            "suffix" => s.suffix = c.string(name, p),
            "replica" => {
                let replica = parts::replica(c, p);
                s.replica = (replica.name, replica.count);
            }
            "imageTag" => s.image = parts::image(c, p),
            "unsetOnly" => s.unset_only = c.bool(name, p),
            "setRoleBindingSubjects" => s.role_binding_subjects = c.string(name, p),
            "value" => s.value = c.string(name, p),
            "targets" => s.targets = c.items(name, p).into_iter().map(|item| value_target(item, p)).collect(),
            "targetFilePath" => s.target_file_path = c.string(name, p),
            "path" => s.patch.path = c.string(name, p),
            "patch" => s.patch.patch = c.string(name, p),
            "target" => s.patch.target = Some(parts::selector(c, "`target`", p)),
            "options" => parts::patch_options(&mut s.patch, c, p),
            "jsonOp" => s.json_op = c.string(name, p),
            "paths" => s.paths = c.strings(name, p),
            "patches" => s.patches = c.string(name, p),
            _ => s.replacements = c.items(name, p).into_iter().map(|item| parts::replacement_entry(item, p)).collect(),
        });
        first(problems)?;
        Ok(s)
    }
}

fn value_target(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> ValueTarget {
    let mut target = ValueTarget { selector: None::<Selector>, field_path: String::new(), path_position: 0 };
    let known = ["selector", "fieldPath", "filePathPosition"];
    cursor.fields("a target", &known, problems, |name, c, p| match name {
        "selector" => target.selector = Some(parts::selector(c, "`selector`", p)),
        "fieldPath" => target.field_path = c.string(name, p),
        _ => match usize::try_from(c.integer(name, p)) {
            Ok(position) => target.path_position = position,
            Err(_) => p.add(c.position, "`filePathPosition` must not be negative"),
        },
    });
    target
}
