//! The one place that calls the renderer.

use turquoise_kustomize::{Build, FileTree, edit};

use crate::core::shape::Manifest;
use crate::core::text::OneLine;

/// More problems of one build than this say no more.
const PROBLEMS_MAX: usize = 50;

/// Renders an overlay; every problem comes with file and line.
pub(super) fn build(tree: &impl FileTree, overlay: &str) -> Result<Vec<Manifest>, Vec<OneLine>> {
    match Build::new(tree, overlay).run() {
        Ok(output) => Ok(output
            .objects
            .into_iter()
            .map(|object| Manifest { value: object.to_json(), file: object.origin.path, line: object.origin.line })
            .collect()),
        Err(errors) => Err(errors.0.iter().take(PROBLEMS_MAX).map(|error| OneLine::new(&error.to_string())).collect()),
    }
}

/// A file after an edit.
pub(super) struct Edited {
    pub(super) path: String,
    pub(super) after: Vec<u8>,
}

/// One Service's selector: the value it gets.
pub(super) struct Selector<'a> {
    pub(super) service: &'a str,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

/// Changes selectors in the files from which an overlay is rendered, byte by byte; only files inside `folder`.
pub(super) fn set_selectors(
    tree: &impl FileTree,
    overlay: &str,
    folder: &str,
    selectors: &[Selector<'_>],
) -> Result<Vec<Edited>, OneLine> {
    let wanted: Vec<(&str, &str, &str)> = selectors.iter().map(|one| (one.service, one.key, one.value)).collect();
    let edits = edit::set_service_selectors(tree, overlay, folder, &wanted)
        .map_err(|error| OneLine::new(&error.to_string()))?;
    Ok(edits.into_iter().map(|edit| Edited { path: edit.path, after: edit.after }).collect())
}
