//! What `git log` says about an app, for people: the commits that brought its revisions, and its newest verdicts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::colour::Colour;
use super::ids::CommitId;
use super::text::OneLine;
use super::verdict::Verdict;

/// An app's history as far as a page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Book {
    /// The newest commits that concern the app, newest first.
    pub history: Vec<HistoryLine>,
    /// The commits that were asked for by name, as far as they can be reached.
    pub notes: BTreeMap<CommitId, Note>,
}

/// One commit that concerns an app, as `/api/v1/apps/NAME/history` and the page give it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryLine {
    /// The commit.
    pub commit: CommitId,
    /// The first line of its message.
    pub subject: OneLine,
    /// Who wrote it.
    pub author: OneLine,
    /// When it was committed, by its own word.
    pub at: Timestamp,
    /// The colour that is live after it, where turquoise made it.
    pub live: Option<Colour>,
    /// What it says about revisions.
    pub facts: Vec<Fact>,
}

/// A verdict about a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// The revision.
    pub revision: CommitId,
    /// What was decided.
    pub verdict: Verdict,
}

/// A commit in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The first line of its message.
    pub subject: OneLine,
    /// Who wrote it.
    pub author: OneLine,
    /// When it was committed, by its own word.
    pub at: Timestamp,
    /// Whether it is a merge: `git revert` needs `-m 1` then.
    pub merge: bool,
}

impl Book {
    /// Turquoise's newest commit that says this about a revision.
    #[must_use]
    pub fn said(&self, revision: &CommitId, verdict: Verdict) -> Option<&HistoryLine> {
        let says =
            |line: &&HistoryLine| line.facts.iter().any(|fact| fact.revision == *revision && fact.verdict == verdict);
        self.history.iter().find(says)
    }
}
