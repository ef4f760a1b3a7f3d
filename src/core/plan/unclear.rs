//! The cluster's selector is missing, foreign or in disagreement: both colours are in use (rule 6).

use super::draft::Draft;
use super::view::View;
use super::{commit, overlay};
use crate::core::action::{Action, Topic};
use crate::core::colour::Colour;
use crate::core::observed::Readiness;
use crate::core::report::{Blocked, Phase, Plan};
use crate::core::text::OneLine;
use crate::core::verdict::Verdict;

/// Only the patch to git's colour is allowed, once it holds its pin and is ready; else nothing until a person says.
pub(super) fn plan(view: &View<'_>, declared: Colour) -> Plan {
    let mut draft = Draft::default();
    let pin = view.released_pin(declared).filter(|pin| view.carries(declared, &pin.revision));
    let ready = pin.filter(|_| view.state(declared).readiness(view.observed.at) == Readiness::Ready);
    match ready.filter(|pin| view.newest(&pin.revision) != Some(Verdict::Rejected)) {
        // What was withdrawn is released anew before it takes traffic again, as in rule 5.
        Some(pin) if view.newest(&pin.revision) != Some(Verdict::Released) => {
            let empty = commit::empty(view, Some(declared), Topic::Pin { colour: declared });
            draft.act(Action::Commit(commit::say(view, empty, &pin.revision, Verdict::Released)));
            draft.done(Phase::Flipping)
        }
        Some(pin) => {
            draft.act(overlay::switch(view, declared, &pin.revision, declared.other()));
            draft.done(Phase::Flipping)
        }
        None => {
            let found: Vec<String> = view
                .observed
                .live()
                .map(|service| format!("{} -> {}", service.name, service.selects.as_deref().unwrap_or("nothing")))
                .collect();
            draft.block(Blocked::ServingUnknown { found: OneLine::new(&found.join(", ")) });
            draft.done(Phase::Blocked)
        }
    }
}
