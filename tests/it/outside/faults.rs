//! What a real node does: faults that only a real cluster has, in the middle of a flip and elsewhere.

use std::time::Duration;

use super::remote::hook;
use super::stage::Stage;
use super::traffic::Allowed;
use super::transport::Transport;
use super::world::{Component, Cut, Harm, Only, kill_pod};

const ONLY: Only = Only::Local("it breaks processes of the cluster");

/// Breaks it right after the server has taken the push of the flip, before turquoise hears so: git says green, the cluster
/// does not.
fn broken_between_push_and_patch(component: Component, harm: Harm) {
    let Some(stage) = ONLY.open_over(Transport::Https) else { return };
    let blue = stage.pods("blue");
    let broken = component.about_to_break(harm);
    hook(&stage, &format!("[ -e broken ] || {{ touch broken; {}; }}\nexit 0\n", broken.command()));
    let bump = stage.bump("1.1.0");
    stage.until("the flip is pushed", |_| stage.git_log("%s")[0].contains("green goes live"));
    let status = stage.until("the trouble is said", |app| app["error"].is_string());
    assert_eq!(status["serving"], "blue", "{status:#}");
    broken.mend();
    stage.until_live("green", "1.1.0");
    assert_eq!(stage.verdicts(&bump, "released"), 1);
    assert_eq!(stage.pods("blue"), blue);
    stage.ends();
}

#[test]
fn an_api_server_that_freezes_between_push_and_patch() {
    broken_between_push_and_patch(Component::ApiServer, Harm::Freeze);
}

#[test]
fn an_api_server_that_crashes_between_push_and_patch() {
    broken_between_push_and_patch(Component::ApiServer, Harm::Crash);
}

#[test]
fn an_etcd_that_freezes_between_push_and_patch() {
    broken_between_push_and_patch(Component::Etcd, Harm::Freeze);
}

#[test]
fn an_etcd_that_crashes_between_push_and_patch() {
    broken_between_push_and_patch(Component::Etcd, Harm::Crash);
}

/// Longer than a release takes, shorter than turquoise waits for an answer.
const SHORT: Duration = Duration::from_secs(3);

#[test]
fn an_api_server_that_breaks_at_any_moment_of_a_release_delays_it() {
    let Some(mut stage) = ONLY.open() else { return };
    stage.allow(Allowed::KeptConnections(
        "the idle colour is written, and stays half-written while the API server is away",
    ));
    let harms = [Harm::Freeze, Harm::Crash].into_iter().cycle();
    let mut colour = "green";
    // The pauses walk over a release: apply, pods, checks, commit, patch, watch.
    for ((pause_ms, version), harm) in
        [(50, "1.1.0"), (400, "1.2.0"), (900, "2.0.0"), (1_400, "2.1.0"), (1_900, "3.0.0")].into_iter().zip(harms)
    {
        let bump = stage.bump(version);
        std::thread::sleep(Duration::from_millis(pause_ms));
        let broken = Component::ApiServer.breaks(harm);
        std::thread::sleep(SHORT);
        broken.mend();
        stage.until_live(colour, version);
        assert_eq!(stage.verdicts(&bump, "released"), 1, "{harm:?} after {pause_ms} ms");
        colour = if colour == "green" { "blue" } else { "green" };
    }
    stage.ends();
}

#[test]
fn a_network_that_is_cut_in_a_release_rejects_nothing() {
    let Some(stage) = ONLY.open() else { return };
    let bump = stage.bump("1.1.0-slow-start");
    stage.until("a candidate", |app| app["colours"]["green"]["revision"] == bump.as_str());
    let cut = Cut::now();
    stage.until("the trouble is said", |app| app["error"].is_string());
    assert_eq!(stage.status()["serving"], "blue");
    drop(cut);
    stage.until_live("green", "1.1.0-slow-start");
    assert_eq!((stage.verdicts(&bump, "released"), stage.verdicts(&bump, "rejected")), (1, 0));
    stage.ends();
}

#[test]
fn a_kubelet_that_is_down_holds_the_release_and_not_the_traffic() {
    let Some(stage) = ONLY.open() else { return };
    let kubelet = Component::Kubelet.breaks(Harm::Crash);
    let bump = stage.bump("1.1.0");
    stage.until("a candidate", |app| app["colours"]["green"]["revision"] == bump.as_str());
    std::thread::sleep(Duration::from_secs(10));
    let status = stage.status();
    assert_eq!((&status["serving"], &status["colours"]["green"]["ready"]), (&"blue".into(), &0.into()), "{status:#}");
    kubelet.mend();
    stage.until_live("green", "1.1.0");
    assert_eq!(stage.verdicts(&bump, "released"), 1);
    stage.ends();
}

/// A node that says nothing for 40 s is taken for lost, and none of its pods for ready: no colour is.
#[test]
fn a_node_that_is_lost_moves_nothing_and_the_release_goes_on_when_it_is_back() {
    let Some(mut stage) = ONLY.open() else { return };
    // Every pod is on it: nobody serves meanwhile.
    stage.without_traffic();
    let kubelet = Component::Kubelet.breaks(Harm::Freeze);
    let bump = stage.bump("1.1.0");
    stage.until("nobody is ready", |app| app["colours"]["blue"]["ready"] == 0);
    assert_eq!(selector(&stage), "blue");
    kubelet.mend();
    stage.until("the end", |app| app["verdict"]["revision"] == bump.as_str() && stage.is_at_rest(app));
    stage.until("blue is back", |app| app["colours"]["blue"]["ready"] == 4);
    stage.with_traffic();
    stage.bump("1.2.0");
    stage.until("1.2.0 is live", |app| {
        let serving = app["serving"].as_str().unwrap_or_default();
        app["colours"][serving]["images"][0] == "shop:1.2.0" && stage.is_at_rest(app)
    });
    stage.ends();
}

fn selector(stage: &Stage) -> String {
    stage.kubectl(&["get", "service", "shop", "-o", "jsonpath={.spec.selector.colour}"])
}

/// Containers die.
#[test]
fn a_candidate_that_dies_between_push_and_patch_takes_no_traffic_before_it_is_back() {
    let Some(mut stage) = ONLY.open_over(Transport::Https) else { return };
    let broken = Component::ApiServer.about_to_break(Harm::Freeze);
    hook(&stage, &format!("[ -e broken ] || {{ touch broken; {}; }}\nexit 0\n", broken.command()));
    let bump = stage.bump("1.1.0");
    stage.until("the flip is pushed", |_| stage.git_log("%s")[0].contains("green goes live"));
    stage.kill();
    broken.mend();
    let pods = stage.kubectl(&["get", "pods", "-l", "colour=green", "-o", "jsonpath={.items[*].metadata.name}"]);
    for pod in pods.split_whitespace() {
        kill_pod(stage.home().namespace(), pod);
    }
    stage.run();
    stage.until_live("green", "1.1.0");
    assert_eq!(stage.verdicts(&bump, "released"), 1);
    stage.ends();
}
