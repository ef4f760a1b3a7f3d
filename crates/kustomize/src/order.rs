//! The order of the output.

use crate::kustomization::SortOptions;
use crate::resource::{Gvk, Resource};

const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// How the output is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// As accumulated.
    Fifo,
    /// By kind: some first, some last.
    Legacy { first: Vec<String>, last: Vec<String> },
}

impl Order {
    pub(crate) fn new(options: Option<&SortOptions>) -> Result<Self, String> {
        let own = |kinds: &[&str]| kinds.iter().map(ToString::to_string).collect();
        let default = || Order::Legacy { first: own(&FIRST), last: own(&LAST) };
        let Some(options) = options else { return Ok(default()) };
        match (options.order.as_str(), &options.legacy) {
            ("legacy", None) => Ok(default()),
            ("legacy", Some((first, last))) => Ok(Order::Legacy { first: first.clone(), last: last.clone() }),
            ("fifo", None) => Ok(Order::Fifo),
            (other, Some(_)) => Err(format!("`legacySortOptions` is set, but the order is `{other}`, not `legacy`")),
            (other, None) => Err(format!("`sortOptions.order` is `{other}`; it must be `fifo` or `legacy`")),
        }
    }
}

/// A kind's rank: below zero for those that come first, above for those that come last.
fn rank_in(kind: &str, first: &[impl AsRef<str>], last: &[impl AsRef<str>]) -> isize {
    fn place(list: &[impl AsRef<str>], kind: &str) -> Option<isize> {
        list.iter().rposition(|known| known.as_ref() == kind).and_then(|i| isize::try_from(i).ok())
    }
    let count = isize::try_from(first.len()).unwrap_or(isize::MAX);
    place(last, kind).map(|i| i + 1).or_else(|| place(first, kind).map(|i| i - count)).unwrap_or(0)
}

fn or(text: &str, none: &str) -> String {
    if text.is_empty() { none.to_string() } else { text.to_string() }
}

/// Group, version and kind as a text to sort by, in which the empty ones come last.
fn sortable(gvk: &Gvk) -> String {
    [or(&gvk.group, "~G"), or(&gvk.version, "~V"), or(&gvk.kind, "~K")].join("_")
}

/// What the original sorts field specifications by.
pub(crate) fn gvk_key(gvk: &Gvk) -> (isize, String) {
    (rank_in(&gvk.kind, &FIRST, &LAST), sortable(gvk))
}

/// Sorts the resources.
pub(crate) fn sort(resources: &mut [Resource], order: &Order) {
    let Order::Legacy { first, last } = order else { return };
    let rank = |kind: &str| rank_in(kind, first, last);
    resources.sort_by_cached_key(|resource| {
        let gvk = resource.gvk();
        let by_kind = sortable(&gvk);
        // Namespaces of the core group come before those of other groups, every other kind after.
        let apart = gvk.kind == "Namespace" && gvk.group.is_empty() && rank(&gvk.kind) != 0;
        let by_kind = if apart { String::new() } else { by_kind };
        let by_name = [
            or(&gvk.kind, "[noKind]") + "." + &or(&gvk.version, "[noVer]") + "." + &or(&gvk.group, "[noGrp]"),
            or(&resource.namespace(), "~X"),
            or(&resource.name(), "~N"),
        ]
        .join("|");
        (rank(&gvk.kind), by_kind, by_name)
    });
}
