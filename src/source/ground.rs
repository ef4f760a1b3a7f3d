//! One app on one branch of one repo: what every walk through its history stands on.

use std::sync::Arc;

use git2::{Commit, Oid, Repository};

use super::error::{SourceError, git};
use super::reads::{Probe, Reads};
use super::renders::{Pair, Renders, join};
use super::tree;
use crate::core::desired::Declared;
use crate::core::ids::{AppName, CommitId};
use crate::core::lock::{LOCK_FILE, Lock};
use crate::core::policy::Policy;

/// A lock is a page; a larger file is none.
const LOCK_BYTES_MAX: u64 = 256 * 1024;

/// Commits that are walked one by one for an ancestor before libgit2 is asked: each is a lookup in a cache, some hundreds are
/// as dear as that search.
const LINE_STEPS_MAX: usize = 300;

/// See the module.
pub(super) struct Ground<'a> {
    pub(super) repo: &'a Repository,
    pub(super) renders: &'a mut Renders,
    pub(super) folder: &'a str,
    pub(super) name: &'a AppName,
    pub(super) branch: &'a str,
    /// HEAD's policy: its words hold where history's own cannot be read.
    pub(super) policy: &'a Arc<Policy>,
}

impl Ground<'_> {
    /// P at a commit.
    pub(super) fn pair(&mut self, commit: &Commit<'_>) -> Result<Pair, SourceError> {
        self.renders.pair(self.repo, commit.tree_id(), self.folder, self.policy)
    }

    /// The colour that the selector names at a commit; `None` where the live overlay cannot be rendered.
    pub(super) fn declared(&mut self, commit: &Commit<'_>) -> Result<(Option<Declared>, Reads), SourceError> {
        self.renders.declared(self.repo, commit.tree_id(), self.folder, self.policy)
    }

    /// Whether two commits have the same at every noted path.
    pub(super) fn same(&self, reads: &Reads, a: &Commit<'_>, b: &Commit<'_>) -> Result<bool, SourceError> {
        if a.tree_id() == b.tree_id() {
            return Ok(true);
        }
        let (a, b) = (a.tree().map_err(read)?, b.tree().map_err(read)?);
        reads.same_in(self.repo, &a, &b).map_err(read)
    }

    /// What stands at one of the app's own files.
    pub(super) fn probe(&self, commit: &Commit<'_>, file: &str) -> Result<Probe, SourceError> {
        let tree = commit.tree().map_err(read)?;
        tree::probe(&tree, &join(self.folder, file)).map_err(read)
    }

    /// The lock's text; `None` where there is none that can be read.
    pub(super) fn lock_text(&self, commit: &Commit<'_>) -> Result<Option<String>, SourceError> {
        let Probe::File(id) = self.probe(commit, LOCK_FILE)? else { return Ok(None) };
        let bytes = tree::read_blob(self.repo, id, LOCK_BYTES_MAX).ok();
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// The lock. One that is missing, unreadable or for another branch says nothing about this one (rule 13).
    pub(super) fn lock(&self, commit: &Commit<'_>) -> Result<Lock, SourceError> {
        let Probe::File(id) = self.probe(commit, LOCK_FILE)? else { return Ok(Lock::default()) };
        let read = || Ok(self.lock_text(commit)?.and_then(|text| Lock::parse(&text).ok()).unwrap_or_default());
        let lock = self.renders.lock(id, read)?;
        Ok(if lock.branch == self.branch { lock } else { Lock::default() })
    }
}

fn read(error: git2::Error) -> SourceError {
    git("a commit cannot be read")(error)
}

/// A commit by its id; `None` where the repo does not have it.
pub(super) fn find<'r>(repo: &'r Repository, id: &CommitId) -> Option<Commit<'r>> {
    repo.find_commit(Oid::from_str(id.as_str()).ok()?).ok()
}

/// A commit that must be there.
pub(super) fn commit<'r>(repo: &'r Repository, id: &CommitId) -> Result<Commit<'r>, SourceError> {
    let id = Oid::from_str(id.as_str()).map_err(git("no commit's id"))?;
    repo.find_commit(id).map_err(git("a commit cannot be found"))
}

/// The id as the core knows it.
pub(super) fn id_of(id: Oid) -> CommitId {
    CommitId::new(id.to_string())
}

/// The same of a commit by its id; false where the repo does not have it.
pub(super) fn is_known_ancestor(repo: &Repository, commit: &CommitId, of: Oid) -> Result<bool, SourceError> {
    match Oid::from_str(commit.as_str()) {
        Ok(commit) => is_in_history(repo, commit, of),
        Err(_no_id) => Ok(false),
    }
}

/// Whether a commit is `of` or an ancestor of it.
pub(super) fn is_in_history(repo: &Repository, commit: Oid, of: Oid) -> Result<bool, SourceError> {
    if commit == of {
        return Ok(true);
    }
    if repo.find_commit(commit).is_err() {
        return Ok(false);
    }
    // Mostly it is a few commits back by first parents. These are in the handle's cache, libgit2's own search reads them anew.
    let mut at = repo.find_commit(of).map_err(read)?;
    let mut is_line = at.parent_count() <= 1;
    for _step in 0..LINE_STEPS_MAX {
        let Ok(parent) = at.parent(0) else {
            // Without a merge nothing else is in the history.
            if is_line && at.parent_count() == 0 {
                return Ok(false);
            }
            break;
        };
        if parent.id() == commit {
            return Ok(true);
        }
        is_line &= parent.parent_count() <= 1;
        at = parent;
    }
    repo.graph_descendant_of(of, commit).map_err(git("history cannot be walked"))
}
