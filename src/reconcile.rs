//! One pass for one app: observe, plan, execute, until there is nothing to do but wait.
//!
//! ```text
//! [IO]   survey   git: what the app looks like at HEAD, or why it cannot be released
//! [IO]   snapshot cluster: what each colour carries, stamped with the time before the first read
//! [IO]   look     git: revision, lock, verdicts, the renders that are compared; HEAD must still be the same
//! [pure] plan     what to do, why to wait
//! [IO]   perform  each action under its guards; the first that fails ends the pass
//! ```

mod asks;
mod compare;
mod error;
mod names;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::checks::Runner;
use crate::cluster::{Cluster, ClusterError, Subject};
use crate::core::action::{Action, ApplyOverlay, Commit};
use crate::core::colour::Colour;
use crate::core::describe::describe;
use crate::core::desired::{Desired, Role};
use crate::core::election::Leave;
use crate::core::grants::Grants;
use crate::core::ids::{CommitId, ObjectKey};
use crate::core::observed::{Observed, Serving, WatchState};
use crate::core::plan::Planner;
use crate::core::policy::Policy;
use crate::core::report::{Blocked, Plan};
use crate::core::shape::Shape;
use crate::core::text::OneLine;
use crate::source::{App, Carried, Committed, Part, Repo, Seen, SourceError};

pub use error::PassError;

/// Plans in one pass: a release from commit to patch takes six; more than this is a loop, and the next trigger goes on.
const ROUNDS_MAX: usize = 16;

/// Everything that a pass needs.
#[derive(Clone)]
pub struct Reconciler {
    /// The app.
    pub app: Arc<App>,
    /// Its repository; git is blocking, so it is used on a thread of its own.
    pub repo: Arc<Repo>,
    /// The cluster.
    pub cluster: Cluster,
    /// Its checks.
    pub checks: Runner,
    /// The namespace where the policy names none.
    pub namespace: String,
    /// What the operator grants.
    pub grants: Arc<Grants>,
    /// The cluster's name, where the operator gave it one.
    pub cluster_name: Option<String>,
    /// The one clock.
    pub clock: fn() -> Timestamp,
    /// What decides.
    pub planner: Planner,
    /// When the API server was found out of reach last.
    pub lost_at: Option<Timestamp>,
    /// What is done with a plan.
    pub hand: Hand,
}

/// What is done with a plan.
#[derive(Clone)]
pub enum Hand {
    /// It is carried out, as long as there is leave to.
    Acts(Leave),
    /// It is said, and nothing is written.
    DryRun,
    /// It is left to another replica.
    StandsBy,
}

/// What a pass found last.
#[derive(Debug)]
pub struct Found {
    /// HEAD.
    pub head: CommitId,
    /// When the look began.
    pub at: Timestamp,
    /// Facts and plan, or why there are none.
    pub view: Result<Box<View>, Blocked>,
}

/// Facts and plan.
#[derive(Debug)]
pub struct View {
    /// What git says.
    pub desired: Desired,
    /// What the cluster says.
    pub observed: Observed,
    /// What follows.
    pub plan: Plan,
    /// When the newest verdict was committed.
    pub verdict_at: Option<Timestamp>,
    /// Which objects it is about.
    subject: Subject,
}

/// What a pass did, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    /// Deployed a commit's overlay.
    Deployed {
        /// The colour.
        colour: Colour,
        /// The revision.
        revision: CommitId,
        /// Which attempt it is.
        attempt: String,
    },
    /// Made a commit.
    Committed {
        /// Its id.
        id: CommitId,
        /// What it says.
        commit: Box<Commit>,
    },
    /// Switched the live Services.
    Switched {
        /// The colour.
        to: Colour,
        /// The revision.
        revision: CommitId,
    },
    /// Applied the live overlay for the first time.
    WentLive {
        /// The colour that it selects.
        colour: Colour,
        /// Its revision.
        revision: CommitId,
    },
    /// Put right what was not as it was released.
    Mended {
        /// What.
        words: OneLine,
    },
    /// Would do this, were it not a dry run.
    Would(String),
    /// Did something that changes no release.
    Other(&'static str),
}

