//! What a look finds: the app, its revision, whose a switch is, and what is wrong.

use git2::Oid;

use super::super::testing::{self, LIVE_FILE, World, app, look, make, plain, reject};
use super::super::{Carried, Part, Repo, Seen};
use crate::core::action::RejectionEdit;
use crate::core::colour::Colour;
use crate::core::desired::Declared;
use crate::core::ids::CommitId;
use crate::core::lock::{LOCK_FILE, Lock};
use crate::core::report::Blocked;

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
fn what_a_look_did_not_ask_for_is_put_away() {
    let mut world = World::example();
    let mut repo = world.open();
    let app = app(&mut repo);
    for tag in ["2.0.0", "2.1.0", "3.0.0"] {
        world.bump(tag);
        look(&mut repo);
    }
    let kept = |repo: &Repo| repo.at_desk(&app, |_, _, papers| Ok(papers.kept())).expect("a number");
    assert!(kept(&repo) > 6, "{} renders of four contents", kept(&repo));
    repo.put_away(&app);
    look(&mut repo);
    repo.put_away(&app);
    assert_eq!(kept(&repo), 2, "HEAD's two colours");
    assert_eq!(look(&mut repo).revision, world.head());
}
