//! How much one build may hold, counted where values are made.

use std::cell::Cell;

use crate::limits::{ADDED_NODES_MAX, BYTES_PER_NODE_MIN, NODES_BASE};

/// Counts nodes of everything that one build reads and adds.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    bytes: Cell<usize>,
    read: Cell<usize>,
    added: Cell<usize>,
}

impl Budget {
    /// A further text is read.
    pub(super) fn open(&self, text: &str) {
        self.bytes.set(self.bytes.get().saturating_add(text.len()));
    }

    /// Nodes were read.
    pub(super) fn read(&self, nodes: usize) -> Result<(), String> {
        let read = self.read.get().saturating_add(nodes);
        self.read.set(read);
        if read > NODES_BASE + self.bytes.get() / BYTES_PER_NODE_MIN {
            return Err(format!(
                "what was read so far has more than {NODES_BASE} nodes and more than one for {BYTES_PER_NODE_MIN} bytes"
            ));
        }
        Ok(())
    }

    /// Nodes are about to be added to the objects.
    pub(crate) fn add(&self, nodes: usize) -> Result<(), String> {
        let added = self.added.get().saturating_add(nodes);
        self.added.set(added);
        if added > ADDED_NODES_MAX {
            return Err(format!("labels, annotations and patches add more than {ADDED_NODES_MAX} nodes"));
        }
        Ok(())
    }
}
