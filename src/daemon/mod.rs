//! The daemon: the one `select!` and the one clock. It collects an event, [`schedule`] decides, then it performs.

mod announce;
mod behind;
pub mod clock;
mod desk;
mod inbox;
mod lead;
mod library;
mod outage;
mod passes;
mod reach;
mod reload;
mod repos;
mod schedule;
mod touches;
mod triggers;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::checks::{Asker, Runner};
use crate::cluster::Cluster;
use crate::config::{self, RepoSettings};
use crate::core::event::Links;
use crate::core::ids::{AppName, RepoName};
use crate::core::status::AppStatus;
use crate::core::text::OneLine;
use crate::http::{self, Board};
use crate::notify::Courier;
use crate::reconcile::{Did, Found, PassError};
use crate::source::SourceError;
use announce::Announcer;
use behind::Left;
use desk::Office;
use inbox::{Inbox, Trigger};
use lead::Mandate;
use outage::Silence;
use reach::Reach;
use repos::{Discovery, Home, Watched};
use schedule::{Command, Ended, Event, Limits, Schedule};
use touches::Touches;
use triggers::Folders;

pub use crate::config::Settings;

/// How long a pass that is under way may take after SIGTERM.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// How long messages that are under way may take then: a receiver that is slower gets them again, with the same ids.
const MESSAGES_MAX: Duration = Duration::from_secs(2);

/// What the daemon says while it runs, to whoever embeds it.
#[derive(Debug, Clone)]
pub enum Update {
    /// The HTTP server listens there.
    Listening(SocketAddr),
    /// An app did something.
    Did(AppName, Did),
    /// An app was looked at.
    Status(Box<AppStatus>),
}

/// Chooses the TLS library's cryptography, once a process.
pub fn install_crypto() {
    // An error only says that it was chosen before.
    let _chosen_before = rustls::crypto::ring::default_provider().install_default();
}

/// Runs until `stop` is done, then lets passes that are under way end.
///
/// # Errors
/// What keeps it from starting: the one repository, the kubeconfig, the address. Later failures are retried and shown.
pub async fn run(
    settings: Settings,
    stop: impl Future<Output = ()>,
    updates: Option<mpsc::UnboundedSender<Update>>,
) -> anyhow::Result<()> {
    install_crypto();
    let mut daemon = Daemon::start(settings, updates).await?;
    tokio::pin!(stop);
    loop {
        daemon.board.health(http::Health::turned);
        let due = daemon.schedule.next_due(clock::now());
        let events = tokio::select! {
            () = &mut stop => break,
            triggers = daemon.inbox.take() => daemon.heard(triggers),
            Some(ended) = daemon.work.join_next_with_id() => daemon.ended(ended),
            () = until(due) => Vec::new(),
            Some(ended) = daemon.background.join_next() => {
                unless_lost(ended)?;
                Vec::new()
            }
            // A bug: whoever restarts the process has it stand for election again.
            () = lead::lost(daemon.part.as_mut()) => anyhow::bail!("the election's task was lost"),
        };
        let now = clock::now();
        let mut commands = daemon.schedule.due(now);
        for event in events {
            commands.extend(daemon.schedule.on(event, now));
        }
        for command in commands {
            daemon.perform(command);
        }
    }
    daemon.drain().await;
    Ok(())
}

