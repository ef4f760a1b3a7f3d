//! What git says, on real repositories.

use std::time::{Duration, Instant};

use git2::Oid;

use super::testing::{self, LIVE_FILE, World, app, look, make, pin, plain, reject, release};
use super::{Carried, Committed, Part, Seen, SourceError};
use crate::core::action::{RejectionEdit, Topic};
use crate::core::colour::Colour;
use crate::core::desired::Declared;
use crate::core::ids::CommitId;
use crate::core::lock::{LOCK_FILE, Lock};
use crate::core::report::Blocked;
use crate::core::verdict::{Entry, Trailers, Verdict};

fn entries(of: &super::Desired) -> Vec<(&str, Verdict)> {
    of.verdicts.entries().iter().map(|entry| (entry.revision.as_str(), entry.verdict)).collect()
}

#[test]
fn the_example_is_understood() {
    let world = World::example();
    let mut repo = world.open();
    let app = app(&mut repo);
    assert_eq!((app.folder.as_str(), app.name.as_str()), ("", "shop"));
    let shape = repo.survey(&app, &world.head()).expect("a survey").expect("nothing blocked");
    assert_eq!((shape.key.as_str(), &shape.declared), ("colour", &Declared::Colour(Colour::Blue)));
    assert_eq!((shape.live.join(","), shape.previews.join(",")), ("shop".into(), "shop-preview".into()));
    let green = &shape.renders.green;
    assert_eq!(green.images, ["shop:1.0.0"]);
    let twins: Vec<_> =
        green.workloads.iter().map(|one| (one.key.name.as_str(), one.twin.as_str(), one.replicas)).collect();
    assert!(twins.contains(&("shop-frontend-green", "shop-frontend", Some(2))), "{twins:?}");
    assert!(shape.kinds.contains(&("apps/v1".into(), "Deployment".into())));
    let desired = look(&mut repo);
    assert_eq!(desired.revision, desired.head);
    assert_eq!((desired.lock.clone(), desired.selector_change.clone()), (Lock::default(), None));
    let objects = repo.objects(&app, &world.head(), Part::Colour(Colour::Green)).expect("objects");
    assert_eq!(objects.len(), green.objects.len());
}

#[test]
fn a_revision_lasts_as_long_as_the_pair() {
    let mut world = World::example();
    let mut repo = world.open();
    let first = world.head();
    world.unrelated();
    world.edit(LIVE_FILE, |text| format!("# why\n{text}"), "Comment");
    world.edit(testing::TAG_FILE, |text| format!("# why\n{text}"), "Comment");
    assert_eq!(look(&mut repo).revision, first);

    let bump = world.bump("2.0.0");
    world.unrelated();
    assert_eq!(look(&mut repo).revision, bump);
    let revert = world.bump("1.0.0");
    assert_eq!(look(&mut repo).revision, revert, "the same content again is a new revision");
    let again = world.bump("2.0.0");
    assert_eq!(look(&mut repo).revision, again);
    assert_eq!(look(&mut world.open()).revision, again, "without memory");
}

#[test]
fn a_run_goes_on_through_the_parent_with_the_same_pair() {
    let mut world = World::example();
    let first = world.head();
    // A branch with the bump, main moves on, and the merge brings the bump.
    let bump = world.bump("2.0.0");
    let bumped = world.read(testing::TAG_FILE);
    let base = Oid::from_str(first.as_str()).expect("an id");
    let main = world.write(&[("docs/x", Some("x"))], "Docs", Some(base), &[]);
    let side = Oid::from_str(bump.as_str()).expect("an id");
    let merge = world.write(&[(testing::TAG_FILE, Some(&bumped))], "Merge", Some(main), &[side]);
    world.set_main(merge);
    assert_eq!(look(&mut world.open()).revision, bump, "the run goes on through the second parent");
    // A merge that brings nothing leaves the run on its first parent.
    let other = world.write(&[("docs/y", Some("y"))], "Docs", Some(main), &[]);
    let merge = world.write(&[("docs/y", Some("y"))], "Merge", Some(merge), &[other]);
    world.set_main(merge);
    assert_eq!(look(&mut world.open()).revision, bump);
}

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
fn a_persons_selector_edit_is_told_from_ours() {
    let mut world = World::example();
    let mut repo = world.open();
    let turn = |text: String| {
        text.replace("colour: blue", "colour: X").replace("colour: green", "colour: blue").replace("X", "green")
    };
    let edit = world.edit(LIVE_FILE, turn, "Switch by hand");
    world.unrelated();
    let change = look(&mut repo).selector_change.expect("a change");
    assert_eq!(change.commit, edit);
    assert!(change.by_person && change.left_lock_alone && change.holds_revision);
    let bump = world.bump("2.0.0");
    let desired = look(&mut repo);
    assert_eq!(desired.revision, bump);
    assert!(!desired.selector_change.expect("a change").holds_revision, "R is newer");
    // Broken in between says nothing about the selector.
    let sound = world.read(LIVE_FILE);
    world.commit_files(&[(LIVE_FILE, Some("a: [\n"))], "Break");
    world.commit_files(&[(LIVE_FILE, Some(&sound))], "Mend");
    assert_eq!(look(&mut repo).selector_change.expect("a change").commit, edit);
    assert_eq!(look(&mut world.open()).selector_change.expect("a change").commit, edit);
}

