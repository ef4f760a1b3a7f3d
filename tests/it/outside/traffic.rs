//! The test client: new connections and kept ones, all the time; every request must be answered rightly.

use std::net::SocketAddr;

use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};
use turquoise_client::Options;

/// The running client, beside the test's own thread.
pub(super) struct Traffic {
    runtime: Runtime,
    traffic: turquoise_client::Traffic,
}

impl Traffic {
    /// Starts to ask.
    pub(super) fn start(address: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let entered = runtime.enter();
        let traffic = turquoise_client::Traffic::start(Options::new(address, now));
        drop(entered);
        Self { runtime, traffic }
    }

    /// Ends the client; no request may have failed.
    pub(super) fn end(self) {
        let seen = self.runtime.block_on(self.traffic.stop()).expect("there is no log");
        assert_eq!((seen.failed, seen.mixed), (0, 0), "of {} requests, the first: {:#?}", seen.sent, seen.failures);
        assert!(seen.sent > 50, "only {} requests were sent", seen.sent);
    }
}

#[expect(clippy::disallowed_methods, reason = "only a failure's line shows it")]
fn now() -> Timestamp {
    Timestamp::now()
}
