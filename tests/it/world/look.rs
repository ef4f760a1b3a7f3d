//! What a look at the world says: `Desired` as a source would derive it from git, `Observed` as a cluster would.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use turquoise::core::colour::{ByColour, Colour};
use turquoise::core::desired::{
    AutoscalerSpec, Bounds, Declared, Desired, Overlay, OverlayObject, Render, Role, SelectorChange, WorkloadSpec,
};
use turquoise::core::ids::{AppName, CommitId, Digest, ObjectKey};
use turquoise::core::observed::{AutoscalerState, CheckState, ColourState, Observed, ServiceState, WorkloadState};
use turquoise::core::references::Reference;
use turquoise::core::workload::WorkloadKind;

use super::cluster::{Cluster, NEEDS_ACCOUNT, moment, uid};
use super::git::{Author, BRANCH, Git, Tree, id, index};
use super::{Setup, World};

fn key(api_version: &str, kind: &str, name: String) -> ObjectKey {
    ObjectKey { api_version: api_version.into(), kind: kind.into(), namespace: None, name }
}

/// The workloads of one tier, of two, or of every kind of size, without their colour.
fn workload_names(setup: &Setup) -> &'static [(WorkloadKind, &'static str)] {
    match setup.tiers {
        1 => &[(WorkloadKind::Deployment, "web")],
        2 => &[(WorkloadKind::Deployment, "web"), (WorkloadKind::Deployment, "api")],
        _ => &[(WorkloadKind::Job, "migrate"), (WorkloadKind::Deployment, "web"), (WorkloadKind::CronJob, "night")],
    }
}

/// No autoscaler of the world goes further.
const SIZE_MAX: u32 = 20;

/// The autoscaler of the first tier, where there is one.
fn autoscalers(setup: &Setup, tree: &Tree, colour: Colour) -> Vec<AutoscalerSpec> {
    if setup.tiers < 3 {
        return Vec::new();
    }
    vec![AutoscalerSpec {
        key: key("autoscaling/v2", "HorizontalPodAutoscaler", format!("web-{colour}")),
        target: ("Deployment".into(), format!("web-{colour}")),
        bounds: Bounds { min: tree.size, max: SIZE_MAX },
    }]
}

/// The live Services.
pub(crate) fn live_names(setup: &Setup) -> &'static [&'static str] {
    if setup.live_services == 1 { &["shop"] } else { &["shop", "admin"] }
}

pub(crate) const PREVIEW: &str = "shop-preview";

/// The ServiceAccount that some content needs.
pub(crate) fn account() -> ObjectKey {
    key("v1", "ServiceAccount", "robot".into())
}

/// The second Ingress.
pub(crate) fn door() -> ObjectKey {
    key("networking.k8s.io/v1", "Ingress", "door".into())
}

/// What a person makes of the first one, labels and all.
pub(crate) fn copied() -> ObjectKey {
    key("networking.k8s.io/v1", "Ingress", "copied".into())
}

