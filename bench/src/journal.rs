//! What happens in a namespace and to the branch, with the moment at which this process heard of it.
//!
//! Conditions of objects carry whole seconds only, so the arrival of the watch's event is the time that counts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::task::JoinSet;

/// The live Service.
pub(crate) const LIVE: &str = "shop";
/// The selector's key and the pods' label.
const COLOUR: &str = "colour";
/// What is waited for longer than that does not come.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often the branch's file is looked at: what a commit's time may be late by.
const BRANCH_LOOK: Duration = Duration::from_millis(1);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A pod of a colour was created.
    PodCreated { uid: String, colour: String },
    /// A pod became ready.
    PodReady { uid: String },
    /// The live Service selects a colour.
    Selects(String),
    /// All ready endpoints of the live Service are of one colour; `None`: there are none, or of both.
    Endpoints(Option<String>),
    /// A generation of a Deployment is rolled out.
    RolledOut { name: String, generation: i64 },
    /// The branch is at a commit.
    Branch(String),
}

impl What {
    /// Whether a generation of a Deployment, or a later one, is rolled out.
    pub(crate) fn is_rolled_out(&self, deployment: &str, wanted: i64) -> bool {
        matches!(self, Self::RolledOut { name, generation } if name == deployment && *generation >= wanted)
    }
}

/// Something that happened, and when this process heard of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) at: Instant,
    pub(crate) what: What,
}

#[derive(Debug, Default)]
struct Seen {
    entries: Vec<Entry>,
    /// The colour of each pod that ever was, by uid.
    colours: BTreeMap<String, String>,
    ready: BTreeMap<String, bool>,
    /// The ready endpoints' pods, by slice.
    slices: BTreeMap<String, Vec<String>>,
    selects: Option<String>,
    endpoints: Option<String>,
}

/// The journal; it is written until it is dropped.
pub(crate) struct Journal {
    seen: Arc<Mutex<Seen>>,
    changed: tokio::sync::watch::Receiver<()>,
    _writers: JoinSet<()>,
}

impl Journal {
    /// Watches a namespace, and the branch's file where there is one.
    pub(crate) fn start(client: &Client, namespace: &str, branch: Option<PathBuf>) -> Self {
        let (sender, changed) = tokio::sync::watch::channel(());
        let (seen, sender) = (Arc::<Mutex<Seen>>::default(), Arc::new(sender));
        let mut writers = JoinSet::new();
        let pen = Pen { seen: Arc::clone(&seen), changed: sender };
        writers.spawn(write::<Pod>(Api::namespaced(client.clone(), namespace), pen.clone(), Seen::pod));
        writers.spawn(write::<Service>(Api::namespaced(client.clone(), namespace), pen.clone(), Seen::service));
        writers.spawn(write::<EndpointSlice>(Api::namespaced(client.clone(), namespace), pen.clone(), Seen::slice));
        writers.spawn(write::<Deployment>(Api::namespaced(client.clone(), namespace), pen.clone(), Seen::deployment));
        if let Some(branch) = branch {
            writers.spawn(write_branch(branch, pen));
        }
        Self { seen, changed, _writers: writers }
    }

    /// The first entry since a moment that is as wished, waited for.
    ///
    /// # Errors
    /// It does not come.
    pub(crate) async fn first(
        &self,
        what: &str,
        since: Instant,
        wished: impl Fn(&What) -> bool,
    ) -> anyhow::Result<Instant> {
        let mut changed = self.changed.clone();
        let work = async {
            loop {
                changed.mark_unchanged();
                let found = self.since(since).into_iter().find(|entry| wished(&entry.what));
                if let Some(entry) = found {
                    return Ok(entry.at);
                }
                changed.changed().await.context("nobody watches the cluster any more")?;
            }
        };
        tokio::time::timeout(WAIT_MAX, work).await.with_context(|| format!("{what} did not happen"))?
    }

    /// Everything since a moment.
    pub(crate) fn since(&self, since: Instant) -> Vec<Entry> {
        let seen = lock(&self.seen);
        let start = seen.entries.partition_point(|entry| entry.at < since);
        seen.entries.get(start..).unwrap_or_default().to_vec()
    }

