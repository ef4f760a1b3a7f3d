//! What a policy and the live overlay ask for beside releases: objects that are dropped, a git that is down, words of commits.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::checks::{Answer, Target, gated};
use super::https::Fault;
use super::stage::{Stage, edit};
use super::transport::Transport;

const ACCOUNT: &str = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot}\n";
const DOOR: &str = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: door}\nspec:\n  defaultBackend: {service: {name: shop, port: {number: 8080}}}\n";

/// Puts a file into the live overlay, or takes it out.
fn live_has(clone: &Path, name: &str, text: Option<&str>) {
    let folder = clone.join("overlays/live");
    let entry = format!("  - {name}\n");
    if let Some(text) = text {
        fs::write(folder.join(name), text).expect("written");
    }
    edit(&folder.join("kustomization.yaml"), |kustomization| match text {
        Some(_) => format!("{kustomization}{entry}"),
        None => kustomization.replace(&entry, ""),
    });
}

fn names(stage: &Stage, kind: &str) -> Vec<String> {
    let found = stage.kubectl(&["get", kind, "-o", "name"]);
    found.lines().filter_map(|line| Some(line.split_once('/')?.1.to_owned())).collect()
}

fn has(stage: &Stage, kind: &str, name: &str) -> bool {
    names(stage, kind).iter().any(|one| one == name)
}

fn alert(app: &Value, reason: &str) -> bool {
    app["alerts"].as_array().is_some_and(|alerts| alerts.iter().any(|one| one["reason"] == reason))
}

#[test]
fn s17_an_account_stays_while_a_pin_refers_to_it_and_goes_then() {
    let stage = Stage::open();
    let bump = stage.commit("Release 1.1.0, as a robot", |clone| {
        live_has(clone, "account.yaml", Some(ACCOUNT));
        edit(&clone.join("base/kustomization.yaml"), |text| text.replace("1.0.0", "1.1.0"));
        edit(&clone.join("base/frontend.yaml"), |text| {
            let spec = "      terminationGracePeriodSeconds: 15\n";
            text.replacen(spec, &format!("      serviceAccountName: robot\n{spec}"), 1)
        });
    });
    stage.until_live("green", "1.1.0");
    assert!(has(&stage, "serviceaccount", "robot"));
    stage.revert(&bump);
    stage.until_live("blue", "1.0.0");
    stage.until("the watch is over", |app| app["phase"] == "settled" && stage.is_at_rest(app));
    assert!(has(&stage, "serviceaccount", "robot"), "green's pin refers to it");
    stage.bump("1.2.0");
    stage.until_live("green", "1.2.0");
    stage.until("the account is gone", |_| !has(&stage, "serviceaccount", "robot"));
    stage.ends();
}

#[test]
fn dropped_objects_go_and_what_others_made_stays() {
    let mut stage = Stage::open();
    let drops = |stage: &Stage, subject: &str, has: bool| {
        stage.commit(subject, |clone| {
            live_has(clone, "account.yaml", has.then_some(ACCOUNT));
            live_has(clone, "door.yaml", has.then_some(DOOR));
        })
    };
    drops(&stage, "Add an account and a door", true);
    stage.until("they are there", |_| has(&stage, "serviceaccount", "robot") && has(&stage, "ingress", "door"));
    // A copy with all labels and annotations is a person's.
    let copy = stage.kubectl(&["get", "ingress", "door", "-o", "yaml"]).replace("name: door\n", "name: copied\n");
    let copy: Vec<&str> =
        copy.lines().filter(|line| !line.contains("resourceVersion:") && !line.contains("uid:")).collect();
    stage.apply(&copy.join("\n"));
    // Something in the cluster is lost: it is back within seconds, although nobody commits.
    stage.kubectl(&["delete", "ingress", "door"]);
    stage.until("the door is back", |_| has(&stage, "ingress", "door"));
    // Nobody is told of one thing twice: killed in the middle, the next process goes on.
    drops(&stage, "Drop them", false);
    stage.kill();
    stage.run();
    stage.until("they are gone", |_| !has(&stage, "serviceaccount", "robot") && !has(&stage, "ingress", "door"));
    assert!(has(&stage, "ingress", "copied"), "{:?}", names(&stage, "ingress"));
    assert!(has(&stage, "service", "shop") && has(&stage, "service", "shop-preview"));

    // Somebody puts one of their own in its place while nobody looks: it is not what was applied.
    drops(&stage, "Add them again", true);
    stage.until("they are there again", |_| has(&stage, "serviceaccount", "robot") && has(&stage, "ingress", "door"));
    stage.until("at rest", |app| stage.is_at_rest(app));
    stage.kill();
    stage.kubectl(&["delete", "ingress", "door"]);
    stage.apply(&DOOR.replace("defaultBackend: {service: {name: shop,", "defaultBackend: {service: {name: theirs,"));
    drops(&stage, "Drop them again", false);
    stage.run();
    stage.until("the account is gone", |app| !has(&stage, "serviceaccount", "robot") && stage.is_at_rest(app));
    assert!(has(&stage, "ingress", "door"), "{:?}", names(&stage, "ingress"));
    stage.ends();
}

