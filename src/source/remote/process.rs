//! The child process, from the daemon's side: started, given its errand, and killed when it takes too long.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use super::wire::{ANSWER_BYTES_MAX, Answer, REQUEST_BYTES_MAX, Request, Trouble};
use crate::core::text::OneLine;

/// The hidden command with which the binary becomes the child.
pub(crate) const CHILD_COMMAND: &str = "git-child";

/// What must be done within each timeout, in the unit of [`Answer::Going`] (about bytes): slower than 9 KB/s is a
/// server that drips, whatever it sends.
const DONE_MIN: u64 = 512 * 1024;

/// The longest errand, however busy it is: a first copy of some gigabytes.
const ERRAND_MAX: Duration = Duration::from_secs(30 * 60);

/// How to start the child.
#[derive(Debug)]
pub(super) struct Program {
    /// The binary; `None`: this one.
    pub(super) path: Option<PathBuf>,
    /// Its home.
    pub(super) home: PathBuf,
    /// The certificates that are trusted instead of the system's.
    pub(super) ca: Option<PathBuf>,
    /// How long it may be silent.
    pub(super) timeout: Duration,
}

impl Program {
    /// Runs one errand to its end or to the deadline.
    pub(super) fn run(&self, request: &Request) -> Result<Answer, Trouble> {
        let mut line = serde_json::to_vec(request).map_err(|error| broken(&error.to_string()))?;
        line.push(b'\n');
        if line.len() > REQUEST_BYTES_MAX {
            return Err(Trouble::Limit { words: OneLine::new("the key or the URL is too long") });
        }
        let child = self.command().spawn().map_err(|error| broken(&format!("it cannot be started: {error}")))?;
        let mut child = Running(child);
        // The pipe stays open until the answer is there: its end tells the child that the daemon is gone.
        let mut stdin = child.0.stdin.take().ok_or_else(|| broken("it has no input"))?;
        stdin.write_all(&line).map_err(|error| broken(&error.to_string()))?;
        let answer = self.listen(&mut child);
        drop(stdin);
        answer
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.path.as_deref().unwrap_or(this_binary()));
        command
            .arg0("turquoise")
            .arg(CHILD_COMMAND)
            .current_dir(&self.home)
            .env_clear()
            .env("HOME", &self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        if let Some(ca) = &self.ca {
            // The folder of hashed certificates must be one that is there and empty, or the system's is taken.
            command.env("SSL_CERT_FILE", ca).env("SSL_CERT_DIR", &self.home);
        } else {
            for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
                command.envs(std::env::var_os(name).map(|value| (name, value)));
            }
        }
        command
    }

    /// Reads answers until the last one.
    fn listen(&self, child: &mut Running) -> Result<Answer, Trouble> {
        let mut stdout = child.0.stdout.take().ok_or_else(|| broken("it has no output"))?;
        let started = Instant::now();
        let (mut deadline, mut mark) = (started + self.timeout, DONE_MIN);
        let (mut buffer, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            let left = deadline.min(started + ERRAND_MAX).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Trouble::TooSlow { seconds: started.elapsed().as_secs() });
            }
            let wait = Timespec::try_from(left).map_err(|error| broken(&error.to_string()))?;
            match poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&wait)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(broken(&error.to_string())),
            }
            match stdout.read(&mut chunk) {
                Ok(0) => return Err(child.ended()),
                Ok(count) => buffer.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(&error.to_string())),
            }
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                match serde_json::from_slice(&line) {
                    Ok(Answer::Going { done }) if done >= mark => {
                        mark = done + DONE_MIN;
                        deadline = Instant::now() + self.timeout;
                    }
                    Ok(Answer::Going { .. }) => {}
                    Ok(Answer::Failed(trouble)) => return Err(trouble),
                    Ok(answer) => return Ok(answer),
                    Err(error) => return Err(broken(&format!("its answer cannot be read: {error}"))),
                }
            }
            if buffer.len() > ANSWER_BYTES_MAX {
                return Err(broken("its answer is too long"));
            }
        }
    }
}

/// The binary that runs, also after an upgrade has replaced the file.
fn this_binary() -> &'static Path {
    static PATH: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    PATH.get_or_init(|| {
        let linux = PathBuf::from("/proc/self/exe");
        if linux.exists() { linux } else { std::env::current_exe().unwrap_or_else(|_| PathBuf::from("turquoise")) }
    })
}

fn broken(words: &str) -> Trouble {
    Trouble::Child { words: OneLine::new(words) }
}

/// A child that does not outlive this value.
struct Running(Child);

impl Running {
    /// Why it ended without an answer.
    fn ended(&mut self) -> Trouble {
        // Its output is closed, so it is ending; one that only pretends to is killed.
        for _ in 0..100 {
            if let Ok(Some(status)) = self.0.try_wait() {
                let limit = |words: &str| Trouble::Limit { words: OneLine::new(words) };
                return match status.signal() {
                    Some(signal) if signal == Signal::XFSZ.as_raw() => limit("a pack of this repository is too large"),
                    Some(signal) if signal == Signal::ABORT.as_raw() => limit("it ran out of its memory"),
                    Some(_) | None => broken(&format!("it ended without an answer ({status})")),
                };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        broken("it closed its output and went on")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The child has answered, ended or taken too long. It may be gone already.
        if let Some(group) = Pid::from_raw(self.0.id().cast_signed()) {
            let _gone = kill_process_group(group, Signal::KILL);
        }
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}
