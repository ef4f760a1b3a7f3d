//! Byte-exact edits of the one thing that says which colour is live: the selectors of Services.
//!
//! An edit changes the scalars it must and not a byte more: comments, order, quotes, line ends and a missing final newline
//! stay. Every place where the value could be written is tried, and the result counts only if rendering again shows exactly
//! the wished change: nobody has to trust the search.

mod places;
mod scalar;

use std::collections::BTreeMap;

use crate::value::Value;

use crate::build::Build;
use crate::error::BuildErrors;
use crate::limits::FILE_BYTES_MAX;
use crate::object::{Object, Output};
use crate::tree::{FileTree, Overlay, TreeError, is_within, normalise};
use places::Place;

/// Combinations of places that are tried before giving up: each costs a render.
const COMBINATIONS_MAX: usize = 64;

/// One file's change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileEdit {
    /// The file, as a path in the tree with links resolved.
    pub path: String,
    /// Its bytes now.
    pub before: Vec<u8>,
    /// Its bytes after the edit.
    pub after: Vec<u8>,
    /// The line of the first change, from 1.
    pub line: usize,
}

/// Why a selector was not edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The overlay does not render as it is.
    #[error("the overlay does not render: {0}")]
    Render(#[from] BuildErrors),
    /// The overlay has no such Service, or its selector does not have the key.
    #[error("{0}")]
    NoSuchSelector(String),
    /// The value is the wished one already.
    #[error("the selector has the wished value already")]
    AlreadySet,
    /// The value is not written where it can be changed alone.
    #[error("{0}")]
    NotEditable(String),
    /// A file could not be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        error: TreeError,
    },
}

/// Changes the value under `key` of the selector of the Service `service`, as rendered from the kustomization in `overlay`.
/// Only files in `folder` are changed; the empty string stands for the whole tree.
///
/// ```
/// use turquoise_kustomize::{MemoryTree, edit};
///
/// let tree = MemoryTree::new([
///     ("live/kustomization.yaml", "resources: [service.yaml]\n"),
///     ("live/service.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: shop\nspec:\n  selector: {colour: 'blue'} # live\n"),
/// ]);
/// let edit = edit::set_service_selector(&tree, "live", "", "shop", "colour", "green")?;
/// assert_eq!((edit.path.as_str(), edit.line), ("live/service.yaml", 6));
/// assert!(edit.after.ends_with(b"  selector: {colour: 'green'} # live\n"));
/// # Ok::<(), edit::EditError>(())
/// ```
///
/// Where several files must change together, use [`set_service_selectors`].
pub fn set_service_selector<T: FileTree + ?Sized>(
    tree: &T,
    overlay: &str,
    folder: &str,
    service: &str,
    key: &str,
    value: &str,
) -> Result<FileEdit, EditError> {
    let mut edits = set_service_selectors(tree, overlay, folder, &[(service, key, value)])?.into_iter();
    match (edits.next(), edits.next()) {
        (Some(edit), None) => Ok(edit),
        (None, _) => Err(EditError::AlreadySet),
        (Some(one), Some(other)) => {
            Err(EditError::NotEditable(format!("both {} and {} would have to change", one.path, other.path)))
        }
    }
}

