//! Pods: what a kubelet writes when things go wrong.

use std::time::Duration;

use serde_json::{Value, json};
use turquoise_sandbox::{Behaviour, Fault, Options};

use crate::support::{CONFIG_MAPS, Cluster, DEPLOYMENTS, ask, config_map, deployment, eventually, service};

fn fast() -> Options {
    Options { back_off: Duration::from_millis(200), ..Options::default() }
}

fn container(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

async fn waits_for(cluster: &Cluster, reason: &str) -> Value {
    eventually(&format!("a pod waits: {reason}"), || {
        cluster.pods("web").first().is_some_and(|pod| container(pod)["state"]["waiting"]["reason"] == reason)
    })
    .await;
    cluster.pods("web").remove(0)
}

async fn start(options: Options, tag: &str) -> Cluster {
    let cluster = Cluster::with(options).await;
    cluster.ok(cluster.post(DEPLOYMENTS, &deployment("web", "blue", "backend", tag, 1, &json!([]))).await);
    cluster
}

#[tokio::test]
async fn an_unknown_image_is_not_pulled() {
    let cluster = start(fast(), "9.9.9").await;
    let pod = waits_for(&cluster, "ErrImagePull").await;
    assert!(
        container(&pod)["state"]["waiting"]["message"]
            .as_str()
            .unwrap()
            .ends_with("docker.io/library/shop:9.9.9: not found")
    );
    assert_eq!(pod["status"]["phase"], "Pending");
    waits_for(&cluster, "ImagePullBackOff").await;
    let events = cluster.sandbox.list("events", Some("default"));
    assert!(events.iter().any(|event| event["reason"] == "Failed" && event["message"] == "Error: ErrImagePull"));
}

#[tokio::test]
async fn a_crash_loop_backs_off_and_keeps_the_last_words() {
    let cluster = Cluster::with(fast()).await;
    let mut web = deployment("web", "blue", "backend", "2.0.0-crash", 1, &json!([]));
    web["spec"]["template"]["spec"]["containers"][0]["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    cluster.ok(cluster.post(DEPLOYMENTS, &web).await);
    let pod = waits_for(&cluster, "CrashLoopBackOff").await;
    let last = &container(&pod)["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(1), &json!("Error")));
    assert!(last["message"].as_str().unwrap().contains("no such table"));
    assert!(container(&pod)["restartCount"].as_u64().unwrap() >= 1);
    eventually("it goes on crashing", || container(&cluster.pods("web")[0])["restartCount"].as_u64().unwrap() >= 3)
        .await;
}

#[tokio::test]
async fn a_container_that_does_not_ask_for_its_log_has_no_last_words() {
    let cluster = start(fast(), "2.0.0-crash").await;
    let pod = waits_for(&cluster, "CrashLoopBackOff").await;
    let last = &container(&pod)["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], last["message"].as_str().unwrap_or_default()), (&json!(1), ""));
}

#[tokio::test]
async fn a_pod_that_is_ready_and_then_crashes() {
    let cluster = start(fast(), "2.0.0-crash-after-start").await;
    cluster.ready("web", 1).await;
    eventually("it was restarted", || container(&cluster.pods("web")[0])["restartCount"] == 1).await;
    cluster.ready("web", 1).await;
}

#[tokio::test]
async fn a_slow_start_takes_three_seconds() {
    let began = std::time::Instant::now();
    let cluster = start(fast(), "2.0.0-slow-start").await;
    cluster.ready("web", 1).await;
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[tokio::test]
async fn a_missing_config_map_is_waited_for() {
    let cluster = Cluster::start().await;
    let mut web = deployment("web", "blue", "backend", "1.0.0", 1, &json!([]));
    web["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "settings"}}]);
    cluster.ok(cluster.post(DEPLOYMENTS, &web).await);
    let pod = waits_for(&cluster, "CreateContainerConfigError").await;
    assert_eq!(container(&pod)["state"]["waiting"]["message"], "configmap \"settings\" not found");
    cluster.ok(cluster.post(CONFIG_MAPS, &config_map("settings", &json!({"GREETING": "Hello"}))).await);
    cluster.ready("web", 1).await;
}

#[tokio::test]
async fn a_failing_liveness_probe_restarts_the_container() {
    let cluster = Cluster::start().await;
    let mut web = deployment("web", "blue", "backend", "1.0.0", 1, &json!([]));
    web["spec"]["template"]["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"path": "/nothing", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1, "initialDelaySeconds": 1});
    cluster.ok(cluster.post(DEPLOYMENTS, &web).await);
    eventually("it was restarted", || {
        cluster
            .pods("web")
            .first()
            .is_some_and(|pod| container(pod)["restartCount"].as_u64().is_some_and(|count| count >= 1))
    })
    .await;
}

#[tokio::test]
async fn a_startup_probe_comes_before_readiness() {
    let cluster = Cluster::start().await;
    let mut web = deployment("web", "blue", "backend", "2.0.0-slow-start", 1, &json!([]));
    let container_spec = &mut web["spec"]["template"]["spec"]["containers"][0];
    container_spec["startupProbe"] = json!({"tcpSocket": {"port": "http"}, "periodSeconds": 1});
    cluster.ok(cluster.post(DEPLOYMENTS, &web).await);
    eventually("it has started and is not ready", || {
        cluster
            .pods("web")
            .first()
            .is_some_and(|pod| container(pod)["started"] == true && container(pod)["ready"] == false)
    })
    .await;
    cluster.ready("web", 1).await;
}

#[tokio::test]
async fn faults_befall_single_pods() {
    let cluster = start(fast(), "1.0.0").await;
    cluster.ready("web", 1).await;
    let name = cluster.pods("web")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.sandbox.faults().make_unready("default", &name, true);
    cluster.ready_pods("web", 0).await;
    cluster.sandbox.faults().make_unready("default", &name, false);
    cluster.ready("web", 1).await;
    cluster.sandbox.faults().kill_pod("default", &name);
    eventually("it was restarted", || container(&cluster.pods("web")[0])["restartCount"] == 1).await;
    assert_eq!(container(&cluster.pods("web")[0])["lastState"]["terminated"]["exitCode"], 137);
    cluster.ready("web", 1).await;
}

#[tokio::test]
async fn images_can_be_added_and_names_of_faults_go_with_any_version() {
    let mut options = fast();
    options.images.add_argument("example.com/team/web:5=never-ready").unwrap();
    options.images.add("plain:1", Behaviour::Healthy);
    options.images.add("odd:1", Behaviour::Broken(Fault::SmokeFails));
    assert!(options.images.add_argument("nothing").is_err());
    assert!(options.images.add_argument("a:1=on-fire").unwrap_err().to_string().contains("never-ready"));
    let cluster = Cluster::with(options).await;
    for (name, image) in [("one", "plain:1"), ("two", "registry.example.com:5000/x/shop:1.2.0"), ("three", "odd:1")] {
        let mut web = deployment(name, "blue", "backend", "x", 1, &json!([]));
        web["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        cluster.ok(cluster.post(DEPLOYMENTS, &web).await);
        cluster.ready(name, 1).await;
    }
}

#[tokio::test]
async fn what_breaks_live_breaks_after_the_first_visitor() {
    let cluster = Cluster::start().await;
    cluster.shop("green", "2.0.0-breaks-live", 1).await;
    cluster.ok(cluster.post(crate::support::SERVICES, &service("shop", "frontend-green", "green")).await);
    let address = cluster.address("shop");
    eventually("it listens", || std::net::TcpStream::connect(address).is_ok()).await;
    assert_eq!(ask(address, "/smoke").await.unwrap().0, 200);
    assert_eq!(ask(address, "/").await.unwrap().0, 200);
    assert_eq!(ask(address, "/smoke").await.unwrap().0, 500);
    assert_eq!(ask(address, "/").await.unwrap().0, 200);
}

#[tokio::test]
async fn the_broken_versions_break_as_named() {
    let cluster = Cluster::start().await;
    for (tag, root, smoke) in [("2.0.0-smoke-fails", 200, 500), ("2.0.0-wrong-backend", 500, 500), ("2.0.0", 200, 200)]
    {
        let colour = tag.replace('.', "-");
        cluster.shop(&colour, tag, 1).await;
        cluster.ok(cluster
            .post(crate::support::SERVICES, &service(&format!("s-{colour}"), &format!("frontend-{colour}"), &colour))
            .await);
        let address = cluster.address(&format!("s-{colour}"));
        eventually("it listens", || std::net::TcpStream::connect(address).is_ok()).await;
        let (status, body) = ask(address, "/").await.unwrap();
        assert_eq!((status, &body["version"]), (root, &json!(tag)));
        assert_eq!(ask(address, "/smoke").await.unwrap().0, smoke, "{tag}");
    }
}
