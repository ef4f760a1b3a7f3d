//! The daemon: the one `select!` and the one clock. It collects an event, [`schedule`] decides, then it performs.

mod announce;
pub mod clock;
mod reach;
mod schedule;
mod triggers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::checks::{Asker, Runner};
use crate::cluster::Cluster;
use crate::core::grants::Grants;
use crate::core::ids::AppName;
use crate::core::report::{Alert, Phase};
use crate::core::status::AppStatus;
use crate::http::{self, Board};
use crate::notify::Notifier;
use crate::reconcile::{Did, Found, PassError, Reconciler};
use crate::source::{App, GitAccess, Repo, SourceError};
use announce::Announcer;
use reach::Reach;
use schedule::{Command, Ended, Event, Schedule};

/// Triggers that wait for the loop: they are coalesced by the schedule, so a burst beyond that loses nothing.
const TRIGGERS_MAX: usize = 1024;
/// How long a pass that is under way may take after SIGTERM.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// What `turquoise run` was asked for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The watched repository.
    pub repo: String,
    /// The watched branch.
    pub branch: String,
    /// The kubeconfig file; `None`: the environment's, or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context.
    pub context: Option<String>,
    /// How often git is asked although nothing said that it changed.
    pub poll: Duration,
    /// Where the HTTP server listens; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Says what would be done and writes nothing.
    pub dry_run: bool,
    /// What the operator grants.
    pub grants: Grants,
    /// The cluster's name: written into each lock, and a lock that names another one is left alone.
    pub cluster: Option<String>,
    /// How the repository is reached where it is on a server.
    pub git: GitAccess,
}

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
/// What keeps it from starting: the repository, the kubeconfig, the address. Later failures are retried and shown.
pub async fn run(
    settings: Settings,
    stop: impl Future<Output = ()>,
    updates: Option<mpsc::UnboundedSender<Update>>,
) -> anyhow::Result<()> {
    install_crypto();
    let mut daemon = Daemon::start(settings, updates).await?;
    tokio::pin!(stop);
    loop {
        let due = daemon.schedule.next_due();
        let event = tokio::select! {
            () = &mut stop => break,
            Some(event) = daemon.triggers.recv() => Some(event),
            Some(ended) = daemon.work.join_next() => Some(daemon.ended(ended)),
            () = until(due) => None,
        };
        let now = clock::now();
        let mut commands = match event {
            Some(event) => daemon.schedule.on(event, now),
            None => daemon.schedule.due(now),
        };
        while let Ok(event) = daemon.triggers.try_recv() {
            commands.extend(daemon.schedule.on(event, now));
        }
        for command in commands {
            daemon.perform(command);
        }
    }
    daemon.drain().await;
    Ok(())
}

async fn until(due: Option<Timestamp>) {
    match due {
        Some(due) => {
            let left = due.duration_since(clock::now());
            tokio::time::sleep(Duration::try_from(left).unwrap_or(Duration::ZERO)).await;
        }
        None => std::future::pending().await,
    }
}

/// What a task of the loop brings back.
enum Work {
    /// The apps, and when git was asked.
    Discovery(Result<Vec<App>, SourceError>, Timestamp),
    Pass(AppName, Box<Result<Found, PassError>>),
}

struct Daemon {
    settings: Settings,
    repo: Arc<Mutex<Repo>>,
    cluster: Cluster,
    namespace: String,
    checks: Runner,
    board: Board,
    announcer: Announcer,
    grants: Arc<Grants>,
    schedule: Schedule,
    triggers: mpsc::Receiver<Event>,
    trigger: mpsc::Sender<Event>,
    work: JoinSet<Work>,
    apps: BTreeMap<AppName, Arc<App>>,
    watched: BTreeMap<String, tokio::task::AbortHandle>,
    git: Reach,
    background: JoinSet<()>,
    _repo_watch: Option<notify::RecommendedWatcher>,
    updates: Option<mpsc::UnboundedSender<Update>>,
}

