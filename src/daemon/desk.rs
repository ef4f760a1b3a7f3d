//! One app's desk: notes its transitions, and sees each message to its receivers.
//!
//! It works beside the looks: a look hands its facts in and goes on. An event is recorded in the cluster before it is sent
//! and taken out when it was received; while the cluster is out of reach messages are sent all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::clock;
use super::lead::Mandate;
use crate::cluster::{Cluster, ClusterError};
use crate::core::deliveries::Deliveries;
use crate::core::event::Event;
use crate::core::news::{self, Chronicle, Facts};
use crate::core::policy::Receiver;
use crate::core::status::MessagesStatus;
use crate::core::text::OneLine;
use crate::http::Board;
use crate::notify::{self, Courier, Outcome, REFUSALS_MAX};
use crate::source::{App, Repo};

/// Letters that wait for a desk; the newest look says what the ones before it said.
pub(super) const LETTERS_MAX: usize = 64;
/// The pause after the record or git could not be asked.
const ASK_PAUSE: Duration = Duration::from_secs(5);
/// The pause before a record that somebody else wrote is read again.
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);

/// What every desk needs.
#[derive(Clone)]
pub(super) struct Office {
    pub(super) courier: Courier,
    pub(super) cluster: Cluster,
    /// `None` until it could be opened.
    pub(super) repo: Arc<Mutex<Option<Arc<Repo>>>>,
    pub(super) board: Board,
    /// Messages are sent while it holds.
    pub(super) mandate: Mandate,
}

/// What is handed in.
pub(super) struct Letter {
    /// The app as it is now: its policy names the receivers.
    pub(super) app: Arc<App>,
    pub(super) namespace: String,
    /// A live Service, for Kubernetes Events.
    pub(super) service: Option<String>,
    pub(super) content: Content,
}

pub(super) enum Content {
    /// What a look found.
    Facts(Box<Facts>),
    /// Something that no look would find again; for these receivers only, where there are some.
    Event(Box<Event>, Option<BTreeSet<String>>),
}

/// How the record stands in the cluster.
#[derive(Debug, PartialEq, Eq)]
enum Version {
    Unknown,
    Absent,
    At(String),
}

/// The line to one receiver.
#[derive(Debug, Default)]
struct Line {
    flying: bool,
    failures: u32,
    refusals: u32,
    due: Option<Instant>,
}

struct Desk {
    office: Office,
    app: Arc<App>,
    namespace: String,
    service: Option<String>,
    receivers: BTreeMap<String, Receiver>,
    told: Option<Deliveries>,
    version: Version,
    facts: Option<Box<Facts>>,
    /// What was settled since the record was last written.
    settled: BTreeSet<(String, String)>,
    dirty: bool,
    /// When git or the cluster is asked again.
    ask_at: Option<Instant>,
    lines: BTreeMap<String, Line>,
    flights: JoinSet<(String, String, Outcome)>,
    sayings: JoinSet<()>,
    status: MessagesStatus,
}

