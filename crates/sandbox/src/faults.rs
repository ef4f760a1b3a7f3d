//! What a test can break while the sandbox runs.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use crate::store::{Snapshot, Store};

/// Pod faults that a slow reader may fall behind; each reader is a container that looks at once.
const POD_FAULTS_QUEUED_MAX: usize = 64;

/// What a request wants, as RBAC names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// One object.
    Get,
    /// All of a kind.
    List,
    /// The changes of a kind.
    Watch,
    /// A new object.
    Create,
    /// An object replaced.
    Update,
    /// An object patched, server-side apply included.
    Patch,
    /// An object deleted.
    Delete,
    /// All of a kind deleted.
    DeleteCollection,
}

/// What happens to a request that a rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is answered, later.
    Delay(Duration),
    /// It is not done, and answered with this status.
    Status(u16),
    /// It is not done and never answered.
    Hang,
    /// It is not done, and the connection is cut.
    Cut,
    /// It is done, and the connection is cut before the answer.
    LoseReply,
}

/// Which requests are hit, how, and how often.
#[derive(Clone, Debug)]
pub struct Rule {
    /// This verb, or any.
    pub verb: Option<Verb>,
    /// This resource by its plural (`services`), or any.
    pub resource: Option<String>,
    /// The object of this name, or any.
    pub name: Option<String>,
    /// What happens.
    pub effect: Effect,
    /// How often; `None` until it is cleared.
    pub times: Option<u32>,
}

impl Rule {
    /// A rule that hits every request until it is cleared.
    pub fn new(effect: Effect) -> Self {
        Rule { verb: None, resource: None, name: None, effect, times: None }
    }

    /// Only requests with this verb.
    #[must_use]
    pub fn verb(mut self, verb: Verb) -> Self {
        self.verb = Some(verb);
        self
    }

    /// Only requests for this resource, by its plural.
    #[must_use]
    pub fn resource(mut self, plural: impl Into<String>) -> Self {
        self.resource = Some(plural.into());
        self
    }

    /// Only requests for the object of this name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only the next so many requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
}

/// Names a rule, to clear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId(u64);

/// Something that befalls a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PodFault {
    /// Its processes are killed.
    Kill,
    /// Its readiness is to be looked at again.
    Look,
}

/// The switches; all effects are immediate.
pub struct Faults {
    rules: Mutex<Rules>,
    frozen: watch::Sender<bool>,
    /// Grows whenever all connections of the API are to be dropped.
    restarts: watch::Sender<u64>,
    /// Grows whenever all watches are to be ended.
    watch_cuts: watch::Sender<u64>,
    stale: Mutex<Option<Arc<Snapshot>>>,
    unready: Mutex<HashSet<(String, String)>>,
    pods: broadcast::Sender<(String, String, PodFault)>,
    store: Arc<Store>,
}

#[derive(Default)]
struct Rules {
    next: u64,
    rules: Vec<(RuleId, Rule)>,
    hits: u64,
}

impl Faults {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Faults {
            rules: Mutex::default(),
            frozen: watch::Sender::new(false),
            restarts: watch::Sender::new(0),
            watch_cuts: watch::Sender::new(0),
            stale: Mutex::default(),
            unready: Mutex::default(),
            pods: broadcast::Sender::new(POD_FAULTS_QUEUED_MAX),
            store,
        }
    }

    /// Adds a rule; rules are tried in the order they were added, and the first that matches counts.
    pub fn inject(&self, rule: Rule) -> RuleId {
        let mut rules = lock(&self.rules);
        rules.next += 1;
        let id = RuleId(rules.next);
        rules.rules.push((id, rule));
        id
    }

    /// Takes a rule away.
    pub fn clear(&self, id: RuleId) {
        lock(&self.rules).rules.retain(|(other, _)| *other != id);
    }

    /// Everything is well again: no rules, no freeze, fresh lists, no pod held unready.
    pub fn clear_all(&self) {
        lock(&self.rules).rules.clear();
        self.thaw();
        self.fresh_lists();
        let unready: Vec<_> = lock(&self.unready).drain().collect();
        for (namespace, name) in unready {
            self.tell(&namespace, &name, PodFault::Look);
        }
    }

    /// How many requests were hit by a rule so far.
    pub fn hits(&self) -> u64 {
        lock(&self.rules).hits
    }

    /// From now on the API answers nobody; watches stay silent.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// The API answers again, also what was asked while it was frozen.
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    /// All connections of the API break, as in a restart; the objects stay.
    pub fn restart_api(&self) {
        self.restarts.send_modify(|count| *count += 1);
    }

    /// All watches break off; other requests go on.
    pub fn cut_watches(&self) {
        self.watch_cuts.send_modify(|count| *count += 1);
    }

    /// The log of changes is forgotten: watches that resume from an old version get 410 Gone.
    pub fn forget_changes(&self) {
        self.store.compact();
    }

    /// From now on lists show the objects as they are at this moment.
    pub fn stale_lists(&self) {
        *lock(&self.stale) = Some(Arc::new(self.store.snapshot()));
    }

    /// Lists are fresh again.
    pub fn fresh_lists(&self) {
        *lock(&self.stale) = None;
    }

    /// Kills a pod's processes; they are restarted as after a crash.
    pub fn kill_pod(&self, namespace: &str, name: &str) {
        self.tell(namespace, name, PodFault::Kill);
    }

    /// Lets a pod's readiness fail, or goes by its probe again.
    pub fn make_unready(&self, namespace: &str, name: &str, unready: bool) {
        let pod = (namespace.to_owned(), name.to_owned());
        if unready {
            lock(&self.unready).insert(pod);
        } else {
            lock(&self.unready).remove(&pod);
        }
        self.tell(namespace, name, PodFault::Look);
    }

    /// The effect on a request, counted.
    pub(crate) fn effect(&self, verb: Verb, resource: &str, name: &str) -> Option<Effect> {
        let mut rules = lock(&self.rules);
        let fits = |rule: &Rule| {
            rule.verb.is_none_or(|wanted| wanted == verb)
                && rule.resource.as_deref().is_none_or(|wanted| wanted == resource)
                && rule.name.as_deref().is_none_or(|wanted| wanted == name)
        };
        let at = rules.rules.iter().position(|(_, rule)| fits(rule))?;
        let effect = rules.rules[at].1.effect.clone();
        if let Some(times) = &mut rules.rules[at].1.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                rules.rules.remove(at);
            }
        }
        rules.hits += 1;
        Some(effect)
    }

    pub(crate) async fn thawed(&self) {
        // The sender lives as long as this, so waiting can't fail.
        let _ = self.frozen.subscribe().wait_for(|frozen| !*frozen).await;
    }

    pub(crate) fn restarts(&self) -> watch::Receiver<u64> {
        self.restarts.subscribe()
    }

    pub(crate) fn watch_cuts(&self) -> watch::Receiver<u64> {
        self.watch_cuts.subscribe()
    }

    /// The old state that lists are to show.
    pub(crate) fn stale(&self) -> Option<Arc<Snapshot>> {
        lock(&self.stale).clone()
    }

    pub(crate) fn is_unready(&self, namespace: &str, name: &str) -> bool {
        lock(&self.unready).contains(&(namespace.to_owned(), name.to_owned()))
    }

    pub(crate) fn pods(&self) -> broadcast::Receiver<(String, String, PodFault)> {
        self.pods.subscribe()
    }

    fn tell(&self, namespace: &str, name: &str, fault: PodFault) {
        // Nobody listens when no pod runs.
        let _ = self.pods.send((namespace.to_owned(), name.to_owned(), fault));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
