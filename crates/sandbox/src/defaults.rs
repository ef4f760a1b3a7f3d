//! What the API server fills in.

use serde_json::{Value, json};

use crate::object::{as_map, child, default, items_mut};
use crate::resources::Resource;

/// Fills in what the real server would, on every write: it is idempotent.
pub(crate) fn fill(resource: &Resource, object: &mut Value) {
    match resource.kind {
        "Deployment" => deployment(object),
        "ReplicaSet" | "ReplicationController" => replica_set(object),
        "StatefulSet" => stateful_set(object),
        "DaemonSet" => daemon_set(object),
        "Job" => {
            child(object, "status");
            job(&mut object["spec"]);
        }
        "CronJob" => cron_job(object),
        "Pod" => pod(object),
        "Service" => service(object),
        "Secret" => secret(object),
        "Namespace" => namespace(object),
        "HorizontalPodAutoscaler" => default(&mut object["spec"], "minReplicas", 1),
        "EndpointSlice" => endpoint_slice(object),
        "Ingress" | "PersistentVolumeClaim" | "PodDisruptionBudget" => {
            child(object, "status");
        }
        _ => (),
    }
}

fn deployment(object: &mut Value) {
    child(object, "status");
    let spec = child(object, "spec");
    default(spec, "replicas", 1);
    default(spec, "revisionHistoryLimit", 10);
    default(spec, "progressDeadlineSeconds", 600);
    let strategy = child(spec, "strategy");
    default(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        let rolling = child(strategy, "rollingUpdate");
        default(rolling, "maxUnavailable", "25%");
        default(rolling, "maxSurge", "25%");
    }
    template(spec);
}

fn replica_set(object: &mut Value) {
    child(object, "status");
    default(&mut object["status"], "replicas", 0);
    let spec = child(object, "spec");
    default(spec, "replicas", 1);
    template(spec);
}

fn stateful_set(object: &mut Value) {
    child(object, "status");
    let spec = child(object, "spec");
    default(spec, "replicas", 1);
    default(spec, "revisionHistoryLimit", 10);
    default(spec, "podManagementPolicy", "OrderedReady");
    let strategy = child(spec, "updateStrategy");
    default(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        default(child(strategy, "rollingUpdate"), "partition", 0);
    }
    template(spec);
}

fn daemon_set(object: &mut Value) {
    child(object, "status");
    let spec = child(object, "spec");
    default(spec, "revisionHistoryLimit", 10);
    let strategy = child(spec, "updateStrategy");
    default(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        let rolling = child(strategy, "rollingUpdate");
        default(rolling, "maxSurge", 0);
        default(rolling, "maxUnavailable", 1);
    }
    template(spec);
}

fn job(spec: &mut Value) {
    as_map(spec);
    default(spec, "parallelism", 1);
    default(spec, "completions", 1);
    default(spec, "backoffLimit", 6);
    default(spec, "completionMode", "NonIndexed");
    default(spec, "suspend", false);
    default(spec, "podReplacementPolicy", "TerminatingOrFailed");
    template(spec);
}

