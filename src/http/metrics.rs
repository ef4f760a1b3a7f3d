//! `/metrics`: documented names, bounded labels.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

use crate::core::report::Phase;
use crate::core::status::AppStatus;
use crate::core::verdict::Verdict;

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
    leading: Gauge,
    names: Vec<&'static str>,
}

/// Every phase; that none is missing is tested with the documents.
const PHASES: [Phase; 7] = [
    Phase::Settled,
    Phase::Deploying,
    Phase::Verifying,
    Phase::AwaitingApproval,
    Phase::Flipping,
    Phase::Watching,
    Phase::Blocked,
];

/// How a look may end.
const OUTCOMES: [&str; 3] = ["done", "again", "failed"];

/// What may become of a message.
const MESSAGE_OUTCOMES: [&str; 4] = ["delivered", "tried_again", "given_up", "dropped"];

impl Default for Metrics {
    fn default() -> Self {
        let mut shelf = Shelf { registry: Registry::with_prefix("turquoise"), names: Vec::new() };
        let looks = shelf.register("looks", "Looks at an app, by outcome: done, again, failed");
        let verdicts = shelf.register("verdicts", "Verdicts committed, by verdict");
        let switches = shelf.register("switches", "Switches of the live Services");
        let phase = shelf.register("app_phase", "1 for the phase that an app is in, else 0");
        let synced = shelf.register("app_synced_timestamp_seconds", "Time of the last look that succeeded");
        let repos = shelf.register("repo_up", "1 where the repository answered when it was last asked, else 0");
        let asked = shelf.register("repo_asked", "Times that the repository was asked for HEAD");
        let configuration: Gauge =
            shelf.register("configuration_good", "1 where the configuration file is in force as it is");
        let leading: Gauge = shelf.register("leading", "1 where this process acts, 0 where another replica does");
        leading.set(1);
        let hooks = shelf.register("hooks", "Push hooks, by outcome: accepted, refused, failed");
        let messages = shelf.register("messages", "Messages, by outcome: delivered, tried_again, given_up, dropped");
        let messages_pending = shelf.register("messages_pending", "Messages that a receiver did not get yet");
        configuration.set(1);
        let Shelf { registry, names } = shelf;
        Self {
            registry: Arc::new(Mutex::new(registry)),
            looks,
            verdicts,
            switches,
            phase,
            synced,
            hooks,
            messages,
            messages_pending,
            repos,
            asked,
            configuration,
            leading,
            names,
        }
    }
}

/// The registry, and the names in it as docs/metrics.md has them: without the suffix that a counter gets.
struct Shelf {
    registry: Registry,
    names: Vec<&'static str>,
}

impl Shelf {
    fn register<M: Metric + Default + Clone>(&mut self, name: &'static str, help: &str) -> M {
        let metric = M::default();
        self.names.push(name);
        self.registry.register(name, help, metric.clone());
        metric
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

    /// Takes an app's values away: names come and go with pushes, and must not pile up.
    pub(super) fn forget(&self, app: &str) {
        let label = AppLabel { app: app.to_owned() };
        self.switches.remove(&label);
        self.synced.remove(&label);
        for outcome in OUTCOMES {
            self.looks.remove(&OutcomeLabels { app: app.to_owned(), outcome });
        }
        self.messages_pending.remove(&label);
        for outcome in MESSAGE_OUTCOMES {
            self.messages.remove(&OutcomeLabels { app: app.to_owned(), outcome });
        }
        for verdict in Verdict::ALL {
            self.verdicts.remove(&VerdictLabels { app: app.to_owned(), verdict: verdict.as_str() });
        }
        for phase in PHASES {
            self.phase.remove(&PhaseLabels { app: app.to_owned(), phase: phase.as_str() });
        }
    }

    /// Every registered name, without `turquoise_` and without a counter's `_total`.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.names
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

    /// Says whether this process acts.
    pub fn leading(&self, leading: bool) {
        self.leading.set(i64::from(leading));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::AppName;

    #[test]
    fn an_app_that_is_gone_leaves_nothing_behind() {
        let metrics = Metrics::default();
        let mut status = AppStatus::unknown(AppName::new("gone"), "default".into(), "r".into(), "main".into());
        status.synced_at = Some(jiff::Timestamp::UNIX_EPOCH);
        metrics.phase(&status);
        for outcome in OUTCOMES {
            metrics.look("gone", outcome);
        }
        for verdict in Verdict::ALL {
            metrics.verdict("gone", verdict.as_str());
        }
        for outcome in MESSAGE_OUTCOMES {
            metrics.message("gone", outcome, 1);
        }
        metrics.messages_pending("gone", 1);
        metrics.switched("gone");
        metrics.switched("stays");
        assert_eq!(metrics.text().matches("\"gone\"").count(), 7 + 1 + 3 + 5 + 4 + 1 + 1);
        metrics.forget("gone");
        assert!(!metrics.text().contains("gone") && metrics.text().contains("stays"), "{}", metrics.text());
    }
}
