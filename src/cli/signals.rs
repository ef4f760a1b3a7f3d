//! The first SIGTERM or SIGINT drains, the second aborts.

use tokio::signal::unix::{SignalKind, signal};

/// Done at the first signal; from then on the next one ends the process.
pub(crate) async fn stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        // Without handlers the default action of a signal ends the process.
        return std::future::pending().await;
    };
    tokio::select! { _ = terminate.recv() => {} , _ = interrupt.recv() => {} }
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {} , _ = interrupt.recv() => {} }
        eprintln!("aborted");
        std::process::exit(130);
    });
}
