//! Watches as triggers: they only say "look again" (DESIGN 6).

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};

use super::Cluster;

/// Something of a namespace's workloads, pods, Services or endpoints changed, or a watch broke and was opened again.
/// The stream does not end; breaks are mended with a back-off.
pub fn watch_namespace(cluster: &Cluster, namespace: &str) -> impl Stream<Item = ()> + Send + use<> {
    let (client, name) = (cluster.client().clone(), namespace);
    let streams: [stream::BoxStream<'static, ()>; 7] = [
        touched(Api::<PartialObjectMeta<Deployment>>::namespaced(client.clone(), name)),
        touched(Api::<PartialObjectMeta<StatefulSet>>::namespaced(client.clone(), name)),
        touched(Api::<PartialObjectMeta<DaemonSet>>::namespaced(client.clone(), name)),
        touched(Api::<PartialObjectMeta<Job>>::namespaced(client.clone(), name)),
        touched(Api::<PartialObjectMeta<Pod>>::namespaced(client.clone(), name)),
        touched(Api::<PartialObjectMeta<Service>>::namespaced(client.clone(), name)),
        touched(Api::<PartialObjectMeta<EndpointSlice>>::namespaced(client, name)),
    ];
    stream::select_all(streams)
}

/// Metadata is enough to know that something changed, and keeps the daemon small.
fn touched<K>(api: Api<K>) -> stream::BoxStream<'static, ()>
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
    K::DynamicType: Default + Clone,
{
    watcher(api, watcher::Config::default())
        .default_backoff()
        .filter_map(async |event| match event {
            Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_) | watcher::Event::InitDone) => Some(()),
            // The first list is one trigger, at its end.
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => None,
            Err(_broken) => None,
        })
        .boxed()
}
