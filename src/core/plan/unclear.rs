//! The cluster's selector is missing, foreign or in disagreement: both colours are in use (rule 6).

use super::draft::Draft;
use super::view::View;
use crate::core::action::{Action, Switch};
use crate::core::colour::Colour;
use crate::core::observed::Readiness;
use crate::core::report::{Blocked, Phase, Plan};
use crate::core::text::OneLine;

/// Only the patch to git's colour is allowed, once it holds its pin and is ready; else nothing until a person says.
pub(super) fn plan(view: &View<'_>, declared: Colour) -> Plan {
    let mut draft = Draft::default();
    let pin = view.released_pin(declared).filter(|pin| view.carries(declared, &pin.revision));
    match pin.filter(|_| view.state(declared).readiness() == Readiness::Ready) {
        Some(pin) => {
            draft.act(Action::Switch(Switch {
                services: view.live_guards(),
                to: declared,
                render: view.head().clone(),
                record: Switch::record(view.observed.at, pin.revision.clone(), declared.other()),
            }));
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
