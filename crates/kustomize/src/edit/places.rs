//! Where a selector's value may be written: manifests, patches of both kinds, and labels.

use std::collections::BTreeMap;

use crate::value::Value;

use super::scalar::Context;
use super::{EditError, Wish, inside, read_text};
use crate::kustomization::FILE_NAMES;
use crate::limits::KUSTOMIZATIONS_MAX;
use crate::tree::{EntryKind, FileTree, join, normalise};
use crate::yaml::{self, Node, NodeKind, Span};

/// A scalar that can be written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) line: usize,
    pub(super) context: Context,
    /// Smaller is likelier.
    rank: usize,
}

/// The texts of the overlay's kustomizations and of the files they name, as far as they lie in the folder.
pub(super) fn files<T: FileTree + ?Sized>(
    tree: &T,
    overlay: &str,
    folder: &str,
) -> Result<BTreeMap<String, String>, EditError> {
    let mut files = BTreeMap::new();
    let mut directories = vec![normalise(overlay).unwrap_or_default()];
    let mut seen = Vec::new();
    while let Some(directory) = directories.pop() {
        let Ok(directory) = tree.resolve(&directory) else { continue };
        if seen.contains(&directory) || seen.len() == KUSTOMIZATIONS_MAX {
            continue;
        }
        seen.push(directory.clone());
        for name in FILE_NAMES {
            let Some((path, EntryKind::File)) = locate(tree, &directory, name) else { continue };
            let Some(text) = read_text(tree, &path)? else { continue };
            for named in named_paths(&text) {
                match locate(tree, &directory, &named) {
                    Some((path, EntryKind::File)) if inside(&path, folder) => {
                        if !files.contains_key(&path)
                            && let Some(text) = read_text(tree, &path)?
                        {
                            files.insert(path, text);
                        }
                    }
                    Some((path, EntryKind::Directory)) => directories.push(path),
                    Some((_, EntryKind::File)) | None => {}
                }
            }
            if inside(&path, folder) {
                files.insert(path, text);
            }
        }
    }
    Ok(files)
}

fn locate<T: FileTree + ?Sized>(tree: &T, directory: &str, name: &str) -> Option<(String, EntryKind)> {
    let path = join(directory, name)?;
    let kind = tree.kind(&path).ok().flatten()?;
    Some((tree.resolve(&path).ok()?, kind))
}

/// What a kustomization names that may hold manifests or patches.
fn named_paths(text: &str) -> Vec<String> {
    let Ok(documents) = yaml::last_wins(text) else { return Vec::new() };
    let Some(root) = documents.first().map(|document| &document.value) else { return Vec::new() };
    let list = |field: &str| root.get(field).and_then(Value::as_array).into_iter().flatten();
    let plain = ["resources", "bases", "components", "patchesStrategicMerge", "transformers"]
        .into_iter()
        .flat_map(list)
        .filter_map(Value::as_str);
    let patches =
        ["patches", "patchesJson6902"].into_iter().flat_map(list).filter_map(|patch| patch.get("path")?.as_str());
    plain.chain(patches).filter(|name| !name.contains('\n')).map(ToString::to_string).collect()
}

/// Every place that could set the wished value, the likeliest first.
pub(super) fn find(files: &BTreeMap<String, String>, wish: &Wish<'_>) -> Vec<Place> {
    let mut places = Vec::new();
    for (path, text) in files {
        let name = path.rsplit('/').next().unwrap_or(path);
        let mut search = Search { path, wish, shift: None, places: &mut places };
        if FILE_NAMES.contains(&name) {
            if let Ok(documents) = yaml::last_wins(text)
                && let Some(document) = documents.first()
                && let Some(node) = &document.node
            {
                search.kustomization(text, &document.value, node);
            }
            continue;
        }
        search.documents(text);
    }
    places.sort_by_key(|place| place.rank);
    places.dedup_by(|a, b| a.path == b.path && a.start == b.start);
    places
}

struct Search<'s, 'w> {
    path: &'s str,
    wish: &'s Wish<'w>,
    /// For text inside a block scalar: where its lines stand in the file.
    shift: Option<Shift>,
    places: &'s mut Vec<Place>,
}

/// Lines of a block scalar: their offsets in the inner text and in the file.
#[derive(Clone)]
struct Shift {
    lines: Vec<(usize, usize)>,
    first_line: usize,
}

impl Shift {
    fn to_file(&self, offset: usize) -> Option<usize> {
        let (inner, outer) = self.lines.iter().rev().find(|(inner, _)| *inner <= offset)?;
        Some(outer + (offset - inner))
    }
}

impl Search<'_, '_> {
    fn add(&mut self, node: &Node, value: &Value, rank: usize) {
        let text = match value {
            Value::String(text) | Value::Quoted(text) => text.as_str(),
            Value::Null(_) | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => return,
        };
        if text != self.wish.from || !matches!(node.kind, NodeKind::Scalar { .. }) {
            return;
        }
        self.push(node.span, rank);
    }

    fn push(&mut self, span: Span, rank: usize) {
        let (start, end, line, context) = match &self.shift {
            None => (span.start, span.end, span.position.line, Context::File),
            Some(shift) => {
                let (Some(start), Some(end)) = (shift.to_file(span.start), shift.to_file(span.end)) else { return };
                (start, end, shift.first_line + span.position.line - 1, Context::Block)
            }
        };
        self.places.push(Place { path: self.path.to_string(), start, end, line, context, rank });
    }

    /// Manifests and patches of a file, whatever they are.
    fn documents(&mut self, text: &str) {
        if let Ok(documents) = yaml::resources_with_nodes(text) {
            for document in &documents {
                if let Some(node) = &document.node {
                    self.object(&document.value, node, document.line);
                    self.operations(&document.value, node);
                }
            }
        }
    }

