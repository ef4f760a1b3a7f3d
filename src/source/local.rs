//! A branch of a repository on this machine: its reference is read, and moved by compare-and-swap.

use std::path::PathBuf;

use git2::{ErrorCode, Oid, Repository};

use super::error::{SourceError, git};
use super::ground::is_in_history;
use super::location;
use super::origin::{Origin, Published};

/// A branch of a local repository.
#[derive(Debug)]
pub(super) struct Local {
    branch: String,
    reference: String,
}

impl Local {
    pub(super) fn new(branch: &str) -> Self {
        Self { branch: branch.to_owned(), reference: format!("refs/heads/{branch}") }
    }
}

impl Origin for Local {
    fn sync(&self) -> Result<bool, SourceError> {
        Ok(false)
    }

    fn head(&self, git: &Repository) -> Result<Option<Oid>, SourceError> {
        head(git, &self.reference)
    }

    fn is_fresh(&self) -> bool {
        true
    }

    fn may_publish(&self, git: &Repository) -> Result<(), SourceError> {
        location::refuse_checked_out(git, &self.branch, &self.reference)
    }

    fn publish(&self, repo: &Repository, from: Oid, to: Oid, subject: &str) -> Result<Published, SourceError> {
        let moved = repo.reference_matching(&self.reference, to, true, from, subject);
        // The reference itself is asked what became of it: what the move said, and in which words, does not matter.
        let now = head(repo, &self.reference)?;
        match (moved, now) {
            (_, Some(now)) if now == to || is_in_history(repo, to, now)? => Ok(Published::Made),
            (Err(error), Some(now)) if now == from => Err(match error.code() == ErrorCode::Locked {
                true => SourceError::Locked { branch: self.branch.clone(), reference: self.reference.clone() },
                false => git("the branch cannot be moved")(error),
            }),
            (Ok(_) | Err(_), _) => Ok(Published::Stale),
        }
    }

    /// The folder with all below it: the branches' loose references. Whoever moves a branch writes one there; packing
    /// them changes no branch.
    fn watch_path(&self, git: &Repository) -> Option<PathBuf> {
        Some(git.commondir().join("refs").join("heads"))
    }
}

/// Where a branch stands; `None` where it is gone.
fn head(repo: &Repository, reference: &str) -> Result<Option<Oid>, SourceError> {
    match repo.find_reference(reference).and_then(|reference| reference.peel_to_commit()) {
        Ok(commit) => Ok(Some(commit.id())),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(git("the branch cannot be read")(error)),
    }
}
