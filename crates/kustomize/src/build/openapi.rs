//! Schemas, configurations and definitions that a kustomization brings along.

use std::rc::Rc;

use super::{Accumulated, Builder, Fallible, Frame};
use crate::config::{Config, Gathered, NameReference};
use crate::error::{Position, Problem};
use crate::fieldspec::FieldSpec;
use crate::kustomization::decode::{Cursor, Problems};
use crate::kustomization::parts;
use crate::resource::Gvk;
use crate::schema::CustomSchema;
use crate::tree::FileTree;
use crate::value::Text;
use crate::yaml::{self, Budget};

/// The one version of the built-in schema.
const BUILTIN_VERSION: &str = "v1.21.2";

/// How far references in definitions are followed: they may refer to themselves.
const REFERENCES_MAX: usize = 16;

impl<T: FileTree + ?Sized> Builder<'_, T> {
    /// The first kustomization that names a schema decides: the top one before its bases.
    pub(super) fn set_schema(&mut self, frame: &Frame) -> Fallible<()> {
        let openapi = &frame.kustomization.openapi;
        let named = !openapi.value.path.is_empty() || !openapi.value.version.is_empty();
        if !named {
            return Ok(());
        }
        self.load_schema(frame).map_err(|reason| self.fail(reason, &frame.path, openapi.position))
    }

    fn load_schema(&mut self, frame: &Frame) -> Result<(), Problem> {
        let openapi = &frame.kustomization.openapi.value;
        if openapi.path.is_empty() {
            if openapi.version != BUILTIN_VERSION {
                return Err(format!("the schema {} is not built in; {BUILTIN_VERSION} is", openapi.version).into());
            }
            self.schema_is_set = true;
            return Ok(());
        }
        let (path, text) = self.load_text(&frame.directory, &openapi.path)?;
        if self.schema_is_set {
            return Ok(());
        }
        if !openapi.version.is_empty() {
            return Err("`openapi` has both a path and a version; keep one".into());
        }
        let documents = yaml::strict_within(&text, &self.budget).map_err(|error| error.problem(&path, &text))?;
        let document = documents.into_iter().next().map(|document| document.value).unwrap_or_default();
        self.schema = Some(Rc::new(
            CustomSchema::new(document).map_err(|reason| Problem::at(&path, Position::default(), reason))?,
        ));
        self.schema_is_set = true;
        Ok(())
    }

    /// Adds `configurations` and `crds` to what the transformers know.
    pub(super) fn add_configurations(&mut self, frame: &Frame, accumulated: &mut Accumulated) -> Fallible<()> {
        let k = &frame.kustomization;
        let mut configurations = Config::default();
        for entry in &k.configurations {
            let (path, text) = self
                .load_text(&frame.directory, &entry.value)
                .map_err(|reason| self.fail(reason, &frame.path, entry.position))?;
            let config = configuration(&path, &text, &self.budget).map_err(|problems| {
                problems.into_iter().map(|p| self.error(p, &path, Position::default())).collect::<Vec<_>>()
            })?;
            configurations.merge(&config).map_err(|reason| self.fail(reason, &frame.path, entry.position))?;
        }
        let mut own = Gathered::Builtin;
        let position = k.configurations.first().map_or_else(Position::default, |entry| entry.position);
        let merged = if k.configurations.is_empty() { Ok(()) } else { own.add(&configurations) };
        merged
            .and_then(|()| accumulated.config.merge(&own))
            .map_err(|reason| self.fail(reason, &frame.path, position))?;
        for entry in &k.crds {
            let (path, text) = self
                .load_text(&frame.directory, &entry.value)
                .map_err(|reason| self.fail(reason, &frame.path, entry.position))?;
            let config =
                definitions(&text, &self.budget).map_err(|reason| self.fail(reason, &path, Position::default()))?;
            accumulated.config.add(&config).map_err(|reason| self.fail(reason, &frame.path, entry.position))?;
        }
        Ok(())
    }
}

