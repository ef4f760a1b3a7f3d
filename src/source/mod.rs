//! Git: what the watched branch says, and turquoise's commits to it.
//!
//! All of it blocks; async callers use `spawn_blocking`. A [`Repo`] is shared: any number of threads read it side by
//! side, each through a handle of its own; two looks at one app wait for each other, and so do two commits. A repo is a
//! local path, or a bare copy of one on a server. Only where the branch is and how it is moved differ (`origin`),
//! everything else reads objects.
//!
//! - `address`, `access`: what a location names, and how a server is reached;
//! - `local`, `remote`: a branch in a folder, and one behind https or ssh, asked and pushed to by a child process;
//! - `handles`, `desk`: who reads with what;
//! - `branch`, `standing`: where the branch is, and whether commits concern an app;
//! - `looks`: what is read of an app at a HEAD;
//! - `tree`, `reads`: a commit as a file tree, and what a render looked at;
//! - `shelf`, `renders`: renders, kept by what they read, so that commits which do not touch an app cost a few lookups;
//! - `walk`, `verdicts`, `history`: R, the selector's last change, the log;
//! - `person`: commits in a person's own name;
//! - `commit`: byte-exact edits, one commit, compare-and-swap.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use git2::{Oid, Repository};

use crate::core::colour::Colour;
use crate::core::ids::CommitId;
use crate::core::url::without_credentials;

mod access;
mod address;
mod apps;
mod branch;
mod chronicle;
mod commit;
mod desk;
mod error;
mod ground;
mod handles;
mod history;
mod kustomize;
mod local;
mod location;
mod looks;
mod origin;
mod person;
mod reach;
mod reads;
mod remote;
mod renders;
mod sayings;
mod shelf;
mod standing;
mod tree;
mod verdicts;
mod walk;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use crate::core::access::GitAccess;
pub use apps::App;
pub use commit::Committed;
pub use error::SourceError;
pub use history::{CommitNote, HistoryEntry};
pub use person::{Errand, FileChange, NothingToDo};
pub(crate) use remote::CHILD_COMMAND;
pub use remote::Trouble;
pub(crate) use remote::child::main as child_main;

use address::Place;
use apps::Apps;
use chronicle::Chronicle;
use desk::{Desk, Papers};
use handles::Handles;
use local::Local;
use origin::Origin;
use reach::Reach;
use remote::Remote;

/// A watched branch of a repo.
pub struct Repo {
    location: String,
    branch: String,
    origin: Arc<dyn Origin>,
    cluster: Option<String>,
    handles: Handles,
    reach: Reach,
    /// Held by whoever moves the branch: commits of one repo are made one after another.
    moving: Mutex<()>,
    discovery: Mutex<Discovery>,
    chronicle: Mutex<Chronicle>,
    /// What is known of each app, by folder.
    desks: Mutex<HashMap<String, Arc<Desk>>>,
}

/// The apps at the HEAD they were last asked for: found once, for everybody who looks at that HEAD.
#[derive(Default)]
struct Discovery {
    apps: Apps,
    known: Option<(Oid, Arc<Vec<Arc<App>>>)>,
}

/// What the cluster says that git is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// What the colours carry.
    pub carried: Vec<Carried>,
    /// HEAD when traffic was switched last.
    pub flipped_under: Option<CommitId>,
    /// The revision that it was switched to.
    pub flipped_to: Option<CommitId>,
}

/// What the cluster says that a colour carries: from the annotations of its workloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The revision.
    pub revision: CommitId,
    /// HEAD when it was deployed.
    pub deployed_at: CommitId,
}

/// A part of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// A colour's overlay.
    Colour(Colour),
    /// The live overlay.
    Live,
}

/// Whether a location can be understood as a repository's. Nobody is asked.
///
/// # Errors
/// [`SourceError::Location`], without a secret in its words.
pub fn check_location(location: &str) -> Result<(), SourceError> {
    address::parse(location).map(drop)
}

impl Repo {
    /// Opens a repo to watch one of its branches.
    ///
    /// # Errors
    /// A location that cannot be understood, settings that do not fit it, no repository there, or the branch is checked
    /// out in a work tree. A server is not asked yet.
    pub fn open(location: &str, branch: &str, access: &GitAccess) -> Result<Self, SourceError> {
        let repo = Self::open_to_read(location, branch, access)?;
        repo.handles.with(|git| {
            repo.origin.may_publish(git)?;
            if repo.origin.is_here() { location::refuse_missing_branch(git, location, branch) } else { Ok(()) }
        })?;
        Ok(repo)
    }

    /// Opens a repo to read one of its branches, which may be checked out.
    ///
    /// # Errors
    /// A location that cannot be understood, settings that do not fit it, or no repository there.
    pub fn open_to_read(location: &str, branch: &str, access: &GitAccess) -> Result<Self, SourceError> {
        let shown = without_credentials(location);
        let (path, origin): (PathBuf, Arc<dyn Origin>) = match address::parse(location)? {
            Place::Path(path) => (path, Arc::new(Local::new(branch))),
            Place::Server(address) => {
                let remote = Remote::open(address, location, branch, access)?;
                (remote.copy(), Arc::new(remote))
            }
        };
        Ok(Self {
            branch: branch.to_owned(),
            origin,
            cluster: None,
            handles: Handles::open(path, &shown)?,
            location: shown,
            reach: Reach::default(),
            moving: Mutex::default(),
            discovery: Mutex::default(),
            chronicle: Mutex::default(),
            desks: Mutex::default(),
        })
    }

    /// Opens a repo on this machine, for a commit in a person's name.
    ///
    /// # Errors
    /// A repository on a server, or none there.
    pub fn open_here(location: &str, branch: &str) -> Result<Self, SourceError> {
        if matches!(address::parse(location)?, Place::Server(_)) {
            let why = "a commit in your name is made in your clone: give its path, and push".to_owned();
            return Err(SourceError::Location { location: without_credentials(location), why });
        }
        Self::open_to_read(location, branch, &GitAccess::default())
    }

    /// The same, with the cluster's name for the locks that it writes.
    #[must_use]
    pub fn for_cluster(self, cluster: Option<String>) -> Self {
        Self { cluster, ..self }
    }

    /// Where it is, without credentials.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The watched branch.
    #[must_use]
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// Closes what a repo at rest does not need.
    pub fn rest(&self) {
        self.handles.close_idle();
    }

    fn at_desk<T>(
        &self,
        app: &App,
        work: impl FnOnce(&Repository, &Desk, &mut Papers) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let desk = Arc::clone(held(&self.desks).entry(app.folder.clone()).or_default());
        let mut papers = held(&desk.papers);
        self.handles.with(|git| work(git, &desk, &mut papers))
    }
}

/// A thread that panicked with the lock left nothing half done: what is kept under locks is made again when it is missing.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
