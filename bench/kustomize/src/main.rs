//! `make bench-kustomize`: renders generated trees with `turquoise render` and with `kubectl kustomize`, whole processes in
//! turns in the same run, and prints the ratio, the growth of the cost of one resource, and the peak of memory.
//!
//! Exits 1 where a threshold is missed, 3 where something could not be measured.

mod process;
mod trees;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;

/// Compares the time of `turquoise render` with another renderer's.
#[derive(Debug, Parser)]
#[command(name = "bench-kustomize")]
struct Args {
    /// The turquoise binary, built for release
    #[arg(long, env = "TURQUOISE_BENCH_BINARY", value_name = "FILE", default_value = "target/release/turquoise")]
    turquoise: PathBuf,
    /// The renderer to compare with: `kubectl`, or a `kustomize` binary
    #[arg(long, value_name = "FILE", default_value = "kubectl")]
    peer: PathBuf,
    /// Measures turquoise alone
    #[arg(long)]
    alone: bool,
    /// Writes the trees there and keeps them
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// One tree to render, and what is asked of it.
struct Case {
    name: &'static str,
    resources: usize,
    /// Runs of turquoise; the median counts.
    runs: usize,
    /// Runs of the peer, which takes minutes for thousands of resources; none for the largest tree.
    peer_runs: usize,
    /// How many times faster than the peer it must be.
    ratio_min: Option<f64>,
}

/// The targets stand in the crate's README too.
const CASES: [Case; 5] = [
    Case { name: "small overlay", resources: 8, runs: 41, peer_runs: 11, ratio_min: Some(20.0) },
    Case { name: "100 resources", resources: 100, runs: 31, peer_runs: 5, ratio_min: None },
    Case { name: "1,000 resources", resources: 1_000, runs: 15, peer_runs: 3, ratio_min: Some(100.0) },
    Case { name: "4,000 resources", resources: 4_000, runs: 9, peer_runs: 1, ratio_min: Some(400.0) },
    Case { name: "10,000 resources", resources: 10_000, runs: 7, peer_runs: 0, ratio_min: None },
];

/// The cost of one resource may grow by this much from 100 to 10,000 resources.
const GROWTH_MAX: f64 = 1.5;

/// Bytes that any render may take, whatever its input.
const MEMORY_FLOOR_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of memory for each byte of input beyond that.
const MEMORY_PER_BYTE: u64 = 20;

/// Exit code 1: a threshold was missed.
const MISSED: u8 = 1;
/// Exit code 3: it could not be measured.
const OUTSIDE: u8 = 3;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(missed) if missed.is_empty() => ExitCode::SUCCESS,
        Ok(missed) => {
            missed.iter().for_each(|miss| println!("missed: {miss}"));
            ExitCode::from(MISSED)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(OUTSIDE)
        }
    }
}

fn run(args: &Args) -> anyhow::Result<Vec<String>> {
    let temporary = tempfile::tempdir().context("failed to make a folder")?;
    let folder = args.keep.as_deref().unwrap_or(temporary.path());
    if !args.alone {
        println!("peer: {}", process::version(&args.peer)?);
    }
    println!("| tree | input | turquoise | per resource | peak memory | of the allowed | peer | ratio |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut missed = Vec::new();
    let mut per_resource = Vec::new();
    for case in &CASES {
        let root = folder.join(case.resources.to_string());
        let written = trees::write(&root, case.resources)?;
        let overlay = root.join("overlay");
        let row = measure(args, case, &overlay)?;
        let each = row.own.as_secs_f64() * 1e6 / to_f64(written.resources as u64);
        per_resource.push((case.resources, each));
        let allowed = MEMORY_FLOOR_BYTES + MEMORY_PER_BYTE * written.bytes;
        let ratio = row.peer.map(|peer| peer.as_secs_f64() / row.own.as_secs_f64());
        println!(
            "| {} | {} KiB | {:.2} ms | {each:.1} µs | {} | {} | {} | {} |",
            case.name,
            written.bytes / 1024,
            row.own.as_secs_f64() * 1e3,
            row.peak_bytes.map_or_else(String::new, |peak| format!("{:.1} MiB", to_f64(peak) / 1024.0 / 1024.0)),
            row.peak_bytes.map_or_else(String::new, |peak| format!("{:.0} %", to_f64(peak) / to_f64(allowed) * 100.0)),
            row.peer.map_or_else(String::new, |peer| format!("{:.0} ms", peer.as_secs_f64() * 1e3)),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.0}")),
        );
        if let (Some(ratio), Some(least)) = (ratio, case.ratio_min)
            && ratio < least
        {
            missed.push(format!("{}: {ratio:.0} times faster than the peer, not {least:.0}", case.name));
        }
        if row.peak_bytes.is_some_and(|peak| peak > allowed) {
            missed.push(format!("{}: more memory than {} MiB", case.name, allowed / 1024 / 1024));
        }
    }
    let of = |resources: usize| per_resource.iter().find(|(n, _)| *n == resources).map_or(f64::NAN, |(_, each)| *each);
    let growth = of(10_000) / of(100);
    println!("growth of the cost of one resource from 100 to 10,000: {growth:.2}");
    if growth > GROWTH_MAX {
        missed.push(format!("growth {growth:.2}, not {GROWTH_MAX}"));
    }
    Ok(missed)
}

struct Row {
    own: Duration,
    peer: Option<Duration>,
    peak_bytes: Option<u64>,
}

/// Runs both in turns, so that whatever else the machine does meets both.
fn measure(args: &Args, case: &Case, overlay: &Path) -> anyhow::Result<Row> {
    let (mut own, mut peer, mut peak) = (Vec::new(), Vec::new(), None);
    let peer_runs = if args.alone { 0 } else { case.peer_runs };
    let mut outputs = (Vec::new(), None);
    for turn in 0..case.runs.max(peer_runs) {
        if turn < case.runs {
            let run = process::run(&args.turquoise, "render", overlay)?;
            own.push(run.took);
            peak = peak.max(run.peak_bytes);
            outputs.0 = run.output;
        }
        if turn < peer_runs {
            let run = process::run(&args.peer, process::verb(&args.peer), overlay)?;
            peer.push(run.took);
            outputs.1 = Some(run.output);
        }
    }
    if outputs.1.is_some_and(|output| output != outputs.0) {
        anyhow::bail!("{}: the two print different things, so their times say nothing", case.name);
    }
    Ok(Row { own: median(own), peer: (!peer.is_empty()).then(|| median(peer)), peak_bytes: peak })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "figures for a table")]
fn to_f64(number: u64) -> f64 {
    number as f64
}
