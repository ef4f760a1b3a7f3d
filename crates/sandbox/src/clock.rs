//! The sandbox's one clock: what it writes into objects as the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The wall clock that timestamps in objects come from; tests may move it.
///
/// Only what is written as a time moves. What the sandbox waits for (probe periods, grace periods, back-off) goes by the
/// machine's monotonic clock, as it does in a kubelet.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Moves the clock forward.
    pub fn jump(&self, by: Duration) {
        self.offset_ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "the sandbox's own clock; the daemon's is another process's")]
    pub(crate) fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_millis(self.offset_ms.load(Ordering::SeqCst));
        let now = Timestamp::now();
        now.checked_add(offset).unwrap_or(now)
    }

    /// The time now as Kubernetes writes `Time`: whole seconds.
    pub(crate) fn seconds(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// The time now as Kubernetes writes `MicroTime`.
    pub(crate) fn micros(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    }
}
