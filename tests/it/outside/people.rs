//! People's hands in git and in the cluster.

use super::stage::{Stage, edit};

#[test]
fn a_reverted_flip_goes_back_at_once_and_is_withdrawn() {
    let stage = Stage::open();
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let unflip = stage.revert_flip();
    stage.until_live("blue", "1.0.0");
    stage.until("withdrawn", |app| stage.verdicts(&bump, "withdrawn") == 1 && stage.is_at_rest(app));
    // The revert is reverted: live again.
    stage.revert(&unflip);
    stage.until_live("green", "1.1.0");
    stage.ends();
}

#[test]
fn a_withdrawn_bump_that_is_reverted_too_changes_nothing_more() {
    let stage = Stage::open();
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    stage.revert_flip();
    stage.until("withdrawn", |app| stage.verdicts(&bump, "withdrawn") == 1 && stage.is_at_rest(app));
    let commits = stage.git_log("%H").len();
    stage.revert(&bump);
    stage.until("rest", |app| stage.is_at_rest(app));
    assert_eq!(stage.git_log("%H").len(), commits + 1);
    stage.ends();
}

#[test]
fn the_selector_by_hand_to_an_empty_colour() {
    let stage = Stage::open();
    stage.select("green");
    stage.until_live("green", "1.0.0");
    stage.ends();
}

#[test]
fn bump_and_selector_in_one_commit() {
    let stage = Stage::open();
    stage.commit("Release 1.1.0 into green", |clone| {
        edit(&clone.join("base/kustomization.yaml"), |text| text.replace("newTag: 1.0.0", "newTag: 1.1.0"));
        edit(&clone.join("overlays/live/service.yaml"), |text| text.replacen("colour: blue", "colour: green", 1));
    });
    stage.until_live("green", "1.1.0");
    assert_eq!(stage.status()["colours"]["blue"]["images"][0], "shop:1.0.0");
    stage.ends();
}

#[test]
fn the_selector_by_hand_to_a_rejected_colour_is_taken_back() {
    let stage = Stage::open();
    let bump = stage.bump("2.0.0-smoke-fails");
    stage.until_verdict(&bump, "rejected");
    let by_hand = stage.select("green");
    stage.until("taken back", |app| {
        app["declared"] == "blue" && app["head"] != by_hand.as_str() && stage.is_at_rest(app)
    });
    assert_eq!(stage.status()["serving"], "blue");
    stage.ends();
}

#[test]
fn an_emptied_or_foreign_selector_in_git_is_blocked_and_traffic_stays() {
    let stage = Stage::open();
    for value in ["\"\"", "purple"] {
        stage.select(value);
        let status =
            stage.until("blocked", |app| app["phase"] == "blocked" && app["head"] == stage.git_log("%H")[0].as_str());
        assert_eq!(status["blocked"]["reason"], "selector_unknown", "{status:#}");
        assert_eq!(stage.kubectl(&["get", "service", "shop", "-o", "jsonpath={.spec.selector.colour}"]), "blue");
    }
    stage.select("blue");
    stage.until_live("blue", "1.0.0");
    stage.ends();
}

#[test]
fn a_selector_changed_in_the_cluster_is_put_back() {
    let stage = Stage::open();
    stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    stage.select_in_cluster("blue");
    let selector = || stage.kubectl(&["get", "service", "shop", "-o", "jsonpath={.spec.selector.colour}"]);
    stage.until("green again", |_| selector() == "green");
    stage.until_live("green", "1.1.0");
    stage.ends();
}

#[test]
fn a_live_deployment_that_is_deleted_comes_back() {
    let stage = Stage::open();
    stage.kubectl(&["delete", "service", "shop-preview"]);
    stage.kubectl(&["delete", "configmaps", "-l", "turquoise.dev/colour=blue"]);
    stage.until("created again", |_| {
        stage.kubectl(&["get", "configmaps", "-l", "turquoise.dev/colour=blue", "-o", "name"]).contains("shop-settings")
            && stage.kubectl(&["get", "services", "-o", "name"]).contains("shop-preview")
    });
    stage.ends();
}

#[test]
fn a_live_service_broken_by_hand_is_put_back_whole() {
    let mut stage = Stage::open();
    stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    stage.without_traffic();
    let spec = || {
        let path =
            "jsonpath={.spec.selector.app} {.spec.selector.colour} {.spec.selector.extra} {.spec.ports[0].targetPort}";
        stage.kubectl(&["get", "service", "shop", "-o", path])
    };
    let whole = spec();
    assert_eq!(whole, "shop-frontend green  http");
    for patch in [
        r#"{"spec":{"selector":null}}"#,
        r#"{"spec":{"selector":{"extra":"x"}}}"#,
        r#"{"spec":{"selector":{"app":"shop-backend"}}}"#,
        r#"{"spec":{"selector":{"colour":"purple"}}}"#,
        r#"{"spec":{"ports":[{"name":"http","port":8080,"targetPort":9999}]}}"#,
    ] {
        // A hand on the live Service during a watch is a failed watch.
        stage.until("the watch is over", |app| app["phase"] == "settled");
        stage.kubectl(&["patch", "service", "shop", "--type=merge", "-p", patch]);
        stage.until(&format!("put back after {patch}"), |app| spec() == whole && stage.is_at_rest(app));
    }
    stage.ends();
}

#[test]
fn a_field_edited_in_the_cluster_is_drift_until_it_is_edited_back() {
    let stage = Stage::open();
    let patch = |json: &str| stage.kubectl(&["patch", "deployment", "shop-backend-blue", "-p", json]);
    let surge =
        |percent: &str| patch(&format!(r#"{{"spec":{{"strategy":{{"rollingUpdate":{{"maxSurge":"{percent}"}}}}}}}}"#));
    surge("50%");
    let app = stage.until("drift", |app| app["drift"][0].is_object() && stage.is_at_rest(app));
    assert_eq!(app["drift"][0]["object"], "Deployment shop-backend-blue");
    assert_eq!(app["drift"][0]["field"], "spec.strategy.rollingUpdate.maxSurge");
    assert_eq!(app["alerts"][0]["reason"], "drift");
    surge("100%");
    stage.until("no drift", |app| app["drift"].as_array().is_some_and(Vec::is_empty) && app["alerts"][0].is_null());
    // How many there are, and what git does not speak of, is nobody's drift.
    stage.kubectl(&["scale", "deployment", "shop-backend-blue", "--replicas=3"]);
    stage.kubectl(&["annotate", "deployment", "shop-backend-blue", "team=shop"]);
    let config = stage.kubectl(&["get", "configmaps", "-l", "turquoise.dev/colour=blue", "-o", "name"]);
    stage.kubectl(&["patch", config.trim(), "-p", r#"{"data":{"GREETING":"changed by hand"}}"#]);
    let app = stage.until("drift of the ConfigMap", |app| app["drift"][0].is_object() && app["drift"][1].is_null());
    assert_eq!(
        (&app["drift"][0]["field"], &app["drift"][0]["found"]),
        (&"data.GREETING".into(), &"changed by hand".into())
    );
    stage.ends();
}