#[test]
fn traffic_goes_back_while_git_is_down_and_git_is_told_later() {
    let target = Target::start();
    let prepare = gated(&target, "60s");
    let stage = Stage::bare(|clone| {
        prepare(clone);
        edit(&clone.join("turquoise.yaml"), |text| format!("{text}  onGitDown: flip-back\n"));
    });
    let mut stage = stage.over(Transport::Https).opened();
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let flip = stage.git_log("%H");
    stage.server.https().fault(Fault::Refuses);
    target.answers("/light", Answer::Says(500, "red"));
    let status = stage.until("traffic is back", |app| app["serving"] == "blue" && alert(app, "flip_back_uncommitted"));
    assert_eq!((&status["declared"], &status["head"]), (&"green".into(), &flip[0].as_str().into()), "{status:#}");
    assert_eq!(stage.git_log("%H"), flip, "git was not told");
    // Whoever comes next pays what is owed. Without git a new process cannot look at all.
    stage.kill();
    target.answers("/light", Answer::Says(200, ""));
    stage.run();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let selector = stage.kubectl(&["get", "service", "shop", "-o", "jsonpath={.spec.selector.colour}"]);
    assert_eq!(selector, "blue", "the selector in git pulls nothing back");
    stage.server.https().fault(Fault::None);
    stage.until("git is told", |app| {
        stage.verdicts(&bump, "rejected") == 1 && app["declared"] == "blue" && stage.is_at_rest(app)
    });
    assert!(!alert(&stage.status(), "flip_back_uncommitted"), "{:#}", stage.status());
    stage.ends();
}

#[test]
fn without_the_policy_nothing_flips_while_git_is_down() {
    let target = Target::start();
    let stage = Stage::bare(gated(&target, "60s")).over(Transport::Https).opened();
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    stage.server.https().fault(Fault::Refuses);
    stage.until("git is out of reach", |app| app["error"].is_string());
    target.answers("/light", Answer::Says(500, "red"));
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(stage.status()["serving"], "green", "git leads");
    stage.server.https().fault(Fault::None);
    stage.until("the flip back", |app| stage.verdicts(&bump, "rejected") == 1 && stage.is_at_rest(app));
    assert_eq!(stage.status()["serving"], "blue");
    stage.ends();
}

#[test]
fn commits_say_what_the_policy_wants_and_their_trailers_stay_the_last_word() {
    let stage = Stage::open_with(|clone| {
        edit(&clone.join("turquoise.yaml"), |text| {
            format!(
                "{text}\n  commits:\n    subject: \"chore({{app}}): {{summary}} [skip ci]\"\n    note: \"{{verdict}} {{revision}} by {{branch}}\"\n"
            )
        });
    });
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let ours: Vec<String> = stage.git_log("%an|%s").into_iter().filter(|line| line.starts_with("turquoise|")).collect();
    assert!(ours.iter().all(|line| line.ends_with(" [skip ci]")), "{ours:#?}");
    assert!(ours[0].starts_with("turquoise|chore(shop): green goes live with "), "{ours:#?}");
    let note = format!("released {} by main", &bump[..7]);
    assert!(stage.git_log("%B").contains(&note), "{:#?}", stage.git_log("%B"));
    assert_eq!(stage.verdicts(&bump, "released"), 1, "the trailers count");
    stage.ends();
}
