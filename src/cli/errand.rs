//! `turquoise promote` and `turquoise retry`: the two commits that people would otherwise make by hand.

use std::process::ExitCode;

use clap::Args;

use super::{NO, OUTSIDE, fail, plain, source_code, work_tree_or};
use crate::core::text::OneLine;
use crate::source::{App, Committed, Errand, FileChange, NothingToDo, Repo, SourceError};

#[derive(Debug, Args)]
pub(super) struct ErrandArgs {
    /// The app
    app: String,
    /// Your clone, or a bare repository on this machine
    #[arg(long, env = "TURQUOISE_REPO", value_name = "PATH", default_value = ".")]
    repo: String,
    /// The watched branch
    #[arg(long, env = "TURQUOISE_BRANCH", default_value = "main")]
    branch: String,
    /// Show the commit, and do not make it
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn promote(args: &ErrandArgs) -> ExitCode {
    run(args, Repo::approval)
}

pub(super) fn retry(args: &ErrandArgs) -> ExitCode {
    run(args, Repo::retry)
}

type Plan = fn(&Repo, &App) -> Result<Result<Errand, NothingToDo>, SourceError>;

fn run(args: &ErrandArgs, plan: Plan) -> ExitCode {
    match carry_out(args, plan) {
        Ok(code) => code,
        Err(error @ SourceError::Uncommitted { .. }) => fail(NO, &error.into()),
        Err(error) => fail(source_code(&error), &error.into()),
    }
}

fn carry_out(args: &ErrandArgs, plan: Plan) -> Result<ExitCode, SourceError> {
    let repo = Repo::open_here(&work_tree_or(&args.repo), &args.branch)?;
    let head = repo.head()?;
    let apps = repo.apps(&head)?;
    let Some(app) = apps.iter().find(|app| app.name.as_str() == args.app) else {
        eprintln!("error: there is no app `{}` on {}", plain(&args.app), args.branch);
        return Ok(ExitCode::from(NO));
    };
    if let Some(behind) = repo.behind().filter(|behind| *behind > 0) {
        eprintln!("warning: {} lacks {behind} commits that were fetched; run `git pull --rebase` first", args.branch);
    }
    let errand = match plan(&repo, app)? {
        Ok(errand) => errand,
        Err(why) => {
            eprintln!("error: {}: {}", app.name, OneLine::new(&why.to_string()));
            return Ok(ExitCode::from(NO));
        }
    };
    println!("{}: {}", app.name, OneLine::new(&errand.what));
    errand.edits.iter().for_each(show);
    if args.dry_run {
        println!("Would commit on {}: {}", args.branch, errand.subject);
        return Ok(ExitCode::SUCCESS);
    }
    match repo.make(&errand)? {
        Committed::Made(id) => {
            println!("Committed {} on {}: {}", id.short(), args.branch, errand.subject);
            if repo.is_bare() {
                println!("It is on the branch: turquoise goes on from there.");
            } else {
                println!("Push it: git push");
            }
            Ok(ExitCode::SUCCESS)
        }
        Committed::Stale => {
            eprintln!("error: somebody else has committed to {} in this moment; run it again", args.branch);
            Ok(ExitCode::from(OUTSIDE))
        }
    }
}

/// The lines that change. An edit replaces words in lines, or a run of lines: what stands before and after is the same.
fn show(change: &FileChange) {
    println!("{}", plain(&change.path));
    let (before, after) = (String::from_utf8_lossy(&change.before), String::from_utf8_lossy(&change.after));
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    if before.len() == after.len() {
        for (old, new) in before.iter().zip(&after).filter(|(old, new)| old != new) {
            println!("  -{}\n  +{}", plain(old), plain(new));
        }
        return;
    }
    let start = before.iter().zip(&after).take_while(|(old, new)| old == new).count();
    let end = before[start..].iter().rev().zip(after[start..].iter().rev()).take_while(|(old, new)| old == new).count();
    before[start..before.len() - end].iter().for_each(|line| println!("  -{}", plain(line)));
    after[start..after.len() - end].iter().for_each(|line| println!("  +{}", plain(line)));
}
