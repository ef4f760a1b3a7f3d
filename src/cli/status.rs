//! `turquoise status`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{NO, OUTSIDE};

/// A daemon on the other side of the world answers in that time, or not at all.
const TIMEOUT: Duration = Duration::from_secs(5);

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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

pub(super) async fn run(args: StatusArgs) -> ExitCode {
    crate::daemon::install_crypto();
    let path = args.app.as_ref().map(|app| format!("/{app}")).unwrap_or_default();
    let url = format!("{}/api/v1/apps{path}", args.server.trim_end_matches('/'));
    let answer = async {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        let response = http.get(&url).send().await?;
        let found = response.status() != reqwest::StatusCode::NOT_FOUND;
        Ok::<_, reqwest::Error>((found, response.json::<Value>().await?))
    };
    match answer.await {
        Err(error) => {
            eprintln!("error: failed to ask {}: {}", args.server, error.without_url());
            ExitCode::from(OUTSIDE)
        }
        Ok((false, _)) => {
            eprintln!("error: there is no app `{}`", args.app.unwrap_or_default());
            ExitCode::from(NO)
        }
        Ok((true, answer)) => {
            match args.output {
                Output::Json => println!("{answer:#}"),
                Output::Table => table(&answer),
            }
            ExitCode::SUCCESS
        }
    }
}

fn table(answer: &Value) {
    let one = [answer.clone()];
    let apps = answer["apps"].as_array().map_or(&one[..], Vec::as_slice);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    println!("{:<20} {:<18} {:<7} {:<8} {:<28} {:<28}", "APP", "PHASE", "LIVE", "DECLARED", "BLUE", "GREEN");
    for app in apps {
        let colour = |name: &str| {
            let state = &app["colours"][name];
            let images: Vec<String> = state["images"].as_array().into_iter().flatten().map(text).collect();
            let images = if images.is_empty() { "-".to_owned() } else { images.join(",") };
            format!("{images} {}/{}", state["ready"], state["wanted"])
        };
        println!(
            "{:<20} {:<18} {:<7} {:<8} {:<28} {:<28}",
            text(&app["name"]),
            text(&app["phase"]),
            text(&app["serving"]),
            text(&app["declared"]),
            colour("blue"),
            colour("green"),
        );
        for words in [&app["blocked"]["message"], &app["blocked"]["cure"], &app["error"]] {
            if let Some(words) = words.as_str() {
                println!("  {words}");
            }
        }
    }
}
