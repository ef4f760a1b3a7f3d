//! The facts of one look, with the questions that the rules ask of them.

use crate::core::action::{ColourGuard, ServiceGuard};
use crate::core::colour::Colour;
use crate::core::desired::{Desired, Role, SelectorChange};
use crate::core::ids::{CommitId, ObjectKey};
use crate::core::lock::{Pin, PinState};
use crate::core::observed::{ColourState, Observed, Record, ServiceState};
use crate::core::policy::Policy;
use crate::core::verdict::Verdict;
use crate::core::workload::WorkloadKind;

/// One look at one app.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    pub(super) policy: &'a Policy,
}

impl<'a> View<'a> {
    pub(super) fn revision(&self) -> &'a CommitId {
        &self.desired.revision
    }

    pub(super) fn head(&self) -> &'a CommitId {
        &self.desired.head
    }

    pub(super) fn state(&self, colour: Colour) -> &'a ColourState {
        &self.observed.colours[colour]
    }

    pub(super) fn record(&self, colour: Colour) -> Option<&'a Record> {
        self.state(colour).record.as_ref()
    }

    /// The colour's pin in HEAD's lock.
    pub(super) fn pin(&self, colour: Colour) -> Option<&'a Pin> {
        self.desired.lock.pins[colour].as_ref()
    }

    /// The colour's pin, if it says that it took traffic.
    pub(super) fn released_pin(&self, colour: Colour) -> Option<&'a Pin> {
        self.pin(colour).filter(|pin| pin.state == PinState::Released)
    }

    /// Whether a pin's commit can be found and rendered.
    pub(super) fn is_reachable(&self, pin: &Pin) -> bool {
        self.desired.renders.contains_key(&pin.revision)
    }

    pub(super) fn newest(&self, revision: &CommitId) -> Option<Verdict> {
        self.desired.verdicts.newest(revision)
    }

    /// Whether HEAD's lock holds the rejection of this revision.
    pub(super) fn stands_rejected(&self, revision: &CommitId) -> bool {
        self.desired.lock.rejected.as_ref().is_some_and(|rejection| rejection.revision == *revision)
    }

    /// How often a revision was rejected: each time it is tried again is a new attempt with a new deadline, and its
    /// checks start from nothing.
    pub(super) fn rejections(&self, revision: &CommitId) -> usize {
        let entries = self.desired.verdicts.entries().iter();
        entries.filter(|entry| entry.revision == *revision && entry.verdict == Verdict::Rejected).count()
    }

    /// The attempt to bring a revision up.
    pub(super) fn attempt(&self, revision: &CommitId) -> String {
        format!("{revision}#{}", self.rejections(revision))
    }

    /// Whether a colour carries the content of a commit, whole.
    pub(super) fn carries(&self, colour: Colour, commit: &CommitId) -> bool {
        let same =
            self.record(colour).is_some_and(|record| self.desired.same_content(&record.revision, commit, colour));
        same && self.missing(colour, commit).is_empty()
    }

    /// Objects of the colour's render at a commit that are not in the cluster. Secrets are never listed (I6), so the
    /// inventory's word is taken for them.
    pub(super) fn missing(&self, colour: Colour, commit: &CommitId) -> Vec<&'a ObjectKey> {
        let state = self.state(colour);
        let Some(render) = self.desired.render(commit, colour) else {
            return Vec::new();
        };
        let there = |key: &ObjectKey| state.present.contains(key) || (key.is_secret() && state.inventory.contains(key));
        // A Job that is gone from a colour that takes or took traffic has done its work: it is not done twice.
        let served = state.record.as_ref().is_some_and(|record| record.in_use)
            || self.observed.live().any(|service| service.selects.as_deref() == Some(colour.as_str()));
        let done = |key: &ObjectKey| served && key.is_kind(WorkloadKind::Job);
        render.objects.iter().filter(|key| !there(key) && !done(key)).collect()
    }

    /// What must still be so when a colour that is not in use is written.
    pub(super) fn guard(&self, colour: Colour) -> ColourGuard {
        ColourGuard {
            services: self.live_guards(),
            workloads: self
                .state(colour)
                .workloads
                .iter()
                .map(|workload| (workload.key.clone(), workload.resource_version.clone()))
                .collect(),
        }
    }

    pub(super) fn live_guards(&self) -> Vec<ServiceGuard> {
        self.observed.live().map(service_guard).collect()
    }

    pub(super) fn service(&self, name: &str) -> Option<&'a ServiceState> {
        self.observed.services.iter().find(|service| service.name == name)
    }

    pub(super) fn selector_change(&self) -> Option<&'a SelectorChange> {
        self.desired.selector_change.as_ref()
    }

    /// The names of the live overlay's Services of one role at HEAD.
    pub(super) fn service_names(&self, role: Role) -> impl Iterator<Item = &'a str> {
        let objects = self.desired.overlay(self.head()).iter();
        objects.filter(move |object| object.role == role).map(|object| object.key.name.as_str())
    }
}

pub(super) fn service_guard(service: &ServiceState) -> ServiceGuard {
    ServiceGuard {
        name: service.name.clone(),
        resource_version: service.resource_version.clone(),
        selects: service.selects.clone(),
    }
}
