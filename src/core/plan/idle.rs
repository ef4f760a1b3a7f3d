//! Keeping house in the colour that is not in use.

use std::collections::BTreeSet;

use super::commit;
use super::draft::Draft;
use super::view::View;
use crate::core::action::{Action, Scale, Size};
use crate::core::colour::Colour;
use crate::core::ids::ObjectKey;
use crate::core::lock::Pin;
use crate::core::observed::{WatchState, WorkloadState, after};
use crate::core::policy::Retire;
use crate::core::report::Waiting;
use crate::core::verdict::Verdict;
use crate::core::workload::WorkloadKind;

/// Scales down what was rejected or superseded, retires what was live, prunes what nothing refers to.
pub(super) fn keep_house(view: &View<'_>, draft: &mut Draft, idle: Colour) {
    let state = view.state(idle);
    if !state.is_quiet() {
        let rejected = view.record(idle).is_some_and(|record| view.newest(&record.revision) == Some(Verdict::Rejected));
        // A pin whose commit is gone says no more than which revision it was: what runs is kept (rule 13).
        let is_lost = |pin: &Pin| {
            !view.is_reachable(pin) && view.record(idle).is_some_and(|record| record.revision == pin.revision)
        };
        let holds_pin = view.pin(idle).is_some_and(|pin| view.carries(idle, &pin.revision) || is_lost(pin));
        if rejected || !holds_pin {
            draft.act_all(scaled(view, idle, 0));
            return;
        }
    }
    retire(view, draft, idle);
    draft.act_all(prune(view, idle));
}

fn retire(view: &View<'_>, draft: &mut Draft, idle: Colour) {
    let (after_flip, replicas) = match view.policy.retire {
        Retire::Keep => return,
        Retire::ScaleTo { replicas, after } => (after, Some(replicas)),
        Retire::Delete { after } => (after, None),
    };
    let watched = view.observed.flip().is_none_or(|flip| flip.watch != WatchState::Open);
    let at = view.observed.flip().map_or(view.observed.at, |flip| after(flip.at, after_flip));
    let state = view.state(idle);
    let over = match replicas {
        Some(replicas) => scaled(view, idle, replicas).is_none(),
        None => state.inventory.is_empty(),
    };
    // What no commit has said yet stands in the colour's annotations: deleted with it, it would never be said.
    let undecided = replicas.is_none() && !commit::undecided(view, idle).is_empty();
    if over || undecided {
        return;
    }
    if !watched || view.observed.at < at {
        draft.wait(Waiting::Retire { colour: idle, at });
        // Past that time it is the watch that is waited for.
        if view.observed.at < at {
            draft.wake(at);
        }
        return;
    }
    match replicas {
        Some(replicas) => draft.act_all(scaled(view, idle, replicas)),
        None => draft.act(Action::Prune { colour: idle, objects: state.inventory.clone(), guard: view.guard(idle) }),
    }
}

/// Scales those workloads down that have more replicas, not below what an autoscaler would bring them back to. What has no
/// count is stopped only where nothing is to be left; CronJobs are suspended elsewhere.
fn scaled(view: &View<'_>, idle: Colour, replicas: u32) -> Option<Action> {
    let state = view.state(idle);
    let floor = |workload: &WorkloadState| match workload.key.workload_kind() {
        Some(WorkloadKind::Deployment | WorkloadKind::StatefulSet) if replicas > 0 => {
            let carried = view.record(idle).map_or(view.head(), |record| &record.revision);
            let bounds = view.desired.bounds(carried, idle, &workload.key);
            Some(bounds.map_or(replicas, |bounds| replicas.max(bounds.min)))
        }
        Some(WorkloadKind::Deployment | WorkloadKind::StatefulSet) => Some(0),
        Some(WorkloadKind::DaemonSet | WorkloadKind::Job) => (replicas == 0).then_some(0),
        Some(WorkloadKind::CronJob) | None => None,
    };
    let smaller = state.workloads.iter().filter_map(|workload| {
        let replicas = floor(workload).filter(|floor| workload.replicas > *floor)?;
        Some(Size { workload: workload.key.clone(), replicas })
    });
    let sizes: Vec<Size> = smaller.collect();
    (!sizes.is_empty()).then(|| Action::Scale(Scale { colour: idle, sizes, attempt: None, guard: view.guard(idle) }))
}

/// Deletes what was applied to the colour once and is in neither of its renders: what it carries, and its pin's. What
/// carries the colour's label counts too: a deploy that was cut off before its first workload left no inventory. A render
/// of zero objects never prunes (I8).
fn prune(view: &View<'_>, idle: Colour) -> Option<Action> {
    let record = view.record(idle)?;
    let carried = view.desired.render(&record.revision, idle).filter(|render| !render.objects.is_empty())?;
    let pinned = view.pin(idle).and_then(|pin| view.desired.render(&pin.revision, idle));
    let keep =
        |key: &&ObjectKey| carried.objects.contains(*key) || pinned.is_some_and(|pin| pin.objects.contains(*key));
    let state = view.state(idle);
    let objects: BTreeSet<ObjectKey> =
        state.inventory.union(&state.present).filter(|key| !keep(key)).cloned().collect();
    (!objects.is_empty()).then(|| Action::Prune { colour: idle, objects, guard: view.guard(idle) })
}
