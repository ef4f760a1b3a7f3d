//! Creating, replacing and deleting: what is filled in, what is refused, what goes with what.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{CONFIG_MAPS, Cluster, DEPLOYMENTS, PODS, SERVICES, config_map, deployment, eventually, service};

#[tokio::test]
async fn a_deployment_gets_the_servers_defaults() {
    let cluster = Cluster::start().await;
    let made =
        cluster.ok(cluster.post(DEPLOYMENTS, &deployment("web", "blue", "backend", "1.0.0", 0, &json!([]))).await);
    let spec = &made["spec"];
    assert_eq!((&spec["revisionHistoryLimit"], &spec["progressDeadlineSeconds"]), (&json!(10), &json!(600)));
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    let pod = &spec["template"]["spec"];
    assert_eq!((&pod["dnsPolicy"], &pod["restartPolicy"]), (&json!("ClusterFirst"), &json!("Always")));
    let probe = &pod["containers"][0]["readinessProbe"];
    assert_eq!((&probe["timeoutSeconds"], &probe["failureThreshold"]), (&json!(1), &json!(3)));
    assert_eq!(probe["httpGet"]["scheme"], "HTTP");
    assert_eq!(made["metadata"]["generation"], 1);
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_the_servers_words() {
    let cluster = Cluster::start().await;
    let web = || deployment("web", "blue", "backend", "1.0.0", 1, &json!([]));
    let with = |pointer: &str, value: Value| {
        let mut changed = web();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    let cases = [
        (
            with("/metadata/name", json!("Web")),
            StatusCode::UNPROCESSABLE_ENTITY,
            "metadata.name: Invalid value: \"Web\"",
        ),
        (
            with("/spec/template/metadata/labels", json!({"app": "x"})),
            StatusCode::UNPROCESSABLE_ENTITY,
            "`selector` does not match template `labels`",
        ),
        (
            with("/spec/template/spec/containers", json!([])),
            StatusCode::UNPROCESSABLE_ENTITY,
            "spec.template.spec.containers: Required value",
        ),
        (
            with("/spec/template/spec/containers/0/image", json!("")),
            StatusCode::UNPROCESSABLE_ENTITY,
            "spec.template.spec.containers[0].image: Required value",
        ),
        (with("/spec/replicas", json!(-1)), StatusCode::UNPROCESSABLE_ENTITY, "must be greater than or equal to 0"),
        (
            with("/spec/replicas", json!("two")),
            StatusCode::BAD_REQUEST,
            "Deployment in version \"v1\" cannot be handled as a Deployment",
        ),
        (with("/kind", json!("Pod")), StatusCode::BAD_REQUEST, "must be of type Deployment"),
    ];
    for (object, status, words) in cases {
        let (got, answer) = cluster.post(DEPLOYMENTS, &object).await;
        let message = answer["message"].as_str().unwrap();
        assert_eq!(got, status, "{message}");
        assert!(message.contains(words), "{message}");
        assert_eq!((&answer["kind"], &answer["code"]), (&json!("Status"), &json!(status.as_u16())));
    }
    let mut unknown = web();
    unknown["spec"]["replica"] = json!(1);
    let (status, answer) = cluster.post(&format!("{DEPLOYMENTS}?fieldValidation=Strict"), &unknown).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["message"].as_str().unwrap().ends_with("strict decoding error: unknown field \"spec.replica\""));
    let made = cluster.ok(cluster.post(DEPLOYMENTS, &unknown).await);
    assert!(made["spec"].get("replica").is_none(), "without Strict it is dropped");
}

#[tokio::test]
async fn names_versions_and_namespaces_are_checked() {
    let cluster = Cluster::start().await;
    let made = cluster.ok(cluster.post(CONFIG_MAPS, &config_map("a", &json!({}))).await);
    let (status, twice) = cluster.post(CONFIG_MAPS, &config_map("a", &json!({}))).await;
    assert_eq!((status, &twice["reason"]), (StatusCode::CONFLICT, &json!("AlreadyExists")));
    let (status, nowhere) = cluster.post("/api/v1/namespaces/nowhere/configmaps", &config_map("a", &json!({}))).await;
    assert_eq!((status, &nowhere["message"]), (StatusCode::NOT_FOUND, &json!("namespaces \"nowhere\" not found")));
    let path = format!("{CONFIG_MAPS}/a");
    let replace = |object: Value| {
        cluster.call(
            Method::PUT,
            "/api/v1/namespaces/default/configmaps/a",
            "application/json",
            Box::leak(object.to_string().into_boxed_str()),
        )
    };
    let mut stale = made.clone();
    stale["data"] = json!({"x": "1"});
    cluster.ok(replace(stale.clone()).await);
    let (status, conflict) = replace(stale.clone()).await;
    assert_eq!((status, &conflict["reason"]), (StatusCode::CONFLICT, &json!("Conflict")));
    stale["metadata"]["resourceVersion"] = json!("");
    stale["metadata"]["uid"] = json!("another");
    assert_eq!(replace(stale).await.0, StatusCode::CONFLICT);
    let (status, gone) = cluster.get("/api/v1/namespaces/default/configmaps/b").await;
    assert_eq!((status, &gone["message"]), (StatusCode::NOT_FOUND, &json!("configmaps \"b\" not found")));
    let preconditions = json!({"preconditions": {"uid": "another"}}).to_string();
    assert_eq!(cluster.call(Method::DELETE, &path, "application/json", &preconditions).await.0, StatusCode::CONFLICT);
    assert_eq!(cluster.ok(cluster.delete(&path).await)["status"], "Success");
}

#[tokio::test]
async fn finalizers_hold_a_deletion_up() {
    let cluster = Cluster::start().await;
    let mut held = config_map("a", &json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.ok(cluster.post(CONFIG_MAPS, &held).await);
    let path = format!("{CONFIG_MAPS}/a");
    let pending = cluster.ok(cluster.delete(&path).await);
    assert!(pending["metadata"]["deletionTimestamp"].is_string());
    let patch = json!({"metadata": {"finalizers": null}});
    cluster.ok(cluster.patch(&path, crate::support::MERGE, &patch).await);
    assert_eq!(cluster.get(&path).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn dependents_go_with_their_owner_or_are_let_go() {
    let cluster = Cluster::start().await;
    for (propagation, pods_stay) in [("Background", false), ("Foreground", false), ("Orphan", true)] {
        cluster.ok(cluster.post(DEPLOYMENTS, &deployment("web", "blue", "backend", "1.0.0", 1, &json!([]))).await);
        cluster.ready("web", 1).await;
        let options = json!({"propagationPolicy": propagation}).to_string();
        cluster.ok(cluster.call(Method::DELETE, &format!("{DEPLOYMENTS}/web"), "application/json", &options).await);
        eventually("the Deployment is gone", || cluster.sandbox.get("deployments", "default", "web").is_none()).await;
        if pods_stay {
            let sets = cluster.sandbox.list("replicasets", Some("default"));
            assert_eq!((sets.len(), cluster.pods("web").len()), (1, 1), "{propagation}");
            assert_eq!(sets[0]["metadata"].get("ownerReferences"), None);
        } else {
            eventually("its pods are gone", || cluster.pods("web").is_empty()).await;
            assert!(cluster.sandbox.list("replicasets", Some("default")).is_empty(), "{propagation}");
        }
    }
}

#[tokio::test]
async fn a_deleted_namespace_is_emptied() {
    let cluster = Cluster::start().await;
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}});
    cluster.ok(cluster.post("/api/v1/namespaces", &space).await);
    eventually("it has its account", || cluster.sandbox.get("serviceaccounts", "x", "default").is_some()).await;
    cluster.ok(cluster
        .post("/apis/apps/v1/namespaces/x/deployments", &deployment("web", "blue", "backend", "1.0.0", 1, &json!([])))
        .await);
    eventually("its pod runs", || {
        cluster.sandbox.list("pods", Some("x")).iter().any(|pod| pod["status"]["phase"] == "Running")
    })
    .await;
    cluster.ok(cluster.delete("/api/v1/namespaces/x").await);
    let (status, refused) = cluster.post("/api/v1/namespaces/x/configmaps", &config_map("a", &json!({}))).await;
    assert_eq!((status, &refused["reason"]), (StatusCode::FORBIDDEN, &json!("Forbidden")));
    eventually("it is gone", || cluster.sandbox.get("namespaces", "", "x").is_none()).await;
    assert!(cluster.sandbox.list("pods", Some("x")).is_empty());
}

#[tokio::test]
async fn services_get_addresses_and_node_ports() {
    let cluster = Cluster::start().await;
    let mut asked = service("asked", "x", "blue");
    asked["spec"]["clusterIP"] = json!("127.96.255.77");
    assert_eq!(cluster.ok(cluster.post(SERVICES, &asked).await)["spec"]["clusterIP"], "127.96.255.77");
    asked["metadata"]["name"] = json!("taken");
    assert_eq!(cluster.post(SERVICES, &asked).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let mut outside = service("outside", "x", "blue");
    outside["spec"]["clusterIP"] = json!("10.0.0.1");
    assert_eq!(cluster.post(SERVICES, &outside).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let mut headless = service("headless", "x", "blue");
    headless["spec"]["clusterIP"] = json!("None");
    assert_eq!(cluster.ok(cluster.post(SERVICES, &headless).await)["spec"]["clusterIP"], "None");
    let mut node = service("node", "x", "blue");
    node["spec"]["type"] = json!("NodePort");
    let made = cluster.ok(cluster.post(SERVICES, &node).await);
    assert!((30_000..=32_767).contains(&made["spec"]["ports"][0]["nodePort"].as_u64().unwrap()));
    let managed = made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"].clone();
    assert!(managed.get("f:clusterIP").is_none(), "{managed}");
}

#[tokio::test]
async fn pods_are_evicted_and_scaled_by_subresources() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(DEPLOYMENTS, &deployment("web", "blue", "backend", "1.0.0", 1, &json!([]))).await);
    cluster.ready("web", 1).await;
    let (_, scale) = cluster.get(&format!("{DEPLOYMENTS}/web/scale")).await;
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(1)));
    cluster.ok(cluster
        .patch(&format!("{DEPLOYMENTS}/web/scale"), crate::support::MERGE, &json!({"spec": {"replicas": 2}}))
        .await);
    cluster.ready("web", 2).await;
    let name = cluster.pods("web")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
    cluster.ok(cluster.post(&format!("{PODS}/{name}/eviction"), &eviction).await);
    eventually("it is gone", || cluster.sandbox.get("pods", "default", &name).is_none()).await;
    cluster.ready("web", 2).await;
}

