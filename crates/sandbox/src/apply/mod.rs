//! managedFields: who owns which field, after an update and after a server-side apply.

pub(crate) mod fieldset;

use serde_json::{Value, json};

use crate::object;
use crate::resources::Resource;
use crate::schema::{self, Schema};
use fieldset::{FieldSet, compare, fields_of, merge, remove_fields};

/// Managers with operation `Update` kept apart; older ones beyond are folded into one, as the server does.
const UPDATE_MANAGERS_MAX: usize = 10;

/// Where the older ones are folded to.
const ANCIENT: &str = "ancient-changes";

/// The annotation in which `kubectl apply` without `--server-side` keeps what it applied.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// One entry of `metadata.managedFields`.
#[derive(Clone, Debug, PartialEq)]
struct Manager {
    name: String,
    applied: bool,
    subresource: String,
    api_version: String,
    time: String,
    fields: FieldSet,
}

impl Manager {
    fn is(&self, name: &str, applied: bool, subresource: &str) -> bool {
        self.name == name && self.applied == applied && self.subresource == subresource
    }

    fn write(&self) -> Value {
        let mut entry = json!({
            "manager": self.name,
            "operation": if self.applied { "Apply" } else { "Update" },
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.write(),
        });
        if !self.subresource.is_empty() {
            entry["subresource"] = Value::from(self.subresource.as_str());
        }
        entry
    }
}

/// Who writes, and through which door.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author<'a> {
    pub(crate) manager: &'a str,
    pub(crate) subresource: &'a str,
    /// When, as `metadata.managedFields[].time` has it.
    pub(crate) time: &'a str,
}

/// Fields that an apply would take from other managers: manager (as messages name it) and path.
pub(crate) type Conflicts = Vec<(String, String)>;

/// Records an update: what differs from `old` belongs to the author from now on, and what is gone to nobody.
///
/// `base` is whose managedFields count: the live object's, or the new one's where the client sent some.
pub(crate) fn record_update(resource: &Resource, old: Option<&Value>, new: &mut Value, author: Author<'_>) {
    let schema = schema::of(resource);
    let mut managers = match sent_managers(old, new) {
        Some(sent) => sent,
        None => old.map(read).unwrap_or_default(),
    };
    let skeleton;
    let before = match old {
        Some(old) => old,
        None => {
            skeleton = empty_object(resource);
            &skeleton
        }
    };
    let difference = compare(before, new, schema);
    let changed = difference.changed.without_server_fields();
    let removed = difference.removed.without_server_fields();
    if !changed.is_empty() || !removed.is_empty() {
        let gone = changed.union(&removed);
        for manager in &mut managers {
            let own = manager.is(author.manager, false, author.subresource);
            manager.fields = manager.fields.difference(if own { &removed } else { &gone });
        }
        if !changed.is_empty() {
            match managers.iter_mut().find(|manager| manager.is(author.manager, false, author.subresource)) {
                Some(own) => {
                    own.fields = own.fields.union(&changed);
                    own.time = author.time.to_owned();
                    own.api_version = resource.api_version();
                }
                None => managers.push(Manager {
                    name: author.manager.to_owned(),
                    applied: false,
                    subresource: author.subresource.to_owned(),
                    api_version: resource.api_version(),
                    time: author.time.to_owned(),
                    fields: changed,
                }),
            }
        }
    }
    write(new, managers);
}

/// Applies a configuration to the live object, or to nothing: the merged object with its managedFields, or the conflicts.
pub(crate) fn apply(
    resource: &Resource,
    live: Option<&Value>,
    config: &Value,
    author: Author<'_>,
    force: bool,
) -> Result<Value, Conflicts> {
    let schema = schema::of(resource);
    let mut managers = live.map(read).unwrap_or_default();
    let wanted = fields_of(config, schema).without_server_fields();
    let last = managers
        .iter()
        .find(|manager| manager.is(author.manager, true, author.subresource))
        .map(|manager| manager.fields.clone());

    let empty = json!({});
    let before = live.unwrap_or(&empty);
    let mut merged = merge(before, config, schema);
    object::remove(&mut merged["metadata"], "managedFields");

    match managers.iter_mut().find(|manager| manager.is(author.manager, true, author.subresource)) {
        Some(own) => {
            if own.fields != wanted {
                own.time = author.time.to_owned();
            }
            own.fields = wanted;
            own.api_version = resource.api_version();
        }
        None => managers.push(Manager {
            name: author.manager.to_owned(),
            applied: true,
            subresource: author.subresource.to_owned(),
            api_version: resource.api_version(),
            time: author.time.to_owned(),
            fields: wanted,
        }),
    }
    if let Some(last) = last {
        prune(&mut merged, &last, &managers, schema);
    }

    let difference = compare(before, &merged, schema);
    let changed = difference.changed.without_server_fields();
    let removed = difference.removed.without_server_fields();
    let mut conflicts = Conflicts::new();
    for manager in &mut managers {
        if manager.is(author.manager, true, author.subresource) {
            continue;
        }
        let contested = manager.fields.intersection(&changed);
        if !contested.is_empty() {
            let who = described(manager);
            conflicts.extend(contested.paths().into_iter().map(|path| (who.clone(), path)));
        }
        manager.fields = manager.fields.difference(&contested).difference(&removed);
    }
    if !conflicts.is_empty() && !force && !may_force_kubectl(author, live, &conflicts, schema) {
        return Err(conflicts);
    }
    write(&mut merged, managers);
    Ok(merged)
}

