//! Whether a colour may take traffic: ready, large enough, verified.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::draft::Draft;
use super::jobs;
use super::view::View;
use crate::core::action::{Action, Deploy, Scale, Size, Stamp};
use crate::core::colour::Colour;
use crate::core::desired::WorkloadSpec;
use crate::core::failure::{Failure, trouble_words};
use crate::core::ids::{CommitId, ObjectKey};
use crate::core::observed::{Readiness, Record, WorkloadState, after};
use crate::core::report::Waiting;
use crate::core::workload::WorkloadKind;

/// What became of a question about a colour.
#[derive(Debug)]
pub(super) enum Standing {
    /// It may.
    Yes,
    /// Not before this is done.
    Act(Box<Action>),
    /// Not yet.
    Wait(Waiting, Option<Timestamp>),
    /// It never will, and why.
    Failed(Failure),
}

/// A standing once its action or wait is in the plan.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Go on.
    Yes,
    /// The plan ends here.
    Pending,
    /// It failed, and why.
    Failed(Failure),
}

impl Standing {
    /// Puts what is to be done or waited for into the plan.
    pub(super) fn note(self, draft: &mut Draft) -> Outcome {
        match self {
            Self::Yes => Outcome::Yes,
            Self::Failed(reason) => Outcome::Failed(reason),
            Self::Act(action) => {
                draft.act(*action);
                Outcome::Pending
            }
            Self::Wait(waiting, wake) => {
                draft.wait(waiting);
                if let Some(wake) = wake {
                    draft.wake(wake);
                }
                Outcome::Pending
            }
        }
    }
}

/// The deploy of a commit's overlay into a colour. `keep` carries over what the colour's record says of traffic and of
/// the time it was deployed: only for content that is already there.
pub(super) fn deploy(view: &View<'_>, colour: Colour, render: &CommitId, attempt: String, keep: Keep) -> Action {
    let old = view.record(colour);
    let record = Record {
        revision: render.clone(),
        deployed_at: match (keep, old) {
            (Keep::UseAndTime, Some(old)) => old.deployed_at.clone(),
            (Keep::UseAndTime, None) | (Keep::Use | Keep::Nothing, _) => view.head().clone(),
        },
        started_at: view.observed.at,
        endpoints_since: None,
        attempt,
        in_use: keep != Keep::Nothing && old.is_some_and(|old| old.in_use),
        superseded: super::commit::superseded_by(view, colour, render),
    };
    let mut inventory = view.state(colour).inventory.clone();
    if let Some(render) = view.desired.render(render, colour) {
        inventory.extend(render.objects.iter().cloned());
    }
    let content = view.desired.render(render, colour);
    let autoscaled = content.into_iter().flat_map(|render| &render.workloads).filter(|spec| spec.replicas.is_none());
    let autoscaled: BTreeSet<ObjectKey> = autoscaled.map(|spec| spec.key.clone()).collect();
    let mut sizes = sizes(view, colour, render, serving(view, colour));
    // What an autoscaler owns, and what is held down, is no part of an apply: it is scaled once that is there.
    sizes.retain(|size| match size.workload.workload_kind() {
        Some(WorkloadKind::Deployment | WorkloadKind::StatefulSet) => !autoscaled.contains(&size.workload),
        Some(WorkloadKind::CronJob) => true,
        Some(WorkloadKind::DaemonSet | WorkloadKind::Job) | None => false,
    });
    Action::Deploy(Deploy {
        colour,
        render: render.clone(),
        renew: jobs::renewed(view, colour, render, &record.attempt),
        record,
        autoscaled,
        sizes,
        fronts: content.map_or_else(BTreeSet::new, |render| fronts(view, colour, &render.workloads)),
        inventory,
        guard: view.guard(colour),
    })
}

