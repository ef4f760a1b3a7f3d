//! `shop frontend|backend`: one tier of the example as a process of its own, for containers. `shop faults` names the ways in
//! which a version can be broken, one a line, for whoever makes the images.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use turquoise_shop::{Fault, Resolver, Settings, serve};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == ["faults"] {
        for fault in Fault::ALL {
            println!("{}", fault.name());
        }
        return ExitCode::SUCCESS;
    }
    let (mut settings, port) = match Settings::read(&args, |name| std::env::var(name).ok()) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("shop: {error}");
            return ExitCode::from(2);
        }
    };
    settings.log = Arc::new(|line| println!("{line}"));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("shop: failed to start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(settings, port)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("shop: failed to serve on port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings, port: u16) -> std::io::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    };
    let exit = serve(listener, settings, Resolver::System, stop).await;
    Ok(u8::try_from(exit.code).map_or(ExitCode::FAILURE, ExitCode::from))
}
