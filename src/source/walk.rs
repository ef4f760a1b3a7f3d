//! Walks back from HEAD: the revision, and the last change of the selector.

use git2::{Commit, Oid};

use super::error::SourceError;
use super::ground::{Ground, id_of, is_in_history};
use super::reads::Probe;
use super::renders::Pair;
use super::verdicts;
use crate::core::desired::{Declared, SelectorChange};
use crate::core::lock::LOCK_FILE;
use crate::core::policy::POLICY_FILE;

/// The run of commits up to a HEAD in which P is the same.
#[derive(Debug, Clone)]
pub(super) struct Run {
    head: Oid,
    /// R: the first commit of the run.
    pub(super) revision: Oid,
    /// P at HEAD.
    pub(super) pair: Pair,
}

/// Finds R: back from HEAD as long as P is the same, at a merge through the first parent, in order, that has it
/// (docs/rules.md). A run that was walked before is not walked again.
pub(super) fn run(ground: &mut Ground<'_>, head: &Commit<'_>, known: Option<&Run>) -> Result<Run, SourceError> {
    let wanted = ground.pair(head)?;
    let mut at = head.clone();
    let mut pair = wanted.clone();
    loop {
        if let Some(known) = known.filter(|known| known.head == at.id() && known.pair.same(&wanted)) {
            return Ok(Run { head: head.id(), revision: known.revision, pair: wanted });
        }
        let mut next = None;
        for parent in at.parents() {
            let before = if ground.same(&pair.reads, &at, &parent)? { pair.clone() } else { ground.pair(&parent)? };
            if before.same(&wanted) {
                next = Some((parent, before));
                break;
            }
        }
        match next {
            Some(older) => (at, pair) = older,
            None => return Ok(Run { head: head.id(), revision: at.id(), pair: wanted }),
        }
    }
}

/// The commit that gave the selector its value of a HEAD.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    head: Oid,
    declared: Declared,
    commit: Option<Oid>,
}

/// Finds the newest commit, by first parents, at which the selector names another colour than at its parent. Commits
/// at which the live overlay cannot be rendered say nothing. `None` where it never changed since the app appeared.
pub(super) fn turn(
    ground: &mut Ground<'_>,
    head: &Commit<'_>,
    declared: &Declared,
    known: Option<&Turn>,
) -> Result<Turn, SourceError> {
    let found = |commit| Turn { head: head.id(), declared: declared.clone(), commit };
    let mut at = head.clone();
    // The oldest commit so far that is known to name HEAD's colour.
    let mut oldest_same = head.id();
    let (mut here, mut reads) = ground.declared(head)?;
    loop {
        if let Some(known) = known.filter(|known| known.head == at.id() && known.declared == *declared) {
            return Ok(found(known.commit));
        }
        let Ok(parent) = at.parent(0) else { return Ok(found(None)) };
        if !matches!(ground.probe(&parent, POLICY_FILE)?, Probe::File(_)) {
            return Ok(found(None));
        }
        if !ground.same(&reads, &at, &parent)? {
            (here, reads) = ground.declared(&parent)?;
        }
        match &here {
            Some(before) if before == declared => oldest_same = parent.id(),
            Some(_another_colour) => return Ok(found(Some(oldest_same))),
            None => {}
        }
        at = parent;
    }
}

/// The newest commit by turquoise about this app on this branch.
#[derive(Debug, Clone)]
pub(super) struct Own {
    head: Oid,
    pub(super) commit: Option<Oid>,
}

/// Finds turquoise's newest commit, by first parents.
pub(super) fn own(ground: &mut Ground<'_>, head: &Commit<'_>, known: Option<&Own>) -> Result<Own, SourceError> {
    let mut at = Some(head.clone());
    while let Some(commit) = at {
        if let Some(known) = known.filter(|known| known.head == commit.id()) {
            return Ok(Own { head: head.id(), commit: known.commit });
        }
        if verdicts::said(ground, &commit)?.is_some() {
            return Ok(Own { head: head.id(), commit: Some(commit.id()) });
        }
        at = commit.parent(0).ok();
    }
    Ok(Own { head: head.id(), commit: None })
}

/// What there is to know about that commit.
pub(super) fn selector_change(
    ground: &mut Ground<'_>,
    head: &git2::Commit<'_>,
    turn: &Turn,
    revision: Oid,
) -> Result<Option<SelectorChange>, SourceError> {
    let Some(commit) = turn.commit.and_then(|id| ground.repo.find_commit(id).ok()) else { return Ok(None) };
    let left_lock_alone = match commit.parent(0) {
        Ok(parent) => ground.probe(&parent, LOCK_FILE)? == ground.probe(head, LOCK_FILE)?,
        Err(_no_parent) => false,
    };
    Ok(Some(SelectorChange {
        commit: id_of(commit.id()),
        by_person: verdicts::said(ground, &commit)?.is_none(),
        from_elsewhere: from_elsewhere(ground, &commit)?,
        left_lock_alone,
        holds_revision: is_in_history(ground.repo, revision, commit.id())?,
    }))
}

/// Whether a change of the selector is turquoise's of another branch: its own commit, or a merge whose other side brought
/// it.
fn from_elsewhere(ground: &Ground<'_>, change: &Commit<'_>) -> Result<bool, SourceError> {
    let by_another = |commit: &Commit<'_>| {
        verdicts::anyones_trailers(commit)
            .is_some_and(|trailers| trailers.app == *ground.name && trailers.branch != ground.branch)
    };
    if by_another(change) || change.parent_count() < 2 {
        return Ok(by_another(change));
    }
    let brought = verdicts::brought_in(ground, change)?;
    Ok(brought.into_iter().filter_map(|id| ground.repo.find_commit(id).ok()).any(|commit| by_another(&commit)))
}
