//! What the API server refuses: names, required fields, and what may not change.

use serde_json::{Value, json};

use crate::admission;
use crate::api::errors::FieldError;
use crate::object::{self, int, list, map, text};
use crate::resources::Resource;
use crate::store::LabelSelector;

/// The longest name of an object (a DNS subdomain).
const SUBDOMAIN_CHARS_MAX: usize = 253;

/// The longest DNS label, of Services, namespaces and label values.
const LABEL_CHARS_MAX: usize = 63;

const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
    and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035_RULE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
    character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
    '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
    start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const IMMUTABLE: &str = "field is immutable";

/// Everything wrong with a new object, or with a changed one.
pub(crate) fn check(resource: &Resource, old: Option<&Value>, new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_name(resource, new, &mut errors);
    check_labels(new, "metadata.labels", "/metadata/labels", &mut errors);
    match resource.kind {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => workload(resource, old, new, &mut errors),
        "Pod" => pod(old, new, &mut errors),
        "Service" => service(old, new, &mut errors),
        "ConfigMap" | "Secret" => frozen_data(resource, old, new, &mut errors),
        "HorizontalPodAutoscaler" => autoscaler(new, &mut errors),
        "ValidatingAdmissionPolicy" => errors.extend(admission::problems(new)),
        "RoleBinding" | "ClusterRoleBinding" => {
            if let Some(old) = old
                && old["roleRef"] != new["roleRef"]
            {
                errors.push(FieldError::invalid("roleRef", &new["roleRef"], "cannot change roleRef"));
            }
        }
        "Job" => job(old, new, &mut errors),
        _ => (),
    }
    errors
}

fn autoscaler(new: &Value, errors: &mut Vec<FieldError>) {
    let (low, high) = (int(new, "/spec/minReplicas").unwrap_or(1), int(new, "/spec/maxReplicas").unwrap_or(0));
    if high < 1 {
        errors.push(FieldError::invalid("spec.maxReplicas", &json!(high), "must be greater than 0"));
    }
    if high < low {
        let why = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid("spec.maxReplicas", &json!(high), why));
    }
}

fn job(old: Option<&Value>, new: &Value, errors: &mut Vec<FieldError>) {
    let template = &new["spec"]["template"];
    pod_spec(&template["spec"], "spec.template.spec", errors);
    let policy = &template["spec"]["restartPolicy"];
    if *policy != "OnFailure" && *policy != "Never" {
        let field = "spec.template.spec.restartPolicy";
        errors.push(FieldError::unsupported(field, policy, &["OnFailure", "Never"]));
    }
    let Some(old) = old else { return };
    for field in ["template", "selector", "completions", "completionMode"] {
        if old["spec"][field] != new["spec"][field] {
            errors.push(FieldError::invalid(format!("spec.{field}"), &new["spec"][field], IMMUTABLE));
        }
    }
}

fn check_name(resource: &Resource, object: &Value, errors: &mut Vec<FieldError>) {
    let name = object::name(object);
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
        return;
    }
    let given = json!(name);
    match resource.kind {
        "Service" if !is_label(name) || !name.starts_with(|c: char| c.is_ascii_lowercase()) => {
            errors.push(FieldError::invalid("metadata.name", &given, LABEL_1035_RULE));
        }
        "Namespace" if !is_label(name) => errors.push(FieldError::invalid("metadata.name", &given, LABEL_RULE)),
        // Roles may be named as paths are.
        "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => {
            let is_wrong = name.contains(['/', '%']) || matches!(name, "." | "..");
            errors.extend(is_wrong.then(|| FieldError::invalid("metadata.name", &given, "may not contain '/'")));
        }
        _ if !is_subdomain(name) => errors.push(FieldError::invalid("metadata.name", &given, SUBDOMAIN_RULE)),
        _ => (),
    }
}

fn is_label(name: &str) -> bool {
    name.len() <= LABEL_CHARS_MAX
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.is_empty()
}

fn is_subdomain(name: &str) -> bool {
    name.len() <= SUBDOMAIN_CHARS_MAX
        && name.split('.').all(|part| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        })
}

fn check_labels(object: &Value, field: &str, pointer: &str, errors: &mut Vec<FieldError>) {
    for value in map(object, pointer).into_iter().flat_map(|labels| labels.values()) {
        let text = value.as_str().unwrap_or_default();
        let alnum = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
        let fits = text.len() <= LABEL_CHARS_MAX
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && alnum(text.bytes().next())
            && alnum(text.bytes().last());
        if text.len() > LABEL_CHARS_MAX {
            errors.push(FieldError::invalid(field, value, "must be no more than 63 characters"));
        } else if !fits {
            errors.push(FieldError::invalid(field, value, LABEL_VALUE_RULE));
        }
    }
}

