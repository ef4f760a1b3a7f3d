//! The status of an app, as `GET /api/v1/apps` gives it. Others script against it: keep it stable.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::colour::{ByColour, Colour};
use super::desired::{Declared, Desired};
use super::ids::{AppName, CommitId};
use super::observed::{CheckOutcome, Drift, Observed};
use super::policy::Policy;
use super::report::{Alert, Blocked, Phase, Plan, Waiting};
use super::text::OneLine;
use super::url::without_credentials;
use super::verdict::Verdict;

/// One app.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AppStatus {
    /// Its name.
    pub name: AppName,
    /// Where its objects live.
    pub namespace: String,
    /// The watched repository, without credentials.
    pub repo: String,
    /// The watched branch.
    pub branch: String,
    /// HEAD as it was last seen.
    pub head: Option<CommitId>,
    /// Where it is.
    pub phase: Phase,
    /// The colour that git names.
    pub declared: Option<Colour>,
    /// The colour that the cluster's live Services select.
    pub serving: Option<Colour>,
    /// The colour that is not in use.
    pub idle: Option<Colour>,
    /// What each colour carries.
    pub colours: ByColour<ColourStatus>,
    /// The revision that may become live.
    pub candidate: Option<Candidate>,
    /// The newest verdict.
    pub verdict: Option<VerdictStatus>,
    /// What is waited for.
    pub waiting: Vec<Waiting>,
    /// Why nothing can be done, and its cure.
    pub blocked: Option<BlockedStatus>,
    /// What a person should know.
    pub alerts: Vec<Alert>,
    /// Fields of the serving colour's objects that differ from its pin.
    pub drift: Vec<Drift>,
    /// Why the last look failed; `null` when it did not.
    pub error: Option<OneLine>,
    /// The time of the last look that succeeded.
    pub synced_at: Option<Timestamp>,
    /// Messages on their way to people.
    pub messages: MessagesStatus,
}

/// One of several turquoises that watch the same, of which one acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// What it is called.
    pub name: String,
    /// Whether it acts; else it stands by, and looks.
    pub leading: bool,
    /// Who acts, as far as it knows.
    pub leader: Option<String>,
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.leading, &self.leader) {
            (true, _) => write!(f, "{} leads", self.name),
            (false, Some(leader)) if *leader != self.name => write!(f, "{} stands by, {leader} leads", self.name),
            (false, _) => write!(f, "{} stands by, and nobody leads yet", self.name),
        }
    }
}

/// Messages on their way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MessagesStatus {
    /// How many no receiver, or not every receiver, has yet.
    pub pending: usize,
    /// When the oldest of them happened.
    pub oldest: Option<Timestamp>,
    /// Why the last delivery failed.
    pub error: Option<OneLine>,
}

/// What a colour carries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ColourStatus {
    /// The revision.
    pub revision: Option<CommitId>,
    /// Its images.
    pub images: Vec<String>,
    /// Ready pods.
    pub ready: u32,
    /// Wanted pods.
    pub wanted: u32,
}

/// A revision that may become live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The revision.
    pub revision: CommitId,
    /// Its checks.
    pub checks: Vec<CheckStatus>,
}

/// One check of a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckStatus {
    /// Its name.
    pub name: String,
    /// `pending`, `running`, `passed` or `failed`.
    pub state: &'static str,
    /// Why it failed, or what hinders it.
    pub reason: Option<OneLine>,
}

/// The newest verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerdictStatus {
    /// About which revision.
    pub revision: CommitId,
    /// What.
    pub verdict: Verdict,
    /// Why, where the lock tells.
    pub reason: Option<OneLine>,
    /// When the commit was made that says it.
    pub at: Option<Timestamp>,
}

/// Why an app is blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockedStatus {
    /// The reason with its data.
    #[serde(flatten)]
    pub blocked: Blocked,
    /// The same in words.
    pub message: String,
    /// What mends it.
    pub cure: &'static str,
}

impl From<Blocked> for BlockedStatus {
    fn from(blocked: Blocked) -> Self {
        Self { message: blocked.to_string(), cure: blocked.cure(), blocked }
    }
}

