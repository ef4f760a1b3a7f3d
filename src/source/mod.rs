//! Git: what the watched branch says, and turquoise's commits to it.
//!
//! All of it blocks; async callers use `spawn_blocking`. A repo is a local path, or a bare copy of one on a server. Only
//! where the branch is and how it is moved differ (`origin`), everything else reads objects.
//!
//! - `address`, `access`: what a location names, and how a server is reached;
//! - `local`, `remote`: a branch in a folder, and one behind https or ssh, asked and pushed to by a child process;
//! - `tree`, `reads`: a commit as a file tree, and what a render looked at;
//! - `shelf`, `renders`: renders, kept by what they read, so that commits which do not touch an app cost a few lookups;
//! - `walk`, `verdicts`, `history`: R, the selector's last change, the log;
//! - `commit`: byte-exact edits, one commit, compare-and-swap.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use git2::{Oid, Repository};

use crate::core::colour::{ByColour, Colour};
use crate::core::desired::{Desired, Overlay, Render};
use crate::core::ids::CommitId;
use crate::core::policy::Policy;
use crate::core::report::Blocked;
use crate::core::shape::Shape;
use crate::core::verdict::VerdictLog;

mod access;
mod address;
mod apps;
mod commit;
mod error;
mod ground;
mod history;
mod kustomize;
mod local;
mod location;
mod origin;
mod reads;
mod remote;
mod renders;
mod shelf;
mod tree;
mod verdicts;
mod walk;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use access::GitAccess;
pub use apps::App;
pub use commit::{Committed, Identity};
pub use error::SourceError;
pub use history::HistoryEntry;
pub(crate) use remote::CHILD_COMMAND;
pub use remote::Trouble;
pub(crate) use remote::child::main as child_main;

use address::Place;
use apps::Apps;
use commit::Order;
use ground::{Ground, id_of, is_in_history};
use local::Local;
use origin::Origin;
use remote::Remote;
use renders::{Renders, join, words};
use verdicts::Log;
use walk::{Own, Run, Turn};

/// A watched branch of a repo.
pub struct Repo {
    location: String,
    branch: String,
    origin: Arc<dyn Origin>,
    /// Of the origin, when `git` was opened.
    generation: u64,
    cluster: Option<String>,
    identity: Identity,
    git: Repository,
    apps: Apps,
    /// The apps at the HEAD they were last asked for.
    known_apps: Option<(Oid, Vec<App>)>,
    renders: Renders,
    walks: HashMap<String, Walks>,
}

/// What one app's walks found last, so that the next ones stop there.
#[derive(Debug, Default)]
struct Walks {
    run: Option<Run>,
    turn: Option<Turn>,
    log: Option<Log>,
    own: Option<Own>,
}

/// What the cluster says that git is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// What the colours carry.
    pub carried: Vec<Carried>,
    /// HEAD when traffic was switched last.
    pub flipped_under: Option<CommitId>,
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

impl Repo {
    /// Opens a repo to watch one of its branches.
    ///
    /// # Errors
    /// A location that cannot be understood, settings that do not fit it, no repository there, or the branch is checked
    /// out in a work tree. A server is not asked yet.
    pub fn open(location: &str, branch: &str, access: &GitAccess) -> Result<Self, SourceError> {
        let repo = Self::open_to_read(location, branch, access)?;
        repo.origin.may_publish(&repo.git)?;
        Ok(repo)
    }

