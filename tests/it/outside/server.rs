//! An API server that is down, slow, busy, forgetful or behind; what a real one does stands in `faults`.

use std::time::Duration;

use super::stage::Stage;
use super::tap::{Fault, Tap};
use super::transport::Transport;
use super::world::Only;

pub(super) const TAP: Only = Only::Sandbox("the tap carries plain HTTP; a real API server speaks TLS alone");

/// Long enough for some looks, and shorter than any deadline of a candidate.
const OUTAGE: Duration = Duration::from_millis(1500);

/// What git said counts for a second.
const FRESH: Duration = Duration::from_millis(1100);

/// The next version, and the colour that it goes to.
struct Rounds(usize);

impl Rounds {
    fn next(&mut self) -> (&'static str, &'static str) {
        self.0 += 1;
        (["1.1.0", "1.2.0", "2.0.0"][self.0 % 3], if self.0 % 2 == 1 { "green" } else { "blue" })
    }
}

fn open() -> Option<(Stage, Tap)> {
    let mut stage = TAP.bare_with_images(|_| {}, &[])?;
    let tap = stage.tapped();
    Some((stage.opened(), tap))
}

/// A bump while the server has a fault, which then goes. Gives whether the bump waited for that.
fn bump_through(stage: &Stage, tap: &Tap, rounds: &mut Rounds, fault: Fault) -> bool {
    let (version, colour) = rounds.next();
    tap.breaks(fault);
    let bump = stage.bump(version);
    std::thread::sleep(OUTAGE);
    let waited = stage.verdicts(&bump, "released") == 0;
    tap.mends();
    stage.until_live(colour, version);
    assert_eq!((stage.verdicts(&bump, "released"), stage.verdicts(&bump, "rejected")), (1, 0), "{fault:?}");
    waited
}

#[test]
fn s85_while_the_server_does_not_answer_nothing_moves_and_then_it_does() {
    let Some((stage, tap)) = open() else { return };
    let mut rounds = Rounds(0);
    for status in [409, 429, 500, 503] {
        assert!(bump_through(&stage, &tap, &mut rounds, Fault::Answers { status, each: 1 }), "{status}");
    }
    assert!(bump_through(&stage, &tap, &mut rounds, Fault::Silent));
    stage.ends();
}

#[test]
fn s85_a_write_that_arrives_late_is_refused() {
    let Some((stage, tap)) = open() else { return };
    let mut rounds = Rounds(0);
    // Both colours are there: what is written is written over.
    for _ in 0..2 {
        let (version, colour) = rounds.next();
        stage.bump(version);
        stage.until_live(colour, version);
    }
    let mut late = Vec::new();
    for at in 1.. {
        let (version, colour) = rounds.next();
        tap.holds(at);
        let bump = stage.bump(version);
        stage.until("a held write, or the end", |app| {
            tap.held().is_some() || (stage.is_at_rest(app) && stage.verdicts(&bump, "released") == 1)
        });
        let Some(write) = tap.held() else { break };
        let path = write.split_once("/namespaces/default/").map_or("", |(_, path)| path);
        // Workloads, and the Service that takes traffic: somebody else was faster.
        let guarded = path.starts_with("deployments/") || path == "services/shop";
        if guarded {
            stage.kubectl(&["annotate", "--overwrite", path, &format!("story={at}")]);
        }
        let answer = tap.lets_go();
        if guarded {
            assert!(matches!(answer, 409 | 422), "write {at}, {write}: {answer}");
            late.push(write);
        }
        stage.until_live(colour, version);
        assert_eq!((stage.verdicts(&bump, "released"), stage.verdicts(&bump, "rejected")), (1, 0), "{late:#?}");
    }
    let of = |word: &str| late.iter().filter(|write| write.contains(word)).count();
    assert!(of("/deployments/") >= 4 && of("/services/") >= 1, "{late:#?}");
    stage.ends();
}

/// SITUATION 53, with a patch that comes late: whoever is about to switch traffic asks git once more.
#[test]
fn s53_a_flip_that_is_reverted_before_the_patch_is_never_patched() {
    let Some(stage) = TAP.bare_with_images(|_| {}, &[]) else { return };
    let mut stage = stage.over(Transport::Https);
    let tap = stage.tapped();
    let stage = stage.opened();
    let mut rounds = Rounds(0);
    let flipped_at = || {
        stage.kubectl(&["get", "service", "shop", "-o", r"jsonpath={.metadata.annotations.turquoise\.dev/flipped-at}"])
    };
    for at in 1.. {
        let (version, colour) = rounds.next();
        tap.holds(at);
        let bump = stage.bump(version);
        stage.until("a held write", |_| tap.held().is_some());
        if !stage.git_log("%s")[0].contains("goes live") {
            tap.lets_go();
            stage.until_live(colour, version);
            continue;
        }
        let (write, before) = (tap.held().unwrap_or_default(), flipped_at());
        assert!(write.contains("/deployments/"), "the patch itself has begun: {write}");
        stage.revert_flip();
        std::thread::sleep(FRESH);
        tap.lets_go();
        stage.until("withdrawn", |app| stage.verdicts(&bump, "withdrawn") == 1 && stage.is_at_rest(app));
        assert_ne!(stage.status()["serving"], colour);
        assert_eq!(flipped_at(), before, "traffic went to and fro");
        break;
    }
    stage.ends();
}

#[test]
fn s85_some_answers_that_are_missing_delay_a_release_and_nothing_more() {
    let Some((stage, tap)) = open() else { return };
    let mut rounds = Rounds(0);
    for status in [409, 429, 500] {
        bump_through(&stage, &tap, &mut rounds, Fault::Answers { status, each: 3 });
    }
    for each in [1, 2] {
        bump_through(&stage, &tap, &mut rounds, Fault::Lost { each });
    }
    bump_through(&stage, &tap, &mut rounds, Fault::Unwatched);
    stage.ends();
}

#[test]
fn s85_nothing_is_done_by_old_knowledge() {
    let Some((stage, tap)) = open() else { return };
    let mut rounds = Rounds(0);
    // From each of a release's writes on, the server's lists are those of the moment before.
    for from in 0..12 {
        bump_through(&stage, &tap, &mut rounds, Fault::Stale { from });
    }
    stage.ends();
}
