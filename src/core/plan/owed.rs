//! A flip-back that was done before git could be told (`onGitDown: flip-back`): recorded on the live Services,
//! finished there if a crash cut it off, committed when git is there again.

use std::time::Duration;

use super::draft::Draft;
use super::view::View;
use super::{agreed, overlay, watch};
use crate::core::action::{Action, Switch};
use crate::core::colour::Colour;
use crate::core::ids::CommitId;
use crate::core::observed::{FlipRecord, Owed, Readiness, Serving, after};
use crate::core::policy::OnGitDown;
use crate::core::report::{Alert, Phase, Plan};
use crate::core::text::OneLine;
use crate::core::verdict::Verdict;

/// How long until git is tried again that took no commit although it can be asked. One that cannot be asked says itself when
/// it is back.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// Whether traffic may go back to a revision before git is told: it must stand released, because no commit can say so now of
/// one that a person withdrew.
pub(super) fn may_owe(view: &View<'_>, back: &CommitId) -> bool {
    let allowed = view.desired.out_of_reach && view.policy.on_git_down == OnGitDown::FlipBack;
    allowed && view.newest(back) == Some(Verdict::Released)
}

/// The patch of a flip-back to a colour, and on the Services what git is owed for it.
pub(super) fn patch_back(view: &View<'_>, to: Colour, back: &CommitId, failed: &CommitId, reason: &OneLine) -> Action {
    let owed = Owed { rejected: failed.clone(), reason: reason.clone() };
    let mut action = overlay::switch(view, to, back, to.other());
    if let Action::Switch(Switch { record, .. }) = &mut action {
        record.owed = Some(owed);
    }
    action
}

/// What to do while a live Service records a flip-back that is not committed yet; `None` where none does. Rule 5 is not
/// applied then: it would take traffic to what failed.
pub(super) fn plan(view: &View<'_>, declared: Colour) -> Option<Plan> {
    let (flip, owed) = view.observed.owed()?;
    let to = flip.from.other();
    let mut draft = Draft::default();
    match view.observed.serving() {
        Serving::Colour(serving) if serving == to => {}
        // A crash between two Services: the rest follows, if what it was decided for still stands.
        Serving::Unclear if view.state(to).readiness(view.observed.at) == Readiness::Ready => {
            draft.act(finished(view, flip));
            return Some(draft.done(Phase::Flipping));
        }
        // A hand has moved traffic since: nothing is owed for that.
        Serving::Colour(_) => {
            draft.act(settled(view, flip));
            return Some(draft.done(Phase::Settled));
        }
        Serving::Unclear | Serving::Nothing => return None,
    }
    let said = matches!(view.newest(&owed.rejected), Some(Verdict::Rejected | Verdict::Superseded));
    if said {
        draft.act(settled(view, flip));
        return Some(draft.done(Phase::Settled));
    }
    draft.alert(Alert::FlipBackUncommitted { colour: to, failure: owed.reason.clone() });
    draft.act_all(agreed::recreated(view, to));
    if view.desired.out_of_reach {
        draft.wake(after(view.observed.at, TRY_AGAIN));
        return Some(draft.done(Phase::Flipping));
    }
    let mut commit = watch::back_commit(view, to, &owed.rejected, &owed.reason);
    commit.selector = commit.selector.filter(|_| declared != to);
    draft.act(Action::Commit(commit));
    Some(draft.done(Phase::Flipping))
}

fn finished(view: &View<'_>, flip: &FlipRecord) -> Action {
    let mut action = overlay::switch(view, flip.from.other(), &flip.revision, flip.from);
    if let Action::Switch(Switch { record, .. }) = &mut action {
        *record = flip.clone();
    }
    action
}

/// The record without what was owed.
fn settled(view: &View<'_>, flip: &FlipRecord) -> Action {
    Action::EndWatch { services: view.live_guards(), record: FlipRecord { owed: None, ..flip.clone() } }
}
