//! Who is told of a change: those whom it may concern. A cluster has a watch for each kind and namespace and a task for each
//! pod, and waking all of them for every change is what made thousands of objects slow.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::{Key, Kind};
use crate::resources::Resource;

/// Which changes somebody wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// All.
    Everything,
    /// Those of a kind, in one namespace or in all.
    Kind(Kind, Option<String>),
    /// Those of one object.
    Object(Key),
}

impl Scope {
    /// The changes of a kind, in one namespace or in all.
    pub(crate) fn of(resource: &'static Resource, namespace: Option<&str>) -> Self {
        Scope::Kind(Kind(resource), namespace.map(str::to_owned))
    }

    /// Everybody whom a change of an object may concern.
    fn around(key: &Key) -> [Self; 4] {
        let namespace = key.namespace.clone();
        [Self::Everything, Self::Kind(key.kind, None), Self::Kind(key.kind, Some(namespace)), Self::Object(key.clone())]
    }
}

/// A scope that nobody listens to has no bell.
#[derive(Default)]
pub(super) struct Bells(Mutex<HashMap<Scope, watch::Sender<()>>>);

impl Bells {
    /// Hears of changes from now on.
    pub(super) fn listen(&self, scope: Scope) -> watch::Receiver<()> {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bells.entry(scope).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Tells of changed objects.
    pub(super) fn ring(&self, touched: &[Key]) {
        let scopes: HashSet<Scope> = touched.iter().flat_map(Scope::around).collect();
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for scope in scopes {
            if let Some(bell) = bells.get(&scope) {
                bell.send_replace(());
                if bell.receiver_count() == 0 {
                    bells.remove(&scope);
                }
            }
        }
    }
}
