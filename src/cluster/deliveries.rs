//! The record of what people were told: one ConfigMap an app. And the same transitions as Kubernetes Events.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::events::v1::Event as ClusterEvent;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::annotations as name;
use super::{Cluster, ClusterError, MANAGER, call, composed, micro_time};
use crate::core::event::Event;
use crate::core::ids::AppName;

/// The one key of the ConfigMap.
const KEY: &str = "deliveries.json";
/// [`name::PART`]'s value on it.
const PART: &str = "deliveries";
/// An Event's note: the API server takes no longer one.
const NOTE_CHARS_MAX: usize = 1000;

/// A record as it was read: for compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The text.
    pub text: String,
    /// `metadata.resourceVersion`.
    pub version: String,
}

fn map_name(app: &AppName) -> String {
    format!("turquoise-{app}-deliveries")
}

impl Cluster {
    /// The record of an app; `None` where there is none yet.
    ///
    /// # Errors
    /// Whatever the API server refuses or does not answer in time.
    pub async fn deliveries(&self, namespace: &str, app: &AppName) -> Result<Option<Stored>, ClusterError> {
        let (api, map) = (self.api::<ConfigMap>(namespace), map_name(app));
        let found = call(&format!("get ConfigMap {map}"), api.get_opt(&map)).await?;
        Ok(found.map(|found| Stored {
            text: found.data.and_then(|mut data| data.remove(KEY)).unwrap_or_default(),
            version: found.metadata.resource_version.unwrap_or_default(),
        }))
    }

    /// Writes the record, if it is still as it was read; `seen` is its resource version, `None` where there was none.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] where somebody else wrote meanwhile.
    pub async fn set_deliveries(
        &self,
        namespace: &str,
        app: &AppName,
        text: &str,
        seen: Option<&str>,
    ) -> Result<String, ClusterError> {
        let (api, map) = (self.api::<ConfigMap>(namespace), map_name(app));
        let what = format!("write ConfigMap {map}");
        let mut body = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": map, "labels": {name::APP: app.as_str(), name::PART: PART}},
            "data": {KEY: text},
        });
        let written = match seen {
            Some(version) => {
                body["metadata"]["resourceVersion"] = version.into();
                let params = PatchParams::apply(MANAGER).force();
                call(&what, api.patch_metadata(&map, &params, &Patch::Apply(&body))).await?.metadata
            }
            // An apply would take over what somebody else made meanwhile.
            None => {
                let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
                let body: ConfigMap = composed(&what, body)?;
                call(&what, api.create(&params, &body)).await?.metadata
            }
        };
        Ok(written.resource_version.unwrap_or_default())
    }

    /// Says a transition as an Event on a Service of the app. Its name is the transition's, so it is there once.
    ///
    /// # Errors
    /// Whatever the API server refuses or does not answer in time.
    pub async fn say(
        &self,
        namespace: &str,
        service: &str,
        event: &Event,
        note: &str,
        now: Timestamp,
    ) -> Result<(), ClusterError> {
        let services = self.api::<Service>(namespace);
        let uid = call(&format!("get Service {service}"), services.get_metadata_opt(service)).await?;
        let at = event.at.to_string();
        let note: String = note.chars().take(NOTE_CHARS_MAX).collect();
        let body = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": format!("turquoise-{}-{}", event.app, event.id),
                "namespace": namespace,
                "labels": {name::APP: event.app.as_str()},
            },
            "eventTime": micro_time(now),
            "action": "Release",
            "reason": camel(event.kind.as_str()),
            "type": if event.kind.is_trouble() { "Warning" } else { "Normal" },
            "note": note,
            "regarding": {
                "apiVersion": "v1",
                "kind": "Service",
                "namespace": namespace,
                "name": service,
                "uid": uid.and_then(|found| found.metadata.uid),
            },
            "reportingController": "turquoise.dev/turquoise",
            "reportingInstance": "turquoise",
            "deprecatedFirstTimestamp": null,
            "deprecatedLastTimestamp": null,
        });
        let what = format!("create the Event of {at}");
        let body: ClusterEvent = composed(&what, body)?;
        match call(&what, self.api::<ClusterEvent>(namespace).create(&PostParams::default(), &body)).await {
            // It was said before.
            Ok(_) | Err(ClusterError::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// `flipped_back` as a reason: `FlippedBack`.
fn camel(word: &str) -> String {
    let parts = word.split('_').map(|part| {
        let (first, rest) = part.split_at_checked(1).unwrap_or((part, ""));
        first.to_uppercase() + rest
    });
    parts.collect()
}
