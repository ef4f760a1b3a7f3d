//! Whose the processor time is: turquoise's, the sandbox's, this one's, or that of processes which have nothing to do with it.

use std::fs;
use std::time::Duration;

use serde::Serialize;

use crate::machine::{self, to_f64};

/// Ticks of a process's times a second: `USER_HZ`, 100 on every Linux that anybody runs.
const TICKS_PER_S: f64 = 100.0;

/// Processor time that was used up to a moment, in milliseconds.
pub(crate) struct Cpu {
    turquoise_ms: f64,
    sandbox_ms: f64,
    /// This process and the git that it ran.
    bench_ms: f64,
    machine_ms: f64,
}

impl Cpu {
    /// Without a sandbox the cluster's is that of others.
    pub(crate) fn now(turquoise: u32, sandbox: Option<u32>) -> Self {
        Self {
            turquoise_ms: machine::cpu_ms(turquoise),
            sandbox_ms: sandbox.map_or(0.0, machine::cpu_ms),
            bench_ms: own_ms(),
            machine_ms: busy_ms(),
        }
    }
}

/// What was used between two moments.
#[derive(Debug, Serialize)]
pub(crate) struct Shares {
    pub(crate) turquoise_ms_per_app: f64,
    pub(crate) sandbox_ms_per_app: f64,
    /// Of all the processor time that the machine has.
    pub(crate) turquoise_percent: f64,
    pub(crate) sandbox_percent: f64,
    pub(crate) bench_percent: f64,
    /// Processes that have nothing to do with it.
    pub(crate) others_percent: f64,
}

impl Shares {
    pub(crate) fn between(before: &Cpu, after: &Cpu, elapsed: Duration, apps: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let number = |count: usize| to_f64(u64::try_from(count).unwrap_or(1));
        let whole_ms = elapsed.as_secs_f64() * 1000.0 * number(cores);
        let turquoise_ms = after.turquoise_ms - before.turquoise_ms;
        let sandbox_ms = after.sandbox_ms - before.sandbox_ms;
        let bench_ms = after.bench_ms - before.bench_ms;
        let others_ms = after.machine_ms - before.machine_ms - turquoise_ms - sandbox_ms - bench_ms;
        let percent = |ms: f64| ms.max(0.0) / whole_ms * 100.0;
        Self {
            turquoise_ms_per_app: turquoise_ms / number(apps),
            sandbox_ms_per_app: sandbox_ms / number(apps),
            turquoise_percent: percent(turquoise_ms),
            sandbox_percent: percent(sandbox_ms),
            bench_percent: percent(bench_ms),
            others_percent: percent(others_ms),
        }
    }
}

/// This process and the children that it waited for.
fn own_ms() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces; after it the 12th to 15th are its own times and its children's.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = rest.split_whitespace().skip(11).take(4).filter_map(|text| text.parse::<u64>().ok()).sum();
    to_f64(ticks) / TICKS_PER_S * 1000.0
}

/// Everything that runs on the machine.
fn busy_ms() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<u64> = fields.filter_map(|text| text.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq; guests are in user already, and what was stolen was not used here.
    let busy: u64 = [0, 1, 2, 5, 6].into_iter().filter_map(|at| ticks.get(at)).sum();
    to_f64(busy) / TICKS_PER_S * 1000.0
}