    /// Opens a repo to read one of its branches, which may be checked out.
    ///
    /// # Errors
    /// A location that cannot be understood, settings that do not fit it, or no repository there.
    pub fn open_to_read(location: &str, branch: &str, access: &GitAccess) -> Result<Self, SourceError> {
        let (git, origin): (Repository, Arc<dyn Origin>) = match address::parse(location)? {
            Place::Path(path) => (location::open(&path, location)?, Arc::new(Local::new(branch))),
            Place::Server(address) => {
                let remote = Remote::open(address, location, branch, access)?;
                (remote.repository()?, Arc::new(remote))
            }
        };
        Ok(Self {
            location: location::without_credentials(location),
            branch: branch.to_owned(),
            generation: origin.generation(),
            origin,
            cluster: None,
            identity: Identity::default(),
            git,
            apps: Apps::default(),
            known_apps: None,
            renders: Renders::new(),
            walks: HashMap::new(),
        })
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

    /// Asks where the branch is and brings its objects here. A repository on a server is asked without holding the lock,
    /// so that a server that hangs keeps nobody from reading what is known.
    ///
    /// # Errors
    /// The server cannot be asked. What was known of the branch is known still.
    pub fn sync(repo: &Mutex<Self>) -> Result<(), SourceError> {
        let origin = Arc::clone(&lock(repo).origin);
        origin.sync()
    }

    /// Whether the branch still stands at a HEAD, asked for just now. Traffic is switched by nothing older: another
    /// turquoise may have moved both since.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub fn confirm(repo: &Mutex<Self>, head: &CommitId) -> Result<bool, SourceError> {
        let origin = Arc::clone(&lock(repo).origin);
        if !origin.is_fresh() {
            origin.sync()?;
        }
        Ok(lock(repo).head()? == *head)
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
        self.origin.watch_path(&self.git)
    }

    /// HEAD of the branch; where it is on a server, as it was when that was last asked.
    ///
    /// # Errors
    /// The branch is not there, or cannot be read.
    pub fn head(&mut self) -> Result<CommitId, SourceError> {
        let head = self.origin.head(&self.git)?;
        let generation = self.origin.generation();
        if generation != self.generation {
            self.git = Repository::open_bare(self.git.path()).map_err(error::git("the copy cannot be opened"))?;
            self.generation = generation;
        }
        let none = || SourceError::NoBranch { location: self.location.clone(), branch: self.branch.clone() };
        head.map(id_of).ok_or_else(none)
    }

    /// Every app at a HEAD, by folder. Each says by itself what is wrong with it.
    ///
    /// # Errors
    /// The repo cannot be read.
    pub fn apps(&mut self, head: &CommitId) -> Result<Vec<App>, SourceError> {
        let tree = ground::commit(&self.git, head)?.tree_id();
        if let Some((at, apps)) = &self.known_apps
            && *at == tree
        {
            return Ok(apps.clone());
        }
        let apps = self.apps.at(&self.git, tree, &location::repo_name(&self.location))?;
        let folders: Vec<&str> = apps.iter().map(|app| app.folder.as_str()).collect();
        let known = self.known_apps.as_ref().map(|(_, known)| known.iter().map(|app| app.folder.as_str()));
        if known.is_some_and(|known| !known.eq(folders.iter().copied())) {
            self.renders.retain(&folders);
            self.walks.retain(|folder, _| folders.contains(&folder.as_str()));
        }
        self.known_apps = Some((tree, apps.clone()));
        Ok(apps)
    }

    /// The app at a HEAD, rendered, classified and checked; also that the selector can be edited.
    ///
    /// # Errors
    /// The repo cannot be read. What is wrong with the app itself is [`Blocked`].
    pub fn survey(&mut self, app: &App, head: &CommitId) -> Result<Result<Arc<Shape>, Blocked>, SourceError> {
        let policy = match &app.policy {
            Ok(policy) => policy,
            Err(blocked) => return Ok(Err(blocked.clone())),
        };
        let tree = ground::commit(&self.git, head)?.tree_id();
        self.renders.shape(&self.git, tree, app, policy)
    }