/// What a Service of the app selects, and a pod of it has.
fn labels(colour: Option<&str>) -> BTreeMap<String, String> {
    let labels = [Some(("app", "shop")), colour.map(|colour| ("colour", colour))];
    labels.into_iter().flatten().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// One colour rendered from a tree.
pub(crate) fn render(setup: &Setup, tree: &Tree, colour: Colour) -> Render {
    let content = tree.content(colour);
    let workloads: Vec<WorkloadSpec> = workload_names(setup)
        .iter()
        .map(|(kind, name)| WorkloadSpec {
            key: key(kind.gvk().0, kind.gvk().1, format!("{name}-{colour}")),
            replicas: match kind {
                WorkloadKind::Deployment if setup.tiers > 2 => None,
                WorkloadKind::Deployment | WorkloadKind::StatefulSet => Some(tree.size),
                WorkloadKind::DaemonSet | WorkloadKind::Job | WorkloadKind::CronJob => Some(1),
            },
            twin: (*name).to_owned(),
            labels: labels(Some(colour.as_str())),
        })
        .collect();
    let autoscalers = autoscalers(setup, tree, colour);
    let mut objects: BTreeSet<ObjectKey> = workloads.iter().map(|workload| workload.key.clone()).collect();
    objects.extend(autoscalers.iter().map(|scaler| scaler.key.clone()));
    objects.insert(key("v1", "ConfigMap", format!("settings-{colour}-{content}")));
    let refers = (content.base == NEEDS_ACCOUNT).then(|| Reference { kind: account().kind, name: account().name });
    Render {
        digest: Digest::new(format!("{colour}:{content}")),
        images: vec![format!("shop:{}", tree.base)],
        workloads,
        autoscalers,
        objects,
        refers: refers.into_iter().collect(),
    }
}

/// The live overlay rendered from a tree.
pub(crate) fn overlay(setup: &Setup, tree: &Tree) -> Overlay {
    let routing = Digest::new(format!("routing {}", tree.routing));
    let shared = Digest::new(format!("shared {}", tree.shared));
    let object = |key: ObjectKey, role, digest: &Digest| OverlayObject {
        key,
        role,
        digest: digest.clone(),
        refers: BTreeSet::new(),
    };
    let mut objects = vec![
        object(key("v1", "ServiceAccount", "shop".into()), Role::Shared, &shared),
        object(key("networking.k8s.io/v1", "Ingress", "shop".into()), Role::Routing, &routing),
        object(key("v1", "Service", PREVIEW.into()), Role::Preview, &Digest::new("preview")),
    ];
    objects.extend(tree.account.then(|| object(account(), Role::Shared, &Digest::new("account"))));
    objects.extend(tree.door.then(|| object(door(), Role::Routing, &Digest::new("door"))));
    let live = live_names(setup).iter().map(|name| key("v1", "Service", (*name).to_owned()));
    objects.extend(live.map(|key| object(key, Role::Live, &routing)));
    Overlay { objects }
}

impl World {
    /// What git says, given the revisions that the cluster was seen to carry.
    pub(crate) fn desired(&mut self, observed: &Observed) -> Desired {
        let head = self.git.head();
        let revision = self.git.revision();
        let pins = self.git.tree().lock.pins.iter().filter_map(|(_, pin)| pin.as_ref()).map(|pin| index(&pin.revision));
        let records = || observed.colours.iter().filter_map(|(_, state)| state.record.as_ref());
        let mut wanted: BTreeSet<usize> = [head, revision].into_iter().chain(pins).collect();
        wanted.extend(records().map(|record| index(&record.revision)));
        wanted.extend(observed.flip().map(|flip| index(&flip.revision)));
        let unchanged_since = records()
            .filter(|record| self.git.unchanged_since(index(&record.deployed_at)))
            .map(|record| record.deployed_at.clone())
            .collect();
        let tree = self.git.tree();
        let selector_change = self.git.selector_change().map(|at| {
            let commits = &self.git.commits;
            SelectorChange {
                commit: id(at),
                from_elsewhere: false,
                by_person: commits[at].author == Author::Person,
                left_lock_alone: tree.lock == commits[at - 1].tree.lock,
                holds_revision: revision <= at,
            }
        });
        let declared = match tree.declared() {
            Some(colour) => Declared::Colour(colour),
            None => Declared::Unknown(tree.selector.clone()),
        };
        let lock = tree.lock.clone();
        Desired {
            app: AppName::new("shop"),
            branch: BRANCH.into(),
            head: id(head),
            revision: id(revision),
            declared,
            lock_is_lost: lock.branch.is_empty(),
            own_lock: self.git.own_lock(),
            lock,
            verdicts: self.git.verdicts(),
            renders: wanted.iter().map(|at| (id(*at), self.renders.pair(&self.setup, &self.git, *at))).collect(),
            overlays: wanted.iter().map(|at| (id(*at), self.renders.overlay(&self.setup, &self.git, *at))).collect(),
            selector_change,
            rewritten: false,
            out_of_reach: false,
            unchanged_since,
        }
    }

    /// What the cluster says now.
    pub(crate) fn observed(&self) -> Observed {
        let checks = self.process.checks.iter();
        Observed {
            at: moment(self.now_s),
            services: services(&self.cluster, self.now_s),
            colours: ByColour::from_fn(|colour| colour_state(&self.cluster, colour, self.now_s)),
            overlay: self.cluster.overlay.clone(),
            live_inventory: self.cluster.live_inventory(),
            foreign: BTreeMap::new(),
            stands_as_head: false,
            faces: BTreeMap::new(),
            drift: Vec::new(),
            lost_at: self.process.lost_s.map(moment),
            checks: checks.map(|run| CheckState { key: run.key.clone(), outcome: run.outcome(self.now_s) }).collect(),
        }
    }
}

fn services(cluster: &Cluster, now_s: i64) -> Vec<ServiceState> {
    let state = |service: &super::cluster::Service| ServiceState {
        astray: false,
        name: service.name.clone(),
        preview: service.preview,
        resource_version: service.version.to_string(),
        selects: service.selects.clone(),
        selector: labels(service.selects.as_deref()),
        endpoints: service.endpoints.iter().map(|pod| uid(*pod)).collect(),
        selected: cluster.selected(service.selects.as_deref(), now_s).into_iter().map(uid).collect(),
        flip: service.flip.clone(),
    };
    cluster.services.iter().map(state).collect()
}

fn colour_state(cluster: &Cluster, colour: Colour, now_s: i64) -> ColourState {
    let objects = &cluster.colours[colour];
    let workloads: Vec<WorkloadState> = objects
        .workloads
        .iter()
        .map(|workload| {
            let name = |at: usize| format!("{}-{at}", workload.key.name);
            let pods = workload.pods.iter().enumerate();
            WorkloadState {
                key: workload.key.clone(),
                resource_version: workload.version.to_string(),
                revision: workload.record.as_ref().map(|record| record.revision.clone()),
                replicas: match workload.key.workload_kind() {
                    Some(WorkloadKind::Job) => u32::from(!workload.parked && !workload.has_ended(cluster.pace, now_s)),
                    _ => workload.replicas,
                },
                parked: workload.parked,
                trouble: workload.trouble(cluster.pace, now_s),
                applied_replicas: Some(workload.applied_replicas),
                rolled_out: workload.is_rolled_out(cluster.pace, now_s),
                ready: u32::try_from(workload.ready(cluster.pace, now_s)).unwrap_or(u32::MAX),
                pods: pods.map(|(at, pod)| pod.state(name(at), cluster.pace, now_s)).collect(),
            }
        })
        .collect();
    let mut present = objects.configs.clone();
    present.extend(objects.workloads.iter().map(|workload| workload.key.clone()));
    let record = objects.record();
    let records = objects.workloads.iter().filter_map(|workload| workload.record.as_ref());
    let torn = match record {
        Some(_) => BTreeSet::new(),
        None => records.flat_map(|record| record.superseded.iter().chain([&record.revision])).cloned().collect(),
    };
    let autoscalers = objects.autoscalers.iter().map(|(key, (bounds, version))| AutoscalerState {
        key: key.clone(),
        resource_version: version.to_string(),
        applied: Some(*bounds),
    });
    let autoscalers = autoscalers.collect();
    ColourState { record, torn, workloads, autoscalers, present, inventory: objects.inventory.clone() }
}

/// Renders that were made already: a commit never changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Renders {
    pairs: BTreeMap<usize, ByColour<Arc<Render>>>,
    overlays: BTreeMap<usize, Arc<Overlay>>,
}

impl Renders {
    fn pair(&mut self, setup: &Setup, git: &Git, at: usize) -> ByColour<Arc<Render>> {
        let tree = &git.commits[at].tree;
        let make = || ByColour::from_fn(|colour| Arc::new(render(setup, tree, colour)));
        self.pairs.entry(at).or_insert_with(make).clone()
    }

    fn overlay(&mut self, setup: &Setup, git: &Git, at: usize) -> Arc<Overlay> {
        let tree = &git.commits[at].tree;
        self.overlays.entry(at).or_insert_with(|| Arc::new(overlay(setup, tree))).clone()
    }

    /// One colour at one commit, for the executor.
    pub(crate) fn one(&mut self, setup: &Setup, git: &Git, commit: &CommitId, colour: Colour) -> Arc<Render> {
        Arc::clone(&self.pair(setup, git, index(commit))[colour])
    }

    /// The live overlay at one commit, for the executor.
    pub(crate) fn live(&mut self, setup: &Setup, git: &Git, commit: &CommitId) -> Arc<Overlay> {
        self.overlay(setup, git, index(commit))
    }
}
