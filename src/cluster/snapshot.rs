//! One look at one app.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{try_join, try_join_all};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use serde_json::json;

use super::adopt;
use super::annotations as name;
use super::switch::is_astray;
use super::{Cluster, ClusterError, Subject, by_us, call, pods, record, states};
use crate::core::colour::{ByColour, Colour};
use crate::core::digest;
use crate::core::ids::{Digest, ObjectKey};
use crate::core::observed::{Foreign, Observed, ServiceState};
use crate::core::workload::WorkloadKind;

const SERVICE: (&str, &str) = ("v1", "Service");

/// Services and workloads are listed whole; the other kinds by their metadata alone.
fn is_whole(api_version: &str, kind: &str) -> bool {
    (api_version, kind) == SERVICE || WorkloadKind::of(api_version, kind).is_some()
}

/// One labelled object as far as its identity counts.
pub(super) struct Labelled {
    pub(super) key: ObjectKey,
    pub(super) colour: Option<Colour>,
    pub(super) meta: ObjectMeta,
    digest: Option<Digest>,
    face: Digest,
}

/// A workload as the API server has it.
pub(super) struct Workload {
    pub(super) key: ObjectKey,
    pub(super) kind: WorkloadKind,
    pub(super) object: DynamicObject,
}

impl Cluster {
    /// Looks at everything of one app.
    ///
    /// # Guarantees
    /// Secrets are neither read nor listed (I6).
    ///
    /// # Assumptions
    /// `at` was taken before the call: deadlines are judged by it, so a slow look never rejects anything. Checks, drift and
    /// what takes a render to know are filled in by the caller.
    ///
    /// # Errors
    /// Whatever the API server refuses or does not answer in time; a look is whole or not at all.
    pub async fn snapshot(&self, subject: &Subject, at: Timestamp) -> Result<Observed, ClusterError> {
        let ((mut workloads, services), (slices, mut labelled)) = try_join(
            try_join(self.workloads(subject, &subject.kinds), self.services(subject)),
            try_join(self.slices(subject), self.others(subject, &subject.kinds)),
        )
        .await?;
        // Kinds that HEAD renders no more, and that a colour still carries.
        let more = self.older_kinds(subject, &workloads, &services).await?;
        if !more.is_empty() {
            let (older, others) = try_join(self.workloads(subject, &more), self.others(subject, &more)).await?;
            workloads.extend(older);
            labelled.extend(others);
        }
        let pods = self.pods(subject, &workloads).await?;
        labelled.extend(workloads.iter().map(|one| labelled_as(&one.object.metadata, one.kind.gvk())));
        let ours = |service: &&Service| app_of(&service.metadata) == Some(subject.app.as_str());
        labelled.extend(services.iter().filter(ours).map(|one| labelled_as(&one.metadata, SERVICE)));
        let foreign = self.foreign(subject, &labelled, &workloads).await?;
        let names = || subject.live.iter().chain(&subject.previews);
        let states = services
            .iter()
            .filter(|service| service.metadata.name.as_ref().is_some_and(|name| names().any(|known| known == name)))
            .map(|service| service_state(subject, service, &slices, &pods))
            .collect();
        Ok(Observed {
            at,
            services: states,
            colours: ByColour::from_fn(|colour| states::colour(colour, &workloads, &pods, &labelled)),
            overlay: labelled
                .iter()
                .filter(|one| one.colour.is_none())
                .filter_map(|one| Some((one.key.clone(), one.digest.clone()?)))
                .collect(),
            live_inventory: live_inventory(subject, &services),
            foreign,
            faces: labelled.into_iter().map(|one| (one.key, one.face)).collect(),
            stands_as_head: false,
            drift: Vec::new(),
            checks: Vec::new(),
            lost_at: None,
        })
    }

    /// The app's workloads, of those kinds among these that run pods.
    async fn workloads(&self, subject: &Subject, kinds: &Kinds) -> Result<Vec<Workload>, ClusterError> {
        let params = ListParams::default().labels(&app_selector(subject));
        let wanted = kinds.iter().filter_map(|(api_version, kind)| WorkloadKind::of(api_version, kind));
        let lists = wanted.map(|kind| {
            let params = &params;
            async move {
                let (api_version, name) = kind.gvk();
                let api = self.dynamic(&subject.namespace, api_version, name).await?;
                let list = call(&format!("list {name}s"), api.list(params)).await?;
                let key = |object: &DynamicObject| labelled_as(&object.metadata, kind.gvk()).key;
                Ok::<_, ClusterError>(
                    list.items
                        .into_iter()
                        .map(|object| Workload { key: key(&object), kind, object })
                        .collect::<Vec<_>>(),
                )
            }
        });
        Ok(try_join_all(lists).await?.into_iter().flatten().collect())
    }

