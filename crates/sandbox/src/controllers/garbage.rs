//! Owner references: what goes with its owner, what is waited for, what is let go.

use serde_json::Value;

use crate::controllers::{MANAGER, owner_key};
use crate::object::{self, list, text};
use crate::store::Key;
use crate::world::World;
use crate::writes::{Deletion, FOREGROUND, ORPHAN, Write};

/// An owner is gone: its dependents go, too, unless another owner is left.
pub(crate) fn owner_gone(world: &World, uid: &str) {
    for (key, _) in world.store.owned_by(uid) {
        check_owners(world, &key);
    }
}

/// Deletes an object none of whose owners is there, and drops references to owners that are gone.
pub(crate) fn check_owners(world: &World, key: &Key) {
    let Some(object) = world.store.get(key) else { return };
    let owners = list(&object, "/metadata/ownerReferences");
    let is_there = |owner: &Value| {
        // A kind that is not served here can't be looked up, so it is left alone.
        let Some(owner_key) = owner_key(owner, &key.namespace) else { return true };
        world.store.get(&owner_key).is_some_and(|found| object::uid(&found) == text(owner, "/uid"))
    };
    let there = owners.iter().filter(|owner| is_there(owner)).count();
    if owners.is_empty() || there == owners.len() {
        return;
    }
    if there == 0 {
        delete(world, key, &object, "Background");
        return;
    }
    let left: Vec<Value> = owners.iter().filter(|owner| is_there(owner)).cloned().collect();
    world.edit(key, Write::by(MANAGER, ""), |object| {
        object["metadata"]["ownerReferences"] = Value::from(left);
        true
    });
}

/// Goes on with a deletion that waits for dependents, in the foreground or by letting them go.
pub(crate) fn finish_owner(world: &World, key: &Key) {
    let Some(owner) = world.store.get(key).filter(|owner| object::is_deleting(owner)) else { return };
    let uid = object::uid(&owner);
    let has = |finalizer: &str| list(&owner, "/metadata/finalizers").iter().any(|other| other == finalizer);
    if has(ORPHAN) {
        for (dependent, _) in world.store.owned_by(uid) {
            world.edit(&dependent, Write::by(MANAGER, ""), |object| {
                let owners = object["metadata"]["ownerReferences"].as_array_mut();
                owners.map(|owners| owners.retain(|owner| text(owner, "/uid") != uid)).is_some()
            });
        }
        remove_finalizer(world, key, ORPHAN);
    } else if has(FOREGROUND) {
        let dependents = world.store.owned_by(uid);
        let blocks = |object: &Value| {
            list(object, "/metadata/ownerReferences")
                .iter()
                .any(|owner| text(owner, "/uid") == uid && owner["blockOwnerDeletion"] == true)
        };
        let waits = dependents.iter().any(|(_, object)| blocks(object));
        for (dependent, object) in &dependents {
            let has_own = !world.store.owned_by(object::uid(object)).is_empty();
            delete(world, dependent, object, if has_own { "Foreground" } else { "Background" });
        }
        if !waits {
            remove_finalizer(world, key, FOREGROUND);
        }
    }
}

fn remove_finalizer(world: &World, key: &Key, finalizer: &str) {
    world.edit(key, Write::by(MANAGER, ""), |object| {
        let finalizers = object["metadata"]["finalizers"].as_array_mut();
        finalizers.map(|finalizers| finalizers.retain(|other| other != finalizer)).is_some()
    });
}

fn delete(world: &World, key: &Key, object: &Value, propagation: &str) {
    if object::is_deleting(object) {
        return;
    }
    let deletion = Deletion {
        propagation: propagation.to_owned(),
        uid: Some(object::uid(object).to_owned()),
        ..Deletion::default()
    };
    // Gone meanwhile is as good as deleted.
    let _ = world.store.transaction(|transaction| world.delete(transaction, key, &deletion));
}