impl Daemon {
    async fn start(settings: Settings, updates: Option<mpsc::UnboundedSender<Update>>) -> anyhow::Result<Self> {
        let repo = Repo::open(&settings.repo, &settings.branch, &settings.git)?.for_cluster(settings.cluster.clone());
        let grants = Arc::new(settings.grants.clone());
        let (cluster, namespace) =
            Cluster::connect(settings.kubeconfig.as_deref(), settings.context.as_deref()).await?;
        let (trigger, triggers) = mpsc::channel(TRIGGERS_MAX);
        let asker =
            Asker::new(cluster.client().clone(), triggers::in_cluster()).context("failed to make an HTTP client")?;
        let checks = Runner::new(asker, clock::now, {
            let trigger = trigger.clone();
            move |app: &AppName| triggers::send(&trigger, Event::AppTouched(app.clone()))
        });
        let board = Board::new({
            let trigger = trigger.clone();
            move || triggers::send(&trigger, Event::GitTouched)
        });
        let mut background = JoinSet::new();
        if let Some(address) = settings.listen {
            let (bound, server) =
                http::serve(address, board.clone()).await.with_context(|| format!("failed to listen on {address}"))?;
            tracing::info!("listening on http://{bound}");
            if let Some(updates) = &updates {
                // Whoever listens may be gone.
                let _gone = updates.send(Update::Listening(bound));
            }
            background.spawn(server);
        }
        let repo_watch = triggers::watch_repo(repo.watch_path(), trigger.clone());
        background.spawn(triggers::poll(settings.poll, trigger.clone()));
        triggers::send(&trigger, Event::GitTouched);
        let notifier = Notifier::start().context("failed to make an HTTP client")?;
        Ok(Self {
            announcer: Announcer::new(notifier, repo.location().to_owned(), Arc::clone(&grants)),
            grants,
            repo: Arc::new(Mutex::new(repo)),
            settings,
            cluster,
            namespace,
            checks,
            board,
            schedule: Schedule::default(),
            triggers,
            trigger,
            work: JoinSet::new(),
            apps: BTreeMap::new(),
            watched: BTreeMap::new(),
            git: Reach::default(),
            background,
            _repo_watch: repo_watch,
            updates,
        })
    }

    fn perform(&mut self, command: Command) {
        match command {
            Command::Discover => {
                let repo = Arc::clone(&self.repo);
                self.work.spawn_blocking(move || {
                    let synced = Repo::sync(&repo);
                    let mut repo = repo.lock().unwrap_or_else(PoisonError::into_inner);
                    let apps = synced.and_then(|()| repo.head()).and_then(|head| repo.apps(&head));
                    Work::Discovery(apps, clock::now())
                });
            }
            Command::Pass(name) => {
                let Some(app) = self.apps.get(&name).cloned() else { return };
                let reconciler = self.reconciler(app);
                let announcer = self.announcer.clone();
                let (metrics, updates) = (self.board.metrics.clone(), self.updates.clone());
                self.work.spawn(async move {
                    let app = Arc::clone(&reconciler.app);
                    let said = |did: Did| {
                        announcer.did(&app, &did, &metrics, clock::now());
                        if let Some(updates) = &updates {
                            let _gone = updates.send(Update::Did(app.name.clone(), did));
                        }
                    };
                    let found = reconciler.pass(said).await;
                    Work::Pass(name, Box::new(found))
                });
            }
        }
    }

    fn reconciler(&self, app: Arc<App>) -> Reconciler {
        Reconciler {
            known_verdict: self.board.get(&app.name).and_then(|status| status.verdict),
            app,
            repo: Arc::clone(&self.repo),
            cluster: self.cluster.clone(),
            checks: self.checks.clone(),
            namespace: self.namespace.clone(),
            grants: Arc::clone(&self.grants),
            cluster_name: self.settings.cluster.clone(),
            clock: clock::now,
            dry_run: self.settings.dry_run,
        }
    }

