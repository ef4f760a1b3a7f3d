//! The log of changes that watches read.

use std::collections::{HashMap, VecDeque};

use super::{Change, Key, Kind};

/// Changes kept for watches that come back: a client that was away for longer lists again (410 Gone). Each change holds one
/// state of an object, some fifteen kilobytes of a Deployment, so this stays below sixty megabytes in the worst case.
pub(super) const LOG_CHANGES_MAX: usize = 4_000;

/// The newest changes, oldest first, and which of them are about what: a watch of one namespace's pods must not read about
/// everything else.
#[derive(Default)]
pub(super) struct Log {
    changes: VecDeque<Change>,
    /// Changes up to this version are forgotten.
    forgotten: u64,
    /// The same of a kind, in one namespace or in all. Of what never changes nothing is forgotten.
    about: HashMap<About, Part>,
    compacted: u64,
}

/// A kind, in one namespace or in all.
pub(super) type About = (Kind, Option<String>);

#[derive(Default)]
struct Part {
    versions: VecDeque<u64>,
    forgotten: u64,
}

impl Log {
    /// Adds a change, whose version is the newest.
    pub(super) fn push(&mut self, change: Change) {
        if self.changes.len() == LOG_CHANGES_MAX
            && let Some(oldest) = self.changes.pop_front()
        {
            self.forgotten = oldest.version;
            for about in abouts(&oldest.key) {
                let part = self.about.entry(about).or_default();
                part.versions.pop_front();
                part.forgotten = oldest.version;
            }
        }
        for about in abouts(&change.key) {
            self.about.entry(about).or_default().versions.push_back(change.version);
        }
        self.changes.push_back(change);
    }

    /// Forgets everything up to a version, the newest.
    pub(super) fn compact(&mut self, version: u64) {
        *self = Log { forgotten: version, compacted: version, ..Log::default() };
    }

    /// All changes after a version, or `None` when some of them are forgotten.
    pub(super) fn after(&self, version: u64) -> Option<impl Iterator<Item = &Change>> {
        if version < self.forgotten {
            return None;
        }
        Some(self.changes.range(self.place(version + 1)..))
    }

    /// The changes about something after a version, or `None` when some of them are forgotten.
    pub(super) fn after_about(&self, about: &About, version: u64) -> Option<Vec<Change>> {
        let part = self.about.get(about);
        if version < self.compacted.max(part.map_or(0, |part| part.forgotten)) {
            return None;
        }
        let Some(part) = part else { return Some(Vec::new()) };
        let start = part.versions.partition_point(|change| *change <= version);
        let changes = part.versions.range(start..).filter_map(|version| self.changes.get(self.place(*version)));
        Some(changes.cloned().collect())
    }

    fn place(&self, version: u64) -> usize {
        self.changes.partition_point(|change| change.version < version)
    }
}

fn abouts(key: &Key) -> [About; 2] {
    [(key.kind, None), (key.kind, Some(key.namespace.clone()))]
}
