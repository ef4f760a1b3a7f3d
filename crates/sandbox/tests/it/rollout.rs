//! Deployments: rolling updates, recreation, deadlines, history.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::support::{Cluster, DEPLOYMENTS, MERGE, STRATEGIC, deployment, eventually};

fn image(tag: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "shop", "image": format!("shop:{tag}")}]}}}})
}

fn condition(deployment: &Value, kind: &str) -> Value {
    let conditions = deployment["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or(Value::Null)
}

#[tokio::test]
async fn a_rolling_update_never_goes_below_its_availability() {
    let cluster = Cluster::start().await;
    let mut web = deployment("web", "blue", "backend", "1.0.0", 4, &json!([]));
    web["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    cluster.ok(cluster.post(DEPLOYMENTS, &web).await);
    cluster.ready("web", 4).await;
    cluster.ok(cluster.patch(&format!("{DEPLOYMENTS}/web"), STRATEGIC, &image("1.1.0")).await);
    let mut most = 0;
    eventually("it is rolled out", || {
        let pods = cluster.pods("web");
        let lives: Vec<_> = pods.iter().filter(|pod| pod["metadata"].get("deletionTimestamp").is_none()).collect();
        let is_ready = |pod: &&&Value| {
            pod["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
        };
        assert!(lives.iter().filter(is_ready).count() >= 4, "fewer than four are ready");
        most = most.max(lives.len());
        let found = cluster.sandbox.get("deployments", "default", "web").unwrap();
        found["status"]["updatedReplicas"] == 4 && found["status"]["replicas"] == 4 && found["status"]["availableReplicas"] == 4
    })
    .await;
    assert_eq!(most, 5, "one more than wanted, no more");
    let live = cluster.sandbox.get("deployments", "default", "web").unwrap();
    assert_eq!(condition(&live, "Progressing")["reason"], "NewReplicaSetAvailable");
    assert_eq!(live["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    let sets = cluster.sandbox.list("replicasets", Some("default"));
    assert_eq!(sets.len(), 2);
    assert!(sets.iter().all(|set| set["metadata"]["ownerReferences"][0]["name"] == "web"));

    // The old template comes back under the next number, with the old ReplicaSet.
    cluster.ok(cluster.patch(&format!("{DEPLOYMENTS}/web"), STRATEGIC, &image("1.0.0")).await);
    cluster.ready("web", 4).await;
    assert_eq!(cluster.sandbox.list("replicasets", Some("default")).len(), 2);
    let live = cluster.sandbox.get("deployments", "default", "web").unwrap();
    assert_eq!(live["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
}

#[tokio::test]
async fn recreate_stops_the_old_before_it_starts_the_new() {
    let cluster = Cluster::start().await;
    let mut web = deployment("web", "blue", "backend", "1.0.0", 2, &json!([]));
    web["spec"]["strategy"] = json!({"type": "Recreate"});
    cluster.ok(cluster.post(DEPLOYMENTS, &web).await);
    cluster.ready("web", 2).await;
    cluster.ok(cluster.patch(&format!("{DEPLOYMENTS}/web"), STRATEGIC, &image("1.1.0")).await);
    eventually("it is recreated", || {
        let mut images: Vec<_> = cluster.pods("web").iter().map(|pod| pod["spec"]["containers"][0]["image"].clone()).collect();
        images.dedup();
        assert!(images.len() < 2, "old and new at once");
        images == [json!("shop:1.1.0")]
    })
    .await;
    cluster.ready("web", 2).await;
}

#[tokio::test]
async fn a_stuck_rollout_exceeds_its_deadline_and_a_fix_mends_it() {
    let cluster = Cluster::start().await;
    let mut web = deployment("web", "blue", "backend", "1.0.0", 1, &json!([]));
    web["spec"]["progressDeadlineSeconds"] = json!(1);
    cluster.ok(cluster.post(DEPLOYMENTS, &web).await);
    cluster.ready("web", 1).await;
    cluster.ok(cluster.patch(&format!("{DEPLOYMENTS}/web"), STRATEGIC, &image("2.0.0-never-ready")).await);
    eventually("the deadline is exceeded", || {
        let live = cluster.sandbox.get("deployments", "default", "web").unwrap();
        condition(&live, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    })
    .await;
    let live = cluster.sandbox.get("deployments", "default", "web").unwrap();
    assert_eq!(condition(&live, "Available")["status"], "True", "the old pod serves on");
    cluster.ok(cluster.patch(&format!("{DEPLOYMENTS}/web"), STRATEGIC, &image("2.0.0")).await);
    cluster.ready("web", 1).await;
}

#[tokio::test]
async fn min_ready_seconds_delay_availability() {
    let cluster = Cluster::start().await;
    let mut web = deployment("web", "blue", "backend", "1.0.0", 1, &json!([]));
    web["spec"]["minReadySeconds"] = json!(1);
    cluster.ok(cluster.post(DEPLOYMENTS, &web).await);
    let status = || cluster.sandbox.get("deployments", "default", "web").map(|live| live["status"].clone()).unwrap_or_default();
    eventually("it is ready", || status()["readyReplicas"] == 1).await;
    assert!(status().get("availableReplicas").is_none());
    cluster.ready("web", 1).await;
}

#[tokio::test]
async fn a_paused_deployment_waits_and_old_sets_are_cleaned_up() {
    let cluster = Cluster::start().await;
    let mut web = deployment("web", "blue", "backend", "1.0.0", 1, &json!([]));
    web["spec"]["revisionHistoryLimit"] = json!(0);
    cluster.ok(cluster.post(DEPLOYMENTS, &web).await);
    cluster.ready("web", 1).await;
    let path = format!("{DEPLOYMENTS}/web");
    cluster.ok(cluster.patch(&path, MERGE, &json!({"spec": {"paused": true}})).await);
    cluster.ok(cluster.patch(&path, STRATEGIC, &image("1.1.0")).await);
    eventually("it is paused", || {
        condition(&cluster.sandbox.get("deployments", "default", "web").unwrap(), "Progressing")["reason"] == "DeploymentPaused"
    })
    .await;
    assert_eq!(cluster.sandbox.list("replicasets", Some("default")).len(), 1);
    let (status, _) = cluster.patch(&path, MERGE, &json!({"spec": {"paused": null}})).await;
    assert_eq!(status, StatusCode::OK);
    cluster.ready("web", 1).await;
    eventually("the old set is gone", || cluster.sandbox.list("replicasets", Some("default")).len() == 1).await;
}

#[tokio::test]
async fn a_thousand_deployments_without_pods_are_fine() {
    let cluster = Cluster::start().await;
    for number in 0..1_000 {
        let web = deployment(&format!("web-{number}"), "blue", "backend", "1.0.0", 0, &json!([]));
        cluster.ok(cluster.post(DEPLOYMENTS, &web).await);
    }
    eventually("all are observed", || {
        let all = cluster.sandbox.list("deployments", Some("default"));
        all.len() == 1_000 && all.iter().all(|one| one["status"]["observedGeneration"] == 1)
    })
    .await;
}
