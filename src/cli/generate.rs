//! What is made from the command line's own description: completions, manual pages; and the policy's schema.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use super::{USAGE, fail};

/// The schema of turquoise.yaml, kept by hand; a test holds it against the documents and the parser.
const SCHEMA: &str = include_str!("../../docs/turquoise.schema.json");

#[derive(Debug, Args)]
pub(super) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write a page for every command into this folder instead
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(super) fn schema() -> ExitCode {
    print(SCHEMA.as_bytes())
}

pub(super) fn completions(args: &CompletionArgs, command: &mut Command) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, command, "turquoise", &mut text);
    print(&text)
}

pub(super) fn man(args: &ManArgs, command: &Command) -> ExitCode {
    if let Some(dir) = &args.dir {
        let made = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command.clone(), dir));
        return match made {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(USAGE, &anyhow::anyhow!("failed to write into {}: {error}", dir.display())),
        };
    }
    let mut text = Vec::new();
    match clap_mangen::Man::new(command.clone()).render(&mut text) {
        Ok(()) => print(&text),
        Err(error) => fail(USAGE, &error.into()),
    }
}

/// A pipe that was closed (`| head`) is no failure.
fn print(bytes: &[u8]) -> ExitCode {
    let mut out = io::stdout().lock();
    let _closed = out.write_all(bytes).and_then(|()| out.flush());
    ExitCode::SUCCESS
}
