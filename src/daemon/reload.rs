//! The configuration file, read again while the daemon runs (docs/config.md).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::behind;
use super::inbox::Trigger;
use super::schedule::{Event, Limits};
use super::{About, Daemon, Work, triggers};
use crate::config::{self, RepoSettings, Settings};
use crate::core::ids::{AppName, RepoName};
use crate::core::report::Alert;
use crate::core::status::AppStatus;
use crate::core::text::OneLine;

impl Daemon {
    /// Reads the file, beside the loop: its disk may hang.
    pub(super) fn read_configuration(&mut self) {
        let Some(file) = self.settings.file.clone() else { return };
        let task = self.work.spawn_blocking(move || Work::Configuration(config::read(&file)));
        self.tasks.insert(task.id(), (About::Other, task));
    }

    /// The file was read: it is in force from now on, or the one before stays.
    pub(super) fn configure(&mut self, file: Result<config::File, Vec<OneLine>>) -> Vec<Event> {
        let problems = file.as_ref().err().cloned().unwrap_or_default();
        if problems != self.configuration {
            for problem in &problems {
                tracing::error!("the configuration file cannot be used, the one before stays in force: {problem}");
            }
            self.configuration = problems;
            self.board.metrics.configuration(self.configuration.is_empty());
            self.board.all().into_iter().for_each(|status| self.show(status));
        }
        match file {
            Ok(file) if self.file.as_ref() != Some(&file) => {
                self.file = Some(file.clone());
                self.put_in_force(self.settings.with(file))
            }
            Ok(_) | Err(_) => Vec::new(),
        }
    }

    fn put_in_force(&mut self, settings: Settings) -> Vec<Event> {
        if (&settings.cluster, settings.listen) != (&self.settings.cluster, self.settings.listen) {
            tracing::warn!("`cluster` and `listen` are taken from the configuration file at the next start");
        }
        let before = std::mem::replace(&mut self.settings.repos, settings.repos.clone());
        self.settings.concurrency = settings.concurrency;
        self.schedule.limit(Limits { passes: settings.concurrency });
        let mut events = Vec::new();
        for old in &before {
            match settings.repos.iter().find(|new| new.name == old.name) {
                None => {
                    tracing::info!(repo = %old.name, "is not watched any more");
                    self.leave(old);
                    events.push(Event::RepoRemoved(old.name.clone()));
                }
                Some(new) if !new.is_same_place(old) => {
                    tracing::info!(repo = %old.name, "is opened anew");
                    self.forget(&old.name);
                    events.extend([Event::RepoRemoved(old.name.clone()), self.watch(new.clone())]);
                }
                Some(new) if new != old => events.extend(self.change(new)),
                Some(_) => {}
            }
        }
        for new in settings.repos.iter().filter(|new| !before.iter().any(|old| old.name == new.name)) {
            tracing::info!(repo = %new.name, "is watched from now on");
            events.push(self.watch(new.clone()));
        }
        if before != settings.repos {
            self.give_names_away();
            tracing::info!("the configuration file was read: {} repositories", settings.repos.len());
        }
        events
    }

    /// The same repository with other rights, or another pace.
    fn change(&mut self, new: &RepoSettings) -> Option<Event> {
        let poll = self.background.spawn(triggers::poll(new.name.clone(), new.poll, self.inbox.clone()));
        let watched = self.repos.get_mut(&new.name)?;
        std::mem::replace(&mut watched.poll, poll).abort();
        watched.settings = new.clone();
        if *watched.grants == new.grants {
            return None;
        }
        tracing::info!(repo = %new.name, "is granted something else");
        watched.grants = Arc::new(new.grants.clone());
        watched.announcer = self.announcer.elsewhere(new.location.clone(), &watched.grants);
        if let Some(repo) = &watched.repo {
            watched.announcer.reads(repo);
        }
        Some(Event::GrantsChanged(new.name.clone()))
    }

    /// Watches a repository no longer; says what is left of its apps.
    fn leave(&mut self, old: &RepoSettings) {
        let apps: Vec<AppName> =
            self.apps.iter().filter(|(_, home)| home.repo == old.name).map(|(app, _)| app.clone()).collect();
        self.forget(&old.name);
        self.board.metrics.repo(old.name.as_str(), None);
        self.board.health(|health, _| health.retain_repos(|repo| repo != old.name.as_str()));
        // Until it is known what is left of them, they are shown as they were.
        self.behind.extend(apps.iter().map(|app| (app.clone(), old.name.clone())));
        let (cluster, name, namespaces) = (self.cluster.clone(), old.name.clone(), self.namespaces_of(old));
        let task =
            self.work.spawn(async move { Work::Behind(name, behind::remains_of(cluster, apps, namespaces).await) });
        self.tasks.insert(task.id(), (About::Other, task));
    }

    /// Ends everything that is under way for a repository: what was begun is safe to cut off.
    fn forget(&mut self, name: &RepoName) {
        let Some(watched) = self.repos.remove(name) else { return };
        watched.poll.abort();
        self.folders.remove(&Trigger::Git(name.clone()));
        let apps: BTreeSet<&AppName> =
            self.apps.iter().filter(|(_, home)| home.repo == *name).map(|(app, _)| app).collect();
        let its = |about: &About| match about {
            About::Repo(repo) => repo == name,
            About::App(app) => apps.contains(app),
            About::Other => false,
        };
        for (_, (_, task)) in self.tasks.extract_if(|_, (about, _)| its(about)) {
            task.abort();
        }
        for app in apps {
            self.checks.retain(app, |_| false);
        }
    }
}

/// Puts what the daemon itself has to say among an app's alerts.
pub(super) fn set_alerts(status: &mut AppStatus, configuration: &[OneLine], taken: Option<&OneLine>) {
    status.alerts.retain(|alert| !matches!(alert, Alert::Configuration { .. } | Alert::NameTaken { .. }));
    if !configuration.is_empty() {
        status.alerts.push(Alert::Configuration { problems: configuration.to_vec() });
    }
    status.alerts.extend(taken.map(|by| Alert::NameTaken { by: by.clone() }));
}
