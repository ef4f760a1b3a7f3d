//! turquoise's releases and reverts, each measured from rest.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Service;
use kube::Client;
use kube::api::Api;

use crate::figures::ms_between;
use crate::journal::{Journal, LIVE, What};
use crate::machine::{self, Memory};
use crate::stage::Stage;
use crate::traffic::{Tally, Traffic};

/// The sandbox's images, in turn: no release asks for what either colour still has.
pub(crate) const VERSIONS: [&str; 6] = ["1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0", "3.0.0"];
/// The example's live port.
const PORT: u16 = 8080;
/// Time for turquoise to do nothing, before its memory at rest is read.
const REST: Duration = Duration::from_secs(3);

/// The other colour.
pub(crate) fn other(colour: &str) -> &'static str {
    if colour == "blue" { "green" } else { "blue" }
}

/// One release, as moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Release {
    branch_moved: Instant,
    pushed: Instant,
    first_pod: Instant,
    last_ready: Instant,
    committed: Instant,
    patched: Instant,
    endpoints: Instant,
    answered: Instant,
}

/// A row of the table: what it is called and what it measures, in milliseconds.
pub(crate) type Segment = (&'static str, fn(&Release) -> f64);

/// The table's rows about releases.
pub(crate) const SEGMENTS: [Segment; 9] = [
    ("branch moved to end of `git push`", |one| ms_between(one.branch_moved, one.pushed)),
    ("end of `git push` to first candidate pod", |one| ms_between(one.pushed, one.first_pod)),
    ("first pod to last pod ready (their own start)", |one| ms_between(one.first_pod, one.last_ready)),
    ("last pod ready to turquoise's commit", |one| ms_between(one.last_ready, one.committed)),
    ("commit to selector patched", |one| ms_between(one.committed, one.patched)),
    ("selector to EndpointSlices on the new colour", |one| ms_between(one.patched, one.endpoints)),
    ("EndpointSlices to first new answer", |one| ms_between(one.endpoints, one.answered)),
    ("last pod ready to EndpointSlices", |one| ms_between(one.last_ready, one.endpoints)),
    ("end of `git push` to live", Release::until_live),
];

impl Release {
    /// Live: every EndpointSlice holds the new colour, and a new connection got the new answer.
    fn live(&self) -> Instant {
        self.endpoints.max(self.answered)
    }

    /// End of the push to live.
    pub(crate) fn until_live(&self) -> f64 {
        ms_between(self.pushed, self.live())
    }

    /// The same without the pods' own start.
    pub(crate) fn beyond_pods(&self) -> f64 {
        self.until_live() - ms_between(self.first_pod, self.last_ready)
    }
}

/// What was measured of turquoise.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) releases: Vec<Release>,
    /// End of the push of a revert to EndpointSlices back on the warm colour, in milliseconds.
    pub(crate) reverts: Vec<f64>,
    pub(crate) traffic: Tally,
    /// After the releases, at rest.
    pub(crate) memory: Memory,
    /// After the reverts too.
    pub(crate) memory_at_end: Memory,
    pub(crate) looks_per_release: f64,
    pub(crate) cpu_ms_per_release: f64,
}

/// Where the namespace's live Service listens.
pub(crate) async fn live_address(client: &Client, namespace: &str) -> anyhow::Result<SocketAddr> {
    let service = Api::<Service>::namespaced(client.clone(), namespace).get(LIVE).await?;
    let address = service.spec.and_then(|spec| spec.cluster_ip).context("the live Service has no address")?;
    Ok(SocketAddr::new(address.parse()?, PORT))
}

/// Starts turquoise, releases and reverts.
pub(crate) async fn measure(stage: &mut Stage, releases: u32, reverts: u32) -> anyhow::Result<Measured> {
    let client = stage.client().await?;
    let journal = Journal::start(&client, "default", Some(stage.branch_file()));
    stage.start_turquoise()?;
    stage.rest("blue").await?;
    let traffic = Traffic::start(live_address(&client, "default").await?);
    let pid = stage.turquoise_pid();
    let (looks, cpu) = (stage.looks().await?, machine::cpu_ms(pid));

    let (mut done, mut serving, mut bump) = (Vec::new(), "blue", String::new());
    for version in VERSIONS.iter().cycle().skip(1).take(usize::try_from(releases)?) {
        let (release, commit) = release(stage, &journal, &traffic, version, other(serving))
            .await
            .with_context(|| format!("failed to release {version}"))?;
        done.push(release);
        (serving, bump) = (other(serving), commit);
    }
    let per_release = f64::from(releases);
    let looks_per_release = machine::to_f64(stage.looks().await? - looks) / per_release;
    let cpu_ms_per_release = (machine::cpu_ms(pid) - cpu) / per_release;
    tokio::time::sleep(REST).await;
    let memory = Memory::of(pid);

    let mut back = Vec::new();
    for _ in 0..reverts {
        let start = Instant::now();
        bump = stage.commit_revert(&bump)?;
        let pushed = stage.push()?;
        serving = other(serving);
        let endpoints = journal.first("the revert", start, |what| holds(what, serving)).await?;
        back.push(ms_between(pushed, endpoints));
        stage.rest(serving).await?;
    }
    Ok(Measured {
        releases: done,
        reverts: back,
        traffic: traffic.stop(),
        memory,
        memory_at_end: Memory::of(pid),
        looks_per_release,
        cpu_ms_per_release,
    })
}

/// Whether the live Service's endpoints are all of that colour now.
pub(crate) fn holds(what: &What, colour: &str) -> bool {
    matches!(what, What::Endpoints(Some(one)) if one == colour)
}

/// One release from rest to rest; gives its commit too.
async fn release(
    stage: &Stage,
    journal: &Journal,
    traffic: &Traffic,
    version: &str,
    candidate: &str,
) -> anyhow::Result<(Release, String)> {
    let commit = stage.commit_version(version)?;
    let start = Instant::now();
    let pushed = stage.push()?;
    let endpoints = journal.first("the flip", start, |what| holds(what, candidate)).await?;
    let answered = traffic.first_answer(version, start).await?;
    stage.rest(candidate).await?;
    traffic.must_stay(version, answered);

    let at = |what: &str, wished: &dyn Fn(&What) -> bool| {
        let entry = journal.since(start).into_iter().find(|entry| wished(&entry.what));
        entry.map(|entry| entry.at).with_context(|| format!("{what} was not seen"))
    };
    let (first_pod, last_ready) = journal.pods_start(candidate, start, endpoints)?;
    let release = Release {
        branch_moved: at("the push", &|what| *what == What::Branch(commit.clone()))?,
        pushed,
        first_pod,
        last_ready,
        committed: at("turquoise's commit", &|what| matches!(what, What::Branch(id) if *id != commit))?,
        patched: at("the switch", &|what| matches!(what, What::Selects(colour) if colour == candidate))?,
        endpoints,
        answered,
    };
    Ok((release, commit))
}
