//! What the cluster says: one app at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::colour::{ByColour, Colour};
use super::desired::Bounds;
use super::ids::{AppName, CommitId, Digest, ObjectKey};
use super::text::OneLine;
use super::trouble::TroubleReason;
use super::workload::WorkloadKind;

pub use super::flip::{FlipRecord, Owed, WatchState};

/// One app as the cluster has it. Deadlines are judged at `at`, never at a later clock.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The time taken before the first read.
    pub at: Timestamp,
    /// The live and preview Services that exist.
    pub services: Vec<ServiceState>,
    /// What each colour carries.
    pub colours: ByColour<ColourState>,
    /// Objects of the live overlay that exist and are ours, with the digest that was last applied to them.
    pub overlay: BTreeMap<ObjectKey, Digest>,
    /// Everything that was applied for the live overlay, or was about to be, and not deleted since: what a prune may delete.
    /// `None` where no Service holds it, before the first release or before an upgrade.
    pub live_inventory: Option<BTreeSet<ObjectKey>>,
    /// Objects that a render names and that exist without being turquoise's.
    pub foreign: BTreeMap<ObjectKey, Foreign>,
    /// Whether every object of the serving colour exists and is as HEAD renders it: asked only where nothing tells what it
    /// was released with.
    pub stands_as_head: bool,
    /// What each of the app's objects looks like, its status aside: equal as long as nobody changes it.
    pub faces: BTreeMap<ObjectKey, Digest>,
    /// Fields of the serving colour's objects that are not as its pin says (rule 7).
    pub drift: Vec<Drift>,
    /// The checks that run or have run in this process. Passes are bound to revision, pods and policy.
    pub checks: Vec<CheckState>,
    /// When this process found the API server out of reach last, if it had not answered for a while. Nodes may not have
    /// reached it either: a deadline from before starts anew.
    pub lost_at: Option<Timestamp>,
}

/// An object that a render names and that is not labelled as the app's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// For optimistic locking.
    pub resource_version: String,
    /// Whether `kubectl apply` made it, so that it may be taken over.
    pub by_kubectl_apply: bool,
}

/// A field of a serving object that is not as its pin says. Sizes, and fields that the pin does not name, are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The object: `Deployment web-blue`.
    pub object: OneLine,
    /// The field: `spec.template.spec.containers[web].image`.
    pub field: OneLine,
    /// What the pin says.
    pub wanted: OneLine,
    /// What the cluster has.
    pub found: OneLine,
}

/// A Service that selects by colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceState {
    /// `metadata.name`.
    pub name: String,
    /// A preview selects the idle colour.
    pub preview: bool,
    /// For compare-and-swap.
    pub resource_version: String,
    /// The selector's value under the colour's key; `None` where the key is missing.
    pub selects: Option<String>,
    /// The whole selector.
    pub selector: BTreeMap<String, String>,
    /// The ready pods in its EndpointSlices, by uid.
    pub endpoints: BTreeSet<String>,
    /// The app's ready pods whose labels its selector matches, by uid: what the EndpointSlices should hold.
    pub selected: BTreeSet<String>,
    /// What the last flip wrote on it.
    pub flip: Option<FlipRecord>,
    /// Whether somebody changed its selector beside the colour, or its ports, since turquoise applied them.
    pub astray: bool,
}

/// One colour in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColourState {
    /// What all of its workloads agree that it carries; `None` where nothing was deployed, a deploy was cut off in
    /// the middle, or the objects are not turquoise's.
    pub record: Option<Record>,
    /// Where the workloads disagree: every revision that one of them carries, or says to be superseded. They were acted
    /// on, so each needs a verdict.
    pub torn: BTreeSet<CommitId>,
    /// Its workloads.
    pub workloads: Vec<WorkloadState>,
    /// Its autoscalers.
    pub autoscalers: Vec<AutoscalerState>,
    /// All its objects that exist, as far as may be listed (Secrets are not).
    pub present: BTreeSet<ObjectKey>,
    /// All objects that were ever applied to it and not deleted since.
    pub inventory: BTreeSet<ObjectKey>,
}

