//! What a flip leaves on the live Services.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::colour::Colour;
use super::ids::CommitId;
use super::text::OneLine;

/// What must survive a restart after a flip: written on the live Service by the flip's own patch (rule 10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlipRecord {
    /// When.
    pub at: Timestamp,
    /// The revision that went live.
    pub revision: CommitId,
    /// The colour that was live before.
    pub from: Colour,
    /// HEAD then, with the flip in its history: a history without it was rewritten since (rule 13).
    pub head: CommitId,
    /// Whether the watch is over, and how it ended.
    pub watch: WatchState,
    /// Set where traffic went back before git could be told: what is to be committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<Owed>,
}

/// A flip-back that git does not know of yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// The revision that failed under traffic.
    pub rejected: CommitId,
    /// What failed.
    pub reason: OneLine,
}

/// How far the watch of a flip is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchState {
    /// Still watching.
    Open,
    /// The window passed without a failure.
    Passed,
    /// A check failed and there was nothing to go back to.
    Failed,
}
