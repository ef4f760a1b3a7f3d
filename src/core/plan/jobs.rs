//! Kinds whose size is whether they run: DaemonSets, Jobs, CronJobs.

use super::view::View;
use crate::core::action::{Action, Schedules, Size};
use crate::core::colour::Colour;
use crate::core::desired::WorkloadSpec;
use crate::core::ids::{CommitId, ObjectKey};
use crate::core::observed::{ColourState, WorkloadState};
use crate::core::workload::WorkloadKind;

/// Whether a workload of a colour that is not in use is to run. A DaemonSet and a Job that turquoise held down run again; a
/// CronJob never does before its colour serves.
pub(super) fn switched(spec: &WorkloadSpec, running: Option<&WorkloadState>) -> Option<Size> {
    let runs = match spec.key.workload_kind()? {
        WorkloadKind::Deployment | WorkloadKind::StatefulSet => return None,
        WorkloadKind::DaemonSet | WorkloadKind::Job => running.is_some_and(|workload| workload.parked),
        WorkloadKind::CronJob => false,
    };
    let is_cron = spec.key.is_kind(WorkloadKind::CronJob);
    // A CronJob that the manifest suspends is left as it says.
    let wanted = runs || (is_cron && spec.replicas == Some(1));
    wanted.then(|| Size { workload: spec.key.clone(), replicas: u32::from(runs) })
}

/// Whether a Job has failed for good.
pub(super) fn has_failed(state: &ColourState) -> bool {
    state.workloads.iter().any(is_failed)
}

fn is_failed(workload: &WorkloadState) -> bool {
    workload.key.is_kind(WorkloadKind::Job)
        && workload.trouble.as_ref().is_some_and(|trouble| trouble.hopeless_from.is_some())
}

/// The Jobs that a deploy runs anew: those of other content, because a Job's template cannot change, and those that have
/// failed where a new attempt was asked for. One that is done with this very content is not done twice.
pub(super) fn renewed(view: &View<'_>, colour: Colour, render: &CommitId, attempt: &str) -> Vec<(ObjectKey, String)> {
    let state = view.state(colour);
    let again = view.record(colour).is_none_or(|record| record.attempt != attempt);
    let jobs = state.workloads.iter().filter(|workload| workload.key.is_kind(WorkloadKind::Job));
    let old = |job: &&WorkloadState| {
        let same = job.revision.as_ref().is_some_and(|revision| view.desired.same_content(revision, render, colour));
        !same || (again && is_failed(job))
    };
    jobs.filter(old).map(|job| (job.key.clone(), job.resource_version.clone())).collect()
}

/// CronJobs run in the serving colour only: those of the other are suspended first, then those run that turquoise held and
/// the manifest does not suspend.
pub(super) fn schedules(view: &View<'_>, serving: Colour) -> Option<Action> {
    let crons = |colour: Colour| {
        view.state(colour).workloads.iter().filter(|workload| workload.key.is_kind(WorkloadKind::CronJob))
    };
    let seen = |workload: &WorkloadState| (workload.key.clone(), workload.resource_version.clone());
    let suspend: Vec<_> = crons(serving.other()).filter(|cron| cron.replicas > 0).map(seen).collect();
    let render = view.record(serving).and_then(|record| view.desired.render(&record.revision, serving));
    let runs = |cron: &&WorkloadState| {
        let spec = render.and_then(|render| render.workloads.iter().find(|spec| spec.key == cron.key));
        cron.parked && spec.is_some_and(|spec| spec.replicas == Some(1))
    };
    let resume: Vec<_> = crons(serving).filter(runs).map(seen).collect();
    let services = view.live_guards();
    (!suspend.is_empty() || !resume.is_empty()).then_some(Action::Schedules(Schedules {
        serving,
        suspend,
        resume,
        services,
    }))
}