/// What a deploy writes on every workload of its colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The revision it carries.
    pub revision: CommitId,
    /// HEAD when it was deployed.
    pub deployed_at: CommitId,
    /// What the running deadline is for: a new attempt starts a new one.
    pub attempt: String,
    /// When that attempt started.
    pub started_at: Timestamp,
    /// Since when its pods are ready and the EndpointSlices of a preview do not hold them; `None` where they do, or where
    /// nobody had to wait for them.
    pub endpoints_since: Option<Timestamp>,
    /// Whether it was about to take traffic with exactly this content and nobody changed it since.
    pub in_use: bool,
    /// Revisions whose `superseded` no commit has carried yet.
    pub superseded: BTreeSet<CommitId>,
}

/// An autoscaler in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoscalerState {
    /// Which.
    pub key: ObjectKey,
    /// For optimistic locking.
    pub resource_version: String,
    /// The manifest's bounds when they were last applied, from our annotation.
    pub applied: Option<Bounds>,
}

/// One workload in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadState {
    /// Which.
    pub key: ObjectKey,
    /// For optimistic locking.
    pub resource_version: String,
    /// The revision in its own annotations.
    pub revision: Option<CommitId>,
    /// `spec.replicas`. Of a DaemonSet the nodes that want a pod, at least 1 unless it is down; of a Job 1 while it is
    /// neither done nor suspended; of a CronJob 1 unless it is suspended.
    pub replicas: u32,
    /// Whether it is turquoise that holds it down: a DaemonSet, a Job or a CronJob.
    pub parked: bool,
    /// The manifest's `spec.replicas` when they were last applied, from our annotation.
    pub applied_replicas: Option<u32>,
    /// Whether the status speaks of the newest spec, and every replica is updated, ready and available; of a Job,
    /// whether it is complete.
    pub rolled_out: bool,
    /// What is wrong with the workload itself: pods that are refused, a Job that has failed.
    pub trouble: Option<Trouble>,
    /// `status.readyReplicas`.
    pub ready: u32,
    /// Its pods that are not terminating.
    pub pods: Vec<PodState>,
}

/// One pod of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodState {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.name`.
    pub name: String,
    /// The Ready condition.
    pub ready: bool,
    /// Since when it is ready, by the cluster's clock.
    pub ready_since: Option<Timestamp>,
    /// Container restarts: a restarted pod voids its passes.
    pub restarts: u32,
    /// What is wrong with it, in its own words.
    pub trouble: Option<Trouble>,
}

/// What is wrong with a pod or a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Why.
    pub reason: TroubleReason,
    /// Its own words.
    pub words: OneLine,
    /// From when on waiting cannot mend it, by what is known now; `None`: it may mend itself.
    #[serde(skip)]
    pub hopeless_from: Option<Timestamp>,
}

impl Trouble {
    /// Whether waiting cannot mend it any more.
    #[must_use]
    pub fn is_hopeless(&self, at: Timestamp) -> bool {
        self.hopeless_from.is_some_and(|from| at >= from)
    }
}

/// What a check's result is bound to: results of another revision, other pods or another policy say nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckKey {
    /// The check's name in the policy.
    pub check: String,
    /// The colour under test.
    pub colour: Colour,
    /// The revision it carries.
    pub revision: CommitId,
    /// How often it was rejected before: a retry starts from nothing.
    pub rejections: usize,
    /// Its ready pods as `uid/restarts`.
    pub pods: BTreeSet<String>,
    /// The policy's digest.
    pub policy: Digest,
    /// The Service that is asked, or the host.
    pub target: String,
    /// The Services that must be as they should be meanwhile, each with the resource version under which it was seen so:
    /// a failure counts only if nobody wrote them since.
    pub services: BTreeSet<String>,
    /// Whether it goes on after a pass: through the live address, until the watch is over.
    pub repeat: bool,
}

