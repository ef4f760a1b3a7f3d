//! Where the watched branch stands, and whether what came since concerns an app.

use std::path::PathBuf;
use std::sync::Arc;

use git2::{Oid, Repository};

use super::apps::App;
use super::error::{self, SourceError};
use super::ground::{self, id_of};
use super::standing::{self, Footing};
use super::{Repo, held};
use crate::core::ids::CommitId;
use crate::core::policy::OnGitDown;

impl Repo {
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

    /// Whether the app is at a HEAD as it is known.
    pub(super) fn knows(&self, git: &Repository, app: &App, head: Oid) -> Result<bool, SourceError> {
        let tree = git.find_commit(head).map_err(error::git("a commit cannot be found"))?.tree_id();
        Ok(self.apps_at(git, tree)?.iter().any(|now| **now == *app))
    }
}
