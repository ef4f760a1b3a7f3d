//! Records as annotations, and back.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::annotations as name;
use crate::core::ids::{CommitId, ObjectKey};
use crate::core::observed::{FlipRecord, Owed, Record, WatchState};
use crate::core::text::OneLine;

type Annotations = BTreeMap<String, String>;

/// A record as annotations, without [`name::IN_USE`], whose value is the object's own.
pub(super) fn to_annotations(record: &Record, inventory: &BTreeSet<ObjectKey>) -> Annotations {
    let superseded: Vec<&str> = record.superseded.iter().map(CommitId::as_str).collect();
    [
        (name::REVISION, record.revision.to_string()),
        (name::DEPLOYED_AT, record.deployed_at.to_string()),
        (name::ATTEMPT, record.attempt.clone()),
        (name::STARTED_AT, record.started_at.to_string()),
        (name::ENDPOINTS_SINCE, endpoints_word(record.endpoints_since)),
        (name::SUPERSEDED, superseded.join(" ")),
        (name::INVENTORY, inventory_text(inventory)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// The record that one workload's annotations hold.
pub(super) fn from_annotations(annotations: &Annotations, in_use: bool) -> Option<Record> {
    let text = |key: &str| annotations.get(key).map(String::as_str);
    Some(Record {
        revision: CommitId::new(text(name::REVISION)?),
        deployed_at: CommitId::new(text(name::DEPLOYED_AT)?),
        attempt: text(name::ATTEMPT)?.to_owned(),
        started_at: text(name::STARTED_AT)?.parse().ok()?,
        endpoints_since: text(name::ENDPOINTS_SINCE).and_then(|since| since.parse().ok()),
        in_use,
        superseded: text(name::SUPERSEDED)?.split_whitespace().map(CommitId::new).collect(),
    })
}

/// What all workloads of a colour agree on; `None` where they carry different revisions, or one carries none: a deploy
/// was cut off in the middle.
pub(super) fn agreed(records: impl IntoIterator<Item = Option<Record>>) -> Option<Record> {
    let mut records = records.into_iter();
    let mut agreed = records.next()??;
    for record in records {
        let record = record?;
        if record.revision != agreed.revision || record.deployed_at != agreed.deployed_at {
            return None;
        }
        if record.attempt != agreed.attempt {
            // A stamp was cut off: the attempt is nobody's and is stamped again.
            agreed.attempt = String::new();
        }
        agreed.started_at = agreed.started_at.max(record.started_at);
        agreed.endpoints_since = agreed.endpoints_since.zip(record.endpoints_since).map(|(a, b)| a.max(b));
        agreed.in_use &= record.in_use;
        agreed.superseded.extend(record.superseded);
    }
    Some(agreed)
}

/// Every revision that records speak of.
pub(super) fn revisions(records: impl IntoIterator<Item = Record>) -> BTreeSet<CommitId> {
    records.into_iter().flat_map(|record| record.superseded.into_iter().chain([record.revision])).collect()
}

/// The annotation's text: written also where there is nothing to say, so that what stood there before goes.
pub(super) fn endpoints_word(since: Option<Timestamp>) -> String {
    since.map(|since| since.to_string()).unwrap_or_default()
}

/// An inventory as an annotation's text.
pub(super) fn inventory_text(inventory: &BTreeSet<ObjectKey>) -> String {
    let words: Vec<String> =
        inventory.iter().map(|key| format!("{}/{}/{}", key.api_version, key.kind, key.name)).collect();
    words.join(" ")
}

/// The inventory that the annotations of one workload, or of one Service of the live overlay, hold.
pub(super) fn inventory(annotations: &Annotations) -> BTreeSet<ObjectKey> {
    let words = annotations.get(name::INVENTORY).map(String::as_str).unwrap_or_default().split_whitespace();
    words
        .filter_map(|word| {
            let (rest, object) = word.rsplit_once('/')?;
            let (api_version, kind) = rest.rsplit_once('/')?;
            Some(ObjectKey {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                namespace: None,
                name: object.to_owned(),
            })
        })
        .collect()
}

/// A flip as the annotations of a live Service.
pub(super) fn flip_to_annotations(flip: &FlipRecord) -> Annotations {
    [
        (name::FLIPPED_AT, flip.at.to_string()),
        (name::FLIPPED_REVISION, flip.revision.to_string()),
        (name::FLIPPED_FROM, flip.from.to_string()),
        (name::FLIPPED_HEAD, flip.head.to_string()),
        (name::WATCH, watch_word(flip.watch).to_owned()),
        // Written also where nothing is owed, so that what stood there before goes.
        (name::OWED_REJECTION, flip.owed.as_ref().map(|owed| owed.rejected.to_string()).unwrap_or_default()),
        (name::OWED_REASON, flip.owed.as_ref().map(|owed| owed.reason.to_string()).unwrap_or_default()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// The flip that a live Service's annotations hold.
pub(super) fn flip_from_annotations(annotations: &Annotations) -> Option<FlipRecord> {
    let text = |key: &str| annotations.get(key).map(String::as_str);
    Some(FlipRecord {
        at: text(name::FLIPPED_AT)?.parse::<Timestamp>().ok()?,
        revision: CommitId::new(text(name::FLIPPED_REVISION)?),
        from: text(name::FLIPPED_FROM)?.parse().ok()?,
        head: CommitId::new(text(name::FLIPPED_HEAD)?),
        watch: match text(name::WATCH)? {
            "open" => WatchState::Open,
            "failed" => WatchState::Failed,
            _passed_or_edited => WatchState::Passed,
        },
        owed: text(name::OWED_REJECTION).filter(|revision| !revision.is_empty()).map(|revision| Owed {
            rejected: CommitId::new(revision),
            reason: OneLine::new(text(name::OWED_REASON).unwrap_or_default()),
        }),
    })
}

/// The word for a watch's state.
pub(super) const fn watch_word(watch: WatchState) -> &'static str {
    match watch {
        WatchState::Open => "open",
        WatchState::Passed => "passed",
        WatchState::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::colour::Colour;

    fn record(revision: &str) -> Record {
        Record {
            revision: CommitId::new(revision),
            deployed_at: CommitId::new("head"),
            attempt: "a#0".into(),
            started_at: Timestamp::UNIX_EPOCH,
            endpoints_since: Some(Timestamp::UNIX_EPOCH),
            in_use: true,
            superseded: [CommitId::new("x"), CommitId::new("y")].into(),
        }
    }

    #[test]
    fn records_read_back() {
        let inventory: BTreeSet<ObjectKey> = [("v1", "ConfigMap", "a"), ("apps/v1", "Deployment", "b")]
            .map(|(api_version, kind, object)| ObjectKey {
                api_version: api_version.into(),
                kind: kind.into(),
                namespace: None,
                name: object.into(),
            })
            .into();
        let annotations = to_annotations(&record("r"), &inventory);
        assert_eq!(from_annotations(&annotations, true), Some(record("r")));
        assert_eq!(super::inventory(&annotations), inventory);
    }

    #[test]
    fn a_deploy_that_was_cut_off_is_no_record() {
        assert_eq!(agreed([Some(record("r")), Some(record("r"))]), Some(record("r")));
        assert_eq!(agreed([Some(record("r")), Some(record("s"))]), None);
        assert_eq!(agreed([Some(record("r")), None]), None);
        assert_eq!(agreed([]), None);
        let other = Record { attempt: "b".into(), in_use: false, endpoints_since: None, ..record("r") };
        let merged = agreed([Some(record("r")), Some(other)]).expect("one revision");
        assert!(!merged.in_use && merged.attempt.is_empty() && merged.endpoints_since.is_none());
    }

    #[test]
    fn flips_read_back() {
        for watch in [WatchState::Open, WatchState::Passed, WatchState::Failed] {
            let (revision, head) = (CommitId::new("r"), CommitId::new("h"));
            let owed = Owed { rejected: CommitId::new("x"), reason: "smoke: HTTP 500".into() };
            let owed = (watch == WatchState::Open).then_some(owed);
            let flip = FlipRecord { at: Timestamp::UNIX_EPOCH, revision, from: Colour::Green, head, watch, owed };
            assert_eq!(flip_from_annotations(&flip_to_annotations(&flip)), Some(flip));
        }
    }
}
