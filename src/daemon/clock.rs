//! The one clock. Everything else gets time as data.

use jiff::Timestamp;

/// The wall clock's time now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that clippy.toml names")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
