//! What people are told beside what a plan does and waits for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::colour::Colour;
use super::ids::CommitId;
use super::text::{OneLine, join};

/// What a person should know although nothing waits for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Alert {
    /// The watch failed, and the idle colour holds nothing that may take traffic.
    NothingToGoBackTo {
        /// What failed.
        failure: OneLine,
    },
    /// A pin's commit can be neither found nor rendered.
    PinUnreachable {
        /// The pin's revision.
        revision: CommitId,
    },
    /// The git server took a commit of turquoise's and said no: nothing is flipped until it says yes.
    PushDeclined {
        /// What it, or its hook, said.
        words: OneLine,
    },
    /// Somebody changed live Services in the cluster; they are put back as git has them.
    Astray {
        /// Which.
        services: Vec<String>,
    },
    /// A verified candidate that waits for approval is not ready any more.
    VerifiedNotReady {
        /// The colour.
        colour: Colour,
        /// Why.
        failure: OneLine,
    },
    /// Objects of the serving colour differ from its pin; turquoise leaves them as they are.
    Drift {
        /// Which.
        objects: Vec<OneLine>,
    },
    /// Another repository has an app of this name, which is left alone.
    NameTaken {
        /// Where that app is.
        by: OneLine,
    },
    /// The configuration file cannot be used: the one before it stays in force.
    Configuration {
        /// What is wrong, with file and line.
        problems: Vec<OneLine>,
    },
    /// Traffic went back before git could be told: it is committed when git is there again.
    FlipBackUncommitted {
        /// The colour that serves.
        colour: Colour,
        /// What failed.
        failure: OneLine,
    },
    /// Objects of the serving colour were missing and are created again.
    Missing {
        /// Which.
        objects: Vec<OneLine>,
    },
}

impl Alert {
    /// The word in the status.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NothingToGoBackTo { .. } => "nothing_to_go_back_to",
            Self::PinUnreachable { .. } => "pin_unreachable",
            Self::PushDeclined { .. } => "push_declined",
            Self::Astray { .. } => "astray",
            Self::VerifiedNotReady { .. } => "verified_not_ready",
            Self::Drift { .. } => "drift",
            Self::NameTaken { .. } => "name_taken",
            Self::Configuration { .. } => "configuration",
            Self::FlipBackUncommitted { .. } => "flip_back_uncommitted",
            Self::Missing { .. } => "missing",
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToGoBackTo { failure } => {
                write!(f, "the watch failed and there is nothing to go back to: {failure}")
            }
            Self::PinUnreachable { revision } => write!(f, "the pinned commit {} cannot be reached", revision.short()),
            Self::PushDeclined { words } => write!(f, "the git server declines turquoise's commits: {words}"),
            Self::Astray { services } => {
                write!(f, "changed by hand in the cluster and put back: {}", services.join(", "))
            }
            Self::VerifiedNotReady { colour, failure } => {
                write!(f, "the verified candidate in {colour} is not ready any more: {failure}")
            }
            Self::Drift { objects } => {
                write!(f, "changed in the cluster since it was released: {}", join(objects, ", "))
            }
            Self::NameTaken { by } => {
                write!(f, "another app of this name is left alone, give it its own `metadata.name`: {by}")
            }
            Self::Configuration { problems } => {
                let words = join(problems, "; ");
                write!(f, "the configuration file cannot be used, the one before stays in force: {words}")
            }
            Self::FlipBackUncommitted { colour, failure } => {
                write!(f, "traffic went back to {colour}, and git cannot be told yet: {failure}")
            }
            Self::Missing { objects } => write!(f, "missing in the cluster: {}", join(objects, ", ")),
        }
    }
}