/// Changes several selectors at once. Edits in one file are combined, and the result is checked as a whole: after it exactly
/// the named values have changed in what the overlay renders. Values that are already as wished need no edit.
///
/// A name that several namespaces have is edited in all of them.
///
/// ```
/// use turquoise_kustomize::{MemoryTree, edit};
///
/// let service = |name: &str, colour: &str| {
///     format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{colour: {colour}}}}}\n")
/// };
/// let tree = MemoryTree::new([
///     ("kustomization.yaml", "resources: [services.yaml]\n".to_string()),
///     ("services.yaml", service("shop", "blue") + &service("shop-preview", "green")),
/// ]);
/// let wishes = [("shop", "colour", "green"), ("shop-preview", "colour", "blue")];
/// let edits = edit::set_service_selectors(&tree, "", "", &wishes)?;
/// assert_eq!(edits.len(), 1);
/// assert_eq!(edits[0].after, (service("shop", "green") + &service("shop-preview", "blue")).into_bytes());
/// # Ok::<(), edit::EditError>(())
/// ```
pub fn set_service_selectors<T: FileTree + ?Sized>(
    tree: &T,
    overlay: &str,
    folder: &str,
    wishes: &[(&str, &str, &str)],
) -> Result<Vec<FileEdit>, EditError> {
    let folder = normalise(folder).ok_or_else(|| EditError::NotEditable("the folder leads out of the tree".into()))?;
    let before = Build::new(tree, overlay).run()?;
    let wanted = wanted(&before, wishes)?;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let files = places::files(tree, overlay, &folder)?;
    let mut candidates = Vec::new();
    for wish in &wanted {
        let found = places::find(&files, wish);
        if found.is_empty() {
            return Err(EditError::NotEditable(format!(
                "nowhere in `{}` is `{}: {}` written for the Service `{}` as a value of its own; write it in the Service's manifest, a patch, or `labels` of the live overlay",
                shown(&folder),
                wish.key,
                wish.from,
                wish.service
            )));
        }
        candidates.push(found);
    }
    let mut reason = String::new();
    for combination in combinations(&candidates) {
        let edits = match apply(&files, &combination, &wanted) {
            Ok(edits) => edits,
            Err(why) => {
                reason = why;
                continue;
            }
        };
        match verify(tree, overlay, &before, &wanted, &edits) {
            Ok(()) => return Ok(edits),
            Err(why) => reason = why,
        }
    }
    Err(EditError::NotEditable(reason))
}

fn shown(folder: &str) -> &str {
    if folder.is_empty() { "." } else { folder }
}

/// One value that must change.
#[derive(Debug, Clone)]
struct Wish<'a> {
    service: &'a str,
    key: &'a str,
    from: String,
    to: &'a str,
    /// Where the Service's manifest stands.
    origin: String,
    origin_line: usize,
}

fn is_service(object: &Object, name: &str) -> bool {
    object.kind() == "Service" && object.group().is_empty() && object.name() == name
}

fn selector_value<'o>(object: &'o Object, key: &str) -> Option<&'o str> {
    object.value.get("spec")?.get("selector")?.get(key)?.as_str()
}

/// What must change, leaving out what is already as wished.
fn wanted<'a>(output: &Output, wishes: &[(&'a str, &'a str, &'a str)]) -> Result<Vec<Wish<'a>>, EditError> {
    let mut wanted = Vec::new();
    for (service, key, to) in wishes {
        let mut found = false;
        for object in output.objects.iter().filter(|object| is_service(object, service)) {
            found = true;
            let Some(from) = selector_value(object, key) else {
                return Err(EditError::NoSuchSelector(format!(
                    "the selector of the Service `{service}` has no `{key}`"
                )));
            };
            if from != *to {
                wanted.push(Wish {
                    service,
                    key,
                    from: from.to_string(),
                    to,
                    origin: object.origin.path.clone(),
                    origin_line: object.origin.line,
                });
            }
        }
        if !found {
            return Err(EditError::NoSuchSelector(format!("the overlay renders no Service `{service}`")));
        }
    }
    Ok(wanted)
}

/// One place for each wish, the likeliest first.
fn combinations(candidates: &[Vec<Place>]) -> Vec<Vec<&Place>> {
    let mut all: Vec<Vec<&Place>> = vec![Vec::new()];
    for places in candidates {
        let longer = places.iter().flat_map(|place| all.iter().map(move |before| (before, place)));
        all = longer
            .take(COMBINATIONS_MAX)
            .map(|(before, place)| before.iter().copied().chain([place]).collect())
            .collect();
    }
    all
}

