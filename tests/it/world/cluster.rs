//! The cluster of the world: workloads and their pods in two colours, Services with endpoints, other objects.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use turquoise::core::colour::{ByColour, Colour};
use turquoise::core::desired::Bounds;
use turquoise::core::ids::{Digest, ObjectKey};
use turquoise::core::observed::{FlipRecord, PodState, Record, Trouble};
use turquoise::core::trouble::TroubleReason;
use turquoise::core::workload::WorkloadKind;

use super::git::Content;

/// Content whose pods never pull their image.
pub(crate) const NEVER_PULLS: u32 = 9;
/// Content that fails every check before the flip.
pub(crate) const SMOKE_FAILS: u32 = 8;
/// Content that fails every check through the live address.
pub(crate) const WATCH_FAILS: u32 = 7;
/// Content whose pods run and never get ready.
pub(crate) const NEVER_READY: u32 = 6;
/// Content whose pods get ready, and crash soon after.
pub(crate) const CRASHES: u32 = 5;
/// Content whose Job fails, where there is one.
pub(crate) const MIGRATION_FAILS: u32 = 10;
/// Content whose pods run as the ServiceAccount `robot`.
pub(crate) const NEEDS_ACCOUNT: u32 = 3;
/// Content whose pods take [`SLOW_START_S`] longer to get ready.
pub(crate) const SLOW: u32 = 4;

const SLOW_START_S: i64 = 40;
/// How long the pods of [`CRASHES`] are ready.
const CRASH_AFTER_S: i64 = 2;

/// Whether content is of the kind that can be released.
pub(crate) fn is_healthy(content: Content) -> bool {
    ![NEVER_PULLS, SMOKE_FAILS, WATCH_FAILS, NEVER_READY, CRASHES, MIGRATION_FAILS].contains(&content.base)
}

/// How the world behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Pace {
    /// How long a pod takes to get ready.
    pub(crate) start_s: i64,
    /// How long EndpointSlices lag behind the pods.
    pub(crate) endpoints_s: i64,
    /// How long a check takes.
    pub(crate) check_s: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) uid: u64,
    pub(crate) born_s: i64,
    pub(crate) content: Content,
    /// The image was gone from the registry when it started.
    pub(crate) rotten: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) key: ObjectKey,
    pub(crate) version: u64,
    pub(crate) content: Content,
    pub(crate) replicas: u32,
    pub(crate) applied_replicas: u32,
    /// A Job or a CronJob that turquoise holds.
    pub(crate) parked: bool,
    /// When a Job began.
    pub(crate) born_s: i64,
    pub(crate) record: Option<Record>,
    pub(crate) pods: Vec<Pod>,
    /// When its controller has seen what was written last, annotations too: until then it is not rolled out.
    pub(crate) seen_s: i64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Objects {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) configs: BTreeSet<ObjectKey>,
    /// Autoscalers, with the bounds that were applied and the resource version.
    pub(crate) autoscalers: BTreeMap<ObjectKey, (Bounds, u64)>,
    pub(crate) inventory: BTreeSet<ObjectKey>,
}

#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) preview: bool,
    pub(crate) version: u64,
    pub(crate) selects: Option<String>,
    pub(crate) flip: Option<FlipRecord>,
    /// What it says was applied for the live overlay.
    pub(crate) inventory: Option<BTreeSet<ObjectKey>>,
    pub(crate) endpoints: BTreeSet<u64>,
    /// When the endpoints follow the pods.
    pub(crate) due_s: Option<i64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) pace: Pace,
    pub(crate) services: Vec<Service>,
    pub(crate) colours: ByColour<Objects>,
    pub(crate) overlay: BTreeMap<ObjectKey, Digest>,
    /// Objects that a person made after the image of one of turquoise's, labels and all.
    pub(crate) copied: BTreeSet<ObjectKey>,
    /// Images of 1 and 2 cannot be pulled any more.
    pub(crate) rotten: bool,
    /// What the checks through the live address depend on is down.
    pub(crate) outage: bool,
    /// EndpointSlices of this Service stay as they are.
    pub(crate) stuck: Option<&'static str>,
    /// How many pods were ever started.
    pub(crate) pods_started: usize,
    counter: u64,
}

impl Pace {
    /// How long a controller takes to see what was written: one that is late with EndpointSlices is late with this, too.
    pub(crate) fn status_s(self) -> i64 {
        self.endpoints_s / 4
    }
}

impl Pod {
    /// When its readiness changes next.
    fn turns(&self, pace: Pace, now_s: i64) -> Option<i64> {
        let ready_s = self.ready_s(pace)?;
        let crash_s = (self.content.base == CRASHES).then_some(ready_s + CRASH_AFTER_S);
        [Some(ready_s), crash_s].into_iter().flatten().find(|at| *at > now_s)
    }

    fn ready_s(&self, pace: Pace) -> Option<i64> {
        let slow = if self.content.base == SLOW { SLOW_START_S } else { 0 };
        let never = self.rotten || [NEVER_PULLS, NEVER_READY].contains(&self.content.base);
        (!never).then_some(self.born_s + pace.start_s + slow)
    }

