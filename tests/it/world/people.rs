//! What people do: commits, and hands on the cluster.

use std::fmt;
use std::str::FromStr;

use turquoise::core::colour::{ByColour, Colour};
use turquoise::core::lock::Lock;
use turquoise::core::verdict::Verdict;

use super::cluster::NEEDS_ACCOUNT;
use super::git::{Author, Commit, Tree};
use super::{World, look};

/// Which commit is reverted: the newest of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// A person's last commit.
    Last,
    /// The one before it.
    Previous,
    /// turquoise's last change of the selector.
    Flip,
    /// turquoise's last rejection.
    Rejection,
    /// turquoise's last `verified` commit.
    Verified,
    /// turquoise's last commit without a fact.
    Pin,
}

/// Something a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Bump(u32),
    Revert(Which),
    /// Sets the selector in git to the other colour.
    Selector,
    /// The same, with a bump in the same commit.
    BumpAndSelector,
    LiveOverlay,
    IdleOverlay,
    BothOverlays,
    /// A commit that changes nothing of the app.
    Empty,
    LockDeleted,
    LockSwapped,
    /// Points the live Services in the cluster at the other colour, if it is ready.
    Kubectl,
    /// Kills the process.
    Kill,
    /// The images of 1 and 2 disappear from the registry.
    Rot,
    /// What the checks through the live address need goes down.
    Outage,
    /// Sets `spec.replicas` in the base.
    Size(u32),
    /// Changes the live overlay's routing.
    Routing,
    /// Changes the live overlay's ServiceAccount.
    Shared,
    /// Gives the live overlay the ServiceAccount `robot`, or takes it away.
    Account,
    /// The same, in one commit with content that needs it, or needs it no more.
    BumpAndAccount,
    /// Gives the live overlay a second Ingress, or takes it away.
    Door,
    /// Makes a copy of an Ingress in the cluster, labels and all.
    KubectlCopied,
    /// Sets the selector in git to a third value.
    SelectorBroken,
    /// Sets the selector in git to what the cluster serves.
    SelectorMended,
    /// Removes the selector's key in the cluster.
    KubectlRemoved,
    /// Deletes a workload of the serving colour.
    KubectlDeleted,
    /// An autoscaler gives the serving colour's first workload that size.
    Autoscaled(u32),
}

/// Why a person's act did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undone {
    /// There is nothing to act on.
    Void,
    /// The revert conflicts.
    Conflict(Vec<&'static str>),
}

const WORDS: [(&str, Op); 28] = [
    ("rv_last", Op::Revert(Which::Last)),
    ("rv_prev", Op::Revert(Which::Previous)),
    ("rv_flip", Op::Revert(Which::Flip)),
    ("rv_rej", Op::Revert(Which::Rejection)),
    ("rv_ver", Op::Revert(Which::Verified)),
    ("rv_pin", Op::Revert(Which::Pin)),
    ("selector", Op::Selector),
    ("bump+sel", Op::BumpAndSelector),
    ("liveov", Op::LiveOverlay),
    ("idleov", Op::IdleOverlay),
    ("bothov", Op::BothOverlays),
    ("empty", Op::Empty),
    ("lockdel", Op::LockDeleted),
    ("lockswap", Op::LockSwapped),
    ("kubectl", Op::Kubectl),
    ("crash", Op::Kill),
    ("rot", Op::Rot),
    ("ext", Op::Outage),
    ("routing", Op::Routing),
    ("shared", Op::Shared),
    ("account", Op::Account),
    ("bump+acc", Op::BumpAndAccount),
    ("door", Op::Door),
    ("kubectl_cp", Op::KubectlCopied),
    ("sel_broken", Op::SelectorBroken),
    ("sel_mended", Op::SelectorMended),
    ("kubectl_rm", Op::KubectlRemoved),
    ("kubectl_del", Op::KubectlDeleted),
];

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, WORDS.iter().find(|(_, op)| op == self)) {
            (Self::Bump(base), _) => write!(f, "bump{base}"),
            (Self::Size(size), _) => write!(f, "size{size}"),
            (Self::Autoscaled(size), _) => write!(f, "auto{size}"),
            (_, Some((word, _))) => f.write_str(word),
            (other, None) => unreachable!("{other:?} has a word"),
        }
    }
}

impl FromStr for Op {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, op)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*op);
        }
        let number = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.parse().ok());
        let bump = number("bump").map(Self::Bump);
        let size = number("size").map(Self::Size).or_else(|| number("auto").map(Self::Autoscaled));
        bump.or(size).ok_or_else(|| format!("`{text}`?"))
    }
}

impl World {
    /// Does what a person does.
    pub(crate) fn person(&mut self, op: Op) -> Result<(), Undone> {
        self.act(op)?;
        let on_cluster = matches!(
            op,
            Op::Kubectl
                | Op::Kill
                | Op::Rot
                | Op::Outage
                | Op::KubectlRemoved
                | Op::KubectlDeleted
                | Op::KubectlCopied
                | Op::Autoscaled(_)
        );
        let commit = (!on_cluster).then(|| self.git.head());
        self.transcript.person(op, commit, &self.git);
        Ok(())
    }

