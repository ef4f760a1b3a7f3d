//! Commits of turquoise: composed from objects, and published where the branch lives.

use std::sync::Arc;

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Repository, Signature};

use super::apps::App;
use super::error::{SourceError, git};
use super::ground::{self, Ground, id_of};
use super::kustomize::{self, Edited};
use super::origin::{Origin, Published};
use super::reads::Reads;
use super::renders::{join, selectors, words};
use super::standing::{self, Footing};
use super::tree::GitTree;
use super::verdicts::lock_path;
use super::{Repo, held};
use crate::core::action::{Commit, RejectionEdit};
use crate::core::colour::Colour;
use crate::core::desired::Declared;
use crate::core::ids::CommitId;
use crate::core::lock::Lock;
use crate::core::message::commit_message;
use crate::core::policy::Policy;
use crate::core::report::Blocked;
use crate::core::shape::Shape;
use crate::core::text::OneLine;

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// It is on the branch.
    Made(CommitId),
    /// Somebody else was faster: look again from the start.
    Stale,
}

/// Who turquoise's commits are by: name and address. Those that people ask for are in their own name (`person`).
const AUTHOR: (&str, &str) = ("turquoise", "turquoise@localhost");

impl Repo {
    /// Commits to the branch. Where HEAD is not the commit's parent any more, but what came since does not concern the
    /// app, the same commit is made on top of that.
    ///
    /// # Errors
    /// The selector cannot be edited ([`SourceError::NotEditable`]), the branch was checked out meanwhile, or the repo
    /// cannot be written. Nothing has changed then.
    pub fn commit(&self, app: &App, commit: &Commit) -> Result<Committed, SourceError> {
        self.commit_while(app, commit, &|| true)
    }

    /// The same for somebody who may lose the right to it: `leave` is asked right before the branch is moved, and where it
    /// says no, the decision is stale.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_while(&self, app: &App, commit: &Commit, leave: &dyn Fn() -> bool) -> Result<Committed, SourceError> {
        let failed = |blocked: &Blocked| SourceError::Render { commit: commit.parent.clone(), words: words(blocked) };
        let policy = app.policy.as_ref().map_err(failed)?;
        let cluster = self.cluster.as_deref();
        let order = Order { app, commit, cluster, origin: &*self.origin };
        // Renders take their time: they are done before the others are made to wait.
        let prepared = self.at_desk(app, |git, _, papers| {
            self.origin.may_publish(git)?;
            prepare(&mut papers.ground(git, app, &self.branch, policy), &order)
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
            self.reach.pushed(land(git, &self.branch, &order, &prepared, now))
        })
    }
}

/// What a commit is made from, beside the ground.
pub(super) struct Order<'a> {
    pub(super) app: &'a App,
    pub(super) commit: &'a Commit,
    /// The cluster that a lock is for, where the operator named it.
    pub(super) cluster: Option<&'a str>,
    /// Where the branch lives.
    pub(super) origin: &'a dyn Origin,
}

/// A commit's edits, tried at its parent.
pub(super) struct Prepared {
    edits: Vec<Edited>,
    /// Everything of the parent that they rest on.
    pub(super) reads: Arc<Reads>,
}

/// Edits the selectors and the lock at the commit's parent, renders again and compares. Nothing that anybody sees has
/// changed by it; objects of a commit that is not made are garbage for `git gc`.
pub(super) fn prepare(ground: &mut Ground<'_>, order: &Order<'_>) -> Result<Prepared, SourceError> {
    let parent = super::ground::commit(ground.repo, &order.commit.parent)?;
    let surveyed = ground.renders.shape(ground.repo, parent.tree_id(), order.app, ground.policy)?;
    let shape = surveyed.answer.clone().map_err(|blocked| render_error(&order.commit.parent, &words(&blocked)))?;

    let mut edits = Vec::new();
    let lock = edited_lock(ground, &parent, order)?;
    if let Some(colour) = order.commit.selector {
        edits.extend(selector_edits(ground, &parent, &shape, order.app, colour)?);
    } else if let (Some(_), Declared::Colour(colour)) = (&lock, &shape.declared) {
        // Previews that a person's selector edit left behind are mended in passing; that they cannot be is no reason
        // to hold back a verdict.
        edits.extend(selector_edits(ground, &parent, &shape, order.app, *colour).unwrap_or_default());
    }
    edits.extend(lock);
    let tree = write_tree(ground.repo, &parent, &edits)?;
    verify(ground, &parent, tree, order)?;
    let reads = Footing::new(order.app, parent.id(), &surveyed.reads).reads;
    Ok(Prepared { edits, reads })
}

