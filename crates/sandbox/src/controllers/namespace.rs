//! Namespaces: what each comes with, and emptying those that are deleted.

use serde_json::json;

use crate::controllers::MANAGER;
use crate::object;
use crate::resources::{CONFIG_MAPS, RESOURCES, SERVICE_ACCOUNTS};
use crate::store::Key;
use crate::world::World;
use crate::writes::{Deletion, Write};

/// Gives a new namespace its service account, and ends a deleted one once it is empty.
pub(crate) fn sync(world: &World, key: &Key) {
    let Some(namespace) = world.store.get(key) else { return };
    if object::is_deleting(&namespace) {
        empty(world, key);
        return;
    }
    let account = json!({"metadata": {"name": "default", "namespace": key.name}});
    let authority = json!({
        "metadata": {"name": "kube-root-ca.crt", "namespace": key.name},
        "data": {"ca.crt": ""},
    });
    for (resource, object) in [(*SERVICE_ACCOUNTS, account), (*CONFIG_MAPS, authority)] {
        if world.store.get(&Key::new(resource, key.name.clone(), object::name(&object))).is_none() {
            // A namespace that is deleted meanwhile needs none.
            let _ = world
                .store
                .transaction(|transaction| world.create(transaction, resource, object, Write::by(MANAGER, "")));
        }
    }
}

fn empty(world: &World, key: &Key) {
    let mut is_empty = true;
    for resource in RESOURCES.iter().filter(|resource| resource.namespaced) {
        let (_, objects) = world.store.list(resource, Some(&key.name));
        for object in objects {
            is_empty = false;
            if !object::is_deleting(&object) {
                let object = Key::of(resource, &object);
                // Gone meanwhile is as good as deleted.
                let _ = world.store.transaction(|transaction| world.delete(transaction, &object, &Deletion::default()));
            }
        }
    }
    if is_empty {
        world.edit(key, Write::by(MANAGER, "finalize"), |namespace| {
            namespace["spec"]["finalizers"] = json!([]);
            true
        });
    }
}
