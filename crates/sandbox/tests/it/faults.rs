//! Broken APIs, on demand.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde_json::json;
use tokio::time::timeout;
use turquoise_sandbox::{Effect, Rule, Verb};

use crate::support::{CONFIG_MAPS, Cluster, config_map};

#[tokio::test]
async fn rules_hit_what_they_match_as_often_as_they_say() {
    let cluster = Cluster::start().await;
    let faults = cluster.sandbox.faults();
    faults.inject(Rule::new(Effect::Status(500)).verb(Verb::List).resource("configmaps").times(2));
    for _ in 0..2 {
        assert_eq!(cluster.get(CONFIG_MAPS).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert_eq!(cluster.get(CONFIG_MAPS).await.0, StatusCode::OK);
    assert_eq!(faults.hits(), 2);
    let rule = faults.inject(Rule::new(Effect::Status(409)).verb(Verb::Create).name("x"));
    cluster.ok(cluster.post(CONFIG_MAPS, &config_map("a", &json!({}))).await);
    faults.clear(rule);
    faults.inject(Rule::new(Effect::Delay(Duration::from_millis(200))).verb(Verb::Get).times(1));
    let began = Instant::now();
    cluster.ok(cluster.get(&format!("{CONFIG_MAPS}/a")).await);
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_lost_reply_is_done_and_a_cut_is_not() {
    let cluster = Cluster::start().await;
    let faults = cluster.sandbox.faults();
    for (effect, name, is_done) in [(Effect::LoseReply, "a", true), (Effect::Cut, "b", false)] {
        faults.inject(Rule::new(effect).verb(Verb::Create).times(1));
        let request = hyper::Request::post(CONFIG_MAPS)
            .body(kube::client::Body::from(config_map(name, &json!({})).to_string().into_bytes()))
            .unwrap();
        assert!(cluster.client.send(request).await.is_err());
        assert_eq!(cluster.sandbox.get("configmaps", "default", name).is_some(), is_done);
    }
}

#[tokio::test]
async fn a_frozen_api_answers_later() {
    let cluster = Cluster::start().await;
    cluster.sandbox.faults().freeze();
    let asked = cluster.get(CONFIG_MAPS);
    let mut asked = std::pin::pin!(asked);
    assert!(timeout(Duration::from_millis(150), asked.as_mut()).await.is_err());
    cluster.sandbox.faults().thaw();
    assert_eq!(asked.await.0, StatusCode::OK);
    cluster.sandbox.faults().inject(Rule::new(Effect::Hang));
    assert!(timeout(Duration::from_millis(150), cluster.get(CONFIG_MAPS)).await.is_err());
    cluster.sandbox.faults().clear_all();
    assert_eq!(cluster.get(CONFIG_MAPS).await.0, StatusCode::OK);
}

#[tokio::test]
async fn stale_lists_show_the_past() {
    let cluster = Cluster::start().await;
    cluster.sandbox.faults().stale_lists();
    cluster.ok(cluster.post(CONFIG_MAPS, &config_map("a", &json!({}))).await);
    let names = |list: &serde_json::Value| list["items"].as_array().unwrap().iter().any(|item| item["metadata"]["name"] == "a");
    assert!(!names(&cluster.get(CONFIG_MAPS).await.1));
    assert_eq!(cluster.get(&format!("{CONFIG_MAPS}/a")).await.0, StatusCode::OK, "single objects are fresh");
    cluster.sandbox.faults().fresh_lists();
    assert!(names(&cluster.get(CONFIG_MAPS).await.1));
}
