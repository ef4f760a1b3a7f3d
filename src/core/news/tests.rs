use super::*;
use crate::core::ids::Digest;
use crate::core::lock::{Digests, Pin, Rejection};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn id(text: &str) -> CommitId {
    CommitId::new(text)
}

fn pin(revision: &str, content: &str, state: PinState) -> Option<Pin> {
    let digest = Digest::new(content);
    Some(Pin {
        revision: id(revision),
        state,
        digests: Digests { blue: digest.clone(), green: digest },
        images: vec![format!("shop:{content}")],
        turquoise: "0.1.0".into(),
    })
}

fn lock(blue: Option<Pin>, green: Option<Pin>) -> Lock {
    let mut lock = Lock::default();
    (lock.pins.blue, lock.pins.green) = (blue, green);
    lock
}

fn saying(commit: &str, second: i64, fact: (&str, Verdict), live: Colour, body: &str, locks: [&Lock; 2]) -> Saying {
    Saying {
        commit: id(commit),
        at: at(second),
        facts: vec![Entry { revision: id(fact.0), verdict: fact.1 }],
        live: Some(live),
        body: OneLine::new(body),
        before: locks[0].clone(),
        after: locks[1].clone(),
    }
}

fn facts(second: i64, head: &str, starts: Vec<Start>, live: Option<Live>) -> Facts {
    Facts { at: at(second), head: id(head), is_new: true, starts, live, conditions: BTreeMap::new() }
}

fn start_of(revision: &str, attempt: &str, second: i64) -> Start {
    Start {
        colour: Colour::Green,
        revision: id(revision),
        attempt: attempt.to_owned(),
        at: at(second),
        images: vec!["shop:2".into()],
        old_images: vec!["shop:1".into()],
    }
}

fn live_in(colour: Colour, revision: &str, selector: &str, second: i64) -> Live {
    Live {
        colour,
        revision: id(revision),
        flipped_at: Some(at(second)),
        selector: Some(id(selector)),
        images: vec!["shop:2".into()],
        old_images: vec!["shop:1".into()],
        way_back: true,
    }
}

/// Tells of a look, and again of the same look: the second time there is nothing to say.
fn tell(told: &mut Deliveries, facts: &Facts, sayings: Vec<Saying>, walked: &[&str]) -> Vec<String> {
    let words = [(id("r2"), (OneLine::new("A developer"), OneLine::new("Release 2")))].into();
    let chronicle = Chronicle { sayings, walked: walked.iter().map(|commit| id(commit)).collect(), words };
    let app = AppName::new("shop");
    // A process that was killed before it could record anything finds the same ids.
    let mut forgetful = told.clone();
    let events = events(&app, told, facts, &chronicle);
    let again: Vec<String> =
        super::events(&app, &mut forgetful, facts, &chronicle).into_iter().map(|one| one.id).collect();
    assert_eq!(events.iter().map(|one| one.id.clone()).collect::<Vec<_>>(), again);
    assert_eq!(super::events(&app, told, facts, &chronicle), []);
    assert_eq!(wants(&app, told, facts), None, "the same look needs nothing of git");
    let show = |event: &Event| {
        let revision = event.revision.as_ref().map_or("-", CommitId::as_str);
        let more = [event.reason.as_ref().map(ToString::to_string), event.go_back.clone()];
        let more: String = more.into_iter().flatten().map(|words| format!(" ({words})")).collect();
        format!("{} {revision}{more}", event.kind.as_str())
    };
    events.iter().map(show).collect()
}

#[test]
fn a_release_and_its_return_are_told_from_facts_alone() {
    let (blue, green) = (pin("r1", "1", PinState::Released), pin("r2", "2", PinState::Released));
    let (one, two) = (lock(blue.clone(), None), lock(blue, green.clone()));
    let mut told = Deliveries::beginning(None);
    let begun = facts(11, "r2", vec![start_of("r2", "r2#0", 10)], None);
    assert_eq!(tell(&mut told, &begun, vec![], &["r2", "r1"]), ["started r2"]);

    let release = saying("f2", 20, ("r2", Verdict::Released), Colour::Green, "It is ready", [&one, &two]);
    let flipped = facts(22, "f2", begun.starts.clone(), Some(live_in(Colour::Green, "r2", "f2", 21)));
    let news = tell(&mut told, &flipped, vec![release.clone()], &["f2", "r2", "r1"]);
    assert_eq!(news, ["live r2 (git revert f2)"]);

    // A revert of the bump: blue is pinned with what it had.
    let back = lock(pin("r3", "1", PinState::Released), green);
    let return_ = saying("f3", 30, ("r3", Verdict::Released), Colour::Blue, "It asks for", [&two, &back]);
    let mut returned = facts(32, "f3", vec![], Some(live_in(Colour::Blue, "r3", "f3", 31)));
    returned.starts.push(Start { colour: Colour::Blue, ..start_of("r3", "r3#0", 30) });
    let news = tell(&mut told, &returned, vec![return_, release], &["f3", "r3", "f2", "r2", "r1"]);
    assert_eq!(news, ["returned r3 (git revert f3)"]);
}

