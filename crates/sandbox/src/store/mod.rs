//! The objects, their versions, and the log of changes that watches read.

mod bells;
mod log;
mod selector;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

pub(crate) use bells::Scope;
pub(crate) use selector::{FieldSelector, LabelSelector};

use bells::Bells;
use log::Log;

use crate::object;
use crate::resources::{RESOURCES, Resource};

/// Where an object lies.
#[derive(Clone, Copy)]
pub(crate) struct Kind(pub(crate) &'static Resource);

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Kind {}

impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Kind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self.0).hash(state);
    }
}

impl Ord for Kind {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        std::ptr::from_ref(self.0).cmp(&std::ptr::from_ref(other.0))
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.plural)
    }
}

/// An object's identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(resource: &'static Resource, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Key { kind: Kind(resource), namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object of this kind.
    pub(crate) fn of(resource: &'static Resource, object: &Value) -> Self {
        Key::new(resource, object::namespace(object), object::name(object))
    }

    pub(crate) fn resource(&self) -> &'static Resource {
        self.kind.0
    }
}

/// One change: created (no old), changed, or deleted (no new; `old` then carries the version of the deletion).
#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: Key,
    pub(crate) old: Option<Arc<Value>>,
    pub(crate) new: Option<Arc<Value>>,
}

type Objects = BTreeMap<(String, String), Arc<Value>>;

/// All objects at one moment.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) version: u64,
    objects: Vec<Objects>,
}

impl Snapshot {
    /// The objects of a kind, in one namespace or in all, ordered by namespace and name.
    pub(crate) fn list(&self, resource: &'static Resource, namespace: Option<&str>) -> Vec<Arc<Value>> {
        list(&self.objects, resource, namespace)
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        get(&self.objects, key)
    }
}

struct Inner {
    version: u64,
    objects: Vec<Objects>,
    log: Log,
    /// Objects by the uid of each of their owners.
    owned: HashMap<String, BTreeSet<Key>>,
}

/// The store; every write is a transaction under one lock, which is held for microseconds.
pub(crate) struct Store {
    inner: Mutex<Inner>,
    bells: Bells,
}

impl Store {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            version: 1,
            objects: RESOURCES.iter().map(|_| Objects::new()).collect(),
            log: Log::default(),
            owned: HashMap::new(),
        };
        Store { inner: Mutex::new(inner), bells: Bells::default() }
    }

    /// Runs `work` alone on the store; nobody sees what it writes before it ends.
    pub(crate) fn transaction<T>(&self, work: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
        let mut transaction = Transaction { inner: self.lock(), touched: Vec::new() };
        let result = work(&mut transaction);
        let touched = std::mem::take(&mut transaction.touched);
        drop(transaction);
        if !touched.is_empty() {
            self.bells.ring(&touched);
        }
        result
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        get(&self.lock().objects, key)
    }

    /// The objects of a kind, and the version of this list.
    pub(crate) fn list(&self, resource: &'static Resource, namespace: Option<&str>) -> (u64, Vec<Arc<Value>>) {
        let inner = self.lock();
        (inner.version, list(&inner.objects, resource, namespace))
    }

    /// The objects that name this uid as an owner.
    pub(crate) fn owned_by(&self, uid: &str) -> Vec<(Key, Arc<Value>)> {
        let inner = self.lock();
        let keys = inner.owned.get(uid).into_iter().flatten();
        keys.filter_map(|key| Some((key.clone(), get(&inner.objects, key)?))).collect()
    }

    /// All objects now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        Snapshot { version: inner.version, objects: inner.objects.clone() }
    }

    /// The newest version.
    pub(crate) fn version(&self) -> u64 {
        self.lock().version
    }

    /// The changes after a version, oldest first, or `None` when some of them are forgotten.
    pub(crate) fn changes_after(&self, version: u64) -> Option<Vec<Change>> {
        self.lock().log.after(version).map(|changes| changes.cloned().collect())
    }

    /// The changes of a kind after a version, in one namespace or in all, and the newest version; `None` when some of them
    /// are forgotten.
    pub(crate) fn changes_of(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
        version: u64,
    ) -> Option<(u64, Vec<Change>)> {
        let inner = self.lock();
        let changes = inner.log.after_about(&(Kind(resource), namespace.map(str::to_owned)), version)?;
        Some((inner.version, changes))
    }

    /// Forgets the log, as an API server does that restarts with a compacted store.
    pub(crate) fn compact(&self) {
        let mut inner = self.lock();
        let version = inner.version;
        inner.log.compact(version);
    }

    /// Tells of changes from now on: ask for those before after this.
    pub(crate) fn listen(&self, scope: Scope) -> watch::Receiver<()> {
        self.bells.listen(scope)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The store while one writer has it for itself.
pub(crate) struct Transaction<'a> {
    inner: MutexGuard<'a, Inner>,
    touched: Vec<Key>,
}

