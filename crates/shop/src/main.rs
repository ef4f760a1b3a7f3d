//! `shop frontend|backend|migrate`: one tier of the example, or its migration, as a process of its own, for containers.
//! `shop faults` names the ways in which a version can be broken, one a line, for whoever makes the images.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use turquoise_shop::{Exit, Fault, Log, Resolver, Settings, Task, serve};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == ["faults"] {
        for fault in Fault::ALL {
            println!("{}", fault.name());
        }
        return ExitCode::SUCCESS;
    }
    let var = |name: &str| std::env::var(name).ok();
    let log: Log = Arc::new(|line| println!("{line}"));
    let version = var("SHOP_VERSION").unwrap_or_else(|| "0.0.0".to_owned());
    let fault = var("SHOP_FAULT").and_then(|name| name.parse().ok());
    let task = Task::read(args.iter().take(1).map(String::as_str), &version, fault, var);
    let read = match task {
        Some(task) => Ok(Program::Task(task)),
        None => Settings::read(&args, var).map(|(settings, port)| Program::Server(Box::new(settings), port)),
    };
    let program = match read {
        Ok(program) => program,
        Err(error) => {
            eprintln!("shop: {error}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("shop: failed to start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(program, log)) {
        Ok(exit) => u8::try_from(exit.code).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("shop: failed to serve: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What this process is.
enum Program {
    Server(Box<Settings>, u16),
    Task(Task),
}

async fn run(program: Program, log: Log) -> std::io::Result<Exit> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    };
    Ok(match program {
        Program::Task(task) => task.run(log, stop).await,
        Program::Server(mut settings, port) => {
            settings.log = log;
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
            serve(listener, *settings, Resolver::System, stop).await
        }
    })
}
