//! Objects that the live overlay has dropped (rule 8), and the inventory that says which were ever applied for it.

use std::collections::BTreeSet;

use super::view::{View, service_guard};
use crate::core::action::{Action, Inventory};
use crate::core::colour::Colour;
use crate::core::desired::Role;
use crate::core::ids::{CommitId, ObjectKey};
use crate::core::lock::Pin;
use crate::core::observed::WatchState;
use crate::core::references::Reference;

/// Everything that was applied for the live overlay; before any Service says so, what carries its label and digest.
pub(super) fn inventory(view: &View<'_>) -> BTreeSet<ObjectKey> {
    view.observed.live_inventory.clone().unwrap_or_else(|| view.observed.overlay.keys().cloned().collect())
}

/// The inventory with what is about to be applied.
pub(super) fn inventory_with<'a>(
    view: &View<'_>,
    more: impl IntoIterator<Item = &'a ObjectKey>,
) -> BTreeSet<ObjectKey> {
    let mut objects = inventory(view);
    objects.extend(more.into_iter().cloned());
    objects
}

/// The note of an inventory; `None` where every word of it is written already, or no Service is there to hold it. It is
/// written before what it names is applied: a crash between the two leaves a name without an object, never an object
/// without a name.
pub(super) fn note(view: &View<'_>, objects: &BTreeSet<ObjectKey>) -> Option<Action> {
    let written = view.observed.live_inventory.as_ref().is_some_and(|held| objects.is_subset(held));
    let inventory = Inventory { services: holders(view), objects: objects.clone() };
    (!written && !inventory.services.is_empty()).then_some(Action::NoteInventory(inventory))
}

/// The note of all that the live overlay has at a commit, for Services that an older version left without one.
pub(super) fn note_all(view: &View<'_>, commit: &CommitId) -> Option<Action> {
    note(view, &inventory_with(view, view.desired.overlay(commit).iter().map(|one| &one.key)))
}

fn holders(view: &View<'_>) -> Vec<crate::core::action::ServiceGuard> {
    view.observed.services.iter().map(service_guard).collect()
}

/// Deletes what neither HEAD's live overlay has nor the one at `from`, which goes with what serves. Shared objects stay while
/// a pin's render refers to them, and until the watch of what serves is over: a flip-back needs them. Overlays without
/// objects prune nothing (I8).
pub(super) fn prune(view: &View<'_>, from: &CommitId) -> Option<Action> {
    let overlays = [view.head(), from].map(|commit| view.desired.overlay(commit));
    let pins: Vec<&Pin> = Colour::BOTH.into_iter().filter_map(|colour| view.pin(colour)).collect();
    // What a pin needs that cannot be rendered is not known.
    if overlays.iter().any(|objects| objects.is_empty()) || !pins.iter().all(|pin| view.is_reachable(pin)) {
        return None;
    }
    let needed = needed(view);
    let watched = view.observed.flip().is_some_and(|flip| flip.watch == WatchState::Open);
    let goes = |key: &&ObjectKey| {
        let is_rendered = overlays.iter().any(|objects| objects.iter().any(|one| one.key == **key));
        let is_held = is_shared(view, key) && (watched || needed.iter().any(|reference| reference.may_mean(key)));
        !is_rendered && !is_held && !key.is_claim()
    };
    let mut left = inventory(view);
    let objects: BTreeSet<ObjectKey> = left.iter().filter(goes).cloned().collect();
    left.retain(|key| !objects.contains(key));
    let left = Inventory { services: holders(view), objects: left };
    (!objects.is_empty()).then_some(Action::PruneOverlay { objects, left })
}

/// Whether an object is none that routes traffic, as far as any commit that is known says so.
fn is_shared(view: &View<'_>, key: &ObjectKey) -> bool {
    let objects = view.desired.overlays.values().flat_map(|overlay| &overlay.objects);
    objects.filter(|one| one.key == *key).all(|one| one.role == Role::Shared)
}

/// What the pins' renders refer to, and what those objects of the live overlay refer to in turn.
fn needed(view: &View<'_>) -> BTreeSet<Reference> {
    let mut needed: BTreeSet<Reference> = BTreeSet::new();
    for colour in Colour::BOTH {
        let render = view.pin(colour).and_then(|pin| view.desired.render(&pin.revision, colour));
        needed.extend(render.into_iter().flat_map(|render| render.refers.iter().cloned()));
    }
    loop {
        let objects = view.desired.overlays.values().flat_map(|overlay| &overlay.objects);
        let meant = objects.filter(|one| needed.iter().any(|reference| reference.may_mean(&one.key)));
        let more: BTreeSet<Reference> = meant.flat_map(|one| one.refers.iter().cloned()).collect();
        let before = needed.len();
        needed.extend(more);
        if needed.len() == before {
            return needed;
        }
    }
}
