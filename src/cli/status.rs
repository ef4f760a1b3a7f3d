//! `turquoise status`.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use reqwest::{StatusCode, Url};
use serde_json::Value;

use super::{NO, OUTSIDE, USAGE, plain, signals};
use crate::core::report::{Alert, Waiting};
use crate::core::status::Replica;

/// A daemon on the other side of the world answers in that time, or not at all.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks of `--watch`: a release takes seconds, and an answer costs the daemon nothing.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// One app only
    app: Option<String>,
    /// The daemon's address
    #[arg(long, env = "TURQUOISE_SERVER", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    server: String,
    /// How it is printed
    #[arg(short, long, default_value = "table")]
    output: Output,
    /// Print it again whenever it changes, until ^C
    #[arg(short, long)]
    watch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// What became of a question.
enum Answer {
    Found(Value),
    NoSuchApp,
    Failed(String),
}

pub(super) async fn run(args: StatusArgs) -> ExitCode {
    crate::daemon::install_crypto();
    let url = match address(&args) {
        Ok(url) => url,
        Err(words) => {
            eprintln!("error: {words}");
            return ExitCode::from(USAGE);
        }
    };
    let http = match reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build() {
        Ok(http) => http,
        Err(error) => return super::fail(OUTSIDE, &error.into()),
    };
    if args.watch {
        return watch(&http, &url, &args).await;
    }
    let (text, code) = told(ask(&http, &url, &args.server).await, &args);
    match code {
        0 => print!("{text}"),
        _no => eprint!("{text}"),
    }
    ExitCode::from(code)
}

