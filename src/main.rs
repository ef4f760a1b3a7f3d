//! The `turquoise` binary: see `turquoise --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    turquoise::cli::main()
}
