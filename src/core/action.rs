//! What the executor may do. Each action carries its guards and everything it needs; the executor chooses nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::colour::{ByColour, Colour};
use super::desired::Bounds;
use super::ids::{CommitId, ObjectKey};
use super::lock::{Pin, Rejection};
use super::observed::{CheckKey, FlipRecord, Record, WatchState};
use super::text::OneLine;
use super::verdict::Entry;

/// One thing to do. Actions of one plan touch different objects and are done in order, until one fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Applies objects of the live overlay: shared ones before a candidate, all of them at a first release, routing
    /// ones when nothing is wanted.
    ApplyOverlay(ApplyOverlay),
    /// Notes on the live overlay's Services what is about to be applied beside them, so that it can be pruned one day. It
    /// moves their resource versions: nothing else of the plan is done after it.
    NoteInventory(Inventory),
    /// Deletes objects that the live overlay has dropped, and takes them out of its inventory. As [`Action::NoteInventory`],
    /// it ends its plan.
    PruneOverlay {
        /// What is deleted.
        objects: BTreeSet<ObjectKey>,
        /// What is left, and where it is noted.
        left: Inventory,
    },
    /// Applies a colour's overlay, all of it, and writes the record on its workloads.
    Deploy(Deploy),
    /// Scales the workloads of a colour that is up or down, and starts its deadline anew.
    Scale(Scale),
    /// Starts a colour's deadline for a new attempt, or for its EndpointSlices.
    Stamp(Stamp),
    /// Marks the workloads of a colour that is about to take traffic, so that a stale write to it conflicts.
    MarkInUse {
        /// The colour.
        colour: Colour,
        /// Now: its deadline starts anew, because a written workload is not ready until its controller has seen that.
        at: Timestamp,
        /// What must still be so.
        guard: ColourGuard,
    },
    /// Takes over objects that somebody else applied, as they stand (rule 12).
    Adopt(Adopt),
    /// Creates again what is missing of the colour in use, from its pin (rule 7).
    Recreate {
        /// The colour.
        colour: Colour,
        /// The pin's revision.
        render: CommitId,
        /// What is missing.
        objects: BTreeSet<ObjectKey>,
        /// The record that its workloads get.
        record: Record,
    },
    /// Applies new sizes in place (rule 7): size is no release.
    Resize {
        /// The colour.
        colour: Colour,
        /// Each workload's new `spec.replicas`.
        sizes: Vec<Size>,
        /// Each autoscaler's new bounds.
        bounds: Vec<NewBounds>,
        /// The resource versions of what is written.
        versions: BTreeMap<ObjectKey, String>,
    },
    /// Lets the CronJobs of the serving colour run, after those of the other colour were suspended: never both.
    Schedules(Schedules),
    /// Deletes objects of the idle colour that nothing refers to any more.
    Prune {
        /// The colour.
        colour: Colour,
        /// What is deleted.
        objects: BTreeSet<ObjectKey>,
        /// What must still be so.
        guard: ColourGuard,
    },
    /// Points the preview Services at the idle colour.
    PointPreviews {
        /// Which, as they were seen.
        services: Vec<ServiceGuard>,
        /// The colour.
        to: Colour,
    },
    /// Starts checks, also where there is an older result of the same key; the new results come back with the next
    /// observation.
    Check {
        /// Which.
        keys: Vec<CheckKey>,
    },
    /// Commits to the watched branch.
    Commit(Commit),
    /// Switches the live Services by compare-and-swap.
    Switch(Switch),
    /// Writes on the live Services how the watch ended.
    EndWatch {
        /// Which, as they were seen.
        services: Vec<ServiceGuard>,
        /// The record with its end.
        record: FlipRecord,
    },
}

/// See [`Action::ApplyOverlay`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyOverlay {
    /// The commit whose live overlay is applied.
    pub render: CommitId,
    /// Which of its objects.
    pub objects: Vec<ObjectKey>,
    /// The colour that its live Services get.
    pub live: Colour,
    /// The colour that its preview Services get.
    pub preview: Colour,
    /// Live Services that exist, as they were seen.
    pub services: Vec<ServiceGuard>,
    /// What its Services note: see [`Inventory::objects`]. They come first among the objects.
    pub inventory: BTreeSet<ObjectKey>,
}

/// The live overlay's inventory and the Services that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// The live and preview Services, as they were seen: each holds all of it.
    pub services: Vec<ServiceGuard>,
    /// Everything that was applied for the live overlay, or is about to be: what a later prune may delete.
    pub objects: BTreeSet<ObjectKey>,
}

/// See [`Action::Deploy`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deploy {
    /// The colour that is written.
    pub colour: Colour,
    /// The commit whose overlay is applied.
    pub render: CommitId,
    /// What its workloads say they carry from then on.
    pub record: Record,
    /// `spec.replicas` of each workload; workloads that are not listed keep the manifest's. CronJobs with 0 are held.
    pub sizes: Vec<Size>,
    /// Workloads whose `spec.replicas` is left out of the apply, because an autoscaler owns it.
    pub autoscaled: BTreeSet<ObjectKey>,
    /// Jobs that are deleted first, because a Job's template cannot change or because it has failed.
    pub renew: Vec<(ObjectKey, String)>,
    /// Workloads that are written before the others: connections that clients keep to the colour end at their pods.
    pub fronts: BTreeSet<ObjectKey>,
    /// Everything that was ever applied to the colour, this deploy included: what a later prune may delete.
    pub inventory: BTreeSet<ObjectKey>,
    /// What must still be so.
    pub guard: ColourGuard,
}