    /// What git says about an app at a HEAD: everything that the planner may know.
    ///
    /// # Errors
    /// The repo cannot be read.
    pub fn look(&mut self, app: &App, head: &CommitId, seen: &Seen) -> Result<Result<Desired, Blocked>, SourceError> {
        let shape = match self.survey(app, head)? {
            Ok(shape) => shape,
            Err(blocked) => return Ok(Err(blocked)),
        };
        let policy = match &app.policy {
            Ok(policy) => policy,
            Err(blocked) => return Ok(Err(blocked.clone())),
        };
        let mut walks = self.walks.remove(&app.folder).unwrap_or_default();
        let mut ground = ground_of(&self.git, &mut self.renders, &self.branch, app, policy);
        let commit = ground::commit(ground.repo, head)?;
        let run = walk::run(&mut ground, &commit, walks.run.as_ref())?;
        let turn = walk::turn(&mut ground, &commit, &shape.declared, walks.turn.as_ref())?;
        let log = verdicts::log(&mut ground, &commit, walks.log.as_ref())?;
        let own = walk::own(&mut ground, &commit, walks.own.as_ref())?;
        let lock = ground.lock(&commit)?;
        let own_lock = match own.commit.and_then(|id| ground.repo.find_commit(id).ok()) {
            Some(own) => Some(ground.lock(&own)?).filter(|lock| !lock.branch.is_empty()),
            None => None,
        };

        let mut wanted: BTreeSet<CommitId> = [head.clone(), id_of(run.revision)].into();
        for lock in [Some(&lock), own_lock.as_ref()].into_iter().flatten() {
            wanted.extend(lock.pins.iter().filter_map(|(_, pin)| Some(pin.as_ref()?.revision.clone())));
        }
        wanted.extend(seen.carried.iter().map(|carried| carried.revision.clone()));
        // What a force-push took from the branch is asked for by its id (rule 13).
        for missing in wanted.iter().chain(&seen.flipped_under) {
            if ground::find(ground.repo, missing).is_none()
                && let Ok(id) = Oid::from_str(missing.as_str())
            {
                self.origin.bring(id);
            }
        }
        let (renders, overlays) = content(&mut ground, wanted)?;
        let desired = Desired {
            app: app.name.clone(),
            branch: ground.branch.to_owned(),
            head: head.clone(),
            revision: id_of(run.revision),
            declared: shape.declared.clone(),
            verdicts: VerdictLog::new(log.entries.clone()),
            renders,
            overlays,
            selector_change: walk::selector_change(&mut ground, &commit, &turn, run.revision)?,
            rewritten: match &seen.flipped_under {
                Some(then) => !ground::is_known_ancestor(ground.repo, then, commit.id())?,
                None => false,
            },
            unchanged_since: unchanged_since(&mut ground, &commit, &run, &seen.carried)?,
            lock_is_lost: lock.branch.is_empty(),
            own_lock,
            lock,
        };
        walks = Walks { run: Some(run), turn: Some(turn), log: Some(log), own: Some(own) };
        self.walks.insert(app.folder.clone(), walks);
        Ok(Ok(desired))
    }

    /// The objects of a part of an app at a commit: what the executor applies.
    ///
    /// # Errors
    /// The commit is not there, or cannot be rendered.
    pub fn objects(
        &mut self,
        app: &App,
        commit: &CommitId,
        part: Part,
    ) -> Result<Arc<Vec<serde_json::Value>>, SourceError> {
        let tree = ground::commit(&self.git, commit)?.tree_id();
        let failed = |blocked: &Blocked| SourceError::Render { commit: commit.clone(), words: words(blocked) };
        let today = app.policy.as_ref().map_err(failed)?;
        let policy = self.renders.policy_at(&self.git, tree, &app.folder, today)?;
        let overlay = match part {
            Part::Colour(Colour::Blue) => &policy.overlays.blue,
            Part::Colour(Colour::Green) => &policy.overlays.green,
            Part::Live => &policy.overlays.live,
        };
        let objects = self.renders.objects(&self.git, tree, &join(&app.folder, overlay))?;
        let manifests = objects.answer.as_ref().map_err(failed)?;
        Ok(Arc::new(manifests.iter().map(|manifest| manifest.value.clone()).collect()))
    }

