//! What can go wrong with git, and where.

use super::remote::Trouble;
use crate::core::ids::CommitId;
use crate::core::text::OneLine;

/// Why git could not be read or written. Fits "failed to look at the repo: ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The location cannot be understood, or should not be used as it is.
    #[error("`{location}` is no repository to watch: {why}")]
    Location {
        /// The location, without credentials.
        location: String,
        /// Why, and what to do.
        why: String,
    },
    /// The settings for reaching a server do not fit, or a file that they name cannot be read.
    #[error("the access to git is not set up: {why}")]
    Access {
        /// What is wrong; never a secret.
        why: String,
    },
    /// The folder for the copy of a repository on a server cannot be used.
    #[error(
        "a copy of the repository cannot be kept in `{folder}`: {words}; name a folder that can be written with \
         `--cache`"
    )]
    Cache {
        /// The folder.
        folder: String,
        /// What the system said.
        words: OneLine,
    },
    /// The server could not be asked.
    #[error("`{location}`: {trouble}")]
    Server {
        /// The repository, without credentials.
        location: String,
        /// What it was.
        trouble: Trouble,
    },
    /// The server took the push and said no.
    #[error(
        "the push to `{branch}` of `{location}` was declined: {words}; whoever turquoise pushes as needs the right to \
         push to this branch (docs/protected-branches.md)"
    )]
    Declined {
        /// The repository, without credentials.
        location: String,
        /// The branch.
        branch: String,
        /// What the server and its hook said.
        words: OneLine,
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
    #[error("`{location}` has no branch `{branch}`")]
    NoBranch {
        /// The location.
        location: String,
        /// The branch.
        branch: String,
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
