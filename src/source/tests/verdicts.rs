//! Which trailers count, and which locks.

use git2::Oid;

use super::super::Repo;
use super::super::testing::{self, LIVE_FILE, World, app, look, make, pin, plain, reject, release};
use super::entries;
use crate::core::action::Topic;
use crate::core::colour::Colour;
use crate::core::ids::AppName;
use crate::core::lock::{LOCK_FILE, Lock};
use crate::core::verdict::{Entry, Trailers, Verdict};

#[test]
fn verdicts_count_only_where_the_commit_bears_them_out() {
    let mut world = World::example();
    let mut repo = world.open();
    let first = world.head();
    let trailers = |branch: &str, app: &str| {
        Trailers {
            app: AppName::new(app),
            branch: branch.into(),
            live: Some(Colour::Green),
            facts: vec![Entry { revision: first.clone(), verdict: Verdict::Released }],
            version: "0.1.0".into(),
        }
        .to_text()
    };
    // Forged: the commit changes something else; or the lock, but to another fact.
    world.commit_files(&[("docs/x", Some("x"))], &format!("x\n\n{}", trailers("main", "shop")));
    let other = Lock { branch: "main".into(), rejected: None, ..Lock::default() }.to_text();
    world.commit_files(&[(LOCK_FILE, Some(&other))], &format!("x\n\n{}", trailers("main", "shop")));
    // Empty, but of another branch or another app.
    world.commit_files(&[], &format!("x\n\n{}", trailers("staging", "shop")));
    world.commit_files(&[], &format!("x\n\n{}", trailers("main", "other")));
    assert_eq!(entries(&look(&mut repo)), []);
    // Our own: lock; empty.
    let commit = reject(&mut repo, Colour::Blue, &first);
    make(&mut repo, &commit);
    let mut commit = plain(&mut repo, Colour::Blue);
    commit.facts = vec![Entry { revision: first.clone(), verdict: Verdict::Withdrawn }];
    make(&mut repo, &commit);
    let tip = world.tip().expect("a tip");
    assert_eq!(tip.tree_id(), tip.parent(0).expect("a parent").tree_id(), "a withdrawal is an empty commit");
    let expect = [(first.as_str(), Verdict::Rejected), (first.as_str(), Verdict::Withdrawn)];
    assert_eq!(entries(&look(&mut repo)), expect);
    assert_eq!(entries(&look(&mut world.open())), expect, "without memory");
}

#[test]
fn a_rejection_by_trailer_counts_with_the_selector_alone() {
    let mut world = World::example();
    let mut repo = world.open();
    let first = world.head();
    let flip = release(&mut repo, Colour::Green, &first);
    make(&mut repo, &flip);
    let mut back = plain(&mut repo, Colour::Blue);
    back.selector = Some(Colour::Blue);
    back.facts = vec![Entry { revision: first.clone(), verdict: Verdict::Rejected }];
    back.topic = Topic::FlipBack { colour: Colour::Blue, reason: "no".into() };
    make(&mut repo, &back);
    let expect = [(first.as_str(), Verdict::Released), (first.as_str(), Verdict::Rejected)];
    assert_eq!(entries(&look(&mut repo)), expect);
    assert!(!look(&mut repo).selector_change.expect("a change").by_person);
    // With a bump in it, the same trailers say nothing.
    let message = world.tip().expect("a tip").message().expect("text").to_owned();
    let turned = world
        .read(LIVE_FILE)
        .replace("colour: blue", "colour: X")
        .replace("colour: green", "colour: blue")
        .replace('X', "green");
    let tag = world.read(testing::TAG_FILE).replace("1.0.0", "3.0.0");
    let message = message.replace("Live: blue", "Live: green");
    world.commit_files(&[(LIVE_FILE, Some(&turned)), (testing::TAG_FILE, Some(&tag))], &message);
    assert_eq!(entries(&look(&mut repo)), expect);
}

#[test]
fn facts_of_merged_side_branches_come_before_their_merge() {
    let mut world = World::example();
    let mut repo = world.open();
    let first = world.head();
    let flip = release(&mut repo, Colour::Green, &first);
    let flip = make(&mut repo, &flip);
    let fork = Oid::from_str(flip.as_str()).expect("an id");
    let commit = reject(&mut repo, Colour::Green, &first);
    let rejected = make(&mut repo, &commit);
    look(&mut repo);
    let side = world.write(&[("docs/x", Some("x"))], "Docs", Some(fork), &[]);
    let rejected = Oid::from_str(rejected.as_str()).expect("an id");
    let merge = world.write(&[("docs/x", Some("x"))], "Merge", Some(rejected), &[side]);
    world.set_main(merge);
    let expect = [(first.as_str(), Verdict::Released), (first.as_str(), Verdict::Rejected)];
    assert_eq!(entries(&look(&mut repo)), expect);
    // The other way round: a person merged main into theirs and pushed that.
    let lock = world.read(LOCK_FILE);
    let foxtrot = world.write(&[(LOCK_FILE, Some(&lock))], "Merge", Some(side), &[rejected]);
    world.set_main(foxtrot);
    assert_eq!(entries(&look(&mut repo)), expect);
}

#[test]
fn the_newest_verdict_has_its_commits_time() {
    let mut world = World::example();
    let mut repo = world.open();
    let app = app(&mut repo);
    look(&mut repo);
    assert_eq!(repo.newest_verdict_at(&app).expect("an answer"), None);
    let bump = world.bump("2.0.0");
    let commit = release(&mut repo, Colour::Green, &bump);
    make(&mut repo, &commit);
    let made = world.tip().expect("a tip").time().seconds();
    world.unrelated();
    look(&mut repo);
    let at = |repo: &Repo| repo.newest_verdict_at(&app).expect("an answer").map(|at| at.as_second());
    assert_eq!(at(&repo), Some(made));
    let mut anew = world.open();
    look(&mut anew);
    assert_eq!(at(&anew), Some(made), "without memory");
}

#[test]
fn a_lock_that_is_broken_or_anothers_says_nothing() {
    let mut world = World::example();
    let mut repo = world.open();
    let first = world.head();
    let commit = release(&mut repo, Colour::Green, &first);
    make(&mut repo, &commit);
    let ours = world.read(LOCK_FILE);
    for text in ["a: [".to_owned(), ours.replace("branch: \"main\"", "branch: \"staging\"")] {
        world.commit_files(&[(LOCK_FILE, Some(&text))], "Spoil the lock");
        assert_eq!(look(&mut repo).lock, Lock::default());
        let mut commit = plain(&mut repo, Colour::Green);
        commit.pins[Colour::Green] = Some(pin(&first));
        commit.topic = Topic::RestoreLock { colour: Colour::Green };
        make(&mut repo, &commit);
        assert_eq!(world.read(LOCK_FILE), ours, "restored whole");
    }
}
