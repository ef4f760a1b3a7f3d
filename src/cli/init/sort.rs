//! Which objects each colour gets a copy of, and which both colours share.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Kinds of which each colour has its own: what runs, and what belongs to it. The others are shared.
const COLOURED: [&str; 9] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "CronJob",
    "ConfigMap",
    "Secret",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
];
const WORKLOADS: [&str; 4] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"];
/// Kinds that hold for the whole cluster: turquoise applies none.
const CLUSTER_WIDE: [&str; 6] =
    ["Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PersistentVolume", "StorageClass"];

/// A base, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sorted {
    /// Kinds that each colour has copies of, as `(apiVersion, kind)`.
    pub(super) coloured: BTreeSet<(String, String)>,
    /// Kinds that both share.
    pub(super) shared: BTreeSet<(String, String)>,
    /// Kinds of the whole cluster, which are left out.
    pub(super) left_out: BTreeSet<(String, String)>,
    /// Services that take traffic from outside: their selector names the live colour.
    pub(super) live: Vec<LiveService>,
    /// Services of a colour: only the app itself calls them.
    pub(super) inner: Vec<Inner>,
    /// Services without a selector for pods of the app: shared.
    pub(super) other: Vec<String>,
    /// The namespace that the objects name themselves.
    pub(super) namespace: Option<String>,
}

/// A Service that takes traffic.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LiveService {
    pub(super) name: String,
    pub(super) selector: BTreeMap<String, String>,
    /// Its ports as they stand, without node ports.
    pub(super) ports: Vec<Value>,
    /// Port and path that a readiness probe asks.
    pub(super) probe: Option<(u64, String)>,
}

/// A Service that the app's own workloads call by its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inner {
    pub(super) name: String,
    /// `(kind, workload, container, variable)` whose value is the Service's name.
    pub(super) callers: Vec<(String, String, String, String)>,
}

/// Sorts the objects of a base.
///
/// # Errors
/// Nothing runs, or no Service selects what runs.
pub(super) fn sort(objects: &[Value]) -> Result<Sorted, String> {
    let text =
        |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut sorted = Sorted::default();
    let workloads: Vec<&Value> =
        objects.iter().filter(|object| WORKLOADS.contains(&text(object, "/kind").as_str())).collect();
    if workloads.is_empty() {
        return Err("the base has no Deployment: there is nothing to release".to_owned());
    }
    let routed: BTreeSet<String> = objects.iter().flat_map(backends).collect();
    for object in objects {
        let kind = (text(object, "/apiVersion"), text(object, "/kind"));
        if sorted.namespace.is_none() {
            sorted.namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned);
        }
        if kind.1 == "Service" {
            service(object, &workloads, &routed, &mut sorted);
        } else if CLUSTER_WIDE.contains(&kind.1.as_str()) {
            sorted.left_out.insert(kind);
        } else if COLOURED.contains(&kind.1.as_str()) {
            sorted.coloured.insert(kind);
        } else {
            sorted.shared.insert(kind);
        }
    }
    if sorted.live.is_empty() {
        return Err("the base has no Service that takes traffic for its Deployments: add one".to_owned());
    }
    Ok(sorted)
}

