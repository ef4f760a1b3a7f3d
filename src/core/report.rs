//! What a plan says to people: phase, reasons for waiting and being blocked, alerts. All are values; the status, the
//! CLI, logs and messages print these enums, and no reason is born as a log string.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::colour::Colour;
use super::ids::CommitId;
use super::text::{OneLine, join};

pub use super::alert::Alert;

/// What to do now, why nothing more, and when to look again at the latest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where the app is, derived from facts.
    pub phase: Phase,
    /// What to do, in this order, until one fails.
    pub actions: Vec<Action>,
    /// What is waited for.
    pub waiting: Vec<Waiting>,
    /// Why nothing can be done although something is wanted.
    pub blocked: Option<Blocked>,
    /// What a person should know although nothing waits for them.
    pub alerts: Vec<Alert>,
    /// The next moment at which the plan changes by time alone.
    pub wake: Option<Timestamp>,
}

/// Where an app is. Never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Git and cluster agree and nothing is wanted.
    Settled,
    /// A candidate is applied, or becomes ready.
    Deploying,
    /// The candidate's checks run.
    Verifying,
    /// A verified candidate waits for a person.
    AwaitingApproval,
    /// The flip is committed or patched.
    Flipping,
    /// The flip is done and watched.
    Watching,
    /// Something must be mended by a person first.
    Blocked,
}

impl Phase {
    /// The word in the status and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Deploying => "deploying",
            Self::Verifying => "verifying",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Flipping => "flipping",
            Self::Watching => "watching",
            Self::Blocked => "blocked",
        }
    }
}

/// What is waited for. Waiting is not an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Waiting {
    /// The colour's pods are not ready yet.
    Readiness {
        /// The colour.
        colour: Colour,
        /// Ready pods.
        ready: u32,
        /// Wanted pods.
        wanted: u32,
        /// The first pod that is in trouble, and its words.
        trouble: Option<OneLine>,
        /// When it is given up.
        deadline: Timestamp,
    },
    /// The colour has fewer ready pods than the serving colour.
    Size {
        /// The colour.
        colour: Colour,
        /// Ready pods of the workload.
        ready: u32,
        /// Ready pods of its twin in the serving colour.
        wanted: u32,
        /// When it is given up.
        deadline: Timestamp,
    },
    /// A Service's EndpointSlices do not hold exactly the colour's ready pods yet.
    Endpoints {
        /// The Service.
        service: String,
        /// The colour.
        colour: Colour,
    },
    /// Checks run.
    Checks {
        /// Those that have not passed yet.
        checks: Vec<String>,
    },
    /// A person's commit that flips the selector.
    Approval {
        /// The colour that would go live.
        colour: Colour,
        /// The revision that is approved by it.
        revision: CommitId,
    },
    /// The watch window after a flip.
    Watch {
        /// When it ends.
        until: Timestamp,
    },
    /// The old colour stays until clients have let go.
    Retire {
        /// The colour.
        colour: Colour,
        /// When it is scaled down.
        at: Timestamp,
    },
}

impl Waiting {
    /// The word in the status and on the page.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Readiness { .. } => "readiness",
            Self::Size { .. } => "size",
            Self::Endpoints { .. } => "endpoints",
            Self::Checks { .. } => "checks",
            Self::Approval { .. } => "approval",
            Self::Watch { .. } => "watch",
            Self::Retire { .. } => "retire",
        }
    }

    /// The moment at which time alone ends it: a deadline, the watch's end, the old colour's retirement.
    #[must_use]
    pub const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Readiness { deadline, .. } | Self::Size { deadline, .. } => Some(*deadline),
            Self::Watch { until } => Some(*until),
            Self::Retire { at, .. } => Some(*at),
            Self::Endpoints { .. } | Self::Checks { .. } | Self::Approval { .. } => None,
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Readiness { colour, ready, wanted, trouble, deadline } => {
                write!(f, "{colour} to become ready: {ready} of {wanted} pods, until {deadline:.0}")?;
                trouble.as_ref().map_or(Ok(()), |words| write!(f, "; {words}"))
            }
            Self::Size { colour, ready, wanted, .. } => {
                write!(f, "{colour} to be as large as the serving colour: {ready} of {wanted} pods")
            }
            Self::Endpoints { service, colour } => write!(f, "the endpoints of `{service}` to hold {colour}'s pods"),
            Self::Checks { checks } => write!(f, "checks: {}", checks.join(", ")),
            Self::Approval { colour, revision } => {
                write!(f, "a commit that sets the selector to {colour} and so approves {}", revision.short())
            }
            Self::Watch { until } => write!(f, "the watch window, until {until:.0}"),
            Self::Retire { colour, at } => write!(f, "clients to let go of {colour}, until {at:.0}"),
        }
    }
}

