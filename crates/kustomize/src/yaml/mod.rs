//! Reading YAML as Kubernetes' tools do, and writing it as they do.
//!
//! Two dialects are read. [`resources`] is for manifests: `yes` and `on` are strings, dates become timestamps. [`strict`] is
//! for kustomization files and JSON patches: YAML 1.1, where `yes` and `on` are booleans. Both know `0644` as a number, refuse
//! duplicate keys, and are bounded in depth, size and alias expansion.

mod annotations;
mod budget;
mod emit;
mod gather;
mod keys;
mod node;
mod reader;
mod refold;
mod scalar;
mod style;

use crate::error::{Position, Problem};
use crate::value::Value;

pub use node::{Entry, Node, NodeKind, Span};
pub use scalar::Dialect;

pub(crate) use annotations::Annotations;
pub(crate) use budget::Budget;
pub(crate) use emit::append_document;
pub(crate) use reader::value_depth;
pub(crate) use scalar::{number_from_f64, plain, text_of};
pub(crate) use style::prints_plain;

/// One document of a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Document {
    pub(crate) value: Value,
    /// The line on which the document's content begins, from 1.
    pub line: usize,
    /// Where each part of the value stands in the text; only when asked for.
    pub node: Option<Node>,
    /// Keys that are given again later: empty but for [`last_wins`], where they do not count.
    pub repeated: Vec<(String, crate::Position)>,
}

impl Document {
    /// The value, as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        self.value.to_json()
    }
}

/// Why a text could not be read.
///
/// ```
/// let error = turquoise_kustomize::yaml::resources("a: 1\n b: 2\n").unwrap_err();
/// assert_eq!((error.line, error.column), (2, 3));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
#[non_exhaustive]
pub struct YamlError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1; 0 when unknown.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl YamlError {
    /// As a problem of the file at `path`, whose text this is: with what is probably behind it.
    pub(crate) fn problem(&self, path: &str, text: &str) -> Problem {
        let position = Position { line: self.line, column: self.column };
        let hint = self.hint(text).map(|hint| format!("; {hint}")).unwrap_or_default();
        Problem::at(path, position, format!("broken YAML: {}{hint}", self.message))
    }

    fn hint(&self, text: &str) -> Option<&'static str> {
        let is_conflict = |line: &str| ["<<<<<<< ", "=======", ">>>>>>> "].iter().any(|mark| line.starts_with(mark));
        let line = text.lines().nth(self.line.saturating_sub(1)).unwrap_or("");
        if text.lines().any(|line| line.starts_with("<<<<<<< ")) && text.lines().filter(|l| is_conflict(l)).count() > 1
        {
            return Some("a merge left both its sides here: keep one");
        }
        if line.contains("{{") || line.trim_start().starts_with("{%") {
            return Some("this looks like a template: fill it in before it is committed, or put it in quotes");
        }
        if self.message.contains("tab") {
            return Some("indent with spaces");
        }
        if self.message.contains("mapping values are not allowed") {
            return Some("check the indentation, and put a text that holds a colon in quotes");
        }
        None
    }
}

/// Reads a file of manifests. Documents without content are left out.
///
/// ```
/// let documents = turquoise_kustomize::yaml::resources("a: yes\n---\n# nothing\n---\nb: 0644\n")?;
/// assert_eq!(documents.len(), 2);
/// assert_eq!(documents[0].to_json()["a"], "yes");
/// assert_eq!(documents[1].to_json()["b"], 420);
/// assert_eq!(documents[1].line, 5);
/// # Ok::<(), turquoise_kustomize::yaml::YamlError>(())
/// ```
pub fn resources(text: &str) -> Result<Vec<Document>, YamlError> {
    objects_within(text, Annotations::Typed, &Budget::default())
}

/// Reads manifests or patches within what a whole build may read.
pub(crate) fn objects_within(
    text: &str,
    annotations: Annotations,
    budget: &Budget,
) -> Result<Vec<Document>, YamlError> {
    reader::read(text, Dialect::Resources, false, Repeated::Refuse, annotations, budget)
}

/// Reads a kustomization file, a patch or a plug-in's configuration, with the place of every node.
///
/// ```
/// let documents = turquoise_kustomize::yaml::strict("a: yes\nb: 2020-01-01\n")?;
/// assert_eq!(documents[0].to_json()["a"], true);
/// assert_eq!(documents[0].to_json()["b"], "2020-01-01");
/// # Ok::<(), turquoise_kustomize::yaml::YamlError>(())
/// ```
pub fn strict(text: &str) -> Result<Vec<Document>, YamlError> {
    strict_within(text, &Budget::default())
}

/// The same within what a whole build may read.
pub(crate) fn strict_within(text: &str, budget: &Budget) -> Result<Vec<Document>, YamlError> {
    reader::read(text, Dialect::Strict, true, Repeated::Refuse, Annotations::Typed, budget)
}

/// Like [`strict`], but of a key that is given twice the last one counts: so kustomization files are read.
///
/// ```
/// let documents = turquoise_kustomize::yaml::last_wins("a: 1\na: 2\n")?;
/// assert_eq!(documents[0].to_json()["a"], 2);
/// assert_eq!(documents[0].repeated[0].0, "a");
/// # Ok::<(), turquoise_kustomize::yaml::YamlError>(())
/// ```
pub fn last_wins(text: &str) -> Result<Vec<Document>, YamlError> {
    last_wins_within(text, &Budget::default())
}

/// The same within what a whole build may read.
pub(crate) fn last_wins_within(text: &str, budget: &Budget) -> Result<Vec<Document>, YamlError> {
    reader::read(text, Dialect::Strict, true, Repeated::LastWins, Annotations::Typed, budget)
}

/// What happens to keys that are given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeated {
    Refuse,
    LastWins,
}

/// Reads a file of manifests with the place of every node, for edits.
///
/// ```
/// let text = "spec: {colour: blue} # live\n";
/// let documents = turquoise_kustomize::yaml::resources_with_nodes(text)?;
/// let node = documents[0].node.as_ref().and_then(|root| root.get("spec")?.get("colour")).expect("it is there");
/// assert_eq!(&text[node.span.start..node.span.end], "blue");
/// assert_eq!((node.span.position.line, node.span.position.column), (1, 16));
/// # Ok::<(), turquoise_kustomize::yaml::YamlError>(())
/// ```
pub fn resources_with_nodes(text: &str) -> Result<Vec<Document>, YamlError> {
    reader::read(text, Dialect::Resources, true, Repeated::Refuse, Annotations::Typed, &Budget::default())
}

/// Writes one object as Kubernetes' tools print it: keys in natural order, lists not indented.
///
/// ```
/// use serde_json::json;
/// let text = turquoise_kustomize::yaml::to_string(&json!({"a10": "yes", "a2": [1, "x"]}));
/// assert_eq!(text, "a2:\n- 1\n- x\na10: \"yes\"\n");
/// ```
pub fn to_string(value: &serde_json::Value) -> String {
    let mut out = String::new();
    emit::append_document(&mut out, &value.clone().into());
    out
}
