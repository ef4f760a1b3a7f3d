//! Releases and returns.

use super::{Blue, Green, Story, golden};
use crate::world::people::Op;

#[test]
fn s01_a_bump_goes_live_in_the_idle_colour() {
    let mut story = Story::new();
    story.bump(2).rests().is_live(Green, 2).flips(1);
    golden!("01_bump", story);
}

#[test]
fn s02_a_revert_is_a_flip_without_new_pods() {
    let mut story = Story::new();
    story.bump(2).rests();
    let pods = story.pods();
    story.revert_last().rests().is_live(Blue, 1).flips(2);
    assert_eq!(story.pods(), pods, "no new pods");
    golden!("02_revert", story);
}

#[test]
fn s03_reverts_of_reverts_merge_and_start_no_pods() {
    let mut story = Story::new();
    story.bump(2).rests();
    let pods = story.pods();
    story.revert_last().rests().revert_last().rests().is_live(Green, 2);
    story.revert_last().rests().is_live(Blue, 1).revert_last().rests().is_live(Green, 2).flips(5);
    assert_eq!(story.pods(), pods, "no new pods");
    golden!("03_revert_of_the_revert", story);
}

#[test]
fn s04_a_revert_while_the_candidate_verifies_supersedes_it() {
    let mut story = Story::new();
    story.bump(2).until("checks").done().revert_last().rests().is_live(Blue, 1).flips(0);
    assert_eq!(story.world.cluster.colours[Green].replicas(), 0, "the candidate is scaled down");
    golden!("04_revert_while_verifying", story);
}

#[test]
fn s04_the_next_commit_says_that_it_was_superseded() {
    let mut story = Story::new();
    story.bump(2).until("checks").done().revert_last().rests().bump(3).rests().is_live(Green, 3);
    golden!("04_superseded_is_said_later", story);
}

#[test]
fn s05_a_return_to_a_retired_colour_scales_it_up_and_skips_checks() {
    let mut story = Story::scaling_to_zero();
    story.bump(2).rests().is_live(Green, 2);
    assert_eq!(story.world.cluster.colours[Blue].replicas(), 0, "blue is retired");
    story.revert_last().until("SWITCHES");
    let checks = story.checks_started();
    story.rests().is_live(Blue, 1).flips(2);
    assert_eq!(story.checks_started(), checks + 1, "only the watch checks");
    golden!("05_return_after_retirement", story);
}

#[test]
fn s06_a_newer_bump_is_taken_at_once() {
    let mut story = Story::new();
    story.bump(2).until("checks").done().bump(3).rests().is_live(Green, 3).flips(1);
    golden!("06_bump_while_verifying", story);
}

#[test]
fn s07_the_old_version_bumped_again_comes_back() {
    let mut story = Story::new();
    story.bump(2).rests();
    let pods = story.pods();
    story.bump(1).rests().is_live(Blue, 1).flips(2);
    assert_eq!(story.pods(), pods, "no new pods");
    golden!("07_bump_back", story);
}

#[test]
fn s08_content_that_was_overwritten_is_verified_anew() {
    let mut story = Story::new();
    story.bump(2).rests().bump(1).rests().is_live(Blue, 1);
    story.bump(3).until("checks").bump(2).rests().is_live(Green, 2);
    golden!("08_overwritten_return", story);
}

#[test]
fn s09_of_several_bumps_in_one_push_the_last_counts() {
    let mut story = Story::new();
    story.bump(2).bump(3).bump(2).bump(3).rests().is_live(Green, 3).flips(1);
    golden!("09_several_bumps", story);
}

#[test]
fn s10_commits_that_change_nothing_cancel_nothing() {
    let mut story = Story::new();
    story.bump(2).until("checks").done();
    let checks = story.checks_started();
    story.does(Op::Empty).does(Op::Empty).until("SWITCHES");
    assert_eq!(story.checks_started(), checks, "nothing is checked again");
    story.rests().is_live(Green, 2).flips(1);
    golden!("10_empty_commits", story);
}

#[test]
fn s11_a_changed_setting_is_a_release_and_the_live_pods_never_see_it() {
    let mut story = Story::new();
    let before = story.world.cluster.colours[Blue].configs.clone();
    story.commits("a new setting in both overlays", |tree| {
        tree.overlay.blue += 1;
        tree.overlay.green += 1;
    });
    story.rests().is_live(Green, 1).flips(1);
    assert_eq!(story.world.cluster.colours[Blue].configs, before, "blue keeps its settings");
    golden!("11_setting", story);
}

#[test]
fn s12_a_bump_of_the_idle_overlay_alone_is_released_and_returns() {
    let mut story = Story::new();
    story.does(Op::IdleOverlay).rests().is_live(Green, 1).flips(1);
    story.revert_last().rests().is_live(Blue, 1).flips(2);
    golden!("12_idle_overlay", story);
}

#[test]
fn s13_of_two_changed_overlays_the_idle_one_is_released() {
    let mut story = Story::new();
    story.does(Op::BothOverlays).rests().is_live(Green, 1).flips(1);
    assert_eq!(story.world.cluster.colours[Green].content().map(|content| content.overlay), Some(2));
    golden!("13_both_overlays", story);
}

#[test]
fn s14_the_live_overlay_alone_is_not_edited_under_traffic() {
    let mut story = Story::new();
    story.does(Op::LiveOverlay).rests().is_blocked("live_overlay_only").is_live(Blue, 1).flips(0);
    story.does(Op::IdleOverlay).rests().is_live(Green, 1).flips(1);
    golden!("14_live_overlay_only", story);
}

#[test]
fn s15_size_is_no_release() {
    let mut story = Story::new();
    story.bump(2).rests().does(Op::Size(3)).rests().is_live(Green, 2).flips(1);
    assert_eq!(story.world.cluster.colours[Green].replicas(), 3);
    assert_eq!(story.world.cluster.colours[Blue].replicas(), 3);
    golden!("15_size", story);
}

#[test]
fn s15_a_colour_that_is_down_stays_down_and_comes_back_with_the_new_size() {
    let mut story = Story::scaling_to_zero();
    story.bump(2).rests().does(Op::Size(3)).rests();
    assert_eq!(story.world.cluster.colours[Blue].replicas(), 0);
    story.bump(1).rests().is_live(Blue, 1).flips(2);
    assert_eq!(story.world.cluster.colours[Blue].replicas(), 3);
    golden!("15_size_while_retired", story);
}

#[test]
fn s16_routing_changes_with_the_flip_and_comes_back() {
    let mut story = Story::new();
    let old = story.world.cluster.overlay.clone();
    story.commits("bump to 2 and a new port", |tree| {
        tree.base = 2;
        tree.routing += 1;
    });
    story.until("SWITCHES");
    assert_eq!(story.world.cluster.overlay, old, "the routing waits for the flip");
    story.rests().is_live(Green, 2);
    assert_ne!(story.world.cluster.overlay, old);
    story.revert_last().rests().is_live(Blue, 1).flips(2);
    assert_eq!(story.world.cluster.overlay, old, "the old port is back");
    golden!("16_routing", story);
}

#[test]
fn s17_a_shared_object_is_applied_before_the_candidate() {
    let mut story = Story::new();
    story.commits("bump to 2, which needs more of its account", |tree| {
        tree.base = 2;
        tree.shared += 1;
    });
    story.until("applies ServiceAccount shop").done().until("deploys").rests().is_live(Green, 2);
    golden!("17_shared", story);
}
