//! What searches and passes found: statuses, and events for the schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::behind::{self, Left};
use super::inbox::Trigger;
use super::repos::{self, Discovery, Home};
use super::schedule::{Ended, Event};
use super::{About, Daemon, Update, Work, clock, library, triggers};
use crate::core::ids::{AppName, RepoName};
use crate::core::observed::after;
use crate::core::report::{Alert, Phase};
use crate::core::status::{AppStatus, MessagesStatus};
use crate::core::text::OneLine;
use crate::reconcile::{Did, Found, Hand, PassError, Reconciler};
use crate::source::SourceError;

/// Kinds beside the usual ones that are watched in a namespace: each is a connection's stream here and at the API server, and
/// twenty kinds are more than most apps have. What is beyond that is seen at the next look, after half an hour at the latest.
const KINDS_MAX: usize = 20;
/// Between two looks of a replica that stands by, where only time would call for the second.
const STAND_BY_PAUSE: Duration = Duration::from_secs(1);

impl Daemon {
    /// Starts a pass.
    pub(super) fn pass(&mut self, name: AppName) {
        let Some(reconciler) = self.apps.get(&name).and_then(|home| self.reconciler(home)) else {
            // The schedule hears that it ended, so that it does not wait for it.
            let gone = name.clone();
            let task = self.work.spawn(async move { Work::Pass(gone, Box::new(Err(PassError::Gone))) });
            self.tasks.insert(task.id(), (About::App(name), task));
            return;
        };
        let announcer =
            self.apps.get(&name).and_then(|home| self.repos.get(&home.repo)).map(|one| one.announcer.clone());
        let (metrics, updates, mandate) = (self.board.metrics.clone(), self.updates.clone(), self.mandate.clone());
        let about = About::App(name.clone());
        let task = self.work.spawn(async move {
            let app = Arc::clone(&reconciler.app);
            let namespace = reconciler.app_namespace().to_owned();
            let said = |did: Did| {
                if let Some(announcer) = &announcer {
                    announcer.did(&app, &namespace, &did, &metrics, clock::now());
                }
                if let Some(updates) = &updates {
                    let _gone = updates.send(Update::Did(app.name.clone(), did));
                }
            };
            let pass = reconciler.pass(said);
            let found = match reconciler.hand {
                Hand::Acts(_) => mandate.during(pass).await.unwrap_or(Err(PassError::StoodDown)),
                Hand::DryRun | Hand::StandsBy => pass.await,
            };
            reconciler.repo.put_away(&app);
            Work::Pass(name, Box::new(found))
        });
        self.tasks.insert(task.id(), (about, task));
    }

    fn reconciler(&self, home: &Home) -> Option<Reconciler> {
        let watched = self.repos.get(&home.repo)?;
        Some(Reconciler {
            app: Arc::clone(&home.app),
            repo: Arc::clone(watched.repo.as_ref()?),
            cluster: self.cluster.clone(),
            checks: self.checks.clone(),
            namespace: watched.settings.namespace.clone().unwrap_or_else(|| self.namespace.clone()),
            grants: Arc::clone(&watched.grants),
            cluster_name: self.settings.cluster.clone(),
            clock: clock::now,
            planner: self.settings.planner,
            lost_at: self.silence.lost_at(),
            hand: self.hand(),
        })
    }

    fn hand(&self) -> Hand {
        if self.settings.dry_run {
            Hand::DryRun
        } else if self.mandate.holds() {
            Hand::Acts(self.mandate.leave())
        } else {
            Hand::StandsBy
        }
    }

    /// This replica leads from now on, or does not any more. What is known stays, and everything is looked at: by a leader
    /// to act on it, by another to see what the leader makes of it.
    pub(super) fn lead_changed(&mut self) -> Event {
        if !self.mandate.holds() {
            for app in self.apps.keys() {
                self.checks.retain(app, |_| false);
                self.board.set_messages(app, MessagesStatus::default());
            }
            self.repos.values().for_each(|watched| watched.announcer.retain(|_| false));
        }
        Event::LeadChanged
    }

    /// Where an app's objects are.
    pub(super) fn namespace_of(&self, home: &Home) -> String {
        let named = home.app.policy.as_ref().ok().and_then(|policy| policy.namespace.clone());
        let granted = || self.repos.get(&home.repo).and_then(|watched| watched.settings.namespace.clone());
        named.or_else(granted).unwrap_or_else(|| self.namespace.clone())
    }

