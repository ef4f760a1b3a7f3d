//! What passes between the daemon and its child: one JSON document in, one line of JSON out for each answer.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::core::text::OneLine;
use crate::source::access::Credentials;

/// A request holds a key at most, and must fit into a pipe's buffer (64 KiB on Linux), so that writing it never waits
/// for a child that does not read.
pub(super) const REQUEST_BYTES_MAX: usize = 60 * 1024;

/// An answer is a few ids and a line of words.
pub(super) const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// One errand of the child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// The bare repository that serves as the copy.
    pub(super) cache: PathBuf,
    /// Where to; without secrets.
    pub(super) url: String,
    /// The only host that may be spoken to.
    pub(super) host: String,
    /// Its port, as known_hosts names it.
    pub(super) port: u16,
    /// The trusted ssh hosts.
    pub(super) known_hosts: Option<PathBuf>,
    /// The full name of the branch's reference.
    pub(super) reference: String,
    pub(super) credentials: Credentials,
    pub(super) errand: Errand,
}

/// What to do there.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Errand {
    /// Ask where the branch is, and fetch what is missing.
    Sync,
    /// Fetch a commit that no branch holds, by its id.
    Bring { commit: String },
    /// Move the branch from one commit to another.
    Push { from: String, to: String },
}

/// What the child says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Answer {
    /// Not done yet; how much was done, in no particular unit that is larger with each step.
    Going { done: u64 },
    /// Where the branch is, all objects being here. `tidied`: the copy's files were put together anew.
    Synced { head: Option<String>, tidied: bool },
    /// The commit is here.
    Brought,
    /// The server took the commit.
    Pushed,
    /// The branch is not where the commit was made for.
    Moved,
    /// The server, or a hook of its, said no.
    Declined { words: OneLine },
    /// It could not be done.
    Failed(Trouble),
}

/// Why a server could not be asked. Fits "`URL`: ...".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "trouble", rename_all = "snake_case")]
pub enum Trouble {
    /// No connection, or it broke, or what came over it was no git.
    #[error("the connection to the server failed: {words}")]
    Unreachable {
        /// What the system said.
        words: OneLine,
    },
    /// The server was silent, or all but silent, for too long.
    #[error("the server did not answer in {seconds} s")]
    TooSlow {
        /// How long it was waited for.
        seconds: u64,
    },
    /// Wrong credentials, or none.
    #[error(
        "the server wants other credentials ({words}); check the file and the user that `--git-token-file`, \
         `--git-password-file` or `--git-ssh-key` and `--git-username` name"
    )]
    Unauthorised {
        /// What it said.
        words: OneLine,
    },
    /// The TLS certificate is not trusted.
    #[error(
        "the server's certificate is not trusted ({words}); if a private CA signed it, name that CA's certificate with \
         `--git-ca`"
    )]
    Certificate {
        /// What TLS said.
        words: OneLine,
    },
    /// The ssh host is not in known_hosts.
    #[error(
        "the ssh key of `{host}` is not in {file}: its fingerprint is {fingerprint}; if whoever runs the server says the \
         same, add this line to the file (`--git-known-hosts`): {line}"
    )]
    HostUnknown {
        /// The host as known_hosts names it.
        host: String,
        /// The file that was looked into.
        file: String,
        /// SHA-256 of the key, as `ssh-keygen -l` shows it.
        fingerprint: String,
        /// What to add.
        line: String,
    },
    /// The ssh host shows another key than known_hosts has for it.
    #[error(
        "`{host}` shows an ssh key that is not the one in {file}: its fingerprint is {fingerprint}. Somebody may stand \
         in between, or the server has new keys: ask whoever runs it before you change the file"
    )]
    HostChanged {
        /// The host as known_hosts names it.
        host: String,
        /// The file that was looked into.
        file: String,
        /// SHA-256 of the key that was shown.
        fingerprint: String,
    },
    /// The server answered something else than a git server does.
    #[error("the server does not answer as a git server should: {words}")]
    Server {
        /// What it said, or what was wrong with it.
        words: OneLine,
    },
    /// A limit of the child was reached.
    #[error("a limit was reached: {words}")]
    Limit {
        /// Which.
        words: OneLine,
    },
    /// Nothing can be written into the copy: the disk is full, or cannot be written.
    #[error("nothing can be written: {words}; make room in {folder}, or name another folder with `--cache`")]
    Disk {
        /// Its folder.
        folder: String,
        /// What the system said.
        words: OneLine,
    },
    /// The copy cannot be used.
    #[error("the copy in {folder} cannot be used: {words}; name another folder with `--cache`, or delete it")]
    Copy {
        /// Its folder.
        folder: String,
        /// What the system said.
        words: OneLine,
    },
    /// The child could not be started, or ended without an answer.
    #[error("the process that speaks to the server failed: {words}")]
    Child {
        /// How it ended.
        words: OneLine,
    },
}