fn workload(resource: &Resource, old: Option<&Value>, new: &Value, errors: &mut Vec<FieldError>) {
    let selector = &new["spec"]["selector"];
    let replicas = &new["spec"]["replicas"];
    if replicas.as_i64().is_some_and(|replicas| replicas < 0) {
        errors.push(FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0"));
    }
    let is_empty = map(selector, "/matchLabels").is_none_or(serde_json::Map::is_empty)
        && list(selector, "/matchExpressions").is_empty();
    if selector.is_null() {
        errors.push(FieldError::required("spec.selector", ""));
    } else if is_empty {
        errors.push(FieldError::invalid("spec.selector", selector, "empty selector is invalid for deployment"));
    }
    let template = &new["spec"]["template"];
    if !selector.is_null() && !LabelSelector::of(selector).matches(template) {
        let labels = template.pointer("/metadata/labels").unwrap_or(&Value::Null);
        let why = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels, why));
    }
    check_labels(template, "spec.template.labels", "/metadata/labels", errors);
    pod_spec(&template["spec"], "spec.template.spec", errors);
    if template["spec"]["restartPolicy"] != "Always" {
        let policy = &template["spec"]["restartPolicy"];
        errors.push(FieldError::unsupported("spec.template.spec.restartPolicy", policy, &["Always"]));
    }
    if let Some(old) = old
        && old["spec"]["selector"] != *selector
    {
        errors.push(FieldError::invalid("spec.selector", selector, IMMUTABLE));
    }
    match resource.kind {
        "Deployment" => strategy(&new["spec"], errors),
        "StatefulSet" => stateful_set(old, new, errors),
        _ => (),
    }
}

fn strategy(spec: &Value, errors: &mut Vec<FieldError>) {
    let strategy = &spec["strategy"];
    match strategy["type"].as_str() {
        Some("Recreate") if strategy["rollingUpdate"].is_object() => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden("spec.strategy.rollingUpdate", why));
        }
        Some("RollingUpdate") => {
            let is_zero = |value: &Value| *value == json!(0) || *value == json!("0%");
            let rolling = &strategy["rollingUpdate"];
            if is_zero(&rolling["maxSurge"]) && is_zero(&rolling["maxUnavailable"]) {
                let why = "may not be 0 when `maxSurge` is 0";
                let value = &rolling["maxUnavailable"];
                errors.push(FieldError::invalid("spec.strategy.rollingUpdate.maxUnavailable", value, why));
            }
        }
        Some("Recreate") => (),
        _ => {
            let known = ["Recreate", "RollingUpdate"];
            errors.push(FieldError::unsupported("spec.strategy.type", &strategy["type"], &known));
        }
    }
    let deadline = int(spec, "/progressDeadlineSeconds").unwrap_or(600);
    if deadline <= int(spec, "/minReadySeconds").unwrap_or(0) {
        let why = "must be greater than minReadySeconds";
        errors.push(FieldError::invalid("spec.progressDeadlineSeconds", &json!(deadline), why));
    }
}

fn stateful_set(old: Option<&Value>, new: &Value, errors: &mut Vec<FieldError>) {
    let Some(old) = old else { return };
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        let mutable = [
            "replicas",
            "template",
            "updateStrategy",
            "minReadySeconds",
            "ordinals",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
        ];
        for field in mutable {
            object::remove(&mut spec, field);
        }
        spec
    };
    if fixed(old) != fixed(new) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
                   'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.push(FieldError::forbidden("spec", why));
    }
}

fn pod_spec(spec: &Value, at: &str, errors: &mut Vec<FieldError>) {
    if list(spec, "/containers").is_empty() {
        errors.push(FieldError::required(format!("{at}.containers"), ""));
    }
    let volumes: Vec<_> = list(spec, "/volumes").iter().map(|volume| text(volume, "/name")).collect();
    let mut names = Vec::new();
    for kind in ["initContainers", "containers"] {
        for (index, container) in list(spec, &format!("/{kind}")).iter().enumerate() {
            let at = format!("{at}.{kind}[{index}]");
            let name = text(container, "/name");
            if name.is_empty() {
                errors.push(FieldError::required(format!("{at}.name"), ""));
            } else if !is_label(name) {
                errors.push(FieldError::invalid(format!("{at}.name"), &json!(name), LABEL_RULE));
            } else if names.contains(&name) {
                errors.push(FieldError::duplicate(format!("{at}.name"), &json!(name)));
            }
            names.push(name);
            container_fields(container, &at, &volumes, errors);
        }
    }
}

