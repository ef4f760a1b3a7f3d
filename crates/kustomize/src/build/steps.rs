//! The transformers of a kustomization, in their fixed order.

use super::{Accumulated, Builder, Fallible, Frame};
use crate::error::{Position, Problem};
use crate::kustomization::decode::{Cursor, Problems};
use crate::kustomization::{Patch as PatchEntry, Replacement, ReplacementEntry, parts};
use crate::patch::apply::{self, Allowed, Index, Patch};
use crate::patch::json6902;
use crate::patch::target::Target;
use crate::replacement;
use crate::resource::Resource;
use crate::shared::follow;
use crate::transform::{self, Affix, Namespace, SubjectMode};
use crate::tree::FileTree;
use crate::yaml::{self, Budget};

impl<T: FileTree + ?Sized> Builder<'_, T> {
    pub(super) fn run_transformers(&mut self, frame: &Frame, accumulated: &mut Accumulated) -> Fallible<()> {
        self.patch_steps(frame, accumulated)?;
        self.name_steps(frame, accumulated)?;
        self.late_steps(frame, accumulated)?;
        self.run_transformer_plugins(frame, accumulated)
    }

    /// After each transformer: what it deleted goes, and what it touched is marked if asked for.
    pub(super) fn settle(
        &mut self,
        frame: &Frame,
        accumulated: &mut Accumulated,
        plugin: &str,
        position: Position,
        result: Result<(), Problem>,
    ) -> Fallible<()> {
        result.map_err(|problem| self.fail(problem, &frame.path, position))?;
        if accumulated.resources.iter().any(Resource::is_deleted) {
            accumulated.resources.retain(|resource| !resource.is_deleted());
        }
        self.annotate_transformed(&mut accumulated.resources, frame, plugin);
        Ok(())
    }

    fn patch_steps(&mut self, frame: &Frame, accumulated: &mut Accumulated) -> Fallible<()> {
        let k = &frame.kustomization;
        let mut index = None;
        if let Some(first) = k.patches_strategic_merge.first() {
            let mut loaded = Vec::new();
            for entry in &k.patches_strategic_merge {
                let patches = self.strategic_merge_source(frame, &entry.value);
                loaded.push((
                    entry.position,
                    patches.map_err(|problem| self.fail(problem, &frame.path, entry.position))?,
                ));
            }
            if loaded.iter().all(|(_, patches)| patches.is_empty()) {
                return Err(self.fail("the patches are empty", &frame.path, first.position));
            }
            for (position, mut patches) in loaded {
                patches.iter_mut().for_each(|patch| patch.object = apply::copied(&patch.object, &apply::COPIED));
                let result = self.merge_named(&mut accumulated.resources, &patches, Allowed::default(), &mut index);
                result.map_err(|problem| self.fail(problem, &frame.path, position))?;
            }
            follow(&mut accumulated.resources);
            self.settle(frame, accumulated, "PatchStrategicMergeTransformer", first.position, Ok(()))?;
            index = None;
        }
        // All patches are read before the first is applied, so that the problems of all are found.
        let mut errors = Vec::new();
        let mut loaded = Vec::new();
        for entry in &k.patches {
            match self.read_patch(frame, &entry.value) {
                Ok(patch) => loaded.push((entry, patch)),
                Err(problem) => errors.push(self.error(problem, &frame.path, entry.position)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        for (entry, patch) in loaded {
            let result = self.apply_patch(&mut accumulated.resources, &entry.value, &patch, &mut index);
            let before = accumulated.resources.len();
            follow(&mut accumulated.resources);
            self.settle(frame, accumulated, "PatchTransformer", entry.position, result)?;
            if accumulated.resources.len() != before {
                index = None;
            }
        }
        Ok(())
    }

    /// Inline text, or a path.
    pub(super) fn strategic_merge_source(&mut self, frame: &Frame, source: &str) -> Result<Vec<Resource>, Problem> {
        if let Ok(patches) = super::manifests::read(source, &frame.path, &self.budget) {
            return Ok(patches);
        }
        if source.contains('\n') {
            return super::manifests::read(source, &frame.path, &self.budget)
                .map_err(|problem| Problem::from(problem.message));
        }
        let (path, text) = self.load_text(&frame.directory, source)?;
        super::manifests::read(&text, &path, &self.budget)
    }

    /// The text of a patch with its path, for messages.
    pub(super) fn patch_source(&mut self, frame: &Frame, patch: &str, path: &str) -> Result<(String, String), Problem> {
        match (patch.trim(), path) {
            ("", "") => Err("a patch needs a `patch` or a `path`".into()),
            ("", path) => Ok(self.load_text(&frame.directory, path)?),
            (patch, "") => Ok((frame.path.clone(), patch.to_string())),
            (_, _) => Err("a patch has both `patch` and `path`; keep one".into()),
        }
    }

    pub(super) fn read_patch(&mut self, frame: &Frame, entry: &PatchEntry) -> Result<Patch, Problem> {
        let (path, text) = self.patch_source(frame, &entry.patch, &entry.path)?;
        apply::read(&text, &path, &self.budget).map_err(|reason| {
            let what = if entry.path.is_empty() { "the patch".to_string() } else { format!("`{}`", entry.path) };
            Problem::from(format!("{what} is {reason}"))
        })
    }

    pub(super) fn apply_patch(
        &self,
        resources: &mut [Resource],
        entry: &PatchEntry,
        patch: &Patch,
        index: &mut Option<Index>,
    ) -> Result<(), Problem> {
        let allowed = Allowed { name_change: entry.allow_name_change, kind_change: entry.allow_kind_change };
        match (&entry.target, patch) {
            (None, Patch::Json(_)) => Err("a JSON patch needs a `target`".into()),
            (None, Patch::Strategic(patches)) => self.merge_named(resources, patches, allowed, index),
            (Some(target), patch) => {
                let target = Target::new(target)?;
                *index = None;
                Ok(apply::apply_to_target(resources, patch, &target, allowed, self.schema.as_deref(), &self.budget)?)
            }
        }
    }

    pub(super) fn merge_named(
        &self,
        resources: &mut [Resource],
        patches: &[Resource],
        allowed: Allowed,
        index: &mut Option<Index>,
    ) -> Result<(), Problem> {
        Ok(apply::merge_into_named(resources, patches, allowed, self.schema.as_deref(), index)?)
    }

    fn name_steps(&mut self, frame: &Frame, accumulated: &mut Accumulated) -> Fallible<()> {
        let k = &frame.kustomization;
        if !k.namespace.value.is_empty() {
            let transformer = Namespace {
                namespace: k.namespace.value.clone(),
                fields: accumulated.config().namespace.clone(),
                unset_only: false,
                subjects: SubjectMode::DefaultOnly,
            };
            let result = transform::set_namespace(&mut accumulated.resources, &transformer).map_err(Problem::from);
            self.settle(frame, accumulated, "NamespaceTransformer", k.namespace.position, result)?;
        }
        if !k.name_prefix.value.is_empty() {
            let fields = accumulated.config().name_prefix.clone();
            let result = transform::add_affix(&mut accumulated.resources, Affix::Prefix(&k.name_prefix.value), &fields);
            self.settle(
                frame,
                accumulated,
                "PrefixTransformer",
                k.name_prefix.position,
                result.map_err(Problem::from),
            )?;
        }
        if !k.name_suffix.value.is_empty() {
            let fields = accumulated.config().name_suffix.clone();
            let result = transform::add_affix(&mut accumulated.resources, Affix::Suffix(&k.name_suffix.value), &fields);
            self.settle(
                frame,
                accumulated,
                "SuffixTransformer",
                k.name_suffix.position,
                result.map_err(Problem::from),
            )?;
        }
        for label in &k.labels {
            let l = &label.value;
            let fields = accumulated.config().label_fields(&l.fields, l.include_selectors, l.include_templates);
            let result = fields
                .and_then(|fields| transform::set_entries(&mut accumulated.resources, &l.pairs, &fields, &self.budget));
            self.settle(frame, accumulated, "LabelTransformer", label.position, result.map_err(Problem::from))?;
        }
        if !k.common_labels.value.is_empty() || !k.labels.is_empty() {
            let fields = accumulated.config().common_labels.clone();
            let result =
                transform::set_entries(&mut accumulated.resources, &k.common_labels.value, &fields, &self.budget);
            self.settle(
                frame,
                accumulated,
                "LabelTransformer",
                k.common_labels.position,
                result.map_err(Problem::from),
            )?;
        }
        if !k.common_annotations.value.is_empty() {
            let fields = accumulated.config().common_annotations.clone();
            let result =
                transform::set_entries(&mut accumulated.resources, &k.common_annotations.value, &fields, &self.budget);
            let position = k.common_annotations.position;
            self.settle(frame, accumulated, "AnnotationsTransformer", position, result.map_err(Problem::from))?;
        }
        Ok(())
    }

    fn late_steps(&mut self, frame: &Frame, accumulated: &mut Accumulated) -> Fallible<()> {
        let k = &frame.kustomization;
        for entry in &k.patches_json6902 {
            let result = self.json_patch(frame, &mut accumulated.resources, &entry.value);
            self.settle(frame, accumulated, "PatchJson6902Transformer", entry.position, result)?;
        }
        for entry in &k.replicas {
            let fields = accumulated.config().replicas.clone();
            let replica = &entry.value;
            let result = transform::set_replicas(&mut accumulated.resources, &replica.name, replica.count, &fields);
            self.settle(frame, accumulated, "ReplicaCountTransformer", entry.position, result.map_err(Problem::from))?;
        }
        for entry in &k.images {
            let fields = accumulated.config().images.clone();
            let result = transform::set_images(&mut accumulated.resources, &entry.value, &fields);
            self.settle(frame, accumulated, "ImageTagTransformer", entry.position, result.map_err(Problem::from))?;
        }
        if let Some(first) = k.replacements.first() {
            for entry in &k.replacements {
                let result = self.replace(frame, &mut accumulated.resources, &entry.value);
                result.map_err(|problem| self.fail(problem, &frame.path, entry.position))?;
            }
            follow(&mut accumulated.resources);
            self.settle(frame, accumulated, "ReplacementTransformer", first.position, Ok(()))?;
        }
        Ok(())
    }

    /// An entry of `patchesJson6902`.
    pub(super) fn json_patch(
        &mut self,
        frame: &Frame,
        resources: &mut [Resource],
        entry: &PatchEntry,
    ) -> Result<(), Problem> {
        let target = entry.target.as_ref().ok_or("a JSON patch needs a `target`")?;
        if target.name.is_empty() {
            return Err("the target of a JSON patch needs a `name`".into());
        }
        let (_, text) = self.patch_source(frame, &entry.patch, &entry.path)?;
        let operations = json6902::parse(&text, &self.budget)?;
        if operations.is_empty() {
            return Err("the patch is empty".into());
        }
        let target = Target::new(target)?;
        for resource in resources.iter_mut().filter(|resource| target.matches(resource)) {
            apply::apply_json(resource, &operations, &self.budget)?;
        }
        Ok(())
    }

    /// An entry of `replacements`: inline, or a file with one or several.
    pub(super) fn replace(
        &mut self,
        frame: &Frame,
        resources: &mut [Resource],
        entry: &ReplacementEntry,
    ) -> Result<(), Problem> {
        let inline = &entry.replacement;
        if entry.path.is_empty() {
            return Ok(replacement::apply(resources, inline, &mut self.copied)?);
        }
        if inline.source.is_some() || inline.targets.as_ref().is_some_and(|targets| !targets.is_empty()) {
            return Err("a replacement has both a path and inline fields; keep one".into());
        }
        let (path, text) = self.load_text(&frame.directory, &entry.path)?;
        for replacement in read_replacements(&path, &text, &self.budget)? {
            replacement::apply(resources, &replacement, &mut self.copied)
                .map_err(|reason| Problem::from(format!("{path}: {reason}")))?;
        }
        Ok(())
    }
}

fn read_replacements(path: &str, text: &str, budget: &Budget) -> Result<Vec<Replacement>, Problem> {
    let documents = yaml::strict_within(text, budget).map_err(|error| error.problem(path, text))?;
    let document =
        documents.first().ok_or_else(|| Problem::at(path, Position::default(), "the file of replacements is empty"))?;
    let mut problems = Problems::new(path);
    let root = Cursor::lenient(&document.value, document.node.as_ref());
    let replacements = if document.value.is_array() {
        root.items("replacements", &mut problems)
            .into_iter()
            .map(|item| parts::replacement(item, &mut problems))
            .collect()
    } else {
        vec![parts::replacement(root, &mut problems)]
    };
    problems.list.into_iter().next().map_or(Ok(replacements), Err)
}