impl AppStatus {
    /// The status of an app that was not looked at yet.
    #[must_use]
    pub fn unknown(name: AppName, namespace: String, repo: String, branch: String) -> Self {
        Self {
            name,
            namespace,
            repo: without_credentials(&repo),
            branch,
            head: None,
            phase: Phase::Settled,
            declared: None,
            serving: None,
            idle: None,
            colours: ByColour::default(),
            candidate: None,
            verdict: None,
            waiting: Vec::new(),
            blocked: None,
            alerts: Vec::new(),
            drift: Vec::new(),
            error: None,
            synced_at: None,
            messages: MessagesStatus::default(),
        }
    }

    /// The status after a look that ended in a reason to do nothing, before a plan could be made.
    pub fn set_blocked(&mut self, head: &CommitId, blocked: Blocked, at: Timestamp) {
        self.head = Some(head.clone());
        self.phase = Phase::Blocked;
        self.blocked = Some(blocked.into());
        self.waiting.clear();
        self.alerts.clear();
        self.drift.clear();
        self.candidate = None;
        self.error = None;
        self.synced_at = Some(at);
    }

    /// The status after a look and its plan.
    pub fn set(&mut self, desired: &Desired, observed: &Observed, policy: &Policy, plan: &Plan) {
        let serving = observed.serving().colour();
        let declared = match &desired.declared {
            Declared::Colour(colour) => Some(*colour),
            Declared::Unknown(_) => None,
        };
        self.head = Some(desired.head.clone());
        self.phase = plan.phase;
        self.declared = declared;
        self.serving = serving;
        self.idle = serving.filter(|_| serving == declared).map(Colour::other);
        self.colours = ByColour::from_fn(|colour| colour_status(desired, observed, colour));
        self.candidate =
            candidate(desired, observed, policy, plan, serving.map_or(declared, |colour| Some(colour.other())));
        self.verdict = desired.verdicts.entries().last().map(|entry| VerdictStatus {
            revision: entry.revision.clone(),
            verdict: entry.verdict,
            reason: desired
                .lock
                .rejected
                .as_ref()
                .filter(|rejection| rejection.revision == entry.revision)
                .map(|rejection| rejection.reason.clone()),
            at: None,
        });
        self.waiting = plan.waiting.clone();
        self.blocked = plan.blocked.clone().map(BlockedStatus::from);
        self.alerts = plan.alerts.clone();
        self.drift = observed.drift.clone();
        self.error = None;
        self.synced_at = Some(observed.at);
    }
}

fn colour_status(desired: &Desired, observed: &Observed, colour: Colour) -> ColourStatus {
    let state = &observed.colours[colour];
    let revision = state.record.as_ref().map(|record| record.revision.clone());
    let render = revision.as_ref().and_then(|revision| desired.render(revision, colour));
    ColourStatus {
        images: render.map(|render| render.images.clone()).unwrap_or_default(),
        revision,
        ready: state.ready(),
        wanted: state.wanted(),
    }
}

fn candidate(
    desired: &Desired,
    observed: &Observed,
    policy: &Policy,
    plan: &Plan,
    colour: Option<Colour>,
) -> Option<Candidate> {
    let under_way =
        matches!(plan.phase, Phase::Deploying | Phase::Verifying | Phase::AwaitingApproval | Phase::Flipping);
    let colour = colour.filter(|_| under_way)?;
    let revision = observed.colours[colour].record.as_ref().map_or(&desired.revision, |record| &record.revision);
    let checks = policy.checks.iter().map(|check| {
        let state = observed.checks.iter().find(|state| {
            state.key.check == check.name && state.key.colour == colour && state.key.revision == *revision
        });
        let (state, reason) = match state.map(|state| &state.outcome) {
            None => ("pending", None),
            Some(CheckOutcome::Running) => ("running", None),
            Some(CheckOutcome::Hindered { words }) => ("running", Some(words.clone())),
            Some(CheckOutcome::Passed { .. }) => ("passed", None),
            Some(CheckOutcome::Failed { reason }) => ("failed", Some(reason.clone())),
        };
        CheckStatus { name: check.name.clone(), state, reason }
    });
    Some(Candidate { revision: revision.clone(), checks: checks.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_shows_no_credential() {
        let repo = "https://user:secret@example.org/shop.git".to_owned();
        let status = AppStatus::unknown(AppName::new("shop"), "default".into(), repo, "main".into());
        assert_eq!(status.repo, "https://example.org/shop.git");
    }
}
