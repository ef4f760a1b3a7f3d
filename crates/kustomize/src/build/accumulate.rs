//! Runs kustomizations: what they list, what they generate, and then their transformers.

use std::collections::HashMap;

use super::{Accumulated, Builder, Fallible, Frame, manifests};
use crate::error::{BuildError, Position, Problem};
use crate::generate::{self, GeneratedKind};
use crate::kustomization::{GeneratorOptions, Placed, Var};
use crate::limits::RESOURCES_MAX;
use crate::object::{Object, Output};
use crate::patch::apply::Index;
use crate::resource::{Behavior, Id, Resource, Source};
use crate::tree::{EntryKind, FileTree, is_within};
use crate::vars;

/// Which objects are there, to refuse a second one of the same id without comparing all with all.
#[derive(Default)]
pub(super) struct Ids(HashMap<Id, usize>);

impl Ids {
    fn of(resources: &[Resource]) -> Self {
        Self(resources.iter().enumerate().map(|(i, resource)| (resource.id(), i)).collect())
    }

    /// Adds the one that comes after `before`.
    fn add(&mut self, resource: &Resource, before: &[Resource]) -> Result<(), String> {
        if self.0.len() == RESOURCES_MAX {
            return Err(format!("the build has more than {RESOURCES_MAX} resources"));
        }
        let id = resource.id();
        let Some(other) = self.0.get(&id).and_then(|i| before.get(*i)) else {
            self.0.insert(id, before.len());
            return Ok(());
        };
        Err(format!(
            "two resources have the same id: {} of {}:{} and of {}:{}; remove or rename one",
            id, other.origin.path, other.origin.line, resource.origin.path, resource.origin.line
        ))
    }
}

