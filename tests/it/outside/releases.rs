//! Releases, rollbacks and rejections, with the real parts.

use super::stage::{Stage, edit, short_deadline};
use super::world::World;

#[test]
fn a_bump_goes_live_and_a_revert_takes_it_back_without_new_pods() {
    let stage = Stage::open();
    let blue = stage.pods("blue");
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    assert_eq!(stage.pods("blue"), blue, "blue is kept");
    let green = stage.pods("green");

    let back = stage.revert(&bump);
    stage.until_live("blue", "1.0.0");
    assert_eq!(stage.pods("blue"), blue, "a return needs no new pods");

    stage.revert(&back);
    stage.until_live("green", "1.1.0");
    assert_eq!(stage.pods("green"), green);
    assert_eq!(stage.git_log("%an").iter().filter(|name| *name == "turquoise").count(), 4, "one commit a fact");
    stage.ends();
}

#[test]
fn a_newer_bump_takes_the_place_of_one_that_verifies() {
    let stage = Stage::open();
    let slow = stage.bump("1.1.0-slow-start");
    stage.until("a candidate", |app| app["colours"]["green"]["revision"] == slow.as_str());
    let next = stage.bump("1.2.0");
    stage.until_live("green", "1.2.0");
    assert_eq!(stage.verdicts(&slow, "superseded"), 1);
    assert_eq!(stage.verdicts(&next, "released"), 1);
    stage.ends();
}

#[test]
fn a_revert_while_it_verifies_flips_nothing() {
    let stage = Stage::open();
    let slow = stage.bump("1.1.0-slow-start");
    stage.until("a candidate", |app| app["colours"]["green"]["revision"] == slow.as_str());
    stage.revert(&slow);
    stage.until("green is down", |app| app["colours"]["green"]["wanted"] == 0 && app["colours"]["green"]["ready"] == 0);
    assert_eq!(stage.status()["serving"], "blue");
    assert_eq!(stage.verdicts(&slow, "released"), 0);
    // Superseded is a trailer of the next commit.
    stage.bump("1.2.0");
    stage.until_live("green", "1.2.0");
    assert_eq!(stage.verdicts(&slow, "superseded"), 1);
    stage.ends();
}

#[test]
fn a_commit_that_changes_no_content_disturbs_nothing() {
    let stage = Stage::open();
    let slow = stage.bump("1.1.0-slow-start");
    stage.until("a candidate", |app| app["colours"]["green"]["revision"] == slow.as_str());
    let pods = stage.pods("green");
    stage.commit("A word about the shop", |clone| {
        edit(&clone.join("README.md"), |_| "A shop.\n".into());
        edit(&clone.join("base/frontend.yaml"), |text| format!("# The front door.\n{text}"));
    });
    stage.until_live("green", "1.1.0-slow-start");
    assert_eq!(stage.pods("green"), pods);
    assert_eq!(stage.verdicts(&slow, "released"), 1);
    stage.ends();
}

#[test]
fn a_return_to_a_colour_that_was_scaled_to_zero_brings_it_up_again() {
    let stage = Stage::open();
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    stage.kubectl(&["scale", "deployment", "shop-frontend-blue", "shop-backend-blue", "--replicas=0"]);
    stage.until("blue is down", |app| app["colours"]["blue"]["ready"] == 0);
    stage.revert(&bump);
    stage.until_live("blue", "1.0.0");
    stage.ends();
}

#[test]
fn a_size_is_applied_in_place() {
    let stage = Stage::open();
    stage.commit("Three of each", |clone| {
        edit(&clone.join("base/frontend.yaml"), |text| text.replace("replicas: 2", "replicas: 3"));
    });
    stage.until("three frontends", |app| app["colours"]["blue"]["ready"] == 5);
    assert_eq!(stage.status()["serving"], "blue");
    assert_eq!(stage.git_log("%an").iter().filter(|name| *name == "turquoise").count(), 1, "size is no release");
    stage.ends();
}

