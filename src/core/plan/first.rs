//! Nothing serves: the first deploy, or an empty cluster that is built again from the pins (rule 12).

use super::draft::Draft;
use super::standing::{self, Keep, Outcome};
use super::verify::{self, Via};
use super::view::View;
use super::{commit, idle, overlay};
use crate::core::action::{Action, Topic};
use crate::core::colour::Colour;
use crate::core::desired::Role;
use crate::core::ids::CommitId;
use crate::core::lock::PinState;
use crate::core::report::{Alert, Phase, Plan};
use crate::core::verdict::Verdict;

const ALL_ROLES: [Role; 4] = [Role::Shared, Role::Routing, Role::Preview, Role::Live];

/// The declared colour gets its pin, or HEAD where it has none; only then does the live overlay appear.
pub(super) fn plan(view: &View<'_>, declared: Colour) -> Plan {
    let mut draft = Draft::default();
    let pinned = view.released_pin(declared);
    match pinned.filter(|pin| view.is_reachable(pin)) {
        Some(pin) => build_again(view, draft, declared, &pin.revision),
        None => {
            if let Some(pin) = pinned {
                draft.alert(Alert::PinUnreachable { revision: pin.revision.clone() });
            }
            first_deploy(view, draft, declared)
        }
    }
}

fn first_deploy(view: &View<'_>, mut draft: Draft, colour: Colour) -> Plan {
    let revision = view.revision();
    if view.stands_rejected(revision) {
        idle::keep_house(view, &mut draft, colour);
        return draft.done(Phase::Settled);
    }
    draft.act_all(overlay::before_candidate(view, revision, colour, colour));
    let attempt = view.attempt(revision);
    if !view.carries(colour, view.head()) {
        draft.act(standing::deploy(view, colour, revision, attempt, Keep::Nothing));
        return draft.done(Phase::Deploying);
    }
    if view.record(colour).is_some_and(|record| record.revision != *revision) {
        draft.act(standing::deploy(view, colour, revision, attempt, Keep::Use));
        return draft.done(Phase::Deploying);
    }
    let failed = match standing::ready(view, colour, &attempt).note(&mut draft) {
        Outcome::Pending => return draft.done(Phase::Deploying),
        Outcome::Failed(reason) => Some(reason),
        Outcome::Yes => match verify::verified(view, colour, revision, Via::Preview).note(&mut draft) {
            Outcome::Pending => return draft.done(Phase::Verifying),
            Outcome::Failed(reason) => Some(reason),
            Outcome::Yes => None,
        },
    };
    match failed {
        Some(failure) => {
            let reason = failure.line();
            let empty = commit::empty(view, None, Topic::Reject { colour, reason: reason.clone() });
            draft.act(Action::Commit(commit::reject(view, empty, revision, &reason)));
            draft.done(Phase::Verifying)
        }
        None => {
            let images = view.desired.render(revision, colour).map(|render| render.images.clone()).unwrap_or_default();
            let empty = commit::empty(view, Some(colour), Topic::Release { colour, images });
            let pinned = commit::pin(view, empty, colour, revision, PinState::Released);
            draft.act_all(pinned.map(|pinned| Action::Commit(commit::say(view, pinned, revision, Verdict::Released))));
            draft.done(Phase::Flipping)
        }
    }
}

fn build_again(view: &View<'_>, mut draft: Draft, colour: Colour, revision: &CommitId) -> Plan {
    draft.act_all(overlay::before_candidate(view, revision, colour, colour));
    let attempt = view.attempt(revision);
    if !view.carries(colour, revision) {
        draft.act(standing::deploy(view, colour, revision, attempt, Keep::Nothing));
        return draft.done(Phase::Deploying);
    }
    match standing::ready(view, colour, &attempt).note(&mut draft) {
        Outcome::Pending => draft.done(Phase::Deploying),
        // Nothing else can serve: it is waited for, and the pod's words are shown.
        Outcome::Failed(failure) => {
            draft.alert(Alert::NothingToGoBackTo { failure: failure.line() });
            draft.done(Phase::Deploying)
        }
        Outcome::Yes => {
            draft.act(Action::MarkInUse { colour, at: view.observed.at, guard: view.guard(colour) });
            draft.act_all(overlay::apply(view, view.head(), &ALL_ROLES, colour, colour.other()));
            draft.done(Phase::Flipping)
        }
    }
}
