//! Where the planner differs from the model on purpose, as narrow as can be.

use serde_json::Value;
use turquoise::core::colour::Colour;
use turquoise::core::verdict::Verdict;

use super::History;
use crate::world::World;
use crate::world::git::{Author, index};

/// The reason why a difference is meant, if it is.
pub(super) fn of(history: &History, late: bool, world: &World) -> Option<&'static str> {
    if history.manual && approved_beside_newer(world) {
        return Some("57: the approved pin goes live, and nothing newer");
    }
    if lock_written_after_selector(world) {
        return Some("56: a lock that a person wrote after the selector's change decides");
    }
    if restored_whole(world) {
        return Some("58: a damaged lock is restored whole; the model restores the pin of what serves");
    }
    if late {
        return Some(
            "steps: a deploy into a colour that is down scales it up as well, the model does so one step later",
        );
    }
    None
}

/// Rule 5 takes HEAD only where nothing was decided since the selector's change. The model asks only whether that commit
/// itself left the lock alone.
fn lock_written_after_selector(world: &World) -> bool {
    let commits = &world.git.commits;
    let by_person = |at: usize| commits[at].author == Author::Person;
    let moved = (1..commits.len()).find(|at| by_person(*at) && world.git.moved_selector(*at));
    moved.is_some_and(|moved| {
        (moved + 1..commits.len()).any(|at| by_person(at) && commits[at].tree.lock != commits[at - 1].tree.lock)
    })
}

/// turquoise wrote the lock without a fact, and not only the pin of the colour that the selector names.
fn restored_whole(world: &World) -> bool {
    let commits = &world.git.commits;
    (1..commits.len()).any(|at| {
        let (before, commit) = (&commits[at - 1].tree.lock, &commits[at]);
        let serving = commit.tree.declared();
        let others = Colour::BOTH.into_iter().filter(|colour| Some(*colour) != serving);
        let mut pins = others.map(|colour| before.pins[colour] != commit.tree.lock.pins[colour]);
        commit.author == Author::Turquoise
            && commit.facts.is_empty()
            && (pins.any(|changed| changed) || before.rejected != commit.tree.lock.rejected)
    })
}

/// Rule 11: an approval is for the verified pin. The model pins it, and then takes newer content after all, because the
/// selector was changed after that came.
fn approved_beside_newer(world: &World) -> bool {
    let commits = &world.git.commits;
    (1..commits.len()).any(|at| {
        let commit = &commits[at];
        let Some(fact) = commit.facts.first().filter(|fact| fact.verdict == Verdict::Released) else { return false };
        let before = commits[..at].iter().rev().flat_map(|commit| &commit.facts);
        let before = before.clone().find(|entry| entry.revision == fact.revision);
        let approved = before.is_some_and(|entry| entry.verdict == Verdict::Verified);
        let newer = commits[index(&fact.revision)].tree.pair() != commit.tree.pair();
        commit.author == Author::Turquoise && !world.git.moved_selector(at) && approved && newer
    })
}

/// Whether the ends differ by nothing but one `released` of ours about a revision whose verdict before it was `withdrawn`:
/// the model leaves what serves withdrawn, and only raises an alert.
pub(super) fn is_released_again(ours: &Value, theirs: &Value) -> bool {
    let Some(log) = ours["log"].as_array() else { return false };
    log.iter().enumerate().any(|(at, entry)| {
        let before = log[..at].iter().rev().find(|earlier| earlier[0] == entry[0]);
        let again = entry[1] == "released" && before.is_some_and(|earlier| earlier[1] == "withdrawn");
        let mut without = ours.clone();
        if let Some(log) = without["log"].as_array_mut() {
            log.remove(at);
        }
        again && without == *theirs
    })
}
