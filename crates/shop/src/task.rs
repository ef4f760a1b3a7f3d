//! `shop migrate`: work that ends by itself, as Jobs and CronJobs run it.

use std::time::Duration;

use tokio::time::sleep;

use crate::server::Exit;
use crate::settings::{Fault, Log};

/// How long a migration takes unless `MIGRATION_MS` says otherwise: long enough to be seen running.
const LASTS_DEFAULT: Duration = Duration::from_millis(50);

/// A migration, as a container is told to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The version that it migrates to.
    pub version: String,
    /// How long it takes.
    pub lasts: Duration,
    /// Its last words, if it fails.
    pub fails: Option<String>,
}

impl Task {
    /// The task that the arguments ask for: `migrate` as one of them. `MIGRATION_FAILS` holds the words with which it
    /// fails, `MIGRATION_MS` how long it takes; a version with the fault `crash` fails, too.
    pub fn read<'a>(
        mut args: impl Iterator<Item = &'a str>,
        version: &str,
        fault: Option<Fault>,
        var: impl Fn(&str) -> Option<String>,
    ) -> Option<Task> {
        args.any(|word| word == "migrate").then(|| {
            let crash = (fault == Some(Fault::Crash)).then(|| "no such table: orders".to_owned());
            let lasts = var("MIGRATION_MS").and_then(|text| text.parse().ok()).map(Duration::from_millis);
            Task {
                version: version.to_owned(),
                lasts: lasts.unwrap_or(LASTS_DEFAULT),
                fails: var("MIGRATION_FAILS").filter(|words| !words.is_empty()).or(crash),
            }
        })
    }

    /// Runs to its end, or until `stop` ends.
    pub async fn run(self, log: Log, stop: impl Future<Output = ()>) -> Exit {
        log(&format!("migrating to {}", self.version));
        tokio::select! {
            () = sleep(self.lasts) => (),
            () = stop => {
                let message = "stopped in the middle".to_owned();
                log(&message);
                return Exit { code: 1, message };
            }
        }
        let (code, message) = match self.fails {
            Some(words) => (1, format!("migration to {} failed: {words}", self.version)),
            None => (0, format!("migrated to {}", self.version)),
        };
        log(&message);
        Exit { code, message }
    }
}
