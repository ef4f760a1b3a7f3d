//! The labels and annotations that turquoise writes: the facts that must survive a restart.

/// Label on every object: the app's name.
pub(super) const APP: &str = "turquoise.dev/app";
/// Label on every object of a colour.
pub(super) const COLOUR: &str = "turquoise.dev/colour";
/// Label on every object of the live overlay, instead of a colour.
pub(super) const PART: &str = "turquoise.dev/part";
/// [`PART`]'s one value.
pub(super) const PART_LIVE: &str = "live";

/// On workloads: the revision that the colour carries.
pub(super) const REVISION: &str = "turquoise.dev/revision";
/// On workloads: HEAD when it was deployed.
pub(super) const DEPLOYED_AT: &str = "turquoise.dev/deployed-at";
/// On workloads: what the running deadline is for.
pub(super) const ATTEMPT: &str = "turquoise.dev/attempt";
/// On workloads: when that attempt started, RFC 3339.
pub(super) const STARTED_AT: &str = "turquoise.dev/started-at";
/// On workloads: since when ready pods are missing from a preview's EndpointSlices, RFC 3339; empty where they are not.
pub(super) const ENDPOINTS_SINCE: &str = "turquoise.dev/endpoints-since";
/// On workloads: the digest of the pod template that was about to take traffic, or `none`.
pub(super) const IN_USE: &str = "turquoise.dev/in-use";
/// On workloads: revisions whose `superseded` no commit has carried yet, separated by spaces.
pub(super) const SUPERSEDED: &str = "turquoise.dev/superseded";
/// On workloads: everything that was ever applied to the colour, `apiVersion/kind/name` separated by spaces. On live and
/// preview Services: the same of the live overlay.
pub(super) const INVENTORY: &str = "turquoise.dev/inventory";
/// On workloads: the manifest's `spec.replicas` when it was last applied.
pub(super) const REPLICAS: &str = "turquoise.dev/replicas";

/// On DaemonSets, Jobs and CronJobs that turquoise holds down. In a DaemonSet's `nodeSelector` it is what no node has.
pub(super) const PARKED: &str = "turquoise.dev/parked";
/// [`PARKED`]'s one value.
pub(super) const IS_PARKED: &str = "true";
/// On autoscalers: the manifest's bounds when they were last applied, `min-max`.
pub(super) const BOUNDS: &str = "turquoise.dev/bounds";

/// On objects of the live overlay: the digest of what was last applied.
pub(super) const DIGEST: &str = "turquoise.dev/digest";

/// On live Services: when traffic was last switched, RFC 3339.
pub(super) const FLIPPED_AT: &str = "turquoise.dev/flipped-at";
/// On live Services: the revision that went live by it.
pub(super) const FLIPPED_REVISION: &str = "turquoise.dev/flipped-revision";
/// On live Services: the colour that was live before.
pub(super) const FLIPPED_FROM: &str = "turquoise.dev/flipped-from";
/// On live Services: HEAD then.
pub(super) const FLIPPED_HEAD: &str = "turquoise.dev/flipped-head";
/// On live Services: `open`, `passed` or `failed`.
pub(super) const WATCH: &str = "turquoise.dev/watch";

/// On live Services, where traffic went back before git could be told: the revision that failed; empty elsewhere.
pub(super) const OWED_REJECTION: &str = "turquoise.dev/owed-rejection";
/// With it: what failed.
pub(super) const OWED_REASON: &str = "turquoise.dev/owed-reason";

/// The annotations of a flip, which every later apply of a live Service must carry on.
pub(super) const FLIP: [&str; 7] =
    [FLIPPED_AT, FLIPPED_REVISION, FLIPPED_FROM, FLIPPED_HEAD, WATCH, OWED_REJECTION, OWED_REASON];

/// On an object, by its people: [`NO_PRUNE`] keeps it when the live overlay drops it.
pub(super) const PRUNE: &str = "turquoise.dev/prune";
/// [`PRUNE`]'s one value.
pub(super) const NO_PRUNE: &str = "false";

/// [`IN_USE`]'s value where nothing was about to take traffic.
pub(super) const NOT_IN_USE: &str = "none";
