//! Git names a colour that is not serving: a person's selector edit, a reverted flip, an approval, a crash between push
//! and patch, a Service patched by hand. One rule for all of them (rule 5).

use super::draft::Draft;
use super::standing::{self, Keep, Outcome};
use super::verify::{self, Via};
use super::view::View;
use super::{commit, overlay};
use crate::core::action::{Action, Commit, Topic};
use crate::core::colour::Colour;
use crate::core::ids::CommitId;
use crate::core::lock::PinState;
use crate::core::report::{Phase, Plan};
use crate::core::text::OneLine;
use crate::core::verdict::Verdict;

/// The declared colour's content is made ready, verified unless it was released before, pinned, then patched to; if
/// that fails, the selector is taken back.
pub(super) fn plan(view: &View<'_>, declared: Colour, serving: Colour) -> Plan {
    let mut draft = Draft::default();
    let source = content(view, declared, serving);
    draft.act_all(overlay::before_candidate(view, source, serving, declared));
    let attempt = attempt(view, source);
    if !view.carries(declared, source) {
        draft.act(standing::deploy(view, declared, source, attempt, Keep::Nothing));
        return draft.done(Phase::Deploying);
    }
    if view.record(declared).is_some_and(|record| record.revision != *source) {
        draft.act(standing::deploy(view, declared, source, attempt, Keep::UseAndTime));
        return draft.done(Phase::Deploying);
    }
    match standing::ready(view, declared, &attempt).note(&mut draft) {
        Outcome::Pending => return draft.done(Phase::Deploying),
        Outcome::Failed(reason) => {
            draft.act(Action::Commit(take_back(view, serving, declared, source, &reason.line())));
            return draft.done(Phase::Flipping);
        }
        Outcome::Yes => {}
    }
    let pinned = view.released_pin(declared).is_some_and(|pin| pin.revision == *source);
    if !(pinned && view.desired.verdicts.released_and_not_rejected_since(source)) {
        match verify::verified(view, declared, source, Via::Preview).note(&mut draft) {
            Outcome::Pending => return draft.done(Phase::Verifying),
            Outcome::Failed(reason) => {
                draft.act(Action::Commit(take_back(view, serving, declared, source, &reason.line())));
                return draft.done(Phase::Flipping);
            }
            Outcome::Yes => {}
        }
    }
    // Marked before the patch, too: the mark carries the workloads' versions, so that a stale look at a colour that was
    // scaled down or deleted since cannot move traffic to it.
    draft.act(Action::MarkInUse { colour: declared, at: view.observed.at, guard: view.guard(declared) });
    if !pinned || view.newest(source) != Some(Verdict::Released) {
        let empty = commit::empty(view, Some(declared), Topic::Pin { colour: declared });
        let pinned = commit::pin(view, empty, declared, source, PinState::Released);
        draft.act_all(pinned.map(|pinned| Action::Commit(commit::say(view, pinned, source, Verdict::Released))));
    } else {
        draft.act(overlay::switch(view, declared, source, serving));
    }
    draft.done(Phase::Flipping)
}

/// What the declared colour must hold: (a) its undecided candidate, or HEAD; else (b) its pin; else (c) HEAD.
fn content<'a>(view: &View<'a>, declared: Colour, serving: Colour) -> &'a CommitId {
    let pin = view.pin(declared);
    let revision = view.revision();
    let takes_head = is_untouched_candidate(view, declared) || came_with_the_selector(view, declared, serving);
    match pin.filter(|pin| view.is_reachable(pin)) {
        Some(pin) if pin.state == PinState::Verified || !takes_head => &pin.revision,
        Some(_) | None => revision,
    }
}

/// The colour carries R, nothing was decided about R, and since it was deployed P and the lock are unchanged.
fn is_untouched_candidate(view: &View<'_>, declared: Colour) -> bool {
    view.record(declared).is_some_and(|record| {
        record.revision == *view.revision()
            && view.desired.same_content(&record.revision, view.head(), declared)
            && !view.desired.verdicts.mentions(view.revision())
            && view.desired.unchanged_since.contains(&record.deployed_at)
    })
}

/// R has no verdict, is not newer than the selector's last change, and a person made that change and left the lock
/// alone: the bump came with the selector edit, or before it. A lock that was written since says what was decided about
/// that change: an approved pin goes live, and nothing newer. Content that serves already, or that the pin holds
/// already, is no reason to leave the pin.
fn came_with_the_selector(view: &View<'_>, declared: Colour, serving: Colour) -> bool {
    let head = view.head();
    let serves = view.pin(serving).is_none_or(|pin| view.desired.same_pair(head, &pin.revision));
    let pinned = view.pin(declared).is_some_and(|pin| view.desired.same_content(head, &pin.revision, declared));
    !view.desired.verdicts.mentions(view.revision())
        && view
            .selector_change()
            .is_some_and(|change| change.holds_revision && change.by_person && change.left_lock_alone)
        && !serves
        && !pinned
}

/// Each change of the selector, in git or in the cluster, is an attempt with its own deadline.
fn attempt(view: &View<'_>, source: &CommitId) -> String {
    let change = view.selector_change().map_or("-", |change| change.commit.short());
    let flip = view.observed.flip().map_or_else(|| "-".to_owned(), |flip| flip.at.to_string());
    format!("{}@{change}/{flip}", view.attempt(source))
}

/// Takes the selector back to the serving colour. The serving revision is never rejected by this.
fn take_back(view: &View<'_>, serving: Colour, declared: Colour, source: &CommitId, reason: &OneLine) -> Commit {
    let mut commit = commit::empty(view, Some(serving), Topic::Reject { colour: declared, reason: reason.clone() });
    commit.selector = Some(serving);
    if view.pin(serving).is_some_and(|pin| pin.revision == *source) {
        return commit;
    }
    commit::reject(view, commit, source, reason)
}
