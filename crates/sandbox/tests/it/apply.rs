//! Server-side apply: who owns what.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::support::{CONFIG_MAPS, Cluster, DEPLOYMENTS, JSON_PATCH, MERGE, SERVICES, config_map, deployment, service};

fn path(name: &str) -> String {
    format!("{CONFIG_MAPS}/{name}")
}

/// The managers as `name operation subresource`.
fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let word = |entry: &Value, field: &str| entry[field].as_str().unwrap_or("-").to_owned();
    entries
        .iter()
        .map(|entry| format!("{} {} {}", word(entry, "manager"), word(entry, "operation"), word(entry, "subresource")))
        .collect()
}

fn fields(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries.iter().find(|entry| entry["manager"] == manager).map_or(Value::Null, |entry| entry["fieldsV1"].clone())
}

#[tokio::test]
async fn an_applier_owns_what_it_applies_and_what_it_drops_goes() {
    let cluster = Cluster::start().await;
    let (status, made) = cluster.apply(&path("a"), "one", false, &config_map("a", &json!({"x": "1", "y": "2"}))).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(managers(&made), ["one Apply -"]);
    assert_eq!(fields(&made, "one"), json!({"f:data": {"f:x": {}, "f:y": {}}}));

    let (status, same) = cluster.apply(&path("a"), "one", false, &config_map("a", &json!({"x": "1", "y": "2"}))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(same, made, "applying the same again changes nothing");

    let (_, less) = cluster.apply(&path("a"), "one", false, &config_map("a", &json!({"x": "1"}))).await;
    assert_eq!(less["data"], json!({"x": "1"}));
}

#[tokio::test]
async fn a_field_that_two_own_stays_until_both_drop_it() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.apply(&path("a"), "one", false, &config_map("a", &json!({"x": "1", "y": "1"}))).await);
    cluster.ok(cluster.apply(&path("a"), "two", false, &config_map("a", &json!({"x": "1"}))).await);
    let kept = cluster.ok(cluster.apply(&path("a"), "one", false, &config_map("a", &json!({"y": "1"}))).await);
    assert_eq!(kept["data"], json!({"x": "1", "y": "1"}));
    let gone = cluster.ok(cluster.apply(&path("a"), "two", false, &config_map("a", &json!({}))).await);
    assert_eq!(gone["data"], json!({"y": "1"}));
}

#[tokio::test]
async fn another_owners_value_conflicts_unless_forced() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.apply(&path("a"), "one", false, &config_map("a", &json!({"x": "1"}))).await);
    let (status, refused) = cluster.apply(&path("a"), "two", false, &config_map("a", &json!({"x": "2"}))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(refused["reason"], "Conflict");
    assert_eq!(refused["message"], "Apply failed with 1 conflict: conflict with \"one\": .data.x");
    assert_eq!(
        refused["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.x"}])
    );
    let forced = cluster.ok(cluster.apply(&path("a"), "two", true, &config_map("a", &json!({"x": "2"}))).await);
    assert_eq!(managers(&forced), ["two Apply -"], "who owns nothing any more is no manager");
    assert_eq!(forced["data"]["x"], "2");
}

#[tokio::test]
async fn an_update_takes_fields_over() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.apply(&path("a"), "one", false, &config_map("a", &json!({"x": "1", "y": "1"}))).await);
    let changed = cluster
        .ok(cluster.patch(&format!("{}?fieldManager=hand", path("a")), MERGE, &json!({"data": {"x": "2"}})).await);
    assert_eq!(managers(&changed), ["one Apply -", "hand Update -"]);
    assert_eq!(fields(&changed, "one"), json!({"f:data": {"f:y": {}}}));
    let (status, refused) =
        cluster.apply(&path("a"), "one", false, &config_map("a", &json!({"x": "1", "y": "1"}))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(refused["message"], "Apply failed with 1 conflict: conflict with \"hand\" using v1: .data.x");
}

#[tokio::test]
async fn a_services_selector_is_one_value() {
    let cluster = Cluster::start().await;
    let path = format!("{SERVICES}/shop");
    cluster.ok(cluster.apply(&path, "one", false, &service("shop", "shop", "blue")).await);
    let (status, refused) = cluster.apply(&path, "two", false, &service("shop", "shop", "green")).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(refused["details"]["causes"][0]["field"], ".spec.selector");
    let patched = cluster.ok(cluster
        .patch(
            &format!("{path}?fieldManager=flip"),
            JSON_PATCH,
            &json!([
                {"op": "test", "path": "/spec/selector/colour", "value": "blue"},
                {"op": "replace", "path": "/spec/selector/colour", "value": "green"},
            ]),
        )
        .await);
    assert_eq!(fields(&patched, "flip"), json!({"f:spec": {"f:selector": {}}}));
}

