//! `turquoise sandbox`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use turquoise_sandbox::{Options, Sandbox};

use super::{OUTSIDE, USAGE, signals};

#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    /// Where the kubeconfig is written
    #[arg(long, value_name = "FILE", default_value = "sandbox.kubeconfig")]
    kubeconfig: PathBuf,
    /// One more image that pods can run: healthy, or broken in a named way
    #[arg(long = "image", value_name = "NAME:TAG[=BEHAVIOUR]")]
    images: Vec<String>,
}

pub(super) async fn run(args: SandboxArgs) -> ExitCode {
    let mut options = Options::default();
    for image in &args.images {
        if let Err(error) = options.images.add_argument(image) {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
    }
    let sandbox = match Sandbox::start(options).await {
        Ok(sandbox) => sandbox,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(OUTSIDE);
        }
    };
    if let Err(error) = std::fs::write(&args.kubeconfig, sandbox.kubeconfig()) {
        eprintln!("error: failed to write {}: {error}", args.kubeconfig.display());
        return ExitCode::from(USAGE);
    }
    println!("A Kubernetes API answers at {}", sandbox.url());
    println!("  export KUBECONFIG={}", args.kubeconfig.display());
    println!("  kubectl get all");
    println!("It ends with ^C, and everything in it.");
    signals::stop().await;
    sandbox.stop().await;
    ExitCode::SUCCESS
}
