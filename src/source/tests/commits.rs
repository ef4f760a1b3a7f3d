//! Commits of turquoise: what they change, on top of what they land, and who wins.

use git2::Oid;

use super::super::testing::{self, LIVE_FILE, World, app, look, make, pin, plain, reject, release};
use super::super::{Committed, GitAccess, Repo, SourceError};
use super::entries;
use crate::core::action::Topic;
use crate::core::colour::Colour;
use crate::core::desired::Declared;
use crate::core::verdict::{Entry, Verdict};

#[test]
fn a_flip_changes_a_word_in_each_service_and_the_lock() {
    let mut world = World::example();
    world.edit(
        LIVE_FILE,
        |text| text.replace("    colour: blue\n", "    colour: blue   # live\n").replace('\n', "\r\n"),
        "Windows",
    );
    let mut repo = world.open();
    let before = world.read(LIVE_FILE);
    let bump = world.bump("2.0.0");
    let commit = release(&mut repo, Colour::Green, &bump);
    let made = make(&mut repo, &commit);
    assert_eq!(world.head(), made);
    let expect = before.replace("colour: blue   # live", "colour: X   # live");
    let expect = expect.replace("colour: green", "colour: blue").replace("colour: X", "colour: green");
    assert_eq!(world.read(LIVE_FILE), expect, "comments and CRLF stay");

    let desired = look(&mut repo);
    assert_eq!(desired.declared, Declared::Colour(Colour::Green));
    assert_eq!(desired.revision, bump, "turquoise's own commit is no new revision");
    assert_eq!(desired.lock.pins.green, Some(pin(&bump)));
    assert_eq!(desired.lock.branch, "main");
    assert_eq!(entries(&desired), [(bump.as_str(), Verdict::Released)]);
    let change = desired.selector_change.clone().expect("a change");
    assert_eq!((change.commit, change.by_person, change.left_lock_alone), (made, false, false));
    assert!(desired.renders.contains_key(&bump) && desired.overlays.contains_key(&bump));
    assert_eq!(desired.overlay(&bump)[0].digest, desired.overlay(&desired.head)[0].digest, "the colour is no content");
}

#[test]
fn three_reverts_merge_without_conflict() {
    let mut world = World::example();
    let mut repo = world.open();
    let first = world.head();
    let mut commit = plain(&mut repo, Colour::Blue);
    commit.pins[Colour::Blue] = Some(pin(&first));
    commit.facts = vec![Entry { revision: first.clone(), verdict: Verdict::Released }];
    commit.topic = Topic::Pin { colour: Colour::Blue };
    make(&mut repo, &commit);
    let bump = world.bump("2.0.0");
    let commit = release(&mut repo, Colour::Green, &bump);
    make(&mut repo, &commit);
    world.in_clone(&[&["revert", "--no-edit", bump.as_str()], &["push", "-q", "origin", "main"]]);
    let revert = look(&mut repo).revision;
    assert_eq!(revert, world.head());
    let commit = release(&mut repo, Colour::Blue, &revert);
    let back = make(&mut repo, &commit);
    let commit = reject(&mut repo, Colour::Blue, &bump);
    let rejected = make(&mut repo, &commit);
    for id in [&rejected, &back, &revert] {
        world.in_clone(&[&["revert", "--no-edit", id.as_str()], &["push", "-q", "origin", "main"]]);
    }
    let desired = look(&mut repo);
    assert_eq!(desired.declared, Declared::Colour(Colour::Green));
    assert_eq!((desired.lock.pins.blue, desired.lock.rejected), (Some(pin(&first)), None));
    assert!(desired.selector_change.expect("a change").by_person);
}

#[test]
fn a_commit_loses_to_whoever_was_faster() {
    let mut world = World::example();
    let mut repo = world.open();
    let bump = world.bump("2.0.0");
    let stale = release(&mut repo, Colour::Green, &bump);
    let theirs = world.bump("2.0.1");
    let app = app(&mut repo);
    assert_eq!(repo.commit(&app, &stale), Ok(Committed::Stale));
    assert_eq!(world.head(), theirs, "nobody's commit is lost");
    let fresh = release(&mut repo, Colour::Green, &bump);
    let made = make(&mut repo, &fresh);
    let tip = world.tip().expect("a tip");
    assert_eq!(tip.id().to_string(), made.as_str());
    assert_eq!(tip.parent_id(0).expect("a parent").to_string(), theirs.as_str());
    assert!(testing::is_commit(&world.git, tip.id()));
}

#[test]
fn a_commit_lands_on_top_of_what_does_not_concern_the_app() {
    let mut world = World::example();
    let mut repo = world.open();
    let bump = world.bump("2.0.0");
    let flip = release(&mut repo, Colour::Green, &bump);
    world.in_clone(&[&["commit", "-q", "--allow-empty", "-m", "theirs"], &["push", "-q", "origin", "main"]]);
    let theirs = world.unrelated();
    let made = make(&mut repo, &flip);
    let tip = world.tip().expect("a tip");
    assert_eq!(tip.id().to_string(), made.as_str());
    assert_eq!(tip.parent_id(0).expect("a parent").to_string(), theirs.as_str(), "nobody's commit is lost");
    assert_eq!(look(&mut repo).declared, Declared::Colour(Colour::Green));
}

