//! `make bench-scale`: many apps in many repositories, from outside. The sandbox, turquoise and git are processes of their
//! own; this one writes repositories, pushes, asks for the status and looks at `/proc`. The apps ask for no pods, so that it is
//! turquoise that is measured, and not a thousand containers; `--pods` gives them some.

mod cpu;
#[path = "../http.rs"]
mod http;
#[path = "../machine.rs"]
mod machine;
#[path = "../real.rs"]
mod real;
mod report;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;

use cpu::Shares;
use machine::{Machine, Memory, to_f64};
use real::{Audit, Real};
use report::{Figures, Report, Written};
use stage::{Reached, Stage};

/// Measures turquoise with many apps; exits 1 where a target is missed.
#[derive(Debug, Parser)]
#[command(name = "bench-scale")]
struct Args {
    /// The turquoise binary, built for release
    #[arg(long, env = "TURQUOISE_BENCH_BINARY", value_name = "FILE", default_value = "target/release/turquoise")]
    turquoise: PathBuf,
    /// How many apps, one world after another
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 500, 1000])]
    apps: Vec<usize>,
    /// Repositories that they are spread over
    #[arg(long, default_value_t = 20)]
    repos: usize,
    /// Pods of each colour of each app
    #[arg(long, default_value_t = 0)]
    pods: u32,
    /// How long turquoise is watched at rest
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
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

/// Exit code 1: a target was missed.
const MISSED: u8 = 1;
/// Exit code 3: it could not be measured.
const OUTSIDE: u8 = 3;
/// After the last release watches, retries and the allocator come to rest.
const CALM: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(report) if report.missed().is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(MISSED),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(OUTSIDE)
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report {
        machine: Machine::look(),
        real: args.real.kubeconfig.is_some(),
        repos: args.repos,
        pods: args.pods,
        worlds: Vec::new(),
    };
    for apps in &args.apps {
        report.worlds.push(measure(args, *apps).await?);
    }
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

async fn measure(args: &Args, apps: usize) -> anyhow::Result<Figures> {
    let mut stage = Stage::open(&args.turquoise, &args.real, apps, args.repos.min(apps), args.pods).await?;
    let figures = measured(&mut stage, args, apps).await;
    figures.with_context(|| format!("{apps} apps; turquoise's last words:\n{}", stage.last_words()))
}

async fn measured(stage: &mut Stage, args: &Args, apps: usize) -> anyhow::Result<Figures> {
    // An empty cluster: every app is deployed, verified, pinned, and gets its live overlay.
    stage.start_turquoise()?;
    let built = stage.until_all_are_live("blue").await?;
    let built_memory = Memory::of(stage.pid());

    // Everything is as git says: one look at each app finds that.
    stage.stop_turquoise();
    stage.start_turquoise()?;
    let first_look = stage.until_all_are_live("blue").await?;
    let first_look_cpu_ms = machine::cpu_ms(stage.pid());

    tokio::time::sleep(CALM).await;
    let (looks, asked) =
        (stage.counted("turquoise_looks_total").await?, stage.counted("turquoise_repo_asked_total").await?);
    let audit = args.real.audit.as_deref().map(Audit::begin).transpose().context("failed to read the audit log")?;
    let cpu_ms = machine::cpu_ms(stage.pid());
    let memory = Memory::of(stage.pid());
    tokio::time::sleep(Duration::from_secs(args.rest)).await;
    let cpu_percent = (machine::cpu_ms(stage.pid()) - cpu_ms) / 10.0 / to_f64(args.rest);
    let looks = stage.counted("turquoise_looks_total").await? - looks;
    let asked = stage.counted("turquoise_repo_asked_total").await? - asked;
    let requests = audit.map(|audit| audit.requests(&stage.namespace(0))).transpose()?;
    let an_hour = |count: u64| to_f64(count) * 3600.0 / to_f64(args.rest);

    // One commit a repository changes all of its apps.
    let before = stage.counted("turquoise_looks_total").await?;
    stage.commit_version("2.0.0")?;
    let cpu = stage.cpu();
    let start = Instant::now();
    stage.push()?;
    let pushed_s = start.elapsed().as_secs_f64();
    let Reached { applied_s, live_s } = stage.until_all_are_live("green").await?;
    let shares = Shares::between(&cpu, &stage.cpu(), start.elapsed(), apps);
    let changed_looks = stage.counted("turquoise_looks_total").await? - before;
    let after = Memory::of(stage.pid());
    tokio::time::sleep(CALM).await;
    Ok(Figures {
        apps,
        built_s: built.live_s,
        built_rss_kib: built_memory.rss_kib,
        first_look_s: first_look.live_s,
        first_look_cpu_ms,
        rest_cpu_percent: cpu_percent,
        rest_looks: looks,
        rest_asked_per_poll: to_f64(asked) / (to_f64(args.rest) / stage::POLL_S),
        rest_asked_git_an_hour: an_hour(asked),
        rest_asked_cluster_an_hour: requests.map(|verbs| an_hour(verbs.values().sum())),
        rest_rss_kib: memory.rss_kib,
        rest_anonymous_kib: memory.anonymous_kib,
        pushed_s,
        applied_s: pushed_s + applied_s,
        changed_s: pushed_s + live_s,
        changed_looks_per_app: to_f64(changed_looks) / to_f64(u64::try_from(apps)?),
        shares,
        after_rss_kib: after.rss_kib,
        rest_again_rss_kib: Memory::of(stage.pid()).rss_kib,
        peak_rss_kib: after.peak_kib,
    })
}
