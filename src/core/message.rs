//! The words of turquoise's commits.

use super::action::{Commit, RejectionEdit, Topic};
use super::ids::AppName;
use super::policy::Messages;
use super::template::{Field, Template};
use super::text::OneLine;
use super::verdict::Trailers;

/// How the body of a flip-back begins: messages tell it from a rejection before traffic by that.
pub(super) const FAILED_UNDER_TRAFFIC: &str = "It failed under traffic";

/// The whole message of a commit: a subject, why, what the app's people add, and the trailers as the last paragraph.
#[must_use]
pub fn commit_message(commit: &Commit, app: &AppName, branch: &str, shape: &Messages) -> String {
    let trailers = Trailers {
        app: app.clone(),
        branch: branch.to_owned(),
        live: commit.live,
        facts: commit.facts.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let (subject, body) = words(commit);
    // Every line of the body that could be taken for a trailer is outside the last paragraph, which is all ours.
    let said = |field| match field {
        Field::App => app.to_string(),
        Field::Branch => branch.to_owned(),
        Field::Colour => commit.live.map_or_else(|| "none".to_owned(), |colour| colour.to_string()),
        Field::Revision => commit.facts.first().map_or("none", |fact| fact.revision.short()).to_owned(),
        Field::Verdict => commit.facts.first().map_or_else(|| "none".to_owned(), |fact| fact.verdict.to_string()),
        Field::Summary => subject.clone(),
    };
    let line = |template: &Template| template.line(said);
    let first = shape.subject.as_ref().map(line).filter(|line| !line.is_empty());
    let first = first.map_or_else(|| format!("{app}: {}", OneLine::new(&subject)), |line| line.to_string());
    let note = shape.note.as_ref().map(line).filter(|line| !line.is_empty());
    let note = note.map(|line| format!("{line}\n\n")).unwrap_or_default();
    format!("{first}\n\n{body}\n\n{note}{}", trailers.to_text())
}

fn words(commit: &Commit) -> (String, String) {
    let revision = commit.facts.first().map_or("?", |fact| fact.revision.short());
    let what = |images: &[String]| {
        if images.is_empty() { revision.to_owned() } else { images.join(", ") }
    };
    match &commit.topic {
        Topic::Release { colour, images } => (
            format!("{colour} goes live with {}", what(images)),
            format!(
                "Revision {revision} is ready and passed its checks in {colour}.\nRevert the commit that asked for it to go back."
            ),
        ),
        Topic::Return { colour, images } => (
            format!("{colour} comes back with {}", what(images)),
            format!("Revision {revision} asks for what {colour} was released with."),
        ),
        Topic::Pin { colour } => (
            format!("{colour} holds {revision}"),
            format!("The selector names {colour}; it is ready with this content and takes traffic next."),
        ),
        Topic::AwaitApproval { colour } => (
            format!("{revision} is verified in {colour} and waits for approval"),
            format!("Set the live Service's selector to {colour} to approve it."),
        ),
        Topic::Reject { colour, reason } => {
            let subject = match commit.selector {
                Some(back) => format!("the selector goes back to {back}"),
                None => format!("{revision} is rejected"),
            };
            let retry = match commit.rejection {
                RejectionEdit::Set(_) => "\nRevert this commit to have it tried again.",
                RejectionEdit::Keep | RejectionEdit::Clear => "",
            };
            (subject, format!("It failed in {colour}: {reason}{retry}"))
        }
        Topic::FlipBack { colour, reason } => {
            (format!("{colour} comes back, {revision} is rejected"), format!("{FAILED_UNDER_TRAFFIC}: {reason}"))
        }
        Topic::Withdraw => (format!("{revision} is withdrawn"), "A person took it back.".to_owned()),
        Topic::Adopt { colour } => (
            format!("{colour} is taken over as it stands"),
            format!("It served before turquoise came, with what {revision} renders."),
        ),
        Topic::RestoreLock { colour } => (
            match commit.selector {
                Some(back) => format!("the selector names {back} again, which serves"),
                None => format!("the lock names again what {colour} holds"),
            },
            "Lock or history were changed by hand, or a merge brought another branch's; what serves stays.".to_owned(),
        ),
    }
}
