//! The figures as a table, as JSON and as a section of RESULTS.md, and the targets.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

use crate::cpu::Shares;
use crate::machine::{Machine, to_f64};

/// The targets for 1,000 apps.
const APPS_OF_TARGETS: usize = 1000;
/// The first full look, at most.
const FIRST_LOOK_S_MAX: f64 = 30.0;
/// All apps changed by one commit a repository: applied, at most.
const APPLIED_S_MAX: f64 = 30.0;
/// With so many apps the targets at rest count, the same for all sizes beyond.
const APPS_OF_REST_TARGETS: usize = 500;
/// Resident at rest, at most.
const REST_RSS_MIB_MAX: f64 = 100.0;
/// Of one core at rest, at most.
const REST_CPU_PERCENT_MAX: f64 = 2.0;

/// What one world showed.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) apps: usize,
    pub(crate) built_s: f64,
    pub(crate) built_rss_kib: u64,
    pub(crate) first_look_s: f64,
    pub(crate) first_look_cpu_ms: f64,
    pub(crate) rest_cpu_percent: f64,
    pub(crate) rest_looks: u64,
    pub(crate) rest_asked_per_poll: f64,
    pub(crate) rest_asked_git_an_hour: f64,
    /// Where the API server's requests are logged.
    pub(crate) rest_asked_cluster_an_hour: Option<f64>,
    pub(crate) rest_rss_kib: u64,
    pub(crate) rest_anonymous_kib: u64,
    pub(crate) pushed_s: f64,
    pub(crate) applied_s: f64,
    pub(crate) changed_s: f64,
    pub(crate) changed_looks_per_app: f64,
    pub(crate) shares: Shares,
    pub(crate) after_rss_kib: u64,
    pub(crate) rest_again_rss_kib: u64,
    pub(crate) peak_rss_kib: u64,
}

/// Everything that is said.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) real: bool,
    pub(crate) repos: usize,
    pub(crate) pods: u32,
    pub(crate) worlds: Vec<Figures>,
}

fn mib(kib: u64) -> f64 {
    to_f64(kib) / 1024.0
}