/// A Job's selector, which the server makes from its uid unless `manualSelector` is set.
pub(crate) fn job_selector(job: &mut Value) {
    let spec = child(job, "spec");
    if spec["manualSelector"] == true {
        return;
    }
    let (uid, name) = (job["metadata"]["uid"].clone(), job["metadata"]["name"].clone());
    let spec = child(job, "spec");
    spec["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    let labels = child(child(child(spec, "template"), "metadata"), "labels");
    for prefix in ["", "batch.kubernetes.io/"] {
        labels[format!("{prefix}controller-uid")] = uid.clone();
        labels[format!("{prefix}job-name")] = name.clone();
    }
}

fn cron_job(object: &mut Value) {
    let spec = child(object, "spec");
    default(spec, "concurrencyPolicy", "Allow");
    default(spec, "suspend", false);
    default(spec, "successfulJobsHistoryLimit", 3);
    default(spec, "failedJobsHistoryLimit", 1);
    if let Some(pods) = spec.pointer_mut("/jobTemplate/spec/template/spec") {
        pod_spec(pods);
    }
}

fn template(spec: &mut Value) {
    let template = child(spec, "template");
    child(template, "metadata");
    pod_spec(child(template, "spec"));
}

fn pod(object: &mut Value) {
    child(object, "status");
    default(&mut object["status"], "phase", "Pending");
    let spec = child(object, "spec");
    default(spec, "enableServiceLinks", true);
    pod_spec(spec);
}

fn pod_spec(spec: &mut Value) {
    default(spec, "restartPolicy", "Always");
    default(spec, "terminationGracePeriodSeconds", 30);
    default(spec, "dnsPolicy", "ClusterFirst");
    child(spec, "securityContext");
    default(spec, "schedulerName", "default-scheduler");
    if let Some(account) = spec.get("serviceAccountName").filter(|name| name.is_string()).cloned() {
        default(spec, "serviceAccount", account);
    }
    for list in ["containers", "initContainers"] {
        items_mut(spec, list).for_each(container);
    }
    for volume in items_mut(spec, "volumes") {
        for source in ["configMap", "secret", "projected", "downwardAPI"] {
            if let Some(source) = volume.get_mut(source).filter(|source| source.is_object()) {
                default(source, "defaultMode", 0o644);
            }
        }
    }
}

fn container(container: &mut Value) {
    child(container, "resources");
    default(container, "terminationMessagePath", "/dev/termination-log");
    default(container, "terminationMessagePolicy", "File");
    let policy = if is_latest(container["image"].as_str().unwrap_or_default()) { "Always" } else { "IfNotPresent" };
    default(container, "imagePullPolicy", policy);
    for port in items_mut(container, "ports") {
        default(port, "protocol", "TCP");
    }
    for variable in items_mut(container, "env") {
        if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
            default(field, "apiVersion", "v1");
        }
    }
    for name in ["readinessProbe", "livenessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(name).filter(|probe| probe.is_object()) {
            default(probe, "timeoutSeconds", 1);
            default(probe, "periodSeconds", 10);
            default(probe, "successThreshold", 1);
            default(probe, "failureThreshold", 3);
            if let Some(get) = probe.get_mut("httpGet").filter(|get| get.is_object()) {
                default(get, "path", "/");
                default(get, "scheme", "HTTP");
            }
        }
    }
}

fn is_latest(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or(image);
    !name.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn service(object: &mut Value) {
    child(child(object, "status"), "loadBalancer");
    let spec = child(object, "spec");
    default(spec, "type", "ClusterIP");
    default(spec, "sessionAffinity", "None");
    let external = matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer"));
    if spec["type"] == "ExternalName" {
        return;
    }
    default(spec, "internalTrafficPolicy", "Cluster");
    if external {
        default(spec, "externalTrafficPolicy", "Cluster");
    }
    if spec["type"] == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", true);
    }
    for port in items_mut(spec, "ports") {
        default(port, "protocol", "TCP");
        let number = port["port"].clone();
        if port["targetPort"].is_null() || port["targetPort"] == 0 || port["targetPort"] == "" {
            port["targetPort"] = number;
        }
    }
}

fn secret(object: &mut Value) {
    default(object, "type", "Opaque");
    let Some(Value::Object(plain)) = as_map(object).remove("stringData") else { return };
    use base64::Engine as _;
    let data = child(object, "data");
    for (name, value) in plain {
        let encoded = base64::engine::general_purpose::STANDARD.encode(value.as_str().unwrap_or_default());
        data[name.as_str()] = Value::from(encoded);
    }
}

fn namespace(object: &mut Value) {
    default(child(object, "spec"), "finalizers", json!(["kubernetes"]));
    default(child(object, "status"), "phase", "Active");
    let name = object["metadata"]["name"].clone();
    default(child(&mut object["metadata"], "labels"), "kubernetes.io/metadata.name", name);
}

fn endpoint_slice(object: &mut Value) {
    for port in items_mut(object, "ports") {
        default(port, "name", "");
        default(port, "protocol", "TCP");
    }
}
