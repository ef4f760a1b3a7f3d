//! The parts of kustomization files that plug-in configurations share.

use super::decode::{Cursor, Problems};
use super::{
    FieldOptions, Generator, GeneratorOptions, Label, Patch, Replacement, ReplacementEntry, ReplacementSource,
    ReplacementTarget, Replica, Selector, SortOptions, Var,
};
use crate::error::Position;
use crate::fieldspec::FieldSpec;
use crate::resource::{Behavior, Gvk};
use crate::transform::Image;

pub(crate) fn label(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Label {
    let mut label = Label::default();
    let known = ["pairs", "includeSelectors", "includeTemplates", "fields"];
    cursor.fields("`labels`", &known, problems, |name, c, p| match name {
        "pairs" => label.pairs = c.string_map(name, p),
        "includeSelectors" => label.include_selectors = c.bool(name, p),
        "includeTemplates" => label.include_templates = c.bool(name, p),
        _ => label.fields = field_specs(c, name, p),
    });
    label
}

pub(crate) fn field_specs(cursor: Cursor<'_>, name: &str, problems: &mut Problems<'_>) -> Vec<FieldSpec> {
    cursor.items(name, problems).into_iter().map(|item| field_spec(item, problems)).collect()
}

pub(crate) fn field_spec(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> FieldSpec {
    let mut spec = FieldSpec::default();
    let known = ["group", "version", "kind", "path", "create"];
    cursor.fields("a field specification", &known, problems, |name, c, p| match name {
        "path" => spec.path = c.string(name, p),
        "create" => spec.create = c.bool(name, p),
        _ => gvk_part(&mut spec.gvk, name, c, p),
    });
    spec
}

fn gvk_part(gvk: &mut Gvk, name: &str, cursor: Cursor<'_>, problems: &mut Problems<'_>) {
    match name {
        "group" => gvk.group = cursor.text(name, problems),
        "version" => gvk.version = cursor.text(name, problems),
        _ => gvk.kind = cursor.text(name, problems),
    }
}

pub(crate) fn patch(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Patch {
    let mut patch = Patch::default();
    if let Some(file) = cursor.value.as_str() {
        // So older versions listed the files of strategic merges.
        let hint =
            if file.contains('\n') { "write `patch: |` before it".into() } else { format!("write `path: {file}`") };
        problems.add(cursor.position, format!("a patch must be a map, not a string; {hint}"));
        return patch;
    }
    cursor.fields("a patch", &["path", "patch", "target", "options"], problems, |name, c, p| match name {
        "path" => patch.path = c.string(name, p),
        "patch" => {
            patch.patch = c.string(name, p);
            patch.patch_position = c.position;
        }
        "target" => patch.target = Some(selector(c, "`target`", p)),
        _ => patch_options(&mut patch, c, p),
    });
    patch
}

pub(crate) fn patch_options(patch: &mut Patch, cursor: Cursor<'_>, problems: &mut Problems<'_>) {
    let known = ["allowNameChange", "allowKindChange"];
    cursor.fields("`options`", &known, problems, |name, c, p| match name {
        "allowNameChange" => patch.allow_name_change = c.bool(name, p),
        _ => patch.allow_kind_change = c.bool(name, p),
    });
}

const SELECTOR_FIELDS: [&str; 7] =
    ["group", "version", "kind", "name", "namespace", "annotationSelector", "labelSelector"];

pub(crate) fn selector(cursor: Cursor<'_>, what: &str, problems: &mut Problems<'_>) -> Selector {
    let mut selector = Selector::default();
    cursor.fields(what, &SELECTOR_FIELDS, problems, |name, c, p| selector_part(&mut selector, name, c, p));
    selector
}

fn selector_part(selector: &mut Selector, name: &str, cursor: Cursor<'_>, problems: &mut Problems<'_>) {
    match name {
        "name" => selector.name = cursor.string(name, problems),
        "namespace" => selector.namespace = cursor.string(name, problems),
        "annotationSelector" => selector.annotation_selector = cursor.string(name, problems),
        "labelSelector" => selector.label_selector = cursor.string(name, problems),
        _ => gvk_part(&mut selector.gvk, name, cursor, problems),
    }
}

pub(crate) fn image(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Image {
    let mut image = Image::default();
    let known = ["name", "newName", "newTag", "tagSuffix", "digest"];
    cursor.fields("`images`", &known, problems, |name, c, p| {
        let text = c.string(name, p);
        match name {
            "name" => image.name = text,
            "newName" => image.new_name = text,
            "newTag" => image.new_tag = text,
            "tagSuffix" => image.tag_suffix = text,
            _ => image.digest = text,
        }
    });
    image
}

pub(crate) fn replacement_entry(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> ReplacementEntry {
    let mut entry = ReplacementEntry::default();
    cursor.fields("a replacement", &["source", "targets", "path"], problems, |name, c, p| match name {
        "path" => entry.path = c.string(name, p),
        _ => replacement_part(&mut entry.replacement, name, c, p),
    });
    entry
}

pub(crate) fn replacement(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Replacement {
    let mut replacement = Replacement::default();
    cursor.fields("a replacement", &["source", "targets"], problems, |name, c, p| {
        replacement_part(&mut replacement, name, c, p);
    });
    replacement
}

fn replacement_part(replacement: &mut Replacement, name: &str, cursor: Cursor<'_>, problems: &mut Problems<'_>) {
    if name == "source" {
        let mut source = ReplacementSource::default();
        let known = ["group", "version", "kind", "name", "namespace", "fieldPath", "options"];
        cursor.fields("`source`", &known, problems, |name, c, p| match name {
            "fieldPath" => source.field_path = c.string(name, p),
            "options" => source.options = field_options(c, p),
            _ => selector_part(&mut source.selector, name, c, p),
        });
        replacement.source = Some(source);
    } else {
        let items = cursor.items(name, problems);
        replacement.targets = Some(items.into_iter().map(|item| replacement_target(item, problems)).collect());
    }
}

fn replacement_target(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> ReplacementTarget {
    let mut target = ReplacementTarget::default();
    let known = ["select", "reject", "fieldPaths", "options"];
    cursor.fields("a replacement's target", &known, problems, |name, c, p| match name {
        "select" => target.select = Some(selector(c, "`select`", p)),
        "reject" => target.reject = c.items(name, p).into_iter().map(|item| selector(item, "`reject`", p)).collect(),
        "fieldPaths" => target.field_paths = c.strings(name, p),
        _ => target.options = field_options(c, p),
    });
    target
}

fn field_options(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> FieldOptions {
    let mut options = FieldOptions::default();
    let known = ["delimiter", "index", "encoding", "create"];
    cursor.fields("`options`", &known, problems, |name, c, p| match name {
        "delimiter" => options.delimiter = c.string(name, p),
        "index" => options.index = c.integer(name, p),
        // The original knows this field and does nothing with it.
        "encoding" => drop(c.string(name, p)),
        _ => options.create = c.bool(name, p),
    });
    options
}

pub(crate) fn replica(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Replica {
    let mut replica = Replica::default();
    cursor.fields("`replicas`", &["name", "count"], problems, |name, c, p| match name {
        "name" => replica.name = c.string(name, p),
        _ => replica.count = c.integer(name, p),
    });
    replica
}

pub(crate) fn var(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Var {
    let mut var = Var { field_path: "metadata.name".into(), ..Var::default() };
    cursor.fields("`vars`", &["name", "objref", "fieldref"], problems, |name, c, p| match name {
        "name" => var.name = c.string(name, p),
        "objref" => var_object(&mut var, c, p),
        _ => c.fields("`fieldref`", &["fieldPath"], p, |name, c, p| {
            let path = c.string(name, p);
            if !path.is_empty() {
                var.field_path = path;
            }
        }),
    });
    var
}

fn var_object(var: &mut Var, cursor: Cursor<'_>, problems: &mut Problems<'_>) {
    let mut api_version = String::new();
    let known = ["apiVersion", "group", "version", "kind", "name", "namespace"];
    cursor.fields("`objref`", &known, problems, |name, c, p| match name {
        "apiVersion" => api_version = c.string(name, p),
        "name" => var.object_name = c.string(name, p),
        "namespace" => var.object_namespace = c.string(name, p),
        _ => gvk_part(&mut var.gvk, name, c, p),
    });
    match api_version.split('/').collect::<Vec<_>>().as_slice() {
        [""] => {}
        [version] => var.gvk.version = (*version).into(),
        [group, version] => (var.gvk.group, var.gvk.version) = ((*group).into(), (*version).into()),
        _ => {}
    }
}

pub(crate) fn sort_options(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> SortOptions {
    let mut options = SortOptions::default();
    cursor.fields("`sortOptions`", &["order", "legacySortOptions"], problems, |name, c, p| match name {
        "order" => {
            options.order = c.string(name, p);
            if !["fifo", "legacy"].contains(&options.order.as_str()) {
                p.add(c.position, format!("`sortOptions.order` is `{}`; it must be `fifo` or `legacy`", options.order));
            }
        }
        _ => {
            let (mut first, mut last) = (Vec::new(), Vec::new());
            c.fields("`legacySortOptions`", &["orderFirst", "orderLast"], p, |name, c, p| match name {
                "orderFirst" => first = c.strings(name, p),
                _ => last = c.strings(name, p),
            });
            options.legacy = Some((first, last));
        }
    });
    options
}

pub(crate) fn generator(cursor: Cursor<'_>, secret: bool, problems: &mut Problems<'_>) -> Generator {
    let mut generator = Generator::default();
    let mut known = vec!["name", "namespace", "behavior", "literals", "files", "envs", "env", "options"];
    if secret {
        known.push("type");
    }
    let mut env = String::new();
    let what = if secret { "`secretGenerator`" } else { "`configMapGenerator`" };
    cursor.fields(what, &known, problems, |name, c, p| match name {
        "name" => generator.name = c.string(name, p),
        "namespace" => generator.namespace = c.string(name, p),
        "behavior" => generator.behavior = behavior(&c.string(name, p), c.position, p),
        "literals" => generator.literals = c.strings(name, p),
        "files" => generator.files = c.strings(name, p),
        "envs" => generator.envs = c.strings(name, p),
        "env" => env = c.string(name, p),
        "options" => generator.options = Some(generator_options(c, p)),
        "type" => generator.secret_type = c.string(name, p),
        _ => {}
    });
    if !env.is_empty() {
        generator.envs.push(env);
    }
    generator
}

fn behavior(text: &str, position: Position, problems: &mut Problems<'_>) -> Behavior {
    match text {
        "merge" => Behavior::Merge,
        "replace" => Behavior::Replace,
        "create" | "" => Behavior::Create,
        _ => {
            problems.add(position, format!("unknown behavior `{text}`; it is `create`, `merge` or `replace`"));
            Behavior::Create
        }
    }
}

pub(crate) fn generator_options(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> GeneratorOptions {
    let mut options = GeneratorOptions::default();
    let known = ["labels", "annotations", "disableNameSuffixHash", "immutable"];
    cursor.fields("generator options", &known, problems, |name, c, p| match name {
        "labels" => options.labels = c.string_map(name, p),
        "annotations" => options.annotations = c.string_map(name, p),
        "disableNameSuffixHash" => options.disable_name_suffix_hash = c.bool(name, p),
        _ => options.immutable = c.bool(name, p),
    });
    options
}
