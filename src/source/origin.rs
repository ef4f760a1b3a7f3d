//! The port to where a branch lives. Reading objects, rendering, walking and making commits are the same for every
//! repo; only these few questions are answered by a folder or by a server.

use std::path::PathBuf;

use git2::{Oid, Repository};

use super::error::SourceError;

/// Where a watched branch lives.
///
/// # Guarantees
/// - What [`Origin::head`] says can be read from the repository that it is given: all objects are there.
/// - [`Origin::publish`] moves the branch from the one commit to the other or leaves it alone; it never forces.
pub(super) trait Origin: Send + Sync {
    /// Asks where the branch is, and brings its objects here. Cheap where nothing has to travel. Says whether the
    /// repository's files were put together anew, so that it should be opened again.
    fn sync(&self) -> Result<bool, SourceError>;

    /// Where the branch was when it was last asked; asks if it never was, or if that is in doubt.
    fn head(&self, git: &Repository) -> Result<Option<Oid>, SourceError>;

    /// Where the branch was when it was last asked, also where that is in doubt since; `None` where nobody says.
    fn last_known(&self) -> Option<Oid> {
        None
    }

    /// Whether what [`Origin::head`] says was asked for just now.
    fn is_fresh(&self) -> bool;

    /// Whether this process may move the branch at all.
    fn may_publish(&self, git: &Repository) -> Result<(), SourceError>;

    /// Moves the branch from one commit to its child, which is in the repository that is given.
    fn publish(&self, git: &Repository, from: Oid, to: Oid, subject: &str) -> Result<Published, SourceError>;

    /// Brings a commit here that is on no branch any more, where its id alone says what it is. Says whether it is here.
    fn bring(&self, _commit: Oid) -> bool {
        false
    }

    /// Whether it is a folder on this machine.
    fn is_here(&self) -> bool {
        false
    }

    /// A folder that changes when the branch moves.
    fn watch_path(&self, git: &Repository) -> Option<PathBuf>;
}

/// How the move of a branch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    /// The branch holds the commit.
    Made,
    /// Somebody else was faster.
    Stale,
}
