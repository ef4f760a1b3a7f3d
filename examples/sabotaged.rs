//! turquoise with a planner that was broken on purpose, `TURQUOISE_SABOTAGE=NAME`: `make e2e-sabotage` sees whether the stories
//! catch it. Without a name it is turquoise as it is; `--sabotages` prints the names.

use std::process::ExitCode;

use turquoise::core::plan::plan;

#[path = "../tests/it/sabotage/bugs.rs"]
mod bugs;

/// Usage, as turquoise's own.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == "--sabotages") {
        bugs::BUGS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let Some(wanted) = std::env::var("TURQUOISE_SABOTAGE").ok().filter(|name| !name.is_empty()) else {
        return turquoise::cli::main_with(plan);
    };
    match bugs::BUGS.iter().find(|(name, _)| *name == wanted) {
        Some((_, planner)) => turquoise::cli::main_with(*planner),
        None => {
            eprintln!("error: no planner is named `{wanted}`");
            ExitCode::from(USAGE)
        }
    }
}