    fn ended(&mut self, ended: Result<Work, tokio::task::JoinError>) -> Event {
        match ended {
            Ok(Work::Discovery(Ok(apps), at)) => {
                self.git.reached(at);
                self.discovered(apps)
            }
            Ok(Work::Discovery(Err(error), _)) => {
                self.git.lost(&error);
                self.board.set_unready(self.git.to_string());
                for status in self.board.all() {
                    self.show(status);
                }
                Event::DiscoveryFailed
            }
            Ok(Work::Pass(name, found)) => {
                let ended = self.passed(&name, *found);
                Event::PassEnded(name, ended)
            }
            Err(error) => {
                // A panic in a pass is a bug; the others go on, and the next trigger tries this one again.
                tracing::error!("a pass was lost: {error}");
                Event::GitTouched
            }
        }
    }

    fn discovered(&mut self, apps: Vec<App>) -> Event {
        self.board.set_ready();
        self.apps = apps.into_iter().map(|app| (app.name.clone(), Arc::new(app))).collect();
        self.board.retain(|name| self.apps.contains_key(name));
        let namespaces: Vec<String> =
            self.apps.values().map(|app| self.reconciler(Arc::clone(app)).app_namespace().to_owned()).collect();
        for namespace in namespaces {
            if !self.watched.contains_key(&namespace) {
                let work = triggers::watch_namespace(self.cluster.clone(), namespace.clone(), self.trigger.clone());
                let handle = self.background.spawn(work);
                self.watched.insert(namespace, handle);
            }
        }
        Event::Discovered(self.apps.keys().cloned().collect())
    }

    fn passed(&mut self, name: &AppName, found: Result<Found, PassError>) -> Ended {
        let Some(app) = self.apps.get(name).cloned() else { return Ended::Waiting(None) };
        let namespace = self.reconciler(Arc::clone(&app)).app_namespace().to_owned();
        let repo = self.announcer.location().to_owned();
        let mut status = self
            .board
            .get(name)
            .unwrap_or_else(|| AppStatus::unknown(name.clone(), namespace, repo, self.settings.branch.clone()));
        let (ended, outcome) = match found {
            Ok(found) => {
                let wake = self.found(&app, &mut status, &found);
                (Ended::Waiting(wake), "done")
            }
            Err(error) if error.is_conflict() => {
                tracing::debug!(app = %name, "looking again: {error}");
                (Ended::Conflict, "again")
            }
            Err(error) => {
                tracing::warn!(app = %name, "{error}");
                status.error = Some(error.words());
                let declined = |one: &Alert| matches!(one, Alert::PushDeclined { .. });
                status.alerts.retain(|one| !declined(one));
                status.alerts.extend(error.alert());
                if let Some(blocked) = error.refusal() {
                    status.phase = Phase::Blocked;
                    status.blocked = Some(blocked.clone().into());
                    if let Some(head) = status.head.clone() {
                        self.announcer.blocked(&app, &head, &blocked, clock::now());
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

    fn found(&mut self, app: &App, status: &mut AppStatus, found: &Found) -> Option<Timestamp> {
        match &found.view {
            Ok(view) => {
                let policy = app.policy.clone().unwrap_or_default();
                status.set(&view.desired, &view.observed, &policy, &view.plan);
                if let Some(verdict) = &mut status.verdict {
                    verdict.at = view.verdict_at;
                }
                self.announcer.looked(app, view);
                view.plan.wake
            }
            Err(blocked) => {
                status.set_blocked(&found.head, blocked.clone(), found.at);
                self.announcer.blocked(app, &found.head, blocked, found.at);
                None
            }
        }
    }

    fn show(&self, mut status: AppStatus) {
        self.git.tell(&mut status);
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
                let Some(ended) = self.work.join_next().await else { return };
                let event = self.ended(ended);
                // Commands that follow from it are left for the next start.
                drop(self.schedule.on(event, clock::now()));
                if self.work.is_empty() {
                    return;
                }
            }
        });
        if ended.await.is_err() {
            tracing::warn!("a pass did not end in {} s", DRAIN_MAX.as_secs());
        }
        self.background.shutdown().await;
    }
}