fn container_fields(container: &Value, at: &str, volumes: &[&str], errors: &mut Vec<FieldError>) {
    if text(container, "/image").is_empty() {
        errors.push(FieldError::required(format!("{at}.image"), ""));
    }
    for (index, port) in list(container, "/ports").iter().enumerate() {
        let number = &port["containerPort"];
        let field = format!("{at}.ports[{index}].containerPort");
        match number.as_i64() {
            None | Some(0) => errors.push(FieldError::required(field, "")),
            Some(1..=65_535) => (),
            Some(_) => errors.push(FieldError::invalid(field, number, "must be between 1 and 65535, inclusive")),
        }
    }
    for (index, variable) in list(container, "/env").iter().enumerate() {
        if text(variable, "/name").is_empty() {
            errors.push(FieldError::required(format!("{at}.env[{index}].name"), ""));
        }
    }
    for (index, mount) in list(container, "/volumeMounts").iter().enumerate() {
        let name = text(mount, "/name");
        if !volumes.contains(&name) {
            errors.push(FieldError {
                reason: "FieldValueNotFound",
                field: format!("{at}.volumeMounts[{index}].name"),
                message: format!("Not found: {name:?}"),
            });
        }
    }
    for name in ["readinessProbe", "livenessProbe", "startupProbe"] {
        let probe = &container[name];
        if probe.is_object() && !["httpGet", "tcpSocket", "exec", "grpc"].iter().any(|kind| probe[*kind].is_object()) {
            errors.push(FieldError::required(format!("{at}.{name}"), "must specify a handler type"));
        }
    }
}

fn pod(old: Option<&Value>, new: &Value, errors: &mut Vec<FieldError>) {
    pod_spec(&new["spec"], "spec", errors);
    let Some(old) = old else { return };
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        for list in ["containers", "initContainers"] {
            for container in object::items_mut(&mut spec, list) {
                object::remove(container, "image");
            }
        }
        for field in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName"] {
            object::remove(&mut spec, field);
        }
        spec
    };
    if fixed(old) != fixed(new) {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,\
                   `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                   existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                   previously negative)";
        errors.push(FieldError::forbidden("spec", why));
    }
}

fn service(old: Option<&Value>, new: &Value, errors: &mut Vec<FieldError>) {
    let spec = &new["spec"];
    let ports = list(spec, "/ports");
    if ports.is_empty() && spec["clusterIP"] != "None" && spec["type"] != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    let mut seen = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let at = format!("spec.ports[{index}]");
        if ports.len() > 1 && text(port, "/name").is_empty() {
            errors.push(FieldError::required(format!("{at}.name"), ""));
        }
        if !port["port"].as_i64().is_some_and(|number| (1..=65_535).contains(&number)) {
            let why = "must be between 1 and 65535, inclusive";
            errors.push(FieldError::invalid(format!("{at}.port"), &port["port"], why));
        }
        let identity = (port["port"].clone(), port["protocol"].clone());
        if seen.contains(&identity) {
            errors.push(FieldError::duplicate(at, &json!({"port": identity.0, "protocol": identity.1})));
        }
        seen.push(identity);
    }
    check_labels(spec, "spec.selector", "/selector", errors);
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kinds.iter().any(|kind| spec["type"] == *kind) {
        errors.push(FieldError::unsupported("spec.type", &spec["type"], &kinds));
    }
    if let Some(old) = old {
        let had = text(old, "/spec/clusterIP");
        let stays = old["spec"]["type"] != "ExternalName" && spec["type"] != "ExternalName";
        if stays && !had.is_empty() && text(spec, "/clusterIP") != had {
            let value = json!(text(spec, "/clusterIP"));
            errors.push(FieldError::invalid("spec.clusterIPs[0]", &value, "may not change once set"));
        }
    }
}

fn frozen_data(resource: &Resource, old: Option<&Value>, new: &Value, errors: &mut Vec<FieldError>) {
    let Some(old) = old else { return };
    if resource.kind == "Secret" && old["type"] != new["type"] {
        errors.push(FieldError::invalid("type", &new["type"], IMMUTABLE));
    }
    if old["immutable"] == true {
        for field in ["data", "binaryData", "immutable"] {
            if old[field] != new[field] {
                errors.push(FieldError::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
}