impl Transaction<'_> {
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        get(&self.inner.objects, key)
    }

    /// The objects of a kind in one namespace; it is empty for those of the whole cluster.
    pub(crate) fn list(&self, resource: &'static Resource, namespace: &str) -> Vec<Arc<Value>> {
        list(&self.inner.objects, resource, Some(namespace))
    }

    /// Stores an object under a new resourceVersion, and answers with it as stored.
    pub(crate) fn put(&mut self, key: &Key, mut object: Value) -> Arc<Value> {
        let version = self.stamp(&mut object);
        let new = Arc::new(object);
        let place = (key.namespace.clone(), key.name.clone());
        let old = self.inner.objects[key.resource().index()].insert(place, Arc::clone(&new));
        if let Some(old) = &old {
            self.unlink(key, old);
        }
        for owner in owners(&new) {
            self.inner.owned.entry(owner).or_default().insert(key.clone());
        }
        self.log(Change { version, key: key.clone(), old, new: Some(Arc::clone(&new)) });
        new
    }

    /// Removes an object; its last state, under the version of its removal, goes to the log.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let place = (key.namespace.clone(), key.name.clone());
        let old = self.inner.objects[key.resource().index()].remove(&place)?;
        self.unlink(key, &old);
        let mut last = Value::clone(&old);
        let version = self.stamp(&mut last);
        let last = Arc::new(last);
        self.log(Change { version, key: key.clone(), old: Some(Arc::clone(&last)), new: None });
        Some(last)
    }

    fn stamp(&mut self, object: &mut Value) -> u64 {
        self.inner.version += 1;
        object::child(object, "metadata")["resourceVersion"] = Value::from(self.inner.version.to_string());
        self.inner.version
    }

    fn unlink(&mut self, key: &Key, old: &Value) {
        for owner in owners(old) {
            if let Some(owned) = self.inner.owned.get_mut(&owner) {
                owned.remove(key);
                if owned.is_empty() {
                    self.inner.owned.remove(&owner);
                }
            }
        }
    }

    fn log(&mut self, change: Change) {
        self.touched.push(change.key.clone());
        self.inner.log.push(change);
    }
}

fn get(objects: &[Objects], key: &Key) -> Option<Arc<Value>> {
    // The tuple of owned strings is what a BTreeMap of tuples can be asked for; two short copies cost less than a second map.
    objects[key.resource().index()].get(&(key.namespace.clone(), key.name.clone())).map(Arc::clone)
}

fn list(objects: &[Objects], resource: &'static Resource, namespace: Option<&str>) -> Vec<Arc<Value>> {
    let all = &objects[resource.index()];
    match namespace {
        None => all.values().map(Arc::clone).collect(),
        Some(namespace) => all
            .range((namespace.to_owned(), String::new())..)
            .take_while(|((at, _), _)| at == namespace)
            .map(|(_, object)| Arc::clone(object))
            .collect(),
    }
}

fn owners(object: &Value) -> impl Iterator<Item = String> {
    object::list(object, "/metadata/ownerReferences")
        .iter()
        .filter_map(|owner| owner["uid"].as_str())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::{CONFIG_MAPS, PODS};

    fn put(store: &Store, resource: &'static Resource, namespace: &str, name: &str) -> u64 {
        let key = Key::new(resource, namespace, name);
        store.transaction(|transaction| transaction.put(&key, json!({"metadata": {"name": name}})));
        store.version()
    }

    fn names(changes: Option<(u64, Vec<Change>)>) -> Option<Vec<String>> {
        Some(changes?.1.into_iter().map(|change| change.key.name).collect())
    }

    #[test]
    fn a_watch_is_too_old_only_if_something_of_its_own_is_forgotten() {
        let store = Store::new();
        let start = store.version();
        put(&store, *CONFIG_MAPS, "quiet", "a");
        put(&store, *PODS, "busy", "first");
        let middle = store.version();
        for _ in 0..log::LOG_CHANGES_MAX {
            put(&store, *PODS, "busy", "p");
        }
        let late = put(&store, *CONFIG_MAPS, "quiet", "b") - 1;
        assert!(store.changes_after(middle).is_none());
        assert!(store.changes_after(late).is_some_and(|changes| changes.len() == 1));
        assert_eq!(names(store.changes_of(*PODS, Some("busy"), start)), None);
        assert_eq!(names(store.changes_of(*PODS, None, start)), None);
        assert_eq!(names(store.changes_of(*PODS, Some("quiet"), start)), Some(Vec::new()));
        assert_eq!(names(store.changes_of(*CONFIG_MAPS, Some("quiet"), start)), None, "`a` is forgotten");
        assert_eq!(names(store.changes_of(*CONFIG_MAPS, Some("quiet"), middle)), Some(vec!["b".to_owned()]));
        store.compact();
        assert_eq!(names(store.changes_of(*PODS, Some("quiet"), late)), None);
        assert_eq!(names(store.changes_of(*PODS, Some("quiet"), store.version())), Some(Vec::new()));
    }

    #[test]
    fn whoever_listens_hears_what_may_concern_him() {
        let store = Store::new();
        let of = |scope| store.listen(scope);
        let mut bells = [
            of(Scope::Everything),
            of(Scope::of(*PODS, None)),
            of(Scope::of(*PODS, Some("a"))),
            of(Scope::of(*PODS, Some("b"))),
            of(Scope::Object(Key::new(*PODS, "a", "one"))),
            of(Scope::Object(Key::new(*PODS, "a", "two"))),
            of(Scope::of(*CONFIG_MAPS, Some("a"))),
        ];
        put(&store, *PODS, "a", "one");
        let rang = bells
            .each_mut()
            .map(|bell| std::mem::replace(&mut *bell, of(Scope::Everything)).has_changed().expect("open"));
        assert_eq!(rang, [true, true, true, false, true, false, false]);
        // Nobody listens any more: the next one who does is heard of all the same.
        put(&store, *PODS, "a", "one");
        let bell = of(Scope::Object(Key::new(*PODS, "a", "one")));
        put(&store, *PODS, "a", "one");
        assert!(bell.has_changed().expect("open"));
    }
}
