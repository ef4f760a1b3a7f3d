//! The figures as a table, and the targets.

use std::fmt;

use serde::Serialize;

use crate::machine::{Machine, to_f64};

/// The targets count for this many apps and more.
const APPS_OF_TARGETS: usize = 1000;
/// The first full look, at most.
const FIRST_LOOK_S_MAX: f64 = 30.0;
/// All apps changed by one commit a repository, at most.
const CHANGED_S_MAX: f64 = 30.0;
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
    pub(crate) rest_cpu_percent: f64,
    pub(crate) rest_looks: u64,
    pub(crate) rest_asked_per_poll: f64,
    pub(crate) rest_rss_kib: u64,
    pub(crate) rest_anonymous_kib: u64,
    pub(crate) pushed_s: f64,
    pub(crate) changed_s: f64,
    pub(crate) changed_looks_per_app: f64,
    pub(crate) changed_cpu_ms_per_app: f64,
    pub(crate) after_rss_kib: u64,
    pub(crate) peak_rss_kib: u64,
}

/// Everything that is said.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) repos: usize,
    pub(crate) worlds: Vec<Figures>,
}

fn mib(kib: u64) -> f64 {
    to_f64(kib) / 1024.0
}

impl Report {
    /// Targets that were missed, in words.
    pub(crate) fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for world in self.worlds.iter().filter(|world| world.apps >= APPS_OF_TARGETS) {
            for (what, value, max) in [
                ("the first full look, s", world.first_look_s, FIRST_LOOK_S_MAX),
                ("all changed by one commit a repository, s", world.changed_s, CHANGED_S_MAX),
                ("resident at rest, MiB", mib(world.rest_rss_kib), REST_RSS_MIB_MAX),
                ("of a core at rest, %", world.rest_cpu_percent, REST_CPU_PERCENT_MAX),
                ("looks at rest", to_f64(world.rest_looks), to_f64(u64::try_from(world.apps).unwrap_or(0)) / 100.0),
            ] {
                if value > max {
                    missed.push(format!("{} apps: {what}: {value:.1}, at most {max:.1}", world.apps));
                }
            }
        }
        missed
    }

    /// What each further app costs at rest, in KiB, between the smallest and the largest world.
    fn growth_kib(&self) -> Option<f64> {
        let (first, last) = (self.worlds.first()?, self.worlds.last()?);
        let apps = u64::try_from(last.apps.checked_sub(first.apps)?).ok().filter(|apps| *apps > 0)?;
        Some((to_f64(last.rest_rss_kib) - to_f64(first.rest_rss_kib)) / to_f64(apps))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cores, memory_gib, load } = &self.machine;
        writeln!(
            f,
            "{cores} cores, {memory_gib:.0} GiB, load {load:.1} at the start; at most {} repositories\n",
            self.repos
        )?;
        type Row = (&'static str, fn(&Figures) -> String);
        let rows: [Row; 12] = [
            ("apps", |world| world.apps.to_string()),
            ("from an empty cluster until all are live, s", |world| format!("{:.1}", world.built_s)),
            ("  resident then, MiB", |world| format!("{:.1}", mib(world.built_rss_kib))),
            ("restarted: first full look, s", |world| format!("{:.1}", world.first_look_s)),
            ("at rest: resident (of it its own), MiB", |world| {
                format!("{:.1} ({:.1})", mib(world.rest_rss_kib), mib(world.rest_anonymous_kib))
            }),
            ("at rest: of a core, %", |world| format!("{:.2}", world.rest_cpu_percent)),
            ("at rest: looks; HEAD asked for a poll", |world| {
                format!("{}; {:.1}", world.rest_looks, world.rest_asked_per_poll)
            }),
            ("one commit a repository: pushes, s", |world| format!("{:.1}", world.pushed_s)),
            ("  first push to all live and settled, s", |world| format!("{:.1}", world.changed_s)),
            ("  looks an app", |world| format!("{:.1}", world.changed_looks_per_app)),
            ("  processor time an app, ms", |world| format!("{:.1}", world.changed_cpu_ms_per_app)),
            ("  resident after, at most ever, MiB", |world| {
                format!("{:.1}, {:.1}", mib(world.after_rss_kib), mib(world.peak_rss_kib))
            }),
        ];
        for (name, value) in rows {
            write!(f, "{name:<46}")?;
            for world in &self.worlds {
                write!(f, "{:>16}", value(world))?;
            }
            writeln!(f)?;
        }
        if let Some(growth) = self.growth_kib() {
            writeln!(f, "\n{growth:.0} KiB resident at rest for each further app")?;
        }
        for missed in self.missed() {
            writeln!(f, "MISSED {missed}")?;
        }
        Ok(())
    }
}
