//! The node: runs a task for each pod, and writes what a kubelet writes.

mod container;
mod environment;
mod pod;
mod probes;
pub(crate) use probes::port;
mod status;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::object::{self, text};
use crate::resources::{NODES, PODS};
use crate::store::{Key, Scope};
use crate::world::World;
use crate::writes::Write;

/// The one node.
pub(crate) const NODE: &str = "sandbox";

/// Pods that the node takes. Each costs a listener, some tasks and a few kilobytes.
const PODS_MAX: u32 = 1_000;

/// Follows the pods until the sandbox stops: starts a task for each that is new, and ends it when the object is gone.
pub(crate) async fn run(world: Arc<World>) {
    register_node(&world);
    let mut tip = world.store.listen(Scope::of(*PODS, None));
    let mut seen = 0;
    let mut running: HashMap<String, CancellationToken> = HashMap::new();
    loop {
        let pods: Vec<(Key, String, Option<Arc<Value>>)> = match world.store.changes_of(*PODS, None, seen) {
            Some((version, changes)) => {
                seen = version;
                changes
                    .into_iter()
                    .filter_map(|change| {
                        let uid = object::uid(change.new.as_ref().or(change.old.as_ref())?).to_owned();
                        Some((change.key, uid, change.new))
                    })
                    .collect()
            }
            None => {
                let (version, pods) = world.store.list(*PODS, None);
                seen = version;
                running.retain(|uid, kill| {
                    let is_there = pods.iter().any(|pod| object::uid(pod) == uid);
                    if !is_there {
                        kill.cancel();
                    }
                    is_there
                });
                pods.into_iter().map(|pod| (Key::of(*PODS, &pod), object::uid(&pod).to_owned(), Some(pod))).collect()
            }
        };
        for (key, uid, pod) in pods {
            match pod {
                None => {
                    if let Some(kill) = running.remove(&uid) {
                        kill.cancel();
                    }
                }
                Some(pod) if !running.contains_key(&uid) && is_ours(&pod) && !is_placed(&world, &pod) => {
                    leave_pending(&world, &key, &pod);
                }
                Some(pod) if !running.contains_key(&uid) && is_ours(&pod) => {
                    let kill = world.stop.child_token();
                    running.insert(uid, kill.clone());
                    world.tasks.spawn(pod::run(Arc::clone(&world), key, pod, kill));
                }
                Some(_) => (),
            }
        }
        tokio::select! {
            () = world.stop.cancelled() => break,
            changed = tip.changed() => if changed.is_err() { break },
        }
    }
}

fn is_ours(pod: &Value) -> bool {
    let node = text(pod, "/spec/nodeName");
    (node.is_empty() || node == NODE)
        && text(pod, "/spec/schedulerName") == "default-scheduler"
        && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
        && !object::is_deleting(pod)
}

/// Whether a pod's `nodeSelector` and `nodeName` allow a node. Affinities are not read.
pub(crate) fn fits(spec: &Value, node: &Value) -> bool {
    let labels = object::map(node, "/metadata/labels");
    let selector = object::map(spec, "/nodeSelector").into_iter().flatten();
    let named = text(spec, "/nodeName");
    (named.is_empty() || named == object::name(node))
        && selector.into_iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

fn is_placed(world: &World, pod: &Value) -> bool {
    let (_, nodes) = world.store.list(*NODES, None);
    nodes.iter().any(|node| fits(&pod["spec"], node))
}

/// No node for a pod: it says so, once, and waits.
fn leave_pending(world: &World, key: &Key, pod: &Value) {
    if object::condition(pod, "PodScheduled").is_some() {
        return;
    }
    let message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.";
    let now = world.options.clock.seconds();
    world.edit(key, Write::by("kube-scheduler", "status"), |pod| {
        pod["status"]["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastProbeTime": null, "lastTransitionTime": now,
        }]);
        true
    });
    world.event(pod, "default-scheduler", "Warning", "FailedScheduling", message);
}

fn register_node(world: &World) {
    let now = world.options.clock.seconds();
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        })
    };
    let resources = json!({"cpu": "8", "memory": "16Gi", "pods": PODS_MAX.to_string(), "ephemeral-storage": "100Gi"});
    let node = json!({
        "metadata": {
            "name": NODE,
            "labels": {
                "kubernetes.io/hostname": NODE,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node-role.kubernetes.io/control-plane": "",
            },
        },
        "spec": {},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": NODE},
            ],
            "allocatable": resources,
            "capacity": resources,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            ],
            "nodeInfo": {
                "kubeletVersion": crate::api::VERSION,
                "kubeProxyVersion": "",
                "containerRuntimeVersion": "sandbox://1",
                "osImage": "turquoise sandbox",
                "kernelVersion": "",
                "operatingSystem": "linux",
                "architecture": "amd64",
                "machineID": "", "systemUUID": "", "bootID": "",
            },
        },
    });
    // A second node of this name can't be there: the store is new.
    let _ = world.store.transaction(|transaction| world.create(transaction, *NODES, node, Write::by("kubelet", "")));
}
