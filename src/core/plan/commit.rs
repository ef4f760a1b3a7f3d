//! Commits as values: one fact each, with the superseded revisions that no commit has carried yet.

use std::collections::BTreeSet;

use super::view::View;
use crate::core::action::{Commit, RejectionEdit, Topic};
use crate::core::colour::{ByColour, Colour};
use crate::core::ids::CommitId;
use crate::core::lock::{Digests, Pin, PinState, Rejection};
use crate::core::text::OneLine;
use crate::core::verdict::{Entry, Verdict};

/// A commit that changes nothing yet.
pub(super) fn empty(view: &View<'_>, live: Option<Colour>, topic: Topic) -> Commit {
    Commit {
        parent: view.head().clone(),
        selector: None,
        pins: ByColour::default(),
        rejection: RejectionEdit::Keep,
        facts: Vec::new(),
        live,
        topic,
    }
}

/// Says a verdict, and that other undecided revisions are superseded. A rejection goes only with `released`.
pub(super) fn say(view: &View<'_>, mut commit: Commit, revision: &CommitId, verdict: Verdict) -> Commit {
    commit.facts.push(Entry { revision: revision.clone(), verdict });
    if verdict == Verdict::Released && view.stands_rejected(revision) {
        commit.rejection = RejectionEdit::Clear;
    }
    let mut superseded: BTreeSet<CommitId> = BTreeSet::new();
    for colour in Colour::BOTH {
        superseded.extend(superseded_by(view, colour, view.revision()));
    }
    superseded.remove(revision);
    superseded.remove(view.revision());
    let entries = superseded.into_iter().map(|revision| Entry { revision, verdict: Verdict::Superseded });
    commit.facts.extend(entries);
    commit
}

/// The revisions of a colour that were acted on, are not decided, and give way to `next`.
pub(super) fn superseded_by(view: &View<'_>, colour: Colour, next: &CommitId) -> BTreeSet<CommitId> {
    let mut revisions = undecided(view, colour);
    revisions.remove(next);
    revisions
}

/// The revisions that only a colour's annotations speak of.
pub(super) fn undecided(view: &View<'_>, colour: Colour) -> BTreeSet<CommitId> {
    let pinned = |revision: &CommitId| {
        Colour::BOTH.into_iter().any(|colour| view.pin(colour).is_some_and(|pin| pin.revision == *revision))
    };
    let mut revisions = view.state(colour).torn.clone();
    if let Some(record) = view.record(colour) {
        revisions.extend(record.superseded.iter().cloned());
        revisions.insert(record.revision.clone());
    }
    revisions.retain(|revision| !pinned(revision));
    revisions.retain(|revision| !view.desired.verdicts.mentions(revision));
    revisions
}

/// Pins a colour at a revision. `None` where the revision cannot be rendered: there is nothing to pin.
pub(super) fn pin(
    view: &View<'_>,
    mut commit: Commit,
    colour: Colour,
    revision: &CommitId,
    state: PinState,
) -> Option<Commit> {
    let pair = view.desired.renders.get(revision)?;
    commit.pins[colour] = Some(Pin {
        revision: revision.clone(),
        state,
        digests: Digests { blue: pair.blue.digest.clone(), green: pair.green.digest.clone() },
        images: pair[colour].images.clone(),
        turquoise: env!("CARGO_PKG_VERSION").to_owned(),
    });
    Some(commit)
}

/// Rejects a revision: in the lock and by trailer; by trailer only while R stands rejected and is another one (rule 5).
pub(super) fn reject(view: &View<'_>, mut commit: Commit, revision: &CommitId, reason: &OneLine) -> Commit {
    let standing = view.stands_rejected(view.revision()) && revision != view.revision();
    if !standing {
        commit.rejection = RejectionEdit::Set(Rejection { revision: revision.clone(), reason: reason.clone() });
    }
    say(view, commit, revision, Verdict::Rejected)
}