    /// A Service, a patch of one, or a list of objects.
    fn object(&mut self, value: &Value, node: &Node, line: usize) {
        if let (Some(items), Some(item_nodes)) = (value.get("items").and_then(Value::as_array), node.get("items")) {
            for (i, item) in items.iter().enumerate() {
                if let Some(node) = item_nodes.at(i) {
                    self.object(item, node, line);
                }
            }
        }
        if value.get("kind").and_then(Value::as_str) != Some("Service") {
            return;
        }
        let Some(found) = node.get("spec").and_then(|spec| spec.get("selector")).and_then(|s| s.get(self.wish.key))
        else {
            return;
        };
        let Some(current) = value.at(&["spec", "selector"]).and_then(|selector| selector.get(self.wish.key)) else {
            return;
        };
        let own_name = value.at(&["metadata", "name"]).and_then(Value::as_str).unwrap_or("");
        let own_place = self.path == self.wish.origin && line == self.wish.origin_line;
        let rank = match (own_name == self.wish.service, own_place) {
            // A patch wins over the manifest, so it is tried first.
            (true, false) => 0,
            (true, true) => 1,
            (false, true) => 3,
            (false, false) if self.wish.service.contains(own_name) => 4,
            (false, false) => 6,
        };
        self.add(found, current, rank);
    }

    /// A JSON patch: operations whose value is, or holds, the selector's value.
    fn operations(&mut self, value: &Value, node: &Node) {
        for (i, operation) in value.as_array().into_iter().flatten().enumerate() {
            let path = operation.get("path").and_then(Value::as_str).unwrap_or("");
            let (Some(written), Some(found)) = (operation.get("value"), node.at(i).and_then(|n| n.get("value"))) else {
                continue;
            };
            let key = self.wish.key.replace('~', "~0").replace('/', "~1");
            if path.strip_prefix("/spec/selector/") == Some(key.as_str()) {
                self.add(found, written, 2);
            } else if path == "/spec/selector"
                && let (Some(written), Some(found)) = (written.get(self.wish.key), found.get(self.wish.key))
            {
                self.add(found, written, 2);
            }
        }
    }

    /// Inline patches and labels of a kustomization.
    fn kustomization(&mut self, text: &str, value: &Value, node: &Node) {
        for field in ["patches", "patchesJson6902", "patchesStrategicMerge"] {
            let items = value.get(field).and_then(Value::as_array).into_iter().flatten();
            for (i, item) in items.enumerate() {
                let Some(item_node) = node.get(field).and_then(|list| list.at(i)) else { continue };
                match item.get("patch") {
                    Some(patch) => self.inline(text, patch, item_node.get("patch")),
                    None => self.inline(text, item, Some(item_node)),
                }
            }
        }
        let pairs = |list: &str, i: usize| node.get(list).and_then(|l| l.at(i)).and_then(|label| label.get("pairs"));
        for (i, label) in value.get("labels").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let written = label.get("pairs").and_then(|pairs| pairs.get(self.wish.key));
            if let (Some(written), Some(found)) =
                (written, pairs("labels", i).and_then(|pairs| pairs.get(self.wish.key)))
            {
                self.add(found, written, 5);
            }
        }
        let written = value.get("commonLabels").and_then(|labels| labels.get(self.wish.key));
        let found = node.get("commonLabels").and_then(|labels| labels.get(self.wish.key));
        if let (Some(written), Some(found)) = (written, found) {
            self.add(found, written, 5);
        }
    }

    /// A patch written into the kustomization: only literal blocks, whose text stands there as it is.
    fn inline(&mut self, file: &str, value: &Value, node: Option<&Node>) {
        let (Some(inner), Some(node)) = (value.as_str(), node) else { return };
        if !matches!(node.kind, NodeKind::Scalar { .. }) {
            return;
        }
        if let Some(shift) = align(file, node.span, inner) {
            self.shift = Some(shift);
            self.documents(inner);
            self.shift = None;
        }
    }
}

/// Finds each line of a block scalar's text in the file. `None` when the file does not hold it line by line.
fn align(file: &str, span: Span, inner: &str) -> Option<Shift> {
    // The span may begin at the indicator or at the text; the first line is searched from there.
    let mut offset = span.start;
    let region_end = file.len();
    let mut lines = Vec::new();
    let mut inner_offset = 0;
    let mut first_line = None;
    let mut skipped_header = !file.get(offset..)?.starts_with(['|', '>']);
    while inner_offset < inner.len() {
        let line_end = file.get(offset..region_end)?.find('\n').map_or(region_end, |i| offset + i);
        let raw = file.get(offset..line_end)?;
        let raw = raw.strip_suffix('\r').unwrap_or(raw);
        if !skipped_header {
            skipped_header = true;
            offset = line_end + 1;
            continue;
        }
        let rest = inner.get(inner_offset..)?;
        let wanted = rest.split('\n').next().unwrap_or("");
        let stripped = raw.trim_start_matches(' ');
        let wanted_stripped = wanted.trim_start_matches(' ');
        if stripped != wanted_stripped {
            return None;
        }
        let start = offset + (raw.len() - stripped.len()).checked_sub(wanted.len() - wanted_stripped.len())?;
        first_line.get_or_insert_with(|| 1 + file.get(..offset).map_or(0, |before| before.matches('\n').count()));
        lines.push((inner_offset, start));
        inner_offset += wanted.len() + 1;
        offset = line_end + 1;
    }
    Some(Shift { lines, first_line: first_line? })
}
