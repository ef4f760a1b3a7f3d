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

/// A world in which a failed watch takes traffic back without git.
fn flipping_back() -> Story {
    Story::of(Setup { flip_back: true, ..Setup::PLAIN })
}

#[test]
fn s84_traffic_goes_back_while_git_is_down_and_git_is_told_later() {
    let mut story = flipping_back();
    story.bump(7).until("SWITCHES").done();
    story.world.faults.git_down = 12;
    story.until("TAKES TRAFFIC BACK").done().is_live(Blue, 1);
    assert_eq!(story.world.git.tree().declared(), Some(Green), "git does not know yet");
    story.until("commits").rests().is_live(Blue, 1).flips(2);
    golden!("84_git_down_in_the_watch", story);
}

#[test]
fn s84_a_kill_after_the_flip_back_forgets_nothing_of_what_git_is_owed() {
    let mut story = Story::of(Setup { flip_back: true, live_services: 2, ..Setup::PLAIN });
    story.bump(7).until("SWITCHES").done();
    story.world.faults.git_down = 12;
    story.until("TAKES TRAFFIC BACK");
    story.world.faults.cut = Some(1);
    story.done();
    assert_eq!(story.world.cluster.serving(), None, "one Service is behind");
    story.rests().is_live(Blue, 1);
    golden!("84_git_down_and_kill", story);
}

#[test]
fn s84_a_person_who_reverts_the_flip_meanwhile_is_no_contradiction() {
    let mut story = flipping_back();
    story.bump(7).until("SWITCHES").done();
    story.world.faults.git_down = 12;
    story.until("TAKES TRAFFIC BACK").done();
    story.revert_flip().rests().is_live(Blue, 1).flips(2);
    golden!("84_git_down_and_revert", story);
}

#[test]
fn s84_without_the_policy_nothing_flips_while_git_is_down() {
    let mut story = Story::new();
    story.bump(7).until("SWITCHES").done();
    story.world.faults.git_down = 12;
    story.until("commits: c2 rejected");
    assert_eq!(story.world.cluster.serving(), Some(Green), "git leads");
    story.rests().is_live(Blue, 1).flips(2);
    golden!("84_git_down_and_wait", story);
}
