//! What is read of the repo at a HEAD: its apps, what git says about each, and commits in words.

use std::collections::BTreeSet;
use std::sync::Arc;

use git2::{Oid, Repository};
use jiff::Timestamp;

use super::apps::{self, App};
use super::error::SourceError;
use super::history::{self, CommitNote, HistoryEntry};
use super::{Part, Repo, Seen, ground, held, location, sayings};
use crate::core::desired::Desired;
use crate::core::ids::{AppName, CommitId};
use crate::core::news;
use crate::core::report::Blocked;
use crate::core::shape::Shape;
use crate::core::text::OneLine;

impl Repo {
    /// Every app at a HEAD, by folder. Each says by itself what is wrong with it.
    ///
    /// # Errors
    /// The repo cannot be read.
    pub fn apps(&self, head: &CommitId) -> Result<Arc<Vec<Arc<App>>>, SourceError> {
        self.handles.with(|git| self.apps_at(git, ground::commit(git, head)?.tree_id()))
    }

    pub(super) fn apps_at(&self, git: &Repository, tree: Oid) -> Result<Arc<Vec<Arc<App>>>, SourceError> {
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

    /// A commit in words; `None` where it cannot be reached.
    #[must_use]
    pub fn note(&self, id: &CommitId) -> Option<CommitNote> {
        self.handles.with(|git| Ok(ground::find(git, id).map(|commit| CommitNote::of(&commit)))).ok().flatten()
    }

    /// A commit's author and subject, for people.
    ///
    /// # Errors
    /// The commit cannot be found.
    pub fn words_of(&self, commit: &CommitId) -> Result<(OneLine, OneLine), SourceError> {
        self.handles.with(|git| Ok(history::words(&ground::commit(git, commit)?)))
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
}
