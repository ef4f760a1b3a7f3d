//! The command line. Exit codes: 0 done, 1 the answer is no, 2 usage or configuration, 3 the outside world failed.

mod check;
mod errand;
mod generate;
mod git;
mod history;
mod init;
mod lead;
mod outside;
mod render;
mod sandbox;
mod signals;
mod status;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::{self, RepoSettings, Settings};
use crate::core::grants::{Grants, SecretSource};
use crate::core::plan::{Planner, plan};
use crate::core::text::OneLine;
use crate::source::{GitAccess, SourceError};
use crate::{daemon, demo};

/// Blue and green, kept in git: deploy the idle colour, verify it, commit the flip, switch traffic.
#[derive(Debug, Parser)]
#[command(name = "turquoise", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a repository and release what it asks for
    Run(Box<RunArgs>),
    /// Print what a kustomization renders to, as `kubectl kustomize` does
    Render(render::RenderArgs),
    /// Say what would be blocked, without a cluster: file and line of each problem
    Check(check::CheckArgs),
    /// Ask a running turquoise how its apps are
    Status(status::StatusArgs),
    /// Print an app's releases from git
    History(Box<history::HistoryArgs>),
    /// Approve the verified candidate: commit the selector's change
    Promote(errand::ErrandArgs),
    /// Ask for a retry of the rejected revision: take the rejection out of turquoise.lock
    Retry(errand::ErrandArgs),
    /// Make overlays and turquoise.yaml from a folder of manifests or a kustomization
    Init(init::InitArgs),
    /// Show a release, a rollback and a rejection in an embedded cluster
    Demo(demo::DemoArgs),
    /// Run the embedded cluster alone, for kubectl and `turquoise run`
    Sandbox(sandbox::SandboxArgs),
    /// Print the JSON schema of turquoise.yaml, for editors
    Schema,
    /// Print completions for a shell
    Completions(generate::CompletionArgs),
    /// Print the manual page
    Man(generate::ManArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The watched repository: https://, ssh://, USER@HOST:PATH, or a path to a bare repository
    #[arg(long, env = "TURQUOISE_REPO", value_name = "URL_OR_PATH", required_unless_present = "config")]
    repo: Option<String>,
    /// A file that names many repositories and what is granted to each, in place of the flags for one
    #[arg(long, env = "TURQUOISE_CONFIG", value_name = "FILE", conflicts_with_all = ["repo", "namespaces", "hosts"])]
    config: Option<PathBuf>,
    /// The watched branch
    #[arg(long, env = "TURQUOISE_BRANCH", default_value = "main")]
    branch: String,
    /// The kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the pod's service account]
    #[arg(long, env = "TURQUOISE_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context
    #[arg(long, env = "TURQUOISE_CONTEXT")]
    context: Option<String>,
    /// How often git is asked although nothing said that it changed
    #[arg(long, env = "TURQUOISE_POLL", default_value = "15s", value_parser = poll)]
    poll: Duration,
    /// Where status, health, metrics and the push hook listen
    #[arg(long, env = "TURQUOISE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Say what would be done and write nothing
    #[arg(long, env = "TURQUOISE_DRY_RUN")]
    dry_run: bool,
    /// A namespace that turquoise.yaml may name beside the kubeconfig's own; may be repeated
    #[arg(
        long = "allow-namespace",
        env = "TURQUOISE_ALLOW_NAMESPACE",
        value_name = "NAMESPACE",
        value_delimiter = ','
    )]
    namespaces: Vec<String>,
    /// A host that turquoise.yaml may ask and send messages to, `HOST` or `HOST:PORT`; may be repeated
    #[arg(long = "allow-host", env = "TURQUOISE_ALLOW_HOST", value_name = "HOST", value_delimiter = ',')]
    hosts: Vec<String>,
    /// A Secret that turquoise.yaml may name for headers and signatures, and where it is: `file:PATH` or `env:VARIABLE`;
    /// may be repeated
    #[arg(
        long = "allow-secret",
        env = "TURQUOISE_ALLOW_SECRET",
        value_name = "NAME=PLACE",
        value_delimiter = ',',
        value_parser = secret
    )]
    secrets: Vec<(String, SecretSource)>,
    /// This cluster's name: it is written into turquoise.lock, and a lock that names another one is left alone
    #[arg(long, env = "TURQUOISE_CLUSTER", value_name = "NAME")]
    cluster: Option<String>,
    #[command(flatten)]
    git: git::GitArgs,
    #[command(flatten)]
    outside: outside::OutsideArgs,
    #[command(flatten)]
    lead: lead::LeadArgs,
}

pub(crate) use signals::stop as stop_signal;

/// Our own words say what failed and where; what the HTTP libraries say of the same failure names neither.
const LOG_DEFAULT: &str = "turquoise=info,error,kube_client=off,kube_runtime=off";

/// Exit code 1: the answer is no.
const NO: u8 = 1;
/// Exit code 2: usage or configuration.
const USAGE: u8 = 2;
/// Exit code 3: the outside world failed.
const OUTSIDE: u8 = 3;

/// Parses the arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    main_with(plan)
}

