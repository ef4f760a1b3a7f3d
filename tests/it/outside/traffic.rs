//! The test client: new connections and kept ones all the time, and one long request always under way, across each flip.
//! Every request must be answered rightly.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};
use turquoise_client::{Kind, Options};

use super::world::World;

/// A story is not over before that many were sent: on a machine that does other things a short one may have seen nothing.
const SENT_MIN: u64 = 50;

/// Requests that a story allows to fail, and why.
#[derive(Debug, Clone, Copy)]
pub(super) enum Allowed {
    /// Those over kept connections, which stay on a colour that is not live any more.
    KeptConnections(&'static str),
}

/// The running client, beside the test's own thread.
pub(super) struct Traffic {
    runtime: Runtime,
    traffic: turquoise_client::Traffic,
}

impl Traffic {
    /// Starts to ask. Each answer is a line of the log, `[time] {"version": ..., "errors": []} in 0.0019s`.
    pub(super) fn start(address: SocketAddr, log: Option<&Path>) -> Self {
        let limits = World::here().limits();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let entered = runtime.enter();
        let traffic = turquoise_client::Traffic::start(Options {
            per_second: limits.requests_per_second,
            long: Some(limits.long_request),
            log: log.map(|file| -> Box<dyn Write + Send> { Box::new(BufWriter::new(append(file))) }),
            ..Options::new(address, now)
        });
        drop(entered);
        Self { runtime, traffic }
    }

    /// Ends the client; no request may have failed, but those that the story allows, and no answer may have mixed the
    /// versions of the tiers. Gives what it saw.
    pub(super) fn end(self, allowed: Option<Allowed>) -> serde_json::Value {
        let start = Instant::now();
        while self.traffic.sent() <= SENT_MIN {
            assert!(start.elapsed() < World::here().limits().step, "only {} requests were sent", self.traffic.sent());
            std::thread::sleep(World::here().limits().look);
        }
        let seen = self.runtime.block_on(self.traffic.stop()).expect("the log is written");
        let kept = seen.kinds.get(&Kind::Kept).map_or(0, |kept| kept.failed);
        let may_fail = match allowed {
            Some(Allowed::KeptConnections(_why)) => kept,
            None => 0,
        };
        assert_eq!(
            (seen.failed, seen.mixed),
            (may_fail, 0),
            "of {} requests, the first: {:#?}",
            seen.sent,
            seen.failures
        );
        serde_json::to_value(&seen).expect("JSON")
    }
}

fn append(file: &Path) -> File {
    File::options().create(true).append(true).open(file).expect("a log")
}

#[expect(clippy::disallowed_methods, reason = "only the log shows it")]
fn now() -> Timestamp {
    Timestamp::now()
}
