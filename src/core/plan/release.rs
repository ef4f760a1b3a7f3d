//! What is wanted (rules 1-4), verified and committed (rules 8, 9, 11).

use super::draft::Draft;
use super::standing::{self, Keep, Outcome};
use super::verify::{self, Via};
use super::view::View;
use super::{agreed, commit, dropped, idle, overlay};
use crate::core::action::{Action, Topic};
use crate::core::colour::Colour;
use crate::core::desired::Role;
use crate::core::ids::CommitId;
use crate::core::lock::{Pin, PinState};
use crate::core::policy::Promotion;
use crate::core::report::{Alert, Blocked, Phase, Plan, Waiting};
use crate::core::text::OneLine;
use crate::core::verdict::Verdict;

/// Brings HEAD's content into the idle colour and flips to it, or keeps house where nothing is wanted.
pub(super) fn plan(view: &View<'_>, mut draft: Draft, serving: Colour) -> Plan {
    let candidate = serving.other();
    let live = view.pin(serving);
    if is_settled(view, live) {
        return settled(view, draft, serving);
    }
    let back = view.released_pin(candidate).filter(|pin| view.desired.same_pair(view.head(), &pin.revision));
    if back.is_none() && live.is_some_and(|pin| view.desired.same_content(view.head(), &pin.revision, candidate)) {
        draft.block(Blocked::LiveOverlayOnly { colour: serving });
        idle::keep_house(view, &mut draft, candidate);
        return draft.done(Phase::Blocked);
    }
    let revision = view.revision();
    draft.act_all(overlay::before_candidate(view, revision, serving, candidate));
    let attempt = view.attempt(revision);
    if !view.carries(candidate, view.head()) {
        draft.act(standing::deploy(view, candidate, revision, attempt, Keep::Nothing));
        return draft.done(Phase::Deploying);
    }
    if view.record(candidate).is_some_and(|record| record.revision != *revision) {
        draft.act(standing::deploy(view, candidate, revision, attempt, Keep::Use));
        return draft.done(Phase::Deploying);
    }
    match standing::ready(view, candidate, &attempt).note(&mut draft) {
        Outcome::Pending => return draft.done(Phase::Deploying),
        Outcome::Failed(failure) if is_verified(view, candidate, revision) => {
            // It was good once, and whoever approves it waits for it to be ready again: rule 5 has its own deadline.
            draft.alert(Alert::VerifiedNotReady { colour: candidate, failure: failure.line() });
            return await_approval(view, draft, serving, revision);
        }
        Outcome::Failed(reason) => return reject(view, draft, serving, &reason.line()),
        Outcome::Yes => {}
    }
    if !back.is_some_and(|pin| may_skip_checks(view, candidate, pin)) {
        match verify::verified(view, candidate, revision, Via::Preview).note(&mut draft) {
            Outcome::Pending => return draft.done(Phase::Verifying),
            Outcome::Failed(reason) => return reject(view, draft, serving, &reason.line()),
            Outcome::Yes => {}
        }
    }
    if view.policy.promotion == Promotion::Manual && back.is_none() {
        return await_approval(view, draft, serving, revision);
    }
    flip(view, draft, candidate, back.is_some())
}

/// Nothing is wanted: HEAD is live already, or R has a standing verdict (rule 1).
fn is_settled(view: &View<'_>, live: Option<&Pin>) -> bool {
    let revision = view.revision();
    live.is_some_and(|pin| is_head(view, pin))
        || view.stands_rejected(revision)
        || view.newest(revision) == Some(Verdict::Withdrawn)
}

/// Whether a pin is of HEAD's content. Where its commit is gone, the digests that were stored with it are all there is to
/// tell that nothing needs to be released (rule 13).
fn is_head(view: &View<'_>, pin: &Pin) -> bool {
    let stored = || {
        let head = view.desired.renders.get(view.head());
        head.is_some_and(|head| head.blue.digest == pin.digests.blue && head.green.digest == pin.digests.green)
    };
    view.desired.same_pair(view.head(), &pin.revision) || (!view.is_reachable(pin) && stored())
}

fn settled(view: &View<'_>, mut draft: Draft, serving: Colour) -> Plan {
    // While R stands rejected or withdrawn, the routing that came with it is not wanted either.
    let head = view.head();
    let from = match view.pin(serving) {
        Some(pin) if !is_head(view, pin) => &pin.revision,
        Some(_) | None => head,
    };
    let roles = [Role::Shared, Role::Routing, Role::Preview, Role::Live];
    let applied = overlay::apply(view, from, &roles, serving, serving.other());
    draft.act_all(applied.or_else(|| dropped::note_all(view, from)));
    draft.act_all(overlay::point_previews(view, serving.other()));
    draft.act_all(agreed::resized(view, serving.other()));
    idle::keep_house(view, &mut draft, serving.other());
    draft.act_all(dropped::prune(view, from));
    draft.done(Phase::Settled)
}

/// A return's checks are skipped only if the colour has carried exactly this content ever since it was released, and
/// that release was not rejected later (rule 2).
fn may_skip_checks(view: &View<'_>, candidate: Colour, pin: &Pin) -> bool {
    view.record(candidate).is_some_and(|record| record.in_use) && view.newest(&pin.revision) != Some(Verdict::Rejected)
}

fn reject(view: &View<'_>, mut draft: Draft, serving: Colour, reason: &OneLine) -> Plan {
    let topic = Topic::Reject { colour: serving.other(), reason: reason.clone() };
    let empty = commit::empty(view, Some(serving), topic);
    draft.act(Action::Commit(commit::reject(view, empty, view.revision(), reason)));
    draft.done(Phase::Verifying)
}

/// The verified candidate is pinned as such; a person's commit that flips the selector approves that pin (rule 11).
fn await_approval(view: &View<'_>, mut draft: Draft, serving: Colour, revision: &CommitId) -> Plan {
    let colour = serving.other();
    if is_verified(view, colour, revision) {
        draft.wait(Waiting::Approval { colour, revision: revision.clone() });
    } else {
        let empty = commit::empty(view, Some(serving), Topic::AwaitApproval { colour });
        let pinned = commit::pin(view, empty, colour, revision, PinState::Verified);
        draft.act_all(pinned.map(|pinned| Action::Commit(commit::say(view, pinned, revision, Verdict::Verified))));
    }
    draft.done(Phase::AwaitingApproval)
}

/// Whether a colour is pinned as verified with a revision, and nothing was decided since.
fn is_verified(view: &View<'_>, colour: Colour, revision: &CommitId) -> bool {
    let verified = |pin: &Pin| pin.revision == *revision && pin.state == PinState::Verified;
    view.pin(colour).is_some_and(verified) && view.newest(revision) == Some(Verdict::Verified)
}

/// Commits the flip; the patch follows when the next look finds it in git (git leads).
fn flip(view: &View<'_>, mut draft: Draft, colour: Colour, returns: bool) -> Plan {
    let revision = view.revision();
    if view.record(colour).is_some_and(|record| !record.in_use) {
        draft.act(Action::MarkInUse { colour, at: view.observed.at, guard: view.guard(colour) });
    }
    let images = view.desired.render(revision, colour).map(|render| render.images.clone()).unwrap_or_default();
    let topic = if returns { Topic::Return { colour, images } } else { Topic::Release { colour, images } };
    let mut empty = commit::empty(view, Some(colour), topic);
    empty.selector = Some(colour);
    let pinned = commit::pin(view, empty, colour, revision, PinState::Released);
    draft.act_all(pinned.map(|pinned| Action::Commit(commit::say(view, pinned, revision, Verdict::Released))));
    draft.done(Phase::Flipping)
}
