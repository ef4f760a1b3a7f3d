//! An app that was there before turquoise, applied by `kubectl apply -k`, with colours or without.

use std::path::Path;

use serde_json::Value;

use super::server::TAP;
use super::stage::{Stage, edit};
use super::tap::Moment;

/// The example with one colour live, without turquoise.
fn running(colour: &str) -> Stage {
    let mut stage = Stage::bare(|_| {});
    stage.apply_overlay(colour);
    for deployment in ["shop-frontend", "shop-backend"] {
        stage.kubectl(&["rollout", "status", "--timeout=60s", &format!("deployment/{deployment}-{colour}")]);
    }
    stage.apply_overlay("live");
    if colour != "blue" {
        stage.select_in_cluster(colour);
    }
    stage.with_traffic();
    stage
}

#[test]
fn what_stands_as_git_has_it_is_taken_over_without_a_new_pod() {
    let mut stage = running("blue");
    let pods = stage.pods("blue");
    let first = stage.git_log("%H")[0].clone();
    stage.run();
    stage.until_verdict(&first, "released");
    assert_eq!(stage.pods("blue"), pods);
    let managers = stage.kubectl(&[
        "get",
        "deployment",
        "shop-frontend-blue",
        "--show-managed-fields",
        "-o",
        "jsonpath={.metadata.managedFields[*].manager}",
    ]);
    assert!(!managers.contains("kubectl"), "{managers}");
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    stage.revert(&bump);
    stage.until_live("blue", "1.0.0");
    assert_eq!(stage.pods("blue"), pods);
    stage.ends();
}

#[test]
fn what_differs_from_git_is_released_into_the_other_colour() {
    let mut stage = running("blue");
    let bump = stage.bump("1.1.0");
    stage.run();
    stage.until_live("green", "1.1.0");
    assert_eq!(stage.verdicts(&bump, "released"), 1);
    stage.bump("1.2.0");
    stage.until_live("blue", "1.2.0");
    stage.ends();
}

#[test]
fn a_colour_that_git_does_not_name_is_left_serving_until_git_names_it() {
    let mut stage = running("green");
    stage.run();
    let app = stage.until("blocked", |app| app["phase"] == "blocked");
    assert_eq!(app["blocked"]["reason"], "other_colour_serving");
    let labels = stage.kubectl(&["get", "deployments", "-l", "turquoise.dev/app", "-o", "name"]);
    assert_eq!(labels, "", "nothing was written");
    stage.commit("Green serves", |clone| {
        edit(&clone.join("overlays/live/service.yaml"), |text| text.replacen("colour: blue", "colour: green", 1));
    });
    stage.until("green", |app| {
        app["declared"] == "green" && app["colours"]["green"]["images"][0] == "shop:1.0.0" && stage.is_at_rest(app)
    });
    stage.ends();
}

/// The example without colours, as it was before anybody thought of them.
fn colourless(prepare: impl FnOnce(&Path)) -> Stage {
    without_colours(Stage::bare(prepare))
}

fn without_colours(mut stage: Stage) -> Stage {
    stage.apply_overlay("../base");
    for deployment in ["shop-frontend", "shop-backend"] {
        stage.kubectl(&["rollout", "status", "--timeout=60s", &format!("deployment/{deployment}")]);
    }
    stage.apply_overlay("live");
    stage.kubectl(&[
        "patch",
        "service",
        "shop",
        "--type=json",
        "-p",
        r#"[{"op": "remove", "path": "/spec/selector/colour"}]"#,
    ]);
    stage.with_traffic();
    stage
}

