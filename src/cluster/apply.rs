//! Server-side apply of rendered objects.

use std::collections::BTreeMap;

use kube::api::{Patch, PatchParams};
use serde_json::{Map, Value};

use super::annotations as name;
use super::{Cluster, ClusterError, MANAGER, Subject, call};
use crate::core::ids::ObjectKey;

/// What is laid over a rendered object before it is applied.
#[derive(Debug, Default, Clone)]
pub(super) struct Dress {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) resource_version: Option<String>,
}

impl Dress {
    /// The app's label, and where in the app the object belongs.
    pub(super) fn of(subject: &Subject, place: (&str, &str)) -> Self {
        let labels = [(name::APP, subject.app.as_str()), place];
        Self { labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(), ..Self::default() }
    }
}

impl Cluster {
    /// Applies one object as `turquoise`, by force: git's word counts for the fields that it names.
    pub(super) async fn apply(&self, subject: &Subject, object: &Value, dress: &Dress) -> Result<(), ClusterError> {
        self.send(subject, object, dress, &PatchParams::apply(MANAGER).force()).await
    }

    /// Asks whether an apply would be refused, without doing it.
    pub(super) async fn try_apply(&self, subject: &Subject, object: &Value, dress: &Dress) -> Result<(), ClusterError> {
        let params = PatchParams { dry_run: true, ..PatchParams::apply(MANAGER).force() };
        self.send(subject, object, dress, &params).await
    }

    async fn send(
        &self,
        subject: &Subject,
        object: &Value,
        dress: &Dress,
        params: &PatchParams,
    ) -> Result<(), ClusterError> {
        let Some(key) = ObjectKey::of(object) else { return Ok(()) };
        let api = self.dynamic(&subject.namespace, &key.api_version, &key.kind).await?;
        let body = dressed(object, &subject.namespace, dress);
        let what = format!("apply {key}");
        // Only the metadata of the answer is read: a Secret's values are never kept (I6).
        call(&what, api.patch_metadata(&key.name, params, &Patch::Apply(&body))).await.map(drop)
    }
}

/// The object with its namespace, labels, annotations and resource version.
pub(super) fn dressed(object: &Value, namespace: &str, dress: &Dress) -> Value {
    let mut body = object.clone();
    if !body.get("metadata").is_some_and(Value::is_object) {
        body["metadata"] = Value::Object(Map::new());
    }
    if let Some(meta) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.insert("namespace".into(), namespace.into());
        merge(meta, "labels", &dress.labels);
        merge(meta, "annotations", &dress.annotations);
        if let Some(version) = &dress.resource_version {
            meta.insert("resourceVersion".into(), version.as_str().into());
        }
    }
    body
}

fn merge(meta: &mut Map<String, Value>, field: &str, entries: &BTreeMap<String, String>) {
    if entries.is_empty() {
        return;
    }
    let map = meta.entry(field).or_insert_with(|| Value::Object(Map::new()));
    if !map.is_object() {
        *map = Value::Object(Map::new());
    }
    if let Some(map) = map.as_object_mut() {
        map.extend(entries.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))));
    }
}