/// The same with another planner, for those that are broken on purpose (examples/sabotaged.rs).
#[must_use]
pub fn main_with(planner: Planner) -> ExitCode {
    // The child that speaks to git servers is started for every look: it needs none of what follows.
    if std::env::args_os().nth(1).is_some_and(|command| command == crate::source::CHILD_COMMAND) {
        return crate::source::child_main();
    }
    let cli = Cli::parse();
    match cli.command {
        Command::Run(args) => run(*args, planner),
        Command::Render(args) => render::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Status(args) => in_runtime(status::run(args)),
        Command::History(args) => history::run(&args),
        Command::Demo(args) => in_runtime(demo::run(args)),
        Command::Sandbox(args) => in_runtime(sandbox::run(args)),
        Command::Promote(args) => errand::promote(&args),
        Command::Retry(args) => errand::retry(&args),
        Command::Init(args) => init::run(&args),
        Command::Schema => generate::schema(),
        Command::Completions(args) => generate::completions(&args, &mut Cli::command()),
        Command::Man(args) => generate::man(&args, &Cli::command()),
    }
}

fn run(args: RunArgs, planner: Planner) -> ExitCode {
    log_to_stderr();
    let settings = match settings(args) {
        Ok(settings) => Settings { planner, ..settings },
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("error: {problem}"));
            return ExitCode::from(USAGE);
        }
    };
    in_one_thread(async {
        match daemon::run(settings, signals::stop(), None).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(USAGE, &error),
        }
    })
}

/// The settings that flags, or a configuration file, say.
fn settings(args: RunArgs) -> Result<Settings, Vec<OneLine>> {
    let grants = Grants {
        namespaces: args.namespaces.into_iter().collect(),
        hosts: args.hosts.into_iter().collect(),
        secrets: args.secrets.into_iter().collect(),
    };
    let git: GitAccess = args.git.into();
    let repos = args.repo.map(|repo| RepoSettings {
        credentials: git.clone(),
        ..RepoSettings::new(&repo, &args.branch, args.poll, grants)
    });
    let settings = Settings {
        repos: repos.into_iter().collect(),
        kubeconfig: args.kubeconfig,
        context: args.context,
        listen: Some(args.listen),
        dry_run: args.dry_run,
        cluster: args.cluster,
        concurrency: config::CONCURRENCY_DEFAULT,
        git,
        file: args.config.clone(),
        outside: args.outside.server(),
        commit_url: args.outside.commit_url,
        election: args.lead.election(),
        planner: plan,
    };
    match &args.config {
        Some(file) => Ok(settings.with(config::read(file)?)),
        None => Ok(settings),
    }
}

/// Two threads do: pods, their clients and the API server of an embedded cluster mostly wait for each other.
fn in_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    drive(tokio::runtime::Builder::new_multi_thread().worker_threads(2), work)
}

/// One thread does for the daemon: it waits for git, which has threads of its own, and for the API server. Each further
/// thread has an allocator's arena, which keeps what it once held (docs/adr/0008).
fn in_one_thread(work: impl Future<Output = ExitCode>) -> ExitCode {
    drive(&mut tokio::runtime::Builder::new_current_thread(), work)
}

fn drive(runtime: &mut tokio::runtime::Builder, work: impl Future<Output = ExitCode>) -> ExitCode {
    match runtime.enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // A blocking read of git that hangs must not keep the process.
            runtime.shutdown_timeout(Duration::from_millis(200));
            code
        }
        Err(error) => fail(OUTSIDE, &error.into()),
    }
}

fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(code)
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TURQUOISE_LOG")
        .unwrap_or_else(|_unset| tracing_subscriber::EnvFilter::new(LOG_DEFAULT));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // An error only says that a subscriber was set before, in a test.
    let _set_before =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).try_init();
}

/// `15s`, `500ms`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    crate::core::policy::parse_duration(text)
}

/// Git must not be asked without a pause: a local look takes some milliseconds.
const POLL_MIN: Duration = Duration::from_millis(100);

/// The same, and long enough between two questions to git.
fn poll(text: &str) -> Result<Duration, String> {
    let poll = crate::core::policy::parse_duration(text)?;
    if poll < POLL_MIN { Err(format!("`{text}` is shorter than {} ms", POLL_MIN.as_millis())) } else { Ok(poll) }
}

/// A location that is wrong is a usage error, as it is for `run`; everything else is the outside world's.
fn source_code(error: &SourceError) -> u8 {
    let usage = matches!(
        error,
        SourceError::Location { .. }
            | SourceError::Access { .. }
            | SourceError::Open { .. }
            | SourceError::CheckedOut { .. }
            | SourceError::NoBranch { .. }
    );
    if usage { USAGE } else { OUTSIDE }
}

/// A folder in a work tree stands for the work tree: people call commands from wherever they are.
fn work_tree_or(location: &str) -> String {
    let folder = std::path::Path::new(location).canonicalize().ok().filter(|path| path.is_dir());
    let is_bare = folder.as_ref().is_some_and(|path| path.join("HEAD").is_file());
    let found = folder.filter(|_| !is_bare).and_then(|path| render::work_tree(&path));
    found.and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_else(|| location.to_owned())
}

/// Text from elsewhere, harmless for a terminal: control characters become visible, line ends stay out.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

/// `NAME=file:PATH`.
fn secret(text: &str) -> Result<(String, SecretSource), String> {
    match text.split_once('=') {
        Some((name, place)) if !name.is_empty() => Ok((name.to_owned(), place.parse()?)),
        Some(_) | None => Err("write `NAME=file:PATH` or `NAME=env:VARIABLE`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
