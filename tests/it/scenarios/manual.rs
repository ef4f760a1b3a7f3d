//! Manual promotion: a person's commit approves.

use turquoise::core::lock::PinState;

use super::{Blue, Green, Story, golden};
use crate::world::Setup;
use crate::world::people::Op;

fn manual() -> Story {
    Story::of(Setup { manual: true, ..Setup::PLAIN })
}

#[test]
fn s57_a_verified_candidate_waits_for_the_selector() {
    let mut story = manual();
    story.bump(2).rests().is_live(Blue, 1).flips(0);
    let pin = story.world.git.tree().lock.pins[Green].as_ref().map(|pin| pin.state);
    assert_eq!(pin, Some(PinState::Verified));
    story.does(Op::Selector).rests().is_live(Green, 2).flips(1);
    golden!("57_approval", story);
}

#[test]
fn s57_a_newer_bump_needs_its_own_approval() {
    let mut story = manual();
    story.bump(2).rests().bump(3).rests().is_live(Blue, 1).flips(0);
    story.does(Op::Selector).rests().is_live(Green, 3).flips(1);
    golden!("57_newer_bump", story);
}

#[test]
fn s57_the_approved_pin_goes_live_and_not_newer_content() {
    let mut story = manual();
    story.bump(2).rests().bump(3).does(Op::Selector).until("SWITCHES").done().is_live(Green, 2);
    story.rests().is_live(Green, 2).flips(1);
    golden!("57_approved_pin_wins", story);
}

#[test]
fn s57_a_reverted_approval_withdraws() {
    let mut story = manual();
    story.bump(2).rests().does(Op::Selector).rests().is_live(Green, 2);
    story.revert_last().rests().is_live(Blue, 1).flips(2);
    golden!("57_reverted_approval", story);
}

#[test]
fn a_return_needs_no_approval() {
    let mut story = manual();
    story.bump(2).rests().does(Op::Selector).rests().is_live(Green, 2);
    story.bump(1).rests().is_live(Blue, 1).flips(2);
    golden!("57_return_without_approval", story);
}
