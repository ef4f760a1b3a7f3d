//! Why a pass ended early, and what follows from it.

use crate::cluster::ClusterError;
use crate::core::report::{Alert, Blocked};
use crate::core::text::OneLine;
use crate::source::SourceError;

/// Why a pass ended early. Waiting is not an error.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// Git.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The app or its repository is gone since the pass was asked for.
    #[error("the app is gone")]
    Gone,
    /// Another replica leads, or will: what was begun is left to it.
    #[error("this replica does not lead any more")]
    StoodDown,
    /// The thread that asked git is gone.
    #[error("failed to ask git: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl PassError {
    /// Whether the world only moved on: look again at once. Everything else is tried again with a back-off.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Cluster(ClusterError::Conflict(_)) | Self::StoodDown)
    }

    /// Whether the API server gave no usable answer.
    #[must_use]
    pub fn is_cluster_out_of_reach(&self) -> bool {
        matches!(self, Self::Cluster(ClusterError::Unreachable { .. }))
    }

    /// What only a person can mend: a refusal of the API server, a selector that cannot be edited.
    #[must_use]
    pub fn refusal(&self) -> Option<Blocked> {
        match self {
            Self::Cluster(ClusterError::Refused { .. }) => Some(Blocked::Refused { words: self.words() }),
            Self::Source(SourceError::NotEditable { .. }) => Some(Blocked::SelectorNotEditable { why: self.words() }),
            Self::Cluster(_) | Self::Source(_) | Self::Gone | Self::StoodDown | Self::Thread(_) => None,
        }
    }

    /// What a person should know of it beside that the look failed.
    #[must_use]
    pub fn alert(&self) -> Option<Alert> {
        match self {
            Self::Source(SourceError::Declined { words, .. }) => Some(Alert::PushDeclined { words: words.clone() }),
            Self::Cluster(_) | Self::Source(_) | Self::Gone | Self::StoodDown | Self::Thread(_) => None,
        }
    }

    /// The error in one line. A server's chain of words ends with the cause; what we say ourselves begins with it.
    #[must_use]
    pub fn words(&self) -> OneLine {
        match self {
            Self::Cluster(_) => OneLine::of_error(self),
            Self::Source(_) | Self::Gone | Self::StoodDown | Self::Thread(_) => OneLine::new(&self.to_string()),
        }
    }
}
