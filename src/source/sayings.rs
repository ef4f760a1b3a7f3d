//! turquoise's own commits of an app, as messages need them: with the locks before and after.

use git2::{Commit, Sort};
use jiff::Timestamp;

use super::error::{SourceError, git};
use super::ground::{self, Ground, id_of};
use super::verdicts;
use crate::core::ids::CommitId;
use crate::core::news::{Chronicle, Saying};
use crate::core::text::OneLine;

/// Commits walked for one message: turquoise's newest ones are among them, in a busy repo too.
const WALK_MAX: usize = 500;
/// turquoise's commits of the app: those of several releases, and more than can be untold.
const SAYINGS_MAX: usize = 12;

/// Walks from HEAD back to `until`, which is not looked at any more. `wanted`: commits whose words are asked for, beside
/// those that the found commits speak of.
pub(super) fn sayings(
    ground: &mut Ground<'_>,
    head: &Commit<'_>,
    until: Option<&CommitId>,
    wanted: &[CommitId],
) -> Result<Chronicle, SourceError> {
    let mut commits = ground.repo.revwalk().map_err(walk)?;
    commits.set_sorting(Sort::TOPOLOGICAL | Sort::TIME).map_err(walk)?;
    commits.push(head.id()).map_err(walk)?;
    if let Some(until) = until.and_then(|until| ground::find(ground.repo, until)) {
        commits.hide(until.id()).map_err(walk)?;
    }
    let mut chronicle = Chronicle::default();
    for id in commits.take(WALK_MAX) {
        let commit = ground.repo.find_commit(id.map_err(walk)?).map_err(walk)?;
        chronicle.walked.push(id_of(commit.id()));
        if chronicle.sayings.len() < SAYINGS_MAX
            && let Some(facts) = verdicts::said(ground, &commit)?.filter(|facts| !facts.is_empty())
        {
            let parent = commit.parent(0).map_err(walk)?;
            let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
            chronicle.sayings.push(Saying {
                commit: id_of(commit.id()),
                at: Timestamp::from_second(commit.time().seconds()).unwrap_or(Timestamp::UNIX_EPOCH),
                facts,
                live: verdicts::trailers(ground, &commit).and_then(|trailers| trailers.live),
                body: OneLine::new(
                    message.split("\n\n").nth(1).and_then(|body| body.lines().next()).unwrap_or_default(),
                ),
                before: ground.lock(&parent)?,
                after: ground.lock(&commit)?,
            });
        }
    }
    let said = chronicle.sayings.iter().flat_map(|saying| &saying.facts).map(|fact| &fact.revision);
    let asked: Vec<CommitId> = said.chain(wanted).cloned().collect();
    for id in asked {
        if let Some(commit) = ground::find(ground.repo, &id) {
            let author = OneLine::new(&String::from_utf8_lossy(commit.author().name_bytes()));
            let subject = OneLine::new(&String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default()));
            chronicle.words.insert(id, (author, subject));
        }
    }
    Ok(chronicle)
}

fn walk(error: git2::Error) -> SourceError {
    git("history cannot be walked")(error)
}
