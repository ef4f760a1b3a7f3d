//! The story: a first release, a bump, a revert, a broken version.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use git2::Oid;
use serde::Serialize;
use tokio::sync::mpsc;
use turquoise_sandbox::Sandbox;

use super::client::{Client, Tally};
use super::repo::DemoRepo;
use super::show::Show;
use super::{REQUESTS_MIN, STEP_MAX};
use crate::core::colour::Colour;
use crate::core::report::Waiting;
use crate::core::status::AppStatus;
use crate::core::verdict::Verdict;
use crate::daemon::Update;

/// The live Service of the example and its port.
const SERVICE: (&str, u16) = ("shop", 8080);
/// Traffic between two steps, so that a step's effect shows in the log.
const BREATH: Duration = Duration::from_millis(500);

/// One step that is done.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Release {
    /// The version that the commit asked for.
    pub(super) version: String,
    /// The person's commit.
    pub(super) commit: String,
    /// `released`, `returned` or `rejected`.
    pub(super) outcome: &'static str,
    /// The colour that is live after it.
    pub(super) live: Colour,
    /// From the push to traffic on the new colour in every EndpointSlice, or to the rejection.
    pub(super) seconds: f64,
}

/// How it ended.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) releases: Vec<Release>,
    pub(super) tally: Tally,
    pub(super) log: Vec<(String, String)>,
    pub(super) failure: Option<String>,
    pub(super) status_url: Option<String>,
    pub(super) request_log: String,
}

impl Ending {
    /// Every step happened and every request was answered rightly.
    pub(super) fn is_good(&self) -> bool {
        self.failure.is_none() && self.tally.failed + self.tally.mixed == 0 && self.tally.went_back == 0
    }
}

/// The story while it is told.
pub(super) struct Story<'a> {
    show: &'a Show,
    repo: &'a DemoRepo,
    inbox: mpsc::UnboundedReceiver<Update>,
    client: Client,
    sandbox: &'a Sandbox,
    releases: Vec<Release>,
    status_url: Option<String>,
}

impl<'a> Story<'a> {
    pub(super) fn new(
        show: &'a Show,
        repo: &'a DemoRepo,
        inbox: mpsc::UnboundedReceiver<Update>,
        client: Client,
        sandbox: &'a Sandbox,
    ) -> Self {
        Self { show, repo, inbox, client, sandbox, releases: Vec::new(), status_url: None }
    }

    /// Plays every step; stops at the first that does not happen.
    pub(super) async fn tell(&mut self) -> anyhow::Result<()> {
        self.show.step("the first release: 1.0.0 into blue");
        self.until("the first release", |status| is_live(status, Colour::Blue, "1.0.0")).await?;
        let (service, port) = SERVICE;
        let address =
            self.sandbox.service_address("default", service, port).context("the live Service has no address")?;
        self.show.say("client", &format!("asks http://{address}/ all the time"));
        self.client.start(address).context("failed to start the test client")?;
        tokio::time::sleep(BREATH).await;

        self.show.step("bump the tag to 1.1.0 and push");
        let bump = self.release("1.1.0", "released", Colour::Green, |repo| repo.bump("1.1.0")).await?;

        self.show.step("git revert, and push: no new pods are needed");
        self.release("1.0.0", "returned", Colour::Blue, |repo| repo.revert(bump)).await?;

        self.show.step("push a version whose smoke test fails");
        self.reject("2.0.0-smoke-fails").await?;

        self.show.step("push the version that mends it");
        self.release("2.1.0", "released", Colour::Green, |repo| repo.bump("2.1.0")).await?;
        while self.client.sent() < REQUESTS_MIN {
            tokio::time::sleep(BREATH).await;
        }
        Ok(())
    }

    /// Ends the client and gathers what happened.
    pub(super) async fn end(self, failure: Option<String>) -> anyhow::Result<Ending> {
        let request_log = self.client.log().display().to_string();
        Ok(Ending {
            releases: self.releases,
            tally: self.client.stop().await.context("failed to write the requests' log")?,
            log: self.repo.log()?,
            failure,
            status_url: self.status_url,
            request_log,
        })
    }

    async fn release(
        &mut self,
        version: &str,
        outcome: &'static str,
        live: Colour,
        push: impl FnOnce(&DemoRepo) -> anyhow::Result<Oid>,
    ) -> anyhow::Result<Oid> {
        self.client.expect_a_move();
        let start = Instant::now();
        let commit = push(self.repo)?;
        self.show.say("git", &format!("{commit:.7} pushed"));
        self.until(&format!("{version} in {live}"), |status| is_live(status, live, version)).await?;
        self.done(version, commit, outcome, live, start).await;
        Ok(commit)
    }

    async fn reject(&mut self, version: &str) -> anyhow::Result<()> {
        let start = Instant::now();
        let commit = self.repo.bump(version)?;
        self.show.say("git", &format!("{commit:.7} pushed"));
        let revision = commit.to_string();
        let rejected = |status: &AppStatus| {
            status
                .verdict
                .as_ref()
                .is_some_and(|verdict| verdict.revision.as_str() == revision && verdict.verdict == Verdict::Rejected)
        };
        let status = self.until("the rejection", rejected).await?;
        let Some(live) = status.serving else { bail!("nothing serves after the rejection") };
        self.done(version, commit, "rejected", live, start).await;
        Ok(())
    }

    async fn done(&mut self, version: &str, commit: Oid, outcome: &'static str, live: Colour, start: Instant) {
        let seconds = start.elapsed().as_secs_f64();
        self.show.say("demo", &format!("{version} {outcome} after {seconds:.2} s; {live} is live"));
        self.releases.push(Release { version: version.to_owned(), commit: commit.to_string(), outcome, live, seconds });
        tokio::time::sleep(BREATH).await;
    }

    /// Follows the daemon until its status is as wished.
    async fn until(&mut self, what: &str, wished: impl Fn(&AppStatus) -> bool) -> anyhow::Result<AppStatus> {
        let follow = async {
            while let Some(update) = self.inbox.recv().await {
                match update {
                    Update::Listening(address) => {
                        let url = format!("http://{address}/");
                        self.show.say("demo", &format!("status {url}"));
                        self.status_url = Some(url);
                    }
                    Update::Did(_, did) => self.show.did(&did),
                    Update::Status(status) if wished(&status) => return Ok(*status),
                    Update::Status(status) => self.show.status(&status),
                }
            }
            bail!("turquoise ended before {what}")
        };
        match tokio::time::timeout(STEP_MAX, follow).await {
            Ok(result) => result,
            Err(_elapsed) => bail!("{what} did not happen in {} s", STEP_MAX.as_secs()),
        }
    }
}

/// The colour serves that version, git says so too, and every EndpointSlice holds it.
fn is_live(status: &AppStatus, colour: Colour, version: &str) -> bool {
    let image = format!("shop:{version}");
    status.serving == Some(colour)
        && status.declared == Some(colour)
        && status.colours[colour].images.contains(&image)
        && !status.waiting.iter().any(|waiting| matches!(waiting, Waiting::Endpoints { .. }))
}