/// The workloads whose twins have the pods that the live Services select. Clients may still keep connections to this
/// colour's: they have to end before anything behind them is of another version.
fn fronts(view: &View<'_>, colour: Colour, workloads: &[WorkloadSpec]) -> BTreeSet<ObjectKey> {
    let Some(serving) = serving(view, colour) else { return BTreeSet::new() };
    let selected: BTreeSet<&String> = view.observed.live().flat_map(|service| &service.selected).collect();
    let is_front = |spec: &&WorkloadSpec| {
        let twin = twin(view, serving, spec);
        twin.is_some_and(|twin| twin.pods.iter().any(|pod| selected.contains(&pod.uid)))
    };
    workloads.iter().filter(is_front).map(|spec| spec.key.clone()).collect()
}

/// What a deploy keeps of the colour's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// New content: nothing.
    Nothing,
    /// The same content under another revision.
    Use,
    /// The same content, and the lock and P are still compared with the HEAD of the first deploy (rule 5).
    UseAndTime,
}

/// The other colour, if it serves.
fn serving(view: &View<'_>, colour: Colour) -> Option<Colour> {
    let other = colour.other();
    view.observed.live().any(|service| service.selects.as_deref() == Some(other.as_str())).then_some(other)
}

/// Each workload's size: HEAD's replicas, and at least as many as its twin in the serving colour has ready now
/// (rule 7). Workloads whose size an autoscaler owns are listed only where they would start with fewer.
pub(super) fn sizes(view: &View<'_>, colour: Colour, commit: &CommitId, serving: Option<Colour>) -> Vec<Size> {
    let Some(render) = view.desired.render(commit, colour) else {
        return Vec::new();
    };
    render
        .workloads
        .iter()
        .filter_map(|spec| {
            let running = view.state(colour).workloads.iter().find(|workload| workload.key == spec.key);
            if !spec.key.workload_kind().is_some_and(WorkloadKind::is_counted) {
                return jobs::switched(spec, running);
            }
            let manifest = at_head(view, colour, spec).replicas;
            let floor = serving.map_or(0, |serving| twin_ready(view, serving, spec));
            let wanted = match manifest {
                Some(replicas) => replicas.max(floor),
                // More than its autoscaler allows would be taken back at once.
                None => {
                    let bounds = view.desired.bounds(view.head(), colour, &spec.key);
                    floor.min(bounds.map_or(u32::MAX, |bounds| bounds.max)).max(1)
                }
            };
            let enough = running.is_some_and(|workload| workload.replicas >= wanted);
            (manifest.is_some() || !enough).then(|| Size { workload: spec.key.clone(), replicas: wanted })
        })
        .collect()
}

/// The workload as HEAD has it: size is no release, so HEAD's counts.
fn at_head<'a>(view: &View<'a>, colour: Colour, spec: &'a WorkloadSpec) -> &'a WorkloadSpec {
    view.desired
        .render(view.head(), colour)
        .and_then(|render| render.workloads.iter().find(|other| other.key == spec.key))
        .unwrap_or(spec)
}

/// How many ready pods the workload's twin in the serving colour has.
fn twin_ready(view: &View<'_>, serving: Colour, spec: &WorkloadSpec) -> u32 {
    twin(view, serving, spec).map_or(0, |workload| workload.ready)
}

/// The workload's twin in the serving colour, as it runs.
fn twin<'a>(view: &View<'a>, serving: Colour, spec: &WorkloadSpec) -> Option<&'a WorkloadState> {
    let revision = view.record(serving).map(|record| &record.revision).unwrap_or(view.head());
    let twins = view.desired.render(revision, serving).map_or(&[][..], |render| &render.workloads);
    let twin = twins.iter().find(|twin| twin.twin == spec.twin && twin.key.kind == spec.key.kind)?;
    view.state(serving).workloads.iter().find(|workload| workload.key == twin.key)
}

