//! StatefulSets, DaemonSets, Jobs, autoscalers, and probes that run commands.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use turquoise_sandbox::Options;

use crate::support::{Cluster, DEPLOYMENTS, MERGE, PODS, deployment, eventually};

const STATEFUL_SETS: &str = "/apis/apps/v1/namespaces/default/statefulsets";
const DAEMON_SETS: &str = "/apis/apps/v1/namespaces/default/daemonsets";
const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const AUTOSCALERS: &str = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";

/// The Deployment of this name as another kind.
fn as_kind(kind: &str, name: &str, tag: &str, replicas: u32) -> Value {
    let mut object = deployment(name, "blue", "backend", tag, replicas, &json!([]));
    object["kind"] = json!(kind);
    object["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(0);
    if kind == "DaemonSet" {
        object["spec"].as_object_mut().unwrap().remove("replicas");
    } else if kind == "StatefulSet" {
        object["spec"]["serviceName"] = json!(name);
    }
    object
}

fn job(name: &str, env: &Value) -> Value {
    let container = json!({"name": "migrate", "image": "shop:1.0.0", "args": ["migrate"], "env": env});
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [container]}});
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template}})
}

fn images(tag: &str) -> Value {
    json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": format!("shop:{tag}")}])
}

impl Cluster {
    fn status(&self, resource: &str, name: &str) -> Value {
        self.sandbox.get(resource, "default", name).map(|found| found["status"].clone()).unwrap_or_default()
    }

    fn holds(&self, resource: &str, name: &str, condition: &str) -> bool {
        let status = self.status(resource, name);
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| one["type"] == condition && one["status"] == "True")
    }

    async fn set_is_done(&self, name: &str, replicas: u32) {
        eventually(&format!("{name} has {replicas} pods of its template"), || {
            let found = self.sandbox.get("statefulsets", "default", name).unwrap_or_default();
            let status = &found["status"];
            let count = |field: &str| status[field].as_u64().unwrap_or(0) == u64::from(replicas);
            status["observedGeneration"] == found["metadata"]["generation"]
                && count("replicas")
                && count("readyReplicas")
                && count("updatedReplicas")
                && status["currentRevision"] == status["updateRevision"]
        })
        .await;
    }
}

fn names(pods: &[Value]) -> Vec<&str> {
    pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect()
}

#[tokio::test]
async fn a_stateful_set_starts_and_ends_its_pods_in_order() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(STATEFUL_SETS, &as_kind("StatefulSet", "db", "1.0.0-slow-start", 2)).await);
    eventually("the first pod is there", || !cluster.pods("db").is_empty()).await;
    assert_eq!(names(&cluster.pods("db")), ["db-0"], "the second waits for the first");
    cluster.set_is_done("db", 2).await;
    let pods = cluster.pods("db");
    assert_eq!(names(&pods), ["db-0", "db-1"]);
    assert_eq!(pods[0]["spec"]["hostname"], "db-0");
    assert_eq!(pods[0]["metadata"]["labels"]["apps.kubernetes.io/pod-index"], "0");
    cluster.ok(cluster.patch(&format!("{STATEFUL_SETS}/db/scale"), MERGE, &json!({"spec": {"replicas": 0}})).await);
    let mut seen = vec![2];
    eventually("all are gone", || {
        let pods = cluster.pods("db");
        assert!(pods.is_empty() || names(&pods)[0] == "db-0", "the first one stays longest");
        seen.push(pods.len());
        pods.is_empty()
    })
    .await;
    cluster.set_is_done("db", 0).await;
}

