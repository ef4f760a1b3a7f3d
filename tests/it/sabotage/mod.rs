//! Does the property see anything? Planners that were broken on purpose, each of which it must catch.

mod bugs;

use turquoise::core::plan::Planner;

use crate::property::{self, generate};
use crate::world::schedule::Schedule;
use bugs::BUGS;

/// How many cases may pass before a broken planner is caught.
const CASES_MAX: u64 = 4_000;
/// It takes more cases than that: one that shows it was kept.
const RARE: &str = "unguarded";

fn catch(planner: Planner) -> Option<String> {
    let cases = (0..CASES_MAX).map(generate::schedule);
    cases.flat_map(|schedule| property::violations(&schedule, planner)).next()
}

#[test]
fn broken_planners_are_caught() {
    let mut missed = Vec::new();
    for (name, planner) in BUGS.into_iter().filter(|(name, _)| *name != RARE) {
        let caught = catch(planner);
        println!("{name}: {caught:?}");
        missed.extend(caught.is_none().then_some(name));
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn an_unguarded_patch_is_caught() {
    let rare: Schedule =
        "1 1 auto delete 0 0 0 60 | bump+sel@rest rv_last@rest stale1@0".parse().expect("the case is readable");
    let (_, unguarded) = BUGS.into_iter().find(|(name, _)| *name == RARE).expect("it is one of them");
    let found = property::violations(&rare, unguarded);
    assert!(found.iter().any(|what| what == "I1 traffic to an unready colour"), "{found:?}");
}