    fn act(&mut self, op: Op) -> Result<(), Undone> {
        let mut tree = self.git.tree().clone();
        let declared = tree.declared();
        let known = || declared.ok_or(Undone::Void);
        match op {
            Op::Bump(base) => tree.base = base,
            Op::Revert(which) => return self.revert(which),
            Op::Selector => tree.selector = known()?.other().to_string(),
            Op::BumpAndSelector => {
                tree.base = if tree.base == 2 { 3 } else { 2 };
                tree.selector = known()?.other().to_string();
            }
            Op::LiveOverlay => tree.overlay[known()?] += 1,
            Op::IdleOverlay => tree.overlay[known()?.other()] += 1,
            Op::BothOverlays => {
                tree.overlay.blue += 1;
                tree.overlay.green += 2;
            }
            Op::Empty => {
                self.person_commits(tree, op);
                return Ok(());
            }
            Op::LockDeleted => {
                self.judge.lock_edited = true;
                tree.lock = Lock::default();
                self.person_commits(tree, op);
                return Ok(());
            }
            Op::LockSwapped => {
                self.judge.lock_edited = true;
                let pins = tree.lock.pins;
                tree.lock.pins = ByColour { blue: pins.green, green: pins.blue };
            }
            Op::Size(size) => tree.size = size,
            Op::Routing => tree.routing += 1,
            Op::Shared => tree.shared += 1,
            Op::Account => tree.account = !tree.account,
            Op::BumpAndAccount => {
                tree.account = !tree.account;
                tree.base = if tree.account { NEEDS_ACCOUNT } else { 2 };
            }
            Op::Door => tree.door = !tree.door,
            Op::SelectorBroken => tree.selector = "red".into(),
            Op::SelectorMended => tree.selector = self.cluster.serving().ok_or(Undone::Void)?.to_string(),
            Op::Kill => {
                self.crash();
                return Ok(());
            }
            Op::Rot => {
                self.cluster.rotten = true;
                return Ok(());
            }
            Op::Outage => {
                self.cluster.outage = true;
                return Ok(());
            }
            Op::Kubectl => {
                let other = self.cluster.serving().ok_or(Undone::Void)?.other();
                let ready = self.cluster.colours[other].is_ready(self.cluster.pace, self.now_s);
                return if ready { self.patched(Some(other)) } else { Err(Undone::Void) };
            }
            Op::Autoscaled(size) => {
                let colour = self.cluster.serving().ok_or(Undone::Void)?;
                let scales = !self.cluster.colours[colour].autoscalers.is_empty();
                self.judge.grown_s = Some(self.now_s);
                return if scales && self.cluster.autoscale(colour, size, self.now_s) {
                    Ok(())
                } else {
                    Err(Undone::Void)
                };
            }
            Op::KubectlCopied => {
                let Some(digest) = self.cluster.overlay.values().next().cloned() else { return Err(Undone::Void) };
                self.cluster.overlay.insert(look::copied(), digest);
                self.cluster.copied.insert(look::copied());
                return Ok(());
            }
            Op::KubectlRemoved => return self.patched(None),
            Op::KubectlDeleted => {
                let colour = self.cluster.serving().ok_or(Undone::Void)?;
                self.judge.hand_deleted = true;
                return self.cluster.colours[colour].workloads.pop().map(|_| ()).ok_or(Undone::Void);
            }
        }
        if tree == *self.git.tree() {
            return Err(Undone::Void);
        }
        self.person_commits(tree, op);
        Ok(())
    }

    /// A hand on the live Services' selectors.
    fn patched(&mut self, colour: Option<Colour>) -> Result<(), Undone> {
        let versions: Vec<u64> = self.cluster.services.iter().map(|_| 0).collect();
        let fresh: Vec<u64> = versions.iter().map(|_| self.cluster.next()).collect();
        for (service, version) in self.cluster.services.iter_mut().zip(fresh) {
            if !service.preview {
                service.selects = colour.map(|colour| colour.to_string());
                service.version = version;
            }
        }
        // What goes through the live address meanwhile meets whatever the hand left there.
        let now_s = self.now_s;
        for run in self.process.checks.iter_mut().filter(|run| run.key.repeat) {
            run.due_s = run.due_s.min(now_s);
            run.fails = true;
        }
        self.judge.patched_by_hand();
        Ok(())
    }

    fn revert(&mut self, which: Which) -> Result<(), Undone> {
        let mut mine = (1..self.git.commits.len()).rev().filter(|at| self.git.commits[*at].author == Author::Person);
        let ours = |test: &dyn Fn(usize) -> bool| {
            (1..self.git.commits.len()).rev().find(|at| self.git.commits[*at].author == Author::Turquoise && test(*at))
        };
        let says =
            |at: usize, verdict: Verdict| self.git.commits[at].facts.first().map(|fact| fact.verdict) == Some(verdict);
        let at = match which {
            Which::Last => mine.next(),
            Which::Previous => mine.nth(1),
            Which::Flip => ours(&|at| self.git.moved_selector(at)),
            Which::Rejection => ours(&|at| says(at, Verdict::Rejected)),
            Which::Verified => ours(&|at| says(at, Verdict::Verified)),
            Which::Pin => ours(&|at| self.git.commits[at].facts.is_empty()),
        };
        let at = at.ok_or(Undone::Void)?;
        let tree = self.git.reverted(at).map_err(Undone::Conflict)?.ok_or(Undone::Void)?;
        self.judge.reverts_facts(
            self.git.commits[at].tree.lock != self.git.commits[at - 1].tree.lock || self.git.moved_selector(at),
        );
        let subject = format!("revert of c{at}");
        self.git.push(Commit { tree, author: Author::Person, subject, facts: Vec::new() });
        Ok(())
    }

    fn person_commits(&mut self, tree: Tree, op: Op) {
        self.git.push(Commit { tree, author: Author::Person, subject: op.to_string(), facts: Vec::new() });
    }
}
