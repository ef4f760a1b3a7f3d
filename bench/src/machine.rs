//! What Linux says of a machine and of a process. Elsewhere the figures are zero.

use std::fs;

use serde::Serialize;

/// Ticks of a process's times a second: `USER_HZ`, 100 on every Linux that anybody runs.
const TICKS_PER_S: f64 = 100.0;

/// The machine, as far as figures depend on it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    /// Processes that wanted to run in the minute before.
    pub(crate) load: f64,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let kib = field(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal");
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: to_f64(kib) / 1024.0 / 1024.0,
            load: load.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0.0),
        }
    }
}

/// A process's memory, in KiB.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Memory {
    /// Resident.
    pub(crate) rss_kib: u64,
    /// Of these: heap, stacks and whatever else only this process has.
    pub(crate) anonymous_kib: u64,
    /// Of these: pages of the binary and its libraries.
    pub(crate) file_kib: u64,
    /// The most that ever was resident.
    pub(crate) peak_kib: u64,
    /// Resident in its children, which are processes of their own.
    pub(crate) children_kib: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Self {
        let status = status(pid);
        Self {
            rss_kib: field(&status, "VmRSS"),
            anonymous_kib: field(&status, "RssAnon"),
            file_kib: field(&status, "RssFile"),
            peak_kib: field(&status, "VmHWM"),
            children_kib: children(pid).into_iter().map(|child| field(&self::status(child), "VmRSS")).sum(),
        }
    }
}

fn status(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default()
}

/// A line `Name:   number kB`.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|one| one.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Processor time that a process has used, in milliseconds.
pub(crate) fn cpu_ms(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold spaces; after it `utime` and `stime` are the 12th and 13th.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<u64>().ok()).sum();
    to_f64(ticks) / TICKS_PER_S * 1000.0
}

/// Exact below 2^53, which no figure here comes near.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "there is no other way to say it")]
pub(crate) fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_its_number() {
        let text = "VmHWM:\t   25224 kB\nVmRSS:\t   1200 kB\n";
        assert_eq!((field(text, "VmRSS"), field(text, "VmHWM"), field(text, "RssAnon")), (1200, 25_224, 0));
    }
}
