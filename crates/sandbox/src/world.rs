//! What every part of the sandbox shares.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::faults::Faults;
use crate::network::addresses::Addresses;
use crate::object::{self, text};
use crate::options::Options;
use crate::resources::{EVENTS, SERVICES};
use crate::store::{Key, Store};
use crate::writes::Write;

/// Events kept; a busy test writes some hundreds, and nobody reads older ones.
const EVENTS_MAX: usize = 1_000;

/// How many of the newest events are looked at for a repetition; a pod's back-off and probes repeat well within them.
const REPEATS_AMONG: usize = 100;

/// Log lines kept of one container; the last words are among them.
const LOG_LINES_MAX: usize = 200;

/// The sandbox's inside.
pub(crate) struct World {
    pub(crate) store: Arc<Store>,
    pub(crate) options: Options,
    pub(crate) faults: Faults,
    pub(crate) addresses: Addresses,
    pub(crate) logs: Logs,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    uids: AtomicU64,
    seed: u64,
    events: Mutex<VecDeque<Key>>,
}

impl World {
    pub(crate) fn new(options: Options) -> Arc<World> {
        let store = Arc::new(Store::new());
        Arc::new(World {
            faults: Faults::new(Arc::clone(&store)),
            store,
            options,
            addresses: Addresses::new(),
            logs: Logs::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            uids: AtomicU64::new(0),
            seed: fastrand::u64(..),
            events: Mutex::default(),
        })
    }

    /// A uid that no other object of this or another sandbox has.
    pub(crate) fn uid(&self) -> String {
        let count = self.uids.fetch_add(1, Ordering::Relaxed);
        let (high, low) = (self.seed, fastrand::u64(..));
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low & 0xfff,
            ((low >> 12) & 0xffff) << 32 | (count & 0xffff_ffff),
        )
    }

    /// Changes an object if it is still there; `change` says whether there is anything to change.
    pub(crate) fn edit(
        &self,
        key: &Key,
        write: Write<'_>,
        change: impl FnOnce(&mut Value) -> bool,
    ) -> Option<Arc<Value>> {
        self.store.transaction(|transaction| {
            let old = transaction.get(key)?;
            let mut new = Value::clone(&old);
            if !change(&mut new) {
                return Some(old);
            }
            self.replace(transaction, key, &old, new, write).ok()
        })
    }

    /// Writes an event about an object, or counts it up if it was written before.
    pub(crate) fn event(&self, about: &Value, component: &str, kind: &str, reason: &str, message: &str) {
        let namespace = match object::namespace(about) {
            "" => "default",
            namespace => namespace,
        };
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.options.clock.seconds();
        self.store.transaction(|transaction| {
            let known = events.iter().rev().take(REPEATS_AMONG).find(|key| {
                transaction.get(key).is_some_and(|event| {
                    event["involvedObject"]["uid"] == about["metadata"]["uid"]
                        && event["reason"] == reason
                        && event["message"] == message
                })
            });
            if let Some(key) = known
                && let Some(event) = transaction.get(key)
            {
                let mut event = Value::clone(&event);
                event["count"] = json!(object::int(&event, "/count").unwrap_or(1) + 1);
                event["lastTimestamp"] = json!(now);
                transaction.put(key, event);
                return;
            }
            let name = format!("{}.{:016x}", object::name(about), fastrand::u64(..));
            let event = json!({
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "uid": self.uid(),
                    "creationTimestamp": now,
                },
                "involvedObject": {
                    "apiVersion": about["apiVersion"],
                    "kind": about["kind"],
                    "name": object::name(about),
                    "namespace": object::namespace(about),
                    "uid": object::uid(about),
                    "resourceVersion": object::resource_version(about),
                },
                "reason": reason,
                "message": message,
                "type": kind,
                "count": 1,
                "firstTimestamp": now,
                "lastTimestamp": now,
                "source": {"component": component},
                "reportingComponent": component,
                "reportingInstance": "",
                "eventTime": null,
            });
            let key = Key::new(*EVENTS, namespace, name);
            transaction.put(&key, event);
            events.push_back(key);
            if events.len() > EVENTS_MAX
                && let Some(oldest) = events.pop_front()
            {
                transaction.remove(&oldest);
            }
        });
    }

    /// The address of a Service's name as a pod in `namespace` sees it: `name`, `name.ns`, `name.ns.svc`, or in full.
    pub(crate) fn resolve(&self, namespace: &str, host: &str) -> Option<IpAddr> {
        let host = host.trim_end_matches('.');
        let short = host.strip_suffix(".cluster.local").unwrap_or(host);
        let short = short.strip_suffix(".svc").unwrap_or(short);
        let (name, namespace) = short.split_once('.').unwrap_or((short, namespace));
        if host == "localhost" {
            return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let service = self.store.get(&Key::new(*SERVICES, namespace, name))?;
        if text(&service, "/spec/clusterIP") == "None" {
            let backends = crate::network::endpoints_of(&self.store, namespace, name);
            return backends.into_iter().find(|endpoint| endpoint.ready).map(|endpoint| IpAddr::V4(endpoint.address));
        }
        text(&service, "/spec/clusterIP").parse().ok()
    }
}

/// The containers' log lines, by namespace, pod and container.
#[derive(Default)]
pub(crate) struct Logs {
    lines: Mutex<HashMap<(String, String, String), Log>>,
}

#[derive(Default)]
struct Log {
    lines: VecDeque<(String, String)>,
    previous: VecDeque<(String, String)>,
    written: u64,
}

impl Logs {
    /// Adds a line with its time.
    pub(crate) fn push(&self, pod: &Key, container: &str, at: String, line: &str) {
        let mut logs = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let log = logs.entry(place(pod, container)).or_default();
        log.lines.push_back((at, line.to_owned()));
        log.written += 1;
        if log.lines.len() > LOG_LINES_MAX {
            log.lines.pop_front();
        }
    }

    /// A container starts again: what it wrote is the previous run's.
    pub(crate) fn rotate(&self, pod: &Key, container: &str) {
        let mut logs = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = logs.get_mut(&place(pod, container)) {
            log.previous = std::mem::take(&mut log.lines);
        }
    }

    /// The lines of this run or of the one before, and how many there ever were.
    pub(crate) fn read(&self, pod: &Key, container: &str, previous: bool) -> (Vec<(String, String)>, u64) {
        let logs = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(log) = logs.get(&place(pod, container)) else { return (Vec::new(), 0) };
        let lines = if previous { &log.previous } else { &log.lines };
        (lines.iter().cloned().collect(), log.written)
    }

    /// The pod is gone.
    pub(crate) fn forget(&self, pod: &Key) {
        let mut logs = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        logs.retain(|(namespace, name, _), _| *namespace != pod.namespace || *name != pod.name);
    }
}

fn place(pod: &Key, container: &str) -> (String, String, String) {
    (pod.namespace.clone(), pod.name.clone(), container.to_owned())
}
