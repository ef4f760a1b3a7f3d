//! One look at one app.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{try_join, try_join_all};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use super::adopt;
use super::annotations as name;
use super::switch::is_astray;
use super::{Cluster, ClusterError, MANAGER, Subject, call, call_opt, pods, record};
use crate::core::colour::{ByColour, Colour};
use crate::core::digest;
use crate::core::ids::{Digest, ObjectKey};
use crate::core::observed::{ColourState, Foreign, Observed, Record, ServiceState, WorkloadState};

/// Kinds that are listed as typed objects; the others by their metadata alone.
const TYPED: [(&str, &str); 2] = [("apps/v1", "Deployment"), ("v1", "Service")];

/// One labelled object as far as its identity counts.
struct Labelled {
    key: ObjectKey,
    colour: Option<Colour>,
    digest: Option<Digest>,
    face: Digest,
}

impl Cluster {
    /// Looks at everything of one app.
    ///
    /// # Guarantees
    /// `at` must have been taken before the call: deadlines are judged by it, so a slow look never rejects anything.
    /// Secrets are neither read nor listed (I6). Checks are not filled in.
    ///
    /// # Errors
    /// Whatever the API server refuses or does not answer in time; a look is whole or not at all.
    pub async fn snapshot(&self, subject: &Subject, at: Timestamp) -> Result<Observed, ClusterError> {
        let ((deployments, services), (slices, others)) = try_join(
            try_join(self.deployments(subject), self.services(subject)),
            try_join(self.slices(subject), self.others(subject)),
        )
        .await?;
        let pods = self.pods(subject, &deployments).await?;
        let mut labelled: Vec<Labelled> = others;
        labelled.extend(deployments.iter().map(|one| labelled_as(&one.metadata, TYPED[0])));
        let ours = |service: &&Service| app_of(&service.metadata) == Some(subject.app.as_str());
        labelled.extend(services.iter().filter(ours).map(|one| labelled_as(&one.metadata, TYPED[1])));
        let foreign = self.foreign(subject, &labelled, &deployments).await?;
        let names = || subject.live.iter().chain(&subject.previews);
        let states = services
            .iter()
            .filter(|service| service.metadata.name.as_ref().is_some_and(|name| names().any(|known| known == name)))
            .map(|service| service_state(subject, service, &slices, &pods))
            .collect();
        Ok(Observed {
            at,
            services: states,
            colours: ByColour::from_fn(|colour| colour_state(colour, &deployments, &pods, &labelled)),
            overlay: labelled
                .iter()
                .filter(|one| one.colour.is_none())
                .filter_map(|one| Some((one.key.clone(), one.digest.clone()?)))
                .collect(),
            foreign,
            faces: labelled.into_iter().map(|one| (one.key, one.face)).collect(),
            stands_as_head: false,
            drift: Vec::new(),
            checks: Vec::new(),
        })
    }

    async fn deployments(&self, subject: &Subject) -> Result<Vec<Deployment>, ClusterError> {
        let params = ListParams::default().labels(&app_selector(subject));
        Ok(call("list Deployments", self.api::<Deployment>(&subject.namespace).list(&params)).await?.items)
    }

