//! Finds out what a patch's text is, and applies it to the objects it is for.

use std::collections::HashMap;

use crate::value::{Map, Text, Value};

use super::{json6902, strategic, target::Target};
use crate::build::manifests;
use crate::error::did_you_mean;
use crate::resource::{Id, Resource, open_annotations, refuse_twins};
use crate::schema::{self, CustomSchema};
use crate::transform::describe;
use crate::yaml::{Budget, text_of};

/// A patch that was read.
pub(crate) enum Patch {
    Strategic(Vec<Resource>),
    Json(Vec<json6902::Operation>),
}

/// What a strategic merge may change besides the fields.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allowed {
    pub(crate) name_change: bool,
    pub(crate) kind_change: bool,
}

/// Reads a patch of either kind. Errors say what it is.
pub(crate) fn read(text: &str, origin: &str, budget: &Budget) -> Result<Patch, String> {
    // Objects are no lists of operations, so at most one of the two readings succeeds.
    let strategic = match manifests::read(text, origin, budget) {
        Ok(patches) if patches.is_empty() => return Err("empty".into()),
        Ok(patches) => return Ok(Patch::Strategic(patches)),
        Err(problem) => problem,
    };
    match json6902::parse(text, budget) {
        Ok(operations) => Ok(Patch::Json(operations)),
        Err(json) => Err(format!("neither a strategic merge patch ({}) nor a JSON patch ({json})", strategic.message)),
    }
}

/// Every object by each id it has or had.
pub(crate) struct Index(HashMap<Id, Vec<usize>>);

impl Index {
    pub(crate) fn new(resources: &[Resource]) -> Self {
        let mut index: HashMap<Id, Vec<usize>> = HashMap::with_capacity(resources.len());
        for (i, resource) in resources.iter().enumerate().filter(|(_, resource)| !resource.is_deleted()) {
            for id in resource.all_ids() {
                let places = index.entry(id).or_default();
                if places.last() != Some(&i) {
                    places.push(i);
                }
            }
        }
        Self(index)
    }

    /// Adds an object at the end.
    pub(crate) fn insert(&mut self, place: usize, resource: &Resource) {
        for id in resource.all_ids() {
            self.0.entry(id).or_default().push(place);
        }
    }

    /// The objects that have or had this id.
    pub(crate) fn find(&self, id: &Id) -> &[usize] {
        self.0.get(id).map_or(&[], Vec::as_slice)
    }
}

/// Applies strategic merges to the one object that each names.
pub(crate) fn merge_into_named(
    resources: &mut [Resource],
    patches: &[Resource],
    allowed: Allowed,
    custom: Option<&CustomSchema>,
    index: &mut Option<Index>,
) -> Result<(), String> {
    for patch in patches {
        let id = patch.original_id();
        let known = index.get_or_insert_with(|| Index::new(resources));
        let place = match known.find(&id) {
            [one] => *one,
            [] => {
                return Err(format!("no resource matches the patch for {id}; {}", meant(&id, resources)));
            }
            several => {
                return Err(format!("{} resources match the patch for {id}; give the patch a `target`", several.len()));
            }
        };
        let Some(resource) = resources.get_mut(place) else { continue };
        // What is allowed is noted in the patch's annotations, which become strings that way.
        let noted = (allowed.name_change || allowed.kind_change).then(|| copied(&patch.object, &["annotations"]));
        merge_one(resource, noted.as_ref().unwrap_or(&patch.object), allowed, custom)?;
        if resource.is_deleted() || allowed.name_change || allowed.kind_change {
            *index = None;
        }
    }
    Ok(())
}

/// What a patch that matches nothing was probably meant for.
fn meant(id: &Id, resources: &[Resource]) -> String {
    let of_kind = || resources.iter().filter(|resource| !resource.is_deleted() && resource.kind() == id.gvk.kind);
    let same_name = of_kind().find(|resource| resource.all_ids().iter().any(|known| known.name == id.name));
    if let Some(there) = same_name {
        return format!("there is {}: name it as it is, with apiVersion and namespace", there.id());
    }
    let names: Vec<Text> = of_kind().map(Resource::name).collect();
    match did_you_mean(&id.name, names.iter().map(Text::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "check its apiVersion, kind, name and namespace, or give the patch a `target`".into(),
    }
}

/// The parts of the metadata that copying an object turns into strings.
pub(crate) const COPIED: [&str; 2] = ["labels", "annotations"];

/// A patch as the original copies it where it has a target or comes from `patchesStrategicMerge`: its labels and annotations
/// become strings on the way, null too, and an empty map of them is lost. So `null` does not delete a label there.
///
/// `fields` are those of the metadata that are copied.
pub(crate) fn copied(patch: &Map, fields: &[&str]) -> Map {
    let mut patch = patch.clone();
    let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) else { return patch };
    for field in fields {
        match metadata.get_mut(field) {
            Some(Value::Object(map)) if !map.is_empty() => {
                map.values_mut().for_each(|value| *value = text_of(value).unwrap_or_default().into());
            }
            Some(_) => drop(metadata.remove(field)),
            None => {}
        }
    }
    patch
}

