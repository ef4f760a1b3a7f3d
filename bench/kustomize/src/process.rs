//! Whole processes: their time, their output, and the most memory they ever held.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// One finished run.
pub(crate) struct Run {
    pub(crate) took: Duration,
    pub(crate) output: Vec<u8>,
    /// The most that was resident, where it could be seen.
    pub(crate) peak_bytes: Option<u64>,
}

/// `kubectl kustomize DIR`, but `kustomize build DIR`.
pub(crate) fn verb(renderer: &Path) -> &'static str {
    let is_kustomize = renderer.file_name().is_some_and(|name| name == "kustomize");
    if is_kustomize { "build" } else { "kustomize" }
}

/// What the peer says of itself.
pub(crate) fn version(renderer: &Path) -> anyhow::Result<String> {
    let arguments: &[&str] = if verb(renderer) == "build" { &["version"] } else { &["version", "--client"] };
    let output = Command::new(renderer)
        .args(arguments)
        .output()
        .with_context(|| format!("failed to run {}", renderer.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(format!("{} {}", renderer.display(), text.lines().collect::<Vec<_>>().join(", ")))
}

/// Runs a renderer on a directory and waits for its end.
///
/// Memory is looked at when the first bytes arrive: by then everything is rendered, and an output larger than a pipe's
/// buffer keeps the process there until it is read.
pub(crate) fn run(renderer: &Path, verb: &str, directory: &Path) -> anyhow::Result<Run> {
    let start = Instant::now();
    let mut child = Command::new(renderer)
        .arg(verb)
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to run {}", renderer.display()))?;
    let mut output = vec![0; 1];
    let mut pipe = child.stdout.take().context("the renderer has no output")?;
    let first = pipe.read(&mut output)?;
    output.truncate(first);
    let peak_bytes = peak(child.id());
    pipe.read_to_end(&mut output)?;
    let rest = child.wait_with_output()?;
    let took = start.elapsed();
    if !rest.status.success() {
        anyhow::bail!(
            "{} {verb} {} failed: {}",
            renderer.display(),
            directory.display(),
            String::from_utf8_lossy(&rest.stderr)
        );
    }
    Ok(Run { took, output, peak_bytes })
}

fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