#[tokio::test]
async fn a_stateful_set_is_updated_from_the_last_pod_down_to_its_partition() {
    let cluster = Cluster::start().await;
    let mut set = as_kind("StatefulSet", "db", "1.0.0", 3);
    set["spec"]["updateStrategy"] = json!({"rollingUpdate": {"partition": 2}});
    cluster.ok(cluster.post(STATEFUL_SETS, &set).await);
    cluster.set_is_done("db", 3).await;
    let path = format!("{STATEFUL_SETS}/db");
    let image_of = |pod: &Value| pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned();
    let images_now = || cluster.pods("db").iter().map(image_of).collect::<Vec<_>>();
    cluster.ok(cluster.patch(&path, crate::support::JSON_PATCH, &images("1.1.0")).await);
    eventually("the last one is new", || {
        images_now() == ["shop:1.0.0", "shop:1.0.0", "shop:1.1.0"]
            && cluster.status("statefulsets", "db")["readyReplicas"] == 3
    })
    .await;
    let status = cluster.status("statefulsets", "db");
    assert_ne!(status["currentRevision"], status["updateRevision"]);
    assert_eq!((&status["currentReplicas"], &status["updatedReplicas"]), (&json!(2), &json!(1)));
    // One below the partition comes back as it was.
    cluster.ok(cluster.delete(&format!("{PODS}/db-0")).await);
    eventually("it is back", || {
        images_now() == ["shop:1.0.0", "shop:1.0.0", "shop:1.1.0"]
            && cluster.status("statefulsets", "db")["readyReplicas"] == 3
    })
    .await;
    cluster.ok(cluster
        .patch(&path, MERGE, &json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}))
        .await);
    cluster.set_is_done("db", 3).await;
    assert_eq!(images_now(), ["shop:1.1.0", "shop:1.1.0", "shop:1.1.0"]);
}

#[tokio::test]
async fn a_stateful_set_on_delete_waits_for_a_hand_and_keeps_its_volumes() {
    let cluster = Cluster::start().await;
    let mut set = as_kind("StatefulSet", "db", "1.0.0", 1);
    set["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
    set["spec"]["volumeClaimTemplates"] =
        json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]);
    cluster.ok(cluster.post(STATEFUL_SETS, &set).await);
    cluster.set_is_done("db", 1).await;
    cluster.ok(cluster.patch(&format!("{STATEFUL_SETS}/db"), crate::support::JSON_PATCH, &images("1.1.0")).await);
    eventually("it was seen", || {
        let status = cluster.status("statefulsets", "db");
        status["observedGeneration"] == 2 && status["updatedReplicas"].is_null()
    })
    .await;
    cluster.ok(cluster.delete(&format!("{PODS}/db-0")).await);
    cluster.set_is_done("db", 1).await;
    assert_eq!(cluster.pods("db")[0]["spec"]["containers"][0]["image"], "shop:1.1.0");
    cluster.ok(cluster.delete(&format!("{STATEFUL_SETS}/db")).await);
    eventually("the pod is gone", || cluster.pods("db").is_empty()).await;
    assert!(cluster.sandbox.get("persistentvolumeclaims", "default", "data-db-0").is_some(), "the claim stays");
}

#[tokio::test]
async fn a_daemon_set_follows_its_node_selector_and_its_template() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(DAEMON_SETS, &as_kind("DaemonSet", "agent", "1.0.0", 0)).await);
    let is_up = || {
        let status = cluster.status("daemonsets", "agent");
        let found = cluster.sandbox.get("daemonsets", "default", "agent").unwrap_or_default();
        status["observedGeneration"] == found["metadata"]["generation"]
            && status["desiredNumberScheduled"] == 1
            && status["numberReady"] == 1
            && status["updatedNumberScheduled"] == 1
            && status["numberAvailable"] == 1
    };
    eventually("it runs on the node", is_up).await;
    let path = format!("{DAEMON_SETS}/agent");
    cluster.ok(cluster.patch(&path, crate::support::JSON_PATCH, &images("1.1.0")).await);
    eventually("it is replaced", || {
        is_up() && cluster.pods("agent").iter().all(|pod| pod["spec"]["containers"][0]["image"] == "shop:1.1.0")
    })
    .await;
    let selector = |value: Value| json!({"spec": {"template": {"spec": {"nodeSelector": {"nowhere": value}}}}});
    cluster.ok(cluster.patch(&path, MERGE, &selector(json!("x"))).await);
    eventually("it runs nowhere", || {
        let status = cluster.status("daemonsets", "agent");
        cluster.pods("agent").is_empty() && status["desiredNumberScheduled"] == 0 && status["numberReady"] == 0
    })
    .await;
    cluster.ok(cluster.patch(&path, MERGE, &selector(Value::Null)).await);
    eventually("it runs again", is_up).await;
}

