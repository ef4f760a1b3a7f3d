//! Services with a selector -> EndpointSlices.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::controllers::MANAGER;
use crate::kubelet::NODE;
use crate::network::SERVICE_NAME;
use crate::object::{self, list, text};
use crate::resources::{ENDPOINT_SLICES, PODS};
use crate::store::{Key, LabelSelector};
use crate::world::World;
use crate::writes::{Deletion, Write};

/// Endpoints in one slice; Kubernetes' own default.
const ENDPOINTS_PER_SLICE_MAX: usize = 100;

const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// Writes a Service's slices anew where they differ from its pods.
pub(crate) fn sync(world: &World, key: &Key) {
    let Some(service) = world.store.get(key) else { return };
    if object::map(&service, "/spec/selector").is_none_or(serde_json::Map::is_empty)
        || service["spec"]["type"] == "ExternalName"
    {
        return;
    }
    let wanted = wanted(world, key, &service);
    let (_, slices) = world.store.list(*ENDPOINT_SLICES, Some(&key.namespace));
    let ours = |slice: &&Arc<Value>| {
        let labels = &slice["metadata"]["labels"];
        labels[SERVICE_NAME] == key.name.as_str() && labels[MANAGED_BY] == CONTROLLER
    };
    let mut present: Vec<_> = slices.iter().filter(ours).collect();
    // The first slice is the oldest: it stays when others go.
    present.sort_by_key(|slice| object::text(slice, "/metadata/creationTimestamp").to_owned());
    for (at, (ports, endpoints)) in wanted.iter().enumerate() {
        match present.get(at) {
            Some(slice) => {
                let slice = Key::of(*ENDPOINT_SLICES, slice);
                world.edit(&slice, Write::by(MANAGER, ""), |slice| {
                    let labels = labels(&service, key);
                    let same = slice["ports"] == *ports
                        && slice["endpoints"] == *endpoints
                        && slice["metadata"]["labels"] == labels;
                    slice["ports"] = ports.clone();
                    slice["endpoints"] = endpoints.clone();
                    slice["metadata"]["labels"] = labels;
                    !same
                });
            }
            None => create(world, key, &service, ports, endpoints),
        }
    }
    for slice in present.iter().skip(wanted.len()) {
        let slice = Key::of(*ENDPOINT_SLICES, slice);
        // It may be gone already.
        let _ = world.store.transaction(|transaction| world.delete(transaction, &slice, &Deletion::default()));
    }
}

/// Ports and endpoints of each slice: pods whose ports have the same numbers share slices.
fn wanted(world: &World, key: &Key, service: &Value) -> Vec<(Value, Value)> {
    let selector = LabelSelector::equal(object::map(service, "/spec/selector"));
    let (_, pods) = world.store.list(*PODS, Some(&key.namespace));
    let mut groups: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| selector.matches(pod)) {
        let ended = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
        if text(pod, "/status/podIP").is_empty() || ended {
            continue;
        }
        let ports = ports(service, pod);
        groups.entry(ports.to_string()).or_insert_with(|| (ports, Vec::new())).1.push(endpoint(service, pod));
    }
    let mut slices = Vec::new();
    for (ports, endpoints) in groups.into_values() {
        for chunk in endpoints.chunks(ENDPOINTS_PER_SLICE_MAX) {
            slices.push((ports.clone(), Value::from(chunk.to_vec())));
        }
    }
    if slices.is_empty() {
        slices.push((json!([]), json!([])));
    }
    slices
}

fn endpoint(service: &Value, pod: &Value) -> Value {
    let serving = object::is_ready(pod);
    let terminating = object::is_deleting(pod);
    let publishes = service["spec"]["publishNotReadyAddresses"] == true;
    json!({
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": publishes || (serving && !terminating), "serving": serving, "terminating": terminating},
        "nodeName": NODE,
        "targetRef": {
            "kind": "Pod",
            "namespace": object::namespace(pod),
            "name": object::name(pod),
            "uid": object::uid(pod),
        },
    })
}

fn ports(service: &Value, pod: &Value) -> Value {
    let number = |port: &Value| -> Option<u64> {
        let target = &port["targetPort"];
        if let Some(name) = target.as_str() {
            let containers = list(pod, "/spec/containers").iter();
            return containers
                .flat_map(|container| list(container, "/ports"))
                .find(|port| port["name"] == name)
                .and_then(|port| port["containerPort"].as_u64());
        }
        target.as_u64()
    };
    list(service, "/spec/ports")
        .iter()
        .filter_map(|port| {
            let mut entry = json!({"name": text(port, "/name"), "port": number(port)?, "protocol": port["protocol"]});
            if let Some(protocol) = port.get("appProtocol") {
                entry["appProtocol"] = protocol.clone();
            }
            Some(entry)
        })
        .collect()
}

fn labels(service: &Value, key: &Key) -> Value {
    let mut labels = object::map(service, "/metadata/labels").cloned().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), json!(key.name));
    labels.insert(MANAGED_BY.to_owned(), json!(CONTROLLER));
    if service["spec"]["clusterIP"] == "None" {
        labels.insert("service.kubernetes.io/headless".to_owned(), json!(""));
    }
    Value::Object(labels)
}

fn create(world: &World, key: &Key, service: &Value, ports: &Value, endpoints: &Value) {
    let slice = json!({
        "metadata": {
            "generateName": format!("{}-", key.name),
            "namespace": key.namespace,
            "labels": labels(service, key),
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "Service", "name": key.name, "uid": object::uid(service),
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    });
    // It fails only in a namespace that is being deleted.
    let _ = world
        .store
        .transaction(|transaction| world.create(transaction, *ENDPOINT_SLICES, slice, Write::by(MANAGER, "")));
}
