//! The demo's test client: it asks the live Service all the time, half of it over new connections, half over kept ones,
//! and logs each answer.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;

use crate::daemon::clock;

/// Workers: half of them open a connection for each request, half keep theirs.
const WORKERS: usize = 8;
/// The pause of a worker between two requests: eight of them make about a thousand requests a second.
const PAUSE: Duration = Duration::from_millis(6);
/// An answer that takes longer is a failed request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Failures that are kept in words.
const FAILURES_KEPT: usize = 5;

/// What the client saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Requests that were sent.
    pub(super) sent: u64,
    /// Requests without an answer, with a status that is no success, or with errors in the answer.
    pub(super) failed: u64,
    /// Answers in which the two tiers' versions differ.
    pub(super) mixed: u64,
    /// Requests over new connections that saw the old version although another had seen the new one before.
    pub(super) went_back: u64,
    /// Answers by version.
    pub(super) versions: BTreeMap<String, u64>,
    /// The first failures, in words.
    pub(super) failures: Vec<String>,
}

struct Shared {
    tally: Mutex<Tally>,
    expected: Mutex<Expected>,
    log: Mutex<std::io::BufWriter<std::fs::File>>,
    sent: AtomicU64,
    stop: AtomicBool,
}

/// The version that traffic moves to, and when a new connection first saw it.
#[derive(Default)]
struct Expected {
    version: String,
    seen_at: Option<Instant>,
}

/// The running client.
pub(super) struct Client {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
    log: PathBuf,
}

impl Client {
    /// A client that asks nobody yet.
    pub(super) fn new(log: &Path) -> std::io::Result<Self> {
        let shared = Shared {
            tally: Mutex::default(),
            expected: Mutex::default(),
            log: Mutex::new(std::io::BufWriter::new(std::fs::File::create(log)?)),
            sent: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared), workers: JoinSet::new(), log: log.to_path_buf() })
    }

    /// Where each answer is logged.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Starts to ask.
    pub(super) fn start(&mut self, address: SocketAddr) -> Result<(), reqwest::Error> {
        for worker in 0..WORKERS {
            let keeps = worker % 2 == 0;
            let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
            let http = if keeps { http.pool_max_idle_per_host(1) } else { http.pool_max_idle_per_host(0) }.build()?;
            self.workers.spawn(work(Arc::clone(&self.shared), http, format!("http://{address}/"), keeps));
        }
        Ok(())
    }

    /// From now on traffic moves to that version, once.
    pub(super) fn expect(&self, version: &str) {
        *lock(&self.shared.expected) = Expected { version: version.to_owned(), seen_at: None };
    }

    /// How many requests were sent.
    pub(super) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Ends the client and gives what it saw.
    pub(super) async fn stop(mut self) -> std::io::Result<Tally> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while self.workers.join_next().await.is_some() {}
        lock(&self.shared.log).flush()?;
        Ok(lock(&self.shared.tally).clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn work(shared: Arc<Shared>, http: reqwest::Client, url: String, keeps: bool) {
    while !shared.stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let answer = ask(&http, &url).await;
        shared.sent.fetch_add(1, Ordering::Relaxed);
        shared.note(&answer, start, keeps);
        tokio::time::sleep(PAUSE).await;
    }
}

/// What came back: the status and the answer, or what happened instead.
async fn ask(http: &reqwest::Client, url: &str) -> Result<(u16, Value), String> {
    let response = http.get(url).send().await.map_err(|error| format!("{error:?}"))?;
    let status = response.status().as_u16();
    let body = response.bytes().await.map_err(|error| format!("{error:?}"))?;
    let answer = serde_json::from_slice(&body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body)));
    Ok((status, answer))
}

impl Shared {
    fn note(&self, answer: &Result<(u16, Value), String>, start: Instant, keeps: bool) {
        let seconds = start.elapsed().as_secs_f64();
        let line = match answer {
            Ok((_, answer)) => format!("[{}] {answer} in {seconds:.4}s", clock::now()),
            Err(error) => format!("[{}] {error} in {seconds:.4}s", clock::now()),
        };
        // The log is for people; the tally is what counts.
        let _disk_full = writeln!(lock(&self.log), "{line}");
        let mut tally = lock(&self.tally);
        tally.sent += 1;
        let good = match answer {
            Ok((200, answer)) => {
                let version = answer["version"].as_str().unwrap_or_default();
                *tally.versions.entry(version.to_owned()).or_default() += 1;
                tally.mixed += u64::from(answer["backend"].as_str() != Some(version));
                tally.went_back += u64::from(!keeps && self.is_old(version, start));
                answer["errors"].as_array().is_some_and(Vec::is_empty)
            }
            Ok((_, _)) | Err(_) => false,
        };
        if !good {
            tally.failed += 1;
            if tally.failures.len() < FAILURES_KEPT {
                tally.failures.push(line);
            }
        }
    }

    /// Whether a request over a new connection saw another version although one before it had seen the expected one.
    fn is_old(&self, version: &str, start: Instant) -> bool {
        let mut expected = lock(&self.expected);
        if version == expected.version {
            expected.seen_at.get_or_insert_with(Instant::now);
            return false;
        }
        expected.seen_at.is_some_and(|seen_at| start > seen_at)
    }
}
