//! The demo's test client: it asks the live Service all the time, over new connections and over kept ones, and logs each
//! answer.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use turquoise_client::{Options, Traffic};

use crate::daemon::clock;

/// Requests a second: the whole demo sends some ten thousand.
const PER_SECOND: u32 = 1_000;

/// What the client saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Requests that were sent.
    pub(super) sent: u64,
    /// Requests without an answer, with a status that is no success, or with errors in the answer.
    pub(super) failed: u64,
    /// Answers in which the two tiers' versions differ.
    pub(super) mixed: u64,
    /// How often new connections began to see another version although traffic was not to move.
    pub(super) went_back: usize,
    /// Answers by version.
    pub(super) versions: BTreeMap<String, u64>,
    /// The first failures, in words.
    pub(super) failures: Vec<String>,
}

/// The client, before and while it asks.
pub(super) struct Client {
    traffic: Option<Traffic>,
    moves: AtomicUsize,
    log: PathBuf,
}

impl Client {
    /// A client that asks nobody yet.
    pub(super) fn new(log: &Path) -> Self {
        Self { traffic: None, moves: AtomicUsize::new(0), log: log.to_path_buf() }
    }

    /// Where each answer is logged.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Starts to ask.
    pub(super) fn start(&mut self, address: SocketAddr) -> std::io::Result<()> {
        let mut options = Options::new(address, clock::now);
        options.per_second = PER_SECOND;
        options.log = Some(Box::new(BufWriter::new(File::create(&self.log)?)));
        self.traffic = Some(Traffic::start(options));
        Ok(())
    }

    /// Traffic is about to move to another version, once.
    pub(super) fn expect_a_move(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests were sent.
    pub(super) fn sent(&self) -> u64 {
        self.traffic.as_ref().map_or(0, Traffic::sent)
    }

    /// Ends the client and gives what it saw.
    pub(super) async fn stop(self) -> std::io::Result<Tally> {
        let Some(traffic) = self.traffic else { return Ok(Tally::default()) };
        let seen = traffic.stop().await?;
        Ok(Tally {
            sent: seen.sent,
            failed: seen.failed,
            mixed: seen.mixed,
            went_back: seen.flips.len().saturating_sub(self.moves.into_inner()),
            versions: seen.versions,
            failures: seen.failures,
        })
    }
}
