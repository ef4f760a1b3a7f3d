//! People with their hands on the selector, the lock and the cluster.

use super::{Blue, Green, Story, golden};
use crate::world::people::Op;

#[test]
fn s50_the_reverted_flip_withdraws() {
    let mut story = Story::new();
    story.bump(2).rests().revert_flip().rests().is_live(Blue, 1).flips(2);
    golden!("50_revert_of_the_flip", story);
}

#[test]
fn s51_then_the_bump_is_reverted_too() {
    let mut story = Story::new();
    story.bump(2).rests().revert_flip().rests();
    story.commits("the bump is taken out", |tree| tree.base = 1).rests().is_live(Blue, 1).flips(2);
    golden!("51_revert_of_flip_and_bump", story);
}

#[test]
fn s52_the_revert_of_the_revert_releases_again() {
    let mut story = Story::new();
    story.bump(2).rests().revert_flip().rests().revert_last().rests().is_live(Green, 2).flips(3);
    golden!("52_revert_of_the_revert_of_the_flip", story);
}

#[test]
fn s53_a_flip_reverted_before_its_patch_never_moves_traffic() {
    let mut story = Story::new();
    story.bump(2).until("commits").done().revert_flip().rests().is_live(Blue, 1).flips(0);
    golden!("53_revert_before_the_patch", story);
}

#[test]
fn s54_a_flip_reverted_while_the_next_verifies() {
    let mut story = Story::new();
    story.bump(2).rests().bump(3).until("checks").revert_flip().until("SWITCHES").done().is_live(Blue, 1);
    story.rests().is_live(Green, 3).flips(3);
    golden!("54_revert_while_the_next_verifies", story);
}

#[test]
fn s55_the_selector_set_to_the_empty_colour() {
    let mut story = Story::new();
    let checks = story.checks_started();
    story.does(Op::Selector).until("SWITCHES");
    assert_eq!(story.checks_started(), checks + 1, "a colour never released there is not trusted");
    story.rests().is_live(Green, 1).flips(1);
    golden!("55_selector_to_empty", story);
}

#[test]
fn s56_bump_and_selector_in_one_commit_with_an_empty_colour() {
    let mut story = Story::new();
    story.does(Op::BumpAndSelector).rests().is_live(Green, 2).flips(1);
    golden!("56_bump_and_selector", story);
}

#[test]
fn s56_bump_and_selector_in_one_commit_with_an_old_pin() {
    let mut story = Story::new();
    story.bump(2).rests().bump(1).rests().is_live(Blue, 1).flips(2);
    story.commits("bump to 3, selector green", |tree| {
        tree.base = 3;
        tree.selector = "green".into();
    });
    story.rests().is_live(Green, 3).flips(3);
    golden!("56_bump_and_selector_with_old_pin", story);
}

#[test]
fn s59_a_third_value_is_never_guessed() {
    let mut story = Story::new();
    story.bump(2).rests().does(Op::SelectorBroken).rests().is_blocked("selector_unknown").is_live(Green, 2).flips(1);
    story.does(Op::SelectorMended).rests().is_live(Green, 2).flips(1);
    golden!("59_selector_unknown", story);
}

#[test]
fn s60_a_selector_removed_in_the_cluster_is_put_back() {
    let mut story = Story::new();
    story.bump(2).rests().does(Op::KubectlRemoved).rests().is_live(Green, 2);
    golden!("60_selector_removed", story);
}

#[test]
fn s60_a_selector_turned_in_the_cluster_is_put_back() {
    let mut story = Story::new();
    story.bump(2).rests().does(Op::Kubectl).rests().is_live(Green, 2);
    golden!("60_selector_turned", story);
}

#[test]
fn s61_a_deployment_deleted_in_the_cluster_is_created_again() {
    let mut story = Story::new();
    story.bump(2).rests().does(Op::KubectlDeleted).rests().is_live(Green, 2).flips(1);
    golden!("61_deployment_deleted", story);
}
