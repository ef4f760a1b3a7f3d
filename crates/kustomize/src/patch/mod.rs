//! Patches: strategic merges and JSON 6902.

pub(crate) mod apply;
mod directive;
pub(crate) mod json6902;
pub(crate) mod labels;
mod lists;
pub(crate) mod strategic;
pub(crate) mod target;
