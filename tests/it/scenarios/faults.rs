//! Crashes and lost replies, told; the property plays them everywhere.

use super::{Blue, Green, Story, golden};
use crate::world::Setup;
use crate::world::people::Op;

#[test]
fn s81_a_push_whose_reply_is_lost_is_seen_on_the_next_look() {
    let mut story = Story::new();
    story.bump(2).until("commits");
    let commits = story.world.git.commits.len();
    story.world.faults.lost_reply = true;
    story.rests().is_live(Green, 2).flips(1);
    assert_eq!(story.world.git.commits.len(), commits + 1, "no second commit");
    golden!("81_lost_reply", story);
}

#[test]
fn s82_killed_between_push_and_patch_while_the_candidate_dies() {
    let mut story = Story::new();
    story.bump(2).until("commits").done().is_killed().does(Op::Rot);
    for workload in &mut story.world.cluster.colours[Green].workloads {
        workload.pods.iter_mut().for_each(|pod| pod.rotten = true);
    }
    story.rests().is_live(Blue, 1).flips(0);
    assert_eq!(story.world.git.tree().selector, "blue");
    golden!("82_candidate_dies_before_the_patch", story);
}

#[test]
fn s83_killed_between_two_live_services() {
    let mut story = Story::of(Setup { live_services: 2, ..Setup::PLAIN });
    story.bump(2).until("SWITCHES");
    story.world.faults.cut = Some(1);
    story.rests().is_live(Green, 2);
    golden!("83_killed_between_services", story);
}
