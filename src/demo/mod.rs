//! `turquoise demo`: a release, a rollback and a rejection in an embedded cluster, under traffic, with one command.
//!
//! Everything is real but the cluster: a bare git repository, the daemon, its commits, HTTP requests over TCP.

mod client;
mod repo;
mod show;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::sync::{mpsc, oneshot};
use turquoise_sandbox::{Options, Sandbox};

use crate::config::{RepoSettings, Settings};
use crate::core::grants::Grants;
use crate::daemon;
use client::Client;
use repo::DemoRepo;
use show::Show;
use story::Story;

/// A step of the demo that takes longer than this did not happen.
const STEP_MAX: Duration = Duration::from_secs(60);
/// Requests that the demo sends at least: a failure of one in ten thousand shows.
const REQUESTS_MIN: u64 = 10_000;
/// git is asked at least that often; the watch on the repository is what makes it fast.
const POLL: Duration = Duration::from_secs(5);

/// The demo's arguments.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Leave everything running at the end, and print what to try next
    #[arg(long)]
    keep: bool,
    /// Print one JSON object at the end, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// Plays the demo. Exit code 0: every step happened and no request failed; 1: not so; 3: it could not start.
pub async fn run(args: DemoArgs) -> ExitCode {
    match play(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(3)
        }
    }
}

/// What runs during the demo, and ends with it.
struct Stage {
    folder: tempfile::TempDir,
    kubeconfig: PathBuf,
    sandbox: Sandbox,
    stop: oneshot::Sender<()>,
    daemon: tokio::task::JoinHandle<anyhow::Result<()>>,
}

async fn play(args: &DemoArgs) -> anyhow::Result<bool> {
    daemon::install_crypto();
    let show = Show::new(args.json);
    let folder = tempfile::Builder::new().prefix("turquoise-demo-").tempdir().context("failed to make a folder")?;
    let repo = DemoRepo::create(&folder.path().join("shop.git"))?;
    let sandbox = Sandbox::start(Options::default()).await.context("failed to start the embedded cluster")?;
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, sandbox.kubeconfig()).context("failed to write the kubeconfig")?;
    show.say("demo", &format!("repository {}", repo.path().display()));
    show.say("demo", &format!("an embedded Kubernetes answers at {}", sandbox.url()));

    let (updates, inbox) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let watched = RepoSettings::new(&repo.path().display().to_string(), repo::BRANCH, POLL, Grants::default());
    let settings = Settings {
        kubeconfig: Some(kubeconfig.clone()),
        listen: Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0))),
        ..Settings::one(watched)
    };
    let daemon = tokio::spawn(daemon::run(
        settings,
        async {
            // A dropped sender is a stop too.
            let _dropped = stopped.await;
        },
        Some(updates),
    ));
    let stage = Stage { folder, kubeconfig, sandbox, stop, daemon };
    let log = stage.folder.path().join("requests.log");
    let mut story = Story::new(&show, &repo, inbox, Client::new(&log), &stage.sandbox);
    let told = story.tell().await;
    let failure = told.as_ref().err().map(|error| format!("{error:#}"));
    let result = story.end(failure).await?;
    show.result(&result, args.json);
    if args.keep && told.is_ok() {
        show.keep(&stage, &repo, &result);
        crate::cli::stop_signal().await;
    }
    let good = result.is_good();
    let _daemon_gone = stage.stop.send(());
    stage.daemon.await.context("the daemon was lost")??;
    stage.sandbox.stop().await;
    Ok(good)
}