/// Whether a colour is ready, up to its size, before the deadline of an attempt.
pub(super) fn ready(view: &View<'_>, colour: Colour, attempt: &str) -> Standing {
    let state = view.state(colour);
    let Some(record) = &state.record else {
        return Standing::Failed(Failure::NothingDeployed { colour });
    };
    if record.attempt != attempt && jobs::has_failed(state) {
        return Standing::Act(Box::new(deploy(view, colour, &record.revision, attempt.to_owned(), Keep::Nothing)));
    }
    let wanted = sizes(view, colour, &record.revision, serving(view, colour));
    let replicas = |size: &Size| {
        state.workloads.iter().find(|workload| workload.key == size.workload).map_or(0, |workload| workload.replicas)
    };
    let short: Vec<Size> = wanted.iter().filter(|size| replicas(size) < size.replicas).cloned().collect();
    // A start that lies ahead was written before somebody set the clock back: it counts from now. So does one from before
    // the API server was away.
    let lost = view.observed.lost_at.is_some_and(|lost| record.started_at <= lost);
    let running = record.attempt == attempt && record.started_at <= view.observed.at && !lost;
    let started_at = if running { record.started_at } else { view.observed.at };
    if !short.is_empty() {
        // What was up at its old size grows from now on; what never came up has the time that it had.
        let grows = state.is_down() || state.readiness(view.observed.at) == Readiness::Ready;
        let attempt = Some((attempt.to_owned(), if grows { view.observed.at } else { started_at }));
        return Standing::Act(Box::new(Action::Scale(Scale {
            colour,
            sizes: short,
            attempt,
            guard: view.guard(colour),
        })));
    }
    let deadline = after(started_at, view.policy.readiness_deadline);
    let late = view.observed.at >= deadline;
    let waiting = match state.readiness(view.observed.at) {
        Readiness::Ready => match too_few(view, colour, &wanted) {
            None => return Standing::Yes,
            Some((ready, wanted)) => Waiting::Size { colour, ready, wanted, deadline },
        },
        // Nothing is asked for, in git or by what serves: whoever wants no pods gets none.
        Readiness::Down if !wanted.is_empty() && wanted.iter().all(|size| size.replicas == 0) => return Standing::Yes,
        Readiness::Down => {
            return Standing::Failed(Failure::NoReplicas { colour });
        }
        Readiness::Hopeless { who, trouble } => return Standing::Failed(Failure::Hopeless { who, trouble }),
        Readiness::NotYet { ready, wanted, trouble } => {
            let trouble = trouble.map(|(who, trouble)| trouble_words(&who, &trouble));
            Waiting::Readiness { colour, ready, wanted, trouble, deadline }
        }
    };
    if !running {
        let guard = view.guard(colour);
        return Standing::Act(Box::new(Action::Stamp(Stamp {
            colour,
            attempt: attempt.to_owned(),
            started_at,
            endpoints_since: None,
            guard,
        })));
    }
    if late {
        return Standing::Failed(too_late(view, waiting));
    }
    let hopeless = state.troubles().filter_map(|(_, trouble)| trouble.hopeless_from);
    let hopeless = hopeless.filter(|from| *from > view.observed.at).min();
    Standing::Wait(waiting, Some(hopeless.map_or(deadline, |hopeless| hopeless.min(deadline))))
}

/// The first workload that is ready but smaller than wanted: `(ready, wanted)`.
fn too_few(view: &View<'_>, colour: Colour, wanted: &[Size]) -> Option<(u32, u32)> {
    let counted = wanted.iter().filter(|size| size.workload.workload_kind().is_some_and(WorkloadKind::is_counted));
    counted.into_iter().find_map(|size| {
        let state = view.state(colour).workloads.iter().find(|workload| workload.key == size.workload)?;
        (state.ready < size.replicas).then_some((state.ready, size.replicas))
    })
}

fn too_late(view: &View<'_>, waiting: Waiting) -> Failure {
    let after = view.policy.readiness_deadline;
    let late = |ready, wanted, as_serving, trouble| Failure::Late { after, ready, wanted, as_serving, trouble };
    match waiting {
        Waiting::Readiness { ready, wanted, trouble, .. } => late(ready, wanted, false, trouble),
        Waiting::Size { ready, wanted, .. } => late(ready, wanted, true, None),
        Waiting::Endpoints { .. }
        | Waiting::Checks { .. }
        | Waiting::Approval { .. }
        | Waiting::Watch { .. }
        | Waiting::Retire { .. } => late(0, 0, false, None),
    }
}