impl CheckKey {
    /// Names what is asked: the same after a restart, another one for other pods, another policy or a retry.
    #[must_use]
    pub fn id(&self, app: &AppName) -> String {
        let Self { check, colour, revision, rejections, pods, policy, target, services: _, repeat } = self;
        let facts = serde_json::json!([app, check, colour, revision, rejections, pods, policy, target, repeat]);
        super::digest::of_json(&facts).to_string()
    }

    /// Whether both ask the same about the same, whoever wrote the Services meanwhile.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let Self { check, colour, revision, rejections, pods, policy, target, services: _, repeat } = self;
        (check, colour, revision, rejections) == (&other.check, &other.colour, &other.revision, &other.rejections)
            && (pods, policy, target, repeat) == (&other.pods, &other.policy, &other.target, &other.repeat)
    }
}

/// A check that runs or has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckState {
    /// Of what.
    pub key: CheckKey,
    /// How far it is.
    pub outcome: CheckOutcome,
}

/// How far a check is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckOutcome {
    /// Under way.
    Running,
    /// Under way, and it cannot be asked now through no fault of the target: the API server does not answer, a granted
    /// Secret cannot be read.
    Hindered {
        /// What hinders it.
        words: OneLine,
    },
    /// Passed as often in a row as the policy asks.
    Passed {
        /// When.
        at: Timestamp,
    },
    /// Failed.
    Failed {
        /// What the target said.
        reason: OneLine,
    },
}

/// What the live Services in the cluster select.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serving {
    /// There is no live Service.
    Nothing,
    /// All of them select this colour.
    Colour(Colour),
    /// A missing or foreign value, or they disagree: both colours are in use (rule 6).
    Unclear,
}

impl Serving {
    /// The one colour that takes traffic, where there is one.
    #[must_use]
    pub const fn colour(&self) -> Option<Colour> {
        match self {
            Self::Colour(colour) => Some(*colour),
            Self::Nothing | Self::Unclear => None,
        }
    }
}

impl Observed {
    /// The live Services.
    pub fn live(&self) -> impl Iterator<Item = &ServiceState> {
        self.services.iter().filter(|service| !service.preview)
    }

    /// What the live Services select.
    #[must_use]
    pub fn serving(&self) -> Serving {
        let mut colours = self.live().map(|service| service.selects.as_deref().and_then(|text| text.parse().ok()));
        let Some(first) = colours.next() else {
            return Serving::Nothing;
        };
        let Some(first) = first else {
            return Serving::Unclear;
        };
        if colours.all(|colour| colour == Some(first)) { Serving::Colour(first) } else { Serving::Unclear }
    }

    /// The flip-back that git does not know of yet, from whichever live Service records one: a crash may have left another
    /// one behind.
    #[must_use]
    pub fn owed(&self) -> Option<(&FlipRecord, &Owed)> {
        self.live().filter_map(|service| service.flip.as_ref()).find_map(|flip| Some((flip, flip.owed.as_ref()?)))
    }

    /// What the last flip wrote on the live Services.
    #[must_use]
    pub fn flip(&self) -> Option<&FlipRecord> {
        self.live().find_map(|service| service.flip.as_ref())
    }
}

/// Whether a colour can take traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Scaled to zero, or without workloads.
    Down,
    /// Some pods are missing, or not ready.
    NotYet {
        /// Ready pods.
        ready: u32,
        /// Wanted pods.
        wanted: u32,
        /// Who is in trouble (`pod shop-5d9c`), and why.
        trouble: Option<(String, Trouble)>,
    },
    /// Waiting cannot mend it.
    Hopeless {
        /// Who: `pod shop-5d9c`, `Deployment shop-green`.
        who: String,
        /// What is wrong with it.
        trouble: Trouble,
    },
    /// Every workload is rolled out.
    Ready,
}