type Row = (&'static str, fn(&Figures) -> String);

const ROWS: [Row; 15] = [
    ("apps", |world| world.apps.to_string()),
    ("from an empty cluster until all are live, s", |world| format!("{:.1}", world.built_s)),
    ("resident then, MiB", |world| format!("{:.1}", mib(world.built_rss_kib))),
    ("restarted: first full look, s (processor s)", |world| {
        format!("{:.1} ({:.1})", world.first_look_s, world.first_look_cpu_ms / 1000.0)
    }),
    ("at rest: resident (of it its own), MiB", |world| {
        format!("{:.1} ({:.1})", mib(world.rest_rss_kib), mib(world.rest_anonymous_kib))
    }),
    ("at rest: of a core, %", |world| format!("{:.2}", world.rest_cpu_percent)),
    ("at rest: looks; HEAD asked for a poll", |world| {
        format!("{}; {:.1}", world.rest_looks, world.rest_asked_per_poll)
    }),
    ("at rest an hour: git asked; API server asked", |world| {
        let cluster = world.rest_asked_cluster_an_hour.map_or_else(|| "-".to_owned(), |count| format!("{count:.0}"));
        format!("{:.0}; {cluster}", world.rest_asked_git_an_hour)
    }),
    ("one commit a repository: pushes, s", |world| format!("{:.1}", world.pushed_s)),
    ("first push to all applied, s", |world| format!("{:.1}", world.applied_s)),
    ("first push to all live and settled, s", |world| format!("{:.1}", world.changed_s)),
    ("looks an app; turquoise's, the sandbox's ms", |world| {
        let Shares { turquoise_ms_per_app, sandbox_ms_per_app, .. } = world.shares;
        format!("{:.1}; {turquoise_ms_per_app:.1}, {sandbox_ms_per_app:.1}", world.changed_looks_per_app)
    }),
    ("% of the machine: turquoise, sandbox", |world| {
        format!("{:.0}, {:.0}", world.shares.turquoise_percent, world.shares.sandbox_percent)
    }),
    ("% of the machine: bench and git, others", |world| {
        format!("{:.0}, {:.0}", world.shares.bench_percent, world.shares.others_percent)
    }),
    ("resident after, 20 s later, at the peak, MiB", |world| {
        format!("{:.1}, {:.1}, {:.1}", mib(world.after_rss_kib), mib(world.rest_again_rss_kib), mib(world.peak_rss_kib))
    }),
];

impl Report {
    /// Targets that were missed, in words.
    pub(crate) fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for world in &self.worlds {
            let apps = to_f64(u64::try_from(world.apps).unwrap_or(0));
            let looks = to_f64(world.rest_looks);
            for (from, what, value, max) in [
                (APPS_OF_TARGETS, "the first full look, s", world.first_look_s, FIRST_LOOK_S_MAX),
                (APPS_OF_TARGETS, "one commit a repository: applied, s", world.applied_s, APPLIED_S_MAX),
                (APPS_OF_REST_TARGETS, "resident at rest, MiB", mib(world.rest_rss_kib), REST_RSS_MIB_MAX),
                (APPS_OF_REST_TARGETS, "of a core at rest, %", world.rest_cpu_percent, REST_CPU_PERCENT_MAX),
                (APPS_OF_REST_TARGETS, "looks at rest", looks, apps / 100.0),
            ] {
                if world.apps >= from && value > max {
                    missed.push(format!("{} apps: {what}: {value:.1}, at most {max:.1}", world.apps));
                }
            }
        }
        missed
    }

    /// What is no row.
    fn words(&self) -> Vec<String> {
        let growth = self.growth_kib().map(|growth| format!("{growth:.0} KiB resident at rest for each further app"));
        growth.into_iter().chain(self.missed().into_iter().map(|words| format!("missed: {words}"))).collect()
    }

    /// What each further app costs at rest, in KiB, between the smallest and the largest world.
    fn growth_kib(&self) -> Option<f64> {
        let (first, last) = (self.worlds.first()?, self.worlds.last()?);
        let apps = u64::try_from(last.apps.checked_sub(first.apps)?).ok().filter(|apps| *apps > 0)?;
        Some((to_f64(last.rest_rss_kib) - to_f64(first.rest_rss_kib)) / to_f64(apps))
    }

    fn place(&self) -> String {
        let Machine { cores, memory_gib, load } = &self.machine;
        let (repos, pods) = (self.repos, self.pods);
        let cluster = if self.real { "a real cluster" } else { "the embedded cluster" };
        format!(
            "{cluster}, local repositories; {cores} cores, {memory_gib:.0} GiB, load {load:.1} at the start; at most {repos} repositories, {pods} pods a colour"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.place())?;
        for (name, value) in ROWS {
            write!(f, "{name:<46}")?;
            for world in &self.worlds {
                write!(f, "{:>22}", value(world))?;
            }
            writeln!(f)?;
        }
        writeln!(f)?;
        self.words().iter().try_for_each(|words| writeln!(f, "{words}"))
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
        writeln!(file, "\n## Many apps: {}, commit {}\n", self.date, self.commit)?;
        writeln!(file, "In {}.\n", self.report.place())?;
        let rule = "--: |".repeat(self.report.worlds.len());
        for (at, (name, value)) in ROWS.into_iter().enumerate() {
            let cells: Vec<String> = self.report.worlds.iter().map(value).collect();
            writeln!(file, "| {name} | {} |", cells.join(" | "))?;
            if at == 0 {
                writeln!(file, "| --- | {rule}")?;
            }
        }
        writeln!(file)?;
        self.report.words().iter().try_for_each(|words| writeln!(file, "- {words}"))
    }
}
