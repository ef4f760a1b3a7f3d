//! SITUATION 67: an app that was there before turquoise, applied by `kubectl apply -k`.

use super::stage::{Stage, edit};

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
