//! Lists and maps while they are read.

use std::collections::HashSet;

use crate::value::{Text, Value, push_tight};

/// Lists up to this length are gathered in room that is used again, and then copied into just as much as they need.
const GATHERED_MAX: usize = 64;

pub(super) fn push_read<T>(list: &mut Vec<T>, item: T) {
    if list.len() < GATHERED_MAX {
        list.push(item);
    } else {
        push_tight(list, item);
    }
}

/// A finished list, in no more room than it needs.
pub(super) fn settle<T>(mut list: Vec<T>, pool: &mut Vec<Vec<T>>) -> Vec<T> {
    if list.len() > GATHERED_MAX {
        return list;
    }
    let mut settled = Vec::with_capacity(list.len());
    settled.append(&mut list);
    pool.push(list);
    settled
}

/// A map while it is read.
pub(super) struct MapBuilder {
    entries: Vec<(Text, Value)>,
    /// The keys, once there are many.
    keys: HashSet<Text>,
}

impl MapBuilder {
    /// So many keys are compared one by one.
    const FEW: usize = 24;

    /// `entries` is room to use.
    pub(super) fn new(entries: Vec<(Text, Value)>) -> Self {
        Self { entries, keys: HashSet::new() }
    }

    pub(super) fn into_entries(self) -> Vec<(Text, Value)> {
        self.entries
    }

    pub(super) fn contains_key(&self, key: &str) -> bool {
        if self.keys.is_empty() { self.entries.iter().any(|(known, _)| known == key) } else { self.keys.contains(key) }
    }

    pub(super) fn push(&mut self, key: Text, value: Value) {
        if self.entries.len() == Self::FEW {
            self.keys = self.entries.iter().map(|(key, _)| key.clone()).collect();
        }
        if !self.keys.is_empty() {
            self.keys.insert(key.clone());
        }
        push_read(&mut self.entries, (key, value));
    }
}
