//! Renders a directory to standard output: `cargo run --example render -- DIR`.

use std::process::ExitCode;

use turquoise_kustomize::{Build, FileScope, Folder};

fn main() -> ExitCode {
    let mut scope = FileScope::Kustomization;
    let mut directory = String::from(".");
    for argument in std::env::args().skip(1) {
        if argument == "--load-restrictor=LoadRestrictionsNone" {
            scope = FileScope::Tree;
        } else {
            directory = argument;
        }
    }
    // Outside a repository directories are not confined, as with kubectl: the tree is the whole disk.
    let directory = match std::fs::canonicalize(&directory) {
        Ok(directory) => directory,
        Err(error) => {
            eprintln!("{directory}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let path = directory.to_string_lossy();
    match Build::new(&Folder::new("/"), path.trim_start_matches('/')).files(scope).run() {
        Ok(output) => {
            for warning in &output.warnings {
                eprintln!("warning: {warning}");
            }
            print!("{}", output.to_yaml());
            ExitCode::SUCCESS
        }
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::FAILURE
        }
    }
}
