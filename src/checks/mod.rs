//! Checks of a candidate: they run beside the daemon's looks, and their results are facts of the next look.
//!
//! A pass lives in this process only and is bound to revision, pods and policy by its [`CheckKey`]; after a restart the
//! checks simply run again.

mod target;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::AbortHandle;

use crate::core::ids::AppName;
use crate::core::observed::{CheckKey, CheckOutcome, CheckState};
use crate::core::policy::HttpCheck;
use crate::core::text::OneLine;

pub use target::Asker;

/// The pause between two rounds of a check that goes on until the watch ends: a failure is seen within a second or two
/// and the live Service hardly notices the requests.
const REPEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Where a check's requests go.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The namespace of the Service.
    pub namespace: String,
    /// The Service.
    pub service: String,
    /// What is asked of it.
    pub http: HttpCheck,
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
        if let Some(old) = running.remove(&slot) {
            old.task.abort();
        }
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
                Err(reason) => CheckOutcome::Failed { reason },
            };
            let failed = matches!(outcome, CheckOutcome::Failed { .. });
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
            if failed || !slot.1.repeat {
                return;
            }
            tokio::time::sleep(REPEAT_INTERVAL).await;
        }
    }

    /// As many passes in a row as the policy asks; the first failure ends the round.
    async fn round(&self, ask: &Ask) -> Result<(), OneLine> {
        for round in 0..ask.http.times {
            if round > 0 {
                tokio::time::sleep(ask.http.interval).await;
            }
            self.asker.ask(ask).await?;
        }
        Ok(())
    }
}