impl ColourState {
    /// The workloads whose pods can answer for a Service.
    fn serving_workloads(&self) -> impl Iterator<Item = &WorkloadState> {
        self.workloads.iter().filter(|workload| workload.key.workload_kind().is_some_and(WorkloadKind::serves))
    }

    /// Whether every workload that can take traffic is scaled to zero, or there is none.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.serving_workloads().all(|workload| workload.replicas == 0)
    }

    /// Whether it is down, and no Job of it runs.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let runs = |workload: &&WorkloadState| workload.key.is_kind(WorkloadKind::Job) && workload.replicas > 0;
        self.is_down() && !self.workloads.iter().any(|workload| runs(&workload))
    }

    /// Whether the colour can take traffic at the time of the look.
    #[must_use]
    pub fn readiness(&self, at: Timestamp) -> Readiness {
        if self.is_down() {
            return Readiness::Down;
        }
        if self.workloads.iter().all(|workload| workload.rolled_out) {
            return Readiness::Ready;
        }
        if let Some((who, trouble)) = self.troubles().find(|(_, trouble)| trouble.is_hopeless(at)) {
            return Readiness::Hopeless { who, trouble: trouble.clone() };
        }
        let trouble = self.troubles().next().map(|(who, trouble)| (who, trouble.clone()));
        Readiness::NotYet { ready: self.ready(), wanted: self.wanted(), trouble }
    }

    /// Ready pods, of the workloads that can take traffic.
    #[must_use]
    pub fn ready(&self) -> u32 {
        self.serving_workloads().map(|workload| workload.ready).sum()
    }

    /// Wanted pods, of the workloads that can take traffic.
    #[must_use]
    pub fn wanted(&self) -> u32 {
        self.serving_workloads().map(|workload| workload.replicas).sum()
    }

    /// Everybody in trouble: workloads that get no pods first, because other workloads' pods may wait for theirs; then
    /// pods, then a Job that has failed; at last those that only say that they are not ready.
    pub fn troubles(&self) -> impl Iterator<Item = (String, &Trouble)> {
        let pods = self.workloads.iter().flat_map(|workload| &workload.pods);
        let pods = pods.filter_map(|pod| Some((format!("pod {}", pod.name), pod.trouble.as_ref()?)));
        let workloads = self.workloads.iter().filter_map(|workload| {
            Some((format!("{} {}", workload.key.kind, workload.key.name), workload.trouble.as_ref()?))
        });
        let (refused, failed): (Vec<_>, Vec<_>) =
            workloads.partition(|(_, trouble)| trouble.reason == TroubleReason::FailedCreate);
        let (vague, telling): (Vec<_>, Vec<_>) = pods.chain(failed).partition(|(_, trouble)| trouble.reason.is_vague());
        refused.into_iter().chain(telling).chain(vague)
    }

    /// When the last of the ready pods became so, by the cluster's clock.
    #[must_use]
    pub fn ready_since(&self) -> Option<Timestamp> {
        self.pods().filter(|pod| pod.ready).filter_map(|pod| pod.ready_since).max()
    }

    /// The ready pods of all workloads that can take traffic: uids.
    #[must_use]
    pub fn ready_pods(&self) -> BTreeSet<String> {
        self.pods().filter(|pod| pod.ready).map(|pod| pod.uid.clone()).collect()
    }

    /// The ready pods as `uid/restarts`, what a check's passes are bound to.
    #[must_use]
    pub fn pod_identities(&self) -> BTreeSet<String> {
        self.pods().filter(|pod| pod.ready).map(|pod| format!("{}/{}", pod.uid, pod.restarts)).collect()
    }

    fn pods(&self) -> impl Iterator<Item = &PodState> {
        self.serving_workloads().flat_map(|workload| &workload.pods)
    }
}

/// A moment `span` after another; the far future where that is out of range.
#[must_use]
pub fn after(start: Timestamp, span: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(span).ok().and_then(|span| start.checked_add(span).ok()).unwrap_or(Timestamp::MAX)
}
