//! Where triggers wait for the loop. They are kept as a set: whoever says the same thing a thousand times says it once, so
//! nothing is ever lost and the inbox is no larger than what there is to speak of.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::core::ids::{AppName, RepoName};

/// Something that may say "look again".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trigger {
    /// A repository changed, or may have.
    Git(RepoName),
    /// Any repository may have changed.
    AllGit,
    /// Something of an app changed.
    App(AppName),
    /// A workload or Service of a namespace changed, or its pods or endpoints, and does not say whose it is.
    Named {
        /// The namespace.
        namespace: String,
        /// The workload's or Service's name.
        name: String,
    },
    /// Anything of a namespace may have changed: its watch was opened.
    Namespace(String),
    /// This replica leads from now on, or does not any more.
    Lead,
    /// The configuration file changed, or somebody asks that it be read.
    Configuration,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Inbox {
    pending: Arc<Mutex<BTreeSet<Trigger>>>,
    rang: Arc<Notify>,
}

impl Inbox {
    /// Hands a trigger in; any thread may.
    pub(super) fn put(&self, trigger: Trigger) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(trigger);
        self.rang.notify_one();
    }

    /// Waits until there is something, and takes all of it.
    pub(super) async fn take(&self) -> BTreeSet<Trigger> {
        loop {
            let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
            if !pending.is_empty() {
                return pending;
            }
            self.rang.notified().await;
        }
    }
}
