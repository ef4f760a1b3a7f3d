//! `make bench`: releases and reverts in the embedded cluster, measured from outside, and the daemon's memory after them.
//! `make bench-e2e` does the same in a real one.
//!
//! The sandbox, turquoise and git are processes of their own, as at work; this one pushes, watches the API server, asks
//! the live Service and looks at `/proc`. Everything is measured from rest: the next push waits until the last release is
//! settled. A bare client then does the same work in another namespace without git or checks: the floor of this machine.

mod figures;
mod floor;
mod http;
mod journal;
mod machine;
mod real;
mod releases;
mod report;
mod stage;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;

use real::Real;
use releases::Extent;
use report::{Report, Written};
use stage::Stage;

/// Measures releases in the embedded cluster, or in a real one; exits 1 where a threshold is missed.
#[derive(Debug, Parser)]
#[command(name = "bench-releases")]
struct Args {
    /// The turquoise binary, built for release
    #[arg(long, env = "TURQUOISE_BENCH_BINARY", value_name = "FILE", default_value = "target/release/turquoise")]
    turquoise: PathBuf,
    /// The watched repository's content
    #[arg(long, value_name = "DIR", default_value = "example-repo")]
    example: PathBuf,
    /// Releases to measure
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    releases: u32,
    /// Reverts to measure, each of the one before
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    reverts: u32,
    /// How long turquoise is watched at rest, after the releases
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    rest: u64,
    #[command(flatten)]
    real: Real,
    /// One JSON object in place of the table
    #[arg(long)]
    json: bool,
    /// Appends a section in Markdown to this file too
    #[arg(long, value_name = "FILE", requires_all = ["date", "commit"])]
    write: Option<PathBuf>,
    /// The section's date
    #[arg(long)]
    date: Option<String>,
    /// The commit that was built
    #[arg(long)]
    commit: Option<String>,
}

/// Exit code 1: a threshold was missed.
const MISSED: u8 = 1;
/// Exit code 3: it could not be measured.
const OUTSIDE: u8 = 3;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(report) if report.missed().is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(MISSED),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(OUTSIDE)
        }
    }
}

async fn run(args: Args) -> anyhow::Result<Report> {
    let mut stage = Stage::open(&args.turquoise, &args.example, &args.real)?;
    let measured = measure(&mut stage, &args).await;
    let report = measured.with_context(|| format!("turquoise's last words:\n{}", stage.last_words()))?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    if let (Some(file), Some(date), Some(commit)) = (&args.write, &args.date, &args.commit) {
        Written { date, commit, report: &report }
            .append(file)
            .with_context(|| format!("failed to write {}", file.display()))?;
    }
    Ok(report)
}

async fn measure(stage: &mut Stage, args: &Args) -> anyhow::Result<Report> {
    let machine = machine::Machine::look();
    let extent = Extent {
        releases: args.releases,
        reverts: args.reverts,
        rest: Duration::from_secs(args.rest),
        audit: args.real.audit.as_deref(),
    };
    let measured = releases::measure(stage, &extent).await?;
    // What turquoise does at rest is no part of what a bare client costs.
    stage.stop_turquoise();
    let floor = floor::measure(stage, args.releases.div_ceil(2), args.reverts).await?;
    Ok(Report::new(machine, stage.is_real(), &measured, &floor))
}
