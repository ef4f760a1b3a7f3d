//! Git and cluster agree on the live colour: the lock is kept whole, live objects are kept whole, then the watch, then
//! what is wanted.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::view::View;
use super::{commit, jobs, overlay, release, verify, watch};
use crate::core::action::{Action, Commit, NewBounds, Size, Topic};
use crate::core::colour::Colour;
use crate::core::desired::Role;
use crate::core::ids::{CommitId, ObjectKey};
use crate::core::observed::{Record, Serving, WatchState};
use crate::core::report::{Alert, Phase, Plan, Waiting};
use crate::core::text::OneLine;
use crate::core::verdict::Verdict;
use crate::core::workload::WorkloadKind;

/// Rules 7 and 9 first, because they restore what the later ones read.
pub(super) fn plan(view: &View<'_>, serving: Colour) -> Plan {
    let mut draft = Draft::default();
    if let Some(withdrawal) = withdrawal(view, serving) {
        draft.act(Action::Commit(withdrawal));
        return draft.done(Phase::Settled);
    }
    if let Some(released) = released_again(view, serving) {
        draft.act(Action::Commit(released));
        return draft.done(Phase::Settled);
    }
    if let Some(pin) = view.pin(serving).filter(|pin| !view.is_reachable(pin)) {
        draft.alert(Alert::PinUnreachable { revision: pin.revision.clone() });
    }
    if let Some(recreate) = recreated(view, serving) {
        if let Action::Recreate { objects, .. } = &recreate {
            draft.alert(Alert::Missing { objects: objects.iter().map(|key| OneLine::new(&key.to_string())).collect() });
        }
        draft.act(recreate);
        return draft.done(Phase::Settled);
    }
    if let Some(action) = overlay::put_back(view, serving, serving.other()) {
        let services = view.observed.services.iter().filter(|service| service.astray);
        draft.alert(Alert::Astray { services: services.map(|service| service.name.clone()).collect() });
        draft.act(action);
        return draft.done(Phase::Settled);
    }
    if !view.observed.drift.is_empty() {
        let objects: BTreeSet<&OneLine> = view.observed.drift.iter().map(|drift| &drift.object).collect();
        draft.alert(Alert::Drift { objects: objects.into_iter().cloned().collect() });
    }
    if view.service_names(Role::Live).any(|name| view.service(name).is_none()) {
        draft.act_all(overlay::apply(view, view.head(), &[Role::Live], serving, serving.other()));
    }
    draft.act_all(jobs::schedules(view, serving));
    draft.act_all(resized(view, serving));
    for service in view.observed.live() {
        if !verify::holds_exactly(view, service, serving) && view.state(serving).wanted() > 0 {
            draft.wait(Waiting::Endpoints { service: service.name.clone(), colour: serving });
        }
    }
    if let Some(plan) = watch::plan(view, &mut draft, serving) {
        return plan;
    }
    release::plan(view, draft, serving)
}

/// The newest released revision that is not the live pin's and has no later verdict is withdrawn, by an empty commit,
/// so that the person's revert stays revertible (rule 9).
fn withdrawal(view: &View<'_>, serving: Colour) -> Option<Commit> {
    let live = &view.pin(serving)?.revision;
    let lost = |revision: &&CommitId| view.newest(revision) == Some(Verdict::Released) && *revision != live;
    let newest = view.desired.verdicts.newest_released().filter(lost);
    let revision = newest.or_else(|| Some(view.revision()).filter(lost))?;
    Some(commit::say(view, commit::empty(view, Some(serving), Topic::Withdraw), revision, Verdict::Withdrawn))
}

/// What serves by its pin is released, whatever was said of it before: a person took a withdrawal back before traffic had
/// moved away, or a rejection, and the watch that is over by now bears them out.
fn released_again(view: &View<'_>, serving: Colour) -> Option<Commit> {
    let pin = view.released_pin(serving)?;
    let passed = || {
        let flip = view.observed.flip();
        flip.is_some_and(|flip| flip.watch == WatchState::Passed && flip.revision == pin.revision)
    };
    let is_taken_back = match view.newest(&pin.revision)? {
        Verdict::Withdrawn => true,
        Verdict::Rejected => passed(),
        Verdict::Released | Verdict::Superseded | Verdict::Verified => false,
    };
    let empty = commit::empty(view, Some(serving), Topic::Pin { colour: serving });
    is_taken_back.then(|| commit::say(view, empty, &pin.revision, Verdict::Released))
}

/// What is missing of the serving colour is created again from its pin (rule 7).
pub(super) fn recreated(view: &View<'_>, serving: Colour) -> Option<Action> {
    let pin = view.pin(serving)?;
    let objects: BTreeSet<ObjectKey> = view.missing(serving, &pin.revision).into_iter().cloned().collect();
    // Without any workload of ours it was never turquoise's: adoption is for rule 12.
    if objects.is_empty() || (view.state(serving).inventory.is_empty() && view.observed.flip().is_none()) {
        return None;
    }
    let record = view.record(serving).cloned().unwrap_or_else(|| Record {
        revision: pin.revision.clone(),
        deployed_at: view.head().clone(),
        attempt: view.attempt(&pin.revision),
        started_at: view.observed.at,
        endpoints_since: None,
        in_use: true,
        superseded: BTreeSet::new(),
    });
    Some(Action::Recreate { colour: serving, render: pin.revision.clone(), objects, record })
}

/// Sizes and autoscalers' bounds from HEAD are applied in place to each colour that is not scaled down: only where the
/// manifest's number was changed since it was last applied, so that an autoscaler or a person's hand is left alone (rule 7).
pub(super) fn resized(view: &View<'_>, colour: Colour) -> Option<Action> {
    let state = view.state(colour);
    // What serves is never scaled down by turquoise: it asks for nothing because git did.
    let serves = view.observed.serving() == Serving::Colour(colour);
    if (state.is_down() && !serves) || state.record.is_none() {
        return None;
    }
    let head = view.desired.render(view.head(), colour)?;
    let mut versions: BTreeMap<ObjectKey, String> = BTreeMap::new();
    let mut sizes: Vec<Size> = Vec::new();
    for spec in &head.workloads {
        let Some(replicas) = spec.replicas else { continue };
        let Some(running) = state.workloads.iter().find(|workload| workload.key == spec.key) else { continue };
        let counted = spec.key.workload_kind().is_some_and(WorkloadKind::is_counted);
        let up = running.replicas > 0 || serves;
        let changed = running.applied_replicas.is_some_and(|applied| applied != replicas) && up;
        if counted && changed {
            versions.insert(spec.key.clone(), running.resource_version.clone());
            sizes.push(Size { workload: spec.key.clone(), replicas });
        }
    }
    let mut bounds: Vec<NewBounds> = Vec::new();
    for spec in &head.autoscalers {
        let Some(running) = state.autoscalers.iter().find(|scaler| scaler.key == spec.key) else { continue };
        if running.applied.is_some_and(|applied| applied != spec.bounds) {
            versions.insert(spec.key.clone(), running.resource_version.clone());
            bounds.push(NewBounds { autoscaler: spec.key.clone(), bounds: spec.bounds });
        }
    }
    (!versions.is_empty()).then_some(Action::Resize { colour, sizes, bounds, versions })
}
