//! The stage: folders, processes, and the words in which the scenarios are told.

use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::tap::{self, Tap};
use super::traffic::{Allowed, Traffic};
use super::transport::Server;
use super::world::{Home, Manner, Record, World};

mod git;
mod hands;
mod outside;
mod waits;

/// The example's live Service.
const SERVICE_PORT: u16 = 8080;

/// One world of a scenario; everything in it ends with it.
pub(super) struct Stage {
    // Ends before the folder with its kubeconfig does.
    home: Home,
    pub(super) folder: tempfile::TempDir,
    pub(super) server: Server,
    listen: Option<SocketAddr>,
    pub(super) daemon: Option<Child>,
    traffic: Option<Traffic>,
    allowed: Option<Allowed>,
    /// How often turquoise was killed.
    kills: usize,
    /// How often a hand switched the live Service in the cluster.
    hands: Cell<usize>,
    record: Record,
    /// What turquoise's environment holds beside what every scenario's does.
    settings: Vec<(String, String)>,
    /// The way to the API server that turquoise takes.
    kubeconfig: &'static str,
    /// What starts turquoise; it must become it, under its own process id.
    launcher: Vec<String>,
}

impl Stage {
    /// The example in a bare repository and a clone of it, a cluster, turquoise, the first release live, and traffic.
    pub(super) fn open() -> Self {
        Self::open_with(|_| {})
    }

    /// The same, with changes to the clone before its first commit.
    pub(super) fn open_with(prepare: impl FnOnce(&Path)) -> Self {
        Self::bare(prepare).opened()
    }

    pub(super) fn opened(self) -> Self {
        let mut stage = self;
        stage.run();
        stage.until("the first release", |app| app["serving"] == "blue" && app["phase"] == "settled");
        stage.with_traffic();
        stage
    }

    /// Traffic on the live Service, from now on to the end.
    pub(super) fn with_traffic(&mut self) {
        let address = self.home.address("shop", SERVICE_PORT);
        self.traffic = Some(Traffic::start(address, self.record.traffic_log().as_deref()));
    }

    /// Repository, clone and cluster, without turquoise.
    pub(super) fn bare(prepare: impl FnOnce(&Path)) -> Self {
        Self::raise(prepare, Manner::default())
    }

