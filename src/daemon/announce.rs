//! From looks and deeds to people: log lines and metrics here, messages at the app's desk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::clock;
use super::desk::{self, Content, LETTERS_MAX, Letter, Office};
use super::outage::{Change, Outage};
use crate::core::event::{Event, EventKind};
use crate::core::grants::Grants;
use crate::core::ids::{AppName, CommitId};
use crate::core::news::Facts;
use crate::core::report::Blocked;
use crate::core::text::OneLine;
use crate::http::Metrics;
use crate::reconcile::{Did, View};
use crate::source::{App, Repo};

/// Sentences of a dry run that are remembered, so that a look that finds the same says nothing.
const WOULD_MAX: usize = 200;

/// Tells people, once.
#[derive(Clone)]
pub(super) struct Announcer {
    /// `None` in a dry run: nothing happens that anybody should hear of.
    office: Option<Office>,
    location: String,
    desks: Arc<Mutex<Desks>>,
    /// Every open desk, of all repositories.
    at_work: TaskTracker,
}

#[derive(Default)]
struct Desks {
    open: BTreeMap<AppName, OpenDesk>,
    /// What a dry run said that it would do, by app.
    would: BTreeMap<AppName, BTreeSet<String>>,
    /// Why an app is blocked, as the log said it last.
    blocked: BTreeMap<AppName, Blocked>,
    git: Outage,
    cluster: Outage,
    /// HEAD as it was last seen: messages about an outage derive their ids from it.
    head: Option<CommitId>,
}

/// An app's desk, and what was handed in last.
struct OpenDesk {
    /// Of boxes: a channel sets room aside for dozens, whether they come or not.
    inbox: mpsc::Sender<Box<Letter>>,
    app: Arc<App>,
    namespace: String,
    service: Option<String>,
    facts: Option<Facts>,
}

impl OpenDesk {
    /// Whether somebody takes letters in there. A desk ends with the mandate under which it was opened.
    fn is_at_work(&self) -> bool {
        !self.inbox.is_closed()
    }
}

impl Announcer {
    pub(super) fn new(office: Option<Office>, location: String) -> Self {
        Self { office, location, desks: Arc::default(), at_work: TaskTracker::new() }
    }

    /// The same for another repository.
    pub(super) fn elsewhere(&self, location: String, grants: &Arc<Grants>) -> Self {
        let office = self.office.as_ref().map(|office| Office {
            courier: office.courier.elsewhere(&location, grants),
            repo: Arc::default(),
            ..office.clone()
        });
        Self { at_work: self.at_work.clone(), ..Self::new(office, location) }
    }

    /// Waits until every desk is closed: messages that were under way have arrived, and are recorded.
    pub(super) async fn closed(&self) {
        self.at_work.close();
        self.at_work.wait().await;
    }

