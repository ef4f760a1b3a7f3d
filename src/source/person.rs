//! Commits that a person has made in their own name: an approval, a retry. The daemon never calls this.

use git2::build::CheckoutBuilder;
use git2::{Repository, Status, StatusOptions};

use super::commit::{selector_edits, write_tree};
use super::error::{SourceError, git};
use super::ground::{self, id_of};
use super::kustomize::Edited;
use super::origin::Published;
use super::verdicts::lock_path;
use super::{App, Committed, Repo, Seen, held};
use crate::core::colour::Colour;
use crate::core::desired::{Declared, Desired};
use crate::core::ids::CommitId;
use crate::core::lock::{Pin, PinState};
use crate::core::report::Blocked;
use crate::core::text::OneLine;
use crate::core::verdict::Verdict;

/// A commit that is ready to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// What it is about, for the person: `4f0c9a1 (shop:1.1.0) is verified in green and waits for approval`.
    pub what: String,
    /// The commit's subject.
    pub subject: String,
    /// Why, in the commit's body.
    pub body: String,
    /// The files that change.
    pub edits: Vec<FileChange>,
    parent: CommitId,
}

/// One file's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its path in the repository.
    pub path: String,
    /// Its bytes now.
    pub before: Vec<u8>,
    /// Its bytes after the commit.
    pub after: Vec<u8>,
}

/// Why there is nothing to commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NothingToDo {
    /// The app's files are wrong.
    #[error("the app is blocked: {0}")]
    Blocked(Blocked),
    /// No colour holds a verified pin that waits.
    #[error("nothing is verified and waits for approval")]
    NothingVerified,
    /// The selector names the verified colour already.
    #[error("{revision} is approved already: the selector names {colour}", revision = revision.short())]
    Approved {
        /// The colour.
        colour: Colour,
        /// The revision.
        revision: CommitId,
    },
    /// No revision stands rejected.
    #[error("no revision stands rejected")]
    NotRejected,
    /// The rejected revision is not what HEAD asks for.
    #[error("{} is rejected, but HEAD asks for {}: there is nothing to try again", rejected.short(), wanted.short())]
    NotWanted {
        /// What was rejected.
        rejected: CommitId,
        /// The revision of HEAD.
        wanted: CommitId,
    },
}

impl Repo {
    /// The commit that approves the verified candidate: it sets the selector to its colour.
    ///
    /// # Errors
    /// The repo cannot be read, or the selector cannot be edited.
    pub fn approval(&self, app: &App) -> Result<Result<Errand, NothingToDo>, SourceError> {
        let desired = match self.desired(app)? {
            Ok(desired) => desired,
            Err(blocked) => return Ok(Err(NothingToDo::Blocked(blocked))),
        };
        let waits = |pin: &&Pin| {
            pin.state == PinState::Verified && desired.verdicts.newest(&pin.revision) == Some(Verdict::Verified)
        };
        let found = Colour::BOTH
            .into_iter()
            .find_map(|colour| desired.lock.pins[colour].as_ref().filter(waits).map(|pin| (colour, pin.clone())));
        let Some((colour, pin)) = found else { return Ok(Err(NothingToDo::NothingVerified)) };
        if desired.declared == Declared::Colour(colour) {
            return Ok(Err(NothingToDo::Approved { colour, revision: pin.revision }));
        }
        let shape = match self.survey(app, &desired.head)? {
            Ok(shape) => shape,
            Err(blocked) => return Ok(Err(NothingToDo::Blocked(blocked))),
        };
        let policy = match &app.policy {
            Ok(policy) => policy,
            Err(blocked) => return Ok(Err(NothingToDo::Blocked(blocked.clone()))),
        };
        let edits = self.at_desk(app, |git, _, papers| {
            let parent = ground::commit(git, &desired.head)?;
            selector_edits(&papers.ground(git, app, &self.branch, policy), &parent, &shape, app, colour)
        })?;
        let images = pin.images.join(", ");
        Ok(Ok(Errand {
            what: format!("{} ({images}) is verified in {colour} and waits for approval", pin.revision.short()),
            subject: format!("Promote {} to {colour}", app.name),
            body: format!("Approves {} ({images}), which turquoise verified in {colour}.", pin.revision.short()),
            edits: self.changes(&desired.head, edits)?,
            parent: desired.head,
        }))
    }

    /// The commit that asks for a retry: it takes the rejection out of the lock while the pins stand.
    ///
    /// # Errors
    /// The repo cannot be read.
    pub fn retry(&self, app: &App) -> Result<Result<Errand, NothingToDo>, SourceError> {
        let desired = match self.desired(app)? {
            Ok(desired) => desired,
            Err(blocked) => return Ok(Err(NothingToDo::Blocked(blocked))),
        };
        let Some(rejection) = desired.lock.rejected.clone() else { return Ok(Err(NothingToDo::NotRejected)) };
        if rejection.revision != desired.revision {
            let (rejected, wanted) = (rejection.revision, desired.revision);
            return Ok(Err(NothingToDo::NotWanted { rejected, wanted }));
        }
        let path = lock_path(&app.folder);
        let before = self.bytes(&desired.head, &path)?;
        let mut lock = desired.lock.clone();
        lock.rejected = None;
        let after = lock.edit_text(&String::from_utf8_lossy(&before)).into_bytes();
        let short = rejection.revision.short();
        Ok(Ok(Errand {
            what: format!("{short} was rejected: {}", rejection.reason),
            subject: format!("Try {short} of {} again", app.name),
            body: format!("Takes the rejection out of turquoise.lock. It said: {}", rejection.reason),
            edits: vec![FileChange { path, before, after }],
            parent: desired.head,
        }))
    }

