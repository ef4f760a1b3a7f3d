//! A world for the planner: a branch, a cluster, people and faults; pure, deterministic, with its own time.
//!
//! [`World::step`] does one thing: a look and a plan, or one action of the plan. Whoever drives it may let a person or
//! a fault act between any two steps. Actions are performed as the real executor does: a guard that does not hold
//! fails the action, and the world looks again.

pub(crate) mod cluster;
mod execute;
pub(crate) mod git;
pub(crate) mod judge;
pub(crate) mod look;
pub(crate) mod people;
pub(crate) mod schedule;
mod sizes;
pub(crate) mod transcript;

use std::collections::VecDeque;
use std::time::Duration;

use turquoise::core::action::Action;
use turquoise::core::colour::Colour;
use turquoise::core::desired::Desired;
use turquoise::core::observed::{CheckKey, CheckOutcome, Observed};
use turquoise::core::plan::plan;
use turquoise::core::policy::{Asks, Check, HttpCheck, Method, OnGitDown, Policy, Promotion, Retire, Target};
use turquoise::core::report::Plan;

use cluster::{Cluster, Pace, moment};
use execute::{Cut, Failure};
use git::Git;
use judge::Judge;
use look::Renders;
use transcript::Transcript;

/// The planner under test, or one that was tampered with.
pub(crate) type Planner = fn(&Desired, &Observed, &Policy) -> Plan;

/// What becomes of the old colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Retiring {
    Keep,
    Zero,
    One,
    Delete,
}

/// A kind of world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Setup {
    /// One Deployment a colour, or two; 3: one whose size an autoscaler owns, a Job and a CronJob.
    pub(crate) tiers: u8,
    pub(crate) live_services: u8,
    pub(crate) manual: bool,
    pub(crate) retiring: Retiring,
    pub(crate) pace: Pace,
    pub(crate) watch_s: u64,
    /// A failed watch takes traffic back while git is out of reach.
    pub(crate) flip_back: bool,
}

/// The readiness deadline of every world's policy.
pub(crate) const DEADLINE_S: u64 = 300;
/// Counted from the flip; longer than any watch.
const RETIRE_AFTER_S: u64 = 120;
/// How many older looks a stale one may come from.
const PAST_LOOKS_MAX: usize = 4;
/// How old a stale look may be: lists out of a cache lag by seconds, and no call outlives its deadline.
const STALE_S_MAX: i64 = 60;
/// How long a pass waits when git or the API does not answer.
const BACK_OFF_S: i64 = 15;

impl Setup {
    /// What the situations assume: content 1 in blue, auto promotion, keep.
    pub(crate) const PLAIN: Self = Self {
        tiers: 1,
        live_services: 1,
        manual: false,
        retiring: Retiring::Keep,
        pace: Pace { start_s: 3, endpoints_s: 1, check_s: 2 },
        watch_s: 60,
        flip_back: false,
    };

    fn policy(&self) -> Policy {
        let http = HttpCheck {
            target: Target::Service { service: look::PREVIEW.into(), port: 8080, path: "/".into() },
            method: Method::Get,
            headers: Vec::new(),
            body: None,
            status: Vec::new(),
            json: Vec::new(),
            timeout: Duration::from_secs(1),
            times: 1,
            interval: Duration::from_millis(100),
        };
        let after = Duration::from_secs(RETIRE_AFTER_S);
        Policy {
            readiness_deadline: Duration::from_secs(DEADLINE_S),
            checks: vec![Check { name: "smoke".into(), asks: Asks::Http(http) }],
            promotion: if self.manual { Promotion::Manual } else { Promotion::Auto },
            watch: Duration::from_secs(self.watch_s),
            on_git_down: if self.flip_back { OnGitDown::FlipBack } else { OnGitDown::Wait },
            retire: match self.retiring {
                Retiring::Keep => Retire::Keep,
                Retiring::Zero => Retire::ScaleTo { replicas: 0, after },
                Retiring::One => Retire::ScaleTo { replicas: 1, after },
                Retiring::Delete => Retire::Delete { after },
            },
            ..Policy::default()
        }
    }
}