    /// A search for apps ended.
    pub(super) fn discovered(&mut self, name: &RepoName, discovery: Discovery) -> Vec<Event> {
        let Some(watched) = self.repos.get_mut(name) else { return Vec::new() };
        let new = watched.repo.is_none() || watched.head.is_none();
        let moved = watched.head.as_ref() != Some(&discovery.head);
        watched.repo = Some(Arc::clone(&discovery.repo));
        // An outage stands in every status: a look at each takes it out.
        let back = watched.reach.reached(name, clock::now());
        watched.announcer.reads(&discovery.repo);
        watched.announcer.git(Ok(()));
        let same_apps = !new && watched.apps == discovery.apps;
        let first = !std::mem::replace(&mut watched.searched, true);
        watched.apps = Arc::clone(&discovery.apps);
        watched.head = Some(discovery.head.clone());
        if new && let Some(path) = discovery.repo.watch_path() {
            self.folders.add(&path, Trigger::Git(name.clone()));
            // Nothing says whether it changed between the search and the watch.
            self.inbox.put(Trigger::Git(name.clone()));
        }
        self.board.metrics.repo(name.as_str(), Some(true));
        self.board.health(|health, now| health.asked_git(name.as_str(), Ok(()), now));
        // Most commits change no turquoise.yaml.
        if first {
            self.searched_for_the_first_time(name);
        } else if moved && !same_apps {
            self.give_names_away();
        }
        if moved && !same_apps {
            for (app, home) in self.apps.iter().filter(|(_, home)| home.repo == *name) {
                self.board.set_library(app.clone(), library::library(&discovery.repo, &home.app));
            }
        }
        let mut apps = BTreeMap::new();
        for app in discovery.apps.iter() {
            let is_home = self.apps.get(&app.name).is_some_and(|home| home.repo == *name);
            if is_home {
                let news = back || discovery.news.contains(&app.folder);
                *apps.entry(app.name.clone()).or_insert(false) |= news;
                if !news {
                    self.unchanged(&app.name, &discovery);
                }
            }
        }
        if moved {
            self.look_behind(name);
        }
        vec![Event::Discovered(name.clone(), apps)]
    }

    /// Names that waited for a repository's first search are given away, and the repositories whose apps got one are searched
    /// once more, so that these are looked at.
    fn searched_for_the_first_time(&mut self, name: &RepoName) {
        let before: BTreeSet<AppName> = self.apps.keys().cloned().collect();
        self.give_names_away();
        let waited = self.apps.iter().filter(|(app, home)| home.repo != *name && !before.contains(*app));
        let mut repos = BTreeSet::new();
        for (app, home) in waited {
            if let Some(repo) = self.repos.get(&home.repo).and_then(|watched| watched.repo.as_ref()) {
                self.board.set_library(app.clone(), library::library(repo, &home.app));
                repos.insert(home.repo.clone());
            }
        }
        repos.into_iter().for_each(|repo| self.inbox.put(Trigger::Git(repo)));
    }

    /// Whose names are whose, and what follows from it.
    pub(super) fn give_names_away(&mut self) {
        let in_order = self.settings.repos.iter().filter_map(|one| self.repos.get_key_value(&one.name));
        let (apps, taken) =
            repos::homes(&self.apps, in_order.map(|(name, watched)| (name, &watched.apps, watched.searched)));
        for (app, by) in taken.iter().filter(|(app, by)| self.taken.get(*app) != Some(*by)) {
            tracing::warn!(%app, "another app of this name is left alone: {by}");
        }
        let taken_before = std::mem::replace(&mut self.taken, taken);
        self.apps = apps;
        let changed = taken_before.keys().chain(self.taken.keys()).collect::<BTreeSet<_>>();
        let changed = changed.into_iter().filter(|app| taken_before.get(*app) != self.taken.get(*app));
        changed.filter_map(|app| self.board.get(app)).for_each(|status| self.show(status));
        self.behind.retain(|app, _| !self.apps.contains_key(app));
        self.board.retain(|app| self.apps.contains_key(app) || self.behind.contains_key(app));
        self.touches.retain(|app| self.apps.contains_key(app));
        for (name, watched) in &self.repos {
            watched.announcer.retain(|app| self.apps.get(app).is_some_and(|home| home.repo == *name));
        }
        let wanted: BTreeSet<String> = self.apps.values().map(|home| self.namespace_of(home)).collect();
        for namespace in &wanted {
            if !self.namespaces.contains_key(namespace) {
                let work = triggers::watch_namespace(self.cluster.clone(), namespace.clone(), self.inbox.clone());
                self.namespaces.insert(namespace.clone(), self.background.spawn(work));
            }
        }
        for (_, watch) in self.namespaces.extract_if(.., |namespace, _| !wanted.contains(namespace)) {
            watch.abort();
        }
        for (_, kinds) in self.kinds.extract_if(.., |namespace, _| !wanted.contains(namespace)) {
            kinds.into_values().for_each(|watch| watch.abort());
        }
    }

