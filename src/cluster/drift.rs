//! What people changed in the serving colour's objects since they were applied (rule 7).
//!
//! The API server compares: each object's rendered form is applied under a field manager of its own, by force and without
//! being carried out, and what would change is drift. So defaults, quantities and list keys are understood as that very
//! server understands them, and fields that the render does not name are nobody's drift. An object is asked about once, and
//! again when it has changed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use kube::api::{Patch, PatchParams};
use serde_json::Value;

use super::apply::{Dress, dressed};
use super::{Cluster, ClusterError, Subject, call};
use crate::core::digest;
use crate::core::ids::{AppName, CommitId, Digest, ObjectKey};
use crate::core::observed::Drift;
use crate::core::text::OneLine;

/// Owns nothing: it is only ever used without being carried out.
const ASKING_MANAGER: &str = "turquoise-drift";

/// Fields of one object that are named: somebody who changed more has replaced the object.
const FIELDS_MAX: usize = 20;

/// Metadata that is the server's own.
const SERVERS_METADATA: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// Answers by namespace and app. An app has a handful of objects, and there may be a thousand apps: a list is the smallest.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<BTreeMap<(String, AppName), Vec<Answer>>>);

#[derive(Debug, Clone)]
struct Answer {
    object: ObjectKey,
    /// The commit whose render was compared.
    revision: CommitId,
    /// What the object looked like.
    face: Digest,
    drift: Vec<Drift>,
}

/// What is known about the drift of some objects.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Fields that differ.
    pub drift: Vec<Drift>,
    /// Objects that were not compared yet as they are now.
    pub stale: Vec<ObjectKey>,
}

impl Cluster {
    /// What was found out about objects that are still as they were then. `faces` has what each looks like now; Secrets
    /// are never compared (I6).
    #[must_use]
    pub fn known_drift(&self, subject: &Subject, revision: &CommitId, faces: &BTreeMap<ObjectKey, Digest>) -> Known {
        let answers = self.answers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = answers.get(&(subject.namespace.clone(), subject.app.clone()));
        let mut known = Known::default();
        for (key, face) in faces.iter().filter(|(key, _)| !key.is_secret()) {
            match answers.and_then(|answers| answers.iter().find(|answer| answer.object == *key)) {
                Some(answer) if answer.revision == *revision && answer.face == *face => {
                    known.drift.extend(answer.drift.iter().cloned());
                }
                Some(_) | None => known.stale.push(key.clone()),
            }
        }
        known
    }

    /// Compares objects with what a commit renders of them and remembers the answers. An object that the server refuses to
    /// compare, or that is gone, counts as unchanged: a release never waits for this.
    pub async fn find_drift(
        &self,
        subject: &Subject,
        revision: &CommitId,
        faces: &BTreeMap<ObjectKey, Digest>,
        rendered: &[Value],
    ) {
        let Known { drift: _, stale } = self.known_drift(subject, revision, faces);
        for (key, face) in stale.iter().filter_map(|key| faces.get_key_value(key)) {
            let object = rendered.iter().find(|object| ObjectKey::of(object).as_ref() == Some(key));
            let answer = match object {
                Some(object) => self.differences(subject, key, object).await,
                // It is about to be pruned.
                None => Ok(Vec::new()),
            };
            let drift = match answer {
                Ok(drift) => drift,
                Err(ClusterError::Refused { words, .. }) => {
                    tracing::debug!("{key} cannot be compared with git: {words}");
                    Vec::new()
                }
                // Asked again at the next look.
                Err(ClusterError::Config(_) | ClusterError::Conflict(_) | ClusterError::Unreachable { .. }) => continue,
            };
            let answer = Answer { object: key.clone(), revision: revision.clone(), face: face.clone(), drift };
            let mut answers = self.answers.0.lock().unwrap_or_else(PoisonError::into_inner);
            let answers = answers.entry((subject.namespace.clone(), subject.app.clone())).or_default();
            answers.retain(|known| known.object != *key && faces.contains_key(&known.object));
            answers.push(answer);
            answers.shrink_to_fit();
        }
    }

