//! The webhook check: the release as JSON, for somebody else to decide.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use serde::Serialize;

use super::NotPassed;
use super::request::{Answer, Asker, NoAnswer, Place, Request};
use super::secrets::{Hidden, Secrets};
use crate::core::colour::Colour;
use crate::core::ids::{AppName, CommitId};
use crate::core::policy::{Method, WebhookCheck};
use crate::core::signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};
use crate::core::text::OneLine;
use crate::net;

/// One answer: who needs longer says `202` and when to ask again.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The shortest pause that `Retry-After` may ask for: `0` would be a loop.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// The longest: a decision should be seen soon after it was made.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// The status of whoever has not decided yet.
const ACCEPTED: u16 = 202;

/// What a webhook is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    /// The same each time that this is asked, also after a restart: whoever decides decides once.
    pub id: String,
    /// The check's name.
    pub check: String,
    /// The app.
    pub app: AppName,
    /// Where it runs.
    pub namespace: String,
    /// The watched repository, without credentials.
    pub repo: String,
    /// The watched branch.
    pub branch: String,
    /// The revision that would go live.
    pub revision: CommitId,
    /// The colour that carries it.
    pub colour: Colour,
    /// What would change.
    pub images: Images,
    /// The revision's commit.
    pub commit: Words,
    /// The turquoise that asks.
    pub turquoise: String,
}

/// Images before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Images {
    /// Of the colour that is live; none before the first release.
    pub old: Vec<String>,
    /// Of the candidate.
    pub new: Vec<String>,
}

/// Who made a commit, and how it is called.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Words {
    /// Its author's name.
    pub author: OneLine,
    /// The first line of its message.
    pub subject: OneLine,
}

/// Asks until somebody has decided, or the check's time is over.
pub(super) async fn decided(
    asker: &Asker,
    webhook: &WebhookCheck,
    release: &Release,
    secrets: &Secrets,
    clock: fn() -> Timestamp,
) -> Result<(), NotPassed> {
    let mut last = OneLine::new("nobody answered");
    let asked = async {
        let mut pauses = ExponentialBuilder::default().with_jitter().without_max_times().build();
        loop {
            let pause = match ask(asker, webhook, release, secrets, clock).await? {
                Decision::Yes => return Ok(()),
                Decision::No(words) => return Err(NotPassed::Failed(words)),
                Decision::Later { words, pause } => {
                    last = words;
                    pause
                }
                // A receiver that restarts is no refusal: it is asked again with the same id.
                Decision::Nobody(words) => {
                    last = words;
                    pauses.next().unwrap_or(RETRY_AFTER_MIN)
                }
            };
            tokio::time::sleep(pause).await;
        }
    };
    let result = tokio::time::timeout(webhook.timeout, asked).await;
    result.unwrap_or_else(|_elapsed| {
        let words = format!("{} did not decide in {} s: {last}", webhook.url, webhook.timeout.as_secs_f64());
        Err(NotPassed::Failed(OneLine::new(&words)))
    })
}

enum Decision {
    Yes,
    No(OneLine),
    Later { words: OneLine, pause: Duration },
    Nobody(OneLine),
}

async fn ask(
    asker: &Asker,
    webhook: &WebhookCheck,
    release: &Release,
    secrets: &Secrets,
    clock: fn() -> Timestamp,
) -> Result<Decision, NotPassed> {
    let (mut headers, mut hidden) = secrets.headers(&webhook.headers).await?;
    let body = serde_json::to_vec(release).unwrap_or_default();
    headers.retain(|(name, _)| name != "content-type");
    headers.push(("content-type".into(), "application/json".into()));
    headers.push(("idempotency-key".into(), release.id.clone()));
    if let Some(name) = &webhook.secret {
        let secret = secrets.read(name).await?;
        hidden.add(&secret);
        let now = clock().as_second();
        headers.push((TIMESTAMP_HEADER.into(), now.to_string()));
        headers.push((SIGNATURE_HEADER.into(), sign(secret.as_bytes(), now, &body)));
    }
    let place = Place::Url(webhook.url.clone());
    let request = Request { place: &place, method: Method::Post, headers, body };
    match asker.send(&request, ANSWER_MAX.min(webhook.timeout)).await {
        Ok(answer) => Ok(decision(webhook, &answer, &hidden, clock())),
        // It may be up by and by; an address that may not be asked stays so until the check's time is over.
        Err(NoAnswer::Failed(words) | NoAnswer::Refused(words)) => Ok(Decision::Nobody(words)),
        Err(hindered @ NoAnswer::Hindered(_)) => Err(hindered.into()),
    }
}

fn decision(webhook: &WebhookCheck, answer: &Answer, hidden: &Hidden, now: Timestamp) -> Decision {
    let body = String::from_utf8_lossy(&answer.body);
    let words = hidden.line(&format!("{} answered {}: {body}", webhook.url, answer.status));
    match (answer.status, &answer.retry_after) {
        (ACCEPTED, Some(after)) => Decision::Later { words, pause: retry_after(after, now) },
        (200..300, _) => Decision::Yes,
        (_, _) => Decision::No(words),
    }
}

/// How long somebody who has not decided yet wants to be left alone, within reason.
fn retry_after(text: &str, now: Timestamp) -> Duration {
    net::retry_after(text, now).unwrap_or(RETRY_AFTER_MIN).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_within_reason() {
        let now: Timestamp = "2026-01-05T10:00:00Z".parse().expect("a time");
        for (text, seconds) in [
            ("7", 7),
            (" 7 ", 7),
            ("0", 1),
            ("99999", 300),
            ("Mon, 05 Jan 2026 10:00:20 GMT", 20),
            ("Mon, 05 Jan 2026 09:00:00 GMT", 1),
            ("soon", 1),
            ("-5", 1),
        ] {
            assert_eq!(retry_after(text, now), Duration::from_secs(seconds), "{text}");
        }
    }
}
