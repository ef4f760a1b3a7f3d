//! The watch after a flip (rule 10).

use super::draft::Draft;
use super::standing::{self, Outcome, Standing};
use super::verify::{self, Via};
use super::view::View;
use super::{commit, owed};
use crate::core::action::{Action, Commit, Topic};
use crate::core::colour::Colour;
use crate::core::failure::Failure;
use crate::core::ids::CommitId;
use crate::core::lock::Pin;
use crate::core::observed::{FlipRecord, Readiness, WatchState, after};
use crate::core::report::{Alert, Phase, Plan, Waiting};
use crate::core::text::OneLine;
use crate::core::verdict::Verdict;

/// Watches the newest flip. `None`: the watch is over, or goes on beside whatever else is wanted.
pub(super) fn plan(view: &View<'_>, draft: &mut Draft, serving: Colour) -> Option<Plan> {
    let flip = view.observed.flip()?;
    let pin = view.released_pin(serving)?;
    match flip.watch {
        WatchState::Passed => return None,
        WatchState::Failed => {
            let failure = OneLine::new(&format!("the watch of {} failed", flip.revision.short()));
            draft.alert(Alert::NothingToGoBackTo { failure });
            return None;
        }
        WatchState::Open => {}
    }
    let until = after(flip.at, view.policy.watch);
    // A window that is shorter than the checks need for a first answer ends with that answer, not before it.
    let last = after(until, view.policy.longest_round());
    let over = view.observed.at >= until;
    let overdue = view.observed.at >= last;
    let standing = if view.policy.watch.is_zero() { Standing::Yes } else { healthy(view, serving, flip) };
    let done = overdue || (over && matches!(standing, Standing::Yes));
    match standing {
        Standing::Failed(reason) => {
            return flip_back(view, std::mem::take(draft), serving, pin, flip, &reason.line());
        }
        // What has no answer by then is hindered by others: a window ends.
        Standing::Yes | Standing::Wait(..) if done => {
            draft.act(end(view, flip, WatchState::Passed));
            return Some(std::mem::take(draft).done(Phase::Watching));
        }
        Standing::Act(action) => draft.act(*action),
        Standing::Wait(waiting, _) => draft.wait(waiting),
        Standing::Yes => {}
    }
    let end = if over { last } else { until };
    draft.wait(Waiting::Watch { until: end });
    draft.wake(end);
    None
}

/// Whether the serving colour answers through the live address.
fn healthy(view: &View<'_>, serving: Colour, flip: &FlipRecord) -> Standing {
    match view.state(serving).readiness(view.observed.at) {
        Readiness::Hopeless { who, trouble } => Standing::Failed(Failure::Hopeless { who, trouble }),
        Readiness::Down | Readiness::NotYet { .. } | Readiness::Ready => {
            verify::verified(view, serving, &flip.revision, Via::Live)
        }
    }
}

fn end(view: &View<'_>, flip: &FlipRecord, watch: WatchState) -> Action {
    Action::EndWatch { services: view.live_guards(), record: FlipRecord { watch, ..flip.clone() } }
}

/// Flips back, if the idle colour still holds its pin, of another revision whose newest verdict is not `rejected`, and
/// becomes ready; else says that there is nothing to go back to. A check that fails everywhere must not flip for ever.
fn flip_back(
    view: &View<'_>,
    mut draft: Draft,
    serving: Colour,
    pin: &Pin,
    flip: &FlipRecord,
    reason: &OneLine,
) -> Option<Plan> {
    let idle = serving.other();
    let rejected = |revision| view.newest(revision) == Some(Verdict::Rejected);
    let target = view.released_pin(idle).filter(|back| {
        back.revision != pin.revision
            && view.carries(idle, &back.revision)
            && !rejected(&back.revision)
            && !view.record(idle).is_some_and(|record| rejected(&record.revision))
    });
    if target.is_some() {
        match standing::ready(view, idle, &format!("back@{}", flip.at)).note(&mut draft) {
            Outcome::Pending => return Some(draft.done(Phase::Flipping)),
            Outcome::Yes => {
                draft.act(Action::MarkInUse { colour: idle, at: view.observed.at, guard: view.guard(idle) });
                draft.act(match target.filter(|back| owed::may_owe(view, &back.revision)) {
                    Some(back) => owed::patch_back(view, idle, &back.revision, &pin.revision, reason),
                    None => Action::Commit(back_commit(view, idle, &pin.revision, reason)),
                });
                return Some(draft.done(Phase::Flipping));
            }
            Outcome::Failed(_) => {}
        }
    }
    draft.alert(Alert::NothingToGoBackTo { failure: reason.clone() });
    draft.act(end(view, flip, WatchState::Failed));
    Some(draft.done(Phase::Watching))
}

/// The commit of a flip-back to a colour: its selector, and the rejection of what failed.
pub(super) fn back_commit(view: &View<'_>, to: Colour, failed: &CommitId, reason: &OneLine) -> Commit {
    let topic = Topic::FlipBack { colour: to, reason: reason.clone() };
    let mut commit = commit::empty(view, Some(to), topic);
    commit.selector = Some(to);
    commit::reject(view, commit, failed, reason)
}
