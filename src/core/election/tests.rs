//! One replica's part, step by step.

use super::*;

fn at(ms: u64) -> Moment {
    Moment::at(Duration::from_millis(ms))
}

fn me() -> Candidate {
    Candidate::new("a", "1")
}

fn lease(version: &str, holder: Option<&str>) -> Option<Lease> {
    Some(Lease { version: version.into(), holder: holder.map(str::to_owned), lasts: Some(LEASE), transitions: 4 })
}

fn look() -> Step {
    Step::Ask(Ask::Look)
}

fn blank(version: &str) -> Lease {
    Lease { version: version.into(), holder: None, lasts: Some(LEASE), transitions: 0 }
}

fn write(over: Option<&str>, holder: Option<&str>, transitions: i32, begins: bool) -> Ask {
    let text = |text: Option<&str>| text.map(str::to_owned);
    Ask::Write(Entry { over: text(over), holder: text(holder), transitions, begins })
}

/// A replica that has looked once, at 0, and what it does then.
fn first_look(found: Option<Lease>) -> (Election, Step) {
    let mut election = Election::new(me(), at(0));
    assert_eq!(election.next(at(0)), look());
    election.heard(&Ask::Look, at(0), &Answer::Lease(found), at(10));
    let step = election.next(at(10));
    (election, step)
}

/// A replica that leads since 20.
fn leading() -> Election {
    let (mut election, step) = first_look(lease("5", None));
    let claim = write(Some("5"), Some("a_1"), 5, true);
    assert_eq!(step, Step::Ask(claim.clone()));
    election.heard(&claim, at(20), &Answer::Lease(lease("6", Some("a_1"))), at(30));
    assert_eq!(election.until(), Some(at(20).plus(TERM)));
    election
}

#[test]
fn what_a_first_look_leads_to() {
    let next_look = Step::Wait(at(10).plus(LOOK_EVERY));
    for (what, found, expect) in [
        ("nobody's", lease("5", None), Step::Ask(write(Some("5"), Some("a_1"), 5, true))),
        ("a former process's", lease("5", Some("a_0")), Step::Ask(write(Some("5"), Some("a_1"), 5, true))),
        (
            "ours, by a write whose answer was lost",
            lease("5", Some("a_1")),
            Step::Ask(write(Some("5"), Some("a_1"), 4, true)),
        ),
        ("another's", lease("5", Some("b_9")), next_look.clone()),
        ("another's, of a longer name", lease("5", Some("a_b_1")), next_look.clone()),
        ("nobody's ever: it may stand where one was deleted", Some(blank("5")), next_look),
        ("missing", None, Step::Ask(write(None, None, 0, false))),
    ] {
        assert_eq!(first_look(found).1, expect, "{what}");
    }
}

#[test]
fn a_lease_is_taken_when_it_was_seen_unchanged_for_its_length_and_not_before() {
    let (mut election, _) = first_look(lease("5", Some("b_9")));
    let mut now = at(510);
    while now < at(10).plus(LEASE) {
        assert_eq!(election.next(now), look());
        election.heard(&Ask::Look, now, &Answer::Lease(lease("5", Some("b_9"))), now.plus(Duration::from_millis(10)));
        let Step::Wait(next) = election.next(now.plus(Duration::from_millis(10))) else { panic!("it waits") };
        now = next;
    }
    assert_eq!(now, at(10).plus(LEASE), "at the moment itself, not at a look after it");
    assert_eq!(election.next(now), Step::Ask(write(Some("5"), Some("a_1"), 5, true)));
}

#[test]
fn every_change_begins_the_waiting_anew_and_an_own_past_counts_only_at_the_start() {
    let (mut election, _) = first_look(lease("5", Some("b_9")));
    election.heard(&Ask::Look, at(3900), &Answer::Lease(lease("6", Some("b_9"))), at(3910));
    assert_eq!(election.next(at(4100)), Step::Wait(at(4410)), "it was renewed");
    election.heard(&Ask::Look, at(4410), &Answer::Lease(lease("7", Some("a_0"))), at(4420));
    assert_eq!(election.next(at(4420)), Step::Wait(at(4920)), "another of our name is alive");
}

#[test]
fn a_holder_of_another_version_may_ask_for_more_time_but_not_for_ever() {
    for (lasts_s, expect_s) in [(0, 4), (1, 4), (15, 15), (100_000, 60)] {
        let found = Lease { lasts: Some(Duration::from_secs(lasts_s)), ..lease("5", Some("b_9")).expect("a lease") };
        let (election, _) = first_look(Some(found));
        let free = at(10).plus(Duration::from_secs(expect_s));
        assert_eq!(election.next(Moment::at(free.since(at(1)))), look());
        assert!(matches!(election.next(free), Step::Ask(Ask::Write(_))), "{lasts_s}");
    }
}

#[test]
fn a_leader_renews_and_its_term_counts_from_before_the_request() {
    let mut election = leading();
    assert_eq!(election.next(at(30)), Step::Wait(at(20).plus(RENEW_EVERY)));
    let renewal = write(Some("6"), Some("a_1"), 4, false);
    assert_eq!(election.next(at(1020)), Step::Ask(renewal.clone()));
    election.heard(&renewal, at(1020), &Answer::Lease(lease("7", Some("a_1"))), at(1900));
    assert_eq!(election.until(), Some(at(1020).plus(TERM)));
    assert_eq!(election.next(at(1900)), Step::Wait(at(2020)));
}