/// Why nothing can be done although something is wanted. Each has its cure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Blocked {
    /// Git's selector names neither colour, or the live Services disagree.
    SelectorUnknown {
        /// What it names.
        found: OneLine,
    },
    /// The cluster's selector is unclear and git's colour does not hold its pin, or is not ready.
    ServingUnknown {
        /// What the live Services select.
        found: OneLine,
    },
    /// Only the live colour's own overlay was changed: nothing is edited in place under traffic.
    LiveOverlayOnly {
        /// The live colour.
        colour: Colour,
    },
    /// Something in the repo is wrong; every problem with file and line.
    Invalid {
        /// The problems.
        problems: Vec<OneLine>,
    },
    /// The selector stands where it cannot be edited.
    SelectorNotEditable {
        /// Why.
        why: OneLine,
    },
    /// Objects exist that turquoise did not create.
    NotOurs {
        /// Which.
        objects: Vec<OneLine>,
    },
    /// Without a lock, the live Service selects a colour that git does not name.
    OtherColourServing {
        /// What serves.
        serving: Colour,
        /// What git names.
        declared: Colour,
    },
    /// A live Service that was there before turquoise names no colour in the cluster, and would take the candidate's pods in
    /// before they are checked.
    SelectorTooWide {
        /// The Service.
        service: OneLine,
        /// What it selects.
        selector: OneLine,
        /// The candidate's colour.
        colour: Colour,
    },
    /// The lock is for another cluster.
    OtherCluster {
        /// The cluster that it names.
        cluster: OneLine,
    },
    /// Two apps have one name.
    DuplicateName {
        /// Their folders.
        folders: Vec<OneLine>,
    },
    /// The cluster or git refuses what turquoise asks of it.
    Refused {
        /// What the server said.
        words: OneLine,
    },
    /// No folder of the repository says what the app should be any more: nothing is touched.
    LeftBehind {
        /// What stays in the cluster.
        objects: Vec<OneLine>,
        /// The command that deletes it: a list of kinds is longer than a line from outside may be, and must not be cut.
        delete: String,
    },
}

impl Blocked {
    /// The word in the status, messages and metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::SelectorUnknown { .. } => "selector_unknown",
            Self::ServingUnknown { .. } => "serving_unknown",
            Self::LiveOverlayOnly { .. } => "live_overlay_only",
            Self::Invalid { .. } => "invalid",
            Self::SelectorNotEditable { .. } => "selector_not_editable",
            Self::NotOurs { .. } => "not_ours",
            Self::OtherColourServing { .. } => "other_colour_serving",
            Self::SelectorTooWide { .. } => "selector_too_wide",
            Self::OtherCluster { .. } => "other_cluster",
            Self::DuplicateName { .. } => "duplicate_name",
            Self::Refused { .. } => "refused",
            Self::LeftBehind { .. } => "left_behind",
        }
    }

    /// What mends it.
    #[must_use]
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::SelectorUnknown { .. } => "set the live Service's selector in git to `blue` or `green`",
            Self::ServingUnknown { .. } => {
                "set the live Service's selector in the cluster to the colour that should serve"
            }
            Self::LiveOverlayOnly { .. } => {
                "make the change in the base or in the other colour's overlay: it is released there"
            }
            Self::Invalid { .. } => "mend what is named and push; `turquoise check` says the same before a push",
            Self::SelectorNotEditable { .. } => {
                "write the selector's colour once, as a plain value, inside the app's folder"
            }
            Self::NotOurs { .. } => "rename them, delete them, or set `adopt: true` in turquoise.yaml",
            Self::OtherColourServing { .. } => "set the selector in git to the colour that serves",
            Self::SelectorTooWide { .. } => {
                "give the Service's selector in the cluster a label that only the pods that serve now have"
            }
            Self::OtherCluster { .. } => "run the turquoise of that cluster, or delete `cluster` from turquoise.lock",
            Self::DuplicateName { .. } => "give each its own `metadata.name` in turquoise.yaml",
            Self::Refused { .. } => "mend what the server names; turquoise tries again",
            Self::LeftBehind { .. } => "put its turquoise.yaml back under the same name, or delete the objects",
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelectorUnknown { found } => {
                write!(f, "the selector in git names neither colour: {found}")
            }
            Self::ServingUnknown { found } => {
                write!(f, "the live Services in the cluster select neither colour: {found}")
            }
            Self::LiveOverlayOnly { colour } => {
                write!(f, "only the overlay of {colour} was changed, and {colour} is live")
            }
            Self::Invalid { problems } => {
                let more = problems.len().saturating_sub(1);
                write!(f, "{}", problems.first().map_or("invalid", OneLine::as_str))?;
                if more > 0 { write!(f, " (and {more} more)") } else { Ok(()) }
            }
            Self::SelectorNotEditable { why } => write!(f, "the selector cannot be edited: {why}"),
            Self::NotOurs { objects } => write!(f, "not created by turquoise: {}", join(objects, ", ")),
            Self::OtherColourServing { serving, declared } => {
                write!(f, "{serving} serves, but git names {declared} and there is no lock")
            }
            Self::SelectorTooWide { service, selector, colour } => {
                write!(
                    f,
                    "Service {service} selects {selector} in the cluster, which the pods of {colour} would match too"
                )
            }
            Self::OtherCluster { cluster } => {
                write!(f, "turquoise.lock is for the cluster `{cluster}`")
            }
            Self::DuplicateName { folders } => write!(f, "apps of one name: {}", join(folders, ", ")),
            Self::Refused { words } => write!(f, "refused: {words}"),
            Self::LeftBehind { objects, delete } => {
                let names = join(objects, ", ");
                write!(f, "the app is gone from git and was left as it is: {names}; `{delete}` deletes it")
            }
        }
    }
}

impl Plan {
    /// A plan that only says why nothing can be done.
    #[must_use]
    pub const fn blocked(blocked: Blocked) -> Self {
        Self {
            phase: Phase::Blocked,
            actions: Vec::new(),
            waiting: Vec::new(),
            blocked: Some(blocked),
            alerts: Vec::new(),
            wake: None,
        }
    }

    /// Whether nothing is done and nothing is waited for but time and people: git and cluster agree.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }
}
