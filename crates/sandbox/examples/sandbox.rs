//! Starts a sandbox until ^C, and writes its kubeconfig to the file named first.

use turquoise_sandbox::{Options, Sandbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::start(Options::default()).await?;
    match std::env::args().nth(1) {
        Some(path) => std::fs::write(path, sandbox.kubeconfig())?,
        None => println!("{}", sandbox.kubeconfig()),
    }
    tokio::signal::ctrl_c().await?;
    sandbox.stop().await;
    Ok(())
}
