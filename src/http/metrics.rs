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
struct RepoLabel {
    repo: String,
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HookLabels {
    outcome: &'static str,
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
    hooks: Family<HookLabels, Counter>,
    messages: Family<OutcomeLabels, Counter>,
    messages_pending: Family<AppLabel, Gauge>,
    repos: Family<RepoLabel, Gauge>,
    asked: Family<RepoLabel, Counter>,
    configuration: Gauge,
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
        let hooks = Family::default();
        registry.register("hooks", "Push hooks, by outcome: accepted, refused, failed", hooks.clone());
        let (messages, messages_pending) = (Family::default(), Family::default());
        registry.register(
            "messages",
            "Messages, by outcome: delivered, tried_again, given_up, dropped",
            messages.clone(),
        );
        registry.register("messages_pending", "Messages that a receiver did not get yet", messages_pending.clone());
        let (repos, asked, configuration) = (Family::default(), Family::default(), Gauge::default());
        registry.register("repo_up", "1 where the repository answered when it was last asked, else 0", repos.clone());
        registry.register("repo_asked", "Times that the repository was asked for HEAD", asked.clone());
        registry.register(
            "configuration_good",
            "1 where the configuration file is in force as it is",
            configuration.clone(),
        );
        configuration.set(1);
        Self {
            registry: Arc::new(Mutex::new(registry)),
            looks,
            verdicts,
            switches,
            phase,
            synced,
            repos,
            asked,
            configuration,
            hooks,
            messages,
            messages_pending,
        }
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

    /// Counts messages.
    pub fn message(&self, app: &str, outcome: &'static str, count: usize) {
        self.messages.get_or_create(&OutcomeLabels { app: app.to_owned(), outcome }).inc_by(count as u64);
    }

    /// Shows how many messages are on their way.
    pub fn messages_pending(&self, app: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.messages_pending.get_or_create(&AppLabel { app: app.to_owned() }).set(count);
    }

    /// Counts a push hook.
    pub fn hook(&self, outcome: &'static str) {
        self.hooks.get_or_create(&HookLabels { outcome }).inc();
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

    /// Says whether a repository answered; `None`: it is not watched any more.
    pub fn repo(&self, repo: &str, up: Option<bool>) {
        let label = RepoLabel { repo: repo.to_owned() };
        if up.is_some() {
            self.asked.get_or_create(&label).inc();
        } else {
            self.asked.remove(&label);
        }
        match up {
            Some(up) => drop(self.repos.get_or_create(&label).set(i64::from(up))),
            None => drop(self.repos.remove(&label)),
        }
    }

    /// Says whether the configuration file can be used.
    pub fn configuration(&self, good: bool) {
        self.configuration.set(i64::from(good));
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