    /// Watches what apps render beside workloads, Services and ConfigMaps: one watch a kind and namespace, for all apps there,
    /// of metadata alone. It goes on until the namespace has no app any more.
    fn watch_kinds(&mut self, namespace: &str, kinds: BTreeSet<(String, String)>) {
        if !self.namespaces.contains_key(namespace) {
            return;
        }
        let watched = self.kinds.entry(namespace.to_owned()).or_default();
        for kind in kinds {
            if watched.len() >= KINDS_MAX || watched.contains_key(&kind) {
                continue;
            }
            let work =
                triggers::watch_kind(self.cluster.clone(), namespace.to_owned(), kind.clone(), self.inbox.clone());
            watched.insert(kind, self.background.spawn(work));
        }
    }

    /// Git says nothing new of an app: what its newest look found is so at this HEAD, too.
    fn unchanged(&self, app: &AppName, discovery: &Discovery) {
        if let Some(mut status) = self.board.get(app)
            && status.head.is_some()
            && status.error.is_none()
        {
            status.head = Some(discovery.head.clone());
            status.synced_at = Some(clock::now());
            self.show(status);
        }
    }

    /// A search for apps failed.
    pub(super) fn undiscovered(&mut self, name: &RepoName, error: &SourceError) {
        let Some(watched) = self.repos.get_mut(name) else { return };
        watched.reach.lost(name, error);
        let first = !std::mem::replace(&mut watched.searched, true);
        let words = OneLine::new(&error.to_string());
        watched.announcer.git(Err(&words));
        self.board.metrics.repo(name.as_str(), Some(false));
        self.board.health(|health, now| health.asked_git(name.as_str(), Err(words.clone()), now));
        let here = self.apps.iter().filter(|(_, home)| home.repo == *name);
        for status in here.filter_map(|(app, _)| self.board.get(app)) {
            self.show(status);
        }
        if first {
            self.searched_for_the_first_time(name);
        }
    }

    /// A pass ended.
    pub(super) fn passed(&mut self, name: &AppName, found: Result<Found, PassError>) -> Ended {
        let Some(home) = self.apps.get(name).cloned() else { return Ended::Waiting(None) };
        let Some(watched) = self.repos.get_mut(&home.repo) else { return Ended::Waiting(None) };
        let announcer = watched.announcer.clone();
        if let Ok(found) = &found
            && watched.head.as_ref() != Some(&found.head)
        {
            watched.recheck = true;
            self.inbox.put(Trigger::Git(home.repo.clone()));
        }
        let branch = watched.settings.branch.clone();
        let namespace = self.namespace_of(&home);
        let location = announcer.location().to_owned();
        let unknown = AppStatus::unknown(name.clone(), namespace.clone(), location, branch);
        // Where it is may have changed since it was shown: a name can go to another repository, an app to another namespace.
        let mut status = match self.board.get(name) {
            Some(shown) => {
                AppStatus { namespace: unknown.namespace, repo: unknown.repo, branch: unknown.branch, ..shown }
            }
            None => unknown,
        };
        let (ended, outcome) = match found {
            Ok(found) => {
                self.silence.answered(found.at);
                if let Ok(view) = &found.view {
                    self.touches.set(name, &namespace, view.names());
                    self.watch_kinds(&namespace, view.kinds());
                }
                announcer.cluster(Ok(()));
                let wake = self.found(&home, &namespace, &mut status, &found);
                (Ended::Waiting(wake.map(|wake| self.patient(wake))), "done")
            }
            Err(error) if error.is_conflict() => {
                tracing::debug!(app = %name, "looking again: {error}");
                self.silence.answered(clock::now());
                (Ended::Conflict, "again")
            }
            Err(error) => {
                tracing::warn!(app = %name, "{error}");
                status.error = Some(error.words());
                status.alerts.retain(|one| !matches!(one, Alert::PushDeclined { .. }));
                status.alerts.extend(error.alert());
                if error.is_cluster_out_of_reach() {
                    self.silence.failed(clock::now());
                    announcer.cluster(Err(&error.words()));
                }
                if let Some(blocked) = error.refusal() {
                    status.phase = Phase::Blocked;
                    status.blocked = Some(blocked.clone().into());
                    if let Some(head) = status.head.clone() {
                        announcer.blocked(&home.app, &namespace, &head, &blocked, clock::now());
                    }
                }
                (Ended::Failed, "failed")
            }
        };
        self.board.metrics.look(name.as_str(), outcome);
        if outcome != "again" {
            self.show(status);
        }
        ended
    }

