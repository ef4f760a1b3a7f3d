//! What the HTTP server is told of git and the cluster beside the passes: whether the cluster answers, and where an
//! app's history is read.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::core::book::{Book, Fact, HistoryLine, Note};
use crate::core::ids::CommitId;
use crate::core::text::OneLine;
use crate::http::{Board, Library};
use crate::source::{App, HistoryEntry, Repo, SourceError};

/// Commits of a page's history: a few weeks of a busy app.
const HISTORY_ENTRIES: usize = 50;
/// The pause until an API server that did not answer is asked again.
const RETRY: Duration = Duration::from_secs(2);

/// Asks the API server for its version, as often as git is asked: apps may all be blocked by their files, and then no
/// look says whether the cluster answers.
pub(super) async fn ask_cluster(cluster: Cluster, board: Board, poll: Duration) {
    board.health(|health, _| health.expect_every(poll));
    loop {
        let answer = cluster.ping().await.map_err(|error| OneLine::of_error(&error));
        let pause = if answer.is_ok() { poll } else { RETRY.min(poll) };
        board.health(|health, now| health.asked_cluster(answer, now));
        tokio::time::sleep(pause).await;
    }
}

/// Reads an app's history, when somebody looks at its page.
pub(super) fn library(repo: &Arc<Repo>, app: &Arc<App>) -> Library {
    let (repo, app) = (Arc::clone(repo), Arc::clone(app));
    Arc::new(move |ids: &[CommitId]| read(&repo, &app, ids).map_err(|error| OneLine::of_error(&error)))
}

fn read(repo: &Repo, app: &App, ids: &[CommitId]) -> Result<Book, SourceError> {
    let history = repo.history(app, HISTORY_ENTRIES)?.into_iter().map(line).collect();
    let notes = ids.iter().filter_map(|id| Some((id.clone(), repo.note(id)?)));
    let notes = notes.map(|(id, note)| {
        let crate::source::CommitNote { subject, author, time, parents } = note;
        (id, Note { subject, author, at: time, merge: parents > 1 })
    });
    Ok(Book { notes: notes.collect(), history })
}

fn line(entry: HistoryEntry) -> HistoryLine {
    let HistoryEntry { commit, subject, author, time, facts, live } = entry;
    let facts = facts.into_iter().map(|fact| Fact { revision: fact.revision, verdict: fact.verdict }).collect();
    HistoryLine { commit, subject, author, at: time, live, facts }
}
