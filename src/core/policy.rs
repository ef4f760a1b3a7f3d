//! The release policy: what an app's `turquoise.yaml` says, validated.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{AppName, Digest};
use super::template::Template;
use super::text::OneLine;

mod check;
mod notifications;
mod raw;

pub use check::{
    Asks, CONNECT_GRACE, Check, Header, HeaderValue, HttpCheck, JsonRule, Method, Status, Target, WebhookCheck,
};
pub use notifications::{Destination, Format, Receiver};
pub(crate) use raw::{in_our_words, is_dns_label, is_header_text};
pub use raw::{parse, parse_duration};

/// The policy's file name; the folder that holds it is the app.
pub const POLICY_FILE: &str = "turquoise.yaml";

/// A validated `turquoise.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// `metadata.name`; else the folder's name is used.
    pub name: Option<AppName>,
    /// Where the app's objects live; else the namespace that the operator gave.
    pub namespace: Option<String>,
    /// The overlay folders, relative to the app's folder.
    pub overlays: Overlays,
    /// The selector's key; else the one label whose value is a colour's name.
    pub selector_key: Option<String>,
    /// Services that are previews although their name does not end in `-preview`.
    pub preview_services: Vec<String>,
    /// How long a candidate may take to become ready.
    pub readiness_deadline: Duration,
    /// What must be true of a candidate before it may go live.
    pub checks: Vec<Check>,
    /// Who says that a verified candidate goes live.
    pub promotion: Promotion,
    /// How long the checks go on through the live address after a flip.
    pub watch: Duration,
    /// What a failed watch does while git cannot be told.
    pub on_git_down: OnGitDown,
    /// What becomes of the colour that is not live any more.
    pub retire: Retire,
    /// Who hears of every transition.
    pub notifications: Vec<Receiver>,
    /// Takes over objects that exist and are not turquoise's.
    pub adopt: bool,
    /// What the messages of turquoise's commits look like.
    pub commits: Messages,
}

/// What the messages of turquoise's commits look like, where it is not the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Messages {
    /// The first line, in place of `{app}: {summary}`.
    pub subject: Option<Template>,
    /// One more line, a paragraph of its own before the trailers.
    pub note: Option<Template>,
}

/// The three overlays, each a folder relative to the app's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overlays {
    /// Default `overlays/blue`.
    pub blue: String,
    /// Default `overlays/green`.
    pub green: String,
    /// Default `overlays/live`.
    pub live: String,
}

/// Who promotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promotion {
    /// A verified candidate goes live at once.
    #[default]
    Auto,
    /// A person's commit that flips the selector approves it.
    Manual,
}

/// What a failed watch does while git is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnGitDown {
    /// Nothing flips before git says so.
    #[default]
    Wait,
    /// Traffic goes back first; the commit follows when git is there again.
    FlipBack,
}

/// What happens to the old colour once the new one is live and watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Retire {
    /// It stays as it is, so that a revert is a switch without new pods.
    Keep,
    /// It is scaled to that many replicas a workload after that time.
    ScaleTo {
        /// Replicas of each workload.
        replicas: u32,
        /// Counted from the flip: how long clients may hold on to their connections.
        after: Duration,
    },
    /// Its objects are deleted after that time.
    Delete {
        /// Counted from the flip.
        after: Duration,
    },
}

impl Policy {
    /// The digest that passes of checks are bound to: a policy that changes voids them (rule 14).
    #[must_use]
    pub fn digest(&self) -> Digest {
        super::digest::of_json(&serde_json::to_value(self).unwrap_or_default())
    }

    /// The longest that the checks of a watch take for their first answer.
    #[must_use]
    pub fn longest_round(&self) -> Duration {
        let rounds = self.checks.iter().filter_map(|check| match &check.asks {
            Asks::Http(http) => Some(http.longest_round()),
            Asks::Webhook(_) => None,
        });
        rounds.max().unwrap_or_default()
    }
}

impl Default for Policy {
    /// What a file with nothing but `apiVersion` and `kind` says.
    fn default() -> Self {
        Self {
            name: None,
            namespace: None,
            overlays: Overlays {
                blue: "overlays/blue".into(),
                green: "overlays/green".into(),
                live: "overlays/live".into(),
            },
            selector_key: None,
            preview_services: Vec::new(),
            readiness_deadline: raw::READINESS_DEADLINE_DEFAULT,
            checks: Vec::new(),
            promotion: Promotion::Auto,
            watch: raw::WATCH_DEFAULT,
            on_git_down: OnGitDown::Wait,
            retire: Retire::Keep,
            notifications: Vec::new(),
            adopt: false,
            commits: Messages::default(),
        }
    }
}

/// What is wrong with the name that an app without `metadata.name` gets from its folder or repository; `file` is its
/// turquoise.yaml.
pub(crate) fn wrong_default_name(file: &str, name: &str) -> Option<OneLine> {
    let words = || format!("{file}: the folder's name `{name}` is no app name: set `metadata.name`");
    (!is_dns_label(name)).then(|| OneLine::new(&words()))
}

/// One thing that is wrong in a `turquoise.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct PolicyProblem {
    /// 1-based line; 0 where the whole file is meant.
    pub line: u64,
    /// What is wrong, and what to write instead.
    pub message: OneLine,
}

impl PolicyProblem {
    /// The problem with its place: `turquoise.yaml:7: ...`.
    #[must_use]
    pub fn at(&self, file: &str) -> OneLine {
        match self.line {
            0 => OneLine::new(&format!("{file}: {}", self.message)),
            line => OneLine::new(&format!("{file}:{line}: {}", self.message)),
        }
    }
}
