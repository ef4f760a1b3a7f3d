//! Git has lost what it knew of the colour that serves: its lock was deleted, broken or damaged, a merge brought another
//! branch's, or somebody rewrote history (rule 13). What serves stays, and git is told again.

use super::commit;
use super::draft::Draft;
use super::view::View;
use crate::core::action::{Action, Commit, RejectionEdit, Topic};
use crate::core::colour::Colour;
use crate::core::ids::CommitId;
use crate::core::lock::{Lock, Pin, PinState};
use crate::core::observed::FlipRecord;
use crate::core::report::{Phase, Plan};
use crate::core::verdict::Verdict;

/// Whether something of it must be restored before anything else is decided.
pub(super) fn is_due(view: &View<'_>, declared: Colour, serving: Colour) -> bool {
    let settled = declared == serving;
    let knows = view.pin(serving).is_some_and(|pin| holds(view, serving, pin));
    carried(view, serving).is_some()
        && if settled {
            !knows || view.desired.rewritten
        } else {
            misled(view) || (view.desired.lock_is_lost && !knows)
        }
}

/// Puts lock and selector back by one commit. The flip's record then speaks of the new history.
pub(super) fn plan(view: &View<'_>, declared: Colour, serving: Colour) -> Plan {
    let mut draft = Draft::default();
    match restored(view, declared, serving) {
        Some(commit) => draft.act(Action::Commit(commit)),
        None => draft.act_all(view.observed.flip().filter(|_| view.desired.rewritten).map(|flip| {
            let record = FlipRecord { head: view.head().clone(), ..flip.clone() };
            Action::EndWatch { services: view.live_guards(), record }
        })),
    }
    draft.done(Phase::Settled)
}

/// Whether git's selector is nobody's word for this branch: its last change came with another branch, or the history that
/// knew of the last flip is gone.
fn misled(view: &View<'_>) -> bool {
    view.desired.rewritten || view.selector_change().is_some_and(|change| change.from_elsewhere)
}

/// What a colour carries, as its workloads say. Where they are gone and git knows of nothing there either, the live
/// Service's record still tells what traffic was switched to.
fn carried<'a>(view: &View<'a>, colour: Colour) -> Option<&'a CommitId> {
    let flipped = || {
        let flip = view.observed.flip().filter(|flip| flip.from == colour.other());
        flip.filter(|_| view.pin(colour).is_none()).map(|flip| &flip.revision)
    };
    view.record(colour).map(|record| &record.revision).or_else(flipped)
}

/// Whether a pin is of what the colour carries.
fn holds(view: &View<'_>, colour: Colour, pin: &Pin) -> bool {
    carried(view, colour)
        .is_some_and(|revision| pin.revision == *revision || view.desired.same_content(&pin.revision, revision, colour))
}

/// The commit that restores; `None` where nothing is to be written.
fn restored(view: &View<'_>, declared: Colour, serving: Colour) -> Option<Commit> {
    let known = view.desired.own_lock.is_some() || view.desired.rewritten || view.observed.flip().is_some();
    let topic = if known { Topic::RestoreLock { colour: serving } } else { Topic::Adopt { colour: serving } };
    let mut commit = commit::empty(view, Some(serving), topic);
    commit.selector = (declared != serving).then_some(serving).filter(|_| misled(view));
    if view.pin(serving).is_none_or(|pin| !holds(view, serving, pin)) {
        let own = view.desired.own_lock.as_ref();
        let own = own.filter(|lock| lock.pins[serving].as_ref().is_some_and(|pin| holds(view, serving, pin)));
        commit = match own {
            Some(lock) => from_own_lock(view, commit, lock),
            None => from_cluster(view, commit, serving),
        };
    }
    let changes = commit.selector.is_some()
        || commit.pins.iter().any(|(_, pin)| pin.is_some())
        || commit.rejection != RejectionEdit::Keep;
    changes.then_some(commit)
}

/// The lock as turquoise last left it, whole.
fn from_own_lock(view: &View<'_>, mut commit: Commit, own: &Lock) -> Commit {
    for colour in Colour::BOTH {
        commit.pins[colour] = own.pins[colour].clone().filter(|pin| view.pin(colour) != Some(pin));
    }
    if view.desired.lock.rejected != own.rejected {
        commit.rejection = own.rejected.clone().map_or(RejectionEdit::Keep, RejectionEdit::Set);
    }
    commit
}

/// As the workloads' annotations say: what serves, and what took traffic before and is kept. A verdict that went with the
/// history is said again.
fn from_cluster(view: &View<'_>, commit: Commit, serving: Colour) -> Commit {
    let Some(revision) = carried(view, serving) else { return commit };
    let Some(mut commit) = commit::pin(view, commit.clone(), serving, revision, PinState::Released) else {
        return commit;
    };
    let unheard = view.desired.rewritten || view.desired.own_lock.is_none();
    if unheard && !view.desired.verdicts.mentions(revision) {
        commit = commit::say(view, commit, revision, Verdict::Released);
    }
    let idle = serving.other();
    let kept = view.record(idle).filter(|record| record.in_use && view.pin(idle).is_none());
    match kept {
        Some(kept) if view.newest(&kept.revision) != Some(Verdict::Rejected) => {
            commit::pin(view, commit.clone(), idle, &kept.revision, PinState::Released).unwrap_or(commit)
        }
        Some(_) | None => commit,
    }
}
