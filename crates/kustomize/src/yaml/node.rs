//! Where the parts of a document stand in its text.

use crate::error::Position;

/// A stretch of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte's offset in the text that was read.
    pub start: usize,
    /// The offset after the last byte.
    pub end: usize,
    /// Where it begins, for people.
    pub position: Position,
}

/// A node of the text: the same shape as the value, with places.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: NodeKind,
    /// Whether `&name` stands before it: an alias elsewhere may repeat it.
    pub anchored: bool,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// A scalar, written plain (`true`) or in quotes or as a block.
    Scalar {
        /// Whether it is written without quotes.
        plain: bool,
    },
    /// `*name`: the value stands elsewhere.
    Alias,
    /// A list.
    Sequence(Vec<Node>),
    /// A map, in the order of the text: of a key that is given twice the last entry counts. Entries that `<<` merged in
    /// are not listed.
    Mapping(Vec<Entry>),
}

/// One entry of a map.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Entry {
    /// The key as a string.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value's node under `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry under `key`, if this is a map that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            NodeKind::Mapping(entries) => entries.iter().rfind(|entry| entry.key == key),
            NodeKind::Scalar { .. } | NodeKind::Alias | NodeKind::Sequence(_) => None,
        }
    }

    /// The entries, if this is a map.
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            NodeKind::Mapping(entries) => entries,
            NodeKind::Scalar { .. } | NodeKind::Alias | NodeKind::Sequence(_) => &[],
        }
    }

    /// The element at `index`, if this is a list that has it.
    pub fn at(&self, index: usize) -> Option<&Node> {
        match &self.kind {
            NodeKind::Sequence(items) => items.get(index),
            NodeKind::Scalar { .. } | NodeKind::Alias | NodeKind::Mapping(_) => None,
        }
    }
}