#[test]
fn everything_that_happened_while_nobody_looked_is_told_in_its_order() {
    let before = lock(pin("r1", "1", PinState::Released), None);
    let mut after = before.clone();
    after.rejected = Some(Rejection { revision: id("r2"), reason: "check `smoke`: no".into() });
    let rejected =
        saying("x2", 20, ("r2", Verdict::Rejected), Colour::Blue, "It failed in green: no", [&before, &after]);
    let mut told = Deliveries::beginning(None);
    let look = facts(500, "x2", vec![start_of("r2", "r2#0", 10)], Some(live_in(Colour::Blue, "r1", "f1", 5)));
    let news = tell(&mut told, &look, vec![rejected], &["x2", "r2", "f1", "r1"]);
    assert_eq!(news, ["live r1 (git revert f1)", "started r2", "rejected r2 (check `smoke`: no)"]);
}

#[test]
fn a_failed_watch_and_a_withdrawal_are_told_apart() {
    let one = pin("r1", "1", PinState::Released);
    let two = lock(one.clone(), pin("r2", "2", PinState::Released));
    let mut told = Deliveries::beginning(None);
    let body = format!("{FAILED_UNDER_TRAFFIC}: smoke says no");
    let back = saying("b2", 40, ("r2", Verdict::Rejected), Colour::Blue, &body, [&two, &two]);
    let first =
        saying("f1", 5, ("r1", Verdict::Released), Colour::Blue, "ready", [&lock(None, None), &lock(one, None)]);
    let look = facts(50, "b2", vec![], Some(live_in(Colour::Blue, "r1", "b2", 45)));
    let news = tell(&mut told, &look, vec![back, first], &["b2", "r2", "f1", "r1"]);
    assert_eq!(news, [format!("flipped_back r2 ({body})"), "returned r1 (git revert b2)".to_owned()]);

    let withdrawn = saying("w2", 60, ("r2", Verdict::Withdrawn), Colour::Blue, "A person took it back.", [&two, &two]);
    let look = facts(61, "w2", vec![], look.live);
    assert_eq!(tell(&mut told, &look, vec![withdrawn], &["w2"]), ["withdrawn r2"]);
}

#[test]
fn a_retry_after_a_failed_watch_is_a_release_and_no_return() {
    let (one, two) = (pin("r1", "1", PinState::Released), pin("r2", "2", PinState::Released));
    let both = lock(one, two);
    let retried = saying("f3", 60, ("r2", Verdict::Released), Colour::Green, "ready", [&both, &both]);
    let back = saying("b2", 40, ("r2", Verdict::Rejected), Colour::Blue, FAILED_UNDER_TRAFFIC, [&both, &both]);
    let mut told = Deliveries::beginning(Some(at(50)));
    let look = facts(62, "f3", vec![start_of("r2", "r2#1", 55)], Some(live_in(Colour::Green, "r2", "p2", 61)));
    let news = tell(&mut told, &look, vec![retried, back], &["f3", "p2", "b2", "r2", "r1"]);
    assert_eq!(news, ["started r2", "live r2 (git revert p2)"]);
}

#[test]
fn a_verified_candidate_waits_for_its_colour() {
    let before = lock(pin("r1", "1", PinState::Released), None);
    let after = lock(pin("r1", "1", PinState::Released), pin("r2", "2", PinState::Verified));
    let mut told = Deliveries::beginning(None);
    let verified = saying("v2", 20, ("r2", Verdict::Verified), Colour::Blue, "waits", [&before, &after]);
    let chronicle = Chronicle { sayings: vec![verified], walked: vec![], words: BTreeMap::new() };
    let events = events(&AppName::new("shop"), &mut told, &facts(21, "v2", vec![], None), &chronicle);
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].kind, events[0].colour), (EventKind::Verified, Some(Colour::Green)));
    assert!(events[0].cure.as_ref().is_some_and(|cure| cure.as_str().contains("green")), "{events:?}");
    assert_eq!((&events[0].old_images[..], &events[0].images[..]), (&["shop:1".into()][..], &["shop:2".into()][..]));
}

#[test]
fn what_happened_before_anybody_was_named_stays_untold() {
    let mut told = Deliveries::beginning(Some(at(100)));
    let before = lock(pin("r1", "1", PinState::Released), None);
    let old = saying("x2", 20, ("r2", Verdict::Rejected), Colour::Blue, "It failed", [&before, &before]);
    let look = facts(100, "x2", vec![start_of("r2", "r2#0", 10)], Some(live_in(Colour::Blue, "r1", "f1", 5)));
    assert_eq!(tell(&mut told, &look, vec![old.clone()], &["x2"]), Vec::<String>::new());
    let new = saying("x3", 110, ("r3", Verdict::Rejected), Colour::Blue, "It failed", [&before, &before]);
    let look = facts(111, "x3", vec![], look.live);
    assert_eq!(tell(&mut told, &look, vec![new, old], &["x3", "x2"]), ["rejected r3 (It failed)"]);
}

#[test]
fn a_hand_on_the_selector_in_the_cluster_is_drift_and_no_release() {
    let mut told = Deliveries::beginning(None);
    let look = |flip: i64| facts(flip + 1, "f1", vec![], Some(live_in(Colour::Blue, "r1", "f1", flip)));
    assert_eq!(tell(&mut told, &look(10), vec![], &["f1"]), ["live r1 (git revert f1)"]);
    let drift = "drift - (the live Service's selector was changed in the cluster and is back)";
    assert_eq!(tell(&mut told, &look(20), vec![], &["f1"]), [drift]);
}
