//! Messages of what nobody's commit caused: drift, and servers that are out of reach and back. Each is told once, also by a
//! turquoise that was restarted in between.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::https::Fault;
use super::receiver::{Manner, Receiver};
use super::stage::{Stage, edit};
use super::transport::Transport;
use super::{server, tap};

fn notify(receiver: &Receiver) -> impl Fn(&Path) + use<> {
    let entry = format!("\n  notifications:\n    - webhook: {{url: \"http://{}/hook\"}}\n", receiver.address);
    move |clone| edit(&clone.join("turquoise.yaml"), |text| format!("{text}{entry}"))
}

/// What was said of these kinds, each message once.
fn told(receiver: &Receiver, kinds: &[&str]) -> Vec<Value> {
    let is_one = |envelope: &Value| kinds.iter().any(|kind| envelope["data"]["kind"] == *kind);
    receiver.heard().into_iter().filter(is_one).collect()
}

#[test]
fn drift_is_told_once_across_a_restart_and_again_when_it_comes_back() {
    let receiver = Receiver::start(Manner::Well);
    let mut stage = Stage::open_with(notify(&receiver));
    let surge = |stage: &Stage, surge: &str| {
        let patch = format!("{{\"spec\":{{\"strategy\":{{\"rollingUpdate\":{{\"maxSurge\":\"{surge}\"}}}}}}}}");
        stage.kubectl(&["patch", "deployment", "shop-frontend-blue", "--type", "merge", "--patch", &patch]);
    };
    let drifts = |app: &Value| app["drift"].as_array().is_some_and(|drift| !drift.is_empty());
    surge(&stage, "50%");
    stage.until("drift", drifts);
    stage.until("the message", |_| !told(&receiver, &["drift"]).is_empty());
    stage.kill();
    stage.run();
    stage.until("drift still", drifts);
    stage.commit("Something else", |clone| std::fs::write(clone.join("README.md"), "words").expect("written"));
    stage.until("looked at again", |app| stage.is_at_rest(app));
    let words = told(&receiver, &["drift"]);
    assert_eq!(words.len(), 1, "{words:#?}");
    let reason = words[0]["data"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("Deployment shop-frontend-blue"), "{reason}");
    surge(&stage, "100%");
    stage.until("no drift", |app| !drifts(app) && stage.is_at_rest(app));
    surge(&stage, "50%");
    stage.until("the second message", |_| told(&receiver, &["drift"]).len() == 2);
    surge(&stage, "100%");
    stage.until("no drift", |app| !drifts(app) && stage.is_at_rest(app));
    stage.ends();
}

#[test]
fn a_git_that_is_out_of_reach_for_a_while_is_told_once_and_so_is_its_return() {
    const KINDS: [&str; 2] = ["git_unreachable", "git_back"];
    let receiver = Receiver::start(Manner::Well);
    let mut stage = Stage::bare(notify(&receiver)).over(Transport::Https).opened();
    // A server that is restarted is back before anybody is told.
    stage.server.https().fault(Fault::Refuses);
    stage.until("an error", |app| app["error"].is_string());
    stage.server.https().fault(Fault::None);
    stage.until("no error", |app| app["error"].is_null() && stage.is_at_rest(app));
    assert_eq!(told(&receiver, &KINDS), Vec::<Value>::new());

    stage.server.https().fault(Fault::Refuses);
    stage.until("the message", |_| told(&receiver, &KINDS).len() == 1);
    // As long again: nobody hears of the same outage twice.
    std::thread::sleep(Duration::from_secs(2));
    stage.server.https().fault(Fault::None);
    stage.until("the second message", |_| told(&receiver, &KINDS).len() == 2);
    stage.kill();
    stage.run();
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    stage.until("the release", |_| receiver.stories().contains(&format!("live {bump}")));
    let kinds: Vec<String> = told(&receiver, &KINDS).iter().map(|one| one["data"]["kind"].to_string()).collect();
    assert_eq!(kinds, ["\"git_unreachable\"", "\"git_back\""]);
    let words = told(&receiver, &KINDS)[0]["data"]["reason"].to_string();
    assert!(words.contains("connection to the server failed"), "{words}");
    stage.ends();
}

#[test]
fn a_cluster_that_is_out_of_reach_for_a_while_is_told_once_and_so_is_its_return() {
    const KINDS: [&str; 2] = ["cluster_unreachable", "cluster_back"];
    let receiver = Receiver::start(Manner::Well);
    let Some(mut stage) = server::TAP.bare_with_images(notify(&receiver), &[]) else { return };
    let tap = stage.tapped();
    let stage = stage.opened();
    let down = tap::Fault::Answers { status: 503, each: 1 };
    // A server that is restarted is back before anybody is told.
    tap.breaks(down);
    stage.bump("1.1.0");
    stage.until("an error", |app| app["error"].is_string());
    tap.mends();
    stage.until_live("green", "1.1.0");
    assert_eq!(told(&receiver, &KINDS), Vec::<Value>::new());

    tap.breaks(down);
    let bump = stage.bump("1.2.0");
    stage.until("the message", |_| told(&receiver, &KINDS).len() == 1);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(stage.verdicts(&bump, "released") + stage.verdicts(&bump, "rejected"), 0);
    tap.mends();
    stage.until("the second message", |_| told(&receiver, &KINDS).len() == 2);
    stage.until_live("blue", "1.2.0");
    stage.until("the release", |_| receiver.stories().contains(&format!("live {bump}")));
    let kinds: Vec<String> = told(&receiver, &KINDS).iter().map(|one| one["data"]["kind"].to_string()).collect();
    assert_eq!(kinds, ["\"cluster_unreachable\"", "\"cluster_back\""]);
    stage.ends();
}

#[test]
fn a_cluster_that_is_gone_is_seen_also_at_rest() {
    let Some(mut stage) = server::TAP.bare_with_images(|_| {}, &[]) else { return };
    let tap = stage.tapped();
    let mut stage = stage.opened();
    // Nobody answers there any more, and open connections break.
    drop(tap);
    stage.until("an error", |app| app["error"].as_str().is_some_and(|words| words.contains("failed to list")));
    let _tap = stage.tapped();
    stage.kill();
    stage.run();
    stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    stage.ends();
}
