//! JSON Patch, merge patch, strategic merge patch, and what they are refused for.

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::support::{CONFIG_MAPS, Cluster, DEPLOYMENTS, JSON_PATCH, MERGE, SERVICES, STRATEGIC, config_map, deployment, service};

#[tokio::test]
async fn a_failing_test_changes_nothing() {
    let cluster = Cluster::start().await;
    let made = cluster.ok(cluster.post(SERVICES, &service("shop", "shop", "blue")).await);
    let path = format!("{SERVICES}/shop");
    let flip = |from: &str, to: &str| {
        json!([
            {"op": "test", "path": "/spec/selector/colour", "value": from},
            {"op": "replace", "path": "/spec/selector/colour", "value": to},
        ])
    };
    let (status, refused) = cluster.patch(&path, JSON_PATCH, &flip("green", "blue")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused["reason"], "Invalid");
    assert_eq!(refused["message"], "the server rejected our request due to an error in our request");
    assert_eq!(cluster.sandbox.get("services", "default", "shop").unwrap(), made);
    let flipped = cluster.ok(cluster.patch(&path, JSON_PATCH, &flip("blue", "green")).await);
    assert_eq!(flipped["spec"]["selector"]["colour"], "green");
    let stale = json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": made["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/spec/selector/colour", "value": "blue"},
    ]);
    let (status, _) = cluster.patch(&path, JSON_PATCH, &stale).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_version_that_a_patch_sets_is_a_precondition() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(CONFIG_MAPS, &config_map("a", &json!({"x": "1"}))).await);
    let patch = json!({"metadata": {"resourceVersion": "1"}, "data": {"x": "2"}});
    let (status, refused) = cluster.patch(&format!("{CONFIG_MAPS}/a"), MERGE, &patch).await;
    assert_eq!((status, &refused["reason"]), (StatusCode::CONFLICT, &json!("Conflict")));
    assert_eq!(refused["details"], json!({"name": "a", "kind": "configmaps"}));
}

#[tokio::test]
async fn a_merge_patch_removes_by_null() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(CONFIG_MAPS, &config_map("a", &json!({"x": "1", "y": "2"}))).await);
    let patched = cluster.ok(cluster.patch(&format!("{CONFIG_MAPS}/a"), MERGE, &json!({"data": {"x": null, "z": "3"}})).await);
    assert_eq!(patched["data"], json!({"y": "2", "z": "3"}));
}

#[tokio::test]
async fn a_strategic_patch_merges_lists_by_their_keys() {
    let cluster = Cluster::start().await;
    let env = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
    cluster.ok(cluster.post(DEPLOYMENTS, &deployment("web", "blue", "backend", "1.0.0", 0, &env)).await);
    let patch = json!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "side"}, {"name": "shop"}],
        "containers": [
            {"name": "shop", "image": "shop:1.1.0", "env": [{"name": "A", "$patch": "delete"}, {"name": "C", "value": "3"}]},
            {"name": "side", "image": "shop:1.0.0"},
        ],
    }}}});
    let patched = cluster.ok(cluster.patch(&format!("{DEPLOYMENTS}/web"), STRATEGIC, &patch).await);
    let containers = &patched["spec"]["template"]["spec"]["containers"];
    assert_eq!((&containers[0]["name"], &containers[1]["image"]), (&json!("side"), &json!("shop:1.1.0")));
    assert_eq!(containers[1]["env"], json!([{"name": "B", "value": "2"}, {"name": "C", "value": "3"}]));
    let recreate = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    let patched = cluster.ok(cluster.patch(&format!("{DEPLOYMENTS}/web"), STRATEGIC, &recreate).await);
    assert_eq!(patched["spec"]["strategy"], json!({"type": "Recreate"}));
}

#[tokio::test]
async fn the_status_and_the_rest_have_their_own_doors() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(DEPLOYMENTS, &deployment("web", "blue", "backend", "1.0.0", 0, &json!([]))).await);
    let path = format!("{DEPLOYMENTS}/web");
    let both = json!({"spec": {"replicas": 0, "minReadySeconds": 3}, "status": {"collisionCount": 7}});
    let main = cluster.ok(cluster.patch(&path, MERGE, &both).await);
    assert!(main["status"].get("collisionCount").is_none());
    assert_eq!(main["spec"]["minReadySeconds"], 3);
    let both = json!({"spec": {"minReadySeconds": 5}, "status": {"collisionCount": 7}});
    let status = cluster.ok(cluster.patch(&format!("{path}/status"), MERGE, &both).await);
    assert_eq!((&status["spec"]["minReadySeconds"], &status["status"]["collisionCount"]), (&json!(3), &json!(7)));
}

#[tokio::test]
async fn what_must_not_change_is_refused() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(DEPLOYMENTS, &deployment("web", "blue", "backend", "1.0.0", 0, &json!([]))).await);
    let patch = json!({"spec": {
        "selector": {"matchLabels": {"app": "other"}}, "template": {"metadata": {"labels": {"app": "other"}}},
    }});
    let (status, refused) = cluster.patch(&format!("{DEPLOYMENTS}/web"), MERGE, &patch).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused["details"]["causes"][0]["field"], "spec.selector");
    let message = refused["message"].as_str().unwrap();
    assert!(message.starts_with("Deployment.apps \"web\" is invalid: spec.selector: Invalid value: "), "{message}");
    assert!(message.ends_with(": field is immutable"), "{message}");
    cluster.ok(cluster.post(SERVICES, &service("shop", "shop", "blue")).await);
    let (status, _) = cluster.patch(&format!("{SERVICES}/shop"), MERGE, &json!({"spec": {"clusterIP": "127.96.0.9"}})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn unknown_types_of_patches_are_refused() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(CONFIG_MAPS, &config_map("a", &json!({}))).await);
    let (status, _) = cluster.call(Method::PATCH, &format!("{CONFIG_MAPS}/a"), "text/plain", "x").await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
