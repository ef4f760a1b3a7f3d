//! What git says: everything the planner may know of the watched branch at HEAD.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;

use super::colour::{ByColour, Colour};
use super::ids::{AppName, CommitId, Digest, ObjectKey};
use super::lock::Lock;
use super::references::Reference;
use super::verdict::VerdictLog;

/// One app at HEAD, as git has it. Compared values are rendered by the running binary.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The app.
    pub app: AppName,
    /// The watched branch.
    pub branch: String,
    /// HEAD: every commit of ours has it as its parent, or is not made.
    pub head: CommitId,
    /// R: the first commit of the run up to HEAD in which P is as it is at HEAD.
    pub revision: CommitId,
    /// What the live Services' selector says at HEAD.
    pub declared: Declared,
    /// HEAD's lock; the empty lock where there is none for this branch that can be read.
    pub lock: Lock,
    /// Whether there is none.
    pub lock_is_lost: bool,
    /// The lock as turquoise itself last left it on this branch.
    pub own_lock: Option<Lock>,
    /// The verdicts in the log.
    pub verdicts: VerdictLog,
    /// Both colours at HEAD, at R, at the pins' revisions and at the revisions the cluster carries. What is missing could
    /// not be reached or rendered and equals nothing.
    pub renders: BTreeMap<CommitId, ByColour<Arc<Render>>>,
    /// The live overlay at the commits of `renders`.
    pub overlays: BTreeMap<CommitId, Arc<Overlay>>,
    /// The commit that gave the selector its value of today; `None` where it never changed.
    pub selector_change: Option<SelectorChange>,
    /// Whether HEAD's history lacks the HEAD under which traffic was switched last: somebody rewrote it.
    pub rewritten: bool,
    /// Whether git could not be asked, or took no commit, when it was tried last: HEAD is as it was last known.
    pub out_of_reach: bool,
    /// Those of the cluster's deployed-at heads since which P and the lock are unchanged.
    pub unchanged_since: BTreeSet<CommitId>,
}

/// The colour that git's selector names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared {
    /// One colour, in every live Service.
    Colour(Colour),
    /// A missing, empty or third value, or live Services that disagree: what was found.
    Unknown(String),
}

/// One colour rendered at one commit, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Render {
    /// `D(rev, c)`.
    pub digest: Digest,
    /// The images of its workloads, sorted, each once.
    pub images: Vec<String>,
    /// Its workloads.
    pub workloads: Vec<WorkloadSpec>,
    /// Its autoscalers.
    pub autoscalers: Vec<AutoscalerSpec>,
    /// The identities of all its objects.
    pub objects: BTreeSet<ObjectKey>,
    /// What its objects refer to by name: shared objects that a pin's render needs are not pruned (rule 8).
    pub refers: BTreeSet<Reference>,
}

/// A workload of a render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadSpec {
    /// Which.
    pub key: ObjectKey,
    /// `spec.replicas`; `None` where an autoscaler owns it. Of a kind that is not counted whether the manifest lets it
    /// run: 1, or 0 where it is suspended.
    pub replicas: Option<u32>,
    /// The workload's name with its colour taken out: the same for its twin in the other colour.
    pub twin: String,
    /// The labels of its pods.
    pub labels: BTreeMap<String, String>,
}

/// A HorizontalPodAutoscaler of a render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoscalerSpec {
    /// Which.
    pub key: ObjectKey,
    /// What it scales: kind and name.
    pub target: (String, String),
    /// Its bounds.
    pub bounds: Bounds,
}

/// How few and how many replicas an autoscaler may choose. Bounds are a size, and size is no release (rule 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// `spec.minReplicas`; Kubernetes' default is 1.
    pub min: u32,
    /// `spec.maxReplicas`.
    pub max: u32,
}

/// The live overlay rendered at one commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overlay {
    /// Its objects.
    pub objects: Vec<OverlayObject>,
}

/// One object of the live overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayObject {
    /// Which.
    pub key: ObjectKey,
    /// What part it plays.
    pub role: Role,
    /// The digest of its rendered form; a Service's colour is taken out of it.
    pub digest: Digest,
    /// What it refers to by name.
    pub refers: BTreeSet<Reference>,
}

/// The part that an object of the live overlay plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Neither routing nor coloured: applied before a candidate.
    Shared,
    /// A Service whose selector names the live colour.
    Live,
    /// A Service that shows the idle colour.
    Preview,
    /// Other routing: Ingress, Gateway API routes, Services without the key.
    Routing,
}

/// The last change of the selector in git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorChange {
    /// The commit.
    pub commit: CommitId,
    /// Whether a person made it: turquoise's own flips carry their trailers.
    pub by_person: bool,
    /// Whether turquoise made it on another branch, and a merge brought it.
    pub from_elsewhere: bool,
    /// Whether turquoise.lock at HEAD is as it was before that commit: neither that commit nor a later one wrote it.
    pub left_lock_alone: bool,
    /// Whether R is that commit or an ancestor of it.
    pub holds_revision: bool,
}

impl AutoscalerSpec {
    /// Whether it owns the size of a workload.
    #[must_use]
    pub fn scales(&self, workload: &ObjectKey) -> bool {
        self.target.0 == workload.kind && self.target.1 == workload.name
    }
}

impl Bounds {
    /// The bounds that an autoscaler's manifest names.
    #[must_use]
    pub fn of(autoscaler: &Value) -> Self {
        let number = |field: &str| autoscaler.pointer(field).and_then(Value::as_u64);
        let number = |field: &str| number(field).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        let min = number("/spec/minReplicas").unwrap_or(1);
        Self { min, max: number("/spec/maxReplicas").unwrap_or(min) }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.min, self.max)
    }
}

impl FromStr for Bounds {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        Ok(Self { min: min.parse()?, max: max.parse()? })
    }
}

impl Desired {
    /// Both colours' renders at a commit.
    #[must_use]
    pub fn render(&self, commit: &CommitId, colour: Colour) -> Option<&Render> {
        self.renders.get(commit).map(|pair| pair[colour].as_ref())
    }

    /// `D(rev, c)`; `None` equals nothing, not even itself: use [`Desired::same_content`] to compare.
    #[must_use]
    pub fn digest(&self, commit: &CommitId, colour: Colour) -> Option<&Digest> {
        self.render(commit, colour).map(|render| &render.digest)
    }

    /// Whether `D(a, c) = D(b, c)`.
    #[must_use]
    pub fn same_content(&self, a: &CommitId, b: &CommitId, colour: Colour) -> bool {
        match (self.digest(a, colour), self.digest(b, colour)) {
            (Some(a), Some(b)) => a == b,
            (None, _) | (_, None) => false,
        }
    }

    /// Whether `P(a) = P(b)`.
    #[must_use]
    pub fn same_pair(&self, a: &CommitId, b: &CommitId) -> bool {
        Colour::BOTH.into_iter().all(|colour| self.same_content(a, b, colour))
    }

    /// The bounds within which an autoscaler of a commit's render holds a workload.
    #[must_use]
    pub fn bounds(&self, commit: &CommitId, colour: Colour, workload: &ObjectKey) -> Option<Bounds> {
        let scaler = self.render(commit, colour)?.autoscalers.iter().find(|scaler| scaler.scales(workload))?;
        Some(scaler.bounds)
    }

    /// The live overlay's objects at a commit.
    #[must_use]
    pub fn overlay(&self, commit: &CommitId) -> &[OverlayObject] {
        self.overlays.get(commit).map_or(&[], |overlay| &overlay.objects)
    }
}
