//! What else is wrong with a kustomization that could not be built.

use super::{Builder, Frame};
use crate::error::{BuildError, Position, Problem};
use crate::generate::{self, GeneratedKind};
use crate::kustomization::{GeneratorOptions, Kustomization, Patch as PatchEntry, Placed};
use crate::patch::apply::Patch;
use crate::patch::json6902;
use crate::patch::target::Target;
use crate::resource::Source;
use crate::tree::FileTree;

impl<T: FileTree + ?Sized> Builder<'_, T> {
    /// Adds every problem that can be told without the objects: files that are missing or broken, patches and generators
    /// that cannot work. So whoever mends a file sees all of its problems at once, not the first of each attempt.
    pub(super) fn survey(&mut self, frame: &Frame, errors: &mut Vec<BuildError>) {
        let k = &frame.kustomization;
        let mut found: Vec<(Position, Problem)> = Vec::new();
        let mut note = |position: Position, result: Result<(), Problem>| {
            found.extend(result.err().map(|problem| (position, problem)));
        };
        for entry in k.resources.iter().chain(&k.components) {
            note(entry.position, self.locate(&frame.directory, &entry.value).map(drop).map_err(Problem::from));
        }
        for entry in k.configurations.iter().chain(&k.crds) {
            note(entry.position, self.load(&frame.directory, &entry.value).map(drop).map_err(Problem::from));
        }
        self.survey_generators(frame, &mut note);
        self.survey_patches(frame, k, &mut note);
        for (position, problem) in found {
            let error = self.error(problem, &frame.path, position);
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
    }

    fn survey_generators(&mut self, frame: &Frame, note: &mut dyn FnMut(Position, Result<(), Problem>)) {
        let k = &frame.kustomization;
        let config_maps = k.config_map_generator.iter().map(|g| (GeneratedKind::ConfigMap, g));
        let secrets = k.secret_generator.iter().map(|g| (GeneratedKind::Secret, g));
        for (kind, generator) in config_maps.chain(secrets) {
            let options = GeneratorOptions::merged(generator.value.options.as_ref(), k.generator_options.as_ref());
            let mut load = |name: &str| self.load(&frame.directory, name).map(|(_, bytes)| bytes);
            let made = generate::generate(kind, &generator.value, &options, Source::default(), &mut load);
            note(generator.position, made.map(drop).map_err(Problem::from));
        }
    }

    fn survey_patches(
        &mut self,
        frame: &Frame,
        k: &Kustomization,
        note: &mut dyn FnMut(Position, Result<(), Problem>),
    ) {
        for entry in &k.patches_strategic_merge {
            note(entry.position, self.strategic_merge_source(frame, &entry.value).map(drop));
        }
        for Placed { value: entry, position } in &k.patches {
            note(*position, self.read_patch(frame, entry).and_then(|patch| fits(entry, &patch)));
        }
        for Placed { value: entry, position } in &k.patches_json6902 {
            let read = self.patch_source(frame, &entry.patch, &entry.path);
            let parsed = read.and_then(|(_, text)| Ok(json6902::parse(&text, &self.budget)?));
            note(*position, parsed.and_then(|operations| fits(entry, &Patch::Json(operations))));
        }
        for Placed { value: entry, position } in k.replacements.iter().filter(|entry| !entry.value.path.is_empty()) {
            note(*position, self.load(&frame.directory, &entry.path).map(drop).map_err(Problem::from));
        }
    }
}

/// Whether a patch can be applied to anything.
fn fits(entry: &PatchEntry, patch: &Patch) -> Result<(), Problem> {
    match (&entry.target, patch) {
        (Some(target), _) => Target::new(target).map(drop)?,
        (None, Patch::Json(_)) => return Err("a JSON patch needs a `target`".into()),
        (None, Patch::Strategic(_)) => {}
    }
    if let Patch::Json(operations) = patch {
        json6902::check(operations)?;
    }
    Ok(())
}
