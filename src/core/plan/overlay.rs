//! Objects of the live overlay: shared ones before a candidate, routing ones when nothing is wanted, previews always.

use super::view::{View, service_guard};
use crate::core::action::{Action, ApplyOverlay, Switch};
use crate::core::colour::Colour;
use crate::core::desired::{OverlayObject, Role};
use crate::core::ids::CommitId;

/// The apply of those objects of the overlay at a commit that differ from what was applied last; `None` where none do.
/// Secrets are never read (I6): they are applied with whatever else is.
pub(super) fn apply(
    view: &View<'_>,
    commit: &CommitId,
    roles: &[Role],
    live: Colour,
    preview: Colour,
) -> Option<Action> {
    let differs = |object: &&OverlayObject| view.observed.overlay.get(&object.key) != Some(&object.digest);
    let wanted: Vec<&OverlayObject> =
        view.desired.overlay(commit).iter().filter(|object| roles.contains(&object.role)).filter(differs).collect();
    if wanted.iter().all(|object| object.key.is_secret()) {
        return None;
    }
    Some(Action::ApplyOverlay(ApplyOverlay {
        render: commit.clone(),
        objects: wanted.iter().map(|object| object.key.clone()).collect(),
        live,
        preview,
        services: view.live_guards(),
    }))
}

/// Services that somebody changed in the cluster get back what HEAD says of them.
pub(super) fn put_back(view: &View<'_>, live: Colour, preview: Colour) -> Option<Action> {
    let astray = |object: &&OverlayObject| {
        let is_service = matches!(object.role, Role::Live | Role::Preview);
        is_service && view.service(&object.key.name).is_some_and(|service| service.astray)
    };
    let objects: Vec<_> = view.desired.overlay(view.head()).iter().filter(astray).map(|one| one.key.clone()).collect();
    let render = view.head().clone();
    let services = view.live_guards();
    (!objects.is_empty()).then_some(Action::ApplyOverlay(ApplyOverlay { render, objects, live, preview, services }))
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
