//! A branch on a server, over https or ssh: a bare copy here, brought up to date and pushed from by a child process
//! (docs/adr/0010).

mod cache;
pub(super) mod child;
mod process;
mod wire;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use git2::{Oid, Repository};

use super::address::{Address, Scheme};
use super::error::{SourceError, git};
use super::ground::is_in_history;
use super::origin::{Origin, Published};
use crate::core::access::GitAccess;
use crate::core::url::without_credentials;
use cache::Cache;
pub(crate) use process::CHILD_COMMAND;
use process::Program;
use wire::{Answer, Errand, Request};

pub use wire::Trouble;

/// How long a server may be silent where the operator says nothing: slow forges answer in seconds.
const TIMEOUT: Duration = Duration::from_secs(60);

/// For so long an answer about the branch counts as one of just now. The passes of a release follow each other within
/// that, so that they ask once.
const FRESH: Duration = Duration::from_secs(1);

/// Commits that are asked for by their ids, each once: two pins an app, in a repo of hundreds. Locks are people's to
/// write, so there is an end to it.
const MISSED_MAX: usize = 2_000;

/// A branch on a server.
#[derive(Debug)]
pub(super) struct Remote {
    address: Address,
    shown: String,
    branch: String,
    reference: String,
    access: GitAccess,
    cache: Cache,
    program: Program,
    /// Held while a child is at work: one errand a repo at a time, so that no older answer overtakes a newer one.
    turn: Mutex<()>,
    known: Mutex<Known>,
    /// Commits that were asked for by their ids.
    missed: Mutex<BTreeSet<Oid>>,
}

/// What is known of the branch.
#[derive(Debug, Default)]
struct Known {
    head: Option<Oid>,
    /// When that was asked for; `None`: never, or a push ended nobody knows how.
    asked: Option<Instant>,
    /// The copy's files were put together since that was last told.
    tidied: bool,
}

impl Remote {
    /// Makes the copy's folder. The server is not asked yet.
    pub(super) fn open(
        address: Address,
        location: &str,
        branch: &str,
        access: &GitAccess,
    ) -> Result<Self, SourceError> {
        access.check(&address)?;
        let reference = format!("refs/heads/{branch}");
        let cache = Cache::open(access.cache.as_deref(), &address, &reference)?;
        child::prepare(&cache.repo()).map_err(|error| copy_error(&cache, &error))?;
        let program = Program {
            path: access.program.clone(),
            home: cache.home(),
            ca: access.ca_file.as_deref().map(absolute).transpose()?,
            timeout: access.timeout.unwrap_or(TIMEOUT),
        };
        Ok(Self {
            shown: without_credentials(location),
            address,
            branch: branch.to_owned(),
            reference,
            access: access.clone(),
            cache,
            program,
            turn: Mutex::default(),
            known: Mutex::default(),
            missed: Mutex::default(),
        })
    }

    /// The copy's folder.
    pub(super) fn copy(&self) -> PathBuf {
        self.cache.repo()
    }

    fn run(&self, errand: Errand) -> Result<Answer, SourceError> {
        let known_hosts = self.access.known_hosts_file.clone().or_else(|| {
            let home = std::env::var_os("HOME").map(PathBuf::from)?;
            Some(home.join(".ssh/known_hosts"))
        });
        let request = Request {
            cache: self.cache.repo(),
            url: self.address.url.clone(),
            host: self.address.host.clone(),
            port: self.address.port,
            known_hosts: known_hosts
                .filter(|_| self.address.scheme == Scheme::Ssh)
                .as_deref()
                .map(absolute)
                .transpose()?,
            reference: self.reference.clone(),
            credentials: self.access.read(&self.address)?,
            errand,
        };
        self.program.run(&request).map_err(|trouble| self.trouble(trouble))
    }