#[tokio::test]
async fn events_have_two_names() {
    use kube::runtime::events::{Event, EventType, Recorder, Reporter};

    let cluster = Cluster::start().await;
    let made = cluster.ok(cluster.post(CONFIG_MAPS, &config_map("a", &json!({}))).await);
    let about = k8s_openapi::api::core::v1::ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("ConfigMap".to_owned()),
        name: Some("a".to_owned()),
        namespace: Some("default".to_owned()),
        uid: made["metadata"]["uid"].as_str().map(str::to_owned),
        ..Default::default()
    };
    let recorder = Recorder::new(cluster.client.clone(), Reporter::from("turquoise"));
    for _ in 0..2 {
        let event = Event {
            type_: EventType::Normal,
            reason: "Flipped".to_owned(),
            note: Some("blue to green".to_owned()),
            action: "Flip".to_owned(),
            secondary: None,
        };
        recorder.publish(&event, &about).await.unwrap();
    }
    let (_, newer) = cluster.get("/apis/events.k8s.io/v1/namespaces/default/events").await;
    let newer = &newer["items"][0];
    assert_eq!((&newer["note"], &newer["regarding"]["name"]), (&json!("blue to green"), &json!("a")));
    let (_, core) = cluster.get("/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Da").await;
    assert_eq!(core["items"].as_array().unwrap().len(), 1, "the second time counts the first one up");
    let core = &core["items"][0];
    assert_eq!((&core["message"], &core["reportingComponent"]), (&json!("blue to green"), &json!("turquoise")));
    assert_eq!(core["series"]["count"], 2);
}