/// Works until nobody can hand anything in any more.
pub(super) async fn work(office: Office, first: Box<Letter>, mut inbox: mpsc::Receiver<Box<Letter>>) {
    let mut desk = Desk {
        office,
        app: Arc::clone(&first.app),
        namespace: first.namespace.clone(),
        service: None,
        receivers: BTreeMap::new(),
        told: None,
        version: Version::Unknown,
        facts: None,
        settled: BTreeSet::new(),
        dirty: false,
        ask_at: None,
        lines: BTreeMap::new(),
        flights: JoinSet::new(),
        sayings: JoinSet::new(),
        status: MessagesStatus::default(),
    };
    desk.take(*first);
    loop {
        // Apart: a desk mostly waits, and then it needs no room for the calls that a turn makes. There are as many as apps.
        Box::pin(desk.turn()).await;
        let due = desk.next_due();
        tokio::select! {
            letter = inbox.recv() => match letter {
                Some(letter) => desk.take(*letter),
                None => return desk.close().await,
            },
            Some(landed) = desk.flights.join_next() => desk.landed(landed),
            Some(_said) = desk.sayings.join_next() => {}
            () = at(due) => {}
        }
        while let Ok(letter) = inbox.try_recv() {
            desk.take(*letter);
        }
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Desk {
    /// Nobody hands anything in any more: what is under way arrives, and is recorded.
    async fn close(mut self) {
        while let Some(landed) = self.flights.join_next().await {
            self.landed(landed);
        }
        self.save().await;
        while self.sayings.join_next().await.is_some() {}
    }

    fn take(&mut self, letter: Letter) {
        self.app = letter.app;
        self.namespace = letter.namespace;
        self.service = letter.service.or(self.service.take());
        if let Ok(policy) = &self.app.policy {
            self.receivers = policy.notifications.iter().map(|one| (one.key(), one.clone())).collect();
        }
        self.lines.retain(|key, line| line.flying || self.receivers.contains_key(key));
        match letter.content {
            Content::Facts(facts) => self.facts = Some(facts),
            Content::Event(event, to) => {
                let to = to.unwrap_or_else(|| self.keys());
                let told = self.told.get_or_insert_with(|| Deliveries::beginning(Some(event.at)));
                if told.note(&event.id) {
                    self.put_on_the_way(vec![*event], &to);
                }
            }
        }
    }

    fn keys(&self) -> BTreeSet<String> {
        self.receivers.keys().cloned().collect()
    }

    /// Everything that can be done now.
    async fn turn(&mut self) {
        if self.ask_at.is_none_or(|at| at <= Instant::now()) {
            self.ask_at = None;
            self.load().await;
            self.tell().await;
            self.expire();
            self.save().await;
        }
        self.fly();
        self.show();
    }

    fn ask_again(&mut self, pause: Duration) {
        self.ask_at = Some(Instant::now() + pause);
    }

    /// Reads the record, where there are receivers to have one for.
    async fn load(&mut self) {
        if self.receivers.is_empty() || self.version != Version::Unknown {
            return;
        }
        match self.office.cluster.deliveries(&self.namespace, &self.app.name).await {
            Ok(None) => self.version = Version::Absent,
            Ok(Some(stored)) => {
                self.version = Version::At(stored.version);
                match Deliveries::from_text(&stored.text) {
                    Some(theirs) => {
                        let ours = self.told.take();
                        self.told = Some(ours.into_iter().fold(theirs, |base, ours| base.absorb(ours, &self.settled)));
                    }
                    None => {
                        tracing::warn!(app = %self.app.name, "the record of messages cannot be read: it begins anew")
                    }
                }
            }
            Err(error) => {
                tracing::debug!(app = %self.app.name, "{error}");
                self.ask_again(ASK_PAUSE);
            }
        }
    }

    /// Finds out what people do not know yet, and puts it on its way.
    async fn tell(&mut self) {
        if !self.receivers.is_empty() && self.version == Version::Unknown {
            return;
        }
        let Some(facts) = self.facts.take() else { return };
        let since = if facts.is_new { None } else { Some(facts.at) };
        let begins = self.told.is_none();
        let told = self.told.get_or_insert_with(|| Deliveries::beginning(since));
        let chronicle = match news::wants(&self.app.name, told, &facts) {
            None => Chronicle::default(),
            Some(until) => match chronicle(&self.office.repo, &self.app, &facts, until).await {
                Ok(chronicle) => chronicle,
                Err(words) => {
                    tracing::debug!(app = %self.app.name, "failed to read what to tell: {words}");
                    self.facts = Some(facts);
                    self.ask_again(ASK_PAUSE);
                    return;
                }
            },
        };
        let before = told.substance();
        let events = news::events(&self.app.name, told, &facts, &chronicle);
        self.dirty |= begins || told.substance() != before;
        let to = self.keys();
        self.put_on_the_way(events, &to);
    }

    fn put_on_the_way(&mut self, events: Vec<Event>, to: &BTreeSet<String>) {
        for event in &events {
            let words = notify::summary(event);
            if event.kind.is_trouble() {
                tracing::warn!("{words}");
            } else {
                tracing::info!("{words}");
            }
            let Some(service) = self.service.clone() else { continue };
            let (cluster, namespace, event) = (self.office.cluster.clone(), self.namespace.clone(), event.clone());
            let mandate = self.office.mandate.clone();
            self.sayings.spawn(async move {
                let said = cluster.say(&namespace, &service, &event, &words, clock::now());
                if let Some(Err(error)) = mandate.during(said).await {
                    tracing::debug!("{error}");
                }
            });
        }
        self.dirty |= !events.is_empty();
        let dropped = self.told.as_mut().map_or(0, |told| told.send(events, to));
        self.lost(dropped, "dropped");
    }

    fn expire(&mut self) {
        let keys = self.keys();
        let lost = self.told.as_mut().map_or(0, |told| told.expire(&keys, clock::now()));
        self.dirty |= lost > 0;
        self.lost(lost, "given_up");
    }

    fn lost(&self, count: usize, outcome: &'static str) {
        if count > 0 {
            tracing::warn!(app = %self.app.name, "{count} messages were {}", outcome.replace('_', " "));
            self.office.board.metrics.message(self.app.name.as_str(), outcome, count);
        }
    }

    /// Writes the record, if it is still as it was read.
    async fn save(&mut self) {
        let Some(told) = self.told.as_ref().filter(|_| self.dirty && !self.receivers.is_empty()) else { return };
        let seen = match &self.version {
            Version::Unknown => return,
            Version::Absent => None,
            Version::At(version) => Some(version.as_str()),
        };
        let cluster = &self.office.cluster;
        match cluster.set_deliveries(&self.namespace, &self.app.name, &told.to_text(), seen).await {
            Ok(version) => {
                self.version = Version::At(version);
                self.dirty = false;
                self.settled.clear();
            }
            Err(ClusterError::Conflict(_)) => {
                self.version = Version::Unknown;
                self.ask_again(CONFLICT_PAUSE);
            }
            Err(error) => {
                tracing::warn!(app = %self.app.name, "failed to record messages: {error}");
                self.ask_again(ASK_PAUSE);
            }
        }
    }

    /// Sends to each receiver the oldest message that it did not get yet: one at a time, in their order.
    fn fly(&mut self) {
        let Some(told) = &self.told else { return };
        let now = Instant::now();
        for (key, receiver) in &self.receivers {
            let line = self.lines.entry(key.clone()).or_default();
            if line.flying || line.due.is_some_and(|due| due > now) {
                continue;
            }
            let Some(event) = told.next_for(key).cloned() else { continue };
            line.flying = true;
            let (courier, receiver, key) = (self.office.courier.clone(), receiver.clone(), key.clone());
            let mandate = self.office.mandate.clone();
            self.flights.spawn(async move {
                let outcome = mandate.during(courier.deliver(&receiver, &event)).await;
                let left = || Outcome::Later { asked: None, words: OneLine::new("left to the replica that leads") };
                let outcome = outcome.unwrap_or_else(left);
                (key, event.id, outcome)
            });
        }
    }

    fn landed(&mut self, landed: Result<(String, String, Outcome), tokio::task::JoinError>) {
        let Ok((key, id, outcome)) = landed else {
            // A delivery that was lost is simply made again.
            self.lines.values_mut().for_each(|line| line.flying = false);
            return;
        };
        let app = self.app.name.as_str().to_owned();
        let line = self.lines.entry(key.clone()).or_default();
        line.flying = false;
        let (settled, result) = match outcome {
            Outcome::Delivered => {
                *line = Line::default();
                (true, "delivered")
            }
            Outcome::Refused { words } => {
                line.refusals += 1;
                line.failures += 1;
                let gives_up = line.refusals >= REFUSALS_MAX;
                tracing::warn!(app, event = id, "failed to deliver a message: {words}");
                self.status.error = Some(words);
                if gives_up { (true, "given_up") } else { (false, "tried_again") }
            }
            Outcome::Later { asked, words } => {
                line.failures += 1;
                line.due = Some(Instant::now() + notify::pause(line.failures, asked, fastrand::f64()));
                tracing::warn!(app, event = id, "failed to deliver a message: {words}");
                self.status.error = Some(words);
                (false, "tried_again")
            }
        };
        if settled {
            line.refusals = 0;
            line.due = None;
            if result == "delivered" && self.lines.values().all(|line| line.failures == 0) {
                self.status.error = None;
            }
            self.settled.insert((id.clone(), key.clone()));
            self.dirty = true;
            if let Some(told) = &mut self.told {
                told.settle(&id, &key);
            }
        } else if let Some(line) = self.lines.get_mut(&key).filter(|line| line.due.is_none()) {
            line.due = Some(Instant::now() + notify::pause(line.failures, None, fastrand::f64()));
        }
        self.office.board.metrics.message(&app, result, 1);
    }

    fn show(&mut self) {
        let pending = self.told.as_ref().map_or(&[][..], |told| told.pending());
        let status = MessagesStatus {
            pending: pending.len(),
            oldest: pending.iter().map(|pending| pending.event.at).min(),
            error: self.status.error.clone().filter(|_| !pending.is_empty()),
        };
        if status != self.status {
            self.status = status.clone();
            self.office.board.set_messages(&self.app.name, status);
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let waits = |key: &String| self.told.as_ref().is_some_and(|told| told.next_for(key).is_some());
        let lines = self.lines.iter().filter(|(key, line)| !line.flying && waits(key)).filter_map(|(_, line)| line.due);
        lines.chain(self.ask_at).min()
    }
}

async fn chronicle(
    repo: &Mutex<Option<Arc<Repo>>>,
    app: &Arc<App>,
    facts: &Facts,
    until: Option<crate::core::ids::CommitId>,
) -> Result<Chronicle, String> {
    let repo = repo.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or("git was not read yet")?;
    let app = Arc::clone(app);
    let (head, wanted) = (facts.head.clone(), facts.revisions().cloned().collect::<Vec<_>>());
    let read = move || repo.sayings(&app, &head, until.as_ref(), &wanted).map_err(|error| error.to_string());
    tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?
}
