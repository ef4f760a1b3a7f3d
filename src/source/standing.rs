//! Whether commits concern an app: those that do not are neither a reason to look again nor to throw a decision away.

use std::sync::Arc;

use git2::{Commit, Oid, Repository};

use super::apps::App;
use super::error::{SourceError, git};
use super::reads::{Probe, Reads};
use super::renders::join;
use crate::core::ids::AppName;
use crate::core::lock::LOCK_FILE;
use crate::core::policy::POLICY_FILE;

/// Commits between two looks that are asked one by one; beyond that a new look is cheaper.
const STEPS_MAX: usize = 2_000;

/// What an app's newest look stood on.
#[derive(Debug, Clone)]
pub(super) struct Footing {
    pub(super) app: App,
    pub(super) head: Oid,
    /// Everything of HEAD that the look read.
    pub(super) reads: Arc<Reads>,
}

impl Footing {
    /// What a look at a HEAD stands on, with what was read for the app's shape.
    pub(super) fn new(app: &App, head: Oid, shape_reads: &Reads) -> Self {
        let mut reads = shape_reads.clone();
        for file in [POLICY_FILE, LOCK_FILE] {
            // What stands there is compared between commits: only the path counts.
            reads.note(&join(&app.folder, file), Probe::Absent);
        }
        Self { app: app.clone(), head, reads: reads.shared() }
    }
}

/// Whether a look at `now` finds the same as one at `then` that read `reads`.
///
/// # Guarantees
/// `true` only where every commit between the two has one parent, differs from it in nothing that was read, and does
/// not speak of the app in a trailer. Then P, the lock, the selector and its last change, the revision and the verdicts
/// are those of `then`: a decision made there is the decision at `now`, and a look at `now` would find nothing new.
/// Merges, rewritten branches and long distances are answered with `false`: that only costs a look.
pub(super) fn holds(
    repo: &Repository,
    reads: &Reads,
    name: &AppName,
    then: Oid,
    now: Oid,
) -> Result<bool, SourceError> {
    let mut at = now;
    for _step in 0..STEPS_MAX {
        if at == then {
            return Ok(true);
        }
        let commit = repo.find_commit(at).map_err(read)?;
        if commit.parent_count() != 1 || speaks_of(&commit, name) {
            return Ok(false);
        }
        let parent = commit.parent(0).map_err(read)?;
        if parent.tree_id() != commit.tree_id() {
            let (before, after) = (parent.tree().map_err(read)?, commit.tree().map_err(read)?);
            if !reads.same_in(repo, &before, &after).map_err(read)? {
                return Ok(false);
            }
        }
        at = parent.id();
    }
    Ok(false)
}

/// Whether a commit's message names the app in a line that may be a trailer.
fn speaks_of(commit: &Commit<'_>, name: &AppName) -> bool {
    const APP: &[u8] = b"Turquoise-App:";
    let named = |line: &[u8]| line.strip_prefix(APP).is_some_and(|rest| rest.trim_ascii() == name.as_str().as_bytes());
    commit.message_bytes().split(|byte| *byte == b'\n').any(named)
}

fn read(error: git2::Error) -> SourceError {
    git("a commit cannot be read")(error)
}
