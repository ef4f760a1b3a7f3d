//! Releases that fail.

use super::{Blue, Green, Story, golden};
use crate::world::cluster::{CRASHES, NEVER_PULLS, NEVER_READY, Pace, SMOKE_FAILS, WATCH_FAILS};
use crate::world::look::PREVIEW;
use crate::world::people::Op;
use crate::world::{DEADLINE_S, Setup};

#[test]
fn s30_an_image_that_cannot_be_pulled_is_rejected_at_once() {
    let mut story = Story::new();
    let start = story.world.now_s;
    story.bump(NEVER_PULLS).until("commits");
    assert!(story.world.now_s - start < 10, "it is hopeless, so nobody waits");
    story.rests().is_live(Blue, 1).flips(0);
    assert_eq!(story.world.cluster.colours[Green].replicas(), 0, "the candidate is scaled down");
    golden!("30_never_pulls", story);
}

#[test]
fn s30_pods_that_never_get_ready_are_rejected_at_the_deadline() {
    let mut story = Story::new();
    story.bump(NEVER_READY).rests().is_live(Blue, 1).flips(0);
    golden!("30_never_ready", story);
}

#[test]
fn s31_a_failing_smoke_check_rejects_and_is_named() {
    let mut story = Story::new();
    story.bump(SMOKE_FAILS).rests().is_live(Blue, 1).flips(0);
    let reason = story.world.git.tree().lock.rejected.as_ref().map(|rejection| rejection.reason.as_str().to_owned());
    assert_eq!(reason.as_deref(), Some("check `smoke`: HTTP 500"));
    golden!("31_smoke_fails", story);
}

#[test]
fn s32_a_crash_during_the_checks_voids_them() {
    let slow_checks = Pace { check_s: 30, ..Setup::PLAIN.pace };
    let mut story = Story::of(Setup { pace: slow_checks, ..Setup::PLAIN });
    story.bump(CRASHES).rests().is_live(Blue, 1).flips(0);
    golden!("32_crash_during_checks", story);
}

#[test]
fn s33_the_revert_of_a_broken_bump_does_nothing() {
    let mut story = Story::new();
    story.bump(NEVER_PULLS).rests().revert_last().rests().is_live(Blue, 1).flips(0);
    golden!("33_revert_of_broken", story);
}

#[test]
fn s34_the_same_bump_again_is_tried_again() {
    let mut story = Story::new();
    story.bump(NEVER_PULLS).rests().revert_last().rests().bump(NEVER_PULLS).rests().is_live(Blue, 1).flips(0);
    golden!("34_broken_again", story);
}

#[test]
fn s35_the_revert_of_a_rejection_asks_for_a_retry() {
    let mut story = Story::new();
    story.bump(SMOKE_FAILS).rests();
    let checks = story.checks_started();
    story.revert_rejection().rests().is_live(Blue, 1).flips(0);
    assert_eq!(story.checks_started(), checks + 1, "checked again, once");
    golden!("35_retry", story);
}

#[test]
fn s36_the_next_bump_is_the_way_out() {
    let mut story = Story::new();
    story.bump(NEVER_PULLS).rests().bump(3).rests().is_live(Green, 3).flips(1);
    golden!("36_bump_after_broken", story);
}

#[test]
fn s37_a_selector_set_to_a_refused_colour_is_taken_back() {
    let mut story = Story::new();
    story.bump(SMOKE_FAILS).rests().does(Op::Selector).rests().is_live(Blue, 1).flips(0);
    assert_eq!(story.world.git.tree().selector, "blue");
    golden!("37_selector_to_refused", story);
}

#[test]
fn s38_a_failing_watch_flips_back() {
    let mut story = Story::new();
    story.bump(WATCH_FAILS).rests().is_live(Blue, 1).flips(2);
    golden!("38_watch_fails", story);
}

#[test]
fn s39_there_is_nothing_to_go_back_to_once_the_next_took_the_colour() {
    let mut story = Story::new();
    story.bump(WATCH_FAILS).until("SWITCHES").done().bump(3).until("deploys").done();
    story.rests().is_live(Blue, 3).flips(2);
    golden!("39_nothing_to_go_back_to", story);
}

#[test]
fn s40_the_revert_of_a_flip_back_verifies_from_the_start() {
    let mut story = Story::new();
    story.bump(WATCH_FAILS).rests();
    let checks = story.checks_started();
    story.revert_flip().rests().is_live(Blue, 1).flips(4);
    assert!(story.checks_started() > checks + 1, "checks before the flip, too");
    golden!("40_revert_of_the_flip_back", story);
}

#[test]
fn s41_a_broken_first_deploy_is_rejected_and_the_next_goes_to_the_same_colour() {
    let mut story = Story::before_the_first_deploy();
    story.bump(SMOKE_FAILS).rests();
    assert_eq!(story.world.cluster.serving(), None, "the live overlay is not applied");
    story.bump(2).rests().is_live(Blue, 2);
    golden!("41_broken_first_deploy", story);
}

