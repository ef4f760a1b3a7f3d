//! Planners that were broken on purpose, each the real one with one bug put in. examples/sabotaged.rs is turquoise with one of
//! them.

use turquoise::core::action::{Action, ColourGuard, Commit, Switch, Topic};
use turquoise::core::colour::Colour;
use turquoise::core::desired::Desired;
use turquoise::core::observed::{CheckOutcome, Observed, WatchState};
use turquoise::core::plan::{Planner, plan};
use turquoise::core::policy::{Policy, Promotion};
use turquoise::core::report::Plan;
use turquoise::core::verdict::{Entry, Verdict, VerdictLog};

/// All of them, by name.
pub(crate) const BUGS: [(&str, Planner); 24] = [
    ("silent", silent),
    ("mute", mute),
    ("amnesic", amnesic),
    ("insistent", insistent),
    ("guardless", guardless),
    ("presuming", presuming),
    ("wavering", wavering),
    ("resigned", resigned),
    ("blaming", blaming),
    ("impatient", impatient),
    ("credulous", credulous),
    ("trusting", trusting),
    ("hasty", hasty),
    ("forgetful", forgetful),
    ("careless", careless),
    ("doubling", doubling),
    ("reusing", reusing),
    ("endless", endless),
    ("strict", strict),
    ("destructive", destructive),
    ("reckless", reckless),
    ("greedy", greedy),
    ("obedient", obedient),
    ("unguarded", unguarded),
];

/// Takes every pod for ready.
fn impatient(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut observed = observed.clone();
    for colour in Colour::BOTH {
        for workload in &mut observed.colours[colour].workloads {
            workload.rolled_out = true;
            workload.ready = workload.replicas;
            for pod in &mut workload.pods {
                pod.ready = true;
                pod.trouble = None;
            }
        }
        let pods = observed.colours[colour].ready_pods();
        for service in &mut observed.services {
            if service.selects.as_deref() == Some(colour.as_str()) {
                service.endpoints.clone_from(&pods);
                service.selected.clone_from(&pods);
            }
        }
    }
    plan(desired, &observed, policy)
}

/// Takes failed checks for passed ones.
fn credulous(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut observed = observed.clone();
    for check in &mut observed.checks {
        if matches!(check.outcome, CheckOutcome::Failed { .. }) {
            check.outcome = CheckOutcome::Passed { at: observed.at };
        }
    }
    plan(desired, &observed, policy)
}

/// Counts what fails while a hand is on the Services.
fn blaming(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut observed = observed.clone();
    let versions: Vec<(String, String)> = observed
        .services
        .iter()
        .map(|one| (one.name.clone(), format!("{}/{}", one.name, one.resource_version)))
        .collect();
    for check in &mut observed.checks {
        let asked = versions.iter().filter(|(name, _)| *name == check.key.target);
        check.key.services = asked.map(|(_, version)| version.clone()).collect();
    }
    plan(desired, &observed, policy)
}

/// Trusts whatever a colour carries, as if it had taken traffic.
fn trusting(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut observed = observed.clone();
    for colour in Colour::BOTH {
        if let Some(record) = &mut observed.colours[colour].record {
            record.in_use = true;
        }
    }
    let mut desired = desired.clone();
    let head = desired.head.clone();
    for colour in Colour::BOTH {
        let pair = desired.renders.get(&head).cloned();
        if let (Some(pin), Some(pair)) = (&mut desired.lock.pins[colour], pair) {
            desired.renders.insert(pin.revision.clone(), pair);
        }
    }
    plan(&desired, &observed, policy)
}

/// Patches the Services before the flip is in git.
fn hasty(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut plan = plan(desired, observed, policy);
    let flip = plan.actions.iter().find_map(|action| match action {
        Action::Commit(commit) => commit.selector,
        Action::ApplyOverlay(_)
        | Action::Adopt(_)
        | Action::Deploy(_)
        | Action::Scale(_)
        | Action::Stamp(_)
        | Action::MarkInUse { .. }
        | Action::Recreate { .. }
        | Action::Resize { .. }
        | Action::Schedules(_)
        | Action::NoteInventory(_)
        | Action::PruneOverlay { .. }
        | Action::Prune { .. }
        | Action::PointPreviews { .. }
        | Action::Check { .. }
        | Action::Switch(_)
        | Action::EndWatch { .. } => None,
    });
    if let Some(to) = flip {
        let services = observed.live().map(|service| turquoise::core::action::ServiceGuard {
            name: service.name.clone(),
            resource_version: service.resource_version.clone(),
            selects: service.selects.clone(),
        });
        let switch = Switch {
            services: services.collect(),
            whole: std::collections::BTreeSet::new(),
            to,
            render: desired.head.clone(),
            record: Switch::record(observed.at, desired.revision.clone(), to.other(), desired.head.clone()),
        };
        plan.actions.insert(0, Action::Switch(switch));
    }
    plan
}

