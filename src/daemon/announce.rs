//! From what was done to messages and log lines: one a transition.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::core::colour::Colour;
use crate::core::event::{Event, EventKind};
use crate::core::grants::Grants;
use crate::core::ids::{AppName, CommitId};
use crate::core::report::{Blocked, Waiting};
use crate::http::Metrics;
use crate::notify::Notifier;
use crate::reconcile::{Did, View};
use crate::source::App;

/// Tells people, once.
#[derive(Clone)]
pub(super) struct Announcer {
    notifier: Notifier,
    location: String,
    grants: Arc<Grants>,
    said: Arc<Mutex<BTreeMap<AppName, Said>>>,
}

/// What an app's people were told last.
#[derive(Debug, Default)]
struct Said {
    /// Switched, and the EndpointSlices do not hold the new colour yet.
    switching: Option<(Colour, CommitId)>,
    blocked: Option<String>,
}

impl Announcer {
    pub(super) fn new(notifier: Notifier, location: String, grants: Arc<Grants>) -> Self {
        Self { notifier, location, grants, said: Arc::default() }
    }

    /// The same for another repository.
    pub(super) fn elsewhere(&self, location: String, grants: Arc<Grants>) -> Self {
        Self { location, grants, ..self.clone() }
    }

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// Something was done.
    pub(super) fn did(&self, app: &App, did: &Did, metrics: &Metrics, at: Timestamp) {
        let name = &app.name;
        match did {
            Did::Deployed { colour, revision, attempt } => {
                tracing::info!(app = %name, "deployed {} into {colour}", revision.short());
                let event = Event::new(EventKind::Started, name, attempt, at);
                self.send(app, &Event { colour: Some(*colour), revision: Some(revision.clone()), ..event });
            }
            Did::Committed { id, commit } => {
                for fact in &commit.facts {
                    metrics.verdict(name.as_str(), fact.verdict.as_str());
                    tracing::info!(app = %name, commit = id.short(), "{} is {}", fact.revision.short(), fact.verdict);
                }
                if let Some(event) = Event::of_commit(name, id, commit, at) {
                    self.send(app, &event);
                }
            }
            Did::Switched { to, revision } => {
                metrics.switched(name.as_str());
                tracing::info!(app = %name, "switched traffic to {to} ({})", revision.short());
                self.with(name, |said| said.switching = Some((*to, revision.clone())));
            }
            Did::WentLive { colour, revision } => {
                tracing::info!(app = %name, "the live overlay is there, with {colour} ({})", revision.short());
                self.with(name, |said| said.switching = Some((*colour, revision.clone())));
            }
            Did::Would(action) => tracing::info!(app = %name, "would do: {action:?}"),
            Did::Other(what) => tracing::debug!(app = %name, "{what}"),
        }
    }

    /// A look was done: a switch is announced once every EndpointSlice holds the new colour (DESIGN 4 (d)).
    pub(super) fn looked(&self, app: &App, view: &View) {
        let settled = !view.plan.waiting.iter().any(|waiting| matches!(waiting, Waiting::Endpoints { .. }));
        if let Some(blocked) = &view.plan.blocked {
            self.blocked(app, &view.desired.head, blocked, view.observed.at);
        } else {
            self.with(&app.name, |said| said.blocked = None);
        }
        let switched = self.with(&app.name, |said| if settled { said.switching.take() } else { None });
        if let Some((colour, revision)) = switched {
            // HEAD holds the commit that made it live: another flip of the same revision is another message.
            let subject = format!("{revision} {}", view.desired.head);
            let event = Event::new(EventKind::Live, &app.name, &subject, view.observed.at);
            let images = view.desired.render(&revision, colour).map(|render| render.images.clone());
            tracing::info!(app = %app.name, "{colour} is live with {}", revision.short());
            self.send(
                app,
                &Event {
                    colour: Some(colour),
                    images: images.unwrap_or_default(),
                    cure: Some("git revert the commit that asked for it to go back".into()),
                    revision: Some(revision),
                    ..event
                },
            );
        }
    }

    /// An app is blocked: said once a reason and HEAD's words.
    pub(super) fn blocked(&self, app: &App, head: &CommitId, blocked: &Blocked, at: Timestamp) {
        let words = blocked.to_string();
        let news = self.with(&app.name, |said| said.blocked.replace(words.clone()) != Some(words.clone()));
        if news {
            tracing::warn!(app = %app.name, "blocked: {words}; {}", blocked.cure());
            self.send(app, &Event::of_blocked(&app.name, head, blocked, at));
        }
    }

    fn with<T>(&self, app: &AppName, change: impl FnOnce(&mut Said) -> T) -> T {
        change(self.said.lock().unwrap_or_else(PoisonError::into_inner).entry(app.clone()).or_default())
    }

    fn send(&self, app: &App, event: &Event) {
        let Ok(policy) = &app.policy else { return };
        for webhook in policy.notifications.iter().filter(|webhook| self.grants.allows_url(&webhook.url)) {
            self.notifier.send(&webhook.url, &format!("turquoise/{}", self.location), event);
        }
    }
}