/// See [`Action::Adopt`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopt {
    /// The objects.
    pub objects: Vec<Adoption>,
    /// What the workloads of a colour carry, where that is known.
    pub record: Option<(Colour, Record)>,
    /// All objects of that colour: what a later prune may delete.
    pub inventory: BTreeSet<ObjectKey>,
}

/// An object that is taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// Which.
    pub key: ObjectKey,
    /// As it was seen.
    pub resource_version: String,
    /// The colour that it belongs to; `None` for the live overlay.
    pub colour: Option<Colour>,
    /// A workload's `spec.replicas` as HEAD has it.
    pub replicas: Option<u32>,
}

/// A workload's size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// Which.
    pub workload: ObjectKey,
    /// Its `spec.replicas`; of a kind that is not counted whether it runs, 1 or 0.
    pub replicas: u32,
}

/// An autoscaler's new bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBounds {
    /// Which.
    pub autoscaler: ObjectKey,
    /// What HEAD says.
    pub bounds: Bounds,
}

/// See [`Action::Schedules`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedules {
    /// The serving colour.
    pub serving: Colour,
    /// CronJobs of the other colour that are suspended first, with their resource versions.
    pub suspend: Vec<(ObjectKey, String)>,
    /// CronJobs of the serving colour that run from then on.
    pub resume: Vec<(ObjectKey, String)>,
    /// The live Services as they were seen: all of them select the serving colour.
    pub services: Vec<ServiceGuard>,
}

/// See [`Action::Scale`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// The colour.
    pub colour: Colour,
    /// Each workload's new `spec.replicas`.
    pub sizes: Vec<Size>,
    /// The attempt that its deadline is for; `None` where it is scaled down.
    pub attempt: Option<(String, Timestamp)>,
    /// What must still be so.
    pub guard: ColourGuard,
}

/// See [`Action::Stamp`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The colour.
    pub colour: Colour,
    /// What the deadline is for.
    pub attempt: String,
    /// When it starts.
    pub started_at: Timestamp,
    /// Since when a preview's EndpointSlices are waited for.
    pub endpoints_since: Option<Timestamp>,
    /// What must still be so.
    pub guard: ColourGuard,
}

/// What must still be so when a colour that is not in use is written (I2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColourGuard {
    /// The live Services as they were seen: none of them selects the colour.
    pub services: Vec<ServiceGuard>,
    /// The colour's workloads with their resource versions; every write carries them.
    pub workloads: Vec<(ObjectKey, String)>,
}

/// A Service as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceGuard {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// The selector's value under the colour's key.
    pub selects: Option<String>,
}

/// A commit to the watched branch; made only if HEAD is still `parent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// HEAD as it was seen.
    pub parent: CommitId,
    /// The colour that the live Services' selector names from then on; `None` leaves it alone.
    pub selector: Option<Colour>,
    /// Pins to write; `None` leaves a pin alone.
    pub pins: ByColour<Option<Pin>>,
    /// What becomes of the lock's rejection.
    pub rejection: RejectionEdit,
    /// The facts it records: its own first, superseded revisions after it.
    pub facts: Vec<Entry>,
    /// The colour that is live after it, for the trailer.
    pub live: Option<Colour>,
    /// What it is about, for the message.
    pub topic: Topic,
}

/// What becomes of the lock's rejection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RejectionEdit {
    /// It stays as it is.
    Keep,
    /// It goes: the revision was released after all.
    Clear,
    /// This one takes its place.
    Set(Rejection),
}

/// What a commit is about: the message's subject and body come from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// A verified candidate goes live.
    Release {
        /// The colour.
        colour: Colour,
        /// Its images.
        images: Vec<String>,
    },
    /// The colour that was released before comes back.
    Return {
        /// The colour.
        colour: Colour,
        /// Its images.
        images: Vec<String>,
    },
    /// A colour that git already names is pinned.
    Pin {
        /// The colour.
        colour: Colour,
    },
    /// A verified candidate waits for approval.
    AwaitApproval {
        /// The colour.
        colour: Colour,
    },
    /// A candidate failed.
    Reject {
        /// The colour.
        colour: Colour,
        /// Why.
        reason: OneLine,
    },
    /// Traffic goes back because the watch failed.
    FlipBack {
        /// The colour it goes back to.
        colour: Colour,
        /// Why.
        reason: OneLine,
    },
    /// A person took a release back.
    Withdraw,
    /// What served before turquoise came is taken for released.
    Adopt {
        /// The colour.
        colour: Colour,
    },
    /// The lock is written again as the cluster has it.
    RestoreLock {
        /// The colour whose pin was lost.
        colour: Colour,
    },
}

/// The switch of traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// The live Services as they were seen.
    pub services: Vec<ServiceGuard>,
    /// Those of them whose routing changes, too, or was changed by hand: they are applied whole, the others get their
    /// selector's one word (rule 8).
    pub whole: BTreeSet<String>,
    /// The colour they get.
    pub to: Colour,
    /// The commit whose live overlay's Services are applied with it (rule 8).
    pub render: CommitId,
    /// What survives a restart.
    pub record: FlipRecord,
}

impl Switch {
    /// A switch's record: the watch opens at the time of the look.
    #[must_use]
    pub fn record(at: Timestamp, revision: CommitId, from: Colour, head: CommitId) -> FlipRecord {
        FlipRecord { at, revision, from, head, watch: WatchState::Open, owed: None }
    }
}
