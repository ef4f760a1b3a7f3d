//! turquoise's releases and reverts, each measured from rest.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::figures::ms_between;
use crate::journal::{Journal, What};
use crate::machine::{self, Memory};
use crate::real::Audit;
use crate::stage::Stage;
use crate::traffic::{Tally, Traffic};

/// The sandbox's images, in turn: no release asks for what either colour still has.
pub(crate) const VERSIONS: [&str; 6] = ["1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0", "3.0.0"];
/// turquoise's counters: looks at its app, and questions for a repository's head.
const LOOKS: &str = "turquoise_looks_total";
const ASKED_GIT: &str = "turquoise_repo_asked_total";
/// Time for turquoise to do nothing, before its memory at rest is read.
const REST: Duration = Duration::from_secs(3);

/// The other colour.
pub(crate) fn other(colour: &str) -> &'static str {
    if colour == "blue" { "green" } else { "blue" }
}

/// A release by turquoise or by the bare client, as moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    /// The end of `git push`; the bare client's first apply.
    pub(crate) begun: Instant,
    pub(crate) first_pod: Instant,
    pub(crate) last_ready: Instant,
    pub(crate) patched: Instant,
    pub(crate) endpoints: Instant,
    /// The first new answer.
    pub(crate) answered: Instant,
    /// The last old one.
    pub(crate) last_old: Instant,
}

/// One release of turquoise's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Release {
    pub(crate) moments: Moments,
    branch_moved: Instant,
    committed: Instant,
}

/// A row of the table: what it is called and what it measures, in milliseconds.
pub(crate) type Segment<T> = (&'static str, fn(&T) -> f64);

/// What a bare client does not do.
pub(crate) const OWN_SEGMENTS: [Segment<Release>; 3] = [
    ("branch moved to end of `git push`", |one| ms_between(one.branch_moved, one.moments.begun)),
    ("last pod ready to turquoise's commit", |one| ms_between(one.moments.last_ready, one.committed)),
    ("commit to selector patched", |one| ms_between(one.committed, one.moments.patched)),
];

/// What both do.
pub(crate) const SEGMENTS: [Segment<Moments>; 8] = [
    ("end of `git push` to first candidate pod", Moments::until_first_pod),
    ("first pod to last pod ready (their own start)", |one| ms_between(one.first_pod, one.last_ready)),
    ("last pod ready to EndpointSlices", Moments::ready_to_endpoints),
    ("selector to EndpointSlices on the new colour", |one| ms_between(one.patched, one.endpoints)),
    ("selector to first new answer", |one| ms_between(one.patched, one.answered)),
    ("selector to last old answer", |one| ms_between(one.patched, one.last_old)),
    ("end of `git push` to live", Moments::until_live),
    ("the same beyond the pods' own start", Moments::beyond_pods),
];

impl Moments {
    /// The push's end to the first pod of the candidate.
    pub(crate) fn until_first_pod(&self) -> f64 {
        ms_between(self.begun, self.first_pod)
    }

    /// The candidate's last pod to the flip's end.
    pub(crate) fn ready_to_endpoints(&self) -> f64 {
        ms_between(self.last_ready, self.endpoints)
    }

    /// Live: every EndpointSlice holds the new colour, and a new connection got the new answer.
    fn live(&self) -> Instant {
        self.endpoints.max(self.answered)
    }

    /// The beginning to live.
    pub(crate) fn until_live(&self) -> f64 {
        ms_between(self.begun, self.live())
    }

    /// The same without the pods' own start.
    pub(crate) fn beyond_pods(&self) -> f64 {
        self.until_live() - ms_between(self.first_pod, self.last_ready)
    }
}

/// What turquoise does while there is nothing to do.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct AtRest {
    pub(crate) seconds: u64,
    pub(crate) cpu_percent: f64,
    pub(crate) memory: Memory,
    pub(crate) looks: u64,
    /// How often a repository was asked for its head.
    pub(crate) asked_git: u64,
    /// Requests to the API server by verb, where they are logged.
    pub(crate) asked_cluster: Option<BTreeMap<String, u64>>,
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
    pub(crate) at_rest: Option<AtRest>,
}

