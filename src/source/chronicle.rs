//! Which apps turquoise ever spoke of on the branch: those that are no folder any more were left behind (rule 14).

use std::collections::BTreeSet;
use std::sync::Arc;

use git2::{Oid, Repository, Sort};

use super::error::{SourceError, git};
use crate::core::ids::AppName;
use crate::core::verdict::Trailers;

/// Commits that are read for it: an app that was left behind so many commits ago is nobody's surprise any more.
const COMMITS_MAX: usize = 50_000;
/// Apps that are remembered; a repo with more has other sorrows.
const APPS_MAX: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    head: Option<Oid>,
    apps: Arc<BTreeSet<AppName>>,
}

impl Chronicle {
    /// The apps up to a HEAD; only commits that are new since the last question are read.
    pub(super) fn up_to(
        &mut self,
        repo: &Repository,
        head: Oid,
        branch: &str,
    ) -> Result<Arc<BTreeSet<AppName>>, SourceError> {
        const APP: &[u8] = b"Turquoise-App: ";
        if self.head == Some(head) {
            return Ok(Arc::clone(&self.apps));
        }
        let mut commits = repo.revwalk().map_err(walk)?;
        commits.set_sorting(Sort::TIME).map_err(walk)?;
        commits.push(head).map_err(walk)?;
        if let Some(known) = self.head.filter(|known| repo.find_commit(*known).is_ok()) {
            commits.hide(known).map_err(walk)?;
        }
        let mut apps = BTreeSet::clone(&self.apps);
        for id in commits.take(COMMITS_MAX) {
            let commit = repo.find_commit(id.map_err(walk)?).map_err(walk)?;
            let message = commit.message_bytes();
            if apps.len() >= APPS_MAX || !message.windows(APP.len()).any(|window| window == APP) {
                continue;
            }
            let trailers = std::str::from_utf8(message).ok().and_then(Trailers::parse);
            apps.extend(trailers.filter(|trailers| trailers.branch == branch).map(|trailers| trailers.app));
        }
        self.apps = Arc::new(apps);
        self.head = Some(head);
        Ok(Arc::clone(&self.apps))
    }
}

fn walk(error: git2::Error) -> SourceError {
    git("history cannot be walked")(error)
}