    /// Whether every object exists and is as it is rendered. Secrets need only exist.
    ///
    /// # Errors
    /// Whatever the server refuses or does not answer.
    pub async fn stands_as(&self, subject: &Subject, rendered: &[Value]) -> Result<bool, ClusterError> {
        for object in rendered {
            let Some(key) = ObjectKey::of(object) else { continue };
            let there = self.metadata_of(subject, &key).await?.is_some();
            if !there || (!key.is_secret() && !self.differences(subject, &key, object).await?.is_empty()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn differences(
        &self,
        subject: &Subject,
        key: &ObjectKey,
        rendered: &Value,
    ) -> Result<Vec<Drift>, ClusterError> {
        let api = self.dynamic(&subject.namespace, &key.api_version, &key.kind).await?;
        let Some(found) = call(&format!("get {key}"), api.get_opt(&key.name)).await? else {
            return Ok(Vec::new());
        };
        let params = PatchParams { dry_run: true, ..PatchParams::apply(ASKING_MANAGER).force() };
        let body = dressed(rendered, &subject.namespace, &Dress::default());
        let wanted = call(&format!("compare {key}"), api.patch(&key.name, &params, &Patch::Apply(&body))).await?;
        let plain = |object| comparable(&serde_json::to_value(object).unwrap_or_default());
        let mut drift = Vec::new();
        compare(&OneLine::new(&key.to_string()), "", &plain(wanted), &plain(found), &mut drift);
        drift.truncate(FIELDS_MAX);
        Ok(drift)
    }
}

/// An object without its size, its status and what is the server's.
fn comparable(object: &Value) -> Value {
    let mut object = digest::without_size(object);
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.retain(|field, _| !SERVERS_METADATA.contains(&field.as_str()));
    }
    object
}

/// Collects the smallest fields in which two values differ. Lists of different lengths differ as a whole.
fn compare(object: &OneLine, path: &str, wanted: &Value, found: &Value, drift: &mut Vec<Drift>) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let mut fields: Vec<&String> = wanted.keys().chain(found.keys()).collect();
            fields.sort();
            fields.dedup();
            for field in fields {
                let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
                let side = |side: &serde_json::Map<String, Value>| side.get(field).cloned().unwrap_or_default();
                compare(object, &path, &side(wanted), &side(found), drift);
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            for (at, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                let name = wanted.get("name").and_then(Value::as_str).filter(|name| found["name"] == **name);
                let item = name.map_or_else(|| at.to_string(), str::to_owned);
                compare(object, &format!("{path}[{item}]"), wanted, found, drift);
            }
        }
        (wanted, found) if wanted != found => drift.push(Drift {
            object: object.clone(),
            field: OneLine::new(path),
            wanted: OneLine::new(&shown(wanted)),
            found: OneLine::new(&shown(found)),
        }),
        _equal => {}
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn differ(wanted: Value, found: Value) -> Vec<(String, String, String)> {
        let mut drift = Vec::new();
        compare(&OneLine::new("Deployment web"), "", &comparable(&wanted), &comparable(&found), &mut drift);
        let text = |line: &OneLine| line.as_str().to_owned();
        drift.iter().map(|one| (text(&one.field), text(&one.wanted), text(&one.found))).collect()
    }

    #[test]
    fn the_smallest_fields_are_named() {
        let object = |image: &str, env: Value| {
            json!({"kind": "Deployment", "metadata": {"resourceVersion": image, "labels": {"a": "b"}},
                "spec": {"replicas": image.len(), "template": {"spec": {"containers": [
                    {"name": "shop", "image": image, "env": env}]}}}, "status": {"readyReplicas": image.len()}})
        };
        let none: [(String, String, String); 0] = [];
        assert_eq!(differ(object("shop:1", json!([])), object("shop:1", json!([]))), none);
        let field = |field: &str, wanted: &str, found: &str| (field.to_owned(), wanted.to_owned(), found.to_owned());
        assert_eq!(
            differ(object("shop:1", json!([])), object("shop:10", json!([]))),
            [field("spec.template.spec.containers[shop].image", "shop:1", "shop:10")]
        );
        assert_eq!(
            differ(object("shop:1", json!(null)), object("shop:1", json!([{"name": "A", "value": "1"}]))),
            [field("spec.template.spec.containers[shop].env", "nothing", r#"[{"name":"A","value":"1"}]"#)]
        );
        assert_eq!(
            differ(json!({"data": {"a": "1", "b": "2"}}), json!({"data": {"a": "1", "b": "3\n4"}})),
            [field("data.b", "2", "3 4")]
        );
    }
}
