//! Whether git can be reached, and since when not: what the status and `/readyz` say of an outage.

use std::fmt;

use jiff::Timestamp;

use crate::core::ids::RepoName;
use crate::core::status::AppStatus;
use crate::core::text::OneLine;
use crate::source::SourceError;

/// How the last question to git ended.
#[derive(Debug, Default)]
pub(super) struct Reach {
    synced_at: Option<Timestamp>,
    lost: Option<OneLine>,
}

impl Reach {
    /// Git answered. Says whether it had not before.
    pub(super) fn reached(&mut self, repo: &RepoName, at: Timestamp) -> bool {
        let back = self.lost.take().is_some();
        if back {
            tracing::info!(%repo, "git answers again");
        }
        self.synced_at = Some(at);
        back
    }

    /// Git did not answer. An outage is said once in the same words, and at length only in the log.
    pub(super) fn lost(&mut self, repo: &RepoName, error: &SourceError) {
        let words = OneLine::new(&error.to_string());
        if self.lost.replace(words.clone()) == Some(words) {
            tracing::debug!(%repo, "{error}");
        } else {
            tracing::warn!(%repo, "{error}; trying again, nothing is changed until then");
        }
    }

    /// Whether git did not answer when it was asked last.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// What an app's status says while git is out of reach: why, and the time of the last answer. What the cluster alone
    /// tells goes on being shown.
    pub(super) fn tell(&self, status: &mut AppStatus) {
        if let Some(words) = &self.lost {
            status.error = Some(words.clone());
            status.synced_at = self.synced_at;
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.lost, self.synced_at) {
            (None, _) => f.write_str("git answers"),
            (Some(words), Some(at)) => write!(f, "git has not answered since {at}: {words}"),
            (Some(words), None) => write!(f, "git has not answered yet: {words}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_shows_its_words_and_the_last_answer() {
        let mut reach = Reach::default();
        let error = SourceError::NoBranch { location: "shop.git".into(), branch: "main".into() };
        reach.lost(&RepoName::new("shop"), &error);
        assert_eq!(reach.to_string(), "git has not answered yet: `shop.git` has no branch `main`");
        assert!(reach.reached(&RepoName::new("shop"), Timestamp::UNIX_EPOCH));
        assert_eq!(reach.to_string(), "git answers");
        reach.lost(&RepoName::new("shop"), &error);
        assert!(reach.to_string().contains("since 1970-01-01T00:00:00Z: `shop.git`"), "{reach}");
    }
}
