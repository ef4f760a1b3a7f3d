//! Whether a colour is verified: its checks, on exactly the pods that it has now.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::standing::Standing;
use super::view::View;
use crate::core::action::{Action, Stamp};
use crate::core::colour::Colour;
use crate::core::desired::Role;
use crate::core::failure::Failure;
use crate::core::ids::CommitId;
use crate::core::observed::{CheckKey, CheckOutcome, ServiceState, after};
use crate::core::policy::{Asks, Check, Target};
use crate::core::report::Waiting;

/// How long EndpointSlices may lag behind ready pods before that is written down as a wait of its own: controllers need
/// well under a second, and what is written in every release costs every release.
const ENDPOINTS_LAG: std::time::Duration = std::time::Duration::from_secs(5);

/// Through which address a colour is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// The preview Service: before a flip.
    Preview,
    /// The live Service: after it.
    Live,
}

/// Whether every check of the policy has passed on exactly the pods that the colour has now. Checks start when the
/// Services' EndpointSlices hold exactly the ready pods, and their passes count only while the pods are the same.
///
/// A failure counts only if the Services are still as they were when the check started, by their resource versions: what a
/// hand broke, and turquoise or the hand mended, says nothing about the colour.
pub(super) fn verified(view: &View<'_>, colour: Colour, revision: &CommitId, via: Via) -> Standing {
    let asked: Vec<(&Check, CheckKey)> =
        view.policy.checks.iter().filter_map(|check| Some((check, key(view, check, colour, revision, via)?))).collect();
    let services: BTreeSet<&str> = asked.iter().flat_map(|(check, _)| services(view, check, via)).collect();
    if let Some(standing) = unsettled(view, colour, via, &services) {
        return standing;
    }
    // The watch of a flip asks anew: what was found under an earlier one says nothing of this one.
    let since = match via {
        Via::Preview => None,
        Via::Live => view.observed.flip().map(|flip| flip.at),
    };
    let (mut todo, mut running) = (Vec::new(), Vec::new());
    for (check, key) in asked {
        let states = view.observed.checks.iter().filter(|state| state.key.asks_the_same(&key));
        match states.max_by_key(|state| state.key == key) {
            None => todo.push(key),
            Some(state) => match &state.outcome {
                CheckOutcome::Running | CheckOutcome::Hindered { .. } => running.push(check.name.clone()),
                CheckOutcome::Passed { at } if since.is_some_and(|since| *at < since) => todo.push(key),
                CheckOutcome::Passed { .. } => {}
                CheckOutcome::Failed { .. } if state.key != key => todo.push(key),
                CheckOutcome::Failed { reason } => {
                    return Standing::Failed(Failure::Check { check: check.name.clone(), words: reason.clone() });
                }
            },
        }
    }
    if !todo.is_empty() {
        return Standing::Act(Box::new(Action::Check { keys: todo }));
    }
    if !running.is_empty() {
        return Standing::Wait(Waiting::Checks { checks: running }, None);
    }
    Standing::Yes
}

/// Whether a Service's EndpointSlices hold exactly the ready pods of the colour that it selects.
pub(super) fn holds_exactly(view: &View<'_>, service: &ServiceState, colour: Colour) -> bool {
    let ready = view.state(colour).ready_pods();
    service.selects.as_deref() == Some(colour.as_str())
        && !service.endpoints.is_empty()
        && service.endpoints.is_subset(&ready)
        && service.endpoints == service.selected
}

