//! Watches as triggers: they only say "look again", and whose objects it is about.

use std::collections::HashMap;

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};

use super::{Cluster, annotations};

/// What a watch saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// An object that is labelled as an app's.
    App(String),
    /// A workload or a Service of this name, one of its pods, or its endpoints.
    Named(String),
    /// A watch was opened, or broke: anything may have changed before.
    Anything,
}

/// Something of a namespace's workloads, pods, Services, endpoints or the apps' ConfigMaps changed, or a watch broke and was opened again.
/// The stream does not end; breaks are mended with a back-off.
pub fn watch_namespace(cluster: &Cluster, namespace: &str) -> impl Stream<Item = Touched> + Send + use<> {
    let (client, name) = (cluster.client().clone(), namespace);
    let all = watcher::Config::default();
    let streams: [stream::BoxStream<'static, Touched>; 8] = [
        touched(Api::<PartialObjectMeta<Deployment>>::namespaced(client.clone(), name), &all),
        touched(Api::<PartialObjectMeta<StatefulSet>>::namespaced(client.clone(), name), &all),
        touched(Api::<PartialObjectMeta<DaemonSet>>::namespaced(client.clone(), name), &all),
        touched(Api::<PartialObjectMeta<Job>>::namespaced(client.clone(), name), &all),
        touched(Api::<PartialObjectMeta<Pod>>::namespaced(client.clone(), name), &all),
        touched(Api::<PartialObjectMeta<Service>>::namespaced(client.clone(), name), &all),
        touched(Api::<PartialObjectMeta<EndpointSlice>>::namespaced(client.clone(), name), &all),
        // A namespace holds many that are nobody's here, and some that change every few seconds.
        touched(Api::<PartialObjectMeta<ConfigMap>>::namespaced(client, name), &all.clone().labels(annotations::APP)),
    ];
    stream::select_all(streams)
}

/// Something of the apps' objects of one kind changed: a kind that apps render beside those of [`watch_namespace`]. The stream
/// ends where the cluster does not serve the kind.
///
/// # Assumptions
/// Whoever asks has just looked at the apps: the first list says nothing new.
pub async fn watch_kind(
    cluster: &Cluster,
    namespace: &str,
    (api_version, kind): (&str, &str),
) -> Option<impl Stream<Item = Touched> + Send + use<>> {
    let resource = cluster.kinds.resource(cluster.client(), api_version, kind).await.ok()?;
    let api: Api<PartialObjectMeta<DynamicObject>> =
        Api::namespaced_with(cluster.client().clone(), namespace, &resource);
    let ours = watcher::Config::default().labels(annotations::APP);
    let (mut opened, mut known) = (false, HashMap::new());
    let events = watcher(api, ours).default_backoff().filter_map(move |event| {
        let mut is_new = |meta: &ObjectMeta| {
            let generation = meta.generation;
            known.insert(meta.name.clone(), generation) != Some(generation)
        };
        futures::future::ready(match event {
            // A status that its controller writes every few seconds changes no generation and is nobody's concern here.
            Ok(watcher::Event::Apply(object)) => is_new(&object.metadata).then(|| whose(&object.metadata)),
            Ok(watcher::Event::Delete(object)) => {
                known.remove(&object.metadata.name);
                Some(whose(&object.metadata))
            }
            Ok(watcher::Event::InitApply(object)) => {
                is_new(&object.metadata);
                None
            }
            Ok(watcher::Event::InitDone) => std::mem::replace(&mut opened, true).then_some(Touched::Anything),
            Ok(watcher::Event::Init) | Err(_) => None,
        })
    });
    Some(events)
}

/// Metadata is enough to know whose it is, and keeps the daemon small.
fn touched<K>(api: Api<K>, which: &watcher::Config) -> stream::BoxStream<'static, Touched>
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
    K::DynamicType: Default + Clone,
{
    let mut broken = false;
    watcher(api, which.clone())
        .default_backoff()
        .filter_map(move |event| {
            let was_broken = std::mem::replace(&mut broken, event.is_err());
            futures::future::ready(match event {
                Ok(watcher::Event::Apply(object) | watcher::Event::Delete(object)) => Some(whose(object.meta())),
                // The first list is one trigger, at its end.
                Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => None,
                Ok(watcher::Event::InitDone) => Some(Touched::Anything),
                // A server that is gone is found by a look, also where nothing is to be done.
                Err(_broken) => (!was_broken).then_some(Touched::Anything),
            })
        })
        .boxed()
}

/// Whose an object is: by its label, its Service's name, or its owner's.
fn whose(meta: &ObjectMeta) -> Touched {
    let label = |key: &str| meta.labels.as_ref()?.get(key).cloned();
    if let Some(app) = label(annotations::APP) {
        return Touched::App(app);
    }
    if let Some(service) = label("kubernetes.io/service-name") {
        return Touched::Named(service);
    }
    let owner = meta.owner_references.as_ref().and_then(|owners| owners.first());
    let name = match owner {
        // A Deployment's pods belong to a ReplicaSet, a CronJob's to a Job: both are named after it, with one part more.
        Some(owner) if owner.kind == "ReplicaSet" || owner.kind == "Job" => {
            owner.name.rsplit_once('-').map_or(owner.name.as_str(), |(workload, _)| workload).to_owned()
        }
        Some(owner) => owner.name.clone(),
        None => meta.name.clone().unwrap_or_default(),
    };
    Touched::Named(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_tells_whose_it_is() {
        for (meta, expect) in [
            (json!({"name": "x", "labels": {"turquoise.dev/app": "shop"}}), Touched::App("shop".into())),
            (
                json!({"name": "shop-abc", "labels": {"kubernetes.io/service-name": "shop"}}),
                Touched::Named("shop".into()),
            ),
            (
                json!({"name": "web-blue-5d9-x", "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-blue-5d9", "uid": "1"}]}),
                Touched::Named("web-blue".into()),
            ),
            (
                json!({"name": "db-0", "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "1"}]}),
                Touched::Named("db".into()),
            ),
            (json!({"name": "shop"}), Touched::Named("shop".into())),
        ] {
            let meta: ObjectMeta = serde_json::from_value(meta).expect("metadata");
            assert_eq!(whose(&meta), expect);
        }
    }
}