impl Reconciler {
    /// The app's namespace.
    #[must_use]
    pub fn app_namespace(&self) -> &str {
        let policy = self.app.policy.as_ref().ok();
        policy.and_then(|policy| policy.namespace.as_deref()).unwrap_or(&self.namespace)
    }

    /// Looks, plans and acts until there is nothing to do but wait. `did` hears of every action that was done.
    ///
    /// # Errors
    /// What git or the cluster refused or did not answer. A conflict is an error too: look again.
    pub async fn pass(&self, mut did: impl FnMut(Did)) -> Result<Found, PassError> {
        let policy = match &self.app.policy {
            Ok(policy) => policy.clone(),
            Err(blocked) => return self.nothing_but(blocked.clone()).await,
        };
        if let Some(blocked) = self.grants.refuse(&policy, &self.namespace) {
            return self.nothing_but(blocked).await;
        }
        let mut rounds = 0;
        loop {
            rounds += 1;
            let at = (self.clock)();
            let head = self.head().await?;
            let view = match self.look(&head, at, &policy).await? {
                Ok(view) => view,
                Err(blocked) => return Ok(Found { head, at, view: Err(blocked) }),
            };
            self.forget_old_checks(&view, &policy);
            let mut moved = false;
            for action in &view.plan.actions {
                let leave = match &self.hand {
                    Hand::Acts(leave) => leave,
                    Hand::DryRun => {
                        did(Did::Would(describe(action, &self.app.name, &view.desired.branch, &policy.commits)));
                        continue;
                    }
                    Hand::StandsBy => break,
                };
                self.perform(action, &view, &policy, leave, &mut did).await?;
                // A check says something only when its result is there.
                moved |= !matches!(action, Action::Check { .. });
            }
            if !moved || rounds >= ROUNDS_MAX {
                let verdict_at = self.git(Repo::newest_verdict_at).await?;
                return Ok(Found { head, at, view: Ok(Box::new(View { verdict_at, ..view })) });
            }
        }
    }

    /// What blocks the app before the cluster is looked at.
    async fn nothing_but(&self, blocked: Blocked) -> Result<Found, PassError> {
        let head = self.head().await?;
        let commit = head.clone();
        // Notes what of HEAD it was about: other apps' commits are no reason to say it again.
        drop(self.git(move |repo, app| repo.survey(app, &commit)).await?);
        Ok(Found { head, at: (self.clock)(), view: Err(blocked) })
    }

    /// HEAD as it is now. The app must still be what this pass was made for: a policy that changed is another app.
    async fn head(&self) -> Result<CommitId, PassError> {
        let same = self.git(|repo, app| {
            let head = repo.head_for(app)?;
            let apps = repo.apps(&head)?;
            Ok(apps.iter().any(|now| **now == *app).then_some(head))
        });
        same.await?.ok_or_else(head_moved)
    }