    /// The app's Services, and those of the live overlay's names that are not labelled yet.
    async fn services(&self, subject: &Subject) -> Result<Vec<Service>, ClusterError> {
        let api = self.api::<Service>(&subject.namespace);
        let params = ListParams::default().labels(&app_selector(subject));
        let mut services = call("list Services", api.list(&params)).await?.items;
        for name in subject.live.iter().chain(&subject.previews) {
            if !services.iter().any(|service| service.metadata.name.as_deref() == Some(name)) {
                services.extend(call(&format!("get Service {name}"), api.get_opt(name)).await?);
            }
        }
        Ok(services)
    }

    async fn slices(&self, subject: &Subject) -> Result<Vec<EndpointSlice>, ClusterError> {
        let names: Vec<&str> = subject.live.iter().chain(&subject.previews).map(String::as_str).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name in ({})", names.join(",")));
        Ok(call("list EndpointSlices", self.api::<EndpointSlice>(&subject.namespace).list(&params)).await?.items)
    }

    /// Every other kind, by metadata.
    async fn others(&self, subject: &Subject, kinds: &Kinds) -> Result<Vec<Labelled>, ClusterError> {
        let params = ListParams::default().labels(&app_selector(subject));
        let lists = kinds
            .iter()
            .filter(|(api_version, kind)| !is_whole(api_version, kind) && (api_version != "v1" || kind != "Secret"))
            .map(|(api_version, kind)| {
                let params = &params;
                async move {
                    let api = self.dynamic(&subject.namespace, api_version, kind).await?;
                    let list = call(&format!("list {kind}"), api.list_metadata(params)).await?;
                    let labelled = |meta: &ObjectMeta| labelled_as(meta, (api_version, kind));
                    Ok::<_, ClusterError>(list.items.iter().map(|one| labelled(&one.metadata)).collect::<Vec<_>>())
                }
            });
        Ok(try_join_all(lists).await?.into_iter().flatten().collect())
    }

    /// The pods of both colours: one list by the selector's key, and one more for each workload whose pods lack it. The pods
    /// of a CronJob's Jobs are nobody's business here.
    async fn pods(&self, subject: &Subject, workloads: &[Workload]) -> Result<Vec<Pod>, ClusterError> {
        let api = self.api::<Pod>(&subject.namespace);
        let both = format!("{} in ({},{})", subject.key, Colour::Blue, Colour::Green);
        let mut selectors: BTreeSet<String> = BTreeSet::new();
        for workload in workloads.iter().filter(|workload| workload.kind != WorkloadKind::CronJob) {
            if states::makes_pods_with(workload, &subject.key) {
                selectors.insert(both.clone());
            } else {
                let labels = states::match_labels(workload);
                let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                selectors.insert(labels.join(","));
            }
        }
        let lists = selectors.into_iter().filter(|selector| !selector.is_empty()).map(|selector| {
            let api = api.clone();
            async move { call("list Pods", api.list(&ListParams::default().labels(&selector))).await }
        });
        let mut pods: Vec<Pod> = try_join_all(lists).await?.into_iter().flat_map(|list| list.items).collect();
        pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        pods.dedup_by(|a, b| a.metadata.uid == b.metadata.uid);
        Ok(pods)
    }

    /// Objects that the renders name, that exist, and that are not labelled as the app's.
    async fn foreign(
        &self,
        subject: &Subject,
        labelled: &[Labelled],
        workloads: &[Workload],
    ) -> Result<BTreeMap<ObjectKey, Foreign>, ClusterError> {
        let mut ours: BTreeSet<ObjectKey> = labelled.iter().map(|one| one.key.clone()).collect();
        // Secrets are never listed: those that were applied once are in the inventory.
        for workload in workloads {
            ours.extend(workload.object.metadata.annotations.iter().flat_map(record::inventory));
        }
        let missing = subject.expected.iter().filter(|key| !ours.contains(key));
        let looks = missing.map(|key| async move {
            let found = self.metadata_of(subject, key).await?;
            // Created by ourselves between the list and this look, it is labelled by now.
            let foreign = found.filter(|meta| app_of(meta) != Some(subject.app.as_str()));
            Ok::<_, ClusterError>(foreign.map(|meta| (key.clone(), adopt::foreign(&meta))))
        });
        Ok(try_join_all(looks).await?.into_iter().flatten().collect())
    }

    /// Kinds of objects that were applied once and that HEAD does not render. A kind that the cluster does not serve any more
    /// has no objects.
    async fn older_kinds(
        &self,
        subject: &Subject,
        workloads: &[Workload],
        services: &[Service],
    ) -> Result<Kinds, ClusterError> {
        let inventories = workloads.iter().filter_map(|workload| workload.object.metadata.annotations.as_ref());
        let keys =
            inventories.flat_map(record::inventory).chain(live_inventory(subject, services).into_iter().flatten());
        let kinds = keys.filter(|key| !key.is_secret()).map(|key| (key.api_version, key.kind));
        let mut older: Kinds = kinds.filter(|kind| !subject.kinds.contains(kind)).collect();
        for (api_version, kind) in older.clone() {
            match self.kinds.resource(&self.client, &api_version, &kind).await {
                Ok(_) => {}
                Err(ClusterError::Refused { code: 404, .. }) => drop(older.remove(&(api_version, kind))),
                Err(error) => return Err(error),
            }
        }
        Ok(older)
    }