/// What the process remembers: lost by a crash.
#[derive(Debug, Clone, Default)]
pub(crate) struct Process {
    pub(crate) checks: Vec<Run>,
    /// How many commits it knows of; `None` where it has not asked yet.
    pub(crate) knows: Option<usize>,
    /// When it found the API server out of reach last.
    pub(crate) lost_s: Option<i64>,
}

/// A check that runs or has run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) key: CheckKey,
    pub(crate) due_s: i64,
    pub(crate) fails: bool,
}

impl Run {
    pub(crate) fn outcome(&self, now_s: i64) -> CheckOutcome {
        if now_s < self.due_s {
            CheckOutcome::Running
        } else if self.fails {
            CheckOutcome::Failed { reason: "HTTP 500".into() }
        } else {
            CheckOutcome::Passed { at: moment(self.due_s) }
        }
    }
}

/// Faults that wait for their moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// The next action is cut off after so many writes.
    pub(crate) cut: Option<u8>,
    /// The next action takes effect and is reported as failed.
    pub(crate) lost_reply: bool,
    /// The next look shows the cluster as it was so many looks ago.
    pub(crate) stale: Option<u8>,
    /// So many looks fail.
    pub(crate) unreachable: u8,
    /// So many pushes are refused.
    pub(crate) refused: u8,
    /// git is out of reach for so many looks.
    pub(crate) git_down: u8,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Looked and planned; there is something to do.
    Looked,
    /// Performed an action, or tried to.
    Acted,
    /// Nothing to do now: time went on.
    Waited,
    /// Nothing to do ever, until somebody acts.
    Rest,
}

/// The facts that the pending actions were planned from.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) desired: Desired,
    pub(crate) plan: Plan,
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) policy: Policy,
    pub(crate) git: Git,
    pub(crate) cluster: Cluster,
    pub(crate) process: Process,
    pub(crate) faults: Faults,
    pub(crate) now_s: i64,
    pub(crate) planner: Planner,
    pub(crate) judge: Judge,
    pub(crate) transcript: Transcript,
    /// Actions of the newest plan that are still to be done.
    pub(crate) pending: VecDeque<Action>,
    pub(crate) facts: Option<Facts>,
    /// Looks again after each check that was started: each action is then planned from fresh facts.
    pub(crate) single: bool,
    pub(crate) renders: Renders,
    past: VecDeque<Observed>,
    keeps_past: bool,
}

impl World {
    /// A world with a repo, an empty cluster and no lock.
    pub(crate) fn empty(setup: Setup) -> Self {
        let policy = setup.policy();
        Self {
            setup,
            policy,
            git: Git::new(),
            cluster: Cluster::new(setup.pace),
            process: Process::default(),
            faults: Faults::default(),
            now_s: 1_000_000,
            planner: plan,
            judge: Judge::of(setup.manual),
            transcript: Transcript::default(),
            pending: VecDeque::new(),
            facts: None,
            single: false,
            renders: Renders::default(),
            past: VecDeque::new(),
            keeps_past: false,
        }
    }

    /// A world in which content 1 is live in blue and green is empty.
    pub(crate) fn started(setup: Setup) -> Self {
        let mut world = Self::empty(setup);
        let rested = world.rest();
        assert!(rested, "the first deploy comes to rest");
        assert_eq!(world.cluster.serving(), Some(Colour::Blue), "the first deploy serves");
        world.judge.begin();
        world
    }

    /// Keeps looks, for [`Faults::stale`].
    pub(crate) fn keep_past(&mut self) {
        self.keeps_past = true;
    }

    /// One step: the next action of the plan, else a look and a new plan.
    pub(crate) fn step(&mut self) -> Progress {
        match self.pending.pop_front() {
            Some(action) => {
                self.perform(&action);
                Progress::Acted
            }
            None => self.look(),
        }
    }

    /// Steps until nothing is to be done any more; false where that takes too long.
    pub(crate) fn rest(&mut self) -> bool {
        for _ in 0..judge::STEPS_TO_REST_MAX {
            if self.step() == Progress::Rest {
                return true;
            }
        }
        false
    }

