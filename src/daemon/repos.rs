//! The watched repositories: opening, searching for apps, and whose an app's name is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::AbortHandle;

use super::announce::Announcer;
use super::reach::Reach;
use crate::config::RepoSettings;
use crate::core::grants::Grants;
use crate::core::ids::{AppName, CommitId, RepoName};
use crate::core::text::OneLine;
use crate::source::{App, Repo, SourceError};

/// A watched repository.
pub(super) struct Watched {
    pub(super) settings: RepoSettings,
    /// `None` until it could be opened.
    pub(super) repo: Option<Arc<Repo>>,
    pub(super) grants: Arc<Grants>,
    pub(super) announcer: Announcer,
    /// The timer that asks it.
    pub(super) poll: AbortHandle,
    /// HEAD as the newest search found it.
    pub(super) head: Option<CommitId>,
    /// The apps there, by folder.
    pub(super) apps: Arc<Vec<Arc<App>>>,
    /// A pass ended with another HEAD than the newest search: what it said of HEAD must be asked again.
    pub(super) recheck: bool,
    /// How the newest search ended.
    pub(super) reach: Reach,
}

/// What a search for apps found.
pub(super) struct Discovery {
    pub(super) repo: Arc<Repo>,
    pub(super) head: CommitId,
    pub(super) apps: Arc<Vec<Arc<App>>>,
    /// The folders of apps of which git says something that no look has seen yet.
    pub(super) news: BTreeSet<String>,
}

/// Opens a repository. How its server is reached is in `settings.credentials`.
pub(super) fn open(settings: &RepoSettings, cluster: Option<&str>) -> Result<Repo, SourceError> {
    Ok(Repo::open(&settings.location, &settings.branch, &settings.credentials)?.for_cluster(cluster.map(str::to_owned)))
}

/// Asks a repository for HEAD, and where that is another one than `seen`, for its apps and what is new of each. Blocks.
pub(super) fn discover(
    repo: Arc<Repo>,
    seen: Option<(CommitId, Arc<Vec<Arc<App>>>)>,
) -> Result<Discovery, SourceError> {
    repo.sync()?;
    let head = repo.head()?;
    if let Some((_, apps)) = seen.filter(|(seen, _)| *seen == head) {
        repo.rest();
        return Ok(Discovery { repo, head, apps, news: BTreeSet::new() });
    }
    let apps = repo.apps(&head)?;
    let mut news = BTreeSet::new();
    for app in apps.iter() {
        if !repo.is_unchanged(app, &head)? {
            news.insert(app.folder.clone());
        }
    }
    Ok(Discovery { repo, head, apps, news })
}

/// Where an app is.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) repo: RepoName,
    pub(super) app: Arc<App>,
}

/// Gives names away: the first repository that has an app of a name has it. The second answer says of each such name who
/// else would like it.
pub(super) fn homes<'a>(
    repos: impl Iterator<Item = (&'a RepoName, &'a Arc<Vec<Arc<App>>>)>,
) -> (BTreeMap<AppName, Home>, BTreeMap<AppName, OneLine>) {
    let (mut homes, mut taken): (BTreeMap<AppName, Home>, BTreeMap<AppName, OneLine>) = Default::default();
    for (repo, apps) in repos {
        for app in apps.iter() {
            match homes.get(&app.name) {
                Some(first) if first.repo != *repo => {
                    let by = OneLine::new(&format!("repository {repo}, folder {}", folder_of(app)));
                    taken.entry(app.name.clone()).or_insert(by);
                }
                // Two of one name in one repository are both blocked, and both say so in the same words.
                Some(_) | None => {
                    homes.insert(app.name.clone(), Home { repo: repo.clone(), app: Arc::clone(app) });
                }
            }
        }
    }
    (homes, taken)
}

fn folder_of(app: &App) -> &str {
    if app.folder.is_empty() { "." } else { &app.folder }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_repository_has_the_name() {
        let app = |folder: &str| {
            let policy = Ok(Arc::default());
            Arc::new(App { folder: folder.to_owned(), name: AppName::new(folder), policy })
        };
        let (one, two) = (RepoName::new("one"), RepoName::new("two"));
        let (of_one, of_two) = (Arc::new(vec![app("shop")]), Arc::new(vec![app("docs"), app("shop")]));
        let (homes, taken) = homes([(&one, &of_one), (&two, &of_two)].into_iter());
        assert_eq!(homes[&AppName::new("shop")].repo, one);
        assert_eq!(homes[&AppName::new("docs")].repo, two);
        assert_eq!(taken[&AppName::new("shop")].as_str(), "repository two, folder shop");
        assert_eq!(taken.len(), 1);
    }
}