#[tokio::test]
async fn defaults_and_allocations_belong_to_nobody_and_lists_merge_by_key() {
    let cluster = Cluster::start().await;
    let path = format!("{DEPLOYMENTS}/web");
    let mut wanted = deployment("web", "blue", "backend", "1.0.0", 0, &json!([{"name": "A", "value": "1"}]));
    let made = cluster.ok(cluster.apply(&path, "one", false, &wanted).await);
    let containers = &fields(&made, "one")["f:spec"]["f:template"]["f:spec"]["f:containers"];
    let container = &containers[r#"k:{"name":"shop"}"#];
    assert_eq!(container["f:env"], json!({r#"k:{"name":"A"}"#: {".": {}, "f:name": {}, "f:value": {}}}));
    assert_eq!(
        container["f:ports"],
        json!({r#"k:{"containerPort":8080,"protocol":"TCP"}"#: {".": {}, "f:containerPort": {}, "f:name": {}}})
    );
    assert!(container.get("f:imagePullPolicy").is_none());
    assert_eq!(made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");

    // A second manager's container stays when the first one drops its probe and its variable.
    let side = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": "side", "image": "shop:1.0.0"}]}}},
    });
    cluster.ok(cluster.apply(&path, "two", false, &side).await);
    let container = &mut wanted["spec"]["template"]["spec"]["containers"][0];
    container.as_object_mut().unwrap().remove("env");
    container.as_object_mut().unwrap().remove("readinessProbe");
    let less = cluster.ok(cluster.apply(&path, "one", false, &wanted).await);
    let containers = less["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 2);
    let shop = containers.iter().find(|container| container["name"] == "shop").unwrap();
    assert!(shop.get("env").is_none() && shop.get("readinessProbe").is_none(), "{shop:#}");
}

#[tokio::test]
async fn controllers_write_the_status_under_their_own_name() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster
        .apply(
            &format!("{DEPLOYMENTS}/web"),
            "one",
            false,
            &deployment("web", "blue", "backend", "1.0.0", 1, &json!([])),
        )
        .await);
    cluster.ready("web", 1).await;
    let (_, live) = cluster.get(&format!("{DEPLOYMENTS}/web")).await;
    assert_eq!(managers(&live), ["one Apply -", "kube-controller-manager Update status"]);
    assert!(
        fields(&live, "kube-controller-manager")["f:metadata"]["f:annotations"].is_object()
            || live["metadata"]["annotations"].is_object()
    );
}

#[tokio::test]
async fn a_resource_version_in_the_configuration_is_a_precondition() {
    let cluster = Cluster::start().await;
    let made = cluster.ok(cluster.apply(&path("a"), "one", false, &config_map("a", &json!({"x": "1"}))).await);
    let mut next = config_map("a", &json!({"x": "2"}));
    next["metadata"]["resourceVersion"] = json!("1");
    let (status, refused) = cluster.apply(&path("a"), "one", false, &next).await;
    assert_eq!((status, &refused["reason"]), (StatusCode::CONFLICT, &json!("Conflict")));
    assert_eq!(
        refused["message"],
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the \
         latest version and try again"
    );
    next["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    cluster.ok(cluster.apply(&path("a"), "one", false, &next).await);
}

#[tokio::test]
async fn a_dry_run_answers_and_stores_nothing() {
    let cluster = Cluster::start().await;
    let wanted = config_map("a", &json!({"x": "1"}));
    let (status, shown) =
        cluster.patch(&format!("{}?fieldManager=one&dryRun=All", path("a")), crate::support::APPLY, &wanted).await;
    assert_eq!((status, &shown["data"]["x"]), (StatusCode::CREATED, &json!("1")));
    assert!(cluster.sandbox.get("configmaps", "default", "a").is_none());
}

#[tokio::test]
async fn kubectls_own_apply_is_taken_over_by_force() {
    let cluster = Cluster::start().await;
    cluster.kubectl_ok("apply -f -", &service("shop", "shop", "blue").to_string()).await;
    let taken = cluster
        .ok(cluster.apply(&format!("{SERVICES}/shop"), "turquoise", true, &service("shop", "shop", "green")).await);
    assert_eq!(taken["spec"]["selector"]["colour"], "green");
    assert!(managers(&taken).contains(&"turquoise Apply -".to_owned()));
    assert!(fields(&taken, "kubectl-client-side-apply")["f:spec"].get("f:selector").is_none());
}

#[tokio::test]
async fn a_field_that_the_schema_does_not_have_is_an_error_whatever_is_said_of_unknown_fields() {
    let cluster = Cluster::start().await;
    let mut web = deployment("web", "blue", "backend", "1.0.0", 0, &json!([]));
    web["spec"]["colour"] = json!("red");
    for validation in ["Ignore", "Strict"] {
        let manager = format!("one&fieldValidation={validation}");
        let (status, answer) = cluster.apply(&format!("{DEPLOYMENTS}/web"), &manager, true, &web).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(
            answer["message"],
            "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.colour: field not declared \
             in schema"
        );
    }
}