impl<T: FileTree + ?Sized> Builder<'_, T> {
    /// The whole build.
    pub(super) fn top(&mut self, path: &str) -> Fallible<Output> {
        let start = Position::default();
        let (directory, kind) = match crate::tree::normalise(path) {
            Some(normalised) if normalised.is_empty() => (String::new(), EntryKind::Directory),
            Some(normalised) => self.locate("", &normalised).map_err(|reason| self.fail(reason, path, start))?,
            None => return Err(self.fail("the path leads out of the tree", path, start)),
        };
        if kind == EntryKind::File {
            return Err(self.fail("a directory with a kustomization is needed, not a file", path, start));
        }
        let frame = self.enter(&directory, String::new())?;
        self.build_metadata.clone_from(&frame.kustomization.build_metadata);
        let mut accumulated = Accumulated::default();
        self.run_frame(&frame, &mut accumulated)?;
        let resources = self.finish(&frame, accumulated)?;
        let objects = resources
            .into_iter()
            .map(|resource| Object {
                value: crate::value::Value::Object(resource.object),
                origin: resource.origin.into(),
            })
            .collect();
        Ok(Output { objects, warnings: std::mem::take(&mut self.warnings) })
    }

    /// Everything a kustomization says. If it fails, all else that is wrong with it is said, too.
    fn run_frame(&mut self, frame: &Frame, accumulated: &mut Accumulated) -> Fallible<()> {
        self.run_steps(frame, accumulated).map_err(|mut errors| {
            self.survey(frame, &mut errors);
            errors
        })
    }

    /// In the order of the original whatever the order in the file.
    fn run_steps(&mut self, frame: &Frame, accumulated: &mut Accumulated) -> Fallible<()> {
        let k = &frame.kustomization;
        self.set_schema(frame)?;
        self.add_resources(frame, accumulated, &k.resources)?;
        self.add_configurations(frame, accumulated)?;
        self.run_generators(frame, accumulated)?;
        self.run_components(frame, accumulated)?;
        self.run_transformers(frame, accumulated)?;
        self.run_validators(frame, accumulated)?;
        for var in &k.vars {
            let added = Var { place: (frame.path.clone(), var.position), ..var.value.clone() };
            vars::declare(&mut accumulated.vars, added, &mut accumulated.resources)
                .map_err(|reason| self.fail(reason, &frame.path, var.position))?;
        }
        Ok(())
    }

    /// Adds files and directories. Problems of one do not hide those of the others.
    pub(super) fn add_resources(
        &mut self,
        frame: &Frame,
        accumulated: &mut Accumulated,
        entries: &[Placed<String>],
    ) -> Fallible<()> {
        let mut errors: Vec<BuildError> = Vec::new();
        let mut ids = Ids::of(&accumulated.resources);
        for entry in entries {
            match self.add_resource(frame, accumulated, entry, &mut ids) {
                Ok(()) => {}
                Err(more) => errors.extend(more),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn add_resource(
        &mut self,
        frame: &Frame,
        accumulated: &mut Accumulated,
        entry: &Placed<String>,
        ids: &mut Ids,
    ) -> Fallible<()> {
        let here = |this: &Self, reason: String| this.fail(reason, &frame.path, entry.position);
        let (path, kind) = self.locate(&frame.directory, &entry.value).map_err(|reason| here(self, reason))?;
        let added = match kind {
            EntryKind::File => {
                self.confine(&frame.directory, &entry.value, &path).map_err(|reason| here(self, reason))?;
                let mut resources = self
                    .read_manifests(&path)
                    .map_err(|problems| self.errors(problems, &frame.path, entry.position))?;
                self.annotate_origin(&mut resources, frame, &entry.value);
                resources
            }
            EntryKind::Directory => {
                let base = self.run_directory(frame, entry, &path, None)?;
                accumulated.config.merge(&base.config).map_err(|reason| here(self, reason))?;
                for (name, var) in base.vars {
                    if accumulated.vars.insert(name.clone(), var).is_some() {
                        return Err(here(self, format!("the variable `{name}` is declared twice")));
                    }
                }
                base.resources
            }
        };
        let mut errors = Vec::new();
        for resource in added {
            match ids.add(&resource, &accumulated.resources) {
                Ok(()) => accumulated.resources.push(resource),
                Err(reason) => errors.extend(here(self, reason)),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    pub(super) fn read_manifests(&mut self, path: &str) -> Result<Vec<Resource>, Vec<Problem>> {
        let bytes = self.read(path).map_err(|reason| vec![reason.into()])?;
        let text = String::from_utf8(bytes).map_err(|_| vec![format!("`{path}` is not UTF-8").into()])?;
        manifests::read_manifests(&text, path, &self.budget)
    }

    /// Runs the kustomization of a directory: a base on its own, a component on what the caller gathered.
    pub(super) fn run_directory(
        &mut self,
        frame: &Frame,
        entry: &Placed<String>,
        directory: &str,
        component_of: Option<Accumulated>,
    ) -> Fallible<Accumulated> {
        let here = |this: &Self, reason: String| this.fail(reason, &frame.path, entry.position);
        if let Some((other, _)) = self.chain.iter().find(|(other, _)| is_within(other, directory)) {
            let other = if other.is_empty() { "." } else { other };
            return Err(here(
                self,
                format!("`{}` closes a cycle: `{other}`, which is or lies in it, is being built", entry.value),
            ));
        }
        let shown = super::origin::join_shown(&frame.shown_directory, &entry.value);
        let sub = self.enter(directory, shown)?;
        let result = self.run_sub(&sub, component_of);
        self.chain.pop();
        result.map_err(|mut errors| {
            if errors.is_empty() {
                errors = here(self, "the base could not be built".into());
            }
            errors
        })
    }

    fn run_sub(&mut self, sub: &Frame, component_of: Option<Accumulated>) -> Fallible<Accumulated> {
        let is_component = component_of.is_some();
        if is_component != sub.kustomization.is_component {
            let message = if is_component {
                "`components` names this, but its kind is no `Component`; list it in `resources`"
            } else {
                "`resources` names this, but its kind is `Component`; list it in `components`"
            };
            return Err(self.fail(message, &sub.path, Position::default()));
        }
        let mut accumulated = component_of.unwrap_or_default();
        self.run_frame(sub, &mut accumulated)?;
        Ok(accumulated)
    }

    fn run_components(&mut self, frame: &Frame, accumulated: &mut Accumulated) -> Fallible<()> {
        for entry in &frame.kustomization.components {
            let (path, kind) = self
                .locate(&frame.directory, &entry.value)
                .map_err(|reason| self.fail(reason, &frame.path, entry.position))?;
            if kind == EntryKind::File {
                return Err(self.fail("a component is a directory, not a file", &frame.path, entry.position));
            }
            let gathered = std::mem::take(accumulated);
            *accumulated = self.run_directory(frame, entry, &path, Some(gathered))?;
        }
        Ok(())
    }

    fn run_generators(&mut self, frame: &Frame, accumulated: &mut Accumulated) -> Fallible<()> {
        let k = &frame.kustomization;
        let config_maps = k.config_map_generator.iter().map(|g| (GeneratedKind::ConfigMap, g));
        let secrets = k.secret_generator.iter().map(|g| (GeneratedKind::Secret, g));
        let mut index = None;
        for (kind, generator) in config_maps.chain(secrets) {
            let options = GeneratorOptions::merged(generator.value.options.as_ref(), k.generator_options.as_ref());
            let origin = Source { path: frame.path.as_str().into(), line: generator.position.line };
            let directory = frame.directory.as_str();
            let mut load = |name: &str| self.load(directory, name).map(|(_, bytes)| bytes);
            let made = generate::generate(kind, &generator.value, &options, origin, &mut load);
            let mut made = made.map_err(|reason| self.fail(reason, &frame.path, generator.position))?;
            let plugin = match kind {
                GeneratedKind::ConfigMap => "ConfigMapGenerator",
                GeneratedKind::Secret => "SecretGenerator",
            };
            self.annotate_generated(std::slice::from_mut(&mut made), frame, plugin);
            absorb(&mut accumulated.resources, made, &mut index)
                .map_err(|reason| self.fail(reason, &frame.path, generator.position))?;
        }
        self.run_generator_plugins(frame, accumulated)
    }
}

/// Adds a generated object, or merges it into the one it names.
pub(super) fn absorb(
    resources: &mut Vec<Resource>,
    mut made: Resource,
    index: &mut Option<Index>,
) -> Result<(), String> {
    let known = index.get_or_insert_with(|| Index::new(resources));
    let id = made.id();
    let place = match known.find(&id) {
        [] => match made.behavior {
            Behavior::Create => {
                known.insert(resources.len(), &made);
                resources.push(made);
                return Ok(());
            }
            Behavior::Merge | Behavior::Replace => {
                return Err(format!(
                    "{id} does not exist, so nothing can be merged into it or replaced; use the behavior `create`"
                ));
            }
        },
        [one] => *one,
        several => return Err(format!("{} objects could take {id}", several.len())),
    };
    let Some(older) = resources.get_mut(place) else { return Ok(()) };
    let behavior = made.behavior;
    match behavior {
        Behavior::Create => {
            return Err(format!(
                "{id} exists already (from {}:{}); use the behavior `merge` or `replace`",
                older.origin.path, older.origin.line
            ));
        }
        Behavior::Replace => made.inherit_from(older),
        Behavior::Merge => {
            let origin = older.string_in("annotations", super::origin::ORIGIN_KEY);
            made.inherit_from(older);
            generate::merge_data(&mut made, older);
            if let Some(origin) = origin {
                super::origin::set_annotation(&mut made, super::origin::ORIGIN_KEY, origin);
            }
        }
    }
    *older = made;
    Ok(())
}
