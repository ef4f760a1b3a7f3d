//! What the server shows, written by the daemon and read by whoever asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Metrics;
use super::health::Health;
use crate::core::book::Book;
use crate::core::ids::{AppName, CommitId};
use crate::core::status::{AppStatus, MessagesStatus, Replica};
use crate::core::text::OneLine;

/// How long an answer waits for git, which a pass may be using: then the page comes without its history.
const LIBRARY_WAIT_MAX: Duration = Duration::from_secs(3);
/// Histories that are kept: those of the apps that people look at, some 20 KiB each.
const BOOKS_MAX: usize = 64;

/// Reads an app's history from git; it blocks. The ids are commits that the page names.
pub type Library = Arc<dyn Fn(&[CommitId]) -> Result<Book, OneLine> + Send + Sync>;

/// The daemon's notice board.
#[derive(Clone)]
pub struct Board {
    shelf: Arc<Mutex<Shelf>>,
    /// Counts changes; with the start's own number it makes the entity tag of everything that is served from here.
    version: Arc<AtomicU64>,
    start: u64,
    libraries: Arc<Mutex<BTreeMap<AppName, Library>>>,
    /// One reader of git at a time: a hundred open pages must not take a hundred threads.
    reading: Arc<Semaphore>,
    health: Arc<Mutex<Health>>,
    /// The counters of `/metrics`.
    pub metrics: Metrics,
    pub(super) hook: Arc<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Shelf {
    apps: BTreeMap<AppName, AppStatus>,
    /// The answer to `GET /api/v1/apps` at a version: most polls find nothing new, and allocate nothing.
    answer: Option<(u64, Bytes)>,
    books: BTreeMap<AppName, (Vec<CommitId>, Arc<Book>)>,
    replica: Option<Replica>,
}

#[derive(Serialize)]
struct Answer<'a> {
    apps: Vec<&'a AppStatus>,
    replica: Option<&'a Replica>,
}

impl Board {
    /// An empty board; `hook` is called for each accepted push hook.
    pub fn new(hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            shelf: Arc::default(),
            version: Arc::default(),
            start: fastrand::u64(..),
            libraries: Arc::default(),
            reading: Arc::new(Semaphore::new(1)),
            health: Arc::default(),
            metrics: Metrics::default(),
            hook: Arc::new(hook),
        }
    }

    /// Shows an app's status.
    pub fn set(&self, mut status: AppStatus) {
        self.metrics.phase(&status);
        let mut shelf = self.shelf();
        // Messages are sent beside the looks: what is known of them is newer.
        if let Some(old) = shelf.apps.get(&status.name) {
            status.messages = old.messages.clone();
        }
        shelf.apps.insert(status.name.clone(), status);
        drop(shelf);
        self.changed();
    }

    /// Shows how an app's messages are doing.
    pub fn set_messages(&self, name: &AppName, messages: MessagesStatus) {
        self.metrics.messages_pending(name.as_str(), messages.pending);
        if let Some(status) = self.shelf().apps.get_mut(name) {
            status.messages = messages;
        }
        self.changed();
    }

    /// Shows which of several replicas this is, and which one acts.
    pub fn set_replica(&self, replica: Replica) {
        self.metrics.leading(replica.leading);
        self.shelf().replica = Some(replica);
        self.changed();
    }

    /// Which of several replicas this is; `None` where it is the only one.
    pub(super) fn replica(&self) -> Option<Replica> {
        self.shelf().replica.clone()
    }

    /// Takes apps away that are not there any more, with their metrics.
    pub fn retain(&self, keep: impl Fn(&AppName) -> bool) {
        let mut shelf = self.shelf();
        let gone: Vec<AppName> = shelf.apps.keys().filter(|name| !keep(name)).cloned().collect();
        for name in &gone {
            shelf.apps.remove(name);
            shelf.books.remove(name);
            self.metrics.forget(name.as_str());
        }
        drop(shelf);
        self.libraries().retain(|name, _| keep(name));
        if !gone.is_empty() {
            self.changed();
        }
    }

    /// An app's status.
    #[must_use]
    pub fn get(&self, name: &AppName) -> Option<AppStatus> {
        self.shelf().apps.get(name).cloned()
    }

    /// All apps, by name.
    #[must_use]
    pub fn all(&self) -> Vec<AppStatus> {
        self.shelf().apps.values().cloned().collect()
    }

    /// Says where an app's history is read.
    pub fn set_library(&self, name: AppName, library: Library) {
        self.libraries().insert(name, library);
    }

    /// What the loop and the outside world say of their health.
    pub fn health<T>(&self, look: impl FnOnce(&mut Health, Instant) -> T) -> T {
        look(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner), Instant::now())
    }

    /// The entity tag of what is shown now.
    pub(super) fn tag(&self) -> String {
        format!("\"{:x}-{:x}\"", self.start, self.version.load(Ordering::Acquire))
    }

    /// The answer to `GET /api/v1/apps`.
    pub(super) fn apps_json(&self) -> Result<Bytes, serde_json::Error> {
        let version = self.version.load(Ordering::Acquire);
        let mut shelf = self.shelf();
        if let Some((at, bytes)) = &shelf.answer
            && *at == version
        {
            return Ok(bytes.clone());
        }
        let bytes = Bytes::from(serde_json::to_vec(&Answer {
            apps: shelf.apps.values().collect(),
            replica: shelf.replica.as_ref(),
        })?);
        shelf.answer = Some((version, bytes.clone()));
        Ok(bytes)
    }

    /// An app's history, read anew where HEAD or a revision is another one than last time. `None` where git did not
    /// answer in time: what is not known is left out, a page never waits for a release.
    pub(super) async fn book(&self, status: &AppStatus) -> Option<Arc<Book>> {
        let asked = asked(status);
        let known = |board: &Self| {
            let shelf = board.shelf();
            shelf.books.get(&status.name).filter(|(of, _)| *of == asked).map(|(_, book)| Arc::clone(book))
        };
        if let Some(book) = known(self) {
            return Some(book);
        }
        let library = self.libraries().get(&status.name).cloned()?;
        let read = async {
            let turn = Arc::clone(&self.reading).acquire_owned().await.ok()?;
            if let Some(book) = known(self) {
                return Some(book);
            }
            let ids = asked.clone();
            // The turn goes with the thread: a reader that nobody waits for any more still holds back the next one.
            let reader = tokio::task::spawn_blocking(move || {
                let book = library(&ids);
                drop(turn);
                book
            });
            match reader.await.ok()? {
                Ok(book) => {
                    let book = Arc::new(book);
                    let mut shelf = self.shelf();
                    if shelf.books.len() >= BOOKS_MAX {
                        shelf.books.clear();
                    }
                    shelf.books.insert(status.name.clone(), (asked.clone(), Arc::clone(&book)));
                    Some(book)
                }
                Err(words) => {
                    tracing::debug!(app = %status.name, "the history cannot be read: {words}");
                    None
                }
            }
        };
        tokio::time::timeout(LIBRARY_WAIT_MAX, read).await.ok().flatten()
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn libraries(&self) -> MutexGuard<'_, BTreeMap<AppName, Library>> {
        self.libraries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// HEAD and every revision that the status names: the book holds for as long as they are the same.
fn asked(status: &AppStatus) -> Vec<CommitId> {
    let colours = status.colours.iter().filter_map(|(_, colour)| colour.revision.clone());
    let others = [
        status.head.clone(),
        status.candidate.as_ref().map(|candidate| candidate.revision.clone()),
        status.verdict.as_ref().map(|verdict| verdict.revision.clone()),
    ];
    colours.chain(others.into_iter().flatten()).collect()
}
