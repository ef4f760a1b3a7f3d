//! What is known of one app: renders, walks, and what the newest look stood on. Each app has a desk of its own, so that
//! nobody waits for another app's renders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use git2::Repository;
use jiff::Timestamp;

use super::apps::App;
use super::error::SourceError;
use super::ground::{self, Ground, id_of, is_in_history};
use super::reads::Reads;
use super::renders::{Renders, join, words};
use super::standing::Footing;
use super::verdicts::{self, Log};
use super::walk::{self, Own, Run, Turn};
use super::{Carried, Part, Seen, held};
use crate::core::colour::{ByColour, Colour};
use crate::core::desired::{Desired, Overlay, Render};
use crate::core::ids::CommitId;
use crate::core::policy::Policy;
use crate::core::report::Blocked;
use crate::core::shape::Shape;
use crate::core::verdict::VerdictLog;

/// See the module.
#[derive(Default)]
pub(super) struct Desk {
    /// Held for as long as a render takes.
    pub(super) papers: Mutex<Papers>,
    /// Held for a moment: whoever asks whether the app must be looked at does not wait for renders.
    pub(super) footing: Mutex<Option<Arc<Footing>>>,
}

/// What is kept between looks.
#[derive(Default)]
pub(super) struct Papers {
    renders: Renders,
    walks: Walks,
}

/// What the walks found last, so that the next ones stop there.
#[derive(Default)]
struct Walks {
    run: Option<Run>,
    turn: Option<Turn>,
    log: Option<Log>,
    own: Option<Own>,
}

impl Desk {
    /// The app at a HEAD, rendered, classified and checked; notes what that stands on.
    pub(super) fn survey(
        &self,
        papers: &mut Papers,
        git: &Repository,
        app: &App,
        head: &CommitId,
    ) -> Result<Result<Arc<Shape>, Blocked>, SourceError> {
        let head = ground::commit(git, head)?;
        let known = held(&self.footing).as_ref().is_some_and(|known| known.head == head.id() && known.app == *app);
        let stands_on = |reads: &Reads| {
            if !known {
                *held(&self.footing) = Some(Arc::new(Footing::new(app, head.id(), reads)));
            }
        };
        match &app.policy {
            Ok(policy) => {
                let shape = papers.renders.shape(git, head.tree_id(), app, policy)?;
                stands_on(&shape.reads);
                Ok(shape.answer.clone())
            }
            Err(blocked) => {
                stands_on(&Reads::default());
                Ok(Err(blocked.clone()))
            }
        }
    }
}

impl Papers {
    /// What walks through the app's history stand on.
    pub(super) fn ground<'a>(
        &'a mut self,
        repo: &'a Repository,
        app: &'a App,
        branch: &'a str,
        policy: &'a Arc<Policy>,
    ) -> Ground<'a> {
        Ground { repo, renders: &mut self.renders, folder: &app.folder, name: &app.name, branch, policy }
    }

    /// Forgets the lists of whole objects.
    pub(super) fn put_away(&mut self) {
        self.renders.put_away();
    }

    /// How many renders of colours are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.renders.kept()
    }

    /// See [`super::Repo::look`].
    pub(super) fn look(
        &mut self,
        git: &Repository,
        app: &App,
        branch: &str,
        shape: &Shape,
        head: &CommitId,
        seen: &Seen,
    ) -> Result<Result<Desired, Blocked>, SourceError> {
        let policy = match &app.policy {
            Ok(policy) => policy,
            Err(blocked) => return Ok(Err(blocked.clone())),
        };
        let Self { renders, walks } = self;
        let known = std::mem::take(walks);
        let mut ground = Ground { repo: git, renders, folder: &app.folder, name: &app.name, branch, policy };
        let commit = ground::commit(ground.repo, head)?;
        let run = walk::run(&mut ground, &commit, known.run.as_ref())?;
        let turn = walk::turn(&mut ground, &commit, &shape.declared, known.turn.as_ref())?;
        let log = verdicts::log(&mut ground, &commit, known.log.as_ref())?;
        let own = walk::own(&mut ground, &commit, known.own.as_ref())?;
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
        wanted.extend(seen.flipped_to.clone());
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
            // Whoever asked the server knows better.
            out_of_reach: false,
            unchanged_since: unchanged_since(&mut ground, &commit, &run, &seen.carried)?,
            lock_is_lost: lock.branch.is_empty(),
            own_lock,
            lock,
        };
        *walks = Walks { run: Some(run), turn: Some(turn), log: Some(log), own: Some(own) };
        Ok(Ok(desired))
    }

    /// See [`super::Repo::newest_verdict_at`].
    pub(super) fn newest_verdict_at(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.walks.log.as_ref()?.newest_at?).ok()
    }

    /// See [`super::Repo::objects`].
    pub(super) fn objects(
        &mut self,
        git: &Repository,
        app: &App,
        commit: &CommitId,
        part: Part,
    ) -> Result<Arc<Vec<serde_json::Value>>, SourceError> {
        let tree = ground::commit(git, commit)?.tree_id();
        let failed = |blocked: &Blocked| SourceError::Render { commit: commit.clone(), words: words(blocked) };
        let today = app.policy.as_ref().map_err(failed)?;
        let policy = self.renders.policy_at(git, tree, &app.folder, today)?;
        let overlay = match part {
            Part::Colour(Colour::Blue) => &policy.overlays.blue,
            Part::Colour(Colour::Green) => &policy.overlays.green,
            Part::Live => &policy.overlays.live,
        };
        let objects = self.renders.objects(git, tree, &join(&app.folder, overlay))?;
        let manifests = objects.answer.as_ref().map_err(failed)?;
        Ok(Arc::new(manifests.iter().map(|manifest| manifest.value.clone()).collect()))
    }
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
