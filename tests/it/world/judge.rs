//! What must hold after each action and at rest: the invariants of ARCHITECTURE.md and docs/rules.md. The judge knows what
//! really happened in the world, whatever the planner was shown.

use std::collections::BTreeSet;

use turquoise::core::action::{Commit, Switch, Topic};
use turquoise::core::colour::Colour;
use turquoise::core::desired::Desired;
use turquoise::core::ids::{CommitId, ObjectKey};
use turquoise::core::lock::{Pin, PinState};
use turquoise::core::observed::Observed;
use turquoise::core::report::{Phase, Plan};
use turquoise::core::verdict::Verdict;
use turquoise::core::workload::WorkloadKind;

use super::cluster::{Cluster, NEEDS_ACCOUNT, is_healthy};
use super::git::{Author, Content, Git, Tree, id, index};
use super::{World, look};

/// No history of a dozen acts takes longer: measured maxima are near 150 steps.
pub(crate) const STEPS_TO_REST_MAX: usize = 600;
/// No single act of a person leads to more commits of turquoise: a release, a flip-back, a withdrawal, and as much again
/// for what it undoes.
const COMMITS_PER_ACT_MAX: usize = 6;
const DAY_S: i64 = 86_400;
/// Pods that an autoscaler asks for are ready by then, and a plan from before is done.
const GROWTH_S_MAX: i64 = 60;

#[derive(Debug, Clone, Default)]
pub(crate) struct Judge {
    pub(crate) violations: Vec<String>,
    /// Revisions that something was deployed for.
    acted: BTreeSet<usize>,
    /// A release waits for a person.
    manual: bool,
    /// Colours and contents that passed their checks before a flip.
    passed: BTreeSet<(Colour, Content)>,
    served: BTreeSet<(Colour, Content)>,
    /// How often turquoise moved all traffic from one colour to the other.
    moves: usize,
    hand_moves: usize,
    /// How many checks were started.
    pub(crate) checks: usize,
    begun_at: usize,
    /// A person reverted a commit of turquoise that moved the selector or wrote the lock.
    pub(crate) facts_reverted: bool,
    /// The newest plan was made from a stale look.
    stale: bool,
    /// When an autoscaler has moved last.
    pub(crate) grown_s: Option<i64>,
    /// A person deleted a workload in the cluster.
    pub(crate) hand_deleted: bool,
    /// A person wrote the lock.
    pub(crate) lock_edited: bool,
    pub(crate) acts: usize,
}

impl Judge {
    /// A judge of releases that a person approves, or of ones that nobody needs to.
    pub(crate) fn of(manual: bool) -> Self {
        Self { manual, ..Self::default() }
    }

    /// Counts from here.
    pub(crate) fn begin(&mut self) {
        self.moves = 0;
        self.hand_moves = 0;
        self.begun_at = 1;
        self.acts = 0;
    }

    /// How often turquoise moved all traffic.
    pub(crate) const fn moves(&self) -> usize {
        self.moves
    }

    fn violated(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.violations.contains(&what) {
            self.violations.push(what);
        }
    }

    pub(crate) fn planned(&mut self, plan: &Plan, observed: &Observed, stale: bool) {
        self.stale = stale;
        if !stale && plan.actions.is_empty() && plan.wake.is_some_and(|wake| wake <= observed.at) {
            self.violated("I3 a plan without actions wakes at once");
        }
    }

    /// A colour is about to be written.
    pub(crate) fn writes(&mut self, colour: Colour, cluster: &Cluster, how: &str) {
        if cluster.is_served(colour) {
            self.violated(format!("I2 the serving colour is {how}"));
        }
    }

    /// An object of the live overlay is about to be deleted (rule 8, I8).
    pub(crate) fn drops(&mut self, key: &ObjectKey, git: &Git, cluster: &Cluster) {
        let pins = git.tree().lock.pins.iter().filter_map(|(_, pin)| pin.as_ref());
        let needs = |pin: &Pin| git.commits[index(&pin.revision)].tree.base == NEEDS_ACCOUNT;
        if *key == look::account() && !self.stale && pins.into_iter().any(needs) {
            self.violated("rule 8: what a pin's render refers to is pruned");
        }
        if cluster.copied.contains(key) {
            self.violated("I8 what turquoise did not apply is deleted");
        }
    }

    pub(crate) fn acted_on(&mut self, revision: &CommitId) {
        self.acted.insert(index(revision));
    }

