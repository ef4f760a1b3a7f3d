//! A failing case made small.

use crate::world::Setup;
use crate::world::schedule::{Schedule, When};

/// The smallest case found that still fails: fewer events, plainer times, the plain kind of world.
pub(crate) fn shrunk(schedule: &Schedule, fails: impl Fn(&Schedule) -> bool) -> Schedule {
    let mut best = schedule.clone();
    while let Some(smaller) = candidates(&best).into_iter().find(|candidate| fails(candidate)) {
        best = smaller;
    }
    best
}

/// Cases that are one step smaller.
fn candidates(schedule: &Schedule) -> Vec<Schedule> {
    let mut smaller = Vec::new();
    let mut add = |change: &dyn Fn(&mut Schedule)| {
        let mut candidate = schedule.clone();
        change(&mut candidate);
        if candidate != *schedule {
            smaller.push(candidate);
        }
    };
    for at in 0..schedule.events.len() {
        add(&|candidate| {
            candidate.events.remove(at);
        });
    }
    add(&|candidate| {
        candidate.setup = Setup { pace: candidate.setup.pace, watch_s: candidate.setup.watch_s, ..Setup::PLAIN }
    });
    add(&|candidate| candidate.setup.tiers = 1);
    add(&|candidate| candidate.setup.live_services = 1);
    add(&|candidate| candidate.setup.manual = false);
    add(&|candidate| candidate.setup.flip_back = false);
    add(&|candidate| candidate.setup.retiring = Setup::PLAIN.retiring);
    for at in 0..schedule.events.len() {
        match schedule.events[at].0 {
            When::Rest => {}
            When::Looked(count) => {
                add(&|candidate| candidate.events[at].0 = When::Rest);
                add(&|candidate| candidate.events[at].0 = When::Actions(count));
                add(&|candidate| candidate.events[at].0 = When::Looked(count.saturating_sub(1)));
            }
            When::Actions(count) => {
                add(&|candidate| candidate.events[at].0 = When::Rest);
                add(&|candidate| candidate.events[at].0 = When::Actions(count.saturating_sub(1)));
            }
        }
    }
    smaller
}
