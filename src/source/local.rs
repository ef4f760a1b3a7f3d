//! A branch of a repository on this machine: its reference is read, and moved by compare-and-swap.

use std::path::PathBuf;
use std::time::Duration;

use git2::{ErrorCode, Oid, Repository};

use super::error::{SourceError, git};
use super::ground::is_in_history;
use super::location;
use super::origin::{Origin, Published};

/// A reference is moved in less than a millisecond; a process that is stopped for this long in the middle of it is dead.
const DEAD_LOCK_AGE_MIN: Duration = Duration::from_secs(5);

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

    fn is_here(&self) -> bool {
        true
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
            (Err(error), Some(now)) if now == from && error.code() != ErrorCode::Locked => {
                Err(git("the branch cannot be moved")(error))
            }
            (Err(_), Some(now)) if now == from && !self.breaks_dead_lock(repo, from) => {
                Err(SourceError::Locked { branch: self.branch.clone(), reference: self.reference.clone() })
            }
            (Ok(_) | Err(_), _) => Ok(Published::Stale),
        }
    }

    /// The folder with all below it: the branches' loose references. Whoever moves a branch writes one there; packing
    /// them changes no branch.
    fn watch_path(&self, git: &Repository) -> Option<PathBuf> {
        Some(git.commondir().join("refs").join("heads"))
    }
}

impl Local {
    /// Takes away the lock that a killed turquoise left on the branch; nobody else would, and nothing could be released any
    /// more. It is one where it holds nothing, or a commit of turquoise's on top of the branch, and has for longer than any
    /// move of a reference takes. Says whether it is gone.
    fn breaks_dead_lock(&self, repo: &Repository, head: Oid) -> bool {
        let lock = repo.commondir().join(format!("{}.lock", self.reference));
        let age = || {
            // By the clock of the file system that wrote the lock.
            let now = tempfile::tempfile_in(repo.commondir())?.metadata()?.modified()?;
            let then = lock.metadata()?.modified()?;
            Ok::<_, std::io::Error>(now.duration_since(then).unwrap_or_default())
        };
        let is_ours = |text: &str| {
            let commit = Oid::from_str(text.trim()).and_then(|id| repo.find_commit(id));
            commit.is_ok_and(|commit| {
                let says = commit.message().is_ok_and(|message| message.contains("\nTurquoise-App: "));
                says && commit.parent_id(0).is_ok_and(|parent| parent == head)
            })
        };
        let is_dead = age().is_ok_and(|age| age >= DEAD_LOCK_AGE_MIN)
            && std::fs::read_to_string(&lock).is_ok_and(|text| text.is_empty() || is_ours(&text));
        is_dead && std::fs::remove_file(&lock).is_ok()
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

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    #[test]
    fn a_branch_that_somebody_moved_is_left_where_it_is() {
        let mut world = World::example();
        let seen = world.tip().expect("a tip").id();
        world.unrelated();
        let theirs = world.tip().expect("a tip").id();
        let ours = world.write(&[], "ours", Some(seen), &[]);
        let local = Local::new("main");
        let published = local.publish(&world.git, seen, ours, "ours").expect("an answer");
        assert_eq!(published, Published::Stale);
        assert_eq!(world.tip().expect("a tip").id(), theirs);
    }
}
