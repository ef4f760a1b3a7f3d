//! `kubectl` as people use it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Cluster, deployment, eventually, service};

fn manifests(tag: &str) -> String {
    let web = deployment("web", "blue", "backend", tag, 2, &json!([]));
    format!("{web}\n---\n{}\n", service("web", "web", "blue"))
}

#[tokio::test]
async fn apply_get_patch_scale_and_delete() {
    let cluster = Cluster::start().await;
    assert_eq!(cluster.kubectl_ok("apply -f -", &manifests("1.0.0")).await, "deployment.apps/web created\nservice/web created\n");
    assert_eq!(cluster.kubectl_ok("apply -f -", &manifests("1.0.0")).await, "deployment.apps/web unchanged\nservice/web unchanged\n");
    assert_eq!(cluster.kubectl_ok("apply -f -", &manifests("1.1.0")).await, "deployment.apps/web configured\nservice/web unchanged\n");
    let told = cluster.kubectl_ok("rollout status deployment/web --timeout=15s", "").await;
    assert!(told.contains("successfully rolled out"), "{told}");
    let table = cluster.kubectl_ok("get deploy,rs,svc,endpointslices,events", "").await;
    for words in ["READY   UP-TO-DATE   AVAILABLE", "DESIRED   CURRENT   READY", "CLUSTER-IP", "ADDRESSTYPE", "ScalingReplicaSet"] {
        assert!(table.contains(words), "no {words} in\n{table}");
    }
    cluster.ready("web", 2).await;
    eventually("old pods are gone", || cluster.pods("web").len() == 2).await;
    let pods = cluster.kubectl_ok("get pods -o wide --no-headers", "").await;
    assert!(pods.lines().all(|line| line.contains("1/1") && line.contains("Running") && line.contains("127.97.")), "{pods}");
    let yaml = cluster.kubectl_ok("get deploy web -o yaml", "").await;
    assert!(yaml.contains("kind: Deployment") && yaml.contains("image: shop:1.1.0"));
    cluster.kubectl_ok("scale deployment/web --replicas=3", "").await;
    cluster.ready("web", 3).await;
    let mut command = "patch svc web --type=json -p=".to_owned();
    command.push_str(r#"[{"op":"replace","path":"/spec/selector/colour","value":"green"}]"#);
    cluster.kubectl_ok(&command, "").await;
    assert_eq!(cluster.sandbox.get("services", "default", "web").unwrap()["spec"]["selector"]["colour"], "green");
    cluster.kubectl_ok("delete -f - --wait", &manifests("1.1.0")).await;
    eventually("all is gone", || cluster.pods("web").is_empty()).await;
}

#[tokio::test]
async fn server_side_apply_and_its_conflicts() {
    let cluster = Cluster::start().await;
    cluster.kubectl_ok("apply --server-side --field-manager=one -f -", &manifests("1.0.0")).await;
    let refused = cluster.kubectl("apply --server-side --field-manager=two -f -", &manifests("1.1.0")).await;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("conflict with \"one\": .spec.template.spec.containers[name=\"shop\"].image"), "{words}");
    cluster.kubectl_ok("apply --server-side --force-conflicts --field-manager=two -f -", &manifests("1.1.0")).await;
    // From client-side to server-side: kubectl migrates its own fields.
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n";
    cluster.kubectl_ok("apply -f -", map).await;
    cluster.kubectl_ok("apply --server-side -f -", &map.replace("'1'", "'2'")).await;
    assert_eq!(cluster.sandbox.get("configmaps", "default", "a").unwrap()["data"]["x"], "2");
}

#[tokio::test]
async fn rollouts_restart_undo_and_history() {
    let cluster = Cluster::start().await;
    cluster.kubectl_ok("apply -f -", &manifests("1.0.0")).await;
    cluster.ready("web", 2).await;
    cluster.kubectl_ok("set image deployment/web shop=shop:9.9.9", "").await;
    cluster.kubectl_ok("rollout undo deployment/web", "").await;
    cluster.kubectl_ok("rollout status deployment/web --timeout=15s", "").await;
    cluster.kubectl_ok("rollout restart deployment/web", "").await;
    cluster.kubectl_ok("rollout status deployment/web --timeout=15s", "").await;
    let history = cluster.kubectl_ok("rollout history deployment/web", "").await;
    assert!(history.contains("4 "), "{history}");
    cluster.kubectl_ok("wait --for=condition=Available deployment/web --timeout=10s", "").await;
}