    /// A plan's next moment; whoever stands by does nothing about one that is over, and must not look for it again and again.
    fn patient(&self, wake: Timestamp) -> Timestamp {
        if self.mandate.holds() { wake } else { wake.max(after(clock::now(), STAND_BY_PAUSE)) }
    }

    fn found(&self, home: &Home, namespace: &str, status: &mut AppStatus, found: &Found) -> Option<Timestamp> {
        let announcer = self.repos.get(&home.repo).map(|watched| &watched.announcer);
        match &found.view {
            Ok(view) => {
                let policy = home.app.policy.clone().unwrap_or_default();
                status.set(&view.desired, &view.observed, &policy, &view.plan);
                if let Some(verdict) = &mut status.verdict {
                    verdict.at = view.verdict_at;
                }
                if let Some(announcer) = announcer {
                    announcer.looked(&home.app, namespace, view);
                }
                view.plan.wake
            }
            Err(blocked) => {
                status.set_blocked(&found.head, blocked.clone(), found.at);
                if let Some(announcer) = announcer {
                    announcer.blocked(&home.app, namespace, &found.head, blocked, found.at);
                }
                None
            }
        }
    }

    /// Looks for apps that a repository does not name any more.
    pub(super) fn look_behind(&mut self, name: &RepoName) {
        let Some(watched) = self.repos.get(name) else { return };
        let (Some(repo), Some(head)) = (watched.repo.clone(), watched.head.clone()) else { return };
        let known: BTreeSet<AppName> = self.apps.keys().cloned().collect();
        let namespaces = self.namespaces_of(&watched.settings);
        let (cluster, name) = (self.cluster.clone(), name.clone());
        let task = self
            .work
            .spawn(async move { Work::Behind(name, behind::look(repo, cluster, head, known, namespaces).await) });
        self.tasks.insert(task.id(), (About::Other, task));
    }

    /// Every namespace that a repository's apps may be in.
    pub(super) fn namespaces_of(&self, settings: &crate::config::RepoSettings) -> Vec<String> {
        let home = settings.namespace.clone().unwrap_or_else(|| self.namespace.clone());
        let mut namespaces = settings.grants.namespaces.clone();
        namespaces.insert(home);
        namespaces.into_iter().collect()
    }

    /// Shows what was left behind of a repository's apps, in place of what was shown before.
    pub(super) fn looked_behind(&mut self, name: &RepoName, left: Result<BTreeMap<AppName, Left>, PassError>) {
        let left = match left {
            Ok(left) => left,
            Err(error) => {
                // The next change of HEAD asks again; nothing waits for it.
                tracing::warn!(repo = %name, "failed to look for what was left behind: {error}");
                return;
            }
        };
        self.behind.retain(|app, repo| repo != name || left.contains_key(app));
        for (app, Left { namespace, blocked }) in left {
            if self.apps.contains_key(&app) {
                continue;
            }
            let watched = self.repos.get(name);
            let known = self.board.get(&app);
            let place = watched.map(|watched| (watched.settings.location.clone(), watched.settings.branch.clone()));
            let place = place.or_else(|| known.as_ref().map(|status| (status.repo.clone(), status.branch.clone())));
            let (location, branch) = place.unwrap_or_default();
            let head = watched.and_then(|watched| watched.head.clone());
            let head = head.or_else(|| known.as_ref().and_then(|status| status.head.clone()));
            let mut status = AppStatus::unknown(app.clone(), namespace, location, branch);
            if self.behind.insert(app.clone(), name.clone()).is_none() {
                tracing::warn!(%app, "left behind: {blocked}");
            }
            if let Some(head) = head {
                status.set_blocked(&head, blocked, clock::now());
                self.show(status);
            }
        }
        self.board.retain(|app| self.apps.contains_key(app) || self.behind.contains_key(app));
    }
}