#[tokio::test]
async fn a_pod_that_no_node_fits_stays_pending_and_says_so() {
    let cluster = Cluster::start().await;
    let mut web = deployment("web", "blue", "backend", "1.0.0", 1, &json!([]));
    web["spec"]["template"]["spec"]["nodeSelector"] = json!({"disk": "fast"});
    cluster.ok(cluster.post(DEPLOYMENTS, &web).await);
    eventually("it is unschedulable", || {
        let pods = cluster.pods("web");
        pods.iter().any(|pod| {
            pod["status"]["phase"] == "Pending" && pod["status"]["conditions"][0]["reason"] == "Unschedulable"
        })
    })
    .await;
}

#[tokio::test]
async fn a_job_runs_to_its_end_and_its_template_cannot_change() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(JOBS, &job("migrate", &json!([]))).await);
    eventually("it is complete", || cluster.holds("jobs", "migrate", "Complete")).await;
    let status = cluster.status("jobs", "migrate");
    assert_eq!(status["succeeded"], 1);
    assert!(status["completionTime"].is_string() && status["active"].is_null(), "{status}");
    let pods = cluster.sandbox.list("pods", Some("default"));
    assert_eq!(pods[0]["status"]["phase"], "Succeeded");
    assert_eq!(pods[0]["metadata"]["labels"]["batch.kubernetes.io/job-name"], "migrate");
    let (code, body) = cluster.patch(&format!("{JOBS}/migrate"), crate::support::JSON_PATCH, &images("1.1.0")).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body["message"].as_str().unwrap().contains("field is immutable"), "{body}");
    let table = cluster.kubectl_ok("get jobs --no-headers", "").await;
    assert!(table.starts_with("migrate   Complete   1/1"), "{table}");
    cluster.ok(cluster.delete(&format!("{JOBS}/migrate?propagationPolicy=Background")).await);
    eventually("its pods go with it", || cluster.sandbox.list("pods", Some("default")).is_empty()).await;
}