    /// From the first pod of a colour that was created since a moment to the last of those that became ready before
    /// another: the pods' own start.
    ///
    /// # Errors
    /// There were none.
    pub(crate) fn pods_start(&self, colour: &str, from: Instant, to: Instant) -> anyhow::Result<(Instant, Instant)> {
        let entries = self.since(from);
        let of_colour = |what: &What| matches!(what, What::PodCreated { colour: one, .. } if one == colour);
        let created: Vec<&Entry> = entries.iter().filter(|entry| of_colour(&entry.what)).collect();
        let mine = |uid: &String| {
            created.iter().any(|entry| matches!(&entry.what, What::PodCreated { uid: one, .. } if one == uid))
        };
        let ready = entries
            .iter()
            .filter(|entry| entry.at <= to && matches!(&entry.what, What::PodReady { uid } if mine(uid)))
            .map(|entry| entry.at)
            .max();
        let first = created.iter().map(|entry| entry.at).min();
        first.zip(ready).with_context(|| format!("no new pod of {colour} became ready"))
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
struct Pen {
    seen: Arc<Mutex<Seen>>,
    changed: Arc<tokio::sync::watch::Sender<()>>,
}

impl Pen {
    fn write(&self, change: impl FnOnce(&mut Seen, Instant)) {
        let now = Instant::now();
        change(&mut lock(&self.seen), now);
        self.changed.send_replace(());
    }
}

async fn write<K>(api: Api<K>, pen: Pen, note: fn(&mut Seen, Instant, &K, bool))
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
    K::DynamicType: Default + Clone,
{
    let events = watcher(api, watcher::Config::default()).default_backoff();
    futures::pin_mut!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                pen.write(|seen, now| note(seen, now, &object, true));
            }
            Ok(watcher::Event::Delete(object)) => pen.write(|seen, now| note(seen, now, &object, false)),
            Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
            Err(error) => eprintln!("a watch broke and is opened again: {error}"),
        }
    }
}

async fn write_branch(file: PathBuf, pen: Pen) {
    let mut last = String::new();
    loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if text != last && !text.is_empty() {
            pen.write(|seen, now| seen.note(now, What::Branch(text.trim().to_owned())));
            last = text;
        }
        tokio::time::sleep(BRANCH_LOOK).await;
    }
}

impl Seen {
    fn note(&mut self, at: Instant, what: What) {
        self.entries.push(Entry { at, what });
    }

    fn pod(&mut self, now: Instant, pod: &Pod, exists: bool) {
        let Some(uid) = pod.metadata.uid.clone() else { return };
        let colour = pod.metadata.labels.as_ref().and_then(|all| all.get(COLOUR)).cloned().unwrap_or_default();
        if self.colours.insert(uid.clone(), colour.clone()).is_none() {
            self.note(now, What::PodCreated { uid: uid.clone(), colour });
        }
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let ready = exists && conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True");
        let before = self.ready.insert(uid.clone(), ready);
        if ready && before != Some(true) {
            self.note(now, What::PodReady { uid });
        }
        self.endpoints_now(now);
    }

    fn service(&mut self, now: Instant, service: &Service, _exists: bool) {
        if service.metadata.name.as_deref() != Some(LIVE) {
            return;
        }
        let selects = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()?.get(COLOUR)).cloned();
        if let Some(colour) = selects.clone().filter(|_| selects != self.selects) {
            self.note(now, What::Selects(colour));
        }
        self.selects = selects;
    }

    fn slice(&mut self, now: Instant, slice: &EndpointSlice, exists: bool) {
        let service = slice.metadata.labels.as_ref().and_then(|all| all.get("kubernetes.io/service-name"));
        if service.map(String::as_str) != Some(LIVE) {
            return;
        }
        let ready = slice.endpoints.iter().filter(|one| {
            // Absent counts as true, as in Kubernetes.
            exists && one.conditions.as_ref().is_none_or(|conditions| conditions.ready.unwrap_or(true))
        });
        let pods = ready.filter_map(|one| one.target_ref.as_ref()?.uid.clone()).collect();
        self.slices.insert(slice.metadata.name.clone().unwrap_or_default(), pods);
        self.endpoints_now(now);
    }

    /// Pods and slices come over two watches, so that either may be the one that settles it.
    fn endpoints_now(&mut self, now: Instant) {
        let mut colours = self.slices.values().flatten().map(|uid| self.colours.get(uid).cloned());
        let first = colours.next().flatten();
        let one = first.filter(|first| colours.all(|colour| colour.as_ref() == Some(first)));
        if one != self.endpoints {
            self.endpoints.clone_from(&one);
            self.note(now, What::Endpoints(one));
        }
    }

    fn deployment(&mut self, now: Instant, deployment: &Deployment, exists: bool) {
        let (Some(name), Some(generation)) = (deployment.metadata.name.clone(), deployment.metadata.generation) else {
            return;
        };
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
        let status = deployment.status.clone().unwrap_or_default();
        let numbers = [status.replicas, status.updated_replicas, status.available_replicas];
        if exists && status.observed_generation == Some(generation) && numbers.iter().all(|number| *number == wanted) {
            self.note(now, What::RolledOut { name, generation });
        }
    }
}
