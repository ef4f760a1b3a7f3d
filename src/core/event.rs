//! Transitions that people are told of: one message each.

use jiff::Timestamp;
use serde::Serialize;

use super::action::{Commit, Topic};
use super::colour::Colour;
use super::ids::{AppName, CommitId};
use super::report::Blocked;
use super::text::OneLine;
use super::verdict::Verdict;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A candidate is applied.
    Started,
    /// A candidate passed its checks and waits for a person.
    Verified,
    /// Traffic is on the new colour, in every EndpointSlice.
    Live,
    /// A revision failed; traffic never moved.
    Rejected,
    /// Traffic goes back because the watch failed.
    FlippedBack,
    /// A person took a release back.
    Withdrawn,
    /// Something must be mended first.
    Blocked,
}

impl EventKind {
    /// The last part of the CloudEvents type: `dev.turquoise.release.live`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Verified => "verified",
            Self::Live => "live",
            Self::Rejected => "rejected",
            Self::FlippedBack => "flipped_back",
            Self::Withdrawn => "withdrawn",
            Self::Blocked => "blocked",
        }
    }
}

/// One transition of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Derives from the commit and the fact, so that a crash resends with the same id.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// To which app.
    pub app: AppName,
    /// When it was seen.
    pub at: Timestamp,
    /// The colour it is about.
    pub colour: Option<Colour>,
    /// The revision it is about.
    pub revision: Option<CommitId>,
    /// The images of the colour.
    pub images: Vec<String>,
    /// Why.
    pub reason: Option<OneLine>,
    /// How to go back, or what to do.
    pub cure: Option<String>,
}

impl Event {
    /// An event with nothing but its identity.
    #[must_use]
    pub fn new(kind: EventKind, app: &AppName, subject: &str, at: Timestamp) -> Self {
        let digest = super::digest::of_json(&serde_json::json!([app.as_str(), kind.as_str(), subject]));
        Self {
            id: digest.to_string(),
            kind,
            app: app.clone(),
            at,
            colour: None,
            revision: None,
            images: Vec::new(),
            reason: None,
            cure: None,
        }
    }

    /// The event that a commit of ours is; `None` for commits that people need no message about: a released revision
    /// is announced when it is live.
    #[must_use]
    pub fn of_commit(app: &AppName, made: &CommitId, commit: &Commit, at: Timestamp) -> Option<Self> {
        let fact = commit.facts.first()?;
        let (kind, colour, reason) = match (&commit.topic, fact.verdict) {
            (Topic::FlipBack { colour, reason }, _) => (EventKind::FlippedBack, Some(*colour), Some(reason.clone())),
            (Topic::Reject { colour, reason }, _) => (EventKind::Rejected, Some(*colour), Some(reason.clone())),
            (_, Verdict::Withdrawn) => (EventKind::Withdrawn, None, None),
            (_, Verdict::Verified) => (EventKind::Verified, commit.selector.or(commit.live.map(Colour::other)), None),
            (_, Verdict::Released | Verdict::Rejected | Verdict::Superseded) => return None,
        };
        Some(Self {
            colour,
            revision: Some(fact.revision.clone()),
            reason,
            cure: match kind {
                EventKind::Rejected => Some(format!("git revert {} tries it again", made.short())),
                EventKind::Started
                | EventKind::Verified
                | EventKind::Live
                | EventKind::FlippedBack
                | EventKind::Withdrawn
                | EventKind::Blocked => None,
            },
            ..Self::new(kind, app, made.as_str(), at)
        })
    }

    /// The event that an app got blocked at a commit.
    #[must_use]
    pub fn of_blocked(app: &AppName, head: &CommitId, blocked: &Blocked, at: Timestamp) -> Self {
        Self {
            reason: Some(OneLine::new(&blocked.to_string())),
            cure: Some(blocked.cure().to_owned()),
            ..Self::new(EventKind::Blocked, app, &format!("{head} {}", blocked.as_str()), at)
        }
    }
}
