//! Which apps a repository has.

use std::sync::Arc;

use super::super::App;
use super::super::testing::World;
use crate::core::report::Blocked;

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
        let broken = |app: &&Arc<App>| app.policy.is_err();
        // A broken turquoise.yaml keeps the name it had; whoever remembers nothing has the folder's, here the same.
        assert_eq!(apps, anew, "step {step}");
        assert_eq!(apps.iter().filter(broken).count(), usize::from((3..6).contains(&step)), "step {step}");
        let shared = before.iter().filter(|old| apps.iter().any(|now| Arc::ptr_eq(old, now))).count();
        let same = before.iter().filter(|old| apps.contains(old)).count();
        assert_eq!(shared, same, "step {step}: what did not change is held once");
        before = apps;
    }
}