/// Applies a patch to every object that a target selects.
pub(crate) fn apply_to_target(
    resources: &mut [Resource],
    patch: &Patch,
    target: &Target,
    allowed: Allowed,
    custom: Option<&CustomSchema>,
    budget: &Budget,
) -> Result<(), String> {
    let cost = match patch {
        Patch::Strategic(patches) => patches.iter().flat_map(|patch| patch.object.values()).map(json6902::nodes).sum(),
        Patch::Json(_) => 0,
    };
    for resource in resources.iter_mut().filter(|resource| !resource.is_deleted() && target.matches(resource)) {
        budget.add(cost)?;
        match patch {
            Patch::Json(operations) => {
                resource.store_previous_id();
                apply_json(resource, operations, budget)?;
            }
            Patch::Strategic(patches) => {
                let [patch] = patches.as_slice() else {
                    return Err("a patch with a `target` must hold one document only".into());
                };
                let mut patch = copied(&patch.object, &COPIED);
                patch.insert("apiVersion", resource.api_version().into());
                merge_one(resource, &patch, allowed, custom)?;
            }
        }
    }
    if matches!(patch, Patch::Strategic(_)) && (allowed.name_change || allowed.kind_change) {
        refuse_twins(resources, "the patch")?;
    }
    Ok(())
}

pub(crate) fn apply_json(
    resource: &mut Resource,
    operations: &[json6902::Operation],
    budget: &Budget,
) -> Result<(), String> {
    let mut object = resource.object.clone();
    if resource.has_history() {
        open_annotations(&mut object);
    }
    let mut object = json6902::apply(object, operations, budget).map_err(|reason| describe(resource, &reason))?;
    object.values_mut().for_each(Value::through_json);
    let before = std::mem::replace(&mut resource.object, object);
    resource.shared.clear();
    if resource.name().is_empty() {
        resource.object = before;
        return Err(describe(resource, "the patch leaves it without a `metadata.name`"));
    }
    resource.write_annotations_as_text();
    Ok(())
}

/// Whether a patch takes all annotations away.
fn clears_annotations(patch: &Map) -> bool {
    match patch.get("metadata").and_then(|metadata| metadata.get("annotations")) {
        Some(Value::Null(_)) => true,
        Some(annotations) => matches!(annotations.get("$patch").and_then(Value::as_str), Some("replace" | "delete")),
        None => false,
    }
}

/// Kind, name and namespace stay unless the patch may change them.
pub(crate) fn merge_one(
    resource: &mut Resource,
    patch: &Map,
    allowed: Allowed,
    custom: Option<&CustomSchema>,
) -> Result<(), String> {
    if allowed.name_change || allowed.kind_change {
        resource.store_previous_id();
    }
    let (kind, name, namespace) = (
        resource.kind().to_string(),
        resource.object.get("metadata").and_then(|m| m.get("name")).cloned(),
        resource.namespace(),
    );
    let shown = resource.id();
    // The patch's kind decides where the object's own is not known.
    let patch_kind = patch.get("kind").and_then(Value::as_str).unwrap_or("");
    let ty = schema::type_of(custom, resource.api_version(), &kind)
        .or_else(|| schema::type_of(custom, resource.api_version(), patch_kind));
    let object = std::mem::take(&mut resource.object);
    let merged = strategic::merge_object(object, &Value::Object(patch.clone()), ty)
        .map_err(|reason| format!("{shown}: {reason}"))?;
    let Some(object) = merged.filter(|object| !object.is_empty()) else { return Ok(()) };
    resource.object = object;
    if clears_annotations(patch) {
        resource.forget_history();
    }
    if !allowed.kind_change {
        resource.object.insert("kind", kind.into());
    }
    if let (false, Some(name)) = (allowed.name_change, name) {
        resource.edit_metadata(|metadata| metadata.insert("name", name));
    }
    resource.set_namespace(&namespace);
    Ok(())
}
