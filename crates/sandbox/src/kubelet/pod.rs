//! One pod's life: bound, started, watched, told to stop, gone.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::kubelet::container::{self, ContainerState};
use crate::kubelet::{NODE, status};
use crate::object::{self, list, text};
use crate::store::{Key, Scope};
use crate::world::World;
use crate::writes::{Deletion, Write};

/// Far enough away never to come.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a pod's containers and its own task share.
pub(crate) struct Shared {
    pub(crate) world: Arc<World>,
    pub(crate) key: Key,
    pub(crate) address: Ipv4Addr,
    pub(crate) states: Mutex<BTreeMap<String, ContainerState>>,
    /// Told after each change of a state.
    pub(crate) changed: Notify,
    /// Set once the pod is told to stop: the time until which it may take.
    pub(crate) stopping: watch::Sender<Option<Instant>>,
}

impl Shared {
    /// Changes a container's state, and tells the pod.
    pub(crate) fn update(&self, container: &str, change: impl FnOnce(&mut ContainerState)) {
        change(self.states().entry(container.to_owned()).or_default());
        self.changed.notify_one();
    }

    pub(crate) fn states(&self) -> MutexGuard<'_, BTreeMap<String, ContainerState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pod as it is now.
    pub(crate) fn pod(&self) -> Option<Arc<Value>> {
        self.world.store.get(&self.key)
    }
}

/// Runs a pod until its object is gone (`kill`), or it was deleted and has stopped, or all its containers ended for good.
pub(crate) async fn run(world: Arc<World>, key: Key, pod: Arc<Value>, kill: CancellationToken) {
    let Some(address) = world.addresses.pod() else {
        world.event(
            &pod,
            "default-scheduler",
            "Warning",
            "FailedScheduling",
            "0/1 nodes are available: 1 Too many pods.",
        );
        return;
    };
    bind(&world, &key, &pod);
    let shared = Arc::new(Shared {
        world: Arc::clone(&world),
        key,
        address,
        states: Mutex::default(),
        changed: Notify::new(),
        stopping: watch::Sender::new(None),
    });
    let mut containers = JoinSet::new();
    for spec in list(&pod, "/spec/containers") {
        shared.update(text(spec, "/name"), |_| ());
        containers.spawn(container::run(Arc::clone(&shared), Arc::clone(&pod), spec.clone()));
    }
    shared.write_status(&pod);
    let uid = object::uid(&pod).to_owned();
    tokio::select! {
        () = kill.cancelled() => (),
        () = attend(&shared, &pod, &mut containers) => (),
    }
    containers.shutdown().await;
    world.addresses.release_pod(address);
    let is_deleting = shared.pod().is_some_and(|pod| object::is_deleting(&pod) && object::uid(&pod) == uid);
    if is_deleting && !kill.is_cancelled() {
        let deletion = Deletion { grace_seconds: Some(0), uid: Some(uid), ..Deletion::default() };
        // Somebody else may have deleted it by force in the meantime.
        let _ = world.store.transaction(|transaction| world.delete(transaction, &shared.key, &deletion));
    }
}

/// Writes the status after each change, and stops the containers once the pod is deleted.
async fn attend(shared: &Shared, pod: &Value, containers: &mut JoinSet<()>) {
    let mut tip = shared.world.store.listen(Scope::Object(shared.key.clone()));
    // It may have been deleted before this.
    tip.mark_changed();
    let mut killed_at: Option<Instant> = None;
    let mut version = String::new();
    loop {
        let end = killed_at.unwrap_or_else(|| Instant::now() + NEVER);
        tokio::select! {
            () = shared.changed.notified() => shared.write_status(pod),
            changed = tip.changed() => {
                let Some(now) = shared.pod() else { return };
                if changed.is_err() {
                    return;
                }
                if object::resource_version(&now) != version && object::is_deleting(&now) {
                    let grace = object::int(&now, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
                    let due = Instant::now() + Duration::from_secs(u64::try_from(grace).unwrap_or(0));
                    if killed_at.is_none_or(|known| due < known) {
                        let first = killed_at.is_none();
                        killed_at = Some(due);
                        shared.stopping.send_replace(Some(due));
                        if first {
                            for spec in list(pod, "/spec/containers") {
                                let message = format!("Stopping container {}", text(spec, "/name"));
                                shared.world.event(pod, "kubelet", "Normal", "Killing", &message);
                            }
                        }
                    }
                }
                version = object::resource_version(&now).to_owned();
            }
            () = sleep_until(end) => return,
            ended = containers.join_next() => {
                if ended.is_none() || containers.is_empty() {
                    shared.write_status(pod);
                    return;
                }
            }
        }
    }
}

impl Shared {
    fn write_status(&self, pod: &Value) {
        let now = self.world.options.clock.seconds();
        let states = self.states().clone();
        let address = self.address.to_string();
        self.world.edit(&self.key, Write::by("kubelet", "status"), |current| {
            if object::uid(current) != object::uid(pod) {
                return false;
            }
            let mut new = status::of(current, &states, &address, &now);
            status::keep_transition_times(&current["status"], &mut new, &now);
            if current["status"] == new {
                return false;
            }
            current["status"] = new;
            true
        });
    }
}

/// What the scheduler does.
fn bind(world: &World, key: &Key, pod: &Value) {
    // A binding is not tracked in managed fields.
    let write = Write { is_applied: true, ..Write::by("kube-scheduler", "binding") };
    world.edit(key, write, |pod| {
        if text(pod, "/spec/nodeName") == NODE {
            return false;
        }
        pod["spec"]["nodeName"] = json!(NODE);
        pod["status"]["phase"] = json!("Pending");
        pod["status"]["conditions"] = json!([{
            "type": "PodScheduled", "status": "True", "lastProbeTime": null,
            "lastTransitionTime": world.options.clock.seconds(),
        }]);
        true
    });
    let message = format!("Successfully assigned {}/{} to {NODE}", key.namespace, key.name);
    world.event(pod, "default-scheduler", "Normal", "Scheduled", &message);
}
