//! Where the planner differs from the model on purpose, as narrow as can be.

use serde_json::Value;
use turquoise::core::verdict::Verdict;

use super::History;
use crate::world::World;
use crate::world::git::{Author, index};

/// The reason why a difference is meant, if it is.
pub(super) fn of(history: &History, _ours: &Value, _theirs: &Value, world: &World) -> Option<&'static str> {
    if history.manual && approved_beside_newer(world) {
        return Some("57: the approved pin goes live, and nothing newer");
    }
    None
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
