//! Random cases, each from its seed.

use fastrand::Rng;

use crate::world::cluster::{Pace, WATCH_FAILS};
use crate::world::people::{Op, Which};
use crate::world::schedule::{Event, Fault, Schedule, When};
use crate::world::{Retiring, Setup};

/// Kinds of world are few, so that each one's first deploy is played once.
const PACES: [Pace; 3] = [
    Pace { start_s: 0, endpoints_s: 0, check_s: 0 },
    Pace { start_s: 3, endpoints_s: 1, check_s: 2 },
    Pace { start_s: 8, endpoints_s: 4, check_s: 1 },
];
const RETIRING: [Retiring; 6] =
    [Retiring::Keep, Retiring::Keep, Retiring::Keep, Retiring::Zero, Retiring::One, Retiring::Delete];

/// The case of a seed.
pub(crate) fn schedule(seed: u64) -> Schedule {
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let setup = Setup {
        tiers: match rng.u8(..6) {
            0 => 2,
            1 => 3,
            _ => 1,
        },
        live_services: if rng.u8(..4) == 0 { 2 } else { 1 },
        manual: rng.u8(..5) == 0,
        retiring: RETIRING[rng.usize(..RETIRING.len())],
        pace: PACES[rng.usize(..PACES.len())],
        watch_s: if rng.u8(..4) == 0 { 1 } else { 60 },
        flip_back: rng.u8(..4) == 0,
    };
    // Where traffic may go back without git, git is down at the right moment, or it is about nothing.
    let faulty = setup.flip_back || rng.bool();
    // A third of the cases are plain bumps and reverts: only they can show that a healthy HEAD goes live.
    let plain = rng.u8(..3) == 0;
    let length = 1 + rng.usize(..6);
    let mut events = Vec::with_capacity(length);
    for _ in 0..length {
        let event = if faulty && rng.u8(..3) == 0 {
            let down = setup.flip_back && rng.bool();
            Event::Fault(if down { Fault::GitDown(1 + rng.u8(..20)) } else { fault(&mut rng) })
        } else if setup.flip_back && rng.u8(..3) == 0 {
            Event::Person(if rng.u8(..4) == 0 { Op::Outage } else { Op::Bump(WATCH_FAILS) })
        } else {
            Event::Person(if plain { plain_op(&mut rng) } else { op(&mut rng) })
        };
        let when = match rng.u8(..10) {
            0..=2 => When::Rest,
            3..=5 => When::Looked(rng.u8(..8)),
            _ => When::Actions(rng.u8(..8)),
        };
        events.push((when, event));
    }
    Schedule { setup, events }
}

fn fault(rng: &mut Rng) -> Fault {
    match rng.u8(..9) {
        0..=2 => Fault::Cut(rng.u8(..4)),
        3 => Fault::LostReply,
        4 | 5 => Fault::Stale(rng.u8(..3)),
        6 => Fault::Unreachable(1 + rng.u8(..30)),
        7 => Fault::GitDown(1 + rng.u8(..20)),
        _ => Fault::Refused(1 + rng.u8(..3)),
    }
}

fn plain_op(rng: &mut Rng) -> Op {
    match rng.u8(..14) {
        0..=7 => Op::Bump(1 + rng.u32(..9)),
        8 | 9 => Op::Revert(Which::Last),
        10 => Op::Revert(Which::Previous),
        11 => Op::Empty,
        12 => Op::Kill,
        _ => Op::BothOverlays,
    }
}

fn op(rng: &mut Rng) -> Op {
    match rng.u8(..44) {
        0..=9 => Op::Bump(1 + rng.u32(..9)),
        10 | 11 => Op::Revert(Which::Last),
        12 => Op::Revert(Which::Previous),
        13 | 14 => Op::Revert(Which::Flip),
        15 | 16 => Op::Revert(Which::Rejection),
        17 => Op::Revert(Which::Verified),
        18 => Op::Revert(Which::Pin),
        19..=21 => Op::Selector,
        22 | 23 => Op::BumpAndSelector,
        24 => Op::LiveOverlay,
        25 => Op::IdleOverlay,
        26 => Op::BothOverlays,
        27 => Op::Empty,
        28 => Op::LockDeleted,
        29 => Op::LockSwapped,
        30 => Op::Kubectl,
        31 => Op::Kill,
        32 => Op::Rot,
        33 => Op::Outage,
        34 => {
            let size = 1 + rng.u32(..6);
            if size > 3 { Op::Autoscaled(size) } else { Op::Size(size) }
        }
        35 => Op::Routing,
        36 => Op::Shared,
        37 => Op::SelectorBroken,
        38 => Op::SelectorMended,
        39 => Op::Account,
        40 => Op::BumpAndAccount,
        41 => Op::Door,
        42 => Op::KubectlCopied,
        _ => {
            if rng.bool() {
                Op::KubectlRemoved
            } else {
                Op::KubectlDeleted
            }
        }
    }
}