    /// The repository was opened, or opened again.
    pub(super) fn reads(&self, repo: &Arc<Repo>) {
        if let Some(office) = &self.office {
            *office.repo.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(repo));
        }
    }

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// Something was done.
    pub(super) fn did(&self, app: &Arc<App>, namespace: &str, did: &Did, metrics: &Metrics, at: Timestamp) {
        let name = &app.name;
        match did {
            Did::Deployed { colour, revision, .. } => {
                tracing::debug!(app = %name, "deployed {} into {colour}", revision.short());
            }
            Did::Committed { id, commit } => {
                for fact in &commit.facts {
                    metrics.verdict(name.as_str(), fact.verdict.as_str());
                    tracing::info!(app = %name, commit = id.short(), "{} is {}", fact.revision.short(), fact.verdict);
                }
            }
            Did::Switched { to, revision } => {
                metrics.switched(name.as_str());
                tracing::info!(app = %name, "switched traffic to {to} ({})", revision.short());
            }
            Did::WentLive { colour, revision } => {
                tracing::info!(app = %name, "the live overlay is there, with {colour} ({})", revision.short());
            }
            Did::Mended { words } => {
                // No look finds it again: it is mended.
                let event = Event::new(EventKind::Drift, name, &format!("{words} {at}"), at);
                let event = Event { reason: Some(words.clone()), ..event };
                self.hand_in(app, namespace, None, Content::Event(Box::new(event), None));
            }
            Did::Would(words) => {
                // Every look finds the same: it is said once.
                let mut desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
                let said = desks.would.entry(name.clone()).or_default();
                if said.len() >= WOULD_MAX {
                    said.clear();
                }
                if said.insert(words.clone()) {
                    tracing::info!(app = %name, "would {words}");
                }
            }
            Did::Other(what) => tracing::debug!(app = %name, "{what}"),
        }
    }

    /// A look led to a plan.
    pub(super) fn looked(&self, app: &Arc<App>, namespace: &str, view: &View) {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner).blocked.remove(&app.name);
        let service = view.observed.live().next().map(|service| service.name.clone());
        self.found(app, namespace, service, Facts::of(&view.desired, &view.observed, &view.plan));
    }

    /// A look ended in a reason to do nothing.
    pub(super) fn blocked(&self, app: &Arc<App>, namespace: &str, head: &CommitId, blocked: &Blocked, at: Timestamp) {
        // In full, at once, and in a dry run too: a message is short and may be under way for long.
        let said =
            self.desks.lock().unwrap_or_else(PoisonError::into_inner).blocked.insert(app.name.clone(), blocked.clone());
        if said.as_ref() != Some(blocked) {
            tracing::warn!(app = %app.name, "blocked: {blocked}");
        }
        self.found(app, namespace, None, Facts::of_blocked(head, blocked, at));
    }

    fn found(&self, app: &Arc<App>, namespace: &str, service: Option<String>, facts: Facts) {
        {
            let mut desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
            desks.head = Some(facts.head.clone());
            // A look that says the same again, under the same policy, is no letter.
            if let Some(desk) = desks.open.get_mut(&app.name)
                && desk.facts.as_ref().is_some_and(|last| last.same(&facts))
                && desk.app == *app
                && desk.is_at_work()
            {
                return;
            }
        }
        self.hand_in(app, namespace, service, Content::Facts(Box::new(facts)));
    }

    /// Hands a letter in, at a desk that is opened for it if need be.
    fn hand_in(&self, app: &Arc<App>, namespace: &str, service: Option<String>, content: Content) {
        // Whoever stands by tells nobody: the leader does.
        let Some(office) = self.office.as_ref().filter(|office| office.mandate.holds()) else { return };
        let mut desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = match &content {
            Content::Facts(facts) => Some(Facts::clone(facts)),
            Content::Event(..) => None,
        };
        let old = desks.open.remove(&app.name);
        let service = service.or_else(|| old.as_ref().and_then(|desk| desk.service.clone()));
        let (app_now, namespace_now) = (Arc::clone(app), namespace.to_owned());
        let letter = Box::new(Letter { app: app_now, namespace: namespace_now, service: service.clone(), content });
        let (inbox, handed_in) = match old.as_ref().filter(|desk| desk.namespace == namespace && desk.is_at_work()) {
            Some(desk) => (desk.inbox.clone(), desk.inbox.try_send(letter).is_ok()),
            None => {
                let (inbox, letters) = mpsc::channel(LETTERS_MAX);
                // It ends when this sender is dropped, or the mandate; what it had on its way is recorded.
                let (mandate, work) = (office.mandate.clone(), desk::work(office.clone(), letter, letters));
                self.at_work.spawn(async move { mandate.during(work).await });
                (inbox, true)
            }
        };
        if !handed_in {
            tracing::warn!(app = %app.name, "{LETTERS_MAX} looks wait to be told of: the next one is told instead");
        }
        // What was not handed in counts as unsaid, so that the next look is handed in.
        let facts = facts.filter(|_| handed_in).or_else(|| old.and_then(|desk| desk.facts));
        let desk = OpenDesk { inbox, app: Arc::clone(app), namespace: namespace.to_owned(), service, facts };
        desks.open.insert(app.name.clone(), desk);
    }

    /// Closes the desks of apps that are not there any more.
    pub(super) fn retain(&self, keep: impl Fn(&AppName) -> bool) {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner).open.retain(|name, _| keep(name));
    }

    /// git answered, or did not.
    pub(super) fn git(&self, answer: Result<(), &OneLine>) {
        self.reach(answer, [EventKind::GitUnreachable, EventKind::GitBack], |desks| &mut desks.git);
    }

    /// The cluster answered, or did not.
    pub(super) fn cluster(&self, answer: Result<(), &OneLine>) {
        self.reach(answer, [EventKind::ClusterUnreachable, EventKind::ClusterBack], |desks| &mut desks.cluster);
    }

    fn reach(
        &self,
        answer: Result<(), &OneLine>,
        [out, back]: [EventKind; 2],
        side: impl Fn(&mut Desks) -> &mut Outage,
    ) {
        let now = clock::now();
        let mut desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        let reach = side(&mut desks);
        let change = match answer {
            Ok(()) => reach.answered(),
            Err(words) => reach.failed(words, now),
        };
        let Some(change) = change else { return };
        let head = desks.head.as_ref().map_or("-", CommitId::as_str).to_owned();
        let (kind, since, words) = match change {
            Change::Out { since, words } => (out, since, Some(words)),
            Change::Back { since } => (back, since, None),
        };
        let about = format!("{} {head} {}", self.location, since.map(|at| at.to_string()).unwrap_or_default());
        // All apps are hit at once, and a receiver of several hears of it once.
        let mut heard: BTreeSet<String> = BTreeSet::new();
        let mut letters = Vec::new();
        for (name, desk) in &desks.open {
            let Ok(policy) = &desk.app.policy else { continue };
            let keys = policy.notifications.iter().map(|receiver| receiver.key());
            let to: BTreeSet<String> = keys.filter(|key| heard.insert(key.clone())).collect();
            if !to.is_empty() {
                let event = Event { reason: words.clone(), ..Event::new(kind, name, &about, now) };
                letters.push((Arc::clone(&desk.app), desk.namespace.clone(), event, to));
            }
        }
        drop(desks);
        for (app, namespace, event, to) in letters {
            self.hand_in(&app, &namespace, None, Content::Event(Box::new(event), Some(to)));
        }
    }
}
