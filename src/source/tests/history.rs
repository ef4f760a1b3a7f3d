//! Walks through history, and what people are shown of it.

use std::time::{Duration, Instant};

use git2::Oid;

use super::super::ground;
use super::super::testing::{World, app, look, make, release};
use crate::core::colour::Colour;

#[test]
fn a_long_history_is_walked_fast_and_once() {
    let mut world = World::example();
    let mut repo = world.open();
    let bump = world.bump("2.0.0");
    let commit = release(&mut repo, Colour::Green, &bump);
    make(&mut repo, &commit);
    for _ in 0..5_000 {
        world.unrelated();
    }
    let start = Instant::now();
    let desired = look(&mut repo);
    let cold = start.elapsed();
    assert_eq!((&desired.revision, desired.verdicts.entries().len()), (&bump, 1));
    world.unrelated();
    let start = Instant::now();
    look(&mut repo);
    let warm = start.elapsed();
    assert!(cold < Duration::from_secs(10) && warm < Duration::from_millis(500), "cold {cold:?}, warm {warm:?}");
    println!("cold {cold:?}, warm {warm:?}");
}

#[test]
fn an_ancestor_is_found_however_far_and_beside_merges() {
    let mut world = World::example();
    let first = world.tip().expect("a tip").id();
    let side = world.write(&[("side", Some("1"))], "Side", Some(first), &[]);
    for _ in 0..320 {
        world.unrelated();
    }
    let line = world.tip().expect("a tip").id();
    let merge = world.write(&[("merged", Some("1"))], "Merge", Some(line), &[side]);
    let orphan = world.write(&[("orphan", Some("1"))], "Orphan", None, &[]);
    let is_in = |commit: Oid, of: Oid| ground::is_in_history(&world.git, commit, of).expect("an answer");
    for (commit, of, expect) in [
        (first, first, true),
        (first, line, true),
        (line, first, false),
        (side, line, false),
        (side, merge, true),
        (first, merge, true),
        (orphan, merge, false),
        (merge, orphan, false),
        (Oid::ZERO_SHA1, line, false),
    ] {
        assert_eq!(is_in(commit, of), expect, "{commit} in {of}");
    }
}

#[test]
fn history_names_what_concerns_the_app() {
    let mut world = World::example();
    let mut repo = world.open();
    world.unrelated();
    let bump = world.bump("2.0.0");
    let commit = release(&mut repo, Colour::Green, &bump);
    let flip = make(&mut repo, &commit);
    world.unrelated();
    let app = app(&mut repo);
    let history = repo.history(&app, 10).expect("a history");
    let shown: Vec<_> = history
        .iter()
        .map(|entry| (entry.subject.as_str(), entry.author.as_str(), entry.facts.len(), entry.live))
        .collect();
    assert_eq!(
        shown,
        [
            ("shop: green goes live with shop:1", "turquoise", 1, Some(Colour::Green)),
            ("Bump to 2.0.0", "Ann", 0, None),
            ("Add the shop", "Ann", 0, None),
        ]
    );
    assert_eq!((&history[0].commit, repo.history(&app, 1).expect("a history").len()), (&flip, 1));
}
