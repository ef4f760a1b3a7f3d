//! Everything that may say "look again".

use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt;
use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::schedule::Event;
use crate::cluster::{self, Cluster};

/// Polls of many daemons must not fall on one moment: each is up to a tenth later.
const JITTER_DIVISOR: u32 = 10;
/// Events of one change come in bursts (a rollout touches a dozen objects): one look for all that come in this time.
const BURST: Duration = Duration::from_millis(5);

/// Whether this process runs as a pod: Services' addresses can be reached.
pub(super) fn in_cluster() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// Hands a trigger to the loop. A full queue holds triggers enough: all of them say the same.
pub(super) fn send(trigger: &mpsc::Sender<Event>, event: Event) {
    if trigger.try_send(event).is_err() {
        tracing::debug!("the queue of triggers is full, or the daemon is stopping");
    }
}

/// Asks git every now and then, whatever the watches say.
pub(super) async fn poll(every: Duration, trigger: mpsc::Sender<Event>) {
    loop {
        let jitter = every.checked_div(JITTER_DIVISOR).unwrap_or_default().mul_f64(fastrand::f64());
        tokio::time::sleep(every + jitter).await;
        send(&trigger, Event::GitTouched);
    }
}

/// Watches a local repository's refs. Without it, polling finds the same, later.
pub(super) fn watch_repo(path: Option<PathBuf>, trigger: mpsc::Sender<Event>) -> Option<notify::RecommendedWatcher> {
    let path = path?;
    let on_event = move |event: notify::Result<notify::Event>| {
        let reads_only = event.is_ok_and(|event| event.kind.is_access());
        if !reads_only {
            send(&trigger, Event::GitTouched);
        }
    };
    let watcher = notify::recommended_watcher(on_event).and_then(|mut watcher| {
        watcher.watch(&path, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    match watcher {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!("failed to watch the repository, polling only: {error}");
            None
        }
    }
}

/// Watches a namespace.
pub(super) async fn watch_namespace(cluster: Cluster, namespace: String, trigger: mpsc::Sender<Event>) {
    let events = cluster::watch_namespace(&cluster, &namespace);
    tokio::pin!(events);
    while events.next().await.is_some() {
        tokio::time::sleep(BURST).await;
        while futures::FutureExt::now_or_never(events.next()).flatten().is_some() {}
        send(&trigger, Event::ClusterTouched);
    }
}