#[test]
fn s44_a_check_that_fails_everywhere_does_not_flip_for_ever() {
    let mut story = Story::new();
    story.bump(2).rests().is_live(Green, 2).does(Op::Outage).bump(1).rests().flips(3).is_live(Green, 2);
    golden!("44_outage", story);
}

#[test]
fn s45_endpoints_that_never_hold_the_candidate_have_a_deadline() {
    let mut story = Story::new();
    story.world.cluster.stuck = Some(PREVIEW);
    let start = story.world.now_s;
    story.bump(2).rests().is_live(Blue, 1).flips(0);
    let reason = story.world.git.tree().lock.rejected.as_ref().map(|rejection| rejection.reason.to_string());
    assert!(reason.as_ref().is_some_and(|reason| reason.starts_with("endpoints: ")), "{reason:?}");
    assert!(story.world.now_s - start > DEADLINE_S.cast_signed(), "as long as pods may take");
    golden!("45_endpoints", story);
}

#[test]
fn s45_endpoints_that_are_late_are_waited_for() {
    let mut story = Story::new();
    story.world.cluster.stuck = Some(PREVIEW);
    story.bump(2).until("waits for endpoints").done();
    story.world.cluster.stuck = None;
    story.rests().is_live(Green, 2).flips(1);
    golden!("45_late_endpoints", story);
}

/// What is written when they hold is a new generation, and nobody is ready before its controller has seen it.
#[test]
fn s45_endpoints_that_hold_after_the_pods_own_deadline_reject_nobody() {
    let late = Pace { endpoints_s: 4, ..Setup::PLAIN.pace };
    let mut story = Story::of(Setup { pace: late, ..Setup::PLAIN });
    story.world.cluster.stuck = Some(PREVIEW);
    let start = story.world.now_s;
    story.bump(2).until("waits for endpoints").done();
    story.world.now_s += DEADLINE_S.cast_signed() - 7;
    story.world.cluster.stuck = None;
    story.until("starts the deadline").done();
    assert!(story.world.now_s - start > DEADLINE_S.cast_signed(), "later than pods may be");
    story.rests().is_live(Green, 2).flips(1);
}

#[test]
fn s45_time_in_which_a_hand_had_changed_the_preview_does_not_count() {
    let mut story = Story::new();
    story.world.cluster.stuck = Some(PREVIEW);
    story.bump(2).until("waits for endpoints").done();
    story.world.now_s += DEADLINE_S.cast_signed() - 10;
    let version = story.world.cluster.next();
    let preview = story.world.cluster.service(PREVIEW).expect("a preview");
    (preview.selects, preview.version) = (Some("blue".into()), version);
    let mended = story.world.now_s;
    story.until("commits");
    assert!(story.world.now_s - mended >= DEADLINE_S.cast_signed(), "the wait began anew");
    story.rests().is_live(Blue, 1).flips(0);
    golden!("45_hand_on_the_preview", story);
}

/// Nodes may not have reached it either.
#[test]
fn s85_an_api_server_that_was_away_makes_nobody_late() {
    let mut story = Story::new();
    story.bump(NEVER_READY).until("deploys").done();
    story.world.now_s += DEADLINE_S.cast_signed() + 10;
    let lost = story.world.now_s - 1;
    story.world.process.lost_s = Some(lost);
    story.rests().is_live(Blue, 1).flips(0);
    assert!(story.world.now_s - lost > DEADLINE_S.cast_signed(), "the deadline began anew");
}

#[test]
fn s46_a_hand_on_the_live_service_fails_no_watch() {
    for hand in [Op::Kubectl, Op::KubectlRemoved] {
        let mut story = Story::new();
        story.bump(2).until("SWITCHES").done().until("checks").done().does(hand).rests().is_live(Green, 2);
        assert_eq!(story.world.git.tree().lock.rejected, None);
    }
    let mut story = Story::new();
    story.bump(2).until("SWITCHES").done().until("checks").done().does(Op::Kubectl).rests().is_live(Green, 2).flips(2);
    golden!("46_hand_in_the_watch", story);
}

#[test]
fn s47_a_policy_that_changes_in_the_middle_starts_the_checks_anew() {
    let slow_checks = Pace { check_s: 30, ..Setup::PLAIN.pace };
    let mut story = Story::of(Setup { pace: slow_checks, ..Setup::PLAIN });
    story.bump(2).until("checks").done();
    let checks = story.checks_started();
    story.world.policy.checks[0].name = "another".into();
    story.world.process.checks.iter_mut().for_each(|run| run.due_s = story.world.now_s);
    story.until("SWITCHES");
    assert_eq!(story.checks_started(), checks + 1, "what passed under another policy says nothing");
    story.rests().is_live(Green, 2).flips(1);
    golden!("47_policy_in_the_middle", story);
}