#[tokio::test]
async fn a_job_fails_at_its_limit_with_the_pods_words() {
    let cluster = Cluster::with(Options { back_off: Duration::from_millis(10), ..Options::default() }).await;
    let mut failing = job("migrate", &json!([{"name": "MIGRATION_FAILS", "value": "no such table"}]));
    failing["spec"]["backoffLimit"] = json!(1);
    // Else a kubelet tells no more than the exit code.
    failing["spec"]["template"]["spec"]["containers"][0]["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    cluster.ok(cluster.post(JOBS, &failing).await);
    eventually("it has failed", || cluster.holds("jobs", "migrate", "Failed")).await;
    let status = cluster.status("jobs", "migrate");
    assert_eq!(status["failed"], 2);
    let failed = status["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Failed").unwrap();
    assert_eq!(failed["reason"], "BackoffLimitExceeded");
    let pods = cluster.sandbox.list("pods", Some("default"));
    let words = &pods[0]["status"]["containerStatuses"][0]["state"]["terminated"]["message"];
    assert!(words.as_str().unwrap().contains("no such table"), "{words}");
}

#[tokio::test]
async fn a_suspended_job_waits_and_one_with_a_time_to_live_goes() {
    let cluster = Cluster::start().await;
    let mut waiting = job("migrate", &json!([]));
    waiting["spec"]["suspend"] = json!(true);
    waiting["spec"]["ttlSecondsAfterFinished"] = json!(0);
    cluster.ok(cluster.post(JOBS, &waiting).await);
    eventually("it is suspended", || cluster.holds("jobs", "migrate", "Suspended")).await;
    assert!(cluster.sandbox.list("pods", Some("default")).is_empty());
    cluster.ok(cluster.patch(&format!("{JOBS}/migrate"), MERGE, &json!({"spec": {"suspend": false}})).await);
    eventually("it is done and gone", || {
        cluster.sandbox.get("jobs", "default", "migrate").is_none()
            && cluster.sandbox.list("pods", Some("default")).is_empty()
    })
    .await;
}

#[tokio::test]
async fn an_autoscaler_keeps_its_target_within_bounds() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(DEPLOYMENTS, &deployment("web", "blue", "backend", "1.0.0", 1, &json!([]))).await);
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let scaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"minReplicas": 2, "maxReplicas": 4, "scaleTargetRef": target},
    });
    cluster.ok(cluster.post(AUTOSCALERS, &scaler).await);
    cluster.ready("web", 2).await;
    let path = format!("{AUTOSCALERS}/web");
    let wants = |count: &str| json!({"metadata": {"annotations": {"sandbox.turquoise.dev/wanted-replicas": count}}});
    cluster.ok(cluster.patch(&path, MERGE, &wants("9")).await);
    cluster.ready("web", 4).await;
    eventually("it counts", || {
        let status = cluster.status("horizontalpodautoscalers", "web");
        status["currentReplicas"] == 4 && status["desiredReplicas"] == 4
    })
    .await;
    let live = cluster.sandbox.get("deployments", "default", "web").unwrap();
    let managers = live["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().any(|one| one["subresource"] == "scale"), "it scales as an autoscaler does");
    // At zero it does nothing.
    cluster.ok(cluster.patch(&format!("{DEPLOYMENTS}/web/scale"), MERGE, &json!({"spec": {"replicas": 0}})).await);
    cluster.ready("web", 0).await;
    let (code, _) = cluster.patch(&path, MERGE, &json!({"spec": {"maxReplicas": 1}})).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "less than the minimum");
    cluster.ok(cluster.patch(&path, MERGE, &json!({"spec": {"maxReplicas": 3}})).await);
    eventually("it is off", || {
        let status = cluster.status("horizontalpodautoscalers", "web");
        status["desiredReplicas"] == 0 && status["currentReplicas"] == 0
    })
    .await;
    cluster.ready("web", 0).await;
}

#[tokio::test]
async fn probes_that_run_commands_ask_what_they_name() {
    let cluster = Cluster::start().await;
    for (name, probe, ready) in [
        ("yes", json!({"exec": {"command": ["cat", "/tmp/healthy"]}}), true),
        ("no", json!({"exec": {"command": ["/bin/false"]}}), false),
        ("asks", json!({"exec": {"command": ["sh", "-c", "wget -qO- http://localhost:8080/readyz"]}}), true),
        ("lost", json!({"exec": {"command": ["wget", "http://localhost:8080/nothing"]}}), false),
        ("grpc", json!({"grpc": {"port": 8080}}), true),
        ("deaf", json!({"grpc": {"port": 9}}), false),
    ] {
        let mut web = deployment(name, "blue", "backend", "1.0.0", 1, &json!([]));
        web["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = probe;
        cluster.ok(cluster.post(DEPLOYMENTS, &web).await);
        if ready {
            cluster.ready(name, 1).await;
        } else {
            eventually(&format!("{name} was asked"), || {
                let events = cluster.sandbox.list("events", Some("default"));
                events.iter().any(|event| {
                    event["reason"] == "Unhealthy"
                        && event["involvedObject"]["name"].as_str().is_some_and(|pod| pod.starts_with(name))
                })
            })
            .await;
            assert!(cluster.status("deployments", name)["readyReplicas"].is_null(), "{name}");
        }
    }
}