#[test]
fn nobodys_commit_is_lost_in_a_race() {
    const THEIRS: usize = 12;
    // A bound, because ours are faster than a push: it would never get through.
    const OURS_MAX: usize = 60;
    let world = World::example();
    let mut repo = world.open();
    let first = world.head();
    let location = world.location();
    let folder = tempfile::tempdir().expect("a folder");
    world.run(folder.path(), &["clone", "-q", &location, "."]);
    let mut ours = Vec::new();
    std::thread::scope(|scope| {
        let (folder, git) = (folder.path(), testing::git_in(world.home()));
        let person = scope.spawn(move || {
            for number in 0..THEIRS {
                let subject = format!("theirs {number}");
                assert!(git(folder, &["commit", "-q", "--allow-empty", "-m", &subject]), "a commit");
                while !git(folder, &["push", "-q", "origin", "main"]) {
                    assert!(git(folder, &["pull", "-q", "--rebase", "origin", "main"]), "a rebase");
                }
            }
        });
        while !person.is_finished() && ours.len() < OURS_MAX {
            let mut commit = plain(&mut repo, Colour::Blue);
            commit.facts = vec![Entry { revision: first.clone(), verdict: Verdict::Withdrawn }];
            let app = app(&mut repo);
            match repo.commit(&app, &commit) {
                Ok(Committed::Made(id)) => ours.push(id),
                Ok(Committed::Stale) | Err(SourceError::Locked { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        person.join().expect("all were pushed");
    });
    let mut walk = world.git.revwalk().expect("a walk");
    walk.push(world.tip().expect("a tip").id()).expect("a start");
    let all: Vec<Oid> = walk.collect::<Result<_, _>>().expect("commits");
    assert!(ours.iter().all(|id| all.iter().any(|one| one.to_string() == id.as_str())), "ours are kept");
    assert_eq!(all.len(), 1 + THEIRS + ours.len(), "theirs are kept, and none is there twice");
    assert_eq!(entries(&look(&mut repo)).len(), ours.len());
}

#[test]
fn a_held_lock_file_is_named() {
    let mut world = World::example();
    let mut repo = world.open();
    let bump = world.bump("2.0.0");
    let commit = release(&mut repo, Colour::Green, &bump);
    let held = world.path().join("refs/heads/main.lock");
    std::fs::write(&held, "").expect("a lock file");
    let app = app(&mut repo);
    let error = repo.commit(&app, &commit).expect_err("locked");
    assert!(error.to_string().contains("delete `refs/heads/main.lock`"), "{error}");
    std::fs::remove_file(held).expect("removed");
    assert_eq!(world.head(), bump);
    world.run(&world.path(), &["pack-refs", "--all"]);
    assert!(matches!(repo.commit(&app, &commit), Ok(Committed::Made(_))), "packed references move as well");
}

#[test]
fn a_lock_that_a_killed_turquoise_left_is_taken_away_and_no_other() {
    let mut world = World::example();
    let mut repo = world.open();
    let bump = world.bump("2.0.0");
    let commit = release(&mut repo, Colour::Green, &bump);
    let app = app(&mut repo);
    let held = world.path().join("refs/heads/main.lock");
    // What turquoise would have moved the branch to, from a world that went on without the crash.
    let ours = match repo.commit(&app, &commit) {
        Ok(Committed::Made(id)) => id,
        other => panic!("{other:?}"),
    };
    world.run(&world.path(), &["update-ref", "refs/heads/main", bump.as_str()]);
    let old = std::time::SystemTime::UNIX_EPOCH;
    for (text, age, goes) in [
        (String::new(), None, false),
        (format!("{ours}\n"), None, false),
        (format!("{bump}\n"), Some(old), false),
        (String::new(), Some(old), true),
        (format!("{ours}\n"), Some(old), true),
    ] {
        std::fs::write(&held, &text).expect("a lock file");
        if let Some(age) = age {
            let file = std::fs::File::options().write(true).open(&held).expect("the lock file");
            file.set_modified(age).expect("an old file");
        }
        let tried = repo.commit(&app, &commit);
        assert_eq!(tried.is_ok(), goes, "{text:?} {age:?}: {tried:?}");
        assert_eq!(held.exists(), !goes, "{text:?} {age:?}");
    }
    assert!(matches!(repo.commit(&app, &commit), Ok(Committed::Made(_))), "it is looked again, and done");
}

#[test]
fn a_checked_out_branch_is_refused_with_the_cure() {
    let world = World::example();
    let folder = tempfile::tempdir().expect("a folder");
    world.run(folder.path(), &["clone", "-q", &world.location(), "work"]);
    let work = folder.path().join("work");
    let location = work.display().to_string();
    let error = Repo::open(&location, "main", &GitAccess::default()).err().expect("refused");
    assert!(error.to_string().contains(&format!("git -C {location} switch --detach")), "{error}");
    world.run(&work, &["switch", "-q", "--detach"]);
    let mut repo = Repo::open(&location, "main", &GitAccess::default()).expect("served like a bare one");
    let first = repo.head().expect("a HEAD");
    let commit = release(&mut repo, Colour::Green, &first);
    world.run(&work, &["switch", "-q", "main"]);
    let app = app(&mut repo);
    assert!(matches!(repo.commit(&app, &commit), Err(SourceError::CheckedOut { .. })), "taken up meanwhile");
    world.run(&work, &["switch", "-q", "--detach"]);
    world.run(&work, &["worktree", "add", "-q", "../linked", "main"]);
    assert!(matches!(repo.commit(&app, &commit), Err(SourceError::CheckedOut { .. })), "in a linked work tree");
}