/// A file of field specifications. Fields that are not known are left alone, as the original does.
fn configuration(path: &str, text: &str, budget: &Budget) -> Result<Config, Vec<Problem>> {
    let documents = yaml::strict_within(text, budget).map_err(|error| vec![error.problem(path, text)])?;
    let mut config = Config::default();
    let Some(document) = documents.first() else { return Ok(config) };
    let mut problems = Problems::new(path);
    let known = [
        "namePrefix",
        "nameSuffix",
        "namespace",
        "commonLabels",
        "labels",
        "templateLabels",
        "commonAnnotations",
        "nameReference",
        "varReference",
        "images",
        "replicas",
    ];
    let root = Cursor::lenient(&document.value, document.node.as_ref());
    root.fields("the configuration", &known, &mut problems, |name, c, p| match name {
        "namePrefix" => config.name_prefix = parts::field_specs(c, name, p),
        "nameSuffix" => config.name_suffix = parts::field_specs(c, name, p),
        "namespace" => config.namespace = parts::field_specs(c, name, p),
        "commonLabels" => config.common_labels = parts::field_specs(c, name, p),
        "labels" => config.labels = parts::field_specs(c, name, p),
        "templateLabels" => config.template_labels = parts::field_specs(c, name, p),
        "commonAnnotations" => config.common_annotations = parts::field_specs(c, name, p),
        "varReference" => config.var_reference = parts::field_specs(c, name, p),
        "images" => config.images = parts::field_specs(c, name, p),
        "replicas" => config.replicas = parts::field_specs(c, name, p),
        _ => config.name_reference = c.items(name, p).into_iter().map(|item| name_reference(item, p)).collect(),
    });
    if problems.list.is_empty() { Ok(config) } else { Err(problems.list) }
}

fn name_reference(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> NameReference {
    let mut reference = NameReference { target: Gvk::default(), referrers: Vec::new() };
    let known = ["group", "version", "kind", "fieldSpecs"];
    cursor.fields("`nameReference`", &known, problems, |name, c, p| match name {
        "group" => reference.target.group = c.text(name, p),
        "version" => reference.target.version = c.text(name, p),
        "kind" => reference.target.kind = c.text(name, p),
        _ => reference.referrers = parts::field_specs(c, name, p),
    });
    reference
}

/// A file of OpenAPI definitions: extensions in them mark fields with labels, annotations and names.
fn definitions(text: &str, budget: &Budget) -> Result<Config, String> {
    let documents = yaml::strict_within(text, budget).map_err(|error| format!("broken YAML: {error}"))?;
    let document = documents.into_iter().next().map(|document| document.value).unwrap_or_default();
    let map = document.as_object().ok_or("a file of definitions must be a map")?;
    let mut config = Config::default();
    for (name, definition) in map {
        let properties = properties(definition);
        let has = |field: &str| properties.is_some_and(|properties| properties.contains_key(field));
        if has("kind") && has("apiVersion") && has("metadata") {
            let kind = name.rsplit('.').next().unwrap_or(name);
            let gvk = Gvk { kind: kind.into(), ..Gvk::default() };
            add_definition(&mut config, map, &gvk, name, &[], 0)?;
        }
    }
    Ok(config)
}

type Map = crate::value::Map;

fn properties(definition: &crate::value::Value) -> Option<&Map> {
    definition.get("Schema").or_else(|| definition.get("schema"))?.get("properties")?.as_object()
}

fn add_definition(
    config: &mut Config,
    all: &Map,
    gvk: &Gvk,
    name: &str,
    path: &[&str],
    depth: usize,
) -> Result<(), String> {
    let Some(properties) = all.get(name).and_then(properties).filter(|_| depth < REFERENCES_MAX) else { return Ok(()) };
    for (field, property) in properties {
        let text = |extension: &str| property.get(extension).and_then(crate::value::Value::as_str);
        let mut here = path.to_vec();
        here.push(field);
        let spec = |path: &[&str]| FieldSpec { gvk: gvk.clone(), path: path.join("/"), create: false };
        let added = Config {
            common_annotations: text("x-kubernetes-annotation").map(|_| spec(&here)).into_iter().collect(),
            common_labels: text("x-kubernetes-label-selector").map(|_| spec(&here)).into_iter().collect(),
            name_prefix: text("x-kubernetes-identity").map(|_| spec(&here)).into_iter().collect(),
            ..Config::default()
        };
        config.merge(&added)?;
        if let (Some(version), Some(kind)) =
            (text("x-kubernetes-object-ref-api-version"), text("x-kubernetes-object-ref-kind"))
        {
            let mut named = here.clone();
            named.push(text("x-kubernetes-object-ref-name-key").unwrap_or("name"));
            let target = Gvk { group: Text::default(), version: version.into(), kind: kind.into() };
            config.add_name_reference(&NameReference { target, referrers: vec![spec(&named)] })?;
        }
        if let Some(reference) = text("$ref") {
            add_definition(config, all, gvk, reference, &here, depth + 1)?;
        }
    }
    Ok(())
}
