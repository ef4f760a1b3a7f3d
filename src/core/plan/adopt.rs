//! A running app that turquoise did not deploy: its objects are taken over as they stand (rule 12).

use std::collections::BTreeSet;

use super::draft::Draft;
use super::view::View;
use super::{declared, release};
use crate::core::action::{Action, Adopt, Adoption};
use crate::core::colour::Colour;
use crate::core::desired::{Declared, WorkloadSpec};
use crate::core::ids::ObjectKey;
use crate::core::lock::PinState;
use crate::core::observed::{Foreign, Record, ServiceState};
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
    let unknown = view.observed.serving().colour().filter(|serving| is_unknown(view, *serving));
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

/// The colour that stands for what served before turquoise came, where the live Services in the cluster name none (rule 12):
/// what was never deployed to, and the declared one first. `None` once anything of turquoise has taken traffic: a label
/// that is missing then was taken away by a hand (rule 6).
pub(super) fn stand_in(view: &View<'_>) -> Option<Colour> {
    let Declared::Colour(declared) = view.desired.declared else { return None };
    let mut live = view.observed.live().peekable();
    live.peek()?;
    let own = view.desired.own_lock.as_ref();
    let released = |colour: Colour| {
        let pins = [view.pin(colour), own.and_then(|lock| lock.pins[colour].as_ref())];
        // The mark of a colour in use says nothing here: it is written before the flip is in git.
        pins.into_iter().flatten().any(|pin| pin.state == PinState::Released)
    };
    if !live.all(|service| service.selects.is_none() && service.flip.is_none())
        || Colour::BOTH.into_iter().any(released)
    {
        return None;
    }
    let untouched = |colour: &Colour| view.record(*colour).is_none() && view.state(*colour).torn.is_empty();
    [declared, declared.other()].into_iter().find(untouched)
}

/// HEAD is released into the other colour, and the flip is the first that is written to the live Services. They must not take
/// the candidate's pods in before.
pub(super) fn beside(view: &View<'_>, declared: Colour, serving: Colour) -> Plan {
    let candidate = serving.other();
    let pods = view.desired.render(view.head(), candidate).map_or(&[][..], |render| &render.workloads);
    let reaches = |service: &&ServiceState| {
        let matches =
            |spec: &WorkloadSpec| service.selector.iter().all(|(key, value)| spec.labels.get(key) == Some(value));
        !service.selector.is_empty() && pods.iter().any(matches)
    };
    if let Some(service) = view.observed.live().find(reaches) {
        let selector: Vec<String> = service.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        return Plan::blocked(Blocked::SelectorTooWide {
            service: OneLine::new(&service.name),
            selector: OneLine::new(&selector.join(",")),
            colour: candidate,
        });
    }
    if declared == serving {
        release::plan(view, Draft::default(), serving)
    } else {
        declared::plan(view, declared, serving)
    }
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