    /// Makes the commit in the name of the person whom git knows here, on top of the branch as it was read. Where the
    /// branch is checked out in this repository's work tree, its files follow; other changes there are left alone.
    ///
    /// # Errors
    /// The files have changes that are not committed, git knows no name, the branch is checked out elsewhere.
    pub fn make(&self, errand: &Errand) -> Result<Committed, SourceError> {
        let _one_at_a_time = held(&self.moving);
        self.handles.with(|git| self.make_with(git, errand))
    }

    fn make_with(&self, repo: &Repository, errand: &Errand) -> Result<Committed, SourceError> {
        let parent = ground::commit(repo, &errand.parent)?;
        if self.origin.head(repo)? != Some(parent.id()) {
            return Ok(Committed::Stale);
        }
        let points_here = |head: git2::Reference<'_>| {
            head.symbolic_target().ok().flatten().is_some_and(|target| target == self.reference())
        };
        let here = !repo.is_bare() && repo.find_reference("HEAD").is_ok_and(points_here);
        if here {
            refuse_dirty(repo, errand)?;
        } else {
            self.origin.may_publish(repo)?;
        }
        let edits: Vec<Edited> =
            errand.edits.iter().map(|edit| Edited { path: edit.path.clone(), after: edit.after.clone() }).collect();
        let tree = write_tree(repo, &parent, &edits)?;
        let tree = repo.find_tree(tree).map_err(git("the new tree cannot be read"))?;
        let person = repo.signature().map_err(git(
            "git knows no name for the commit: run `git config --global user.name NAME` and `user.email ADDRESS`",
        ))?;
        let message = format!("{}\n\n{}\n", OneLine::new(&errand.subject), OneLine::new(&errand.body));
        let made = repo.commit(None, &person, &person, &message, &tree, &[&parent]);
        let made = made.map_err(git("the commit cannot be written"))?;
        if self.origin.publish(repo, parent.id(), made, &errand.subject)? == Published::Stale {
            return Ok(Committed::Stale);
        }
        if here {
            let mut checkout = CheckoutBuilder::new();
            checkout.force().disable_pathspec_match(true);
            for edit in &errand.edits {
                checkout.path(edit.path.as_str());
            }
            let tree = tree.as_object();
            repo.checkout_tree(tree, Some(&mut checkout)).map_err(git("the work tree's files cannot be written"))?;
        }
        Ok(Committed::Made(id_of(made)))
    }

    /// How many commits the branch lacks of the one that it follows, as it was fetched last.
    #[must_use]
    pub fn behind(&self) -> Option<usize> {
        let count = |git: &Repository| {
            let upstream = git.branch_upstream_name(&self.reference()).ok()?;
            let upstream = git.refname_to_id(upstream.as_str().ok()?).ok()?;
            let ours = git.refname_to_id(&self.reference()).ok()?;
            git.graph_ahead_behind(ours, upstream).ok().map(|(_, behind)| behind)
        };
        self.handles.with(|git| Ok(count(git))).ok().flatten()
    }

    fn reference(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }

    /// Whether it has no work tree.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.handles.with(|git| Ok(git.is_bare())).unwrap_or(false)
    }

    fn desired(&self, app: &App) -> Result<Result<Desired, Blocked>, SourceError> {
        let head = self.head()?;
        self.look(app, &head, &Seen::default())
    }

    fn changes(&self, commit: &CommitId, edits: Vec<Edited>) -> Result<Vec<FileChange>, SourceError> {
        let change = |edit: Edited| {
            Ok(FileChange { before: self.bytes(commit, &edit.path)?, path: edit.path, after: edit.after })
        };
        edits.into_iter().map(change).collect()
    }

    fn bytes(&self, commit: &CommitId, path: &str) -> Result<Vec<u8>, SourceError> {
        self.handles.with(|repo| {
            let tree = ground::commit(repo, commit)?.tree().map_err(git("a tree cannot be read"))?;
            let entry = tree.get_path(std::path::Path::new(path)).map_err(git("a file cannot be read"))?;
            let blob = repo.find_blob(entry.id()).map_err(git("a file cannot be read"))?;
            Ok(blob.content().to_vec())
        })
    }
}

fn refuse_dirty(repo: &Repository, errand: &Errand) -> Result<(), SourceError> {
    let mut options = StatusOptions::new();
    options.disable_pathspec_match(true).include_untracked(true);
    for edit in &errand.edits {
        options.pathspec(&edit.path);
    }
    let statuses = repo.statuses(Some(&mut options)).map_err(git("the work tree cannot be read"))?;
    let is_dirty = |status: Status| status != Status::CURRENT && status != Status::IGNORED;
    let dirty = statuses.iter().find(|entry| is_dirty(entry.status()));
    dirty.map_or(Ok(()), |entry| {
        let path = OneLine::new(entry.path().unwrap_or("a file"));
        Err(SourceError::Uncommitted { path })
    })
}
