//! Whether git can be reached, and since when not: what the status and `/readyz` say of an outage.

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

    /// What an app's status says while git is out of reach: why, and the time of the last answer. What the cluster alone
    /// tells goes on being shown.
    pub(super) fn tell(&self, status: &mut AppStatus) {
        if let Some(words) = &self.lost {
            status.error = Some(words.clone());
            status.synced_at = self.synced_at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_shows_its_words_and_the_last_answer() {
        let name = RepoName::new("shop");
        let error = SourceError::NoBranch { location: "shop.git".into(), branch: "main".into(), others: String::new() };
        let told = |reach: &Reach| {
            let mut status = AppStatus::unknown(
                crate::core::ids::AppName::new("shop"),
                "shop".into(),
                "shop.git".into(),
                "main".into(),
            );
            reach.tell(&mut status);
            (status.error.map(|words| words.to_string()), status.synced_at)
        };
        let words = || Some("`shop.git` has no branch `main`".to_owned());
        let mut reach = Reach::default();
        reach.lost(&name, &error);
        assert_eq!(told(&reach), (words(), None));
        assert!(reach.reached(&name, Timestamp::UNIX_EPOCH));
        assert_eq!(told(&reach), (None, None), "a look says when it was");
        reach.lost(&name, &error);
        assert_eq!(told(&reach), (words(), Some(Timestamp::UNIX_EPOCH)));
        assert!(reach.reached(&name, Timestamp::UNIX_EPOCH) && !reach.reached(&name, Timestamp::UNIX_EPOCH));
    }
}