    /// Commits to the branch, if HEAD is still the commit's parent.
    ///
    /// # Errors
    /// The selector cannot be edited ([`SourceError::NotEditable`]), the branch was checked out meanwhile, or the repo
    /// cannot be written. Nothing has changed then.
    pub fn commit(&mut self, app: &App, commit: &crate::core::action::Commit) -> Result<Committed, SourceError> {
        self.origin.may_publish(&self.git)?;
        let failed = |blocked: &Blocked| SourceError::Render { commit: commit.parent.clone(), words: words(blocked) };
        let policy = app.policy.as_ref().map_err(failed)?;
        let mut ground = ground_of(&self.git, &mut self.renders, &self.branch, app, policy);
        let cluster = self.cluster.as_deref();
        let order = Order { app, commit, cluster, identity: &self.identity, origin: &*self.origin };
        commit::commit(&mut ground, &order)
    }

    /// The newest commits that concern an app, newest first.
    ///
    /// # Errors
    /// The repo cannot be read.
    pub fn history(&mut self, app: &App, limit: usize) -> Result<Vec<HistoryEntry>, SourceError> {
        let head = self.head()?;
        let default = Arc::default();
        let policy = app.policy.as_ref().unwrap_or(&default);
        let mut ground = ground_of(&self.git, &mut self.renders, &self.branch, app, policy);
        let commit = ground::commit(ground.repo, &head)?;
        history::history(&mut ground, &commit, limit)
    }
}

fn lock(repo: &Mutex<Repo>) -> MutexGuard<'_, Repo> {
    repo.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ground_of<'a>(
    repo: &'a Repository,
    renders: &'a mut Renders,
    branch: &'a str,
    app: &'a App,
    policy: &'a Arc<Policy>,
) -> Ground<'a> {
    Ground { repo, renders, folder: &app.folder, name: &app.name, branch, policy }
}

type Content = (BTreeMap<CommitId, ByColour<Arc<Render>>>, BTreeMap<CommitId, Arc<Overlay>>);

/// The app's content at commits; what is gone or cannot be rendered is left out.
fn content(ground: &mut Ground<'_>, commits: BTreeSet<CommitId>) -> Result<Content, SourceError> {
    let (mut renders, mut overlays) = Content::default();
    for id in commits {
        let Some(commit) = ground::find(ground.repo, &id) else { continue };
        let (repo, folder, tree) = (ground.repo, ground.folder, commit.tree_id());
        let policy = ground.renders.policy_at(repo, tree, folder, ground.policy)?;
        let live = ground.renders.live(repo, tree, folder, &policy)?;
        let blue = ground.renders.colour(repo, tree, &join(folder, &policy.overlays.blue), Colour::Blue)?;
        let green = ground.renders.colour(repo, tree, &join(folder, &policy.overlays.green), Colour::Green)?;
        if let (Ok(blue), Ok(green)) = (&blue.answer, &green.answer) {
            renders.insert(id.clone(), ByColour { blue: Arc::clone(blue), green: Arc::clone(green) });
        }
        if let Ok(side) = &live.answer {
            overlays.insert(id, Arc::clone(&side.overlay));
        }
    }
    Ok((renders, overlays))
}

/// Those heads of deploys that are in HEAD's history and have HEAD's P and lock.
fn unchanged_since(
    ground: &mut Ground<'_>,
    head: &git2::Commit<'_>,
    run: &Run,
    carried: &[Carried],
) -> Result<BTreeSet<CommitId>, SourceError> {
    let mut unchanged = BTreeSet::new();
    for Carried { deployed_at, .. } in carried {
        let Some(then) = ground::find(ground.repo, deployed_at) else { continue };
        let same_lock = ground.lock_text(&then)? == ground.lock_text(head)?;
        if same_lock && is_in_history(ground.repo, then.id(), head.id())? && ground.pair(&then)?.same(&run.pair) {
            unchanged.insert(deployed_at.clone());
        }
    }
    Ok(unchanged)
}