    fn crashed(&self, pace: Pace, now_s: i64) -> bool {
        self.content.base == CRASHES && self.ready_s(pace).is_some_and(|at| now_s >= at + CRASH_AFTER_S)
    }

    pub(crate) fn is_ready(&self, pace: Pace, now_s: i64) -> bool {
        self.ready_s(pace).is_some_and(|at| now_s >= at) && !self.crashed(pace, now_s)
    }

    pub(crate) fn state(&self, name: String, pace: Pace, now_s: i64) -> PodState {
        let trouble = |reason, words: &str, hopeless: bool| Trouble {
            reason,
            words: words.into(),
            hopeless_from: hopeless.then_some(Timestamp::MIN),
        };
        let crashed = self.crashed(pace, now_s);
        let trouble = if self.rotten || self.content.base == NEVER_PULLS {
            Some(trouble(TroubleReason::ImagePullBackOff, &format!("shop:{} not found", self.content.base), true))
        } else if crashed {
            Some(trouble(TroubleReason::CrashLoop, "exit code 1", false))
        } else {
            None
        };
        let ready = self.is_ready(pace, now_s);
        PodState {
            uid: uid(self.uid),
            name,
            ready,
            ready_since: self.ready_s(pace).filter(|_| ready).map(moment),
            restarts: u32::from(crashed),
            trouble,
        }
    }
}

/// A pod's uid as the API spells it.
pub(crate) fn uid(number: u64) -> String {
    format!("u{number}")
}

impl Workload {
    pub(crate) fn is_kind(&self, kind: WorkloadKind) -> bool {
        self.key.is_kind(kind)
    }

    /// Whether it has pods that answer.
    pub(crate) fn serves(&self) -> bool {
        self.key.workload_kind().is_some_and(WorkloadKind::serves)
    }

    /// When a Job ends, well or badly.
    fn ends_s(&self, pace: Pace) -> Option<i64> {
        (self.is_kind(WorkloadKind::Job) && !self.parked).then_some(self.born_s + pace.start_s)
    }

    pub(crate) fn has_ended(&self, pace: Pace, now_s: i64) -> bool {
        self.ends_s(pace).is_some_and(|at| now_s >= at)
    }

    /// What a Job says once it has failed.
    pub(crate) fn trouble(&self, pace: Pace, now_s: i64) -> Option<Trouble> {
        let failed = self.has_ended(pace, now_s) && self.content.base == MIGRATION_FAILS;
        failed.then(|| Trouble {
            reason: TroubleReason::of("BackoffLimitExceeded"),
            words: "no such table".into(),
            hopeless_from: Some(Timestamp::MIN),
        })
    }

    pub(crate) fn ready(&self, pace: Pace, now_s: i64) -> usize {
        self.pods.iter().filter(|pod| pod.is_ready(pace, now_s)).count()
    }

    pub(crate) fn is_rolled_out(&self, pace: Pace, now_s: i64) -> bool {
        match self.key.workload_kind() {
            Some(WorkloadKind::Job) => self.has_ended(pace, now_s) && self.trouble(pace, now_s).is_none(),
            Some(WorkloadKind::CronJob) => true,
            Some(WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::DaemonSet) | None => {
                now_s >= self.seen_s && self.ready(pace, now_s) == self.replicas as usize
            }
        }
    }
}

impl Objects {
    /// The content that every workload carries.
    pub(crate) fn content(&self) -> Option<Content> {
        let first = self.workloads.first()?.content;
        self.workloads.iter().all(|workload| workload.content == first).then_some(first)
    }

    pub(crate) fn is_ready(&self, pace: Pace, now_s: i64) -> bool {
        let up = |workload: &Workload| workload.replicas > 0 || !workload.serves();
        self.workloads.iter().any(Workload::serves)
            && self.workloads.iter().all(|workload| up(workload) && workload.is_rolled_out(pace, now_s))
    }

    pub(crate) fn ready_pods(&self, pace: Pace, now_s: i64) -> BTreeSet<u64> {
        let pods = self.workloads.iter().flat_map(|workload| &workload.pods);
        pods.filter(|pod| pod.is_ready(pace, now_s)).map(|pod| pod.uid).collect()
    }

    pub(crate) fn replicas(&self) -> u32 {
        self.workloads.iter().filter(|workload| workload.serves()).map(|workload| workload.replicas).sum()
    }

    /// CronJobs that are not suspended.
    pub(crate) fn schedules(&self) -> impl Iterator<Item = &Workload> {
        self.workloads.iter().filter(|workload| workload.is_kind(WorkloadKind::CronJob) && workload.replicas > 0)
    }

    /// What all workloads agree on. A write that was cut off in the middle leaves them in two minds: about what they
    /// carry, then nothing is known; about the rest, then the weaker claim counts.
    pub(crate) fn record(&self) -> Option<Record> {
        let mut records = self.workloads.iter().map(|workload| workload.record.clone());
        let mut agreed = records.next()??;
        for record in records {
            let record = record?;
            if record.revision != agreed.revision || record.deployed_at != agreed.deployed_at {
                return None;
            }
            if record.attempt != agreed.attempt {
                agreed.attempt.clear();
            }
            agreed.started_at = agreed.started_at.max(record.started_at);
            agreed.endpoints_since = agreed.endpoints_since.zip(record.endpoints_since).map(|(a, b)| a.max(b));
            agreed.in_use &= record.in_use;
            agreed.superseded.extend(record.superseded);
        }
        Some(agreed)
    }
}