/// Takes out what this manager applied before, does not apply any more, and nobody else owns.
fn prune(merged: &mut Value, last: &FieldSet, managers: &[Manager], schema: &Schema) {
    let owned = managers.iter().fold(FieldSet::default(), |all, manager| all.union(&manager.fields));
    let unwanted = last.with_parents().difference(&owned.with_parents());
    remove_fields(merged, &unwanted, schema);
}

/// `kubectl apply --server-side` may take over what `kubectl apply` had applied; the server knows it by kubectl's manager name.
fn may_force_kubectl(author: Author<'_>, live: Option<&Value>, conflicts: &Conflicts, schema: &Schema) -> bool {
    if author.manager != "kubectl" {
        return false;
    }
    let applied = live
        .and_then(|live| live.pointer("/metadata/annotations"))
        .and_then(|annotations| annotations[LAST_APPLIED].as_str())
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(applied) = applied else { return false };
    let allowed = fields_of(&applied, schema).paths();
    conflicts.iter().all(|(_, path)| allowed.contains(path))
}

fn described(manager: &Manager) -> String {
    let mut who = format!("{:?}", manager.name);
    if !manager.subresource.is_empty() {
        who = format!("{who} with subresource {:?}", manager.subresource);
    }
    if !manager.applied {
        who = format!("{who} using {}", manager.api_version);
    }
    who
}

/// The managers that a client wrote into the object itself, if it changed them; an empty entry resets all.
fn sent_managers(old: Option<&Value>, new: &Value) -> Option<Vec<Manager>> {
    let sent = new.pointer("/metadata/managedFields")?.as_array()?;
    let same = old.and_then(|old| old.pointer("/metadata/managedFields")?.as_array()).is_some_and(|had| had == sent);
    if same || sent.is_empty() {
        return None;
    }
    Some(read(new))
}

fn read(object: &Value) -> Vec<Manager> {
    object::list(object, "/metadata/managedFields")
        .iter()
        .filter(|entry| entry["manager"].is_string())
        .map(|entry| Manager {
            name: object::text(entry, "/manager").to_owned(),
            applied: entry["operation"] == "Apply",
            subresource: object::text(entry, "/subresource").to_owned(),
            api_version: object::text(entry, "/apiVersion").to_owned(),
            time: object::text(entry, "/time").to_owned(),
            fields: FieldSet::parse(&entry["fieldsV1"]),
        })
        .collect()
}

fn write(object: &mut Value, mut managers: Vec<Manager>) {
    managers.retain(|manager| !manager.fields.is_empty());
    // Appliers first, then by time; the order in which the server writes them.
    managers.sort_by(|a, b| {
        b.applied
            .cmp(&a.applied)
            .then_with(|| a.time.cmp(&b.time))
            .then_with(|| a.name.cmp(&b.name))
            .then_with(|| a.subresource.cmp(&b.subresource))
    });
    fold_ancient(&mut managers);
    let metadata = object::child(object, "metadata");
    if managers.is_empty() {
        object::remove(metadata, "managedFields");
    } else {
        metadata["managedFields"] = managers.iter().map(Manager::write).collect();
    }
}

fn fold_ancient(managers: &mut Vec<Manager>) {
    while managers.iter().filter(|manager| !manager.applied).count() > UPDATE_MANAGERS_MAX {
        let mut updates = (0..managers.len()).filter(|at| !managers[*at].applied);
        let (Some(first), Some(second)) = (updates.next(), updates.next()) else { return };
        let oldest = managers.remove(first);
        let next = &mut managers[second - 1];
        next.name = ANCIENT.to_owned();
        next.fields = next.fields.union(&oldest.fields);
    }
}

/// A new object of this kind as Go's types have it: structs that are always written, and so are never "added".
fn empty_object(resource: &Resource) -> Value {
    match resource.kind {
        "Deployment" => json!({
            "metadata": {},
            "spec": {"strategy": {}, "template": {"metadata": {}, "spec": {"containers": null}}, "selector": null},
            "status": {},
        }),
        "DaemonSet" | "StatefulSet" => json!({
            "metadata": {},
            "spec": {"updateStrategy": {}, "template": {"metadata": {}, "spec": {"containers": null}}, "selector": null},
            "status": {},
        }),
        "ReplicaSet" | "Job" => json!({
            "metadata": {},
            "spec": {"template": {"metadata": {}, "spec": {"containers": null}}, "selector": null},
            "status": {},
        }),
        "Pod" => json!({"metadata": {}, "spec": {"containers": null}, "status": {}}),
        "Service" => json!({"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}}),
        _ => json!({"metadata": {}, "spec": {}, "status": {}}),
    }
}
