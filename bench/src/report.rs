//! The figures as a table, as JSON and as a section of RESULTS.md.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

use crate::figures::Spread;
use crate::floor::Floor;
use crate::machine::{Machine, Memory, to_f64};
use crate::releases::{AtRest, Measured, Moments, OWN_SEGMENTS, Release, SEGMENTS};

/// In the embedded cluster: the median from commit to live beyond the pods' own start, at most.
const BEYOND_PODS_MS_MAX: f64 = 300.0;
/// In a real one, where a Service's rules follow its EndpointSlices by up to a second: the median from the end of the push
/// to the first candidate pod, from the last ready pod to the EndpointSlices, and of a revert to them.
const FIRST_POD_MS_MAX: f64 = 150.0;
const READY_TO_ENDPOINTS_MS_MAX: f64 = 250.0;
const REVERT_MS_MAX: f64 = 300.0;
/// The daemon's resident memory after the releases, at most. A megabyte is 1024 KiB of 1024 bytes here.
const RSS_MIB_MAX: f64 = 25.0;
/// Failures that are told in words.
const FAILURES_TOLD: usize = 3;
/// The table's first column.
const WIDTH: usize = 50;

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    #[serde(flatten)]
    spread: Spread,
    /// The same of the bare client, where it does it.
    floor: Option<Spread>,
}

#[derive(Debug, Serialize)]
struct Requests {
    sent: usize,
    failed: usize,
    failures: Vec<String>,
}

/// Everything that is said.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    real: bool,
    rows: Vec<Row>,
    #[serde(skip)]
    targets: Vec<(&'static str, f64, f64)>,
    /// The medians from start to live: turquoise's in bare clients'.
    ratio: f64,
    requests: Requests,
    memory: Memory,
    memory_at_end: Memory,
    looks_per_release: f64,
    cpu_ms_per_release: f64,
    at_rest: Option<AtRest>,
}

impl Report {
    pub(crate) fn new(machine: Machine, real: bool, measured: &Measured, floor: &Floor) -> Self {
        let ours = |of: fn(&Moments) -> f64| Spread::of(measured.releases.iter().map(|one| of(&one.moments)));
        let floors = |of: fn(&Moments) -> f64| Spread::of(floor.releases.iter().map(of));
        let own = |of: fn(&Release) -> f64| Spread::of(measured.releases.iter().map(of));
        let both = SEGMENTS.map(|(name, of)| Row { name, spread: ours(of), floor: Some(floors(of)) });
        let mut rows: Vec<Row> = both.into();
        rows.extend(OWN_SEGMENTS.map(|(name, of)| Row { name, spread: own(of), floor: None }));
        let revert = Spread::of(measured.reverts.iter().copied());
        rows.push(Row {
            name: "end of `git push` of a revert to EndpointSlices",
            spread: revert,
            floor: Some(Spread::of(floor.reverts.iter().copied())),
        });
        let targets = if real {
            vec![
                ("to the first pod", ours(Moments::until_first_pod).median_ms, FIRST_POD_MS_MAX),
                ("ready to EndpointSlices", ours(Moments::ready_to_endpoints).median_ms, READY_TO_ENDPOINTS_MS_MAX),
                ("revert to EndpointSlices", revert.median_ms, REVERT_MS_MAX),
            ]
        } else {
            vec![("beyond the pods' own start", ours(Moments::beyond_pods).median_ms, BEYOND_PODS_MS_MAX)]
        };
        Self {
            ratio: ours(Moments::until_live).median_ms / floors(Moments::until_live).median_ms,
            machine,
            real,
            rows,
            targets,
            requests: Requests {
                sent: measured.traffic.sent,
                failed: measured.traffic.failures.len(),
                failures: measured.traffic.failures.iter().take(FAILURES_TOLD).cloned().collect(),
            },
            memory: measured.memory,
            memory_at_end: measured.memory_at_end,
            looks_per_release: measured.looks_per_release,
            cpu_ms_per_release: measured.cpu_ms_per_release,
            at_rest: measured.at_rest.clone(),
        }
    }

    /// The thresholds that were missed, in words.
    pub(crate) fn missed(&self) -> Vec<String> {
        let over = self.targets.iter().filter(|(_, median, max)| median > max);
        let mut missed: Vec<String> =
            over.map(|(name, median, max)| format!("{name}: {median:.0} ms, more than {max:.0}")).collect();
        let rss = mib(self.memory.rss_kib);
        if rss > RSS_MIB_MAX {
            missed.push(format!("{rss:.1} MB resident, more than {RSS_MIB_MAX:.0}"));
        }
        if self.requests.failed > 0 {
            missed.push(format!("{} requests failed: {}", self.requests.failed, self.requests.failures.join("; ")));
        }
        missed
    }

