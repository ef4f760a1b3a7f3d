//! Traffic through Services while selectors flip and pods come and go: nothing is lost.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::{Cluster, DEPLOYMENTS, JSON_PATCH, MERGE, SERVICES, Visitor, ask, eventually, service};

/// Visits until told to stop; the number of answers and all that failed.
async fn visit(address: SocketAddr, fresh: bool, stop: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let (mut visitor, mut count, mut failed) = (Visitor::default(), 0, Vec::new());
    while !stop.load(Ordering::SeqCst) {
        match visitor.ask(address, "/", fresh).await {
            Ok((200, _)) => (),
            Ok((status, body)) => failed.push(format!("{status} {body}")),
            Err(error) => failed.push(error),
        }
        count += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (count, failed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_the_selector_flips_and_pods_are_scaled_down() {
    let cluster = Cluster::start().await;
    cluster.shop("blue", "1.0.0", 2).await;
    cluster.shop("green", "2.0.0", 2).await;
    let mut live = service("shop", "x", "blue");
    live["spec"]["selector"] = json!({"tier": "frontend", "colour": "blue"});
    cluster.ok(cluster.post(SERVICES, &live).await);
    let address = cluster.address("shop");
    eventually("it listens", || std::net::TcpStream::connect(address).is_ok()).await;

    let stop = Arc::new(AtomicBool::new(false));
    let visitors: Vec<_> = (0..6).map(|number| tokio::spawn(visit(address, number % 2 == 0, Arc::clone(&stop)))).collect();
    let long = tokio::spawn(async move { ask(address, "/slow?ms=3000").await });
    for round in 0..20 {
        let (from, to) = if round % 2 == 0 { ("blue", "green") } else { ("green", "blue") };
        let flip = json!([
            {"op": "test", "path": "/spec/selector/colour", "value": from},
            {"op": "replace", "path": "/spec/selector/colour", "value": to},
        ]);
        cluster.ok(cluster.patch(&format!("{SERVICES}/shop"), JSON_PATCH, &flip).await);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    // Blue is live again: scale it down, and replace its pods.
    cluster.ok(cluster.patch(&format!("{DEPLOYMENTS}/frontend-blue"), MERGE, &json!({"spec": {"replicas": 1}})).await);
    cluster.ready("frontend-blue", 1).await;
    let restart = json!({"spec": {"template": {"metadata": {"annotations": {"again": "yes"}}}}});
    for name in ["frontend-blue", "backend-blue"] {
        cluster.ok(cluster.patch(&format!("{DEPLOYMENTS}/{name}"), MERGE, &restart).await);
    }
    cluster.ready("frontend-blue", 1).await;
    cluster.ready("backend-blue", 2).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stop.store(true, Ordering::SeqCst);
    let mut total = 0;
    for visitor in visitors {
        let (count, failed) = visitor.await.unwrap();
        total += count;
        assert!(failed.is_empty(), "{} of {count} failed: {:?}", failed.len(), &failed[..failed.len().min(5)]);
    }
    assert!(total > 500, "only {total} requests");
    let (status, body) = long.await.unwrap().unwrap();
    assert_eq!((status, &body["slept_ms"]), (200, &json!(3000)), "a long request outlives flips and its pod's end");
}

#[tokio::test]
async fn new_connections_follow_a_flip_at_once_and_never_go_back() {
    let cluster = Cluster::start().await;
    cluster.shop("blue", "1.0.0", 2).await;
    cluster.shop("green", "2.0.0", 2).await;
    let mut live = service("shop", "x", "blue");
    live["spec"]["selector"] = json!({"tier": "frontend", "colour": "blue"});
    cluster.ok(cluster.post(SERVICES, &live).await);
    let address = cluster.address("shop");
    eventually("it listens", || std::net::TcpStream::connect(address).is_ok()).await;
    let mut kept = Visitor::default();
    assert_eq!(kept.ask(address, "/", false).await.unwrap().1["version"], "1.0.0");
    let flip = json!([{"op": "replace", "path": "/spec/selector/colour", "value": "green"}]);
    cluster.ok(cluster.patch(&format!("{SERVICES}/shop"), JSON_PATCH, &flip).await);
    let (mut versions, began) = (Vec::new(), std::time::Instant::now());
    while began.elapsed() < Duration::from_millis(300) {
        versions.push(ask(address, "/").await.unwrap().1["version"].as_str().unwrap().to_owned());
    }
    versions.dedup();
    assert!(versions == ["2.0.0"] || versions == ["1.0.0", "2.0.0"], "{versions:?}");
    assert_eq!(kept.ask(address, "/", false).await.unwrap().1["version"], "1.0.0", "an open connection stays with its pod");
}

#[tokio::test]
async fn a_service_without_endpoints_refuses_and_one_with_some_spreads() {
    let cluster = Cluster::start().await;
    cluster.shop("blue", "1.0.0", 2).await;
    let mut live = service("shop", "x", "green");
    live["spec"]["selector"] = json!({"tier": "frontend", "colour": "green"});
    cluster.ok(cluster.post(SERVICES, &live).await);
    let address = cluster.address("shop");
    assert!(ask(address, "/").await.unwrap_err().starts_with("connect: "));
    let flip = json!([{"op": "replace", "path": "/spec/selector/colour", "value": "blue"}]);
    cluster.ok(cluster.patch(&format!("{SERVICES}/shop"), JSON_PATCH, &flip).await);
    eventually("it listens", || std::net::TcpStream::connect(address).is_ok()).await;
    let mut pods = HashSet::new();
    for _ in 0..8 {
        pods.insert(ask(address, "/").await.unwrap().1["pod"].as_str().unwrap().to_owned());
    }
    assert_eq!(pods.len(), 2);
}

#[tokio::test]
async fn a_pod_that_stops_is_terminating_but_serving() {
    let cluster = Cluster::start().await;
    cluster.shop("blue", "1.0.0", 1).await;
    let mut live = service("shop", "frontend-blue", "blue");
    live["spec"]["type"] = json!("NodePort");
    let made = cluster.ok(cluster.post(SERVICES, &live).await);
    let address = cluster.address("shop");
    eventually("it listens", || std::net::TcpStream::connect(address).is_ok()).await;
    let node_port = u16::try_from(made["spec"]["ports"][0]["nodePort"].as_u64().unwrap()).unwrap();
    assert_eq!(ask(SocketAddr::from(([127, 0, 0, 1], node_port)), "/").await.unwrap().0, 200);
    let slice = || {
        let slices = cluster.sandbox.list("endpointslices", Some("default"));
        slices.into_iter().find(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == "shop").unwrap()
    };
    let endpoint = slice()["endpoints"][0].clone();
    assert_eq!(endpoint["conditions"], json!({"ready": true, "serving": true, "terminating": false}));
    assert_eq!(endpoint["targetRef"]["uid"], cluster.pods("frontend-blue")[0]["metadata"]["uid"]);
    assert_eq!(slice()["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    let (_, proxied) = cluster.get(&format!("{SERVICES}/http:shop:http/proxy/smoke")).await;
    assert_eq!(proxied["ok"], true);

    cluster.ok(cluster.patch(&format!("{DEPLOYMENTS}/frontend-blue"), MERGE, &json!({"spec": {"replicas": 0}})).await);
    eventually("it is terminating", || {
        slice()["endpoints"][0]["conditions"] == json!({"ready": false, "serving": true, "terminating": true})
    })
    .await;
    assert_eq!(ask(address, "/").await.unwrap().0, 200, "it still answers, and nobody else is there");
    eventually("it is gone", || slice()["endpoints"] == json!([])).await;
    assert!(ask(address, "/").await.is_err());
}