/// How much is measured.
pub(crate) struct Extent<'a> {
    pub(crate) releases: u32,
    pub(crate) reverts: u32,
    /// How long turquoise is watched at rest, after the releases.
    pub(crate) rest: Duration,
    pub(crate) audit: Option<&'a Path>,
}

/// Starts turquoise, releases and reverts.
pub(crate) async fn measure(stage: &mut Stage, extent: &Extent<'_>) -> anyhow::Result<Measured> {
    let client = stage.client().await?;
    let journal = Journal::start(&client, stage.namespace(), Some(stage.branch_file()));
    stage.start_turquoise()?;
    stage.rest("blue").await?;
    let traffic = Traffic::start(stage.live_address(&client, stage.namespace()).await?);
    let pid = stage.turquoise_pid();
    let (looks, cpu) = (stage.counted(LOOKS).await?, machine::cpu_ms(pid));

    let (mut done, mut serving, mut bump) = (Vec::new(), "blue", String::new());
    for version in VERSIONS.iter().cycle().skip(1).take(usize::try_from(extent.releases)?) {
        let (release, commit) = release(stage, &journal, &traffic, version, other(serving))
            .await
            .with_context(|| format!("failed to release {version}"))?;
        done.push(release);
        (serving, bump) = (other(serving), commit);
    }
    let per_release = f64::from(extent.releases);
    let looks_per_release = machine::to_f64(stage.counted(LOOKS).await? - looks) / per_release;
    let cpu_ms_per_release = (machine::cpu_ms(pid) - cpu) / per_release;
    tokio::time::sleep(REST).await;
    let memory = Memory::of(pid);
    let at_rest = if extent.rest.is_zero() { None } else { Some(at_rest(stage, extent).await?) };

    let mut back = Vec::new();
    for _ in 0..extent.reverts {
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
        at_rest,
    })
}

async fn at_rest(stage: &Stage, extent: &Extent<'_>) -> anyhow::Result<AtRest> {
    let pid = stage.turquoise_pid();
    let audit = extent.audit.map(Audit::begin).transpose().context("failed to read the audit log")?;
    let (looks, asked) = (stage.counted(LOOKS).await?, stage.counted(ASKED_GIT).await?);
    let cpu_ms = machine::cpu_ms(pid);
    tokio::time::sleep(extent.rest).await;
    Ok(AtRest {
        seconds: extent.rest.as_secs(),
        cpu_percent: (machine::cpu_ms(pid) - cpu_ms) / 10.0 / extent.rest.as_secs_f64(),
        memory: Memory::of(pid),
        looks: stage.counted(LOOKS).await? - looks,
        asked_git: stage.counted(ASKED_GIT).await? - asked,
        asked_cluster: audit.map(|audit| audit.requests(stage.namespace())).transpose()?,
    })
}

/// Whether the live Service's endpoints are all of that colour now.
pub(crate) fn holds(what: &What, colour: &str) -> bool {
    matches!(what, What::Endpoints(Some(one)) if one == colour)
}

/// Whether the live Service selects that colour now.
pub(crate) fn selects(what: &What, colour: &str) -> bool {
    matches!(what, What::Selects(one) if one == colour)
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
    let moments = Moments {
        begun: pushed,
        first_pod,
        last_ready,
        patched: at("the switch", &|what| selects(what, candidate))?,
        endpoints,
        answered,
        last_old: traffic.last_other(version, start).context("nobody asked before")?,
    };
    let release = Release {
        moments,
        branch_moved: at("the push", &|what| *what == What::Branch(commit.clone()))?,
        committed: at("turquoise's commit", &|what| matches!(what, What::Branch(id) if *id != commit))?,
    };
    Ok((release, commit))
}
