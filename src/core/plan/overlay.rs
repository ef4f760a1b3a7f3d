//! Objects of the live overlay: shared ones before a candidate, routing ones when nothing is wanted, previews always. What it
//! has dropped is [`dropped`]'s.

use super::view::{View, service_guard};
use super::{adopt, dropped};
use crate::core::action::{Action, ApplyOverlay, Switch};
use crate::core::colour::Colour;
use crate::core::desired::{OverlayObject, Role};
use crate::core::ids::{CommitId, ObjectKey};

/// The apply of those objects of the overlay at a commit that differ from what was applied last; `None` where none do.
/// Secrets are never read (I6): they are applied with whatever else is.
pub(super) fn apply(
    view: &View<'_>,
    commit: &CommitId,
    roles: &[Role],
    live: Colour,
    preview: Colour,
) -> Option<Action> {
    let of_roles = view.desired.overlay(commit).iter().filter(|object| roles.contains(&object.role));
    applied(view, commit, of_roles.collect(), live, preview)
}

/// What a commit's live overlay has and HEAD's has dropped: content of that commit needs it to come back.
fn apply_dropped(view: &View<'_>, commit: &CommitId, live: Colour, preview: Colour) -> Option<Action> {
    let dropped = |object: &&OverlayObject| {
        let is_kept = view.desired.overlay(view.head()).iter().any(|kept| kept.key == object.key);
        object.role == Role::Shared && !is_kept
    };
    applied(view, commit, view.desired.overlay(commit).iter().filter(dropped).collect(), live, preview)
}

/// The apply of those objects that differ from what was applied last, or the note of them that must come first.
fn applied(
    view: &View<'_>,
    commit: &CommitId,
    objects: Vec<&OverlayObject>,
    live: Colour,
    preview: Colour,
) -> Option<Action> {
    let differs = |object: &&&OverlayObject| view.observed.overlay.get(&object.key) != Some(&object.digest);
    // Where what was there before turquoise serves, traffic is first touched by the flip (rule 12).
    let is_theirs = adopt::stand_in(view).is_some();
    let objects: Vec<&OverlayObject> = objects
        .into_iter()
        .filter(|object| !is_theirs || matches!(object.role, Role::Shared | Role::Preview))
        .collect();
    let mut wanted: Vec<&OverlayObject> = objects.iter().filter(differs).copied().collect();
    if wanted.iter().all(|object| object.key.is_secret()) {
        return None;
    }
    let inventory = dropped::inventory_with(view, objects.iter().map(|object| &object.key));
    if let Some(note) = dropped::note(view, &inventory) {
        if !wanted.iter().any(|object| holds_inventory(object)) {
            return Some(note);
        }
        wanted.sort_by_key(|object| !holds_inventory(object));
    } else if view.observed.live_inventory.is_none() {
        wanted.sort_by_key(|object| !holds_inventory(object));
    }
    let objects: Vec<ObjectKey> = wanted.iter().map(|object| object.key.clone()).collect();
    let (render, services) = (commit.clone(), view.live_guards());
    Some(Action::ApplyOverlay(ApplyOverlay { render, objects, live, preview, services, inventory }))
}

/// Whether an object notes the live overlay's inventory: it is applied before the others, with their names.
const fn holds_inventory(object: &OverlayObject) -> bool {
    matches!(object.role, Role::Live | Role::Preview)
}

/// Services that somebody changed in the cluster get back what HEAD says of them.
pub(super) fn put_back(view: &View<'_>, live: Colour, preview: Colour) -> Option<Action> {
    let astray = |object: &&OverlayObject| {
        let is_service = matches!(object.role, Role::Live | Role::Preview);
        is_service && view.service(&object.key.name).is_some_and(|service| service.astray)
    };
    let objects: Vec<_> = view.desired.overlay(view.head()).iter().filter(astray).map(|one| one.key.clone()).collect();
    let inventory = dropped::inventory_with(view, &objects);
    let (render, services) = (view.head().clone(), view.live_guards());
    let apply = ApplyOverlay { render, objects, live, preview, services, inventory };
    (!apply.objects.is_empty()).then_some(Action::ApplyOverlay(apply))
}

/// The commit whose routing goes with a revision: HEAD's where HEAD has that content, else the revision's own.
fn with<'a>(view: &View<'a>, revision: &'a CommitId) -> &'a CommitId {
    if view.desired.same_pair(view.head(), revision) { view.head() } else { revision }
}

/// The switch of the live Services to a colour and its revision, with the routing that goes with it: HEAD's where HEAD has
/// that content, else the revision's own, so that a flip-back restores the old one (rule 8). A Service whose routing there
/// is another than was applied last, or whose selector or ports a hand has changed, is applied whole; of every other only
/// the selector's one word changes.
pub(super) fn switch(view: &View<'_>, to: Colour, revision: &CommitId, from: Colour) -> Action {
    let render = with(view, revision);
    let services = view.live_guards();
    let differs = |name: &String| {
        let rendered = view.desired.overlay(render).iter().find(|one| one.role == Role::Live && one.key.name == *name);
        rendered.is_some_and(|one| {
            let astray = view.service(name).is_some_and(|service| service.astray);
            astray || view.observed.overlay.get(&one.key) != Some(&one.digest)
        })
    };
    let whole = services.iter().map(|guard| guard.name.clone()).filter(differs).collect();
    let record = Switch::record(view.observed.at, revision.clone(), from, view.head().clone());
    Action::Switch(Switch { services, whole, to, render: render.clone(), record })
}

/// What a candidate needs before it is deployed and checked: shared objects from HEAD, and the previews as they belong to
/// its content, because a port that it moved is asked through them.
pub(super) fn before_candidate(view: &View<'_>, source: &CommitId, live: Colour, preview: Colour) -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    let render = with(view, source);
    if render == view.head() {
        actions.extend(apply(view, render, &[Role::Shared, Role::Preview], live, preview));
    } else {
        actions.extend(apply(view, view.head(), &[Role::Shared], live, preview));
        actions.extend(apply_dropped(view, render, live, preview));
        actions.extend(apply(view, render, &[Role::Preview], live, preview));
    }
    actions.extend(put_back(view, live, preview));
    actions.extend(point_previews(view, preview));
    actions
}

/// Points those previews at a colour that select something else.
pub(super) fn point_previews(view: &View<'_>, to: Colour) -> Option<Action> {
    let astray: Vec<_> = view
        .observed
        .services
        .iter()
        .filter(|service| service.preview && service.selects.as_deref() != Some(to.as_str()))
        .map(service_guard)
        .collect();
    (!astray.is_empty()).then_some(Action::PointPreviews { services: astray, to })
}
