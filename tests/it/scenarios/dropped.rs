//! What the live overlay drops (rule 8).

use super::{Blue, Green, Story, golden};
use crate::world::look;
use crate::world::people::Op;

fn has_account(story: &Story) -> bool {
    story.world.cluster.overlay.contains_key(&look::account())
}

#[test]
fn s17_an_account_that_2_needs_is_there_before_it_and_stays_while_a_pin_refers_to_it() {
    let mut story = Story::new();
    story.does(Op::BumpAndAccount).until("deploys");
    assert!(has_account(&story), "applied before the candidate");
    story.rests().is_live(Green, 3).flips(1);
    story.revert_last().rests().is_live(Blue, 1).flips(2);
    assert!(has_account(&story), "green's pin refers to it");
    story.bump(2).rests().is_live(Green, 2);
    assert!(!has_account(&story), "no pin refers to it any more");
    golden!("17_account", story);
}

#[test]
fn s17_an_account_that_nobody_needs_goes_when_it_is_dropped() {
    let mut story = Story::new();
    story.does(Op::Account).rests();
    assert!(has_account(&story));
    story.does(Op::Account).rests();
    assert!(!has_account(&story));
    golden!("17_account_dropped", story);
}

#[test]
fn s17_a_copy_that_a_person_made_is_nobody_elses_to_delete() {
    let mut story = Story::new();
    story.does(Op::KubectlCopied).does(Op::Door).rests().does(Op::Door).rests();
    assert!(story.world.cluster.overlay.contains_key(&look::copied()));
    assert!(!story.world.cluster.overlay.contains_key(&look::door()));
    golden!("17_copied", story);
}

#[test]
fn s17_what_a_failed_release_dropped_is_there_for_the_flip_back() {
    let mut story = Story::new();
    story.does(Op::BumpAndAccount).rests().is_live(Green, 3);
    story.commits("bump to 7, which needs no account", |tree| {
        tree.base = 7;
        tree.account = false;
    });
    story.until("SWITCHES").done().until("marks green");
    assert!(has_account(&story), "a flip-back needs it");
    story.rests().is_live(Green, 3);
    assert!(has_account(&story));
    golden!("17_account_in_the_watch", story);
}

#[test]
fn s16_a_route_that_a_release_drops_goes_with_its_flip_and_comes_back() {
    let mut story = Story::new();
    let has_door = |story: &Story| story.world.cluster.overlay.contains_key(&look::door());
    story.does(Op::Door).rests();
    story.commits("bump to 2, without the second Ingress", |tree| {
        tree.base = 2;
        tree.door = false;
    });
    story.until("SWITCHES");
    assert!(has_door(&story), "the route waits for the flip");
    story.rests().is_live(Green, 2);
    assert!(!has_door(&story));
    story.revert_last().rests().is_live(Blue, 1);
    assert!(has_door(&story), "the old route is back");
    golden!("16_route_dropped", story);
}

#[test]
fn s80_a_kill_between_the_note_and_the_object_loses_nothing() {
    let mut story = Story::new();
    story.does(Op::Account).until("notes").done().is_killed().does(Op::Account).rests();
    assert!(!has_account(&story));
    story.does(Op::Account).until("applies ServiceAccount robot").done().is_killed().does(Op::Account).rests();
    assert!(!has_account(&story), "what was applied right before the kill is known of");
    golden!("80_account_and_kill", story);
}
