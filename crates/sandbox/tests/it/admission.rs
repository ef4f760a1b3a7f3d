//! Admission policies.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::support::{Cluster, DEPLOYMENTS, MERGE, deployment};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

fn policy(expression: &str) -> Value {
    let rule = json!({"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]});
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "few"},
        "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": expression}]},
    })
}

#[tokio::test]
async fn a_bound_policy_refuses_and_an_unbound_one_does_not() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(POLICIES, &policy("object.spec.replicas <= 2")).await);
    cluster.ok(cluster.post(DEPLOYMENTS, &deployment("before", "blue", "backend", "1.0.0", 3, &json!([]))).await);
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "everywhere"}, "spec": {"policyName": "few", "validationActions": ["Deny"]},
    });
    cluster.ok(cluster.post(BINDINGS, &binding).await);
    let (code, body) = cluster.post(DEPLOYMENTS, &deployment("web", "blue", "backend", "1.0.0", 3, &json!([]))).await;
    assert_eq!((code, body["reason"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("Invalid")));
    assert_eq!(
        body["message"],
        "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'few' with binding 'everywhere' denied \
         request: failed expression: object.spec.replicas <= 2"
    );
    let web = deployment("web", "blue", "backend", "1.0.0", 1, &json!([]));
    cluster.ok(cluster.apply(&format!("{DEPLOYMENTS}/web"), "me", false, &web).await);
    let (code, _) = cluster.patch(&format!("{DEPLOYMENTS}/web"), MERGE, &json!({"spec": {"replicas": 3}})).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    cluster.ready("web", 1).await;
}

#[tokio::test]
async fn an_expression_that_is_not_understood_is_refused_itself() {
    let cluster = Cluster::start().await;
    let (code, body) =
        cluster.post(POLICIES, &policy("object.spec.template.spec.containers.all(c, c.image != '')")).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    assert!(body["message"].as_str().unwrap().contains("spec.validations[0].expression"), "{body}");
}
