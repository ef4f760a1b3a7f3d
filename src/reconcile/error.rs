//! What a failed pass means: look again at once, tell a person, or try later.

use super::PassError;
use crate::cluster::ClusterError;
use crate::core::report::{Alert, Blocked};
use crate::core::text::OneLine;
use crate::source::SourceError;

impl PassError {
    /// Whether the world only moved on: look again at once. Everything else is tried again with a back-off.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Cluster(ClusterError::Conflict(_)))
    }

    /// What only a person can mend: a refusal of the API server, a selector that cannot be edited.
    #[must_use]
    pub fn refusal(&self) -> Option<Blocked> {
        match self {
            Self::Cluster(ClusterError::Refused { .. }) => Some(Blocked::Refused { words: self.words() }),
            Self::Source(SourceError::NotEditable { .. }) => Some(Blocked::SelectorNotEditable { why: self.words() }),
            Self::Cluster(_) | Self::Source(_) | Self::Thread(_) => None,
        }
    }

    /// What a person should know of it beside that the look failed.
    #[must_use]
    pub fn alert(&self) -> Option<Alert> {
        match self {
            Self::Source(SourceError::Declined { words, .. }) => Some(Alert::PushDeclined { words: words.clone() }),
            Self::Cluster(_) | Self::Source(_) | Self::Thread(_) => None,
        }
    }

    /// The error in one line.
    #[must_use]
    pub fn words(&self) -> OneLine {
        OneLine::new(&self.to_string())
    }
}