    pub(crate) fn passed(&mut self, colour: Colour, cluster: &Cluster) {
        if let Some(content) = cluster.colours[colour].content() {
            self.passed.insert((colour, content));
        }
    }

    pub(crate) fn serves(&mut self, colour: Colour, cluster: &Cluster) {
        if let Some(content) = cluster.colours[colour].content() {
            self.served.insert((colour, content));
        }
    }

    pub(crate) fn moved(&mut self, from: Option<Colour>, to: Colour) {
        if from.is_some_and(|from| from != to) {
            self.moves += 1;
        }
    }

    pub(crate) fn patched_by_hand(&mut self) {
        self.hand_moves += 1;
    }

    pub(crate) fn reverts_facts(&mut self, facts: bool) {
        self.facts_reverted |= facts;
    }

    /// A Job's template cannot change.
    pub(crate) fn changes_a_job(&mut self) {
        self.violated("a Job is applied with another template");
    }

    /// CronJobs run in one colour at most.
    pub(crate) fn schedules(&mut self, cluster: &Cluster) {
        if Colour::BOTH.into_iter().all(|colour| cluster.colours[colour].schedules().next().is_some()) {
            self.violated("CronJobs of both colours run");
        }
    }

    /// I1 at the moment of the patch.
    pub(crate) fn switches(&mut self, switch: &Switch, desired: &Desired, cluster: &Cluster, now_s: i64) {
        let objects = &cluster.colours[switch.to];
        if !objects.is_ready(cluster.pace, now_s) {
            self.violated("I1 traffic to an unready colour");
        }
        match objects.content() {
            None => self.violated("I1 traffic to a colour of mixed content"),
            Some(content) => {
                let proven = self.passed.contains(&(switch.to, content)) || self.served.contains(&(switch.to, content));
                if !proven && !self.lock_edited {
                    self.violated("I1 traffic to an unverified colour");
                }
                let revision = &self.content_at(desired, &switch.record.revision, switch.to);
                if revision.as_ref().is_some_and(|digest| *digest != format!("{}:{content}", switch.to)) {
                    self.violated("I1 traffic to another content than the flip's");
                }
            }
        }
        if desired.verdicts.newest(&switch.record.revision) != Some(Verdict::Released) {
            self.violated("I1 traffic to a revision that does not stand released");
        }
        if let Some(from) = cluster.serving() {
            let ready = |colour: Colour| cluster.colours[colour].ready_pods(cluster.pace, now_s).len();
            // Pods of an autoscaler that became ready since the look could not be known of.
            let grows = self.grown_s.is_some_and(|at| now_s - at <= GROWTH_S_MAX);
            if ready(switch.to) < ready(from) && !grows {
                self.violated("I1 traffic to fewer ready pods than before");
            }
        }
    }

    fn content_at(&self, desired: &Desired, revision: &CommitId, colour: Colour) -> Option<String> {
        desired.digest(revision, colour).map(|digest| digest.as_str().to_owned())
    }

    /// A commit of turquoise is about to be made.
    pub(crate) fn commits(&mut self, commit: &Commit, tree: &Tree, git: &Git, cluster: &Cluster) {
        if commit.facts.is_empty() && tree == git.tree() {
            self.violated("git leads: a commit without a new fact");
        }
        if self.manual && commit.selector.is_some() && matches!(commit.topic, Topic::Release { .. }) {
            self.violated("rule 11: a release without a person's approval");
        }
        if tree.pair() != git.tree().pair() {
            self.violated("git leads: a commit of turquoise changes a colour");
        }
        for colour in Colour::BOTH {
            let Some(pin) = &commit.pins[colour] else { continue };
            let content = git.commits[index(&pin.revision)].tree.content(colour);
            let held = cluster.colours[colour].content();
            // A lock that was lost says again what it said, of a colour that a rejected candidate took since.
            if git.own_lock().is_some_and(|own| own.pins[colour].as_ref() == Some(pin)) {
                continue;
            }
            if held.is_some_and(|held| held != content) {
                self.violated("a colour is pinned at what it does not hold");
            }
            let proven = self.passed.contains(&(colour, content)) || self.served.contains(&(colour, content));
            if pin.state == PinState::Verified && !proven {
                self.violated("an unverified colour is pinned as verified");
            }
        }
        let (log, revision) = (git.verdicts(), id(git.revision()));
        let records = cluster.colours.iter().filter_map(|(_, objects)| objects.record());
        let unsaid = records.flat_map(|record| record.superseded).find(|old| {
            *old != revision && !log.mentions(old) && !commit.facts.iter().any(|fact| fact.revision == *old)
        });
        if unsaid.is_some() && !commit.facts.is_empty() && !self.stale {
            self.violated("I4 a superseded revision is not said with the next commit");
        }
        for fact in &commit.facts {
            let content = git.commits[index(&fact.revision)].tree.content(Colour::Blue);
            let blameless = is_healthy(content) && !cluster.rotten && !cluster.outage && cluster.stuck.is_none();
            if fact.verdict == Verdict::Rejected && blameless {
                self.violated("a healthy revision is rejected");
            }
            self.follows(&fact.revision, fact.verdict, git);
        }
    }

