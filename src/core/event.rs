//! Transitions that people are told of: one message each.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::colour::Colour;
use super::ids::{AppName, CommitId};
use super::text::OneLine;

/// Images named in one message; a colour with more says so by their number elsewhere.
const IMAGES_MAX: usize = 10;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A candidate is applied.
    Started,
    /// A candidate passed its checks and waits for a person.
    Verified,
    /// Traffic is on a new release, in every EndpointSlice.
    Live,
    /// Traffic is back on what was released before, in every EndpointSlice.
    Returned,
    /// A revision failed; traffic never moved.
    Rejected,
    /// Traffic goes back because the watch failed.
    FlippedBack,
    /// A person took a release back.
    Withdrawn,
    /// Something must be mended first.
    Blocked,
    /// Something that a person should know, although nothing waits for them.
    Alert,
    /// The cluster does not hold what was released.
    Drift,
    /// git has been out of reach for a while.
    GitUnreachable,
    /// git answers again.
    GitBack,
    /// The cluster has been out of reach for a while.
    ClusterUnreachable,
    /// The cluster answers again.
    ClusterBack,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Started,
        Self::Verified,
        Self::Live,
        Self::Returned,
        Self::Rejected,
        Self::FlippedBack,
        Self::Withdrawn,
        Self::Blocked,
        Self::Alert,
        Self::Drift,
        Self::GitUnreachable,
        Self::GitBack,
        Self::ClusterUnreachable,
        Self::ClusterBack,
    ];

    /// The last part of the CloudEvents type: `dev.turquoise.release.live`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Verified => "verified",
            Self::Live => "live",
            Self::Returned => "returned",
            Self::Rejected => "rejected",
            Self::FlippedBack => "flipped_back",
            Self::Withdrawn => "withdrawn",
            Self::Blocked => "blocked",
            Self::Alert => "alert",
            Self::Drift => "drift",
            Self::GitUnreachable => "git_unreachable",
            Self::GitBack => "git_back",
            Self::ClusterUnreachable => "cluster_unreachable",
            Self::ClusterBack => "cluster_back",
        }
    }

    /// Whether somebody should look.
    #[must_use]
    pub const fn is_trouble(self) -> bool {
        match self {
            Self::Rejected
            | Self::FlippedBack
            | Self::Blocked
            | Self::Alert
            | Self::Drift
            | Self::GitUnreachable
            | Self::ClusterUnreachable => true,
            Self::Started
            | Self::Verified
            | Self::Live
            | Self::Returned
            | Self::Withdrawn
            | Self::GitBack
            | Self::ClusterBack => false,
        }
    }
}

/// One transition of one app. Every text in it that came from outside is one bounded line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Derives from the commit and the fact, so that a crash resends with the same id.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// To which app.
    pub app: AppName,
    /// When.
    pub at: Timestamp,
    /// The colour it is about.
    pub colour: Option<Colour>,
    /// The revision it is about: the commit that asked for it.
    pub revision: Option<CommitId>,
    /// Who wrote that commit.
    pub author: Option<OneLine>,
    /// The first line of its message.
    pub subject: Option<OneLine>,
    /// turquoise's commit that says so, or the one that changed the selector.
    pub commit: Option<CommitId>,
    /// The images of the colour.
    pub images: Vec<OneLine>,
    /// The images that were live before, or still are.
    pub old_images: Vec<OneLine>,
    /// Why, in the pod's or the check's words.
    pub reason: Option<OneLine>,
    /// What to do.
    pub cure: Option<OneLine>,
    /// The command that takes traffic back to where it was.
    pub go_back: Option<String>,
}

impl Event {
    /// An event with nothing but its identity: app, kind and what it is about.
    #[must_use]
    pub fn new(kind: EventKind, app: &AppName, about: &str, at: Timestamp) -> Self {
        Self {
            id: id(kind, app.as_str(), about),
            kind,
            app: app.clone(),
            at,
            colour: None,
            revision: None,
            author: None,
            subject: None,
            commit: None,
            images: Vec::new(),
            old_images: Vec::new(),
            reason: None,
            cure: None,
            go_back: None,
        }
    }
}

/// An event's id: the same for the same fact, whoever finds it and whenever.
#[must_use]
pub fn id(kind: EventKind, of: &str, about: &str) -> String {
    super::digest::of_json(&serde_json::json!([of, kind.as_str(), about])).to_string()
}

/// Images as a message names them.
pub(super) fn lines(images: &[String]) -> Vec<OneLine> {
    images.iter().take(IMAGES_MAX).map(|image| OneLine::new(image)).collect()
}

/// Where people click, as the operator gave it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Links {
    /// The status page.
    pub page: Option<String>,
    /// A commit's page, with `{commit}` in place of its id.
    pub commit: Option<String>,
}

impl Links {
    /// A commit's page. Only an id in hexadecimal digits goes into a URL.
    #[must_use]
    pub fn commit(&self, commit: &CommitId) -> Option<String> {
        let is_id = !commit.as_str().is_empty() && commit.as_str().bytes().all(|byte| byte.is_ascii_hexdigit());
        self.commit.as_ref().filter(|_| is_id).map(|template| template.replace("{commit}", commit.as_str()))
    }
}
