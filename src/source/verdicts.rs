//! The verdicts in the log: trailers of turquoise's commits, where the commit itself bears them out (rule 13).

use git2::{Commit, Oid, Sort};

use super::error::{SourceError, git};
use super::ground::Ground;
use super::renders::join;
use crate::core::colour::Colour;
use crate::core::desired::Declared;
use crate::core::lock::{LOCK_FILE, Lock, PinState};
use crate::core::verdict::{Entry, Trailers, Verdict};

/// The log up to a HEAD.
#[derive(Debug, Clone)]
pub(super) struct Log {
    head: Oid,
    /// Oldest first.
    pub(super) entries: Vec<Entry>,
    /// When the commit of the newest was made, in seconds of the epoch.
    pub(super) newest_at: Option<i64>,
}

/// Reads the verdicts of all ancestors of HEAD, oldest first: along the first parents, and at a merge first what it
/// brought in. So the log up to an older HEAD is the beginning of the newer one's, and only new commits are read.
pub(super) fn log(ground: &mut Ground<'_>, head: &Commit<'_>, known: Option<&Log>) -> Result<Log, SourceError> {
    let mut line = Vec::new();
    let mut at = Some(head.clone());
    let (mut entries, mut newest_at) = (Vec::new(), None);
    while let Some(commit) = at {
        if let Some(known) = known.filter(|known| known.head == commit.id()) {
            entries.clone_from(&known.entries);
            newest_at = known.newest_at;
            break;
        }
        at = commit.parent(0).ok();
        line.push(commit.id());
    }
    let mut add = |facts: Option<Vec<Entry>>, commit: &Commit<'_>| {
        let facts = facts.unwrap_or_default();
        if !facts.is_empty() {
            newest_at = Some(commit.time().seconds());
        }
        entries.extend(facts);
    };
    for id in line.into_iter().rev() {
        let commit = ground.repo.find_commit(id).map_err(walk)?;
        if commit.parent_count() > 1 {
            for side in brought_in(ground, &commit)? {
                let side = ground.repo.find_commit(side).map_err(walk)?;
                add(said(ground, &side)?, &side);
            }
        }
        add(said(ground, &commit)?, &commit);
    }
    Ok(Log { head: head.id(), entries, newest_at })
}

/// The ancestors of a merge that its first parent does not have, oldest first.
pub(super) fn brought_in(ground: &Ground<'_>, merge: &Commit<'_>) -> Result<Vec<Oid>, SourceError> {
    let mut walk_through = ground.repo.revwalk().map_err(walk)?;
    walk_through.set_sorting(Sort::TOPOLOGICAL | Sort::TIME | Sort::REVERSE).map_err(walk)?;
    for (index, parent) in merge.parent_ids().enumerate() {
        if index == 0 { walk_through.hide(parent) } else { walk_through.push(parent) }.map_err(walk)?;
    }
    walk_through.collect::<Result<_, _>>().map_err(walk)
}

fn walk(error: git2::Error) -> SourceError {
    git("history cannot be walked")(error)
}

/// What turquoise says by a commit about this app on this branch: the facts that count. `None` where the commit is not
/// turquoise's, or does not bear out what its trailers say.
///
/// # Guarantees
/// A commit counts if it is empty (the tree is its first parent's); or if it changes the app's lock to a fact that it
/// names; or if it changes nothing of the app but the selector, to the colour in `Turquoise-Live`: while R stands
/// rejected a further rejection is a trailer only, and a colour that is released again with the same pin leaves the
/// lock as it is. `withdrawn` counts in an empty commit only; `superseded` with whatever else counts.
pub(super) fn said(ground: &mut Ground<'_>, commit: &Commit<'_>) -> Result<Option<Vec<Entry>>, SourceError> {
    let Some(trailers) = trailers(ground, commit) else { return Ok(None) };
    let Ok(parent) = commit.parent(0) else { return Ok(None) };
    if parent.tree_id() == commit.tree_id() {
        return Ok(Some(trailers.facts));
    }
    let (before, after) = (ground.lock(&parent)?, ground.lock(commit)?);
    let changed = ground.probe(&parent, LOCK_FILE)? != ground.probe(commit, LOCK_FILE)?;
    let borne_out: Vec<bool> = if changed {
        trailers.facts.iter().map(|fact| changed_to(&before, &after, fact)).collect()
    } else if turns_selector_only(ground, &parent, commit, trailers.live)? {
        trailers.facts.iter().map(|fact| holds(&after, fact, trailers.live)).collect()
    } else {
        return Ok(None);
    };
    if !trailers.facts.is_empty() && !borne_out.contains(&true) {
        return Ok(None);
    }
    let counts = trailers.facts.into_iter().zip(borne_out);
    let counts = counts.filter(|(fact, borne_out)| *borne_out || fact.verdict == Verdict::Superseded);
    Ok(Some(counts.map(|(fact, _)| fact).collect()))
}

