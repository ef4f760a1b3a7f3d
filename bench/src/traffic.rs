//! A light client of the live Service: a request every 10 ms, each over a new connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::Value;
use tokio::task::{JoinHandle, JoinSet};

use crate::http;

/// The pause between the starts of two requests: what a first new answer is late by is half of it in the mean.
const EVERY: Duration = Duration::from_millis(10);
/// How often whoever waits looks; the answers' own times are exact.
const LOOK: Duration = Duration::from_millis(1);
/// A release that takes longer has failed.
const ANSWER_MAX: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Answer {
    sent: Instant,
    got: Instant,
    version: String,
}

#[derive(Debug, Default)]
struct Seen {
    answers: Vec<Answer>,
    failures: Vec<String>,
}

/// What the client saw in all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) sent: usize,
    pub(crate) failures: Vec<String>,
}

/// The running client.
#[derive(Debug)]
pub(crate) struct Traffic {
    seen: Arc<Mutex<Seen>>,
    work: JoinHandle<()>,
}

impl Traffic {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let work = tokio::spawn(work(address, Arc::clone(&seen)));
        Self { seen, work }
    }

    /// When the first answer of a version came to a request that was sent after a moment.
    ///
    /// # Errors
    /// It never comes.
    pub(crate) async fn first_answer(&self, version: &str, since: Instant) -> anyhow::Result<Instant> {
        let start = Instant::now();
        while start.elapsed() < ANSWER_MAX {
            if let Some(first) = self.first_seen(version, since) {
                return Ok(first);
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("no answer of version {version} in {} s", ANSWER_MAX.as_secs())
    }

    fn first_seen(&self, version: &str, since: Instant) -> Option<Instant> {
        let seen = lock(&self.seen);
        let new = seen.answers.iter().filter(|answer| answer.sent >= since && answer.version == version);
        new.map(|answer| answer.got).min()
    }

    /// When the last answer of another version came to a request that was sent after a moment.
    pub(crate) fn last_other(&self, version: &str, since: Instant) -> Option<Instant> {
        let seen = lock(&self.seen);
        let old = seen.answers.iter().filter(|answer| answer.sent >= since && answer.version != version);
        old.map(|answer| answer.got).max()
    }

    /// A release is over: an old version in an answer to a request that was sent after the first new answer is a
    /// failure, for whoever asked has seen the versions change back.
    pub(crate) fn must_stay(&self, version: &str, since: Instant) {
        let mut seen = lock(&self.seen);
        let back = seen.answers.iter().filter(|answer| answer.sent > since && answer.version != version).count();
        if back > 0 {
            seen.failures.push(format!("{back} answers of an old version after the first of {version}"));
        }
    }

    /// Ends the client.
    pub(crate) fn stop(self) -> Tally {
        self.work.abort();
        let seen = lock(&self.seen);
        Tally { sent: seen.answers.len() + seen.failures.len(), failures: seen.failures.clone() }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn work(address: SocketAddr, seen: Arc<Mutex<Seen>>) {
    let start = Instant::now();
    let mut asked = JoinSet::new();
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        let seen = Arc::clone(&seen);
        asked.spawn(async move {
            let sent = Instant::now();
            let answer = ask(address).await;
            let mut seen = lock(&seen);
            match answer {
                Ok(version) => seen.answers.push(Answer { sent, got: Instant::now(), version }),
                Err(words) => {
                    let after = start.elapsed().as_secs_f64();
                    seen.failures.push(format!("after {after:.1} s: {words}"));
                }
            }
        });
        while asked.try_join_next().is_some() {}
    }
}

/// The version in an answer of both tiers that are of one version and have no errors.
async fn ask(address: SocketAddr) -> Result<String, String> {
    let text = http::get(address, "/").await.map_err(|error| error.to_string())?;
    let answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    match (answer["version"].as_str(), answer["errors"].as_array()) {
        (Some(version), Some(errors)) if errors.is_empty() && answer["backend"] == version => Ok(version.to_owned()),
        (Some(_) | None, _) => Err(text),
    }
}
