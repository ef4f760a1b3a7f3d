//! The election's IO: asks what [`Election`] wants to know, and tells the daemon what came of it. All decisions are in
//! [`crate::core::election`].
//!
//! It runs on the daemon's own thread: a daemon whose thread hangs must not go on leading.

mod mandate;

use std::pin::pin;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::clock;
use super::inbox::{Inbox, Trigger};
use crate::cluster::{ClusterError, Registrar};
use crate::config::{Election as Rules, Settings};
use crate::core::election::{Answer, Candidate, Election, Moment, REQUEST_MAX, Step};
use crate::core::status::Replica;
use crate::core::text::OneLine;
use crate::http::Board;

pub(super) use mandate::Mandate;
use mandate::Term;

/// How long giving the lease back may take at a stop: a request that is under way, and one more. What takes longer is left to
/// the lease's end.
const LEAVE_MAX: Duration = REQUEST_MAX.saturating_mul(2).saturating_add(Duration::from_millis(500));

/// This process's part in the election.
pub(super) struct Part {
    leave: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Part {
    /// Gives the lease back, so that another one takes over at once. Whoever calls it acts no more.
    pub(super) async fn leave(self) {
        // A task that is gone has nothing to give back.
        let _gone = self.leave.send(());
        if tokio::time::timeout(LEAVE_MAX, self.task).await.is_err() {
            tracing::warn!("failed to give the lease back in time: another one takes over at its end");
        }
    }
}

/// Done when the election's task has ended by itself, which it never does.
pub(super) async fn lost(part: Option<&mut Part>) {
    match part {
        Some(part) => {
            if let Err(error) = (&mut part.task).await {
                tracing::error!("{error}");
            }
        }
        None => std::future::pending().await,
    }
}

/// Stands for election, where the settings ask for one.
pub(super) async fn stand(
    settings: &Settings,
    board: &Board,
    inbox: &Inbox,
) -> Result<(Mandate, Option<Part>), ClusterError> {
    let Some(rules) = &settings.election else { return Ok((Mandate::always(), None)) };
    let (kubeconfig, context) = (settings.kubeconfig.as_deref(), settings.context.as_deref());
    let registrar = Registrar::connect(kubeconfig, context, rules.namespace.as_deref(), &rules.name).await?;
    let name = name(rules);
    let me = Candidate::new(&name, &format!("{:x}", fastrand::u64(..)));
    let (sender, term) = watch::channel(Term::Never);
    let (leave, left) = oneshot::channel();
    let teller = Teller {
        place: registrar.place(),
        term: sender,
        shown: Replica { name, leading: false, leader: None },
        failure: None,
        board: board.clone(),
        inbox: inbox.clone(),
    };
    board.set_replica(teller.shown.clone());
    board.health(|health, _| health.expect_lease());
    tracing::info!("standing by as {} for the lease {}", teller.shown.name, teller.place);
    let task = tokio::spawn(run(registrar, Election::new(me, clock::moment()), left, teller));
    Ok((Mandate::new(term), Some(Part { leave, task })))
}

/// What the operator calls this process; else the pod's name, which its host name is; else a name that nobody else has.
fn name(rules: &Rules) -> String {
    if let Some(name) = &rules.identity {
        return name.clone();
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if super::triggers::in_cluster() { host } else { format!("{host}-{}", std::process::id()) }
}

async fn run(registrar: Registrar, mut election: Election, mut left: oneshot::Receiver<()>, mut teller: Teller) {
    let mut leaving = false;
    loop {
        let now = clock::moment();
        teller.tell(&election, now, leaving);
        match election.next(now) {
            Step::Done => return,
            Step::Ask(ask) => {
                let sent = clock::moment();
                let mut asked = pin!(registrar.ask(&ask, clock::wall()));
                let end = election.until().filter(|until| now < *until);
                let answer = tokio::select! {
                    answer = &mut asked => answer,
                    // The term ends while the answer is out.
                    () = ends(end) => {
                        teller.tell(&election, clock::moment(), leaving);
                        asked.await
                    }
                };
                teller.answered(&answer);
                election.heard(&ask, sent, &answer, clock::moment());
            }
            Step::Wait(at) => {
                let end = election.until().filter(|until| now < *until);
                tokio::select! {
                    () = ends(Some(at)) => {}
                    // It is told when it comes.
                    () = ends(end) => {}
                    _ = &mut left, if !leaving => {
                        leaving = true;
                        election.leave(clock::moment());
                    }
                }
            }
        }
    }
}

/// Done at that moment; never, where there is none.
async fn ends(at: Option<Moment>) {
    match at {
        Some(at) => tokio::time::sleep(at.since(clock::moment())).await,
        None => std::future::pending().await,
    }
}

/// Tells the others, where it is something new.
struct Teller {
    place: String,
    term: watch::Sender<Term>,
    shown: Replica,
    failure: Option<OneLine>,
    board: Board,
    inbox: Inbox,
}

impl Teller {
    fn tell(&mut self, election: &Election, now: Moment, leaving: bool) {
        let term = election.until().map_or(Term::Never, Term::Until);
        self.term.send_if_modified(|known| std::mem::replace(known, term) != term);
        let leading = election.until().is_some_and(|until| now < until);
        let leader = election.leader().map(str::to_owned);
        let next = Replica { leading, leader, ..self.shown.clone() };
        if next == self.shown {
            return;
        }
        let led = std::mem::replace(&mut self.shown, next).leading;
        self.board.set_replica(self.shown.clone());
        match (led, leading, &self.shown.leader) {
            (false, true, _) => tracing::info!("leads, by the lease {}", self.place),
            (true, false, _) if leaving => tracing::info!("gives the lease {} back", self.place),
            (true, false, Some(leader)) if *leader != self.shown.name => {
                tracing::warn!("lost the lease {} to {leader}: standing by", self.place);
            }
            (true, false, _) => tracing::warn!("failed to renew the lease {} in time: standing by", self.place),
            (false, false, Some(leader)) => tracing::info!("standing by: {leader} leads"),
            (false, false, None) | (true, true, _) => {}
        }
        if led != leading {
            self.inbox.put(Trigger::Lead);
        }
    }

    fn answered(&mut self, answer: &Answer) {
        let failure = match answer {
            Answer::Failed(words) => Some(words.clone()),
            Answer::Lease(_) | Answer::Conflict => None,
        };
        if let Some(words) = failure.as_ref().filter(|words| Some(*words) != self.failure.as_ref()) {
            tracing::warn!("failed to ask for the lease {}: {words}", self.place);
        }
        self.board.health(|health, now| health.asked_lease(failure.clone().map_or(Ok(()), Err), now));
        self.failure = failure;
    }
}