/// The cure of `selector_too_wide`, for both tiers.
fn narrow(stage: &Stage) {
    for (service, app) in [("shop-backend", "shop-backend"), ("shop", "shop-frontend")] {
        let label = "jsonpath={.items[0].metadata.labels.pod-template-hash}";
        let hash = stage.kubectl(&["get", "pods", "-l", &format!("app={app}"), "-o", label]);
        let patch = format!(r#"{{"spec": {{"selector": {{"pod-template-hash": "{hash}"}}}}}}"#);
        stage.kubectl(&["patch", "service", service, "-p", &patch]);
    }
}

fn live_selector(stage: &Stage) -> String {
    stage.kubectl(&["get", "service", "shop", "-o", "jsonpath={.spec.selector}"])
}

#[test]
fn what_serves_without_a_colour_is_left_once_its_selector_is_narrow() {
    let mut stage = colourless(|_| {});
    let bump = stage.bump("1.1.0");
    stage.run();
    let app = stage.until("blocked", |app| app["phase"] == "blocked");
    assert_eq!(app["blocked"]["reason"], "selector_too_wide", "{app:#}");
    assert_eq!(app["blocked"]["selector"], "app=shop-frontend");
    narrow(&stage);
    stage.until_live("green", "1.1.0");
    assert_eq!(live_selector(&stage), r#"{"app":"shop-frontend","colour":"green"}"#);
    assert_eq!(stage.verdicts(&bump, "released"), 1);
    let old = stage.kubectl(&["get", "deployment", "shop-frontend", "-o", "jsonpath={.status.readyReplicas}"]);
    assert_eq!(old, "2", "what served before stays");
    stage.bump("1.2.0");
    stage.until_live("blue", "1.2.0");
    stage.ends();
}

#[test]
fn a_rejected_candidate_leaves_what_serves_without_a_colour_as_it_was() {
    let mut stage = colourless(|_| {});
    narrow(&stage);
    let before = live_selector(&stage);
    let bad = stage.bump("1.1.0-smoke-fails");
    stage.run();
    stage.until_verdict(&bad, "rejected");
    stage.until("at rest", |app| stage.is_at_rest(app));
    assert_eq!(live_selector(&stage), before);
    let good = stage.bump("1.2.0");
    stage.until_verdict(&good, "released");
    stage.until_live("green", "1.2.0");
    stage.ends();
}

#[test]
fn killed_again_and_again_it_still_leaves_what_serves_without_a_colour() {
    let Some(stage) = TAP.bare_with_images(|_| {}, &[]) else { return };
    let mut stage = without_colours(stage);
    narrow(&stage);
    let bump = stage.bump("1.1.0");
    let tap = stage.tapped();
    let mut deaths = 0;
    loop {
        assert!(deaths < 40, "there are always more writes");
        stage.run();
        // Not always the first: two marks that are written together would never both be.
        tap.arm(stage.daemon.as_ref().expect("turquoise runs").id(), deaths % 4 + 1, Moment::After);
        let is_live = |app: &Value| app["serving"] == "green" && stage.is_at_rest(app);
        stage.until("a death or the end", |app| tap.has_killed() || is_live(app));
        if tap.disarm().is_none() {
            break;
        }
        deaths += 1;
        stage.kill();
    }
    assert!(deaths >= 4, "{deaths}");
    assert_eq!((stage.verdicts(&bump, "released"), stage.verdicts(&bump, "rejected")), (1, 0));
    stage.ends();
}

#[test]
fn an_approval_switches_away_from_what_serves_without_a_colour() {
    let mut stage = colourless(|clone| {
        edit(&clone.join("turquoise.yaml"), |text| text.replacen("spec:\n", "spec:\n  promotion: manual\n", 1));
    });
    narrow(&stage);
    let before = live_selector(&stage);
    let bump = stage.bump("1.1.0");
    stage.run();
    stage.until("approval is waited for", |app| app["phase"] == "awaiting_approval");
    assert_eq!(live_selector(&stage), before);
    stage.commit("Green serves", |clone| {
        edit(&clone.join("overlays/live/service.yaml"), |text| text.replacen("colour: blue", "colour: green", 1));
    });
    stage.until_verdict(&bump, "released");
    stage.until_live("green", "1.1.0");
    stage.ends();
}

#[test]
fn objects_of_unknown_hands_are_left_alone() {
    let mut stage = Stage::bare(|_| {});
    stage.kubectl(&["create", "service", "clusterip", "shop-backend-blue", "--tcp=8080"]);
    stage.run();
    let app = stage.until("blocked", |app| app["phase"] == "blocked");
    assert_eq!(app["blocked"]["reason"], "not_ours");
    assert_eq!(app["blocked"]["objects"][0], "Service shop-backend-blue");
    stage.kubectl(&["delete", "service", "shop-backend-blue"]);
    stage.until("the first release", |app| app["serving"] == "blue" && stage.is_at_rest(app));
    stage.ends();
}
