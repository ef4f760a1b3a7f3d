//! Quotas, and disruption budgets.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::support::{Cluster, DEPLOYMENTS, MERGE, PODS, deployment, eventually};

const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

fn quota(hard: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": hard}})
}

#[tokio::test]
async fn pods_over_a_quota_are_refused_until_it_is_raised() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(QUOTAS, &quota(&json!({"pods": "1", "count/deployments.apps": 1}))).await);
    cluster.ok(cluster.post(DEPLOYMENTS, &deployment("web", "blue", "backend", "1.0.0", 2, &json!([]))).await);
    let failure = || {
        let found = cluster.sandbox.get("deployments", "default", "web").unwrap_or_default();
        let conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|one| one["type"] == "ReplicaFailure")
    };
    eventually("the refusal shows", || failure().is_some()).await;
    let failure_words = failure().unwrap();
    assert_eq!(failure_words["reason"], "FailedCreate");
    let words = failure_words["message"].as_str().unwrap();
    assert!(words.contains("exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1"), "{words}");
    eventually("it is counted", || {
        let found = cluster.sandbox.get("resourcequotas", "default", "small").unwrap_or_default();
        found["status"]["used"]["pods"] == "1" && found["status"]["used"]["count/deployments.apps"] == "1"
    })
    .await;
    let second = deployment("more", "blue", "backend", "1.0.0", 0, &json!([]));
    let (code, body) = cluster.post(DEPLOYMENTS, &second).await;
    assert_eq!((code, body["reason"].as_str()), (StatusCode::FORBIDDEN, Some("Forbidden")), "{body}");
    cluster.ok(cluster.patch(&format!("{QUOTAS}/small"), MERGE, &json!({"spec": {"hard": {"pods": "2"}}})).await);
    cluster.ready("web", 2).await;
    eventually("the refusal is over", || failure().is_none()).await;
}

#[tokio::test]
async fn evictions_stop_at_the_budget() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(DEPLOYMENTS, &deployment("web", "blue", "backend", "1.0.0", 2, &json!([]))).await);
    cluster.ready("web", 2).await;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
        "spec": {"minAvailable": "100%", "selector": {"matchLabels": {"app": "web"}}},
    });
    cluster.ok(cluster.post(BUDGETS, &budget).await);
    let status = || cluster.sandbox.get("poddisruptionbudgets", "default", "web").unwrap_or_default()["status"].clone();
    eventually("none may go", || {
        let status = status();
        status["disruptionsAllowed"] == 0 && status["expectedPods"] == 2 && status["observedGeneration"] == 1
    })
    .await;
    let evict = async |pod: &Value| {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
        cluster.post(&format!("{PODS}/{name}/eviction"), &eviction).await
    };
    let pods = cluster.pods("web");
    let (code, body) = evict(&pods[0]).await;
    assert_eq!(code, StatusCode::TOO_MANY_REQUESTS, "{body}");
    assert_eq!(
        body["details"]["causes"][0]["message"],
        "The disruption budget web needs 2 healthy pods and has 2 currently"
    );
    cluster.ok(cluster.patch(&format!("{BUDGETS}/web"), MERGE, &json!({"spec": {"minAvailable": 1}})).await);
    eventually("one may go", || status()["disruptionsAllowed"] == 1).await;
    cluster.ok(evict(&pods[0]).await);
    // It is counted until it has ended.
    eventually("the evicted pod is gone", || {
        !cluster.pods("web").iter().any(|pod| pod["metadata"]["uid"] == pods[0]["metadata"]["uid"])
    })
    .await;
    cluster.ready("web", 2).await;
}
