//! The property: whatever people and faults do, and whenever, the invariants of ARCHITECTURE.md hold.
//!
//! `TURQUOISE_SOAK_CASES=1000000` plays that many cases; `TURQUOISE_CASE='...'` plays one and tells it.

pub(crate) mod generate;
mod shrink;

use std::cell::RefCell;
use std::collections::HashMap;

use crate::world::cluster::is_healthy;
use crate::world::people::Op;
use crate::world::schedule::{Event, Schedule};
use crate::world::{Planner, Setup, World};
use turquoise::core::colour::Colour;

/// What `cargo test` plays: some 30 s of one core in a dev build.
const CASES: u64 = 20_000;
/// Failures that are shrunk and shown; more say nothing new.
const FAILURES_MAX: usize = 5;

/// Schedules that once failed, one a line with what they showed.
const KEPT: &str = include_str!("kept.txt");

thread_local! {
    static STARTED: RefCell<HashMap<Setup, World>> = RefCell::default();
}

/// A world of that kind after its first deploy.
pub(crate) fn started(setup: Setup) -> World {
    STARTED.with_borrow_mut(|worlds| worlds.entry(setup).or_insert_with(|| World::started(setup)).clone())
}

/// Plays a case with a planner, and says what it violates.
pub(crate) fn violations(schedule: &Schedule, planner: Planner) -> Vec<String> {
    let mut world = started(schedule.setup);
    world.planner = planner;
    world.play(&schedule.events);
    let mut violations = std::mem::take(&mut world.judge.violations);
    if is_denied(schedule, &world) {
        violations.push("a healthy HEAD never becomes live".into());
    }
    violations
}

/// Whether only bumps and reverts of bumps were made, HEAD is healthy, and something else serves.
fn is_denied(schedule: &Schedule, world: &World) -> bool {
    let plain = |op: &Op| match op {
        Op::Bump(_) | Op::Empty | Op::Kill | Op::BothOverlays | Op::IdleOverlay | Op::Size(_) => true,
        Op::Revert(_) | Op::Routing | Op::Shared | Op::Autoscaled(_) => true,
        Op::Account | Op::BumpAndAccount | Op::Door | Op::KubectlCopied => true,
        Op::Selector
        | Op::BumpAndSelector
        | Op::LiveOverlay
        | Op::LockDeleted
        | Op::LockSwapped
        | Op::Kubectl
        | Op::Rot
        | Op::Outage
        | Op::SelectorBroken
        | Op::SelectorMended
        | Op::KubectlRemoved
        | Op::KubectlDeleted => false,
    };
    let ops = schedule.events.iter().filter_map(|(_, event)| match event {
        Event::Person(op) => Some(op),
        Event::Fault(_) => None,
    });
    let blocked = world.facts.as_ref().is_some_and(|facts| facts.plan.blocked.is_some());
    let tree = world.git.tree();
    let wanted = tree.content(Colour::Blue);
    if schedule.setup.manual || blocked || world.judge.facts_reverted || !is_healthy(wanted) || !ops.clone().all(plain)
    {
        return false;
    }
    let live = world.cluster.serving().and_then(|colour| world.cluster.colours[colour].content());
    live.is_none_or(|live| live.base != wanted.base)
}

fn report(schedule: &Schedule, what: &str, planner: Planner) -> String {
    let small = shrink::shrunk(schedule, |schedule| violations(schedule, planner).iter().any(|found| found == what));
    let mut world = started(small.setup);
    world.planner = planner;
    world.transcript.begin();
    world.play(&small.events);
    format!("{what}\n  TURQUOISE_CASE='{small}'\n{}\n", world.transcript.text())
}

fn cases() -> u64 {
    std::env::var("TURQUOISE_SOAK_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES)
}

/// The failures among so many cases: each violation once, shrunk.
fn failures(seeds: std::ops::Range<u64>) -> Vec<(Schedule, String)> {
    let mut failures: Vec<(Schedule, String)> = Vec::new();
    for seed in seeds {
        let schedule = generate::schedule(seed);
        for what in violations(&schedule, turquoise::core::plan::plan) {
            if !failures.iter().any(|(_, known)| *known == what) {
                failures.push((schedule.clone(), what));
            }
        }
        if failures.len() >= FAILURES_MAX {
            break;
        }
    }
    failures
}

#[test]
fn kept_cases_hold() {
    let lines = KEPT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let schedule: Schedule = line.parse().expect("a kept case is readable");
        assert_eq!(schedule.to_string(), line, "a kept case is written as it is printed");
        let found = violations(&schedule, turquoise::core::plan::plan);
        assert_eq!(found, Vec::<String>::new(), "TURQUOISE_CASE='{line}'");
    }
}

#[test]
fn invariants_hold_under_people_and_faults() {
    if let Ok(line) = std::env::var("TURQUOISE_CASE") {
        let schedule: Schedule = line.parse().expect("the case is readable");
        let mut world = started(schedule.setup);
        world.transcript.begin();
        world.play(&schedule.events);
        println!("{}\n{:?}", world.transcript.text(), violations(&schedule, turquoise::core::plan::plan));
        return;
    }
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let share = cases().div_ceil(threads);
    let found: Vec<(Schedule, String)> = std::thread::scope(|scope| {
        let handles: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || failures(thread * share..(thread + 1) * share))).collect();
        handles.into_iter().flat_map(|handle| handle.join().expect("a thread of cases ends")).collect()
    });
    let mut seen: Vec<&str> = Vec::new();
    let mut reports = Vec::new();
    for (schedule, what) in &found {
        if !seen.contains(&what.as_str()) {
            seen.push(what);
            reports.push(report(schedule, what, turquoise::core::plan::plan));
        }
    }
    assert!(reports.is_empty(), "{} violations\n{}", reports.len(), reports.join("\n"));
}
