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
//! - `standing`: whether commits concern an app;
//! - `tree`, `reads`: a commit as a file tree, and what a render looked at;
//! - `shelf`, `renders`: renders, kept by what they read, so that commits which do not touch an app cost a few lookups;
//! - `walk`, `verdicts`, `history`: R, the selector's last change, the log;
//! - `person`: commits in a person's own name;
//! - `commit`: byte-exact edits, one commit, compare-and-swap.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use git2::{Oid, Repository};
use jiff::Timestamp;

use crate::core::colour::Colour;
use crate::core::desired::Desired;
use crate::core::ids::{AppName, CommitId};
use crate::core::news;
use crate::core::policy::OnGitDown;
use crate::core::report::Blocked;
use crate::core::shape::Shape;
use crate::core::text::OneLine;

mod access;
mod address;
mod apps;
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
pub use commit::{Committed, Identity};
pub use error::SourceError;
pub use history::{CommitNote, HistoryEntry};
pub use person::{Errand, FileChange, NothingToDo};
pub(crate) use remote::CHILD_COMMAND;
pub use remote::Trouble;
pub(crate) use remote::child::main as child_main;

use address::Place;
use apps::Apps;
use chronicle::Chronicle;
use commit::Order;
use desk::{Desk, Papers};
use ground::id_of;
use handles::Handles;
use local::Local;
use origin::Origin;
use reach::Reach;
use remote::Remote;
use renders::words;
use standing::Footing;