#[test]
fn a_change_of_settings_is_a_release_and_the_live_pods_never_see_it() {
    let stage = Stage::open();
    let settings =
        || stage.kubectl(&["get", "configmaps", "-l", "turquoise.dev/colour=blue", "-o", "jsonpath={.items[*].data}"]);
    let before = settings();
    stage.commit("Greet in French", |clone| {
        edit(&clone.join("base/kustomization.yaml"), |text| text.replace("Welcome to the shop", "Bienvenue"));
    });
    stage.until("green is live", |app| app["serving"] == "green" && stage.is_at_rest(app));
    assert_eq!(settings(), before);
    stage.ends();
}

#[test]
fn broken_candidates_are_rejected_and_traffic_never_moves() {
    let stage = Stage::open();
    let blue = stage.pods("blue");
    for (version, words) in [
        // A kubelet that tries again says for a moment what came of that.
        ("9.9.9", &["ImagePullBackOff", "ErrImagePull"][..]),
        ("2.0.0-crash", &["CrashLoopBackOff"]),
        ("2.0.0-smoke-fails", &["check `smoke`"]),
        ("2.0.0-wrong-backend", &["check `smoke`"]),
    ] {
        let bump = stage.bump(version);
        let status = stage.until_verdict(&bump, "rejected");
        let reason = status["verdict"]["reason"].as_str().unwrap_or_default();
        assert!(words.iter().any(|words| reason.contains(words)), "{version}: {reason}");
        assert!(status["verdict"]["at"].is_string(), "{status:#}");
        stage.until("green is down", |app| app["colours"]["green"]["wanted"] == 0);
        assert_eq!(stage.verdicts(&bump, "rejected"), 1);
    }
    assert_eq!(stage.pods("blue"), blue);
    let good = stage.bump("1.2.0");
    stage.until_live("green", "1.2.0");
    assert_eq!(stage.verdicts(&good, "released"), 1);
    stage.ends();
}

#[test]
fn what_never_gets_ready_is_rejected_at_the_deadline() {
    let stage = Stage::open_with(short_deadline);
    let bump = stage.bump("2.0.0-never-ready");
    let status = stage.until_verdict(&bump, "rejected");
    let reason = status["verdict"]["reason"].as_str().unwrap_or_default();
    let words = format!("not ready after {} s", World::here().limits().deadline_s);
    assert!(reason.contains(&words), "{reason}");
    stage.ends();
}

#[test]
fn a_rejected_revision_is_tried_again_when_a_person_asks() {
    let stage = Stage::open();
    let bump = stage.bump("2.0.0-smoke-fails");
    stage.until_verdict(&bump, "rejected");
    // The rejection is reverted: tried again, checks included, and rejected again, once.
    stage.revert("HEAD");
    stage.until("a second rejection", |app| stage.verdicts(&bump, "rejected") == 2 && stage.is_at_rest(app));
    // The bump is reverted: what is live is wanted. The same bump again is a new revision.
    let back = stage.revert(&bump);
    stage.until("rest", |app| app["head"] == back.as_str() && stage.is_at_rest(app));
    let again = stage.bump("2.0.0-smoke-fails");
    stage.until_verdict(&again, "rejected");
    stage.ends();
}

#[test]
fn only_the_live_colours_overlay_changed() {
    let stage = Stage::open();
    let change = |colour: &str| {
        let file = format!("overlays/{colour}/kustomization.yaml");
        move |clone: &std::path::Path| {
            edit(&clone.join(&file), |text| format!("{text}\ncommonAnnotations: {{note: changed}}\n"));
        }
    };
    stage.commit("Edit blue, which is live", change("blue"));
    let status = stage.until("blocked", |app| app["phase"] == "blocked");
    assert_eq!(status["blocked"]["reason"], "live_overlay_only");
    stage.commit("Edit green, which is idle", change("green"));
    stage.until("green is live", |app| app["serving"] == "green" && stage.is_at_rest(app));
    stage.ends();
}