    async fn git<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repo, &App) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, PassError> {
        let (repo, app) = (Arc::clone(&self.repo), Arc::clone(&self.app));
        Ok(tokio::task::spawn_blocking(move || work(&repo, &app)).await??)
    }

    async fn look(&self, head: &CommitId, at: Timestamp, policy: &Policy) -> Result<Result<View, Blocked>, PassError> {
        let commit = head.clone();
        let shape = match self.git(move |repo, app| repo.survey(app, &commit)).await? {
            Ok(shape) => shape,
            Err(blocked) => return Ok(Err(blocked)),
        };
        let live = self.objects(head, Part::Live).await?;
        let subject = self.subject(&shape, &live);
        // Before the cluster is looked at: what made a check fail is seen by this look, or was mended since and is seen
        // by the Services' versions.
        let checks = self.checks.states(&self.app.name);
        let mut observed = self.cluster.snapshot(&subject, at).await?;
        observed.checks = checks;
        observed.lost_at = self.lost_at;
        let carried = observed
            .colours
            .iter()
            .filter_map(|(_, state)| state.record.as_ref())
            .map(|record| Carried { revision: record.revision.clone(), deployed_at: record.deployed_at.clone() })
            .collect();
        let flip = observed.flip();
        let seen = Seen {
            carried,
            flipped_under: flip.map(|flip| flip.head.clone()),
            flipped_to: flip.map(|flip| flip.revision.clone()),
        };
        let commit = head.clone();
        let desired = match self.git(move |repo, app| repo.look(app, &commit, &seen)).await? {
            Ok(desired) => desired,
            Err(blocked) => return Ok(Err(blocked)),
        };
        observed.drift = self.drift(&subject, &desired, &observed).await?;
        observed.stands_as_head = self.stands_as_head(&subject, &desired, &observed).await?;
        // The cluster was looked at under this HEAD; with an older one a flip of our own would look like a person's. What
        // others committed meanwhile, and what does not concern this app, changes nothing of what was read.
        if self.git(Repo::still).await?.is_none() {
            return Err(head_moved());
        }
        if let Some(named) = desired.lock.cluster.as_ref().filter(|named| Some(*named) != self.cluster_name.as_ref()) {
            return Ok(Err(Blocked::OtherCluster { cluster: OneLine::new(named) }));
        }
        let plan = (self.planner)(&desired, &observed, policy);
        Ok(Ok(View { desired, observed, plan, verdict_at: None, subject }))
    }

    fn subject(&self, shape: &Shape, live: &[Value]) -> Subject {
        let services = shape.overlay.objects.iter().filter(|one| matches!(one.role, Role::Live | Role::Preview));
        let rendered =
            |key: &ObjectKey| live.iter().find(|object| ObjectKey::of(object).as_ref() == Some(key)).cloned();
        let mut expected: BTreeSet<ObjectKey> = shape.overlay.objects.iter().map(|one| one.key.clone()).collect();
        for colour in Colour::BOTH {
            expected.extend(shape.renders[colour].objects.iter().cloned());
        }
        Subject {
            app: self.app.name.clone(),
            namespace: self.app_namespace().to_owned(),
            key: shape.key.clone(),
            live: shape.live.clone(),
            previews: shape.previews.clone(),
            kinds: shape.kinds.clone(),
            overlay: services.filter_map(|one| Some((one.clone(), rendered(&one.key)?))).collect(),
            expected,
        }
    }

    /// Results about other pods, another policy or a watch that is over say nothing.
    fn forget_old_checks(&self, view: &View, policy: &Policy) {
        let digest = policy.digest();
        let watched = view.observed.flip().is_some_and(|flip| flip.watch == WatchState::Open);
        self.checks.retain(&self.app.name, |key| {
            key.policy == digest
                && key.pods == view.observed.colours[key.colour].pod_identities()
                && (watched || !key.repeat)
        });
    }

    async fn objects(&self, commit: &CommitId, part: Part) -> Result<Arc<Vec<Value>>, PassError> {
        let commit = commit.clone();
        self.git(move |repo, app| repo.objects(app, &commit, part)).await
    }

    /// Does one action.
    async fn perform(
        &self,
        action: &Action,
        view: &View,
        policy: &Policy,
        leave: &Leave,
        did: &mut impl FnMut(Did),
    ) -> Result<(), PassError> {
        if let Action::Commit(commit) = action {
            return self.commit(commit, leave, did).await;
        }
        if let Action::Check { keys } = action {
            for key in keys {
                let Some(check) = policy.checks.iter().find(|check| check.name == key.check) else { continue };
                if let Some(ask) = self.ask(check, key, view).await? {
                    self.checks.start(&self.app.name, key, ask);
                }
            }
            return Ok(());
        }
        // Traffic is switched only by a HEAD that git was asked for just now; a flip-back that git is owed is for when it
        // cannot be asked.
        if matches!(action, Action::Switch(switch) if switch.record.owed.is_none()) {
            let head = view.desired.head.clone();
            if !self.git(move |repo, app| repo.confirm(app, &head)).await? {
                return Err(head_moved());
            }
        }
        did(self.write(action, view).await?);
        Ok(())
    }

    async fn write(&self, action: &Action, view: &View) -> Result<Did, PassError> {
        let (cluster, subject) = (&self.cluster, &view.subject);
        Ok(match action {
            Action::ApplyOverlay(apply) => self.apply_overlay(apply, view).await?,
            Action::Deploy(deploy) => {
                let objects = self.objects(&deploy.render, Part::Colour(deploy.colour)).await?;
                cluster.deploy(subject, deploy, &objects).await?;
                Did::Deployed {
                    colour: deploy.colour,
                    revision: deploy.record.revision.clone(),
                    attempt: deploy.record.attempt.clone(),
                }
            }
            Action::Scale(scale) => {
                cluster.scale(subject, scale).await?;
                Did::Other(if scale.attempt.is_some() { "scaled up" } else { "scaled down" })
            }
            Action::Stamp(stamp) => {
                cluster.stamp(subject, stamp).await?;
                Did::Other("started a deadline")
            }
            Action::MarkInUse { at, guard, .. } => {
                cluster.mark_in_use(subject, *at, guard).await?;
                Did::Other("marked as about to take traffic")
            }
            Action::Adopt(adopt) => {
                cluster.adopt(subject, adopt).await?;
                Did::Other("took over what others applied")
            }
            Action::Recreate { colour, render, objects: missing, record } => {
                let objects = self.objects(render, Part::Colour(*colour)).await?;
                cluster.recreate(subject, *colour, missing, record, &objects).await?;
                let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
                Did::Mended { words: OneLine::new(&format!("missing and created again: {}", names.join(", "))) }
            }
            Action::Schedules(schedules) => {
                cluster.run_schedules(subject, schedules).await?;
                Did::Other("let the serving colour's CronJobs run, and no others")
            }
            Action::Resize { sizes, bounds, versions, .. } => {
                cluster.resize(subject, sizes, bounds, versions).await?;
                Did::Other("resized")
            }
            Action::Prune { colour, objects, guard } => {
                cluster.prune(subject, *colour, objects, guard).await?;
                Did::Other("pruned")
            }
            Action::NoteInventory(inventory) => {
                cluster.note_inventory(subject, inventory).await?;
                Did::Other("noted what the live overlay has")
            }
            Action::PruneOverlay { objects, left } => {
                cluster.prune_overlay(subject, objects, left).await?;
                Did::Other("pruned the live overlay")
            }
            Action::PointPreviews { services, to } => {
                cluster.point_previews(subject, services, *to).await?;
                Did::Other("pointed the previews at the idle colour")
            }
            Action::Switch(switch) => {
                let objects = self.objects(&switch.render, Part::Live).await?;
                let overlay = view.desired.overlay(&switch.render);
                cluster.switch(subject, switch, overlay, &objects).await?;
                Did::Switched { to: switch.to, revision: switch.record.revision.clone() }
            }
            Action::EndWatch { services, record } => {
                cluster.end_watch(subject, services, record).await?;
                Did::Other("ended the watch")
            }
            Action::Check { .. } | Action::Commit(_) => Did::Other("nothing to write"),
        })
    }

    async fn apply_overlay(&self, apply: &ApplyOverlay, view: &View) -> Result<Did, PassError> {
        let (subject, overlay) = (&view.subject, view.desired.overlay(&apply.render));
        let objects = self.objects(&apply.render, Part::Live).await?;
        self.cluster.apply_overlay(subject, apply, overlay, &objects).await?;
        let first = apply.objects.iter().any(|key| key.kind == "Service" && subject.live.contains(&key.name));
        let record = view.observed.colours[apply.live].record.as_ref();
        Ok(match record.filter(|_| first && view.observed.serving() == Serving::Nothing) {
            Some(record) => Did::WentLive { colour: apply.live, revision: record.revision.clone() },
            None => Did::Other("applied the live overlay"),
        })
    }

    async fn commit(&self, commit: &Commit, leave: &Leave, did: &mut impl FnMut(Did)) -> Result<(), PassError> {
        let (wanted, leave) = (commit.clone(), Arc::clone(leave));
        match self.git(move |repo, app| repo.commit_while(app, &wanted, &*leave)).await? {
            Committed::Made(id) => {
                did(Did::Committed { id, commit: Box::new(commit.clone()) });
                Ok(())
            }
            Committed::Stale => Err(head_moved()),
        }
    }
}

fn head_moved() -> PassError {
    ClusterError::Conflict("HEAD".into()).into()
}
