//! The figures as a table, as JSON and as a section of RESULTS.md.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

use crate::figures::Spread;
use crate::floor::Floor;
use crate::machine::{Machine, Memory, to_f64};
use crate::releases::{Measured, Release, SEGMENTS};

/// The median from commit to live beyond the pods' own start, at most.
const BEYOND_PODS_MS_MAX: f64 = 300.0;
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
}

#[derive(Debug, Serialize)]
struct Requests {
    sent: usize,
    failed: usize,
    failures: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FloorRows {
    to_live: Spread,
    beyond_pods: Spread,
    revert: Spread,
}

/// Everything that is said.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    segments: Vec<Row>,
    beyond_pods: Spread,
    revert: Spread,
    floor: FloorRows,
    /// The medians from start to live: turquoise's in bare clients'.
    ratio: f64,
    requests: Requests,
    memory: Memory,
    memory_at_end: Memory,
    looks_per_release: f64,
    cpu_ms_per_release: f64,
}

impl Report {
    pub(crate) fn new(machine: Machine, measured: &Measured, floor: &Floor) -> Self {
        let spread = |of: fn(&Release) -> f64| Spread::of(measured.releases.iter().map(of));
        let segments = SEGMENTS.map(|(name, of)| Row { name, spread: spread(of) });
        let floor = FloorRows {
            to_live: Spread::of(floor.to_live.iter().copied()),
            beyond_pods: Spread::of(floor.beyond_pods.iter().copied()),
            revert: Spread::of(floor.reverts.iter().copied()),
        };
        Self {
            ratio: spread(Release::until_live).median_ms / floor.to_live.median_ms,
            machine,
            segments: segments.into(),
            beyond_pods: spread(Release::beyond_pods),
            revert: Spread::of(measured.reverts.iter().copied()),
            floor,
            requests: Requests {
                sent: measured.traffic.sent,
                failed: measured.traffic.failures.len(),
                failures: measured.traffic.failures.iter().take(FAILURES_TOLD).cloned().collect(),
            },
            memory: measured.memory,
            memory_at_end: measured.memory_at_end,
            looks_per_release: measured.looks_per_release,
            cpu_ms_per_release: measured.cpu_ms_per_release,
        }
    }

    /// The thresholds that were missed, in words.
    pub(crate) fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        let beyond = self.beyond_pods.median_ms;
        if beyond > BEYOND_PODS_MS_MAX {
            missed.push(format!("{beyond:.0} ms beyond the pods' own start, more than {BEYOND_PODS_MS_MAX:.0}"));
        }
        let rss = mib(self.memory.rss_kib);
        if rss > RSS_MIB_MAX {
            missed.push(format!("{rss:.1} MB resident, more than {RSS_MIB_MAX:.0}"));
        }
        if self.requests.failed > 0 {
            missed.push(format!("{} requests failed: {}", self.requests.failed, self.requests.failures.join("; ")));
        }
        missed
    }

    fn rows(&self) -> Vec<(&str, Spread)> {
        let mut rows: Vec<(&str, Spread)> = self.segments.iter().map(|row| (row.name, row.spread)).collect();
        rows.push(("beyond the pods' own start", self.beyond_pods));
        rows.push(("end of `git push` of a revert to EndpointSlices", self.revert));
        rows.push(("floor: a bare client's apply to live", self.floor.to_live));
        rows.push(("floor: beyond the pods' own start", self.floor.beyond_pods));
        rows.push(("floor: a bare client's patch to EndpointSlices", self.floor.revert));
        rows
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
        vec![
            format!("{:.2} times as long to live as a bare client takes", self.ratio),
            format!("{} after the releases", memory(&self.memory)),
            format!("{} after the reverts", memory(&self.memory_at_end)),
            format!(
                "{:.0} looks and {:.0} ms of processor time a release",
                self.looks_per_release, self.cpu_ms_per_release
            ),
            format!("{} requests over new connections, {} failed", self.requests.sent, self.requests.failed),
        ]
    }
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
        writeln!(f, "{}\n", self.machine)?;
        writeln!(f, "{:<WIDTH$} {:>8} {:>8} {:>8} {:>4}", "milliseconds", "median", "p90", "max", "n")?;
        for (name, one) in self.rows() {
            let (median, p90, max) = (one.median_ms, one.p90_ms, one.max_ms);
            writeln!(f, "{name:<WIDTH$} {median:>8.1} {p90:>8.1} {max:>8.1} {:>4}", one.samples)?;
        }
        writeln!(f)?;
        for words in self.words() {
            writeln!(f, "{words}")?;
        }
        let missed = self.missed();
        writeln!(f)?;
        if missed.is_empty() {
            let limits =
                format!("{BEYOND_PODS_MS_MAX:.0} ms beyond the pods' own start and {RSS_MIB_MAX:.0} MB resident");
            writeln!(f, "within {limits}")?;
        }
        missed.iter().try_for_each(|words| writeln!(f, "missed: {words}"))
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
        writeln!(file, "The embedded cluster, a local repository; {}.\n", self.report.machine)?;
        writeln!(file, "| milliseconds | median | p90 | max | n |\n| --- | --: | --: | --: | --: |")?;
        for (name, one) in self.report.rows() {
            let (median, p90, max) = (one.median_ms, one.p90_ms, one.max_ms);
            writeln!(file, "| {name} | {median:.1} | {p90:.1} | {max:.1} | {} |", one.samples)?;
        }
        writeln!(file)?;
        self.report.words().iter().try_for_each(|words| writeln!(file, "- {words}"))
    }
}
