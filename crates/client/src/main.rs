//! `client`: asks a live Service until it is told to stop, and prints what it saw. Exit code 0: every request was answered
//! rightly; 1: not so; 2: usage; 3: the Service's name or the log's file can't be had.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use hyper::Uri;
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use turquoise_client::{Options, Summary, Traffic};

/// Asks a live Service all the time and says which request failed, mixed versions or came late around a flip.
#[derive(Debug, Parser)]
#[command(name = "client", version)]
struct Args {
    /// What to ask, as in `http://shop:8080/`
    #[arg(env = "CLIENT_URL")]
    url: Uri,
    /// Short requests a second, half of them over new connections, half over kept ones
    #[arg(long, env = "CLIENT_RATE", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Keep one request of this many milliseconds under way, 0 for none
    #[arg(long, env = "CLIENT_LONG_MS", default_value_t = 5_000)]
    long_ms: u64,
    /// End by itself after this many seconds, 0 for never; SIGTERM and ^C end it any time
    #[arg(long, env = "CLIENT_SECONDS", default_value_t = 0)]
    seconds: u64,
    /// Where each answer is logged, `-` for standard output
    #[arg(long, env = "CLIENT_LOG", value_name = "FILE")]
    log: Option<PathBuf>,
    /// Where the summary goes at the end, as one JSON object; standard output otherwise
    #[arg(long, env = "CLIENT_SUMMARY", value_name = "FILE")]
    summary: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(&args))) {
        Ok(summary) if summary.failed + summary.mixed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("client: {error}");
            ExitCode::from(3)
        }
    }
}

async fn run(args: &Args) -> std::io::Result<Summary> {
    let (host, address) = resolve(&args.url).await?;
    let options = Options {
        address,
        host,
        path: args.url.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        per_second: args.rate,
        long: (args.long_ms > 0).then(|| Duration::from_millis(args.long_ms)),
        log: args.log.as_deref().map(open).transpose()?,
        now,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let traffic = Traffic::start(options);
    let over = async {
        match args.seconds {
            0 => std::future::pending().await,
            seconds => tokio::time::sleep(Duration::from_secs(seconds)).await,
        }
    };
    tokio::select! {
        () = over => (),
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    let summary = traffic.stop().await?;
    let text = serde_json::to_string(&summary)?;
    match &args.summary {
        Some(file) => std::fs::write(file, text + "\n")?,
        None => println!("{text}"),
    }
    Ok(summary)
}

/// The host as the request names it, and its address.
async fn resolve(url: &Uri) -> std::io::Result<(String, SocketAddr)> {
    let refuse = |why: &str| std::io::Error::other(format!("`{url}`: {why}"));
    if url.scheme_str() != Some("http") {
        return Err(refuse("only http:// is asked"));
    }
    let Some(authority) = url.authority() else { return Err(refuse("no host")) };
    let name = authority.host().trim_matches(['[', ']']);
    let mut found = tokio::net::lookup_host((name, authority.port_u16().unwrap_or(80))).await?;
    let address = found.next().ok_or_else(|| refuse("the host has no address"))?;
    Ok((authority.to_string(), address))
}

fn open(path: &Path) -> std::io::Result<Box<dyn Write + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdout()));
    }
    Ok(Box::new(BufWriter::new(File::create(path)?)))
}

#[expect(clippy::disallowed_methods, reason = "a program of its own: this is its one clock, and only the log shows it")]
fn now() -> Timestamp {
    Timestamp::now()
}