    /// The app's Services, and those of the live overlay's names that are not labelled yet.
    async fn services(&self, subject: &Subject) -> Result<Vec<Service>, ClusterError> {
        let api = self.api::<Service>(&subject.namespace);
        let params = ListParams::default().labels(&app_selector(subject));
        let mut services = call("list Services", api.list(&params)).await?.items;
        for name in subject.live.iter().chain(&subject.previews) {
            if !services.iter().any(|service| service.metadata.name.as_deref() == Some(name)) {
                services.extend(call_opt(&format!("get Service {name}"), api.get_opt(name)).await?);
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
    async fn others(&self, subject: &Subject) -> Result<Vec<Labelled>, ClusterError> {
        let params = ListParams::default().labels(&app_selector(subject));
        let lists = subject
            .kinds
            .iter()
            .filter(|(api_version, kind)| {
                !TYPED.contains(&(api_version.as_str(), kind.as_str())) && (api_version != "v1" || kind != "Secret")
            })
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

    /// The pods of both colours: one list by the selector's key, and one more for each workload whose pods lack it.
    async fn pods(&self, subject: &Subject, deployments: &[Deployment]) -> Result<Vec<Pod>, ClusterError> {
        let api = self.api::<Pod>(&subject.namespace);
        let both = format!("{} in ({},{})", subject.key, Colour::Blue, Colour::Green);
        let keyed = |deployment: &&Deployment| match_labels(deployment).contains_key(&subject.key);
        let mut selectors: BTreeSet<String> = BTreeSet::new();
        for deployment in deployments {
            if keyed(&deployment) {
                selectors.insert(both.clone());
            } else {
                let labels: Vec<String> = match_labels(deployment).iter().map(|(k, v)| format!("{k}={v}")).collect();
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
        deployments: &[Deployment],
    ) -> Result<BTreeMap<ObjectKey, Foreign>, ClusterError> {
        let mut ours: BTreeSet<ObjectKey> = labelled.iter().map(|one| one.key.clone()).collect();
        // Secrets are never listed: those that were applied once are in the inventory.
        for deployment in deployments {
            ours.extend(deployment.metadata.annotations.iter().flat_map(record::inventory));
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

    /// An object's metadata; of a Secret by a patch of nothing that is not carried out, because reading Secrets is a right
    /// that turquoise does not have (I6).
    pub(super) async fn metadata_of(
        &self,
        subject: &Subject,
        key: &ObjectKey,
    ) -> Result<Option<ObjectMeta>, ClusterError> {
        let api = self.dynamic(&subject.namespace, &key.api_version, &key.kind).await?;
        if !key.is_secret() {
            let found = call_opt(&format!("get {key}"), api.get_metadata_opt(&key.name)).await?;
            return Ok(found.map(|object| object.metadata));
        }
        let params = PatchParams { dry_run: true, field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let nothing = Patch::Merge(json!({}));
        match call(&format!("look at {key}"), api.patch_metadata(&key.name, &params, &nothing)).await {
            Ok(object) => Ok(Some(object.metadata)),
            Err(ClusterError::Refused { code: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn app_selector(subject: &Subject) -> String {
    format!("{}={}", name::APP, subject.app)
}

fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

fn app_of(meta: &ObjectMeta) -> Option<&str> {
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

fn match_labels(deployment: &Deployment) -> BTreeMap<String, String> {
    deployment.spec.as_ref().and_then(|spec| spec.selector.match_labels.clone()).unwrap_or_default()
}

/// Whether a selector's labels are all on an object. An empty selector matches nothing, as for Services.
fn matches(selector: &BTreeMap<String, String>, meta: &ObjectMeta) -> bool {
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
        endpoints,
        selected,
        flip: service.metadata.annotations.as_ref().and_then(record::flip_from_annotations),
        astray,
    }
}

fn colour_state(colour: Colour, deployments: &[Deployment], pods: &[Pod], labelled: &[Labelled]) -> ColourState {
    let own: Vec<&Deployment> = deployments
        .iter()
        .filter(|deployment| label(&deployment.metadata, name::COLOUR) == Some(colour.as_str()))
        .collect();
    let empty = BTreeMap::new();
    let annotations = |deployment: &&Deployment| deployment.metadata.annotations.clone().unwrap_or_default();
    let records: Vec<Option<Record>> = own
        .iter()
        .map(|deployment| {
            let annotations = deployment.metadata.annotations.as_ref().unwrap_or(&empty);
            let in_use = annotations.get(name::IN_USE).is_some_and(|mark| *mark == template_digest(deployment));
            record::from_annotations(annotations, in_use)
        })
        .collect();
    let agreed = record::agreed(records.iter().cloned());
    ColourState {
        torn: if agreed.is_none() { record::revisions(records.into_iter().flatten()) } else { BTreeSet::new() },
        record: agreed,
        workloads: own.iter().map(|deployment| workload_state(deployment, pods)).collect(),
        present: labelled.iter().filter(|one| one.colour == Some(colour)).map(|one| one.key.clone()).collect(),
        inventory: own.iter().flat_map(|deployment| record::inventory(&annotations(deployment))).collect(),
    }
}

/// The digest of a workload's pod template as the API server has it: who edits it later is found out.
pub(super) fn template_digest(deployment: &Deployment) -> String {
    let template = deployment.spec.as_ref().map(|spec| &spec.template);
    digest::of_json(&serde_json::to_value(template).unwrap_or_default()).to_string()
}

fn workload_state(deployment: &Deployment, pods: &[Pod]) -> WorkloadState {
    let meta = &deployment.metadata;
    let count = |number: Option<i32>| u32::try_from(number.unwrap_or(0)).unwrap_or(0);
    let replicas = count(deployment.spec.as_ref().and_then(|spec| spec.replicas));
    let status = deployment.status.clone().unwrap_or_default();
    let selector = match_labels(deployment);
    let current = status.observed_generation == meta.generation;
    let own = pods.iter().filter(|pod| matches(&selector, &pod.metadata) && !pods::is_terminating(pod));
    let all = [status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas];
    WorkloadState {
        key: labelled_as(meta, TYPED[0]).key,
        resource_version: meta.resource_version.clone().unwrap_or_default(),
        replicas,
        applied_replicas: meta.annotations.as_ref().and_then(|all| all.get(name::REPLICAS)?.parse().ok()),
        rolled_out: current && all.iter().all(|&number| count(number) == replicas),
        ready: count(status.ready_replicas),
        pods: pods::states(own, current),
        trouble: pods::refused(deployment).filter(|_| current),
    }
}