fn service(object: &Value, workloads: &[&Value], routed: &BTreeSet<String>, sorted: &mut Sorted) {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let selector = strings(object.pointer("/spec/selector"));
    let matches = |workload: &&&Value| {
        let labels = strings(workload.pointer("/spec/template/metadata/labels"));
        !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    let Some(workload) = workloads.iter().find(matches) else {
        sorted.other.push(name);
        return;
    };
    let kind = object.pointer("/spec/type").and_then(Value::as_str).unwrap_or("ClusterIP");
    let callers: Vec<_> = workloads.iter().flat_map(|workload| callers(workload, &name)).collect();
    if kind == "ClusterIP" && !routed.contains(&name) && !callers.is_empty() {
        sorted.inner.push(Inner { name, callers });
        return;
    }
    let ports = object.pointer("/spec/ports").and_then(Value::as_array).cloned().unwrap_or_default();
    let probe = probe(workload, &ports);
    let ports = ports.into_iter().map(without_node_port).collect();
    sorted.live.push(LiveService { name, selector, ports, probe });
}

fn without_node_port(mut port: Value) -> Value {
    if let Some(port) = port.as_object_mut() {
        port.remove("nodePort");
    }
    port
}

fn strings(map: Option<&Value>) -> BTreeMap<String, String> {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The Services that an Ingress or a Gateway API route sends requests to.
fn backends(object: &Value) -> Vec<String> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    if kind == "Ingress" {
        let rules = object.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
        let paths = rules.flat_map(|rule| rule.pointer("/http/paths").and_then(Value::as_array).into_iter().flatten());
        found.extend(paths.filter_map(|path| path.pointer("/backend/service/name")));
        found.extend(object.pointer("/spec/defaultBackend/service/name"));
    } else if kind.ends_with("Route") {
        let rules = object.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
        let refs = rules.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten());
        found.extend(refs.filter_map(|one| one.get("name")));
    }
    found.into_iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn containers(workload: &Value) -> impl Iterator<Item = &Value> {
    workload.pointer("/spec/template/spec/containers").and_then(Value::as_array).into_iter().flatten()
}

/// The variables of a workload that hold a Service's name.
fn callers(workload: &Value, service: &str) -> Vec<(String, String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for container in containers(workload) {
        for variable in container["env"].as_array().into_iter().flatten() {
            if variable["value"].as_str() == Some(service) {
                let name = text(&workload["metadata"]["name"]);
                found.push((text(&workload["kind"]), name, text(&container["name"]), text(&variable["name"])));
            }
        }
    }
    found
}

/// The Service's port and path behind which a readiness probe of the workload asks.
fn probe(workload: &Value, ports: &[Value]) -> Option<(u64, String)> {
    containers(workload).find_map(|container| {
        let probe = container.pointer("/readinessProbe/httpGet")?;
        let path = probe["path"].as_str().unwrap_or("/").to_owned();
        let number = |port: &Value| -> Option<u64> {
            port.as_u64().or_else(|| {
                let named = container["ports"].as_array()?.iter().find(|one| one["name"] == *port)?;
                named["containerPort"].as_u64()
            })
        };
        let asked = number(&probe["port"])?;
        let port = ports.iter().find(|port| {
            let target = if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
            number(target) == Some(asked)
        })?;
        Some((port["port"].as_u64()?, path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workload(name: &str, env: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "env": env, "ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}}}]}}}})
    }

    fn service(name: &str, selects: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": selects}, "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30000}]}})
    }

    #[test]
    fn a_service_that_the_app_itself_calls_is_the_colours_own() {
        let web = workload("web", json!([{"name": "BACKEND", "value": "api"}]));
        let objects =
            [web, workload("api", json!([])), service("web", "web"), service("api", "api"), service("db", "elsewhere")];
        let sorted = sort(&objects).expect("sorted");
        assert_eq!(sorted.live.len(), 1);
        assert_eq!(sorted.live[0].probe, Some((80, "/ready".to_owned())));
        assert_eq!(sorted.live[0].ports, [json!({"port": 80, "targetPort": 8080})]);
        let caller = ["Deployment", "web", "main", "BACKEND"].map(str::to_owned);
        assert_eq!(sorted.inner, [Inner { name: "api".into(), callers: vec![caller.into()] }]);
        assert_eq!(sorted.other, ["db"]);
    }

    #[test]
    fn a_service_behind_an_ingress_takes_traffic_whoever_else_calls_it() {
        let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "in"}, "spec": {"rules": [
            {"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}]}});
        let objects = [workload("web", json!([{"name": "SELF", "value": "web"}])), service("web", "web"), ingress];
        let sorted = sort(&objects).expect("sorted");
        assert_eq!((sorted.live.len(), sorted.inner.len()), (1, 0));
        assert_eq!(sorted.shared.len(), 1, "the Ingress is shared");
    }

    #[test]
    fn what_cannot_be_released_is_said() {
        assert!(sort(&[service("web", "web")]).is_err_and(|words| words.contains("Deployment")));
        assert!(sort(&[workload("web", json!([]))]).is_err_and(|words| words.contains("Service")));
    }
}
