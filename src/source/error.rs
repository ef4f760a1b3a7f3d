//! What can go wrong with git, and where.

use crate::core::ids::CommitId;
use crate::core::text::OneLine;

/// Why git could not be read or written. Fits "failed to look at the repo: ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The location is of a kind that is not supported yet.
    #[error("`{location}`: only local repositories can be watched so far, https and ssh are to come; give a path")]
    Unsupported {
        /// The location, without credentials.
        location: String,
    },
    /// The repository could not be opened.
    #[error("`{location}` cannot be opened as a git repository: {words}")]
    Open {
        /// The location.
        location: String,
        /// What git said.
        words: OneLine,
    },
    /// A commit there would move the branch under a work tree's files.
    #[error(
        "the branch `{branch}` is checked out in `{work_tree}`, and a commit of turquoise would leave its files behind; \
         run `git -C {work_tree} switch --detach`, or `git clone --bare {work_tree} {work_tree}.git` and watch that"
    )]
    CheckedOut {
        /// The branch.
        branch: String,
        /// The folder where it is checked out.
        work_tree: String,
    },
    /// The repository has no such branch.
    #[error("`{location}` has no branch `{branch}`{others}")]
    NoBranch {
        /// The location.
        location: String,
        /// The branch.
        branch: String,
        /// Which branches it has, in words; empty where it has none.
        others: String,
    },
    /// A person's files would be overwritten.
    #[error("`{path}` has changes that are not committed; commit or stash them first")]
    Uncommitted {
        /// The file.
        path: OneLine,
    },
    /// Somebody holds the branch's lock file: another git just now, or one that was killed.
    #[error(
        "the branch `{branch}` is locked; if it stays so and no git is at work there, delete `{reference}.lock` in the repository"
    )]
    Locked {
        /// The branch.
        branch: String,
        /// Its reference.
        reference: String,
    },
    /// A git operation failed.
    #[error("{what}: {words}")]
    Git {
        /// What was tried.
        what: &'static str,
        /// What git said.
        words: OneLine,
    },
    /// An overlay could not be rendered.
    #[error("the overlays at {} cannot be rendered: {words}", commit.short())]
    Render {
        /// At which commit.
        commit: CommitId,
        /// The first problem.
        words: OneLine,
    },
    /// The selector could not be edited, or the edit changed more than the selector: `selector_not_editable`.
    #[error("the selector cannot be edited: {why}")]
    NotEditable {
        /// Where, and why.
        why: OneLine,
    },
}

/// Turns a git error into ours, naming what was tried.
pub(super) fn git(what: &'static str) -> impl Fn(git2::Error) -> SourceError {
    move |error| SourceError::Git { what, words: OneLine::new(error.message()) }
}
