//! A shop of two tiers whose versions must match: the example that turquoise releases.
//!
//! The frontend asks its backend on each request and answers with both versions, so that a release which moves only one
//! tier shows in every answer. The same code runs inside the sandbox's pods and, as the binary `shop`, in containers.
//!
//! | path | frontend | backend |
//! | --- | --- | --- |
//! | `/` | `{"version", "backend", "pod", "errors"}`; 502 when the backend fails, 500 when versions differ | `{"version", "pod", "errors"}` |
//! | `/readyz` | 200 once the backend answers with the same version | 200 once started |
//! | `/healthz` | 200 | 200 |
//! | `/smoke` | 200 `{"ok": true, ...}`, or 500 with a reason | the same |
//! | `/slow?ms=N` | answers after N milliseconds | the same |
//!
//! `shop migrate` ([`Task`]) is work that ends by itself, for Jobs and CronJobs.

mod app;
mod backend;
mod server;
mod settings;
mod task;

pub use backend::{Names, Resolver};
pub use server::{Exit, serve};
pub use settings::{Fault, Log, Settings, SettingsError, Tier, UnknownFault};
pub use task::Task;
