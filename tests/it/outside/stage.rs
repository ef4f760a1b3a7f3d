//! The stage: folders, processes, and the words in which the scenarios are told.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::traffic::Traffic;
use super::transport::Server;

mod hands;
mod outside;

/// A step that takes longer than this did not happen. Machines are slow and noisy; the steps themselves take a second.
pub(super) const STEP_MAX: Duration = Duration::from_secs(60);
/// The pause between two looks at the daemon's status.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// The example's live Service.
const SERVICE_PORT: u16 = 8080;

/// One world of a scenario; everything in it ends with it.
pub(super) struct Stage {
    pub(super) folder: tempfile::TempDir,
    pub(super) server: Server,
    listen: Option<SocketAddr>,
    sandbox: Child,
    pub(super) daemon: Option<Child>,
    traffic: Option<Traffic>,
    /// What turquoise's environment holds beside what every scenario's does.
    settings: Vec<(String, String)>,
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
        let address = self.kubectl(&["get", "service", "shop", "-o", "jsonpath={.spec.clusterIP}"]);
        let address = SocketAddr::new(address.parse().expect("an address"), SERVICE_PORT);
        self.traffic = Some(Traffic::start(address));
    }

    /// Repository, clone and cluster, without turquoise; with images of one's own in the cluster.
    pub(super) fn bare_with_images(prepare: impl FnOnce(&Path), images: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("turquoise-test-").tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        let sandbox = turquoise()
            .args(["sandbox", "--kubeconfig"])
            .arg(&kubeconfig)
            .args(images.iter().flat_map(|image| ["--image", image]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the sandbox starts");
        let stage = Self {
            folder,
            server: Server::Folder,
            listen: None,
            sandbox,
            daemon: None,
            traffic: None,
            settings: Vec::new(),
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
        let start = Instant::now();
        while !kubeconfig.exists() {
            assert!(start.elapsed() < STEP_MAX, "the sandbox did not start");
            std::thread::sleep(LOOK);
        }
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
        let daemon = turquoise()
            .current_dir(self.folder.path())
            .args(["run", "--kubeconfig", "kubeconfig", "--listen", "127.0.0.1:0"])
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
            assert!(start.elapsed() < STEP_MAX, "turquoise did not start\n{}", self.log());
            std::thread::sleep(LOOK);
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
        }
    }

    /// SIGTERM; gives the exit code.
    pub(super) fn terminate(&mut self) -> Option<i32> {
        let mut daemon = self.daemon.take().expect("turquoise runs");
        let pid = daemon.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        daemon.wait().expect("ended").code()
    }

    // ---- people, with git

    fn git(&self, args: &[&str], folder: &str) -> String {
        command(hermetic("git", self.folder.path()).current_dir(self.folder.path().join(folder)).args(args))
    }

    /// git in the person's clone.
    pub(super) fn person(&self, args: &[&str]) -> String {
        self.git(args, "shop")
    }

    /// Fetches, changes the clone, commits and pushes. Gives the commit.
    pub(super) fn commit(&self, message: &str, change: impl Fn(&Path)) -> String {
        self.push_until_it_lands(|| {
            change(&self.clone_path());
            self.person(&["add", "--all"]);
            self.person(&["commit", "--quiet", "--allow-empty", "--message", message]);
        })
    }

    /// Sets the tag in base.
    pub(super) fn bump(&self, version: &str) -> String {
        self.commit(&format!("Release {version}"), |clone| {
            edit(&clone.join("base/kustomization.yaml"), |text| {
                let (before, rest) = text.split_once("newTag: ").expect("a tag");
                let after = rest.split_once('\n').map_or("", |(_, after)| after);
                format!("{before}newTag: {version}\n{after}")
            });
        })
    }

    /// `git revert`.
    pub(super) fn revert(&self, commit: &str) -> String {
        self.push_until_it_lands(|| {
            self.person(&["revert", "--no-edit", commit]);
        })
    }

    /// Reverts turquoise's newest commit that changed the selector.
    pub(super) fn revert_flip(&self) -> String {
        self.person(&["pull", "--quiet", "--rebase"]);
        let flip = self.person(&["log", "-1", "--format=%H", "--author=turquoise", "--", "overlays/live"]);
        self.revert(&flip)
    }

    /// Sets the live Service's selector by hand, in git.
    pub(super) fn select(&self, colour: &str) -> String {
        self.commit(&format!("Select {colour}"), |clone| {
            edit(&clone.join("overlays/live/service.yaml"), |text| {
                let (before, rest) = text.split_once("colour: ").expect("a selector");
                let after = rest.split_once('\n').map_or("", |(_, after)| after);
                format!("{before}colour: {colour}\n{after}")
            });
        })
    }

    /// A person's push is rejected where turquoise was faster: then it is made again, as a person would.
    fn push_until_it_lands(&self, make: impl Fn()) -> String {
        for _ in 0..20 {
            self.person(&["fetch", "--quiet"]);
            self.person(&["reset", "--quiet", "--hard", "origin/main"]);
            make();
            let pushed = hermetic("git", self.folder.path())
                .current_dir(self.clone_path())
                .args(["push", "--quiet"])
                .stderr(Stdio::null())
                .status();
            if pushed.expect("git runs").success() {
                return self.person(&["rev-parse", "HEAD"]);
            }
        }
        panic!("the push never landed");
    }

    /// The log of the bare repository: `verdict revision` lines and people's subjects, newest first.
    pub(super) fn git_log(&self, format: &str) -> Vec<String> {
        let text = self.git(&["log", &format!("--format={format}"), "main"], "shop.git");
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// How often a verdict was said about a commit.
    pub(super) fn verdicts(&self, commit: &str, verdict: &str) -> usize {
        let text = self.git(&["log", "--format=%B", "main"], "shop.git");
        let fact = format!("Turquoise-Revision: {commit}\nTurquoise-Verdict: {verdict}");
        text.matches(&fact).count()
    }

    /// A file at the branch's head.
    pub(super) fn file(&self, path: &str) -> String {
        self.git(&["show", &format!("main:{path}")], "shop.git")
    }

    // ---- the cluster

    /// kubectl, for the human hand.
    pub(super) fn kubectl(&self, args: &[&str]) -> String {
        let kubeconfig = self.folder.path().join("kubeconfig");
        let mut kubectl = hermetic("kubectl", self.folder.path());
        command(kubectl.arg("--kubeconfig").arg(kubeconfig).args(args))
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

    // ---- turquoise, by its status

    /// The app's status; null while nobody answers.
    pub(super) fn status(&self) -> Value {
        self.status_of("shop")
    }

    /// One app's status; null while nobody answers.
    pub(super) fn status_of(&self, app: &str) -> Value {
        let ask = || -> std::io::Result<String> {
            let address = self.listen.ok_or(std::io::ErrorKind::NotConnected)?;
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            write!(stream, "GET /api/v1/apps/{app} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = ask().unwrap_or_default();
        text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok()).unwrap_or(Value::Null)
    }

    /// Waits until the status is as wished.
    pub(super) fn until(&self, what: &str, wished: impl Fn(&Value) -> bool) -> Value {
        self.until_app("shop", what, wished)
    }

    /// Waits until one app's status is as wished.
    pub(super) fn until_app(&self, app: &str, what: &str, wished: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let status = self.status_of(app);
            if wished(&status) {
                return status;
            }
            if start.elapsed() > STEP_MAX {
                panic!(
                    "{what} did not happen; status {status:#}\nlog {}\n{}\n{}",
                    self.git_log("%h %an %s").join("\n"),
                    self.log(),
                    self.kubectl(&["get", "pods,services,endpointslices,events", "-o", "wide"]),
                );
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until a version is live in a colour and nothing but the watch goes on.
    pub(super) fn until_live(&self, colour: &str, version: &str) -> Value {
        let image = format!("shop:{version}");
        self.until(&format!("{version} live in {colour}"), |app| {
            let images = app["colours"][colour]["images"].as_array();
            app["serving"] == colour
                && app["declared"] == colour
                && images.is_some_and(|images| images.iter().any(|one| *one == image))
                && self.is_at_rest(app)
        })
    }

    /// Waits until a revision was rejected, and nothing goes on.
    pub(super) fn until_verdict(&self, revision: &str, verdict: &str) -> Value {
        self.until(&format!("{revision} {verdict}"), |app| {
            app["verdict"]["revision"] == revision && app["verdict"]["verdict"] == verdict && self.is_at_rest(app)
        })
    }

    /// Whether the status is about the branch's head and asks for nothing more.
    pub(super) fn is_at_rest(&self, app: &Value) -> bool {
        let waits =
            |reason: &str| app["waiting"].as_array().is_some_and(|all| all.iter().any(|one| one["reason"] == reason));
        let head = self.git_log("%H").into_iter().next().unwrap_or_default();
        app["head"] == head.as_str()
            && ["settled", "watching", "blocked"].iter().any(|phase| app["phase"] == *phase)
            && !waits("endpoints")
            && app["error"].is_null()
    }

    /// Ends the traffic: what follows breaks the live Service by hand.
    pub(super) fn without_traffic(&mut self) {
        if let Some(traffic) = self.traffic.take() {
            traffic.end();
        }
    }

    /// The end of each scenario: git and cluster agree, and turquoise commits nothing more.
    pub(super) fn ends(mut self) {
        self.until("rest", |app| self.is_at_rest(app) && app["declared"] == app["serving"]);
        let before = self.git_log("%H");
        let selector = self.kubectl(&["get", "service", "shop", "-o", "jsonpath={.spec.selector.colour}"]);
        assert_eq!(self.status()["declared"], selector.as_str(), "git and cluster disagree");
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(self.git_log("%H"), before, "and plans nothing more\n{}", self.log());
        if let Some(traffic) = self.traffic.take() {
            traffic.end();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill();
        // A process that ended by itself cannot be killed any more.
        let _ended_already = self.sandbox.kill();
        let _reaped_already = self.sandbox.wait();
    }
}

/// The binary under test.
pub(super) fn turquoise() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turquoise"));
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