    /// The same, in a place of a certain manner.
    pub(super) fn raise(prepare: impl FnOnce(&Path), manner: Manner<'_>) -> Self {
        let folder = tempfile::Builder::new().prefix("turquoise-test-").tempdir().expect("a folder");
        let stage = Self {
            home: Home::open(&folder.path().join("kubeconfig"), manner),
            folder,
            server: Server::Folder,
            listen: None,
            daemon: None,
            traffic: None,
            allowed: None,
            kills: 0,
            hands: Cell::new(0),
            record: Record::begin(),
            settings: Vec::new(),
            kubeconfig: "kubeconfig",
            launcher: Vec::new(),
        };
        stage.git(&["init", "--quiet", "--bare", "--initial-branch=main", "shop.git"], "");
        fs::create_dir(stage.clone_path()).expect("a folder");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("example-repo"), &stage.clone_path());
        prepare(&stage.clone_path());
        stage.person(&["init", "--quiet", "--initial-branch=main"]);
        stage.person(&["remote", "add", "origin", "../shop.git"]);
        stage.person(&["add", "--all"]);
        stage.person(&["commit", "--quiet", "--message=The shop"]);
        stage.person(&["push", "--quiet", "--set-upstream", "origin", "main"]);
        stage
    }

    /// The person's clone, as it is.
    pub(super) fn clone_path(&self) -> PathBuf {
        self.folder.path().join("shop")
    }

    /// The person's clone, at the branch's head.
    pub(super) fn clone_of_head(&self) -> PathBuf {
        self.person(&["fetch", "--quiet"]);
        self.person(&["reset", "--quiet", "--hard", "origin/main"]);
        self.clone_path()
    }

    /// Starts turquoise, with more flags.
    pub(super) fn run_with(&mut self, flags: &[&str]) {
        assert!(self.daemon.is_none(), "turquoise runs already");
        let starts = self.listened().len() + 1;
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path()).expect("a log");
        let mut daemon = turquoise();
        if let Some((launcher, arguments)) = self.launcher.split_first() {
            let turquoise = daemon.get_program().to_owned();
            daemon = outsider(launcher);
            daemon.args(arguments).arg(turquoise);
        }
        let daemon = daemon
            .current_dir(self.folder.path())
            .args(["run", "--kubeconfig", self.kubeconfig, "--listen", "127.0.0.1:0"])
            .args(self.server.arguments())
            .args(flags)
            .env("TURQUOISE_ALLOW_HOST", "127.0.0.1")
            .env("TURQUOISE_LOG", "turquoise=debug,info")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            // Proxies from the environment are never used: this one answers nobody.
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env("http_proxy", "http://127.0.0.1:9")
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env("ALL_PROXY", "http://127.0.0.1:9")
            .stderr(log)
            .spawn();
        self.daemon = Some(daemon.expect("turquoise starts"));
        let start = Instant::now();
        self.listen = loop {
            let listened = self.listened();
            if listened.len() == starts {
                break listened.last().copied();
            }
            let limits = World::here().limits();
            assert!(start.elapsed() < limits.step, "turquoise did not start\n{}", self.log());
            std::thread::sleep(limits.look);
        };
    }

    /// The addresses that turquoise listened on, one a start.
    fn listened(&self) -> Vec<SocketAddr> {
        let log = self.log();
        let addresses = log.lines().filter_map(|line| line.split_once("listening on http://"));
        addresses.filter_map(|(_, address)| address.trim().parse().ok()).collect()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("turquoise.log")
    }

    /// What turquoise logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().expect("killed");
            daemon.wait().expect("ended");
            self.kills += 1;
        }
    }

    /// turquoise reaches the API server through a tap, from its next start on.
    pub(super) fn tapped(&mut self) -> Tap {
        self.kubeconfig = tap::KUBECONFIG;
        Tap::open(self.folder.path())
    }

    /// Something else starts turquoise, with these settings beside the others.
    pub(super) fn launched_by(&mut self, launcher: &[&str], settings: &[(&str, &str)]) {
        self.launcher = launcher.iter().map(|&word| word.to_owned()).collect();
        self.settings.extend(settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
    }

    /// SIGTERM; gives the exit code.
    pub(super) fn terminate(&mut self) -> Option<i32> {
        let mut daemon = self.daemon.take().expect("turquoise runs");
        let pid = daemon.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        daemon.wait().expect("ended").code()
    }

    // ---- the cluster

    /// Where the story has its objects.
    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// kubectl, for the human hand.
    pub(super) fn kubectl(&self, args: &[&str]) -> String {
        self.home.kubectl(args)
    }

    /// `kubectl apply` of a text.
    pub(super) fn apply(&self, text: &str) -> String {
        let file = self.folder.path().join("apply.yaml");
        fs::write(&file, text).expect("written");
        self.kubectl(&["apply", "--filename", &file.to_string_lossy()])
    }

    /// The uids of a colour's pods, sorted.
    pub(super) fn pods(&self, colour: &str) -> Vec<String> {
        let selector = format!("colour={colour}");
        let text = self.kubectl(&["get", "pods", "-l", &selector, "-o", "jsonpath={.items[*].metadata.uid}"]);
        let mut pods: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        pods.sort();
        pods
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The binary under test, or the one that `TURQUOISE_E2E_BINARY` names: one that was broken on purpose.
pub(super) fn turquoise() -> Command {
    let named = std::env::var("TURQUOISE_E2E_BINARY").ok().filter(|binary| !binary.is_empty());
    outsider(named.as_deref().unwrap_or(env!("CARGO_BIN_EXE_turquoise")))
}

/// A program that knows of no cluster.
fn outsider(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST");
    command
}

/// A command that sees nothing of this machine's settings.
pub(super) fn hermetic(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env("HOME", folder.join("home"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("KUBECONFIG");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "A developer").env(format!("GIT_{who}_EMAIL"), "dev@example.org");
    }
    command
}

/// What `GET /` answers, head and body, if it is 200.
pub(super) fn answers(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.starts_with("HTTP/1.1 200").then_some(text)
}

/// Runs to a good end and gives the output, trimmed.
pub(super) fn command(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot run ({error}); `make test` installs or names it"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Changes a file's text.
pub(super) fn edit(path: &Path, change: impl FnOnce(&str) -> String) {
    let text = fs::read_to_string(path).unwrap_or_default();
    fs::write(path, change(&text)).expect("written");
}

/// A readiness deadline in turquoise.yaml that broken pods can be waited out by.
pub(super) fn short_deadline(clone: &Path) {
    let short = format!("readinessDeadline: {}s", World::here().limits().deadline_s);
    edit(&clone.join("turquoise.yaml"), |text| text.replace("readinessDeadline: 60s", &short));
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            fs::create_dir(&to).expect("a folder");
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copied");
        }
    }
}