    /// An object's metadata; of a Secret by a patch of nothing that is not carried out, because reading Secrets is a right
    /// that turquoise does not have (I6).
    pub(super) async fn metadata_of(
        &self,
        subject: &Subject,
        key: &ObjectKey,
    ) -> Result<Option<ObjectMeta>, ClusterError> {
        let api = self.dynamic(&subject.namespace, &key.api_version, &key.kind).await?;
        if !key.is_secret() {
            let found = call(&format!("get {key}"), api.get_metadata_opt(&key.name)).await?;
            return Ok(found.map(|object| object.metadata));
        }
        let params = PatchParams { dry_run: true, ..by_us() };
        let nothing = Patch::Merge(json!({}));
        match call(&format!("look at {key}"), api.patch_metadata(&key.name, &params, &nothing)).await {
            Ok(object) => Ok(Some(object.metadata)),
            Err(ClusterError::Refused { code: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

type Kinds = BTreeSet<(String, String)>;

/// What the Services of the live overlay say was applied for it; `None` where none of them says anything.
fn live_inventory(subject: &Subject, services: &[Service]) -> Option<BTreeSet<ObjectKey>> {
    let ours = services.iter().filter(|service| app_of(&service.metadata) == Some(subject.app.as_str()));
    let live = ours.filter(|service| label(&service.metadata, name::PART) == Some(name::PART_LIVE));
    let annotations = live.filter_map(|service| service.metadata.annotations.as_ref());
    let held: Vec<_> = annotations.filter(|all| all.contains_key(name::INVENTORY)).map(record::inventory).collect();
    (!held.is_empty()).then(|| held.into_iter().flatten().collect())
}

fn app_selector(subject: &Subject) -> String {
    format!("{}={}", name::APP, subject.app)
}

pub(super) fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

pub(super) fn app_of(meta: &ObjectMeta) -> Option<&str> {
    label(meta, name::APP)
}

fn labelled_as(meta: &ObjectMeta, (api_version, kind): (&str, &str)) -> Labelled {
    Labelled {
        key: ObjectKey {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: None,
            name: meta.name.clone().unwrap_or_default(),
        },
        colour: label(meta, name::COLOUR).and_then(|text| text.parse().ok()),
        digest: meta.annotations.as_ref().and_then(|all| all.get(name::DIGEST)).map(Digest::new),
        face: face(meta),
        meta: meta.clone(),
    }
}

/// What tells that an object was changed. A generation moves with the spec alone, so a rollout's many statuses change no
/// face; objects that have none rarely have a status.
fn face(meta: &ObjectMeta) -> Digest {
    digest::of_json(&match meta.generation {
        Some(generation) => json!([meta.uid, generation, meta.labels, meta.annotations]),
        None => json!([meta.uid, meta.resource_version]),
    })
}

/// Whether a selector's labels are all on an object. An empty selector matches nothing, as for Services.
pub(super) fn matches(selector: &BTreeMap<String, String>, meta: &ObjectMeta) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| label(meta, key) == Some(value))
}

fn service_state(subject: &Subject, service: &Service, slices: &[EndpointSlice], pods: &[Pod]) -> ServiceState {
    let service_name = service.metadata.name.clone().unwrap_or_default();
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
    let of_service =
        |slice: &&EndpointSlice| label(&slice.metadata, "kubernetes.io/service-name") == Some(service_name.as_str());
    let endpoints = slices
        .iter()
        .filter(of_service)
        .flat_map(|slice| &slice.endpoints)
        // Ready may be absent and then counts as true; a terminating one is not for new connections.
        .filter(|endpoint| endpoint.conditions.as_ref().is_none_or(|state| state.ready.unwrap_or(true)))
        .filter_map(|endpoint| endpoint.target_ref.as_ref()?.uid.clone())
        .collect();
    let selected = pods
        .iter()
        .filter(|pod| pods::is_ready(pod) && matches(&selector, &pod.metadata))
        .filter_map(|pod| pod.metadata.uid.clone())
        .collect();
    // Compared only where HEAD's form is what was applied last: another form waits for its flip.
    let applied = service.metadata.annotations.as_ref().and_then(|all| all.get(name::DIGEST));
    let astray = subject.overlay.iter().any(|(one, rendered)| {
        one.key.kind == "Service"
            && one.key.name == service_name
            && applied.map(String::as_str) == Some(one.digest.as_str())
            && is_astray(service, rendered, &subject.key)
    });
    ServiceState {
        preview: subject.previews.contains(&service_name),
        name: service_name,
        resource_version: service.metadata.resource_version.clone().unwrap_or_default(),
        selects: selector.get(&subject.key).cloned(),
        selector,
        endpoints,
        selected,
        flip: service.metadata.annotations.as_ref().and_then(record::flip_from_annotations),
        astray,
    }
}
