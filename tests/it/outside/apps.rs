//! Many apps, many repositories, and more than one turquoise.

use std::fs;
use std::time::{Duration, Instant};

use super::many::{Many, Shop, is_live, set_tag, write, write_overlays};
use super::world::World;

/// Eighteen apps that one push changes are live by then, in a debug build on a machine that does other things: looked at
/// one after another, each commit throwing away what the others had decided, they took several times as long.
const EIGHTEEN_MAX: Duration = Duration::from_secs(40);

const fn plain(name: &str) -> Shop<'_> {
    Shop { name, replicas: 1, check: None }
}

/// A configuration file for repositories, each with its own namespace.
fn config(repos: &[(&str, &str)]) -> String {
    let head = "apiVersion: turquoise.dev/v1alpha1\nkind: Configuration\nrepos:\n";
    let entries = repos
        .iter()
        .map(|(repo, namespace)| format!("- url: {repo}.git\n  poll: 1s\n  grants: {{namespaces: [{namespace}]}}\n"));
    std::iter::once(head.to_owned()).chain(entries).collect()
}

#[test]
fn two_apps_on_one_base_healthy_in_one_and_broken_in_the_other() {
    let mut world = Many::open();
    world.repo("shops", &[Shop { name: "one", replicas: 1, check: None }]);
    world.commit("shops", "Share the base", |clone| {
        write_overlays(&clone.join("one"), &Shop { name: "one", replicas: 1, check: None }, "../../../base-one");
        write_overlays(
            &clone.join("two"),
            &Shop { name: "two", replicas: 1, check: Some("/smoke") },
            "../../../base-two",
        );
        for app in ["one", "two"] {
            let text = format!(
                "resources: [../base]\nnamePrefix: {app}-\nlabels:\n- pairs: {{app: {app}}}\n  includeSelectors: true\n"
            );
            write(&clone.join(format!("base-{app}/kustomization.yaml")), &text);
        }
        if clone.join("one/base").exists() {
            fs::rename(clone.join("one/base"), clone.join("base")).expect("moved");
        }
    });
    let daemon = world.run(&["--repo", "shops.git"]);
    for app in ["one", "two"] {
        world.until_live(daemon, app, "blue", "1.0.0");
    }
    let bump = world.commit("shops", "Release 2.0.0", |clone| {
        set_tag(&clone.join("base/kustomization.yaml"), "2.0.0-smoke-fails");
    });
    world.until_live(daemon, "one", "green", "2.0.0-smoke-fails");
    let two = world.until(daemon, "two", "rejected", |app| app["verdict"]["verdict"] == "rejected");
    assert_eq!((&two["verdict"]["revision"], &two["serving"]), (&bump.into(), &"blue".into()));
}

#[test]
fn a_second_turquoise_on_the_same_repo_and_cluster_doubles_nothing() {
    let mut world = Many::open();
    world.repo("shop", &[Shop { name: "shop", replicas: 1, check: Some("/smoke") }]);
    let daemons = [world.run(&["--repo", "shop.git"]), world.run(&["--repo", "shop.git"])];
    for daemon in daemons {
        world.until_live(daemon, "shop", "blue", "1.0.0");
    }
    let bump = world.bump("shop", &["shop"], "2.0.0");
    for daemon in daemons {
        world.until_live(daemon, "shop", "green", "2.0.0");
    }
    let fact = format!("Turquoise-Revision: {bump}");
    assert_eq!(world.log_of("shop", "%B").iter().filter(|line| **line == fact).count(), 1, "one verdict");
    let head = world.log_of("shop", "%H");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(world.log_of("shop", "%H"), head, "and plans nothing more");
}

#[test]
fn a_turquoise_on_another_cluster_is_blocked_by_the_lock() {
    let mut world = Many::open();
    world.repo("shop", &[plain("shop")]);
    let _west = world.cluster("west");
    let east = world.run(&["--repo", "shop.git", "--cluster", "east"]);
    world.until_live(east, "shop", "blue", "1.0.0");
    let west = world.run_in("west", &["--repo", "shop.git", "--cluster", "west"]);
    let status = world.until(west, "shop", "blocked", |app| app["phase"] == "blocked");
    assert_eq!(status["blocked"]["reason"], "other_cluster", "{status:#}");
    assert_eq!(status["blocked"]["cluster"], "east");
    world.bump("shop", &["shop"], "2.0.0");
    world.until_live(east, "shop", "green", "2.0.0");
    assert_eq!(world.status(west, "shop")["blocked"]["reason"], "other_cluster");
}

