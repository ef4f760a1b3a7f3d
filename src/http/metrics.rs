//! `/metrics`: documented names, bounded labels.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::core::report::Phase;
use crate::core::status::AppStatus;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AppLabel {
    app: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    app: String,
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    app: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    app: String,
    verdict: &'static str,
}

/// The daemon's counters.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    looks: Family<OutcomeLabels, Counter>,
    verdicts: Family<VerdictLabels, Counter>,
    switches: Family<AppLabel, Counter>,
    phase: Family<PhaseLabels, Gauge>,
    synced: Family<AppLabel, Gauge>,
}

const PHASES: [Phase; 7] = [
    Phase::Settled,
    Phase::Deploying,
    Phase::Verifying,
    Phase::AwaitingApproval,
    Phase::Flipping,
    Phase::Watching,
    Phase::Blocked,
];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("turquoise");
        let (looks, verdicts, switches) = (Family::default(), Family::default(), Family::default());
        let (phase, synced) = (Family::default(), Family::default());
        registry.register("looks", "Looks at an app, by outcome: done, again, failed", looks.clone());
        registry.register("verdicts", "Verdicts committed, by verdict", verdicts.clone());
        registry.register("switches", "Switches of the live Services", switches.clone());
        registry.register("app_phase", "1 for the phase that an app is in, else 0", phase.clone());
        registry.register("app_synced_timestamp_seconds", "Time of the last look that succeeded", synced.clone());
        Self { registry: Arc::new(Mutex::new(registry)), looks, verdicts, switches, phase, synced }
    }
}

impl Metrics {
    /// Counts a look.
    pub fn look(&self, app: &str, outcome: &'static str) {
        self.looks.get_or_create(&OutcomeLabels { app: app.to_owned(), outcome }).inc();
    }

    /// Counts a verdict.
    pub fn verdict(&self, app: &str, verdict: &'static str) {
        self.verdicts.get_or_create(&VerdictLabels { app: app.to_owned(), verdict }).inc();
    }

    /// Counts a switch.
    pub fn switched(&self, app: &str) {
        self.switches.get_or_create(&AppLabel { app: app.to_owned() }).inc();
    }

    /// Shows an app's phase and the time of its last look.
    pub fn phase(&self, status: &AppStatus) {
        for phase in PHASES {
            let labels = PhaseLabels { app: status.name.to_string(), phase: phase.as_str() };
            self.phase.get_or_create(&labels).set(i64::from(status.phase == phase));
        }
        if let Some(at) = status.synced_at {
            self.synced.get_or_create(&AppLabel { app: status.name.to_string() }).set(at.as_second());
        }
    }

    /// The OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing into a String does not fail.
        if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
            text.clear();
        }
        text
    }
}
