//! Tables as `kubectl get` shows them.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::output::{RowObject, metadata};
use crate::object::{self, condition, int, list, map, text};
use crate::resources::Resource;

/// A column: its name, type, and whether it shows only with `-o wide`.
type Column = (&'static str, &'static str, bool);

const NAME: Column = ("Name", "string", false);
const AGE: Column = ("Age", "string", false);

/// A table of objects.
pub(crate) fn table(
    resource: &Resource,
    meta: Value,
    objects: &[&Value],
    rows: RowObject,
    with_columns: bool,
) -> Value {
    let columns: Vec<Value> =
        if with_columns { columns(resource).iter().map(definition).collect() } else { Vec::new() };
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut row = json!({"cells": cells(resource, object)});
            match rows {
                RowObject::Nothing => (),
                RowObject::Metadata => row["object"] = metadata(object),
                RowObject::Object => row["object"] = (*object).clone(),
            }
            row
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "columnDefinitions": columns, "rows": rows})
}

fn definition((name, kind, wide): &Column) -> Value {
    let format = if *name == "Name" { "name" } else { "" };
    json!({"name": name, "type": kind, "format": format, "description": name, "priority": i32::from(*wide)})
}

fn columns(resource: &Resource) -> Vec<Column> {
    let wide = |name| (name, "string", true);
    let plain = |name| (name, "string", false);
    let number = |name| (name, "integer", false);
    match resource.plural {
        "pods" => vec![
            NAME,
            plain("Ready"),
            plain("Status"),
            plain("Restarts"),
            AGE,
            wide("IP"),
            wide("Node"),
            wide("Nominated Node"),
            wide("Readiness Gates"),
        ],
        "deployments" => vec![
            NAME,
            plain("Ready"),
            number("Up-to-date"),
            number("Available"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        "replicasets" => vec![
            NAME,
            number("Desired"),
            number("Current"),
            number("Ready"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        "statefulsets" => vec![NAME, plain("Ready"), AGE, wide("Containers"), wide("Images")],
        "daemonsets" => {
            let numbers = ["Desired", "Current", "Ready", "Up-to-date", "Available"].map(number);
            [NAME].into_iter().chain(numbers).chain([plain("Node Selector"), AGE]).collect()
        }
        "jobs" => vec![NAME, plain("Status"), plain("Completions"), AGE, wide("Containers"), wide("Images")],
        "cronjobs" => vec![NAME, plain("Schedule"), plain("Suspend"), AGE],
        "services" => vec![
            NAME,
            plain("Type"),
            plain("Cluster-IP"),
            plain("External-IP"),
            plain("Port(s)"),
            AGE,
            wide("Selector"),
        ],
        "endpointslices" => vec![NAME, plain("AddressType"), plain("Ports"), plain("Endpoints"), AGE],
        "events" => vec![
            plain("Last Seen"),
            plain("Type"),
            plain("Reason"),
            plain("Object"),
            wide("Subobject"),
            wide("Source"),
            plain("Message"),
            wide("First Seen"),
            wide("Count"),
            ("Name", "string", true),
        ],
        _ => columns_of_others(resource),
    }
}

fn columns_of_others(resource: &Resource) -> Vec<Column> {
    let wide = |name| (name, "string", true);
    let plain = |name| (name, "string", false);
    let number = |name| (name, "integer", false);
    match resource.plural {
        "namespaces" => vec![NAME, plain("Status"), AGE],
        "nodes" => vec![
            NAME,
            plain("Status"),
            plain("Roles"),
            AGE,
            plain("Version"),
            wide("Internal-IP"),
            wide("External-IP"),
            wide("OS-Image"),
            wide("Kernel-Version"),
            wide("Container-Runtime"),
        ],
        "configmaps" => vec![NAME, plain("Data"), AGE],
        "secrets" => vec![NAME, plain("Type"), plain("Data"), AGE],
        "serviceaccounts" => vec![NAME, plain("Secrets"), AGE],
        "leases" => vec![NAME, plain("Holder"), AGE],
        "ingresses" => vec![NAME, plain("Class"), plain("Hosts"), plain("Address"), plain("Ports"), AGE],
        "horizontalpodautoscalers" => {
            vec![
                NAME,
                plain("Reference"),
                plain("Targets"),
                plain("MinPods"),
                plain("MaxPods"),
                number("Replicas"),
                AGE,
            ]
        }
        "poddisruptionbudgets" => {
            vec![NAME, plain("Min Available"), plain("Max Unavailable"), number("Allowed Disruptions"), AGE]
        }
        _ => vec![NAME, ("Created At", "date", false)],
    }
}

fn cells(resource: &Resource, object: &Value) -> Value {
    let name = object::name(object);
    let age = age(&object["metadata"]["creationTimestamp"]);
    let count = |pointer: &str| int(object, pointer).unwrap_or(0);
    match resource.plural {
        "pods" => pod(object, &age),
        "deployments" => {
            let (containers, images) = containers(object);
            let ready = format!("{}/{}", count("/status/readyReplicas"), count("/spec/replicas"));
            let selector = selector(map(object, "/spec/selector/matchLabels"));
            json!([
                name,
                ready,
                count("/status/updatedReplicas"),
                count("/status/availableReplicas"),
                age,
                containers,
                images,
                selector,
            ])
        }
        "replicasets" => {
            let (containers, images) = containers(object);
            let selector = selector(map(object, "/spec/selector/matchLabels"));
            json!([
                name,
                count("/spec/replicas"),
                count("/status/replicas"),
                count("/status/readyReplicas"),
                age,
                containers,
                images,
                selector,
            ])
        }
        "statefulsets" => {
            let (containers, images) = containers(object);
            json!([
                name,
                format!("{}/{}", count("/status/readyReplicas"), count("/spec/replicas")),
                age,
                containers,
                images
            ])
        }
        "daemonsets" => {
            let numbers = [
                "desiredNumberScheduled",
                "currentNumberScheduled",
                "numberReady",
                "updatedNumberScheduled",
                "numberAvailable",
            ];
            let numbers = numbers.map(|field| json!(count(&format!("/status/{field}"))));
            let selector = json!(selector(map(object, "/spec/template/spec/nodeSelector")));
            [json!(name)].into_iter().chain(numbers).chain([selector, json!(age)]).collect()
        }
        "jobs" => {
            let (containers, images) = containers(object);
            let ends = ["Complete", "Failed", "Suspended"].into_iter();
            let held = |kind: &&str| condition(object, kind).is_some_and(|one| one["status"] == "True");
            let status = ends.into_iter().find(held).unwrap_or("Running");
            let done = format!("{}/{}", count("/status/succeeded"), count("/spec/completions"));
            json!([name, status, done, age, containers, images])
        }
        "cronjobs" => {
            let suspended = if object["spec"]["suspend"] == true { "True" } else { "False" };
            json!([name, text(object, "/spec/schedule"), suspended, age])
        }
        "services" => service(object, &age),
        "endpointslices" => slice(object, &age),
        "events" => event(object),
        _ => cells_of_others(resource, object, &age),
    }
}

fn cells_of_others(resource: &Resource, object: &Value, age: &str) -> Value {
    let name = object::name(object);
    let count = |pointer: &str| int(object, pointer).unwrap_or(0);
    match resource.plural {
        "namespaces" => json!([name, text(object, "/status/phase"), age]),
        "nodes" => node(object, age),
        "configmaps" => json!([name, entries(object).to_string(), age]),
        "secrets" => json!([name, text(object, "/type"), entries(object).to_string(), age]),
        "serviceaccounts" => json!([name, list(object, "/secrets").len().to_string(), age]),
        "leases" => json!([name, text(object, "/spec/holderIdentity"), age]),
        "ingresses" => {
            let hosts: Vec<_> = list(object, "/spec/rules").iter().map(|rule| text(rule, "/host")).collect();
            let hosts = if hosts.iter().all(|host| host.is_empty()) { "*".to_owned() } else { hosts.join(",") };
            let class = object["spec"]["ingressClassName"].as_str().unwrap_or("<none>");
            let ports = if list(object, "/spec/tls").is_empty() { "80" } else { "80, 443" };
            json!([name, class, hosts, "", ports, age])
        }
        "horizontalpodautoscalers" => {
            let target = &object["spec"]["scaleTargetRef"];
            let reference = format!("{}/{}", text(target, "/kind"), text(target, "/name"));
            json!([
                name,
                reference,
                "<unknown>",
                count("/spec/minReplicas").to_string(),
                count("/spec/maxReplicas").to_string(),
                count("/status/currentReplicas"),
                age,
            ])
        }
        "poddisruptionbudgets" => {
            let shown = |field: &str| object["spec"].get(field).map_or_else(|| "N/A".to_owned(), plain);
            json!([name, shown("minAvailable"), shown("maxUnavailable"), count("/status/disruptionsAllowed"), age])
        }
        _ => json!([name, object["metadata"]["creationTimestamp"]]),
    }
}

/// How long ago a time was, as `kubectl` writes it.
#[expect(
    clippy::disallowed_methods,
    reason = "an age is for people who look now, whatever clock the objects were written by"
)]
fn age(at: &Value) -> String {
    let Some(at) = at.as_str().and_then(|at| at.parse::<Timestamp>().ok()) else { return "<unknown>".to_owned() };
    human(Timestamp::now().duration_since(at).as_secs().max(0))
}

fn human(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |whole: i64, unit: &str, rest: i64, small: &str| {
        if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{small}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ => two(days / 365, "y", days % 365, "d"),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn entries(object: &Value) -> usize {
    map(object, "/data").map_or(0, serde_json::Map::len) + map(object, "/binaryData").map_or(0, serde_json::Map::len)
}

fn containers(object: &Value) -> (String, String) {
    let all = list(object, "/spec/template/spec/containers");
    let names: Vec<_> = all.iter().map(|container| text(container, "/name")).collect();
    let images: Vec<_> = all.iter().map(|container| text(container, "/image")).collect();
    (names.join(","), images.join(","))
}

fn selector(labels: Option<&serde_json::Map<String, Value>>) -> String {
    let labels: Vec<_> = labels.into_iter().flatten().map(|(name, value)| format!("{name}={}", plain(value))).collect();
    if labels.is_empty() { "<none>".to_owned() } else { labels.join(",") }
}

fn pod(object: &Value, age: &str) -> Value {
    let statuses = list(object, "/status/containerStatuses");
    let ready = statuses.iter().filter(|status| status["ready"] == true).count();
    let restarts: i64 = statuses.iter().map(|status| int(status, "/restartCount").unwrap_or(0)).sum();
    let last = statuses.iter().filter_map(|status| status["lastState"]["terminated"]["finishedAt"].as_str()).max();
    let restarts = match last {
        Some(last) if restarts > 0 => format!("{restarts} ({} ago)", self::age(&json!(last))),
        _ => restarts.to_string(),
    };
    let or_none = |text: &str| if text.is_empty() { "<none>".to_owned() } else { text.to_owned() };
    json!([
        object::name(object),
        format!("{ready}/{}", list(object, "/spec/containers").len()),
        pod_status(object),
        restarts,
        age,
        or_none(text(object, "/status/podIP")),
        or_none(text(object, "/spec/nodeName")),
        "<none>",
        "<none>",
    ])
}

fn pod_status(object: &Value) -> String {
    if object::is_deleting(object) {
        return "Terminating".to_owned();
    }
    let mut reason = text(object, "/status/phase").to_owned();
    let mut has_running = false;
    for status in list(object, "/status/containerStatuses").iter().rev() {
        let state = &status["state"];
        if let Some(waiting) = state["waiting"]["reason"].as_str() {
            waiting.clone_into(&mut reason);
        } else if let Some(terminated) = state["terminated"]["reason"].as_str() {
            terminated.clone_into(&mut reason);
        } else if status["ready"] == true {
            has_running = true;
        }
    }
    if reason == "Completed" && has_running {
        let ready = condition(object, "Ready").is_some_and(|ready| ready["status"] == "True");
        return if ready { "Running" } else { "NotReady" }.to_owned();
    }
    reason
}

fn service(object: &Value, age: &str) -> Value {
    let kind = text(object, "/spec/type");
    let external = match kind {
        "LoadBalancer" => "<pending>",
        "ExternalName" => text(object, "/spec/externalName"),
        _ => "<none>",
    };
    let ports: Vec<_> = list(object, "/spec/ports")
        .iter()
        .map(|port| match port["nodePort"].as_u64().filter(|node| *node != 0) {
            Some(node) => format!("{}:{node}/{}", port["port"], text(port, "/protocol")),
            None => format!("{}/{}", port["port"], text(port, "/protocol")),
        })
        .collect();
    let ports = if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") };
    let address = match text(object, "/spec/clusterIP") {
        "" => "<none>",
        address => address,
    };
    json!([object::name(object), kind, address, external, ports, age, selector(map(object, "/spec/selector"))])
}

/// Entries shown of a slice before "+ n more...".
const SHOWN_MAX: usize = 3;

fn slice(object: &Value, age: &str) -> Value {
    let shown = |all: Vec<String>| match all.len() {
        0 => "<unset>".to_owned(),
        more if more > SHOWN_MAX => format!("{} + {} more...", all[..SHOWN_MAX].join(","), more - SHOWN_MAX),
        _ => all.join(","),
    };
    let ports = list(object, "/ports").iter().map(|port| plain(&port["port"])).collect();
    let endpoints =
        list(object, "/endpoints").iter().flat_map(|endpoint| list(endpoint, "/addresses")).map(plain).collect();
    json!([object::name(object), text(object, "/addressType"), shown(ports), shown(endpoints), age])
}

fn event(object: &Value) -> Value {
    let about = if object["involvedObject"].is_object() { &object["involvedObject"] } else { &object["regarding"] };
    let field = |old: &str, new: &str| if object[old].is_null() { object[new].clone() } else { object[old].clone() };
    let last = field("lastTimestamp", "deprecatedLastTimestamp");
    let last = if last.is_null() { object["eventTime"].clone() } else { last };
    let last = if last.is_null() { object["metadata"]["creationTimestamp"].clone() } else { last };
    let first = field("firstTimestamp", "deprecatedFirstTimestamp");
    let source = &object["source"]["component"];
    let source = if source.is_null() { field("reportingComponent", "reportingController") } else { source.clone() };
    json!([
        age(&last),
        text(object, "/type"),
        text(object, "/reason"),
        format!("{}/{}", text(about, "/kind").to_lowercase(), text(about, "/name")),
        text(about, "/fieldPath"),
        source,
        field("message", "note"),
        age(&first),
        field("count", "deprecatedCount").as_i64().unwrap_or(1).to_string(),
        object::name(object),
    ])
}

fn node(object: &Value, age: &str) -> Value {
    let ready = condition(object, "Ready").is_some_and(|ready| ready["status"] == "True");
    let address = list(object, "/status/addresses").iter().find(|address| address["type"] == "InternalIP");
    let or_none = |text: &str| if text.is_empty() { "<none>".to_owned() } else { text.to_owned() };
    json!([
        object::name(object),
        if ready { "Ready" } else { "NotReady" },
        "control-plane",
        age,
        text(object, "/status/nodeInfo/kubeletVersion"),
        address.map_or("<none>", |address| text(address, "/address")),
        "<none>",
        or_none(text(object, "/status/nodeInfo/osImage")),
        or_none(text(object, "/status/nodeInfo/kernelVersion")),
        or_none(text(object, "/status/nodeInfo/containerRuntimeVersion")),
    ])
}