    /// The process dies: it forgets its checks and what it was about to do.
    pub(crate) fn crash(&mut self) {
        self.pending.clear();
        self.process = Process::default();
        self.past.clear();
    }

    fn look(&mut self) -> Progress {
        self.cluster.tick(self.now_s);
        if self.faults.unreachable > 0 {
            self.faults.unreachable -= 1;
            self.now_s += BACK_OFF_S;
            return Progress::Waited;
        }
        let down = self.faults.git_down > 0;
        self.faults.git_down = self.faults.git_down.saturating_sub(1);
        if down && self.process.knows.is_none() {
            self.now_s += BACK_OFF_S;
            return Progress::Waited;
        }
        let (observed, stale) = self.seen();
        let desired = self.known_to_git(down, &observed);
        let plan = (self.planner)(&desired, &observed, &self.policy);
        self.judge.planned(&plan, &observed, stale);
        self.transcript.planned(&plan);
        if !plan.actions.is_empty() {
            self.pending.extend(plan.actions.iter().cloned());
            self.facts = Some(Facts { desired, plan });
            return Progress::Looked;
        }
        let wake_s = plan.wake.map(|at| at.as_second()).filter(|at| *at > self.now_s);
        self.facts = Some(Facts { desired, plan });
        let checks = self.process.checks.iter().map(|run| run.due_s).filter(|at| *at > self.now_s);
        let next = checks.chain(self.cluster.next_change(self.now_s)).chain(wake_s).min();
        match next {
            _ if down => {
                self.now_s += BACK_OFF_S;
                Progress::Waited
            }
            Some(at) => {
                self.now_s = at.max(self.now_s);
                Progress::Waited
            }
            None if stale => Progress::Waited,
            None => Progress::Rest,
        }
    }

    /// What git says, or said when it could be asked last.
    fn known_to_git(&mut self, down: bool, observed: &Observed) -> Desired {
        if !down {
            self.process.knows = Some(self.git.commits.len());
        }
        let known = self.process.knows.unwrap_or(self.git.commits.len());
        let unknown = self.git.commits.split_off(known);
        let desired = self.desired(observed);
        self.git.commits.extend(unknown);
        Desired { out_of_reach: down, ..desired }
    }

    /// The cluster as it is, or as it was if a stale look is due.
    fn seen(&mut self) -> (Observed, bool) {
        let observed = self.observed();
        if !self.keeps_past {
            return (observed, false);
        }
        let stale = self.faults.stale.take().and_then(|back| {
            let index = self.past.len().checked_sub(usize::from(back) + 1)?;
            let old = self.past.get(index).filter(|old| self.now_s - old.at.as_second() <= STALE_S_MAX)?;
            // A late answer carries the time of its question; an old list the time of the newest one.
            Some(if back % 2 == 0 { Observed { at: observed.at, ..old.clone() } } else { old.clone() })
        });
        self.past.push_back(observed.clone());
        if self.past.len() > PAST_LOOKS_MAX {
            self.past.pop_front();
        }
        match stale {
            Some(old) => (old, true),
            None => (observed, false),
        }
    }

    fn perform(&mut self, action: &Action) {
        let mut cut = Cut::new(self.faults.cut.take());
        let crashes = cut.is_armed();
        let outcome = self.execute(action, &mut cut);
        self.judge.schedules(&self.cluster);
        self.now_s += 1;
        self.cluster.tick(self.now_s);
        let lost = std::mem::take(&mut self.faults.lost_reply);
        match &outcome {
            Ok(()) => self.transcript.acted(action, &self.git),
            Err(Failure::Guard(why)) => self.transcript.failed(action, why),
            Err(Failure::Cut) => self.transcript.cut(action),
        }
        let looks_again = outcome.is_err() || lost || (self.single && matches!(action, Action::Check { .. }));
        if looks_again {
            self.pending.clear();
        }
        if crashes {
            self.crash();
        }
    }
}