    fn place(&self) -> String {
        let cluster = if self.real { "A real cluster" } else { "The embedded cluster" };
        format!("{cluster}, a local repository; {}", self.machine)
    }

    /// What is no row of times.
    fn words(&self) -> Vec<String> {
        let memory = |memory: &Memory| {
            format!(
                "{:.1} MB resident ({:.1} anonymous, {:.1} of files), {:.1} at the peak, {:.1} in children",
                mib(memory.rss_kib),
                mib(memory.anonymous_kib),
                mib(memory.file_kib),
                mib(memory.peak_kib),
                mib(memory.children_kib)
            )
        };
        let mut words = vec![
            format!("{:.2} times as long to live as a bare client takes", self.ratio),
            format!("{} after the releases", memory(&self.memory)),
            format!("{} after the reverts", memory(&self.memory_at_end)),
            format!(
                "{:.0} looks and {:.0} ms of processor time a release",
                self.looks_per_release, self.cpu_ms_per_release
            ),
            format!("{} requests over new connections, {} failed", self.requests.sent, self.requests.failed),
        ];
        if let Some(rest) = &self.at_rest {
            words.push(format!("{} at rest, {:.2} % of a core", memory(&rest.memory), rest.cpu_percent));
            words.push(at_rest_an_hour(rest));
        }
        words
    }
}

/// What is asked at rest, by the hour.
fn at_rest_an_hour(rest: &AtRest) -> String {
    let an_hour = |count: u64| to_f64(count) * 3600.0 / to_f64(rest.seconds);
    let cluster = rest.asked_cluster.as_ref().map(|verbs| {
        let each: Vec<String> = verbs.iter().map(|(verb, count)| format!("{:.0} {verb}", an_hour(*count))).collect();
        let parts = if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) };
        format!(", {:.0} requests to the API server{parts}", an_hour(verbs.values().sum()))
    });
    format!(
        "an hour at rest, by {} s of it: {:.0} looks, {:.0} questions to git{}",
        rest.seconds,
        an_hour(rest.looks),
        an_hour(rest.asked_git),
        cluster.unwrap_or_default()
    )
}

fn mib(kib: u64) -> f64 {
    to_f64(kib) / 1024.0
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cores, {:.0} GB of memory, load {:.1} before", self.cores, self.memory_gib, self.load)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.place())?;
        writeln!(
            f,
            "{:<WIDTH$} {:>8} {:>8} {:>8} {:>4} {:>12}",
            "milliseconds", "median", "p90", "max", "n", "bare client"
        )?;
        for Row { name, spread: one, floor } in &self.rows {
            let (median, p90, max) = (one.median_ms, one.p90_ms, one.max_ms);
            let floor = floor.map_or_else(String::new, |floor| format!("{:.1}", floor.median_ms));
            writeln!(f, "{name:<WIDTH$} {median:>8.1} {p90:>8.1} {max:>8.1} {:>4} {floor:>12}", one.samples)?;
        }
        writeln!(f)?;
        for words in self.words() {
            writeln!(f, "{words}")?;
        }
        writeln!(f)?;
        self.judged().iter().try_for_each(|words| writeln!(f, "{words}"))
    }
}

impl Report {
    /// Which targets there are, and what became of them.
    fn judged(&self) -> Vec<String> {
        let missed: Vec<String> = self.missed().iter().map(|words| format!("missed: {words}")).collect();
        if !missed.is_empty() {
            return missed;
        }
        let targets = self.targets.iter().map(|(name, _, max)| format!("{max:.0} ms {name}"));
        let targets: Vec<String> = targets.chain([format!("{RSS_MIB_MAX:.0} MB resident")]).collect();
        vec![format!("within {}", targets.join(", "))]
    }
}

/// A section of RESULTS.md.
pub(crate) struct Written<'a> {
    pub(crate) date: &'a str,
    pub(crate) commit: &'a str,
    pub(crate) report: &'a Report,
}

impl Written<'_> {
    pub(crate) fn append(&self, file: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(file)?;
        writeln!(file, "\n## {}, commit {}\n", self.date, self.commit)?;
        writeln!(file, "{}.\n", self.report.place())?;
        writeln!(file, "| milliseconds | median | p90 | max | n | bare client's median |")?;
        writeln!(file, "| --- | --: | --: | --: | --: | --: |")?;
        for Row { name, spread: one, floor } in &self.report.rows {
            let (median, p90, max) = (one.median_ms, one.p90_ms, one.max_ms);
            let floor = floor.map_or_else(String::new, |floor| format!("{:.1}", floor.median_ms));
            writeln!(file, "| {name} | {median:.1} | {p90:.1} | {max:.1} | {} | {floor} |", one.samples)?;
        }
        writeln!(file)?;
        let words = self.report.words().into_iter().chain(self.report.judged());
        words.into_iter().try_for_each(|words| writeln!(file, "- {words}"))
    }
}