/// A background task ended: a watch or a poll that nobody needs any more, or of a kind that is not served. One that was lost
/// is a bug, and nobody else does its work: whoever restarts the process has it done again.
fn unless_lost(ended: Result<(), JoinError>) -> anyhow::Result<()> {
    match ended {
        Err(error) if error.is_panic() => Err(error).context("a background task was lost"),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The moment at which something is due, and at the latest the next heartbeat: the loop shows that it turns.
async fn until(due: Option<Timestamp>) {
    let left = due.map(|due| Duration::try_from(due.duration_since(clock::now())).unwrap_or(Duration::ZERO));
    tokio::time::sleep(left.unwrap_or(http::HEARTBEAT).min(http::HEARTBEAT)).await;
}

/// What a task of the loop brings back.
enum Work {
    Discovery(RepoName, Result<Discovery, SourceError>),
    Pass(AppName, Box<Result<Found, PassError>>),
    Behind(RepoName, Result<BTreeMap<AppName, Left>, PassError>),
    Configuration(Result<config::File, Vec<OneLine>>),
}

/// What a task is about: a task that is lost brings nothing back.
#[derive(Clone)]
enum About {
    Repo(RepoName),
    App(AppName),
    Other,
}

struct Daemon {
    settings: Settings,
    repos: BTreeMap<RepoName, Watched>,
    cluster: Cluster,
    /// Where apps are that name no namespace and whose repository has none granted.
    namespace: String,
    checks: Runner,
    /// Whether this process acts, or another replica.
    mandate: Mandate,
    /// Whether the API server was away, for deadlines.
    silence: Silence,
    part: Option<lead::Part>,
    board: Board,
    announcer: Announcer,
    schedule: Schedule,
    inbox: Inbox,
    work: JoinSet<Work>,
    tasks: HashMap<Id, (About, AbortHandle)>,
    apps: BTreeMap<AppName, Home>,
    /// Apps whose name another repository's app would like, and that app.
    taken: BTreeMap<AppName, OneLine>,
    /// Apps that were left behind, and whose they were.
    behind: BTreeMap<AppName, RepoName>,
    touches: Touches,
    /// What is wrong with the configuration file.
    configuration: Vec<OneLine>,
    /// What it said when it was read last.
    file: Option<config::File>,
    namespaces: BTreeMap<String, AbortHandle>,
    /// Watches of further kinds, by namespace.
    kinds: BTreeMap<String, BTreeMap<(String, String), AbortHandle>>,
    background: JoinSet<()>,
    folders: Folders,
    updates: Option<mpsc::UnboundedSender<Update>>,
}

impl Daemon {
    async fn start(settings: Settings, updates: Option<mpsc::UnboundedSender<Update>>) -> anyhow::Result<Self> {
        let (cluster, namespace) =
            Cluster::connect(settings.kubeconfig.as_deref(), settings.context.as_deref()).await?;
        let inbox = Inbox::default();
        let asker = Asker::new(cluster.client().clone(), cluster.server(), triggers::in_cluster());
        let checks = Runner::new(asker, clock::now, {
            let inbox = inbox.clone();
            move |app: &AppName| inbox.put(Trigger::App(app.clone()))
        });
        let board = Board::new({
            let inbox = inbox.clone();
            move || inbox.put(Trigger::AllGit)
        });
        let mut background = JoinSet::new();
        if let Some(address) = settings.listen {
            let (bound, server) = http::serve(address, board.clone(), &settings.outside).await?;
            tracing::info!("listening on http://{bound}");
            if let Some(updates) = &updates {
                // Whoever listens may be gone.
                let _gone = updates.send(Update::Listening(bound));
            }
            background.spawn(server);
        }
        let poll = settings.repos.iter().map(|repo| repo.poll).min().unwrap_or(crate::config::POLL_DEFAULT);
        background.spawn(library::ask_cluster(cluster.clone(), board.clone(), poll));
        let mut folders = Folders::new(inbox.clone());
        if let Some(file) = &settings.file {
            folders.add_file(file, Trigger::Configuration);
            background.spawn(triggers::hang_ups(inbox.clone()));
        }
        let links = Links { page: settings.outside.public_url.clone(), commit: settings.commit_url.clone() };
        // A receiver compares a signature's time with its own clock.
        let courier = Courier::new("", Arc::default(), links, clock::wall)?;
        let (mandate, part) = lead::stand(&settings, &board, &inbox).await?;
        let office = Office {
            courier,
            cluster: cluster.clone(),
            repo: Arc::default(),
            board: board.clone(),
            mandate: mandate.clone(),
        };
        let mut daemon = Self {
            announcer: Announcer::new((!settings.dry_run).then_some(office), String::new()),
            schedule: Schedule::new(Limits { passes: settings.concurrency }),
            settings,
            repos: BTreeMap::new(),
            cluster,
            namespace,
            checks,
            mandate,
            silence: Silence::default(),
            part,
            board,
            inbox,
            work: JoinSet::new(),
            tasks: HashMap::new(),
            apps: BTreeMap::new(),
            taken: BTreeMap::new(),
            behind: BTreeMap::new(),
            touches: Touches::default(),
            configuration: Vec::new(),
            file: None,
            namespaces: BTreeMap::new(),
            kinds: BTreeMap::new(),
            background,
            folders,
            updates,
        };
        daemon.watch_first()?;
        Ok(daemon)
    }

    /// Begins to watch what the settings name. The one repository of the flags must be there; of many, those that are.
    fn watch_first(&mut self) -> Result<(), SourceError> {
        for settings in self.settings.repos.clone() {
            let opened = match repos::open(&settings, self.settings.cluster.as_deref()) {
                Ok(repo) => Some(Arc::new(repo)),
                Err(error) if self.settings.file.is_none() => return Err(error),
                // The search for apps opens it again, and says why it cannot.
                Err(_) => None,
            };
            let event = self.watch(settings);
            if let Event::RepoAdded(name) = &event
                && let Some(watched) = self.repos.get_mut(name)
            {
                watched.repo = opened;
            }
            let now = clock::now();
            for command in self.schedule.on(event, now) {
                self.perform(command);
            }
        }
        Ok(())
    }

    /// Begins to watch a repository.
    fn watch(&mut self, settings: RepoSettings) -> Event {
        let name = settings.name.clone();
        let grants = Arc::new(settings.grants.clone());
        let announcer = self.announcer.elsewhere(settings.location.clone(), &grants);
        let poll = self.background.spawn(triggers::poll(name.clone(), settings.poll, self.inbox.clone()));
        let watched = Watched {
            settings,
            repo: None,
            grants,
            announcer,
            poll,
            searched: false,
            head: None,
            apps: Arc::default(),
            recheck: false,
            reach: Reach::default(),
        };
        self.repos.insert(name.clone(), watched);
        Event::RepoAdded(name)
    }

    /// What triggers say to the schedule.
    fn heard(&mut self, triggers: BTreeSet<Trigger>) -> Vec<Event> {
        let mut events = Vec::new();
        let mut touched = BTreeSet::new();
        for trigger in triggers {
            match trigger {
                Trigger::Git(repo) => events.push(Event::GitTouched(repo)),
                Trigger::AllGit => events.push(Event::AllTouched),
                Trigger::App(app) => {
                    // What was left behind changes by a person's hand: perhaps nothing is left.
                    if let Some(repo) = self.behind.get(&app).cloned() {
                        self.look_behind(&repo);
                    }
                    touched.insert(app);
                }
                Trigger::Named { namespace, name } => touched.extend(self.touches.apps(&namespace, &name).cloned()),
                Trigger::Namespace(namespace) => {
                    let here = self.apps.iter().filter(|(_, home)| self.namespace_of(home) == namespace);
                    touched.extend(here.map(|(app, _)| app.clone()));
                }
                Trigger::Configuration => self.read_configuration(),
                Trigger::Lead => events.push(self.lead_changed()),
            }
        }
        if !touched.is_empty() {
            events.push(Event::AppsTouched(touched.into_iter().collect()));
        }
        events
    }

    fn perform(&mut self, command: Command) {
        match command {
            Command::Discover(name) => {
                let Some(watched) = self.repos.get_mut(&name) else { return };
                let (settings, known) = (watched.settings.clone(), watched.repo.clone());
                let cluster = self.settings.cluster.clone();
                let recheck = std::mem::take(&mut watched.recheck);
                let seen = watched.head.clone().filter(|_| !recheck).map(|head| (head, Arc::clone(&watched.apps)));
                let about = About::Repo(name.clone());
                let task = self.work.spawn_blocking(move || {
                    let opened = known.map_or_else(|| repos::open(&settings, cluster.as_deref()).map(Arc::new), Ok);
                    Work::Discovery(name, opened.and_then(|repo| repos::discover(repo, seen)))
                });
                self.tasks.insert(task.id(), (about, task));
            }
            Command::Pass(name) => self.pass(name),
        }
    }

    fn ended(&mut self, ended: Result<(Id, Work), JoinError>) -> Vec<Event> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        // A task of a repository that is not watched any more: what it found is about nothing.
        let Some((about, _)) = self.tasks.remove(&id) else { return Vec::new() };
        match ended {
            Ok((_, Work::Discovery(repo, Ok(discovery)))) => self.discovered(&repo, discovery),
            Ok((_, Work::Discovery(repo, Err(error)))) => {
                self.undiscovered(&repo, &error);
                vec![Event::DiscoveryFailed(repo)]
            }
            Ok((_, Work::Pass(name, found))) => {
                let ended = self.passed(&name, *found);
                vec![Event::PassEnded(name, ended)]
            }
            Ok((_, Work::Behind(repo, left))) => {
                self.looked_behind(&repo, left);
                Vec::new()
            }
            Ok((_, Work::Configuration(file))) => self.configure(file),
            Err(error) => {
                // A panic in a pass is a bug; the others go on, and this one is tried again.
                tracing::error!("a task was lost: {error}");
                match about {
                    About::Repo(repo) => vec![Event::DiscoveryFailed(repo)],
                    About::App(app) => vec![Event::PassEnded(app, Ended::Failed)],
                    About::Other => Vec::new(),
                }
            }
        }
    }

    fn show(&self, mut status: AppStatus) {
        let taken = self.taken.get(&status.name);
        if let Some(watched) = self.apps.get(&status.name).and_then(|home| self.repos.get(&home.repo)) {
            watched.reach.tell(&mut status);
        }
        reload::set_alerts(&mut status, &self.configuration, taken);
        if let Some(updates) = &self.updates {
            let _gone = updates.send(Update::Status(Box::new(status.clone())));
        }
        self.board.set(status);
    }

    /// Lets passes that are under way end; what they began is safe to cut off all the same.
    async fn drain(&mut self) {
        tracing::info!("stopping");
        let ended = tokio::time::timeout(DRAIN_MAX, async {
            while self.schedule.is_busy() {
                let Some(ended) = self.work.join_next_with_id().await else { return };
                for event in self.ended(ended) {
                    // Commands that follow from it are left for the next start.
                    drop(self.schedule.on(event, clock::now()));
                }
                if self.work.is_empty() {
                    return;
                }
            }
        });
        if ended.await.is_err() {
            tracing::warn!("a pass did not end in {} s", DRAIN_MAX.as_secs());
        }
        self.repos.values().for_each(|watched| watched.announcer.retain(|_| false));
        if tokio::time::timeout(MESSAGES_MAX, self.announcer.closed()).await.is_err() {
            tracing::warn!("messages are left to the next start");
        }
        if let Some(part) = self.part.take() {
            part.leave().await;
        }
        self.background.shutdown().await;
    }
}