    fn trouble(&self, trouble: Trouble) -> SourceError {
        SourceError::Server { location: self.shown.clone(), trouble }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the server; the turn must be held.
    fn ask(&self) -> Result<Option<Oid>, SourceError> {
        let Answer::Synced { head, tidied } = self.run(Errand::Sync)? else { return Err(self.odd_answer()) };
        let head = head.map(|id| Oid::from_str(&id)).transpose().map_err(git("no commit's id"))?;
        let mut known = self.known();
        *known = Known { head, asked: Some(Instant::now()), tidied: known.tidied || tidied };
        Ok(head)
    }

    fn odd_answer(&self) -> SourceError {
        self.trouble(Trouble::Child { words: crate::core::text::OneLine::new("it answered something else") })
    }
}

impl Origin for Remote {
    fn sync(&self) -> Result<bool, SourceError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.ask()?;
        Ok(std::mem::take(&mut self.known().tidied))
    }

    fn head(&self, _git: &Repository) -> Result<Option<Oid>, SourceError> {
        let sure = |known: &Known| known.asked.map(|_| known.head);
        if let Some(head) = sure(&self.known()) {
            return Ok(head);
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever had the turn before may have asked.
        if let Some(head) = sure(&self.known()) {
            return Ok(head);
        }
        self.ask()
    }

    fn last_known(&self) -> Option<Oid> {
        self.known().head
    }

    fn is_fresh(&self) -> bool {
        self.known().asked.is_some_and(|asked| asked.elapsed() < FRESH)
    }

    fn may_publish(&self, _git: &Repository) -> Result<(), SourceError> {
        Ok(())
    }

    /// # Expected flow
    /// The child compares where the server says the branch is with `from` before anything is sent, and the server
    /// compares again when it moves the branch. Whatever else than "taken" comes back, the server is asked where the
    /// branch is now, and that decides: an answer that was lost is found there, and a refusal is one only if the branch
    /// still stands where it stood.
    fn publish(&self, git: &Repository, from: Oid, to: Oid, _subject: &str) -> Result<Published, SourceError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.known().asked = None;
        let pushed = self.run(Errand::Push { from: from.to_string(), to: to.to_string() });
        let refusal = match pushed {
            Ok(Answer::Pushed) => {
                let mut known = self.known();
                (known.head, known.asked) = (Some(to), Some(Instant::now()));
                return Ok(Published::Made);
            }
            Ok(Answer::Moved) => None,
            Ok(Answer::Declined { words }) => {
                Some(SourceError::Declined { location: self.shown.clone(), branch: self.branch.clone(), words })
            }
            Ok(Answer::Synced { .. } | Answer::Brought | Answer::Going { .. } | Answer::Failed(_)) => {
                Some(self.odd_answer())
            }
            Err(error) => Some(error),
        };
        let now = match (self.ask(), &refusal) {
            (Ok(now), _) => now,
            // What the push ran into says more than that the server cannot be asked either.
            (Err(_), Some(refusal)) => return Err(refusal.clone()),
            (Err(error), None) => return Err(error),
        };
        match (now, refusal) {
            (Some(now), _) if now == to || is_in_history(git, to, now)? => Ok(Published::Made),
            (Some(now), Some(refusal)) if now == from => Err(refusal),
            (Some(_) | None, _) => Ok(Published::Stale),
        }
    }

    /// A server may refuse, and the commit may be gone there too: each is asked for once in the life of this process.
    fn bring(&self, commit: Oid) -> bool {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if missed.len() >= MISSED_MAX || !missed.insert(commit) {
            return false;
        }
        matches!(self.run(Errand::Bring { commit: commit.to_string() }), Ok(Answer::Brought))
    }

    fn watch_path(&self, _git: &Repository) -> Option<PathBuf> {
        None
    }
}

fn copy_error(cache: &Cache, error: &git2::Error) -> SourceError {
    let words = crate::core::text::OneLine::new(error.message());
    SourceError::Cache { folder: cache.repo().display().to_string(), words }
}

/// The child works in another folder.
fn absolute(path: &Path) -> Result<PathBuf, SourceError> {
    std::path::absolute(path)
        .map_err(|error| SourceError::Access { why: format!("`{}` cannot be found: {error}", path.display()) })
}