/// Never says that a revision was superseded.
fn forgetful(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut plan = plan(desired, observed, policy);
    for action in &mut plan.actions {
        if let Action::Commit(commit) = action {
            commit.facts.retain(|fact| fact.verdict != Verdict::Superseded);
        }
    }
    plan
}

/// Loses the superseded revisions when it deploys.
fn careless(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut plan = plan(desired, observed, policy);
    for action in &mut plan.actions {
        if let Action::Deploy(deploy) = action {
            deploy.record.superseded.clear();
        }
    }
    plan
}

/// Lets CronJobs run without a look at the other colour's.
fn doubling(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut plan = plan(desired, observed, policy);
    for action in &mut plan.actions {
        if let Action::Schedules(schedules) = action {
            schedules.suspend.clear();
        }
    }
    plan
}

/// Applies Jobs over those of other content.
fn reusing(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut plan = plan(desired, observed, policy);
    for action in &mut plan.actions {
        if let Action::Deploy(deploy) = action {
            deploy.renew.clear();
        }
    }
    plan
}

/// Never ends a watch.
fn endless(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut plan = plan(desired, observed, policy);
    plan.actions.retain(|action| !matches!(action, Action::EndWatch { .. }));
    plan
}

/// Gives up after a second.
fn strict(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let policy = Policy { readiness_deadline: std::time::Duration::from_secs(1), ..policy.clone() };
    plan(desired, observed, &policy)
}

/// Writes the serving colour.
fn destructive(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut plan = plan(desired, observed, policy);
    for action in &mut plan.actions {
        if let Action::Deploy(deploy) = action {
            deploy.colour = deploy.colour.other();
        }
    }
    plan
}

/// Patches without a guard on the colour's workloads.
fn unguarded(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut plan = plan(desired, observed, policy);
    if plan.actions.iter().any(|action| matches!(action, Action::Switch(_))) {
        plan.actions.retain(|action| !matches!(action, Action::MarkInUse { .. }));
    }
    plan
}

/// Changes the facts of each of turquoise's commits.
fn with_facts(mut plan: Plan, change: impl Fn(&mut Vec<Entry>)) -> Plan {
    for action in &mut plan.actions {
        if let Action::Commit(commit) = action {
            change(&mut commit.facts);
        }
    }
    plan
}

/// Rejects without saying so in the log.
fn silent(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    with_facts(plan(desired, observed, policy), |facts| facts.retain(|fact| fact.verdict != Verdict::Rejected))
}

/// Releases without saying so in the log.
fn mute(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    with_facts(plan(desired, observed, policy), |facts| facts.retain(|fact| fact.verdict != Verdict::Released))
}

/// Does not read the log.
fn amnesic(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let desired = Desired { verdicts: VerdictLog::new(Vec::new()), ..desired.clone() };
    plan(&desired, observed, policy)
}

/// Takes a rejection that stands for none.
fn insistent(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut desired = desired.clone();
    desired.lock.rejected = None;
    plan(&desired, observed, policy)
}

/// Writes a colour without looking whether it is still idle.
fn guardless(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut plan = plan(desired, observed, policy);
    for action in &mut plan.actions {
        if let Action::Deploy(deploy) = action {
            deploy.guard = ColourGuard::default();
        } else if let Action::Scale(scale) = action {
            scale.guard = ColourGuard::default();
        }
    }
    plan
}

/// Asks nobody before a flip.
fn presuming(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    plan(desired, observed, &Policy { promotion: Promotion::Auto, ..policy.clone() })
}

/// Watches the same flip for ever, and goes back each time that it fails.
fn wavering(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut observed = observed.clone();
    for flip in observed.services.iter_mut().filter_map(|service| service.flip.as_mut()) {
        flip.watch = WatchState::Open;
    }
    plan(desired, &observed, policy)
}

/// Leaves a lock as people left it.
fn resigned(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut plan = plan(desired, observed, policy);
    let restores = |commit: &Commit| matches!(commit.topic, Topic::RestoreLock { .. });
    plan.actions.retain(|action| !matches!(action, Action::Commit(commit) if restores(commit)));
    plan
}

/// Deletes what the live overlay dropped although a pin's pods need it.
fn reckless(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut desired = desired.clone();
    for pair in desired.renders.values_mut() {
        for colour in Colour::BOTH {
            std::sync::Arc::make_mut(&mut pair[colour]).refers.clear();
        }
    }
    plan(&desired, observed, policy)
}

/// Takes whatever looks like its own for its own.
fn greedy(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    plan(desired, &Observed { live_inventory: None, ..observed.clone() }, policy)
}

/// Follows git's selector although the live Service records a flip-back that git does not know of.
fn obedient(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let mut observed = observed.clone();
    for flip in observed.services.iter_mut().filter_map(|service| service.flip.as_mut()) {
        flip.owed = None;
    }
    plan(desired, &observed, policy)
}
