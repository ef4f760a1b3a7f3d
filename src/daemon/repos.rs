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
    /// Whether a search for apps has ended, well or not.
    pub(super) searched: bool,
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

/// Gives names away: who has a name keeps it as long as the app is there, a free name goes to the first repository that has
/// an app of it. While an earlier one was not searched yet (each comes with whether it was), nobody behind it gets a name:
/// it may be the earlier one's. The second answer says of each name who else would like it.
pub(super) fn homes<'a>(
    before: &BTreeMap<AppName, Home>,
    repos: impl Iterator<Item = (&'a RepoName, &'a Arc<Vec<Arc<App>>>, bool)>,
) -> (BTreeMap<AppName, Home>, BTreeMap<AppName, OneLine>) {
    let mut wishes: BTreeMap<AppName, Vec<Home>> = BTreeMap::new();
    let mut all_searched = true;
    for (repo, apps, searched) in repos {
        all_searched &= searched;
        for app in apps.iter() {
            if !all_searched && before.get(&app.name).is_none_or(|home| home.repo != *repo) {
                continue;
            }
            wishes.entry(app.name.clone()).or_default().push(Home { repo: repo.clone(), app: Arc::clone(app) });
        }
    }
    let (mut homes, mut taken): (BTreeMap<AppName, Home>, BTreeMap<AppName, OneLine>) = Default::default();
    for (name, wishes) in wishes {
        let holder = before.get(&name).and_then(|home| wishes.iter().find(|wish| wish.repo == home.repo));
        let Some(home) = holder.or(wishes.first()).cloned() else { continue };
        // Two of one name in one repository are both blocked, and both say so in the same words.
        if let Some(other) = wishes.iter().find(|wish| wish.repo != home.repo) {
            let by = OneLine::new(&format!("repository {}, folder {}", other.repo, folder_of(&other.app)));
            taken.insert(name.clone(), by);
        }
        homes.insert(name, home);
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
    fn a_free_name_goes_to_the_first_and_stays_with_whoever_has_it() {
        let app = |folder: &str| {
            let policy = Ok(Arc::default());
            Arc::new(App { folder: folder.to_owned(), name: AppName::new(folder), policy })
        };
        let (one, two) = (RepoName::new("one"), RepoName::new("two"));
        let (of_one, of_two) = (Arc::new(vec![app("shop")]), Arc::new(vec![app("docs"), app("shop")]));
        let shop = AppName::new("shop");
        let both = || [(&one, &of_one, true), (&two, &of_two, true)].into_iter();
        let (first, taken) = homes(&BTreeMap::new(), both());
        assert_eq!((&first[&shop].repo, &first[&AppName::new("docs")].repo), (&one, &two));
        assert_eq!(taken.keys().collect::<Vec<_>>(), [&shop]);
        assert_eq!(taken[&shop].as_str(), "repository two, folder shop");
        let (second, _) = homes(&BTreeMap::new(), both().skip(1));
        let (later, taken) = homes(&second, both());
        assert_eq!(later[&shop].repo, two, "who was there first keeps it");
        assert_eq!(taken[&shop].as_str(), "repository one, folder shop");
        let nothing = Arc::default();
        let (last, taken) = homes(&later, [(&one, &of_one, true), (&two, &nothing, true)].into_iter());
        assert_eq!((&last[&shop].repo, taken.len()), (&one, 0));
        let (waits, _) = homes(&BTreeMap::new(), [(&one, &nothing, false), (&two, &of_two, true)].into_iter());
        assert!(waits.is_empty(), "the first one may have an app of that name");
        let (kept, _) = homes(&second, [(&one, &nothing, false), (&two, &of_two, true)].into_iter());
        assert_eq!(kept[&shop].repo, two, "who has it does not lose it to one that is added");
    }
}