/// The commit's trailers, if they are about this app on this branch.
pub(super) fn trailers(ground: &Ground<'_>, commit: &Commit<'_>) -> Option<Trailers> {
    anyones_trailers(commit).filter(|trailers| trailers.app == *ground.name && trailers.branch == ground.branch)
}

/// A commit's trailers, of whatever app and branch.
pub(super) fn anyones_trailers(commit: &Commit<'_>) -> Option<Trailers> {
    const APP: &[u8] = b"Turquoise-App: ";
    let message = commit.message_bytes();
    if !message.windows(APP.len()).any(|window| window == APP) {
        return None;
    }
    Trailers::parse(std::str::from_utf8(message).ok()?)
}

fn changed_to(before: &Lock, after: &Lock, fact: &Entry) -> bool {
    let pinned = |state| {
        Colour::BOTH.into_iter().any(|colour| {
            let pin = after.pins[colour].as_ref().filter(|pin| pin.revision == fact.revision && pin.state == state);
            pin.is_some() && before.pins[colour] != after.pins[colour]
        })
    };
    match fact.verdict {
        Verdict::Released => pinned(PinState::Released) || released_again(before, after, fact),
        Verdict::Verified => pinned(PinState::Verified),
        Verdict::Rejected => {
            let rejection = after.rejected.as_ref().filter(|rejection| rejection.revision == fact.revision);
            rejection.is_some() && before.rejected != after.rejected
        }
        Verdict::Withdrawn | Verdict::Superseded => false,
    }
}

/// A rejected revision that was released after all: its pin may stand as it stood, and the rejection is taken out.
fn released_again(before: &Lock, after: &Lock, fact: &Entry) -> bool {
    let pinned = Colour::BOTH.into_iter().any(|colour| {
        let pin = after.pins[colour].as_ref();
        pin.is_some_and(|pin| pin.revision == fact.revision && pin.state == PinState::Released)
    });
    let was_rejected = before.rejected.as_ref().is_some_and(|rejection| rejection.revision == fact.revision);
    pinned && was_rejected && after.rejected.is_none()
}

/// Whether a fact is true of the lock that a commit of the selector alone left as it was.
fn holds(lock: &Lock, fact: &Entry, live: Option<Colour>) -> bool {
    match fact.verdict {
        Verdict::Rejected => true,
        Verdict::Released => live
            .and_then(|live| lock.pins[live].as_ref())
            .is_some_and(|pin| pin.revision == fact.revision && pin.state == PinState::Released),
        Verdict::Verified | Verdict::Withdrawn | Verdict::Superseded => false,
    }
}

/// Whether a commit changes nothing of the app but the selector, to `live`.
fn turns_selector_only(
    ground: &mut Ground<'_>,
    parent: &Commit<'_>,
    commit: &Commit<'_>,
    live: Option<Colour>,
) -> Result<bool, SourceError> {
    let Some(live) = live else { return Ok(false) };
    let (before, after) = (ground.declared(parent)?.0, ground.declared(commit)?.0);
    if after != Some(Declared::Colour(live)) || before == after || before.is_none() {
        return Ok(false);
    }
    Ok(ground.pair(parent)?.same(&ground.pair(commit)?) && same_overlay(ground, parent, commit)?)
}

/// Whether the live overlay is the same but for the colour.
pub(super) fn same_overlay(
    ground: &mut Ground<'_>,
    before: &Commit<'_>,
    after: &Commit<'_>,
) -> Result<bool, SourceError> {
    let mut side = |commit: &Commit<'_>| {
        let policy = ground.renders.policy_at(ground.repo, commit.tree_id(), ground.folder, ground.policy)?;
        ground.renders.live(ground.repo, commit.tree_id(), ground.folder, &policy)
    };
    let (before, after) = (side(before)?, side(after)?);
    Ok(match (&before.answer, &after.answer) {
        (Ok(before), Ok(after)) => before.key == after.key && before.overlay == after.overlay,
        (Err(_), _) | (_, Err(_)) => false,
    })
}

/// The lock's path.
pub(super) fn lock_path(folder: &str) -> String {
    join(folder, LOCK_FILE)
}
