//! `events.k8s.io`: the core's events under their newer names.

use serde_json::{Value, json};

use crate::object;
use crate::resources::{EVENTS, Resource};

/// Fields that are named differently: newer, stored.
const RENAMED: [(&str, &str); 6] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedCount", "count"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
];

fn is_newer(resource: &Resource) -> bool {
    resource.group == "events.k8s.io"
}

/// The kind under which objects of this kind are stored.
pub(crate) fn stored_as(resource: &'static Resource) -> &'static Resource {
    if is_newer(resource) { *EVENTS } else { resource }
}

/// A client's event as it is stored.
pub(crate) fn to_stored(resource: &Resource, event: &mut Value) {
    if !is_newer(resource) {
        return;
    }
    for (newer, stored) in RENAMED {
        if let Some(value) = object::remove(event, newer) {
            event[stored] = value;
        }
    }
    object::remove(event, "deprecatedSource");
    event["apiVersion"] = json!("v1");
}

/// A stored event as this kind shows it.
pub(crate) fn shown(resource: &Resource, stored: &Value) -> Value {
    let mut event = stored.clone();
    if is_newer(resource) {
        for (newer, stored) in RENAMED {
            if let Some(value) = object::remove(&mut event, stored) {
                event[newer] = value;
            }
        }
        if let Some(source) = object::remove(&mut event, "source") {
            event["deprecatedSource"] = source;
        }
        event["apiVersion"] = json!("events.k8s.io/v1");
    }
    event
}

/// Whether objects of this kind are shown as they are stored.
pub(crate) fn is_plain(resource: &Resource) -> bool {
    !is_newer(resource)
}
