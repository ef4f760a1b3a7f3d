//! A test client of a live Service: it asks all the time, over new connections and over kept ones, holds one long request
//! open, logs each answer, and counts what must not be: failed requests, and answers that mix the versions of two tiers.
//!
//! Each answer is a line of the log:
//!
//! ```text
//! [2026-11-21T08:00:00.123Z] {"version": "1.0.0", "backend": "1.0.0", "errors": []} in 0.0019s
//! ```
//!
//! The scenarios, the demo and the binary `client` (a Job in a cluster) use this one implementation.

mod ask;
mod latency;
mod tally;
mod traffic;

pub use latency::Percentiles;
pub use tally::{Flip, Kind, KindTally, Summary};
pub use traffic::{Options, Traffic};