/// The files with the scalars at these places written anew.
fn apply(files: &BTreeMap<String, String>, places: &[&Place], wanted: &[Wish<'_>]) -> Result<Vec<FileEdit>, String> {
    let mut changes: BTreeMap<(&str, usize, usize), (usize, String)> = BTreeMap::new();
    for (place, wish) in places.iter().zip(wanted) {
        let text = files.get(&place.path).map_or("", String::as_str);
        let old = text.get(place.start..place.end).ok_or("the place is gone")?;
        let new = scalar::rewrite(old, place.context, wish.to)?;
        let slot = (place.path.as_str(), place.start, place.end);
        match changes.insert(slot, (place.line, new.clone())) {
            Some((_, other)) if other != new => {
                return Err(format!(
                    "{}:{} is shared by Services that shall select different values; write the value at each Service",
                    place.path, place.line
                ));
            }
            Some(_) | None => {}
        }
    }
    let mut edits: BTreeMap<&str, FileEdit> = BTreeMap::new();
    // From the end of each file, so that earlier places stay where they are.
    for ((path, start, end), (line, new)) in changes.into_iter().rev() {
        let text = files.get(path).map_or("", String::as_str);
        let edit = edits.entry(path).or_insert_with(|| FileEdit {
            path: path.to_string(),
            before: text.as_bytes().to_vec(),
            after: text.as_bytes().to_vec(),
            line,
        });
        edit.line = line;
        edit.after.splice(start..end, new.into_bytes());
    }
    Ok(edits.into_values().collect())
}

/// Renders again with the edits, and compares: exactly the wished values may differ. Where the value is set by a label of the
/// overlay, the Service's own label of that key changes with it.
fn verify<T: FileTree + ?Sized>(
    tree: &T,
    overlay: &str,
    before: &Output,
    wanted: &[Wish<'_>],
    edits: &[FileEdit],
) -> Result<(), String> {
    let mut edited = Overlay::new(tree);
    for edit in edits {
        edited = edited.with(&edit.path, edit.after.clone());
    }
    let after = Build::new(&edited, overlay)
        .run()
        .map_err(|errors| format!("with the edit the overlay does not render: {errors}"))?;
    let mut expected: Vec<Value> = before.objects.iter().map(|object| object.value.clone()).collect();
    for (object, value) in before.objects.iter().zip(&mut expected) {
        for wish in wanted.iter().filter(|wish| is_service(object, wish.service)) {
            if let Some(place) = value.at_mut(&["spec", "selector"]).and_then(|selector| selector.get_mut(wish.key)) {
                *place = wish.to.into();
            }
            let rendered = after
                .objects
                .iter()
                .find(|other| is_service(other, wish.service) && other.namespace() == object.namespace());
            let label =
                |value: &Value| value.at(&["metadata", "labels"]).and_then(|labels| labels.get(wish.key)).cloned();
            let labelled =
                rendered.is_some_and(|other| label(&other.value).as_ref().and_then(Value::as_str) == Some(wish.to));
            if labelled
                && let Some(place) = value.at_mut(&["metadata", "labels"]).and_then(|labels| labels.get_mut(wish.key))
                && place.as_str() == Some(&wish.from)
            {
                *place = wish.to.into();
            }
        }
    }
    if after.objects.len() != expected.len() {
        return Err("the edit would change which objects are rendered".into());
    }
    for (object, wish) in after.objects.iter().zip(&expected) {
        if object.value != *wish {
            let (kind, name) = (object.kind(), object.name());
            return Err(format!(
                "the place that sets the value also sets something else: {kind} `{name}` would change in another way; write the value at the Service alone"
            ));
        }
    }
    Ok(())
}

/// Reads a file as text.
fn read_text<T: FileTree + ?Sized>(tree: &T, path: &str) -> Result<Option<String>, EditError> {
    let bytes = tree.read(path, FILE_BYTES_MAX).map_err(|error| EditError::Read { path: path.to_string(), error })?;
    // What is no text holds no selector.
    Ok(String::from_utf8(bytes).ok())
}

fn inside(path: &str, folder: &str) -> bool {
    is_within(path, folder)
}