#[test]
fn eighteen_apps_changed_by_one_push() {
    let mut world = Many::open();
    let names: Vec<String> = (0..18).map(|number| format!("app-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let shops: Vec<Shop<'_>> = names.iter().map(|name| plain(name)).collect();
    world.repo("shops", &shops);
    let daemon = world.run(&["--repo", "shops.git"]);
    for name in &names {
        world.until_live(daemon, name, "blue", "1.0.0");
    }
    let start = Instant::now();
    world.bump("shops", &names, "2.0.0");
    for name in &names {
        world.until_live(daemon, name, "green", "2.0.0");
    }
    let took = start.elapsed();
    println!("eighteen apps: {took:?}");
    // On a real cluster the kubelet's starting of eighteen pods is the longest part of it.
    let max = if matches!(World::here(), World::Sandbox) { EIGHTEEN_MAX } else { 3 * EIGHTEEN_MAX };
    assert!(took < max, "{took:?}\n{}", world.log(daemon));
    // One commit each, and no other.
    let by_us = world.log_of("shops", "%an %s").iter().filter(|line| line.starts_with("turquoise")).count();
    assert_eq!(by_us, 2 * names.len(), "{:#?}", world.log_of("shops", "%an %s"));
}

#[test]
fn a_check_that_hangs_holds_back_nobody() {
    let mut world = Many::open();
    let slow = |check| Shop { name: "slow", replicas: 1, check };
    world.repo("shops", &[slow(None), plain("quick")]);
    let daemon = world.run(&["--repo", "shops.git"]);
    for app in ["slow", "quick"] {
        world.until_live(daemon, app, "blue", "1.0.0");
    }
    world.commit("shops", "Release what hangs", |clone| {
        write_overlays(&clone.join("slow"), &slow(Some("/slow?ms=50000")), "../../base");
        set_tag(&clone.join("slow/base/kustomization.yaml"), "2.0.0");
    });
    world.until(daemon, "slow", "its check to run", |app| app["phase"] == "verifying");
    world.bump("shops", &["quick"], "2.0.0");
    world.until_live(daemon, "quick", "green", "2.0.0");
    let slow = world.status(daemon, "slow");
    assert_eq!(slow["phase"], "verifying", "the check hangs still: {slow:#}");
}

#[test]
fn repositories_come_and_go_and_change_their_rights_without_a_restart() {
    let mut world = Many::open();
    let [a, b, c] = ["a", "b", "c"].map(|name| world.home().more_namespace(name));
    let (a, b, c) = (a.as_str(), b.as_str(), c.as_str());
    world.repo("first", &[plain("one")]);
    world.repo("second", &[plain("two")]);
    let file = world.path("config.yaml");
    write(&file, &config(&[("first", a)]));
    let daemon = world.run(&["--config", "config.yaml"]);
    world.until_live(daemon, "one", "blue", "1.0.0");

    // One more repository: the file's change is enough.
    write(&file, &config(&[("first", a), ("second", b)]));
    world.until_live(daemon, "two", "blue", "1.0.0");
    assert_eq!(world.status(daemon, "two")["namespace"], b);

    // A broken file: the one before stays in force, and everybody can see it.
    write(&file, &config(&[("first", a)]).replace("grants", "grnats"));
    world.signal(daemon, "-HUP");
    let status = world.until(daemon, "two", "the alert", |app| app["alerts"][0]["reason"] == "configuration");
    assert!(
        status["alerts"][0]["problems"][0].as_str().is_some_and(|words| words.contains("config.yaml:6")),
        "{status:#}"
    );
    assert!(world.get(daemon, "/metrics").contains("turquoise_configuration_good 0"));
    assert!(world.log(daemon).contains("unknown field `grnats`; did you mean `grants`?"));
    world.bump("second", &["two"], "2.0.0");
    world.until_live(daemon, "two", "green", "2.0.0");

    // Mended: the namespace that `two` asks for is not granted any more, and is granted again.
    world.commit("second", "Ask for c", |clone| {
        let policy = clone.join("two/turquoise.yaml");
        let text =
            fs::read_to_string(&policy).expect("a policy").replace("spec:\n", &format!("spec:\n  namespace: {c}\n"));
        fs::write(policy, text).expect("written");
    });
    write(&file, &config(&[("first", a), ("second", b)]));
    // The commit and the file are seen in either order.
    let status = world.until(daemon, "two", "blocked, and the file is good again", |app| {
        app["phase"] == "blocked" && app["alerts"] == serde_json::json!([])
    });
    assert!(
        status["blocked"]["message"]
            .as_str()
            .is_some_and(|words| words.contains(&format!("`{c}`, which is not granted")))
    );
    assert!(world.get(daemon, "/metrics").contains("turquoise_configuration_good 1"));
    write(&file, &config(&[("first", a), ("second", c)]));
    world.signal(daemon, "-HUP");
    world.until_live(daemon, "two", "green", "2.0.0");
    assert_eq!(world.status(daemon, "two")["namespace"], c);

    // The first goes: nothing of it is touched, and its app says what to delete.
    let before = world.uids(a, "deployments,services", "one");
    write(&file, &config(&[("second", c)]));
    let status = world.until(daemon, "one", "left behind", |app| app["blocked"]["reason"] == "left_behind");
    assert!(
        status["blocked"]["delete"]
            .as_str()
            .is_some_and(|words| words.starts_with(&format!("kubectl -n {a} delete deployments,"))),
        "{status:#}"
    );
    world.bump("first", &["one"], "2.0.0");
    world.bump("second", &["two"], "3.0.0");
    world.until_live(daemon, "two", "blue", "3.0.0");
    assert_eq!(world.uids(a, "deployments,services", "one"), before, "nothing is touched");

    // And comes back.
    write(&file, &config(&[("second", c), ("first", a)]));
    world.until_live(daemon, "one", "green", "2.0.0");
}

#[test]
fn an_app_that_is_removed_or_renamed_is_left_as_it_is() {
    let mut world = Many::open();
    world.repo("shops", &[plain("gone"), plain("named"), plain("stays")]);
    let daemon = world.run(&["--repo", "shops.git"]);
    for app in ["gone", "named", "stays"] {
        world.until_live(daemon, app, "blue", "1.0.0");
    }
    let before = [
        world.uids(world.home().namespace(), "deployments,services", "gone"),
        world.uids(world.home().namespace(), "deployments,services", "named"),
    ];
    world.commit("shops", "Remove one, rename another", |clone| {
        fs::remove_dir_all(clone.join("gone")).expect("removed");
        let policy = clone.join("named/turquoise.yaml");
        let text = fs::read_to_string(&policy).expect("a policy").replace("name: named", "name: other");
        fs::write(policy, text).expect("written");
    });
    for app in ["gone", "named"] {
        let status = world.until(daemon, app, "left behind", |app| app["blocked"]["reason"] == "left_behind");
        let delete = status["blocked"]["delete"].as_str().unwrap_or_default().to_owned();
        assert!(delete.ends_with(&format!("-l turquoise.dev/app={app}")), "{delete}");
        let objects = status["blocked"]["objects"].to_string();
        assert!(
            objects.contains(&format!("Deployment {app}-blue")) && objects.contains(&format!("Service {app}")),
            "{objects}"
        );
    }
    let other = world.until(daemon, "other", "blocked", |app| app["phase"] == "blocked");
    assert_eq!(other["blocked"]["reason"], "not_ours", "{other:#}");
    world.bump("shops", &["stays"], "2.0.0");
    world.until_live(daemon, "stays", "green", "2.0.0");
    assert_eq!(
        [
            world.uids(world.home().namespace(), "deployments,services", "gone"),
            world.uids(world.home().namespace(), "deployments,services", "named")
        ],
        before,
        "nothing is touched"
    );

    // It says the same after a restart, and nothing any more when its objects are gone.
    let anew = world.run(&["--repo", "shops.git"]);
    let status = world.until(anew, "gone", "left behind", |app| app["blocked"]["reason"] == "left_behind");
    let delete = status["blocked"]["delete"].as_str().unwrap_or_default().to_owned();
    let words: Vec<&str> = delete.split_whitespace().skip(1).collect();
    world.kubectl(&words);
    world.until(anew, "gone", "forgotten", |app| app["name"] != "gone");
    // Under its old name the other goes on.
    world.commit("shops", "Name it as before", |clone| {
        let policy = clone.join("named/turquoise.yaml");
        let text = fs::read_to_string(&policy).expect("a policy").replace("name: other", "name: named");
        fs::write(policy, text).expect("written");
    });
    world.until_live(anew, "named", "blue", "1.0.0");
    world.until(anew, "other", "forgotten", |app| app["name"] != "other");
}

#[test]
fn one_bad_repository_holds_back_no_other_and_a_name_is_given_once() {
    let mut world = Many::open();
    world.repo("good", &[plain("shop"), plain("docs")]);
    world.repo("late", &[plain("shop"), plain("wiki")]);
    fs::rename(world.path("late.git"), world.path("away.git")).expect("moved");
    let here = world.home().namespace();
    let config = config(&[("late", here), ("missing", here), ("good", here)]);
    write(&world.path("config.yaml"), &config);
    let daemon = world.run(&["--config", "config.yaml"]);
    world.until_live(daemon, "docs", "blue", "1.0.0");
    world.until_live(daemon, "shop", "blue", "1.0.0");
    assert!(world.get(daemon, "/metrics").contains("turquoise_repo_up{repo=\"late\"} 0"));
    assert!(world.log(daemon).contains("missing.git"), "{}", world.log(daemon));
    // Who has a name keeps it, whoever comes later.
    fs::rename(world.path("away.git"), world.path("late.git")).expect("moved");
    world.until_live(daemon, "wiki", "blue", "1.0.0");
    let shop = world.until(daemon, "shop", "the alert", |app| app["alerts"][0]["reason"] == "name_taken");
    assert!(shop["alerts"][0]["by"].as_str().is_some_and(|words| words == "repository late, folder shop"), "{shop:#}");
    assert!(shop["repo"].as_str().is_some_and(|location| location.ends_with("good.git")));
    world.bump("good", &["docs"], "2.0.0");
    world.until_live(daemon, "docs", "green", "2.0.0");
    assert!(is_live(&world.status(daemon, "wiki"), "blue", "1.0.0"));
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_with_every_problem() {
    let world = Many::open();
    let text = config(&[("a", "ok"), ("a", "Not_ok")]).replace("1s", "soon");
    write(&world.path("config.yaml"), &text);
    for args in [&["check", "--config", "config.yaml"][..], &["run", "--config", "config.yaml"][..]] {
        let (status, words) = world.turquoise(args);
        assert_eq!(status.code(), Some(if args[0] == "check" { 1 } else { 2 }), "{words}");
        for problem in ["config.yaml:5: ", "config.yaml:7: two repos are named `a`", "config.yaml:9: `Not_ok`"] {
            assert!(words.contains(problem), "{problem} is not in\n{words}");
        }
    }
    write(&world.path("config.yaml"), &config(&[("a", "ok")]));
    let (status, words) = world.turquoise(&["check", "--config", "config.yaml"]);
    assert!(status.success(), "{words}");
    let open = "apiVersion: turquoise.dev/v1alpha1\nkind: Configuration\nrepos:\n- url: https://me:hunter2@git.example.org/a.git\n";
    write(&world.path("open.yaml"), open);
    let (status, words) = world.turquoise(&["check", "--config", "open.yaml"]);
    assert_eq!(status.code(), Some(1), "{words}");
    assert!(words.contains("a password in the URL can be read by everybody") && !words.contains("hunter2"), "{words}");
    let (status, words) = world.turquoise(&["run", "--config", "nowhere.yaml"]);
    assert_eq!(status.code(), Some(2), "{words}");
    assert!(words.contains("nowhere.yaml"), "{words}");
}

#[test]
fn an_app_that_asks_for_no_pods_is_released_and_grows_when_git_says_so() {
    let mut world = Many::open();
    world.repo("quiet", &[Shop { name: "quiet", replicas: 0, check: None }]);
    let daemon = world.run(&["--repo", "quiet.git"]);
    world.until_live(daemon, "quiet", "blue", "1.0.0");
    world.bump("quiet", &["quiet"], "2.0.0");
    world.until_live(daemon, "quiet", "green", "2.0.0");
    world.commit("quiet", "Two pods", |clone| {
        let path = clone.join("quiet/base/deployment.yaml");
        let text = fs::read_to_string(&path).expect("a Deployment");
        fs::write(&path, text.replace("replicas: 0", "replicas: 2")).expect("written");
    });
    world.until(daemon, "quiet", "two pods", |app| {
        is_live(app, "green", "2.0.0") && app["colours"]["green"]["ready"] == 2 && app["colours"]["blue"]["wanted"] == 0
    });
}