    /// I4: which verdict may follow which.
    fn follows(&mut self, revision: &CommitId, verdict: Verdict, git: &Git) {
        let mut said = git.commits.iter().enumerate().rev().flat_map(|(at, commit)| {
            commit.facts.iter().filter(|fact| fact.revision == *revision).map(move |fact| (at, fact.verdict))
        });
        let Some((at, before)) = said.next() else { return };
        let asked = (at + 1..git.commits.len()).any(|at| {
            let (then, now) = (&git.commits[at - 1].tree, &git.commits[at].tree);
            git.commits[at].author == Author::Person && (then.lock != now.lock || then.selector != now.selector)
        });
        let fine = match (before, verdict) {
            (_, Verdict::Superseded) => before == Verdict::Verified,
            (Verdict::Withdrawn, Verdict::Withdrawn) => false,
            (Verdict::Rejected, Verdict::Rejected | Verdict::Released) => asked,
            (Verdict::Released, Verdict::Released) => true,
            (
                Verdict::Released | Verdict::Rejected | Verdict::Withdrawn | Verdict::Superseded | Verdict::Verified,
                Verdict::Released | Verdict::Rejected | Verdict::Withdrawn | Verdict::Verified,
            ) => true,
        };
        if !fine {
            self.violated(format!("I4 {verdict} after {before}"));
        }
    }
}

impl World {
    /// Rests, and says what is wrong then.
    pub(crate) fn judge_at_rest(&mut self) {
        if !self.rest() {
            self.judge.violated("I3 it never comes to rest");
            return;
        }
        let before = self.git.commits.len();
        self.now_s += DAY_S;
        if !self.rest() || self.git.commits.len() != before || !self.pending.is_empty() {
            self.judge.violated("I3 it does not stay at rest");
        }
        let Some(facts) = self.facts.clone() else { return };
        if facts.plan.blocked.is_none() {
            self.judge_agreement();
            self.judge_overlay(&facts.plan);
        }
        self.judge_verdicts(&facts.plan);
        let selector_changes =
            (self.judge.begun_at..self.git.commits.len()).filter(|at| self.git.moved_selector(*at)).count();
        if self.judge.moves > selector_changes + self.judge.hand_moves {
            self.judge.violated("I5 traffic moved more often than git said");
        }
        let ours = self.git.commits.iter().skip(1).filter(|commit| commit.author == Author::Turquoise).count();
        if ours > 1 + COMMITS_PER_ACT_MAX * (self.judge.acts + 1) {
            self.judge.violated("I5 turquoise commits on and on");
        }
    }