impl Cluster {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            pace,
            services: Vec::new(),
            colours: ByColour::default(),
            overlay: BTreeMap::new(),
            copied: BTreeSet::new(),
            rotten: false,
            outage: false,
            stuck: None,
            pods_started: 0,
            counter: 0,
        }
    }

    /// A fresh resource version or uid.
    pub(crate) fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|service| !service.preview)
    }

    /// The colour that every live Service selects.
    pub(crate) fn serving(&self) -> Option<Colour> {
        let mut colours = self.live().map(|service| service.selects.as_deref().and_then(|text| text.parse().ok()));
        let first = colours.next()??;
        colours.all(|colour| colour == Some(first)).then_some(first)
    }

    /// Whether any live Service selects a colour.
    pub(crate) fn is_served(&self, colour: Colour) -> bool {
        self.live().any(|service| service.selects.as_deref() == Some(colour.as_str()))
    }

    pub(crate) fn service(&mut self, name: &str) -> Option<&mut Service> {
        self.services.iter_mut().find(|service| service.name == name)
    }

    /// What the Services say was applied for the live overlay; `None` where none says anything.
    pub(crate) fn live_inventory(&self) -> Option<BTreeSet<ObjectKey>> {
        let held: Vec<_> = self.services.iter().filter_map(|service| service.inventory.as_ref()).collect();
        (!held.is_empty()).then(|| held.into_iter().flatten().cloned().collect())
    }

    /// The ready pods that a selector's value matches.
    pub(crate) fn selected(&self, selects: Option<&str>, now_s: i64) -> BTreeSet<u64> {
        let colour: Option<Colour> = selects.and_then(|text| text.parse().ok());
        colour.map(|colour| self.colours[colour].ready_pods(self.pace, now_s)).unwrap_or_default()
    }

    /// Gives a workload the pods that its spec asks for: fresh ones if the content changed, else as many more or fewer.
    pub(crate) fn settle_pods(&mut self, colour: Colour, index: usize, replaced: bool, now_s: i64) {
        if !self.colours[colour].workloads[index].serves() {
            return;
        }
        let (content, replicas) = {
            let workload = &mut self.colours[colour].workloads[index];
            if replaced {
                workload.pods.clear();
            }
            workload.pods.truncate(workload.replicas as usize);
            (workload.content, workload.replicas as usize)
        };
        let rotten = self.rotten && [1, 2].contains(&content.base);
        while self.colours[colour].workloads[index].pods.len() < replicas {
            self.pods_started += 1;
            let pod = Pod { uid: self.next(), born_s: now_s, content, rotten };
            self.colours[colour].workloads[index].pods.push(pod);
        }
    }

    /// An autoscaler's write: the size of a colour's first workload that serves.
    pub(crate) fn autoscale(&mut self, colour: Colour, size: u32, now_s: i64) -> bool {
        let version = self.next();
        let workloads = &mut self.colours[colour].workloads;
        let Some(at) = workloads.iter().position(Workload::serves) else { return false };
        workloads[at].version = version;
        workloads[at].replicas = size;
        self.settle_pods(colour, at, false, now_s);
        true
    }

    /// Lets EndpointSlices follow the pods.
    pub(crate) fn tick(&mut self, now_s: i64) {
        let lag_s = self.pace.endpoints_s;
        for index in 0..self.services.len() {
            let selected = self.selected(self.services[index].selects.as_deref(), now_s);
            let service = &mut self.services[index];
            if service.endpoints == selected || self.stuck == Some(service.name.as_str()) {
                service.due_s = None;
                continue;
            }
            let due_s = *service.due_s.get_or_insert(now_s + lag_s);
            if now_s >= due_s {
                service.endpoints = selected;
                service.due_s = None;
            }
        }
    }

    /// When something in the cluster changes by itself next.
    pub(crate) fn next_change(&self, now_s: i64) -> Option<i64> {
        let workloads = self.colours.iter().flat_map(|(_, objects)| &objects.workloads);
        let pods = workloads.flat_map(|workload| &workload.pods);
        let turns = pods.filter_map(|pod| pod.turns(self.pace, now_s));
        let jobs = self.colours.iter().flat_map(|(_, objects)| &objects.workloads);
        let ends = jobs.filter_map(|job| job.ends_s(self.pace)).filter(|at| *at > now_s);
        let workloads = self.colours.iter().flat_map(|(_, objects)| &objects.workloads);
        let seen = workloads.map(|workload| workload.seen_s).filter(|at| *at > now_s);
        turns.chain(ends).chain(seen).chain(self.services.iter().filter_map(|service| service.due_s)).min()
    }
}

/// A second of the world as a timestamp.
pub(crate) fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("the world's time is in range")
}