#[test]
fn verdicts_count_only_where_the_commit_bears_them_out() {
    let mut world = World::example();
    let mut repo = world.open();
    let first = world.head();
    let trailers = |branch: &str, app: &str| {
        Trailers {
            app: crate::core::ids::AppName::new(app),
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
fn what_concerns_an_app_is_told_from_what_does_not() {
    let mut world = World::example();
    let mut repo = world.open();
    let app = app(&mut repo);
    type Step = (&'static str, bool, fn(&mut World));
    let steps: [Step; 9] = [
        ("nothing", true, |_| {}),
        ("docs", true, |world| drop(world.unrelated())),
        ("an empty commit of a person", true, |world| drop(world.commit_files(&[], "Nothing"))),
        ("another app's fact", true, |world| drop(world.commit_files(&[], "Say\n\nTurquoise-App: shops\n"))),
        ("its own fact", false, |world| drop(world.commit_files(&[], "Say\n\nTurquoise-App: shop\n"))),
        ("a bump", false, |world| drop(world.bump("9.9.9"))),
        ("a bump and back", false, |world| {
            let before = world.read(testing::TAG_FILE);
            world.bump("9.9.8");
            world.commit_files(&[(testing::TAG_FILE, Some(&before))], "Back");
        }),
        ("its lock", false, |world| drop(world.commit_files(&[(LOCK_FILE, Some("a: b\n"))], "Lock"))),
        ("a branch made anew", false, |world| {
            let anew = world.write(&[("docs/other", Some("x"))], "Squash", None, &[]);
            world.set_main(anew);
        }),
    ];
    for (what, same, step) in steps {
        look(&mut repo);
        step(&mut world);
        assert_eq!(repo.is_unchanged(&app, &world.head()), Ok(same), "{what}");
        assert_eq!(repo.still(&app).expect("a HEAD").is_some(), same, "{what}");
        if what == "a branch made anew" {
            return;
        }
    }
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

#[test]
fn what_the_cluster_carries_is_compared_with_head() {
    let mut world = World::example();
    let mut repo = world.open();
    let first = world.head();
    world.unrelated();
    let app = app(&mut repo);
    let gone = CommitId::new("0123456789012345678901234567890123456789");
    let carried = vec![
        Carried { revision: first.clone(), deployed_at: first.clone() },
        Carried { revision: gone.clone(), deployed_at: gone.clone() },
    ];
    let seen = Seen { carried, flipped_under: Some(gone.clone()), flipped_to: None };
    let desired = repo.look(&app, &world.head(), &seen).expect("a look").expect("not blocked");
    assert!(desired.unchanged_since.contains(&first) && !desired.unchanged_since.contains(&gone));
    assert!(desired.renders.contains_key(&first) && !desired.renders.contains_key(&gone));
    assert!(desired.rewritten, "the history that knew of the flip is gone");
    let commit = reject(&mut repo, Colour::Blue, &first);
    make(&mut repo, &commit);
    let seen = Seen { flipped_under: Some(first), ..seen };
    let desired = repo.look(&app, &world.head(), &seen).expect("a look").expect("not blocked");
    assert!(desired.unchanged_since.is_empty(), "the lock has changed");
    assert!(!desired.rewritten);
}

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
fn a_checked_out_branch_is_refused_with_the_cure() {
    let world = World::example();
    let folder = tempfile::tempdir().expect("a folder");
    world.run(folder.path(), &["clone", "-q", &world.location(), "work"]);
    let work = folder.path().join("work");
    let location = work.display().to_string();
    let error = super::Repo::open(&location, "main", &super::GitAccess::default()).err().expect("refused");
    assert!(error.to_string().contains(&format!("git -C {location} switch --detach")), "{error}");
    world.run(&work, &["switch", "-q", "--detach"]);
    let mut repo = super::Repo::open(&location, "main", &super::GitAccess::default()).expect("served like a bare one");
    let first = repo.head().expect("a HEAD");
    let commit = release(&mut repo, Colour::Green, &first);
    world.run(&work, &["switch", "-q", "main"]);
    let app = app(&mut repo);
    assert!(matches!(repo.commit(&app, &commit), Err(SourceError::CheckedOut { .. })), "taken up meanwhile");
    world.run(&work, &["switch", "-q", "--detach"]);
    world.run(&work, &["worktree", "add", "-q", "../linked", "main"]);
    assert!(matches!(repo.commit(&app, &commit), Err(SourceError::CheckedOut { .. })), "in a linked work tree");
}

#[test]
fn what_is_wrong_is_blocked_with_file_and_line() {
    for (path, text, expect) in [
        (
            "turquoise.yaml",
            "apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\nspec:\n  wach: 5s\n",
            "turquoise.yaml:4: ",
        ),
        ("base/backend.yaml", "kind: [\n", "base/backend.yaml:"),
        ("overlays/green/kustomization.yaml", "resources: [../../base]\nnameSuffix: -blue\n", "overlays/green"),
        ("overlays/live/service.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", "no Service"),
    ] {
        let mut world = World::example();
        world.commit_files(&[(path, Some(text))], "Break it");
        let mut repo = world.open();
        let app = app(&mut repo);
        let blocked = repo.survey(&app, &world.head()).expect("a survey").expect_err(path);
        let Blocked::Invalid { problems } = &blocked else { panic!("{path}: {blocked:?}") };
        assert!(problems.iter().any(|problem| problem.as_str().contains(expect)), "{path}: {problems:?}");
    }
}

#[test]
fn links_and_submodules_stay_inside() {
    let mut world = World::example();
    let mut repo = world.open();
    let link = |world: &World, target: &str| {
        let tip = world.tip().expect("a tip");
        let blob = world.git.blob(target.as_bytes()).expect("a blob");
        let mut update = git2::build::TreeUpdateBuilder::new();
        update.upsert("base/backend.yaml", blob, git2::FileMode::Link);
        let tree = update.create_updated(&world.git, &tip.tree().expect("a tree")).expect("a tree");
        let tree = world.git.find_tree(tree).expect("a tree");
        let id = world.git.commit(None, &tip.author(), &tip.author(), "Link", &tree, &[&tip]).expect("a commit");
        world.set_main(id);
    };
    let text = world.read("base/backend.yaml");
    let app = app(&mut repo);
    for target in ["/etc/passwd", "../../../etc/passwd", "../base/backend.yaml", "nowhere.yaml"] {
        link(&world, target);
        assert!(repo.survey(&app, &world.head()).expect("a survey").is_err(), "{target}");
    }
    world.commit_files(&[("base/parts/real.yaml", Some(&text))], "Move it");
    link(&world, "./parts/../parts/real.yaml");
    let before = look(&mut repo);
    let other = text.replace("replicas: 2", "minReadySeconds: 1");
    let change = world.commit_files(&[("base/parts/real.yaml", Some(&other))], "Change it behind the link");
    assert_ne!(before.revision, change);
    assert_eq!(look(&mut repo).revision, change, "what a link leads to is content");
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
fn a_repo_may_move_between_threads() {
    fn may_move<T: Send>() {}
    may_move::<super::Repo>();
}

#[test]
fn two_apps_of_one_name_are_both_blocked() {
    let mut world = World::example();
    let policy = world.read("turquoise.yaml");
    world.commit_files(
        &[
            ("other/turquoise.yaml", Some(&policy)),
            ("third/turquoise.yaml", Some("apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\n")),
        ],
        "Add apps",
    );
    let repo = world.open();
    let apps = repo.apps(&world.head()).expect("apps");
    let found: Vec<_> = apps.iter().map(|app| (app.folder.as_str(), app.name.as_str(), app.policy.is_ok())).collect();
    assert_eq!(found, [("", "shop", false), ("other", "shop", false), ("third", "third", true)]);
    assert!(matches!(&apps[0].policy, Err(Blocked::DuplicateName { folders }) if folders.len() == 2));
}

#[test]
fn a_walk_that_remembers_finds_the_same_apps_as_one_that_does_not() {
    const POLICY: &str = "apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\n";
    let mut world = World::example();
    let repo = world.open();
    let steps: [&[(&str, Option<&str>)]; 7] = [
        &[("a/one/turquoise.yaml", Some(POLICY)), ("a/one/base/x", Some("1")), ("a/two/turquoise.yaml", Some(POLICY))],
        &[("docs/deep/er/x", Some("1"))],
        &[("a/one/base/x", Some("2"))],
        &[("a/two/turquoise.yaml", Some("kind: Nonsense\n"))],
        &[("docs/deep/er/turquoise.yaml", Some(POLICY))],
        &[("a/one/turquoise.yaml", None)],
        &[("a/two/turquoise.yaml", Some(POLICY)), ("a/one/turquoise.yaml", Some(POLICY))],
    ];
    let mut before = repo.apps(&world.head()).expect("apps");
    for (step, files) in steps.into_iter().enumerate() {
        world.commit_files(files, "Change");
        let apps = repo.apps(&world.head()).expect("apps");
        let anew = world.open().apps(&world.head()).expect("apps");
        let broken = |app: &&std::sync::Arc<super::App>| app.policy.is_err();
        // A broken turquoise.yaml keeps the name it had; whoever remembers nothing has the folder's, here the same.
        assert_eq!(apps, anew, "step {step}");
        assert_eq!(apps.iter().filter(broken).count(), usize::from((3..6).contains(&step)), "step {step}");
        let shared = before.iter().filter(|old| apps.iter().any(|now| std::sync::Arc::ptr_eq(old, now))).count();
        let same = before.iter().filter(|old| apps.contains(old)).count();
        assert_eq!(shared, same, "step {step}: what did not change is held once");
        before = apps;
    }
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
    let is_in = |commit: Oid, of: Oid| super::ground::is_in_history(&world.git, commit, of).expect("an answer");
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
    let at = |repo: &super::Repo| repo.newest_verdict_at(&app).expect("an answer").map(|at| at.as_second());
    assert_eq!(at(&repo), Some(made));
    let mut anew = world.open();
    look(&mut anew);
    assert_eq!(at(&anew), Some(made), "without memory");
}

#[test]
fn what_a_look_did_not_ask_for_is_put_away() {
    let mut world = World::example();
    let mut repo = world.open();
    let app = app(&mut repo);
    for tag in ["2.0.0", "2.1.0", "3.0.0"] {
        world.bump(tag);
        look(&mut repo);
    }
    let kept = |repo: &super::Repo| repo.at_desk(&app, |_, _, papers| Ok(papers.kept())).expect("a number");
    assert!(kept(&repo) > 6, "{} renders of four contents", kept(&repo));
    repo.put_away(&app);
    look(&mut repo);
    repo.put_away(&app);
    assert_eq!(kept(&repo), 2, "HEAD's two colours");
    assert_eq!(look(&mut repo).revision, world.head());
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

#[test]
fn a_selector_that_cannot_be_edited_blocks_early() {
    let mut world = World::example();
    world.commit_files(
        &[
            ("app/turquoise.yaml", Some(&world.read("turquoise.yaml"))),
            ("app/overlays/blue/kustomization.yaml", Some("resources: [../../../overlays/blue]\n")),
            ("app/overlays/green/kustomization.yaml", Some("resources: [../../../overlays/green]\n")),
            ("app/overlays/live/kustomization.yaml", Some("resources: [../../../overlays/live]\n")),
            ("turquoise.yaml", None),
        ],
        "Share the overlays",
    );
    let mut repo = world.open();
    let app = app(&mut repo);
    let blocked = repo.survey(&app, &world.head()).expect("a survey").expect_err("blocked");
    assert!(matches!(blocked, Blocked::SelectorNotEditable { .. }), "{blocked:?}");
    let mut commit = plain(&mut repo, Colour::Green);
    commit.selector = Some(Colour::Green);
    commit.rejection = RejectionEdit::Keep;
    assert!(repo.commit(&app, &commit).is_err());
}
