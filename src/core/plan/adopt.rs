//! A running app that turquoise did not deploy: its objects are taken over as they stand (rule 12).

use std::collections::BTreeSet;

use super::draft::Draft;
use super::view::View;
use crate::core::action::{Action, Adopt, Adoption};
use crate::core::colour::Colour;
use crate::core::ids::ObjectKey;
use crate::core::observed::{Foreign, Record, Serving};
use crate::core::report::{Blocked, Phase, Plan};
use crate::core::text::OneLine;

/// What is to be done about objects that others made, before anything else; `None` where there is nothing.
///
/// Objects from `kubectl apply` are taken over, others only where the policy says so. Without a lock, what serves is taken
/// for released if it is what HEAD renders; else its objects are turquoise's from then on, and HEAD is released into the
/// other colour.
pub(super) fn plan(view: &View<'_>, declared: Colour) -> Option<Plan> {
    let theirs = |foreign: &Foreign| !foreign.by_kubectl_apply && !view.policy.adopt;
    let refused = view.observed.foreign.iter().filter(|(_, foreign)| theirs(foreign));
    let objects: Vec<OneLine> = refused.map(|(key, _)| OneLine::new(&key.to_string())).collect();
    if !objects.is_empty() {
        return Some(Plan::blocked(Blocked::NotOurs { objects }));
    }
    let unknown = match view.observed.serving() {
        Serving::Colour(serving) => is_unknown(view, serving).then_some(serving),
        Serving::Nothing | Serving::Unclear => None,
    };
    if let Some(serving) = unknown.filter(|serving| *serving != declared) {
        return Some(Plan::blocked(Blocked::OtherColourServing { serving, declared }));
    }
    let mut objects: Vec<Adoption> =
        view.observed.foreign.iter().map(|(key, foreign)| taken(view, key, foreign)).collect();
    let stands = unknown.filter(|_| view.observed.stands_as_head);
    if let Some(serving) = stands {
        let labelled = view.state(serving).workloads.iter();
        objects.extend(labelled.map(|workload| Adoption {
            key: workload.key.clone(),
            resource_version: workload.resource_version.clone(),
            colour: Some(serving),
            replicas: replicas(view, serving, &workload.key),
        }));
    }
    if objects.is_empty() {
        return None;
    }
    let record = stands.map(|serving| (serving, record(view)));
    let inventory = stands.and_then(|serving| view.desired.render(view.head(), serving));
    let inventory = inventory.map(|render| render.objects.clone()).unwrap_or_default();
    let mut draft = Draft::default();
    draft.act(Action::Adopt(Adopt { objects, record, inventory }));
    Some(draft.done(Phase::Settled))
}

/// Whether nobody says what a colour that serves was released with: neither a lock, nor its workloads.
pub(super) fn is_unknown(view: &View<'_>, serving: Colour) -> bool {
    view.desired.lock_is_lost
        && view.desired.own_lock.is_none()
        && view.record(serving).is_none()
        && view.state(serving).torn.iter().all(|revision| revision == view.revision())
}

fn taken(view: &View<'_>, key: &ObjectKey, foreign: &Foreign) -> Adoption {
    let names =
        |colour: &Colour| view.desired.render(view.head(), *colour).is_some_and(|render| render.objects.contains(key));
    let colour = Colour::BOTH.into_iter().find(names);
    Adoption {
        key: key.clone(),
        resource_version: foreign.resource_version.clone(),
        colour,
        replicas: colour.and_then(|colour| replicas(view, colour, key)),
    }
}

fn replicas(view: &View<'_>, colour: Colour, key: &ObjectKey) -> Option<u32> {
    let render = view.desired.render(view.head(), colour)?;
    render.workloads.iter().find(|workload| workload.key == *key)?.replicas
}

fn record(view: &View<'_>) -> Record {
    Record {
        revision: view.revision().clone(),
        deployed_at: view.head().clone(),
        attempt: view.attempt(view.revision()),
        started_at: view.observed.at,
        endpoints_since: None,
        in_use: true,
        superseded: BTreeSet::new(),
    }
}
