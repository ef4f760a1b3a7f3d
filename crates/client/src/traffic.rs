//! The workers that ask all the time.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::ask::{Answer, Target};
use crate::tally::{Asked, Kind, Summary, Tally};

/// Half of the workers open a connection for each request, half keep theirs. One that waits for a slow answer holds up
/// an eighth of the requests and no more.
const WORKERS: u32 = 8;
/// An answer that takes longer is a failed request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What to ask, how often, and where the log goes.
pub struct Options {
    /// Where the Service listens.
    pub address: SocketAddr,
    /// The name it is asked by.
    pub host: String,
    /// The path of the many short requests.
    pub path: String,
    /// Short requests a second in all, at least one.
    pub per_second: u32,
    /// How long the long request takes: one is always under way, `/slow?ms=N`. None: there is no such request.
    pub long: Option<Duration>,
    /// Where each answer is logged, if anywhere.
    pub log: Option<Box<dyn Write + Send>>,
    /// The clock for the log's times.
    pub now: fn() -> Timestamp,
}

impl Options {
    /// Asks `/` of an address 250 times a second; no long request, no log.
    pub fn new(address: SocketAddr, now: fn() -> Timestamp) -> Self {
        let (host, path) = (address.to_string(), "/".to_owned());
        Self { address, host, path, per_second: 250, long: None, log: None, now }
    }
}

struct Shared {
    target: Target,
    path: String,
    now: fn() -> Timestamp,
    stop: AtomicBool,
    tally: Mutex<Tally>,
    log: Option<Mutex<Box<dyn Write + Send>>>,
}

/// The running client. It ends when it is dropped, too, but then without an answer to what is under way.
pub struct Traffic {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
    started: Instant,
}

impl Traffic {
    /// Starts to ask, on the runtime that this is called from.
    pub fn start(options: Options) -> Self {
        let Options { address, host, path, per_second, long, log, now } = options;
        let shared = Arc::new(Shared {
            target: Target { address, host, timeout: TIMEOUT },
            path,
            now,
            stop: AtomicBool::new(false),
            tally: Mutex::default(),
            log: log.map(Mutex::new),
        });
        let every = Duration::from_secs(1) * WORKERS / per_second.max(1);
        let mut workers = JoinSet::new();
        for worker in 0..WORKERS {
            let first = every * worker / WORKERS;
            let kind = if worker % 2 == 0 { Kind::New } else { Kind::Kept };
            workers.spawn(work(Arc::clone(&shared), kind, first, every));
        }
        if let Some(long) = long {
            workers.spawn(work_long(Arc::clone(&shared), long));
        }
        Self { shared, workers, started: Instant::now() }
    }

    /// How many requests were answered or given up until now.
    pub fn sent(&self) -> u64 {
        lock(&self.shared.tally).sent()
    }

    /// What was seen until now.
    pub fn summary(&self) -> Summary {
        lock(&self.shared.tally).summary(self.started.elapsed())
    }

    /// Ends the client after the answers that are under way, the long one included, and gives what it saw.
    ///
    /// # Errors
    /// The log can't be written.
    pub async fn stop(mut self) -> std::io::Result<Summary> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ran = self.started.elapsed();
        while self.workers.join_next().await.is_some() {}
        if let Some(log) = &self.shared.log {
            lock(log).flush()?;
        }
        Ok(lock(&self.shared.tally).summary(ran))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn work(shared: Arc<Shared>, kind: Kind, first: Duration, every: Duration) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + first, every);
    // After a slow answer the rate goes on; there is no burst to catch up.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept = None;
    loop {
        ticks.tick().await;
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let sent = Instant::now();
        let outcome = match kind {
            Kind::Kept => shared.target.ask_kept(&shared.path, &mut kept).await,
            Kind::New | Kind::Long => shared.target.ask_once(&shared.path, Duration::ZERO).await,
        };
        shared.note(kind, sent, outcome);
    }
}

async fn work_long(shared: Arc<Shared>, long: Duration) {
    let path = format!("/slow?ms={}", long.as_millis());
    // One that fails at once must not be repeated without a pause.
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let sent = Instant::now();
        let outcome = shared.target.ask_once(&path, long).await;
        shared.note(Kind::Long, sent, outcome);
    }
}

impl Shared {
    fn note(&self, kind: Kind, sent: Instant, outcome: Result<Answer, String>) {
        let asked = Asked { kind, sent, took: sent.elapsed(), at: (self.now)(), outcome };
        if let Some(log) = &self.log {
            // The log is for people; a full disk fails when it is flushed at the end, and the count goes on.
            let _full = writeln!(lock(log), "{}", asked.line());
        }
        lock(&self.tally).note(&asked);
    }
}
