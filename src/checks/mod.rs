//! Checks of a candidate, HTTP requests and webhooks: they run beside the daemon's looks, and their results are facts of the next look.
//!
//! A pass lives in this process only and is bound to revision, pods and policy by its [`CheckKey`]; after a restart the
//! checks simply run again.

mod http;
mod request;
mod secrets;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::AbortHandle;

use crate::core::ids::AppName;
use crate::core::observed::{CheckKey, CheckOutcome, CheckState};
use crate::core::policy::{HttpCheck, WebhookCheck};
use crate::core::text::OneLine;

pub use request::{Asker, Place};
pub use secrets::Secrets;
pub use webhook::{Images, Release, Words};

use request::NoAnswer;

/// The pause between two rounds of a check that goes on until the watch ends: a failure is seen within a second or two
/// and the live Service hardly notices the requests.
const REPEAT_INTERVAL: Duration = Duration::from_secs(1);

/// The pause after a check that could not be asked: what hinders it is mended by others.
const HINDERED_PAUSE: Duration = Duration::from_secs(1);

/// What is asked, of whom, with which Secrets.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What.
    pub what: What,
    /// The Secrets that the operator granted to the app's repository.
    pub secrets: Secrets,
}

/// What is asked.
#[derive(Debug, Clone)]
pub enum What {
    /// A request and its expected answer.
    Http {
        /// The check.
        http: HttpCheck,
        /// Who is asked.
        place: Place,
    },
    /// Somebody else's decision.
    Webhook {
        /// The check.
        webhook: WebhookCheck,
        /// What is decided about.
        release: Box<Release>,
    },
}

/// Why a check has not passed.
#[derive(Debug)]
enum NotPassed {
    /// It failed, in the target's words.
    Failed(OneLine),
    /// It could not be asked.
    Hindered(OneLine),
}

impl From<NoAnswer> for NotPassed {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::Refused(words) | NoAnswer::Failed(words) => Self::Failed(words),
            NoAnswer::Hindered(words) => Self::Hindered(words),
        }
    }
}

/// Runs checks in the background.
#[derive(Clone)]
pub struct Runner {
    asker: Asker,
    clock: fn() -> Timestamp,
    /// Called when a result is there.
    done: Arc<dyn Fn(&AppName) + Send + Sync>,
    running: Arc<Mutex<BTreeMap<(AppName, CheckKey), Run>>>,
}

struct Run {
    outcome: CheckOutcome,
    task: AbortHandle,
}

impl Runner {
    /// A runner that asks through `asker` and calls `done` whenever a result is there.
    pub fn new(asker: Asker, clock: fn() -> Timestamp, done: impl Fn(&AppName) + Send + Sync + 'static) -> Self {
        Self { asker, clock, done: Arc::new(done), running: Arc::default() }
    }

    /// Starts a check, also where it has run already: an older result of the same key says nothing about now. Must be
    /// called in a tokio runtime.
    pub fn start(&self, app: &AppName, key: &CheckKey, ask: Ask) {
        let slot = (app.clone(), key.clone());
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|(owner, old), run| {
            let replaced = owner == app && old.asks_the_same(key);
            if replaced {
                run.task.abort();
            }
            !replaced
        });
        let this = self.clone();
        let task = tokio::spawn({
            let slot = slot.clone();
            async move { this.run(slot, ask).await }
        });
        running.insert(slot, Run { outcome: CheckOutcome::Running, task: task.abort_handle() });
    }

    /// The checks of an app that run or have run.
    #[must_use]
    pub fn states(&self, app: &AppName) -> Vec<CheckState> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .iter()
            .filter(|((owner, _), _)| owner == app)
            .map(|((_, key), run)| CheckState { key: key.clone(), outcome: run.outcome.clone() })
            .collect()
    }

    /// Ends and forgets the checks of an app whose results say nothing any more.
    pub fn retain(&self, app: &AppName, keep: impl Fn(&CheckKey) -> bool) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|(owner, key), run| {
            let stays = owner != app || keep(key);
            if !stays {
                run.task.abort();
            }
            stays
        });
    }

    async fn run(self, slot: (AppName, CheckKey), ask: Ask) {
        loop {
            let outcome = match self.round(&ask).await {
                Ok(()) => CheckOutcome::Passed { at: (self.clock)() },
                Err(NotPassed::Failed(reason)) => CheckOutcome::Failed { reason },
                Err(NotPassed::Hindered(words)) => CheckOutcome::Hindered { words },
            };
            let pause = match &outcome {
                CheckOutcome::Failed { .. } => None,
                CheckOutcome::Hindered { words } => {
                    tracing::debug!(app = %slot.0, check = slot.1.check, "hindered: {words}");
                    Some(HINDERED_PAUSE)
                }
                CheckOutcome::Passed { .. } | CheckOutcome::Running => slot.1.repeat.then_some(REPEAT_INTERVAL),
            };
            let changed = {
                let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(run) = running.get_mut(&slot) else { return };
                let changed = std::mem::discriminant(&run.outcome) != std::mem::discriminant(&outcome);
                run.outcome = outcome;
                changed
            };
            if changed {
                (self.done)(&slot.0);
            }
            let Some(pause) = pause else { return };
            tokio::time::sleep(pause).await;
        }
    }

    async fn round(&self, ask: &Ask) -> Result<(), NotPassed> {
        match &ask.what {
            What::Http { http, place } => http::round(&self.asker, http, place, &ask.secrets).await,
            What::Webhook { webhook, release } => {
                webhook::decided(&self.asker, webhook, release, &ask.secrets, self.clock).await
            }
        }
    }
}