#[tokio::test]
async fn watching_describing_and_logs() {
    let cluster = Cluster::start().await;
    let watch = cluster.kubectl("get deploy -w --request-timeout=3s", "");
    let work = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        cluster.kubectl_ok("apply -f -", &manifests("1.0.0")).await;
        cluster.ready("web", 2).await;
        let told = cluster.kubectl_ok("describe deployment web", "").await;
        assert!(told.contains("2 desired | 2 updated | 2 total | 2 available | 0 unavailable"), "{told}");
        assert!(cluster.kubectl_ok("describe pods", "").await.contains("Started container shop"));
        let log = cluster.kubectl_ok("logs deployment/web", "").await;
        assert!(log.contains("backend 1.0.0 starts"), "{log}");
    };
    let (watched, ()) = tokio::join!(watch, work);
    let watched = String::from_utf8_lossy(&watched.stdout).into_owned();
    assert!(watched.contains("2/2"), "{watched}");
}

#[tokio::test]
async fn imperative_commands() {
    let cluster = Cluster::start().await;
    cluster.kubectl_ok("create namespace x", "").await;
    cluster.kubectl_ok("-n x create deployment web --image=shop:1.0.0 --port=8080 --replicas=2", "").await;
    cluster.kubectl_ok("-n x create configmap a --from-literal=x=1", "").await;
    cluster.kubectl_ok("-n x create secret generic s --from-literal=x=1", "").await;
    cluster.kubectl_ok("-n x expose deployment web", "").await;
    cluster.kubectl_ok("-n x label deployment web team=a", "").await;
    cluster.kubectl_ok("-n x annotate deployment web note=b", "").await;
    cluster.kubectl_ok("-n x rollout status deployment/web --timeout=15s", "").await;
    assert_eq!(cluster.sandbox.get("secrets", "x", "s").unwrap()["data"]["x"], "MQ==");
    assert_eq!(cluster.sandbox.get("configmaps", "x", "a").unwrap()["data"]["x"], "1");
    assert_eq!(cluster.kubectl_ok("auth can-i create pods", "").await, "yes\n");
    let all = cluster.kubectl_ok("-n x get all", "").await;
    assert!(all.contains("service/web") && all.contains("replicaset.apps/web-"), "{all}");
    cluster.kubectl_ok("delete namespace x --wait --timeout=15s", "").await;
    assert!(cluster.sandbox.get("namespaces", "", "x").is_none());
}

#[tokio::test]
async fn mistakes_are_told() {
    let cluster = Cluster::start().await;
    let wrong = "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {selektor: {a: b}, ports: [{port: 80}]}\n";
    let refused = cluster.kubectl("apply -f -", wrong).await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("unknown field \"spec.selektor\""));
    let missing = cluster.kubectl("get deploy nothing", "").await;
    assert_eq!(
        String::from_utf8_lossy(&missing.stderr),
        "Error from server (NotFound): deployments.apps \"nothing\" not found\n"
    );
    let explained = cluster.kubectl("explain deployment.spec.replicas", "").await;
    assert!(!String::from_utf8_lossy(&explained.stderr).contains("panic"));
}

#[tokio::test]
async fn a_replaced_service_can_be_applied_again() {
    let cluster = Cluster::start().await;
    let made = service("web", "web", "blue").to_string();
    cluster.kubectl_ok("apply -f -", &made).await;
    let mut live: Value = serde_json::from_str(&cluster.kubectl_ok("get svc web -o json", "").await).unwrap();
    live["spec"]["ports"][0]["port"] = json!(9090);
    cluster.kubectl_ok("replace -f -", &live.to_string()).await;
    cluster.kubectl_ok("apply -f -", &made).await;
    assert_eq!(cluster.sandbox.get("services", "default", "web").unwrap()["spec"]["ports"][0]["port"], 8080);
}
