//! Git: what the watched branch says, and turquoise's commits to it.
//!
//! All of it blocks; async callers use `spawn_blocking`. Today a repo is a local path. A repo behind https or ssh will
//! be a bare copy of it, brought up to date and pushed from by a child process (DESIGN 9): only [`Repo::head`] and the
//! move of the reference in `commit` differ then, everything else reads the copy.
//!
//! - `tree`, `reads`: a commit as a file tree, and what a render looked at;
//! - `shelf`, `renders`: renders, kept by what they read, so that commits which do not touch an app cost a few lookups;
//! - `walk`, `verdicts`, `history`: R, the selector's last change, the log;
//! - `commit`: byte-exact edits, one commit, compare-and-swap.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use git2::{Oid, Repository};

use crate::core::colour::{ByColour, Colour};
use crate::core::desired::{Desired, Overlay, Render};
use crate::core::ids::CommitId;
use crate::core::policy::Policy;
use crate::core::report::Blocked;
use crate::core::shape::Shape;
use crate::core::verdict::VerdictLog;

mod apps;
mod commit;
mod error;
mod ground;
mod history;
mod kustomize;
mod location;
mod reads;
mod renders;
mod shelf;
mod tree;
mod verdicts;
mod walk;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use apps::App;
pub use commit::{Committed, Identity};
pub use error::SourceError;
pub use history::HistoryEntry;

use apps::Apps;
use commit::Order;
use ground::{Ground, id_of, is_in_history};
use renders::{Renders, join, words};
use verdicts::Log;
use walk::{Own, Run, Turn};

/// A watched branch of a repo.
pub struct Repo {
    location: String,
    branch: String,
    /// The full name of the branch's reference.
    reference: String,
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
    /// A URL (https and ssh are to come), no repository there, or the branch is checked out in a work tree.
    pub fn open(location: &str, branch: &str) -> Result<Self, SourceError> {
        let repo = Self::open_to_read(location, branch)?;
        location::refuse_checked_out(&repo.git, branch, &repo.reference)?;
        Ok(repo)
    }

    /// Opens a repo to read one of its branches, which may be checked out.
    ///
    /// # Errors
    /// A URL (https and ssh are to come), or no repository there.
    pub fn open_to_read(location: &str, branch: &str) -> Result<Self, SourceError> {
        let path = location::local_path(location)?;
        let git = location::open(&path, location)?;
        Ok(Self {
            location: location.to_owned(),
            branch: branch.to_owned(),
            reference: format!("refs/heads/{branch}"),
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

    /// Where it is, as it was given.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The watched branch.
    #[must_use]
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// The folder to watch for changes, with all below it: the branches' loose references. Whoever moves a branch
    /// writes one there; packing them changes no branch.
    #[must_use]
    pub fn watch_path(&self) -> Option<PathBuf> {
        Some(self.git.commondir().join("refs").join("heads"))
    }

    /// HEAD of the branch.
    ///
    /// # Errors
    /// The branch is not there, or cannot be read.
    pub fn head(&mut self) -> Result<CommitId, SourceError> {
        let head = commit::head(&self.git, &self.reference)?;
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
        location::refuse_checked_out(&self.git, &self.branch, &self.reference)?;
        let failed = |blocked: &Blocked| SourceError::Render { commit: commit.parent.clone(), words: words(blocked) };
        let policy = app.policy.as_ref().map_err(failed)?;
        let mut ground = ground_of(&self.git, &mut self.renders, &self.branch, app, policy);
        let cluster = self.cluster.as_deref();
        let order = Order { app, commit, cluster, identity: &self.identity, reference: &self.reference };
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
