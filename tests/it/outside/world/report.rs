//! What a run leaves behind where `TURQUOISE_E2E_REPORT` names a folder: a record for each story, and its client's log.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use super::World;

/// A story that is being told; its end is written down.
pub(in crate::outside) struct Record {
    story: String,
    began: Instant,
    traffic: Vec<Value>,
}

impl Record {
    /// Of the story that this thread tells.
    pub(in crate::outside) fn begin() -> Self {
        Self { story: story(), began: Instant::now(), traffic: Vec::new() }
    }

    /// Where the client logs its answers, if anywhere.
    pub(in crate::outside) fn traffic_log(&self) -> Option<PathBuf> {
        let folder = folder()?;
        fs::create_dir_all(&folder).expect("a folder for the report");
        Some(folder.join(format!("{}.traffic.log", self.story)))
    }

    /// What the client saw.
    pub(in crate::outside) fn saw(&mut self, summary: Value) {
        self.traffic.push(summary);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let seconds = self.began.elapsed().as_secs_f64();
        write(
            &self.story,
            &json!({"story": self.story, "world": World::here().name(), "seconds": seconds,
            "ended_well": !std::thread::panicking(), "traffic": self.traffic}),
        );
    }
}

/// Says that this thread's story is not told here.
pub(super) fn left_out(why: &str) {
    let (story, world) = (story(), World::here().name());
    println!("left out in this world ({world}): {why}");
    write(&story, &json!({"story": story, "world": world, "left_out": why}));
}

/// The story's name: the harness calls the thread after the test.
pub(super) fn story() -> String {
    let name = std::thread::current().name().unwrap_or("main").to_owned();
    name.strip_prefix("outside::").unwrap_or(&name).replace("::", ".")
}

fn folder() -> Option<PathBuf> {
    env::var_os("TURQUOISE_E2E_REPORT").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

fn write(story: &str, record: &Value) {
    if let Some(folder) = folder() {
        fs::create_dir_all(&folder).expect("a folder for the report");
        fs::write(folder.join(format!("{story}.json")), format!("{record}\n")).expect("a record");
    }
}