/// Makes a prepared commit on top of `onto` and moves the branch to it, if the branch still stands there.
///
/// # Expected flow
/// Write blobs, trees and commit, publish it: a reference is moved by compare-and-swap, or the commit is pushed under a
/// lease. Until then nothing that anybody sees has changed.
///
/// # Guarantees
/// - No commit of others is lost: the move happens only from `onto` (libgit2's own push to a local path would overwrite
///   them).
/// - P stays as it is, and of the live overlay nothing changes but the colour of live and preview Services.
/// - Files keep their modes, and every byte that is not part of an edit.
///
/// # Assumptions
/// `onto` is the commit's parent, or holds the same in everything that was read there ([`super::standing::holds`]): the
/// same edits are the same change there.
///
/// # Caveats
/// A local repository's `pre-receive` and `update` hooks are not run: libgit2 has none. A push over https or ssh runs them
/// at the server.
pub(super) fn land(
    repo: &Repository,
    branch: &str,
    order: &Order<'_>,
    prepared: &Prepared,
    onto: Oid,
) -> Result<Committed, SourceError> {
    let parent = repo.find_commit(onto).map_err(git("a commit cannot be found"))?;
    let tree = write_tree(repo, &parent, &prepared.edits)?;
    let tree = repo.find_tree(tree).map_err(git("the new tree cannot be read"))?;
    let signature = Signature::now(AUTHOR.0, AUTHOR.1).map_err(git("no valid author"))?;
    let shape = order.app.policy.as_ref().map(|policy| policy.commits.clone()).unwrap_or_default();
    let message = commit_message(order.commit, &order.app.name, branch, &shape);
    let made = repo
        .commit(None, &signature, &signature, &message, &tree, &[&parent])
        .map_err(git("the commit cannot be written"))?;
    let subject = message.lines().next().unwrap_or("turquoise");
    match order.origin.publish(repo, onto, made, subject)? {
        Published::Made => Ok(Committed::Made(id_of(made))),
        Published::Stale => Ok(Committed::Stale),
    }
}

/// The live Services name the colour, the previews the other one.
pub(super) fn selector_edits(
    ground: &Ground<'_>,
    parent: &git2::Commit<'_>,
    shape: &Shape,
    app: &App,
    colour: Colour,
) -> Result<Vec<Edited>, SourceError> {
    let files = GitTree::new(ground.repo, parent.tree_id()).map_err(git("a tree cannot be read"))?;
    let overlay = join(&app.folder, &ground.policy.overlays.live);
    kustomize::set_selectors(&files, &overlay, &app.folder, &selectors(shape, colour))
        .map_err(|why| SourceError::NotEditable { why })
}

/// The lock with the commit's pins and rejection; `None` where that changes nothing.
fn edited_lock(
    ground: &Ground<'_>,
    parent: &git2::Commit<'_>,
    order: &Order<'_>,
) -> Result<Option<Edited>, SourceError> {
    let commit = order.commit;
    let before = ground.lock(parent)?;
    let mut lock = before.clone();
    for colour in Colour::BOTH {
        if let Some(pin) = &commit.pins[colour] {
            lock.pins[colour] = Some(pin.clone());
        }
    }
    match &commit.rejection {
        RejectionEdit::Keep => {}
        RejectionEdit::Clear => lock.rejected = None,
        RejectionEdit::Set(rejection) => lock.rejected = Some(rejection.clone()),
    }
    if lock == before {
        return Ok(None);
    }
    ground.branch.clone_into(&mut lock.branch);
    if let Some(cluster) = order.cluster {
        lock.cluster = Some(cluster.to_owned());
    }
    let text = ground.lock_text(parent)?.unwrap_or_default();
    debug_assert!(Lock::parse(&lock.to_text()).is_ok(), "what is written reads back");
    Ok(Some(Edited { path: lock_path(ground.folder), after: lock.edit_text(&text).into_bytes() }))
}

/// Writes the tree with the edits in it. Files keep their modes.
pub(super) fn write_tree(repo: &Repository, parent: &git2::Commit<'_>, edits: &[Edited]) -> Result<Oid, SourceError> {
    let base = parent.tree().map_err(git("a tree cannot be read"))?;
    let mut update = TreeUpdateBuilder::new();
    for edit in edits {
        let blob = repo.blob(&edit.after).map_err(git("a file cannot be written"))?;
        let executable = base
            .get_path(std::path::Path::new(&edit.path))
            .is_ok_and(|entry| entry.filemode() == i32::from(FileMode::BlobExecutable));
        let mode = if executable { FileMode::BlobExecutable } else { FileMode::Blob };
        update.upsert(edit.path.as_str(), blob, mode);
    }
    update.create_updated(repo, &base).map_err(git("the new tree cannot be written"))
}

/// Renders again: P is as it was, and of the live overlay only the colours of its Services have changed.
fn verify(ground: &mut Ground<'_>, parent: &git2::Commit<'_>, tree: Oid, order: &Order<'_>) -> Result<(), SourceError> {
    if tree == parent.tree_id() {
        return Ok(());
    }
    let refuse = |why: &str| Err(SourceError::NotEditable { why: OneLine::new(why) });
    let before = ground.renders.pair(ground.repo, parent.tree_id(), ground.folder, ground.policy)?;
    let after = ground.renders.pair(ground.repo, tree, ground.folder, ground.policy)?;
    if !before.same(&after) {
        return refuse("the edit would change what the colours render: the selector stands in a file that they share");
    }
    let policy: &Policy = ground.policy;
    let old = ground.renders.live(ground.repo, parent.tree_id(), ground.folder, policy)?;
    let new = ground.renders.live(ground.repo, tree, ground.folder, policy)?;
    let (old, new) = match (&old.answer, &new.answer) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(blocked), _) | (_, Err(blocked)) => return refuse(words(blocked).as_str()),
    };
    if old.overlay != new.overlay || old.live != new.live || old.previews != new.previews {
        return refuse("the edit would change more of the live overlay than its Services' selectors");
    }
    let declared = order.commit.selector.map_or_else(|| old.declared.clone(), Declared::Colour);
    if new.declared != declared {
        return refuse("after the edit the live Services would not all select the colour");
    }
    Ok(())
}

fn render_error(commit: &CommitId, words: &OneLine) -> SourceError {
    SourceError::Render { commit: commit.clone(), words: words.clone() }
}
