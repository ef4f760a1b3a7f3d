//! `turquoise history`: from git alone.

use std::process::ExitCode;

use clap::Args;

use super::{NO, OUTSIDE, fail};
use crate::source::{Repo, SourceError};

/// More than anybody scrolls through.
const ENTRIES_MAX: usize = 200;

#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// The app
    app: String,
    /// The watched repository
    #[arg(long, env = "TURQUOISE_REPO", value_name = "URL_OR_PATH", default_value = ".")]
    repo: String,
    /// The watched branch
    #[arg(long, env = "TURQUOISE_BRANCH", default_value = "main")]
    branch: String,
    #[command(flatten)]
    git: super::git::GitArgs,
}

pub(super) fn run(args: &HistoryArgs) -> ExitCode {
    match print(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: there is no app `{}` on {}", args.app, args.branch);
            ExitCode::from(NO)
        }
        Err(error) => fail(OUTSIDE, &error.into()),
    }
}

fn print(args: &HistoryArgs) -> Result<bool, SourceError> {
    let repo = Repo::open_to_read(&args.repo, &args.branch, &args.git.clone().into())?;
    let head = repo.head()?;
    let apps = repo.apps(&head)?;
    let Some(app) = apps.iter().find(|app| app.name.as_str() == args.app) else { return Ok(false) };
    for entry in repo.history(app, ENTRIES_MAX)? {
        let facts: Vec<String> =
            entry.facts.iter().map(|fact| format!("{} {}", fact.revision.short(), fact.verdict)).collect();
        let live = entry.live.map_or("-", crate::core::colour::Colour::as_str);
        println!("{}  {}  {:<5}  {:<24}  {}", entry.time, entry.commit.short(), live, facts.join(", "), entry.subject);
    }
    Ok(true)
}