/// What is waited for, or given up, while a Service does not hold the colour's pods. `None`: all of them do.
///
/// A Service that a hand changed is mended by the same plan, so its time does not count: only EndpointSlices that stay
/// wrong behind a Service that is right fail a candidate, after as long as it may take to become ready.
fn unsettled(view: &View<'_>, colour: Colour, via: Via, services: &BTreeSet<&str>) -> Option<Standing> {
    let holds = |name: &&&str| view.service(name).is_some_and(|service| holds_exactly(view, service, colour));
    let since = view.record(colour).and_then(|record| record.endpoints_since);
    let first = services.iter().find(|name| !holds(name));
    let Some(first) = first else {
        // They hold: another wait counts from its own beginning.
        return since.filter(|_| via == Via::Preview).and_then(|_| stamped(view, colour, None));
    };
    let waiting = Waiting::Endpoints { service: (*first).to_owned(), colour };
    let right = |name: &&str| {
        view.service(name).filter(|service| !service.astray && service.selects.as_deref() == Some(colour.as_str()))
    };
    if via == Via::Live {
        return Some(Standing::Wait(waiting, None));
    }
    let Some(service) = right(first).filter(|_| services.iter().all(|name| right(name).is_some())) else {
        let reset = since.and_then(|_| stamped(view, colour, None));
        return Some(reset.unwrap_or(Standing::Wait(waiting, None)));
    };
    Some(match since {
        Some(since) => {
            let deadline = after(since, view.policy.readiness_deadline);
            if view.observed.at < deadline {
                Standing::Wait(waiting, Some(deadline))
            } else {
                Standing::Failed(Failure::Endpoints {
                    service: service.name.clone(),
                    colour,
                    held: service.endpoints.len(),
                    wanted: service.selected.len(),
                    after: view.policy.readiness_deadline,
                })
            }
        }
        None => {
            let lags_from = after(view.state(colour).ready_since().unwrap_or(view.observed.at), ENDPOINTS_LAG);
            if view.observed.at < lags_from {
                Standing::Wait(waiting, Some(lags_from))
            } else {
                stamped(view, colour, Some(view.observed.at)).unwrap_or(Standing::Wait(waiting, None))
            }
        }
    })
}

/// Writes down since when EndpointSlices are waited for. The colour is ready now, so its deadline starts anew: until their
/// controller has seen what was written, no workload is.
fn stamped(view: &View<'_>, colour: Colour, endpoints_since: Option<Timestamp>) -> Option<Standing> {
    let record = view.record(colour)?;
    Some(Standing::Act(Box::new(Action::Stamp(Stamp {
        colour,
        attempt: record.attempt.clone(),
        started_at: view.observed.at,
        endpoints_since,
        guard: view.guard(colour),
    }))))
}

/// What a check's result is bound to; `None` where it is not asked this way.
fn key(view: &View<'_>, check: &Check, colour: Colour, revision: &CommitId, via: Via) -> Option<CheckKey> {
    let target = match (&check.asks, via) {
        (Asks::Http(http), _) => match (&http.target, via) {
            (Target::Service { service, .. }, Via::Preview) => service.clone(),
            (Target::Service { service, .. }, Via::Live) => live_name(view, service).to_owned(),
            (Target::Url { url, .. }, Via::Preview) => url.authority(),
            (Target::Url { live, .. }, Via::Live) => live.as_ref()?.authority(),
        },
        (Asks::Webhook(webhook), Via::Preview) => webhook.url.authority(),
        // Whoever decides has decided before the flip.
        (Asks::Webhook(_), Via::Live) => return None,
    };
    let version = |name: &str| {
        let version = view.service(name).map_or("-", |service| service.resource_version.as_str());
        format!("{name}/{version}")
    };
    Some(CheckKey {
        check: check.name.clone(),
        colour,
        revision: revision.clone(),
        rejections: view.rejections(revision),
        pods: view.state(colour).pod_identities(),
        policy: view.policy.digest(),
        target,
        services: services(view, check, via).into_iter().map(version).collect(),
        repeat: via == Via::Live,
    })
}

/// The Services that lead to what a check asks: its own, or all of that side where it asks a URL.
fn services<'a>(view: &View<'a>, check: &'a Check, via: Via) -> Vec<&'a str> {
    match (check.service(), via) {
        (Some(service), Via::Preview) => vec![service],
        (Some(service), Via::Live) => vec![live_name(view, service)],
        (None, Via::Preview) => view.service_names(Role::Preview).collect(),
        (None, Via::Live) => view.service_names(Role::Live).collect(),
    }
}

/// The live Service that a preview Service previews: its name without `-preview`, else the first one.
fn live_name<'a>(view: &View<'a>, preview: &'a str) -> &'a str {
    let stem = preview.strip_suffix("-preview").unwrap_or(preview);
    let names: Vec<&str> = view.service_names(Role::Live).collect();
    names.iter().find(|name| **name == stem).or_else(|| names.first()).copied().unwrap_or(preview)
}
