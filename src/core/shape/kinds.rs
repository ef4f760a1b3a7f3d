//! What turquoise cannot hold in two colours, by kind, in words of its own (docs/adr/0009-kinds-that-run-pods.md).

use serde_json::Value;

use super::Manifest;
use super::lint::problem;
use crate::core::colour::Colour;
use crate::core::text::OneLine;
use crate::core::workload::WorkloadKind;

/// Kinds that run pods and that turquoise cannot hold in two colours: it could neither scale them down nor tell whether
/// they are ready.
const UNHANDLED_KINDS: [(&str, &str); 4] =
    [("apps", "ReplicaSet"), ("", "Pod"), ("", "ReplicationController"), ("argoproj.io", "Rollout")];

/// Why an object cannot be released by colour as it stands.
pub(super) fn problem_of(manifest: &Manifest, colour: Colour) -> Option<OneLine> {
    if UNHANDLED_KINDS.contains(&(manifest.group(), manifest.kind())) {
        return Some(problem(
            manifest,
            &format!(
                "cannot be released by colour: of the kinds that run pods Deployment, StatefulSet, DaemonSet, Job and \
                 CronJob can; take it out of the overlay of {colour}"
            ),
        ));
    }
    let words = words(manifest, manifest.key()?.workload_kind()?)?;
    Some(problem(manifest, words))
}

fn words(manifest: &Manifest, kind: WorkloadKind) -> Option<&'static str> {
    let at = |pointer: &str| manifest.value.pointer(pointer);
    let on_delete = || {
        (at("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete")).then_some(
            "updates its pods only when a hand deletes them, so a release would never become ready: set \
             `updateStrategy: {type: RollingUpdate}`, which touches the idle colour only",
        )
    };
    match kind {
        WorkloadKind::Deployment => (at("/spec/paused") == Some(&Value::Bool(true)))
            .then_some("is paused, so a release would never become ready: take `paused` out"),
        WorkloadKind::DaemonSet => on_delete(),
        WorkloadKind::StatefulSet => on_delete().or_else(|| {
            let partition = at("/spec/updateStrategy/rollingUpdate/partition").and_then(Value::as_u64);
            partition.is_some_and(|partition| partition > 0).then_some(
                "keeps the old template below its `partition`, so a release would never become ready: take it out; the \
                 other colour is what is tried first",
            )
        }),
        WorkloadKind::Job => at("/spec/ttlSecondsAfterFinished").is_some().then_some(
            "deletes itself when it is done, and then nobody can tell that it was: take `ttlSecondsAfterFinished` out; \
             the next release of its colour replaces it",
        ),
        WorkloadKind::CronJob => None,
    }
}
