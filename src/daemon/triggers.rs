//! Everything that may say "look again".

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt};
use notify::{RecursiveMode, Watcher};

use super::inbox::{Inbox, Trigger};
use crate::cluster::{self, Cluster, Touched};
use crate::core::ids::{AppName, RepoName};

/// Polls of many daemons must not fall on one moment: each is up to a tenth later.
const JITTER_DIVISOR: u32 = 10;
/// Events of one change come in bursts (a rollout touches a dozen objects): one look for all that come in this time.
const BURST: Duration = Duration::from_millis(5);

/// Whether this process runs as a pod: Services' addresses can be reached.
pub(super) fn in_cluster() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// Asks git every now and then, whatever the watches say.
pub(super) async fn poll(repo: RepoName, every: Duration, inbox: Inbox) {
    loop {
        let jitter = every.checked_div(JITTER_DIVISOR).unwrap_or_default().mul_f64(fastrand::f64());
        tokio::time::sleep(every + jitter).await;
        inbox.put(Trigger::Git(repo.clone()));
    }
}

/// Watches folders, all of them through one descriptor and one thread. Without it, polling finds the same, later.
pub(super) struct Folders {
    watcher: Option<notify::RecommendedWatcher>,
    watched: Arc<Mutex<Vec<Folder>>>,
}

struct Folder {
    path: PathBuf,
    /// The one file that counts in it; `None`: all of them.
    only: Option<OsString>,
    says: Trigger,
}

impl Folder {
    /// Whether a change of a path is one of what is watched here.
    fn holds(&self, path: &Path) -> bool {
        // The files of a mounted ConfigMap change by one link beside them.
        let counts = |only: &OsString| path.file_name().is_some_and(|name| name == only || name == "..data");
        path.starts_with(&self.path) && self.only.as_ref().is_none_or(counts)
    }
}

impl Folders {
    pub(super) fn new(inbox: Inbox) -> Self {
        let watched: Arc<Mutex<Vec<Folder>>> = Arc::default();
        let known = Arc::clone(&watched);
        let on_event = move |event: notify::Result<notify::Event>| {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                Ok(event) if event.kind.is_access() => {}
                Ok(event) if !event.need_rescan() => {
                    let concerned = |folder: &&Folder| event.paths.iter().any(|path| folder.holds(path));
                    known.iter().filter(concerned).for_each(|folder| inbox.put(folder.says.clone()));
                }
                // Events were lost: it may be any of them.
                Ok(_) | Err(_) => known.iter().for_each(|folder| inbox.put(folder.says.clone())),
            }
        };
        let watcher = notify::recommended_watcher(on_event);
        if let Err(error) = &watcher {
            tracing::warn!("failed to watch files, polling only: {error}");
        }
        Self { watcher: watcher.ok(), watched }
    }

    /// Watches a folder with all below it.
    pub(super) fn add(&mut self, folder: &Path, says: Trigger) {
        self.watch(folder, RecursiveMode::Recursive, None, says);
    }

    /// Watches one file, by its folder: files are replaced rather than written.
    pub(super) fn add_file(&mut self, file: &Path, says: Trigger) {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.watch(folder, RecursiveMode::NonRecursive, file.file_name().map(OsString::from), says);
    }

    fn watch(&mut self, folder: &Path, mode: RecursiveMode, only: Option<OsString>, says: Trigger) {
        let Some(watcher) = &mut self.watcher else { return };
        let added = folder.canonicalize().map_err(notify::Error::io).and_then(|path| {
            watcher.watch(&path, mode)?;
            Ok(path)
        });
        match added {
            Ok(path) => {
                let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
                watched.push(Folder { path, only, says });
            }
            Err(error) => tracing::warn!("failed to watch {}, polling only: {error}", folder.display()),
        }
    }

    /// Stops watching what says this.
    pub(super) fn remove(&mut self, trigger: &Trigger) {
        // The lock is let go first: the watcher's thread may be in the middle of an event, which takes it too.
        let gone: Vec<Folder> = {
            let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            let gone: Vec<Folder> = watched.extract_if(.., |folder| folder.says == *trigger).collect();
            // Another branch of the same repository may be watched on.
            gone.into_iter().filter(|folder| !watched.iter().any(|other| other.path == folder.path)).collect()
        };
        for folder in gone {
            if let Some(watcher) = &mut self.watcher {
                // One that is gone is watched no more in any case.
                let _gone_already = watcher.unwatch(&folder.path);
            }
        }
    }
}

/// Watches a namespace.
pub(super) async fn watch_namespace(cluster: Cluster, namespace: String, inbox: Inbox) {
    forward(cluster::watch_namespace(&cluster, &namespace), &namespace, &inbox).await;
}

/// Watches one more kind of the apps' objects in a namespace.
pub(super) async fn watch_kind(cluster: Cluster, namespace: String, kind: (String, String), inbox: Inbox) {
    if let Some(events) = cluster::watch_kind(&cluster, &namespace, (&kind.0, &kind.1)).await {
        forward(events, &namespace, &inbox).await;
    }
}

async fn forward(events: impl Stream<Item = Touched>, namespace: &str, inbox: &Inbox) {
    tokio::pin!(events);
    while let Some(first) = events.next().await {
        tokio::time::sleep(BURST).await;
        let mut next = Some(first);
        while let Some(touched) = next {
            inbox.put(match touched {
                Touched::App(app) => Trigger::App(AppName::new(app)),
                Touched::Named(name) => Trigger::Named { namespace: namespace.to_owned(), name },
                Touched::Anything => Trigger::Namespace(namespace.to_owned()),
            });
            next = events.next().now_or_never().flatten();
        }
    }
}

/// SIGHUP asks that the configuration file be read again.
pub(super) async fn hang_ups(inbox: Inbox) {
    #[cfg(unix)]
    if let Ok(mut signals) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
        while signals.recv().await.is_some() {
            inbox.put(Trigger::Configuration);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far longer than an event takes; it is waited for only where none comes.
    const EVENT_MAX: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_folder_that_two_repositories_share_is_watched_until_the_last_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let inbox = Inbox::default();
        let mut folders = Folders::new(inbox.clone());
        let [main, staging] = ["main", "staging"].map(|name| Trigger::Git(RepoName::new(name)));
        folders.add(folder.path(), main.clone());
        folders.add(folder.path(), staging.clone());
        folders.remove(&main);
        std::fs::write(folder.path().join("HEAD"), "moved").expect("a file");
        let heard = tokio::time::timeout(EVENT_MAX, inbox.take()).await.expect("an event");
        assert_eq!(heard.into_iter().collect::<Vec<_>>(), [staging]);
    }
}