#[test]
fn a_failed_renewal_is_tried_again_and_the_term_is_not_prolonged() {
    let mut election = leading();
    let renewal = write(Some("6"), Some("a_1"), 4, false);
    let failed = Answer::Failed(OneLine::new("no answer"));
    election.heard(&renewal, at(1020), &failed, at(2020));
    assert_eq!(election.until(), Some(at(20).plus(TERM)));
    assert_eq!(election.next(at(2020).plus(RETRY_PAUSE)), Step::Ask(renewal.clone()));
    // It was written all the same: the version is another one, and ours.
    election.heard(&renewal, at(2220), &Answer::Conflict, at(2230));
    assert_eq!(election.next(at(2280)), look());
    election.heard(&Ask::Look, at(2280), &Answer::Lease(lease("7", Some("a_1"))), at(2290));
    let again = write(Some("7"), Some("a_1"), 4, false);
    assert_eq!(election.next(at(2290)), Step::Ask(again.clone()));
    election.heard(&again, at(2290), &failed, at(3290));
    assert!(election.until() < Some(at(3290)), "it acts no more");
    let (looked, back) = (at(3290).plus(LOOK_EVERY), Answer::Lease(lease("7", Some("a_1"))));
    assert_eq!(election.next(looked), look());
    election.heard(&Ask::Look, looked, &back, looked);
    assert_eq!(election.next(looked), Step::Ask(write(Some("7"), Some("a_1"), 4, true)), "nobody took it: a new term");
}

#[test]
fn an_answer_that_comes_after_a_freeze_gives_no_term() {
    let mut election = leading();
    let renewal = write(Some("6"), Some("a_1"), 4, false);
    election.heard(&renewal, at(1020), &Answer::Lease(lease("7", Some("a_1"))), at(60_000));
    assert!(election.until() < Some(at(60_000)));
}

#[test]
fn whoever_sees_another_holder_stands_down_at_once() {
    for holder in ["b_9", "a_2"] {
        let mut election = leading();
        election.heard(&write(Some("6"), Some("a_1"), 4, false), at(1020), &Answer::Conflict, at(1030));
        assert_eq!(election.until(), Some(at(20).plus(TERM)), "it may have been a person's hand");
        election.heard(&Ask::Look, at(1080), &Answer::Lease(lease("8", Some(holder))), at(1090));
        assert_eq!(election.until(), None, "{holder}");
        assert_eq!(election.leader(), Some(name_of(holder)));
    }
}

#[test]
fn a_lease_that_was_deleted_is_made_again_by_its_holder_at_once_and_by_others_later() {
    let mut holder = leading();
    holder.heard(&Ask::Look, at(1020), &Answer::Lease(None), at(1030));
    assert_eq!(holder.next(at(1030)), Step::Ask(write(None, Some("a_1"), 1, false)));
    // Another one was faster, and made a blank one: it is taken over its head.
    holder.heard(&Ask::Look, at(1040), &Answer::Lease(Some(blank("9"))), at(1050));
    assert_eq!(holder.until(), Some(at(20).plus(TERM)));
    assert_eq!(holder.next(at(1050)), Step::Ask(write(Some("9"), Some("a_1"), 1, false)));

    let (mut other, _) = first_look(lease("5", Some("b_9")));
    other.heard(&Ask::Look, at(3000), &Answer::Lease(None), at(3010));
    let make = write(None, None, 0, false);
    assert_eq!(other.next(at(3010)), Step::Ask(make.clone()));
    other.heard(&make, at(3010), &Answer::Lease(Some(blank("9"))), at(3020));
    assert_eq!(other.next(at(7000)), look());
    assert_eq!(other.next(at(3020).plus(LEASE)), Step::Ask(write(Some("9"), Some("a_1"), 1, true)));
}

#[test]
fn who_leaves_gives_the_lease_back_and_nothing_that_is_not_its_own() {
    let mut election = leading();
    election.leave(at(500));
    assert_eq!(election.until(), None);
    let release = write(Some("6"), None, 4, false);
    assert_eq!(election.next(at(500)), Step::Ask(release.clone()));
    election.heard(&release, at(500), &Answer::Lease(lease("7", None)), at(510));
    assert_eq!(election.next(at(510)), Step::Done);

    let (mut standing_by, _) = first_look(lease("5", Some("b_9")));
    standing_by.leave(at(500));
    assert_eq!(standing_by.next(at(500)), Step::Done);

    let mut beginner = Election::new(me(), at(0));
    beginner.leave(at(500));
    assert_eq!(beginner.next(at(500)), Step::Done);

    let mut overtaken = leading();
    overtaken.leave(at(500));
    overtaken.heard(&release, at(500), &Answer::Conflict, at(510));
    overtaken.heard(&Ask::Look, at(560), &Answer::Lease(lease("8", Some("b_9"))), at(570));
    assert_eq!(overtaken.next(at(570)), Step::Done);

    let mut cut_off = leading();
    cut_off.leave(at(0));
    let mut now = at(500);
    for _ in 0..RELEASE_TRIES {
        let Step::Ask(ask) = cut_off.next(now) else { panic!("it tries") };
        cut_off.heard(&ask, now, &Answer::Failed(OneLine::new("no answer")), now.plus(REQUEST_MAX));
        now = now.plus(REQUEST_MAX).plus(RETRY_PAUSE);
    }
    assert_eq!(cut_off.next(now), Step::Done, "it does not try for ever");
}

#[test]
fn a_process_knows_itself_and_its_name() {
    let pod = Candidate::new("turquoise-7d9f-x2x4z", "17_3");
    assert_eq!(pod.holder(), "turquoise-7d9f-x2x4z_17-3");
    assert_eq!(name_of(&pod.holder()), "turquoise-7d9f-x2x4z");
    assert_eq!(name_of("somebody"), "somebody");
    assert!(pod.was("turquoise-7d9f-x2x4z_16") && !pod.was(&pod.holder()) && !pod.was("turquoise-7d9f-x2x4_16"));
}
