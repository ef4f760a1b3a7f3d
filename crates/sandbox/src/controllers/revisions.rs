//! ControllerRevisions: the templates that StatefulSets and DaemonSets had, by number.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::controllers::{MANAGER, deployment, pods};
use crate::object::{self, int};
use crate::resources::CONTROLLER_REVISIONS;
use crate::store::Key;
use crate::world::World;
use crate::writes::{Deletion, Write};

/// The label that tells which template a pod has.
pub(crate) const HASH_LABEL: &str = "controller-revision-hash";

/// The templates of one owner, oldest first; the newest is the owner's own.
pub(crate) struct Revisions {
    /// The name of the owner's own template.
    pub(crate) update: String,
    known: Vec<(Key, Arc<Value>)>,
}

impl Revisions {
    /// The template of this name, if it is still known.
    pub(crate) fn template(&self, name: &str) -> Option<&Value> {
        self.known.iter().find(|(key, _)| key.name == name).map(|(_, revision)| &revision["data"]["spec"]["template"])
    }
}

/// Finds the owner's template among its revisions, or stores it as the newest.
pub(crate) fn of(world: &World, key: &Key, owner: &Value) -> Revisions {
    let template = &owner["spec"]["template"];
    let name = format!("{}-{}", key.name, deployment::hash(template));
    let mut known = known(world, owner);
    let newest = known.iter().filter_map(|(_, revision)| int(revision, "/revision")).max().unwrap_or(0);
    match known.iter().position(|(other, _)| other.name == name) {
        Some(at) if int(&known[at].1, "/revision") == Some(newest) => {}
        // A template that is wanted again gets the newest number.
        Some(at) => {
            let edited = world.edit(&known[at].0, Write::by(MANAGER, ""), |revision| {
                revision["revision"] = json!(newest + 1);
                true
            });
            if let Some(edited) = edited {
                known[at].1 = edited;
            }
        }
        None => {
            let revision = json!({
                "metadata": {
                    "name": name,
                    "namespace": key.namespace,
                    "labels": template["metadata"]["labels"],
                    "ownerReferences": [pods::reference(key.resource(), owner)],
                },
                "data": {"spec": {"template": template}},
                "revision": newest + 1,
            });
            let stored = world.store.transaction(|transaction| {
                world.create(transaction, *CONTROLLER_REVISIONS, revision, Write::by(MANAGER, ""))
            });
            if let Ok(stored) = stored {
                known.push((Key::new(*CONTROLLER_REVISIONS, key.namespace.clone(), name.clone()), stored));
            }
        }
    }
    Revisions { update: name, known }
}

/// Forgets the oldest templates beyond the history limit that no pod has.
pub(crate) fn clean_up(world: &World, owner: &Value, used: &[&str]) {
    let limit = usize::try_from(int(owner, "/spec/revisionHistoryLimit").unwrap_or(10)).unwrap_or(10);
    let unused: Vec<_> =
        known(world, owner).into_iter().filter(|(key, _)| !used.contains(&key.name.as_str())).collect();
    let excess = unused.len().saturating_sub(limit);
    for (key, revision) in unused.into_iter().take(excess) {
        let deletion = Deletion { uid: Some(object::uid(&revision).to_owned()), ..Deletion::default() };
        // Gone meanwhile is as good as deleted.
        let _ = world.store.transaction(|transaction| world.delete(transaction, &key, &deletion));
    }
}

fn known(world: &World, owner: &Value) -> Vec<(Key, Arc<Value>)> {
    let mut known = world.store.owned_by(object::uid(owner));
    known.retain(|(key, _)| key.resource().plural == "controllerrevisions");
    known.sort_by_key(|(_, revision)| int(revision, "/revision"));
    known
}
