//! The release history of an app: `git log`, read for people.

use git2::{Commit, Sort};
use jiff::Timestamp;

use super::error::{SourceError, git};
use super::ground::{Ground, id_of};
use super::reads::{Probe, Reads};
use super::verdicts;
use crate::core::colour::Colour;
use crate::core::ids::CommitId;
use crate::core::policy::POLICY_FILE;
use crate::core::text::OneLine;
use crate::core::verdict::Entry;

/// Commits looked at for one answer: years of a busy repo, and a second of work.
const SCAN_MAX: usize = 50_000;

/// A commit that concerns an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The commit.
    pub commit: CommitId,
    /// The first line of its message.
    pub subject: OneLine,
    /// Who wrote it.
    pub author: OneLine,
    /// When it was committed, by its own word.
    pub time: Timestamp,
    /// The facts that it records and that count.
    pub facts: Vec<Entry>,
    /// The colour that is live after it, where turquoise made it.
    pub live: Option<Colour>,
}

/// The newest commits that changed what HEAD's overlays are rendered from, the policy or the lock, or that carry facts
/// of the app; newest first. Merges that bring in such a change are left out for the commits they bring.
pub(super) fn history(
    ground: &mut Ground<'_>,
    head: &Commit<'_>,
    limit: usize,
) -> Result<Vec<HistoryEntry>, SourceError> {
    let mut reads = Reads::clone(&ground.pair(head)?.reads);
    reads.merge(&ground.declared(head)?.1);
    reads.note(&verdicts::lock_path(ground.folder), Probe::Absent);
    let mut commits = ground.repo.revwalk().map_err(walk)?;
    commits.set_sorting(Sort::TOPOLOGICAL | Sort::TIME).map_err(walk)?;
    commits.push(head.id()).map_err(walk)?;
    let mut entries = Vec::new();
    for id in commits.take(SCAN_MAX) {
        if entries.len() >= limit {
            break;
        }
        let commit = ground.repo.find_commit(id.map_err(walk)?).map_err(walk)?;
        let said = verdicts::said(ground, &commit)?;
        if said.is_none() && !changes(ground, &reads, &commit)? {
            continue;
        }
        let live = said.as_ref().and_then(|_| verdicts::trailers(ground, &commit)?.live);
        let (author, subject) = words(&commit);
        entries.push(HistoryEntry {
            commit: id_of(commit.id()),
            subject,
            author,
            time: Timestamp::from_second(commit.time().seconds()).unwrap_or(Timestamp::UNIX_EPOCH),
            facts: said.unwrap_or_default(),
            live,
        });
    }
    Ok(entries)
}

/// A commit's author and the first line of its message.
pub(super) fn words(commit: &Commit<'_>) -> (OneLine, OneLine) {
    let author = OneLine::new(&String::from_utf8_lossy(commit.author().name_bytes()));
    (author, OneLine::new(&String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default())))
}

/// Whether a commit differs from every parent in what was read.
fn changes(ground: &Ground<'_>, reads: &Reads, commit: &Commit<'_>) -> Result<bool, SourceError> {
    for parent in commit.parents() {
        if ground.same(reads, commit, &parent)? {
            return Ok(false);
        }
    }
    // The first commit counts if it brought the app.
    Ok(commit.parent_count() > 0 || !matches!(ground.probe(commit, POLICY_FILE)?, Probe::Absent))
}

fn walk(error: git2::Error) -> SourceError {
    git("history cannot be walked")(error)
}