/// Prints what changed, over what stood there on a terminal, after it elsewhere.
async fn watch(http: &reqwest::Client, url: &Url, args: &StatusArgs) -> ExitCode {
    let terminal = std::io::stdout().is_terminal() && args.output == Output::Table;
    let follow = async {
        let mut last = String::new();
        loop {
            let (text, _) = told(ask(http, url, &args.server).await, args);
            if text != last {
                // Home, and clear to the end: nothing is lost that stood there before.
                let clear = if terminal { "\x1b[H\x1b[2J" } else { "" };
                let gap = if terminal || last.is_empty() || args.output == Output::Json { "" } else { "\n" };
                let mut out = std::io::stdout().lock();
                if write!(out, "{clear}{gap}{text}").and_then(|()| out.flush()).is_err() {
                    return;
                }
                last = text;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! { () = signals::stop() => {}, () = follow => {} }
    ExitCode::SUCCESS
}

fn address(args: &StatusArgs) -> Result<Url, String> {
    let server = Url::parse(&args.server).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let wrong =
        || format!("`{}` is no address of a turquoise; write for example http://127.0.0.1:8080", plain(&args.server));
    let mut url = server.ok_or_else(wrong)?;
    url.set_query(None);
    url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(["api", "v1", "apps"]).extend(&args.app);
    Ok(url)
}

async fn ask(http: &reqwest::Client, url: &Url, server: &str) -> Answer {
    let failed = |words: &dyn std::fmt::Display| Answer::Failed(format!("failed to ask {}: {words}", plain(server)));
    let response = match http.get(url.clone()).send().await {
        Ok(response) => response,
        Err(error) => return failed(&chain(&error.without_url())),
    };
    match response.status() {
        StatusCode::NOT_FOUND => Answer::NoSuchApp,
        status if !status.is_success() => failed(&format!("it answered {status}")),
        _good => match response.json().await {
            Ok(value) => Answer::Found(value),
            Err(error) => failed(&format!("it does not answer as a turquoise does: {}", chain(&error.without_url()))),
        },
    }
}

/// The innermost cause says what happened: `connection refused`.
fn chain(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn told(answer: Answer, args: &StatusArgs) -> (String, u8) {
    match answer {
        Answer::Failed(words) => (format!("error: {words}\n"), OUTSIDE),
        Answer::NoSuchApp => {
            (format!("error: there is no app `{}`\n", plain(args.app.as_deref().unwrap_or_default())), NO)
        }
        Answer::Found(value) => match args.output {
            Output::Json if args.watch => (format!("{value}\n"), 0),
            Output::Json => (format!("{value:#}\n"), 0),
            Output::Table => (table(&value), 0),
        },
    }
}

/// A line an app, its columns as wide as they need to be, and below it what people should know.
fn table(answer: &Value) -> String {
    let one = [answer.clone()];
    let apps = answer["apps"].as_array().map_or(&one[..], Vec::as_slice);
    let head = ["APP", "PHASE", "LIVE", "BLUE", "GREEN"].map(str::to_owned);
    let rows: Vec<[String; 5]> = apps.iter().map(row).collect();
    let width =
        |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    let mut line = |cells: &[String; 5]| {
        let cells: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        // Writing into a String does not fail.
        let _ok = writeln!(text, "{}", cells.join("  ").trim_end());
    };
    line(&head);
    for (app, row) in apps.iter().zip(&rows) {
        line(row);
        below(app).iter().for_each(|words| {
            let mut cells: [String; 5] = std::array::from_fn(|_| String::new());
            cells[0] = format!("  {}", plain(words));
            line(&cells);
        });
    }
    if let Ok(replica) = serde_json::from_value::<Replica>(answer["replica"].clone()) {
        text.push_str(&format!("\n{}\n", plain(&replica.to_string())));
    }
    text
}

fn row(app: &Value) -> [String; 5] {
    let text = |value: &Value| plain(value.as_str().unwrap_or("-"));
    let colour = |name: &str| {
        let state = &app["colours"][name];
        let images = state["images"].as_array().into_iter().flatten();
        let images: Vec<String> = images.map(|image| short(&text(image))).collect();
        let images = if images.is_empty() { "-".to_owned() } else { images.join(",") };
        format!("{images} {}/{}", state["ready"], state["wanted"])
    };
    let (serving, declared) = (text(&app["serving"]), text(&app["declared"]));
    // Git and the cluster agree, but for the moment of a flip.
    let live = if serving == declared { serving } else { format!("{serving}, git: {declared}") };
    [text(&app["name"]), text(&app["phase"]), live, colour("blue"), colour("green")]
}

/// `registry.example.org/team/shop:1.0.0` is `shop:1.0.0`, and a digest is its first digits.
fn short(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.split_once("@sha256:") {
        Some((name, digest)) => format!("{name}@{}", digest.get(..7).unwrap_or(digest)),
        None => name.to_owned(),
    }
}

fn below(app: &Value) -> Vec<String> {
    let mut words = Vec::new();
    let list = |name: &str| app[name].as_array().cloned().unwrap_or_default();
    if let Some(message) = app["blocked"]["message"].as_str() {
        words.push(format!("blocked ({}): {message}", app["blocked"]["reason"].as_str().unwrap_or("-")));
        words.push(format!("cure: {}", app["blocked"]["cure"].as_str().unwrap_or("-")));
    }
    for alert in list("alerts") {
        let reason = alert["reason"].as_str().unwrap_or("?").to_owned();
        // A newer turquoise may know more reasons than this one.
        words.push(format!(
            "alert: {}",
            serde_json::from_value::<Alert>(alert).map_or(reason, |alert| alert.to_string())
        ));
    }
    if let Some(error) = app["error"].as_str().filter(|_| app["blocked"].is_null()) {
        words.push(format!("error: {error}"));
    }
    for check in app["candidate"]["checks"].as_array().into_iter().flatten() {
        let reason = check["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
        words.push(format!(
            "check {}: {}{reason}",
            check["name"].as_str().unwrap_or("?"),
            check["state"].as_str().unwrap_or("?")
        ));
    }
    for waiting in list("waiting") {
        let reason = waiting["reason"].as_str().unwrap_or("?").to_owned();
        let waiting = serde_json::from_value::<Waiting>(waiting).map_or(reason, |waiting| waiting.to_string());
        words.push(format!("waiting for {waiting}"));
    }
    let verdict = &app["verdict"];
    if let (Some("rejected"), Some(reason)) = (verdict["verdict"].as_str(), verdict["reason"].as_str()) {
        let revision = verdict["revision"].as_str().unwrap_or("?");
        words.push(format!("{} was rejected: {reason}", revision.get(..7).unwrap_or(revision)));
    }
    words
}