/// A watched branch of a repo.
pub struct Repo {
    location: String,
    branch: String,
    origin: Arc<dyn Origin>,
    cluster: Option<String>,
    identity: Identity,
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
        let shown = location::without_credentials(location);
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
            identity: Identity::default(),
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
            return Err(SourceError::Location { location: location::without_credentials(location), why });
        }
        Self::open_to_read(location, branch, &GitAccess::default())
    }

    /// The same, with the cluster's name for the locks that it writes.
    #[must_use]
    pub fn for_cluster(self, cluster: Option<String>) -> Self {
        Self { cluster, ..self }
    }

    /// The same, with another author of its commits.
    #[must_use]
    pub fn signed_by(self, identity: Identity) -> Self {
        Self { identity, ..self }
    }

    /// Asks where the branch is and brings its objects here. Nobody who reads what is known waits for it.
    ///
    /// # Errors
    /// The server cannot be asked. What was known of the branch is known still.
    pub fn sync(&self) -> Result<(), SourceError> {
        if self.reach.asked(self.origin.sync())? {
            // Files that open handles rely on were put together.
            self.handles.close_idle();
        }
        Ok(())
    }

    /// Whether the branch still stands at a HEAD, or where nothing has come that concerns the app, asked for just now.
    /// Traffic is switched by nothing older: another turquoise may have moved both since.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub fn confirm(&self, app: &App, head: &CommitId) -> Result<bool, SourceError> {
        if !self.origin.is_fresh() {
            self.sync()?;
        }
        let now = self.head()?;
        Ok(now == *head || self.is_unchanged(app, &now)?)
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

    /// The folder to watch for changes, with all below it, where there is one.
    #[must_use]
    pub fn watch_path(&self) -> Option<PathBuf> {
        self.handles.with(|git| Ok(self.origin.watch_path(git))).ok()?
    }

    /// HEAD of the branch; where it is on a server, as it was when that was last asked.
    ///
    /// # Errors
    /// The branch is not there, or cannot be read.
    pub fn head(&self) -> Result<CommitId, SourceError> {
        self.known_as(self.handles.with(|git| self.origin.head(git))?)
    }

    /// HEAD for a look at an app. Where the server cannot be asked and it is in doubt whether a push of our own arrived, it is
    /// as it was last known for an app that takes traffic back without git (`onGitDown: flip-back`); every other waits.
    ///
    /// # Errors
    /// As [`Repo::head`].
    pub fn head_for(&self, app: &App) -> Result<CommitId, SourceError> {
        let goes_on = app.policy.as_ref().is_ok_and(|policy| policy.on_git_down == OnGitDown::FlipBack);
        let known = || self.origin.last_known().filter(|_| goes_on);
        // A server that hangs is not asked again by each look: the poll says when it is back.
        if let Some(head) = known().filter(|_| self.reach.is_lost()) {
            return Ok(id_of(head));
        }
        match self.head() {
            Err(error @ SourceError::Server { .. }) => {
                let _lost = self.reach.asked(Err::<(), _>(&error));
                known().map(id_of).ok_or(error)
            }
            answer => answer,
        }
    }

    fn known_as(&self, head: Option<Oid>) -> Result<CommitId, SourceError> {
        let (location, branch) = (self.location.clone(), self.branch.clone());
        let none = || SourceError::NoBranch { location, branch, others: String::new() };
        head.map(id_of).ok_or_else(none)
    }

    /// Every app at a HEAD, by folder. Each says by itself what is wrong with it.
    ///
    /// # Errors
    /// The repo cannot be read.
    pub fn apps(&self, head: &CommitId) -> Result<Arc<Vec<Arc<App>>>, SourceError> {
        self.handles.with(|git| self.apps_at(git, ground::commit(git, head)?.tree_id()))
    }

    fn apps_at(&self, git: &Repository, tree: Oid) -> Result<Arc<Vec<Arc<App>>>, SourceError> {
        let mut discovery = held(&self.discovery);
        if let Some((at, apps)) = &discovery.known
            && *at == tree
        {
            return Ok(Arc::clone(apps));
        }
        let found = discovery.apps.at(git, tree, &location::repo_name(&self.location))?;
        let apps = apps::shared(found, discovery.known.as_ref().map(|(_, apps)| apps));
        discovery.known = Some((tree, Arc::clone(&apps)));
        let folders: BTreeSet<&str> = apps.iter().map(|app| app.folder.as_str()).collect();
        held(&self.desks).retain(|folder, _| folders.contains(folder.as_str()));
        Ok(apps)
    }

    /// The apps that turquoise spoke of on the branch up to a HEAD, whether they are still there or not.
    ///
    /// # Errors
    /// The repo cannot be read.
    pub fn spoken_of(&self, head: &CommitId) -> Result<Arc<BTreeSet<AppName>>, SourceError> {
        let mut chronicle = held(&self.chronicle);
        self.handles.with(|git| chronicle.up_to(git, ground::commit(git, head)?.id(), &self.branch))
    }

    /// Whether the repo has one of these commits.
    ///
    /// # Errors
    /// The repo cannot be opened.
    pub fn has_any<'a>(&self, mut commits: impl Iterator<Item = &'a CommitId>) -> Result<bool, SourceError> {
        self.handles.with(|git| Ok(commits.any(|commit| ground::find(git, commit).is_some())))
    }

    /// The app at a HEAD, rendered, classified and checked; also that the selector can be edited.
    ///
    /// # Errors
    /// The repo cannot be read. What is wrong with the app itself is [`Blocked`].
    pub fn survey(&self, app: &App, head: &CommitId) -> Result<Result<Arc<Shape>, Blocked>, SourceError> {
        self.at_desk(app, |git, desk, papers| desk.survey(papers, git, app, head))
    }

    /// What git says about an app at a HEAD: everything that the planner may know.
    ///
    /// # Errors
    /// The repo cannot be read.
    pub fn look(&self, app: &App, head: &CommitId, seen: &Seen) -> Result<Result<Desired, Blocked>, SourceError> {
        self.bring(seen)?;
        let desired = self.at_desk(app, |git, desk, papers| match desk.survey(papers, git, app, head)? {
            Ok(shape) => papers.look(git, app, &self.branch, &shape, head, seen),
            Err(blocked) => Ok(Err(blocked)),
        })?;
        Ok(desired.map(|desired| Desired { out_of_reach: self.reach.is_lost(), ..desired }))
    }

    /// When the newest verdict about an app was committed, as the newest look found it.
    ///
    /// # Errors
    /// The repo cannot be opened.
    pub fn newest_verdict_at(&self, app: &App) -> Result<Option<Timestamp>, SourceError> {
        self.at_desk(app, |_, _, papers| Ok(papers.newest_verdict_at()))
    }

    /// What a force-push took from the branch is asked for by its id (rule 13): the cluster names what it still carries.
    fn bring(&self, seen: &Seen) -> Result<(), SourceError> {
        let named = seen.carried.iter().flat_map(|carried| [&carried.revision, &carried.deployed_at]);
        self.handles.with(|git| {
            for commit in named
                .chain(&seen.flipped_under)
                .chain(&seen.flipped_to)
                .filter(|commit| ground::find(git, commit).is_none())
            {
                if let Ok(id) = Oid::from_str(commit.as_str()) {
                    self.origin.bring(id);
                }
            }
            Ok(())
        })
    }

    /// HEAD as it is now, if a look at it would find what the newest look at the app found; `None` where it must be
    /// looked at anew. Commits that do not concern the app, its neighbours' before all, void nothing.
    ///
    /// # Errors
    /// The repo cannot be read.
    pub fn still(&self, app: &App) -> Result<Option<CommitId>, SourceError> {
        let now = self.head_for(app)?;
        Ok(if self.is_unchanged(app, &now)? { Some(now) } else { None })
    }

    /// Whether a look at a HEAD would find what the newest look at the app found.
    ///
    /// # Errors
    /// The repo cannot be read.
    pub fn is_unchanged(&self, app: &App, head: &CommitId) -> Result<bool, SourceError> {
        let desk = held(&self.desks).get(&app.folder).map(Arc::clone);
        let Some(desk) = desk else { return Ok(false) };
        let Some(footing) = held(&desk.footing).clone() else { return Ok(false) };
        if footing.app != *app {
            return Ok(false);
        }
        let Footing { head: then, reads, .. } = &*footing;
        self.handles.with(|git| {
            let now = ground::commit(git, head)?.id();
            if *then == now {
                return Ok(true);
            }
            let same = self.knows(git, app, now)? && standing::holds(git, reads, &app.name, *then, now)?;
            let mut newest = held(&desk.footing);
            if same && newest.as_ref().is_some_and(|newest| Arc::ptr_eq(newest, &footing)) {
                // The next question goes back to here only.
                *newest = Some(Arc::new(Footing { head: now, ..Footing::clone(&footing) }));
            }
            Ok(same)
        })
    }

    /// The objects of a part of an app at a commit: what the executor applies.
    ///
    /// # Errors
    /// The commit is not there, or cannot be rendered.
    pub fn objects(
        &self,
        app: &App,
        commit: &CommitId,
        part: Part,
    ) -> Result<Arc<Vec<serde_json::Value>>, SourceError> {
        self.at_desk(app, |git, _, papers| papers.objects(git, app, commit, part))
    }

    /// Commits to the branch. Where HEAD is not the commit's parent any more, but what came since does not concern the
    /// app, the same commit is made on top of that.
    ///
    /// # Errors
    /// The selector cannot be edited ([`SourceError::NotEditable`]), the branch was checked out meanwhile, or the repo
    /// cannot be written. Nothing has changed then.
    pub fn commit(&self, app: &App, commit: &crate::core::action::Commit) -> Result<Committed, SourceError> {
        self.commit_while(app, commit, &|| true)
    }

    /// The same for somebody who may lose the right to it: `leave` is asked right before the branch is moved, and where it
    /// says no, the decision is stale.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_while(
        &self,
        app: &App,
        commit: &crate::core::action::Commit,
        leave: &dyn Fn() -> bool,
    ) -> Result<Committed, SourceError> {
        let failed = |blocked: &Blocked| SourceError::Render { commit: commit.parent.clone(), words: words(blocked) };
        let policy = app.policy.as_ref().map_err(failed)?;
        let cluster = self.cluster.as_deref();
        let order = Order { app, commit, cluster, identity: &self.identity, origin: &*self.origin };
        // Renders take their time: they are done before the others are made to wait.
        let prepared = self.at_desk(app, |git, _, papers| {
            self.origin.may_publish(git)?;
            commit::prepare(&mut papers.ground(git, app, &self.branch, policy), &order)
        })?;
        let _one_at_a_time = held(&self.moving);
        self.handles.with(|git| {
            let parent = ground::commit(git, &commit.parent)?.id();
            let Some(now) = self.origin.head(git)? else { return Ok(Committed::Stale) };
            let same = now == parent
                || self.knows(git, app, now)? && standing::holds(git, &prepared.reads, &app.name, parent, now)?;
            if !same || !leave() {
                return Ok(Committed::Stale);
            }
            self.reach.pushed(commit::land(git, &self.branch, &order, &prepared, now))
        })
    }

    /// A commit in words; `None` where it cannot be reached.
    #[must_use]
    pub fn note(&self, id: &CommitId) -> Option<CommitNote> {
        self.handles.with(|git| Ok(ground::find(git, id).map(|commit| CommitNote::of(&commit)))).ok().flatten()
    }

    /// turquoise's newest commits of an app, from a HEAD back to `until`, for messages; and who wrote the `wanted` ones.
    ///
    /// # Errors
    /// The repo cannot be read.
    pub fn sayings(
        &self,
        app: &App,
        head: &CommitId,
        until: Option<&CommitId>,
        wanted: &[CommitId],
    ) -> Result<news::Chronicle, SourceError> {
        let default = Arc::default();
        let policy = app.policy.as_ref().unwrap_or(&default);
        self.at_desk(app, |git, _, papers| {
            let mut ground = papers.ground(git, app, &self.branch, policy);
            let commit = ground::commit(ground.repo, head)?;
            sayings::sayings(&mut ground, &commit, until, wanted)
        })
    }

    /// The newest commits that concern an app, newest first.
    ///
    /// # Errors
    /// The repo cannot be read.
    pub fn history(&self, app: &App, limit: usize) -> Result<Vec<HistoryEntry>, SourceError> {
        let head = self.head()?;
        let default = Arc::default();
        let policy = app.policy.as_ref().unwrap_or(&default);
        self.at_desk(app, |git, _, papers| {
            let mut ground = papers.ground(git, app, &self.branch, policy);
            let commit = ground::commit(ground.repo, &head)?;
            history::history(&mut ground, &commit, limit)
        })
    }

    /// Forgets what is large and quickly made again: for an app that was looked at and is at rest.
    pub fn put_away(&self, app: &App) {
        let desk = held(&self.desks).get(&app.folder).map(Arc::clone);
        // Whoever reads there just now puts it away later.
        if let Some(desk) = &desk
            && let Ok(mut papers) = desk.papers.try_lock()
        {
            papers.put_away();
        }
    }

    /// Closes what a repo at rest does not need.
    pub fn rest(&self) {
        self.handles.close_idle();
    }

    /// Whether the app is at a HEAD as it is known.
    fn knows(&self, git: &Repository, app: &App, head: Oid) -> Result<bool, SourceError> {
        let tree = git.find_commit(head).map_err(error::git("a commit cannot be found"))?.tree_id();
        Ok(self.apps_at(git, tree)?.iter().any(|now| **now == *app))
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

    /// A commit's author and subject, for people.
    ///
    /// # Errors
    /// The commit cannot be found.
    pub fn words_of(&self, commit: &CommitId) -> Result<(OneLine, OneLine), SourceError> {
        self.handles.with(|git| Ok(history::words(&ground::commit(git, commit)?)))
    }
}

/// A thread that panicked with the lock left nothing half done: what is kept under locks is made again when it is missing.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