    fn judge_agreement(&mut self) {
        let declared = self.git.tree().declared();
        let serving = self.cluster.serving();
        if serving != declared {
            self.judge.violated("I3 git and cluster disagree at rest");
        }
        let Some(colour) = serving else { return };
        let live = self.cluster.colours[colour].content();
        // Where a hand deleted the workloads and another one their pin, nothing is left to build them from.
        let gone = live.is_none() && self.judge.lock_edited;
        let pinned = self.git.tree().lock.pins[colour].as_ref();
        let pinned = pinned.map(|pin| self.git.commits[index(&pin.revision)].tree.content(colour));
        if !gone && (pinned.is_none() || pinned != live) {
            self.judge.violated("I3 the live pin is not what serves");
        }
        if !gone
            && !self.cluster.rotten
            && self.judge.hand_moves == 0
            && !self.cluster.colours[colour].is_ready(self.cluster.pace, self.now_s)
        {
            self.judge.violated("I1 the serving colour is not ready at rest");
        }
        let idle = &self.cluster.colours[colour.other()];
        let crons = |objects: &super::cluster::Objects| {
            let crons = objects.workloads.iter().filter(|workload| workload.is_kind(WorkloadKind::CronJob));
            crons.map(|cron| cron.replicas > 0).collect::<Vec<bool>>()
        };
        if crons(idle).contains(&true) || (!gone && crons(&self.cluster.colours[colour]).contains(&false)) {
            self.judge.violated("the serving colour's CronJobs do not run at rest, or the other's do");
        }
        let rejected =
            idle.record().is_some_and(|record| self.git.verdicts().newest(&record.revision) == Some(Verdict::Rejected));
        if rejected && idle.replicas() > 0 {
            self.judge.violated("rule 9: a rejected candidate stays up");
        }
        let astray = |service: &&super::cluster::Service| {
            service.preview && service.selects.as_deref() != Some(colour.other().as_str())
        };
        if self.cluster.services.iter().any(|service| astray(&service)) {
            self.judge.violated("a preview does not select the idle colour at rest");
        }
    }

    /// Rule 8 at rest: what the live overlay has is there, and nothing that it dropped, unless a pin needs it.
    fn judge_overlay(&mut self, plan: &Plan) {
        let Some(serving) = self.cluster.serving().filter(|_| plan.phase == Phase::Settled) else { return };
        let tree = self.git.tree();
        let (mut wanted, mut allowed) = (Vec::new(), Vec::new());
        let mut pins = tree.lock.pins.iter().filter_map(|(_, pin)| pin.as_ref());
        let of = |pin: &Pin| &self.git.commits[index(&pin.revision)].tree;
        let live = tree.lock.pins[serving].as_ref().map(of);
        let source = live.filter(|live| live.pair() != tree.pair()).unwrap_or(tree);
        let has = |tree: &Tree| [(look::account(), tree.account), (look::door(), tree.door)];
        for ((key, in_source), (_, in_head)) in has(source).into_iter().zip(has(tree)) {
            wanted.extend(in_source.then(|| key.clone()));
            allowed.extend((in_source || in_head).then_some(key));
        }
        if pins.any(|pin| of(pin).base == NEEDS_ACCOUNT) {
            allowed.push(look::account());
        }
        let there = |key: &ObjectKey| self.cluster.overlay.contains_key(key);
        if !wanted.iter().all(there) {
            self.judge.violated("rule 8: an object of the live overlay is missing at rest");
        }
        if [look::account(), look::door()].iter().any(|key| there(key) && !allowed.contains(key)) {
            self.judge.violated("rule 8: what the live overlay dropped is still there at rest");
        }
        if !self.cluster.copied.iter().all(there) {
            self.judge.violated("I8 what turquoise did not apply is gone");
        }
    }

    fn judge_verdicts(&mut self, plan: &Plan) {
        let log = self.git.verdicts();
        // Every workload counts, also those that a cut-off deploy left in disagreement.
        let workloads = self.cluster.colours.iter().flat_map(|(_, objects)| &objects.workloads);
        let records: Vec<_> = workloads.filter_map(|workload| workload.record.clone()).collect();
        let carried = |revision: &CommitId| {
            records.iter().any(|record| record.revision == *revision || record.superseded.contains(revision))
        };
        let lost =
            self.judge.acted.iter().map(|at| id(*at)).find(|revision| !log.mentions(revision) && !carried(revision));
        // What a hand in the cluster put under traffic is pinned as it stands, without a verdict; what stood in the
        // annotations of a workload that a hand deleted is gone.
        if lost.is_some() && self.judge.hand_moves == 0 && !self.judge.hand_deleted {
            self.judge.violated("I4 a revision was acted on and has no verdict");
        }
        let live = self.cluster.serving().and_then(|colour| self.cluster.colours[colour].record());
        let newest = live.and_then(|record| log.newest(&record.revision));
        let by_hand = self.judge.lock_edited || self.judge.facts_reverted || self.judge.hand_moves > 0;
        if !by_hand
            && matches!(newest, Some(Verdict::Withdrawn | Verdict::Rejected))
            && plan.alerts.is_empty()
            && plan.blocked.is_none()
        {
            self.judge.violated("I4 what serves is withdrawn or rejected, and nobody is told");
        }
    }
}
