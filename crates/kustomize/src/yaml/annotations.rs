//! Annotations of manifests are text as it is written: the original reads `port: 0x10` and prints `"0x10"`.

use crate::value::{Text, Value};

/// How the annotations of an object are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Annotations {
    /// Like anything else.
    Typed,
    /// Of manifests: as they are written.
    Text,
    /// Of patches: the same, but null deletes.
    TextOrNull,
}

/// Where the reader is, seen from the object that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Elsewhere,
    Metadata,
    Annotations,
}

/// Follows the reader through an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    how: Annotations,
    /// The depth of the object's own map: below `items` of a list it is deeper.
    base: usize,
    inside: Inside,
}

impl Place {
    pub(super) fn new(how: Annotations) -> Self {
        Self { how, base: 0, inside: Inside::Elsewhere }
    }

    /// The place below `key` of a map at `depth`.
    pub(super) fn below(self, key: &str, depth: usize) -> Self {
        let at = |inside| Self { inside, ..self };
        match (key, self.inside) {
            ("items", _) if depth == 0 => Self { base: 2, ..at(Inside::Elsewhere) },
            ("metadata", _) if depth == self.base => at(Inside::Metadata),
            ("annotations", Inside::Metadata) if depth == self.base + 1 => at(Inside::Annotations),
            _ => self,
        }
    }

    /// Whether this is read for a build, and not as plain YAML.
    pub(super) fn is_in_build(self) -> bool {
        self.how != Annotations::Typed
    }

    /// Whether the map at `depth` holds annotations that are text.
    pub(super) fn is_text(self, depth: usize) -> bool {
        self.how != Annotations::Typed && self.inside == Inside::Annotations && depth == self.base + 2
    }

    /// An annotation that was read, with what is written there if it is a scalar.
    pub(super) fn text(self, value: Value, written: Option<Text>) -> Value {
        match (value, written) {
            (Value::Null(_), _) if self.how == Annotations::TextOrNull => Value::NULL,
            (Value::String(text) | Value::Quoted(text), None) => text.into(),
            (_, Some(written)) => written.into(),
            // Lists and maps have no text.
            (_, None) => "".into(),
        }
    }
}
