//! Processes, files and git: the sandbox or a place in a real cluster, turquoise, a bare repository and a person's clone of it
//! in a folder of their own.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::http;
use crate::journal::LIVE;
use crate::real::{Place, Real};

/// A step that takes longer has failed.
const STEP_MAX: Duration = Duration::from_secs(60);
/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Lines of turquoise's log that go with an error.
const LAST_WORDS_LINES: usize = 12;
/// Where a release is a new tag.
const BASE: &str = "base/kustomization.yaml";
/// The example's live port.
const PORT: u16 = 8080;

/// Where the app runs.
enum World {
    Embedded(Child),
    /// An administrator's kubeconfig, and what ends with this value.
    Real {
        admin: PathBuf,
        _place: Place,
    },
}

/// Everything in it ends with it.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    turquoise: PathBuf,
    world: World,
    namespace: String,
    /// Where the bare client works: out of turquoise's sight.
    floor: String,
    daemon: Option<Child>,
    listen: SocketAddr,
}

impl Stage {
    /// The example in a bare repository, a clone of it, and a cluster; turquoise does not run yet.
    pub(crate) fn open(turquoise: &Path, example: &Path, real: &Real) -> anyhow::Result<Self> {
        let turquoise = turquoise.canonicalize().with_context(|| {
            format!("failed to find the turquoise binary {}; `make bench` builds it", turquoise.display())
        })?;
        let folder = tempfile::Builder::new().prefix("turquoise-bench-").tempdir()?;
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (world, namespace, floor) = if let Some(admin) = &real.kubeconfig {
            let namespace = format!("turquoise-bench-{}", std::process::id());
            let floor = format!("{namespace}-floor");
            let _place = Place::open(real, folder.path(), vec![namespace.clone(), floor.clone()])?;
            (World::Real { admin: admin.clone(), _place }, namespace, floor)
        } else {
            (World::Embedded(sandbox(&turquoise, folder.path())?), "default".to_owned(), "floor".to_owned())
        };
        let stage = Self { folder, turquoise, world, namespace, floor, daemon: None, listen };
        stage.git(&["init", "--quiet", "--bare", "--initial-branch=main", "shop.git"], "")?;
        copy(example, &stage.clone_path()).with_context(|| format!("failed to copy {}", example.display()))?;
        stage.person(&["init", "--quiet", "--initial-branch=main"])?;
        stage.person(&["remote", "add", "origin", "../shop.git"])?;
        stage.person(&["add", "--all"])?;
        stage.person(&["commit", "--quiet", "--message=The shop"])?;
        stage.person(&["push", "--quiet", "--set-upstream", "origin", "main"])?;
        Ok(stage)
    }

    /// A client of the cluster, as its administrator.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        let file = match &self.world {
            World::Embedded(_) => self.folder.path().join("kubeconfig"),
            World::Real { admin, .. } => admin.clone(),
        };
        let file = Kubeconfig::read_from(file)?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// turquoise's namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The bare client's.
    pub(crate) fn floor_namespace(&self) -> &str {
        &self.floor
    }

    /// Whether the cluster is a real one.
    pub(crate) fn is_real(&self) -> bool {
        matches!(self.world, World::Real { .. })
    }

    /// Where the live Service of a namespace answers on this machine: at its own address in the embedded cluster, at a node
    /// port of a real one.
    pub(crate) async fn live_address(&self, client: &Client, namespace: &str) -> anyhow::Result<SocketAddr> {
        let api = Api::<Service>::namespaced(client.clone(), namespace);
        if !self.is_real() {
            let address = api.get(LIVE).await?.spec.and_then(|spec| spec.cluster_ip);
            return Ok(SocketAddr::new(address.context("the live Service has no address")?.parse()?, PORT));
        }
        // git does not speak of it, so it is nobody's drift.
        let patch = Patch::Merge(json!({"spec": {"type": "NodePort"}}));
        let service = api.patch(LIVE, &PatchParams::default(), &patch).await?;
        let port = service.spec.and_then(|spec| spec.ports?.first()?.node_port).context("no node port")?;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port)?));
        let start = Instant::now();
        while http::get(address, "/").await.is_err() {
            ensure!(start.elapsed() < STEP_MAX, "{address} does not answer");
            tokio::time::sleep(LOOK).await;
        }
        Ok(address)
    }

    // ---- turquoise

    /// Starts turquoise as it is started at work, with nothing changed in its environment but the kubeconfig.
    pub(crate) fn start_turquoise(&mut self) -> anyhow::Result<()> {
        let daemon = Command::new(&self.turquoise)
            .current_dir(self.folder.path())
            .args(["run", "--repo", "shop.git", "--kubeconfig", "kubeconfig", "--listen"])
            .arg(self.listen.to_string())
            .env_remove("KUBERNETES_SERVICE_HOST")
            .stderr(fs::File::create(self.log_path())?)
            .spawn();
        self.daemon = Some(daemon.context("failed to start turquoise")?);
        Ok(())
    }

    pub(crate) fn stop_turquoise(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            end(daemon);
        }
        self.daemon = None;
    }

    /// Its process id; 0 while it does not run.
    pub(crate) fn turquoise_pid(&self) -> u32 {
        self.daemon.as_ref().map_or(0, Child::id)
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("turquoise.log")
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS_LINES)..].join("\n")
    }

    /// Waits until turquoise says that the branch's head is settled in a colour and nothing more is to be done.
    pub(crate) async fn rest(&self, colour: &str) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let text = http::get(self.listen, "/api/v1/apps/shop").await.unwrap_or_default();
            let app: Value = serde_json::from_str(&text).unwrap_or_default();
            let settled = app["phase"] == "settled" && app["declared"] == colour && app["serving"] == colour;
            if settled && app["head"] == self.head()?.as_str() && app["waiting"].as_array().is_some_and(Vec::is_empty) {
                return Ok(());
            }
            if start.elapsed() > STEP_MAX {
                bail!("{colour} did not come to rest; status {app:#}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The sum of one of turquoise's counters over all its labels.
    pub(crate) async fn counted(&self, name: &str) -> anyhow::Result<u64> {
        let text = http::get(self.listen, "/metrics").await.context("failed to ask for the metrics")?;
        let lines = text.lines().filter(|line| line.starts_with(name));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// The objects of an overlay of the person's clone.
    pub(crate) fn render(&self, overlay: &str) -> anyhow::Result<Vec<Value>> {
        let folder = self.clone_path().join("overlays").join(overlay);
        let output = Command::new(&self.turquoise).arg("render").arg(folder).output()?;
        ensure!(output.status.success(), "failed to render: {}", String::from_utf8_lossy(&output.stderr).trim());
        let text = String::from_utf8(output.stdout)?;
        let objects = text.split("\n---\n").map(|object| Ok(serde_yaml::from_str(object)?));
        objects.collect()
    }

    // ---- the person

    fn clone_path(&self) -> PathBuf {
        self.folder.path().join("shop")
    }

    /// The bare repository's branch: a file that whoever moves the branch writes.
    pub(crate) fn branch_file(&self) -> PathBuf {
        self.folder.path().join("shop.git/refs/heads/main")
    }

    fn head(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.branch_file()).context("failed to read the branch")?.trim().to_owned())
    }

    /// Sets the tag in base, in the clone's files.
    pub(crate) fn set_tag(&self, version: &str) -> anyhow::Result<()> {
        let path = self.clone_path().join(BASE);
        let text = fs::read_to_string(&path)?;
        let (before, rest) = text.split_once("newTag: ").context("base names no tag")?;
        let after = rest.split_once('\n').map_or("", |(_, after)| after);
        Ok(fs::write(path, format!("{before}newTag: {version}\n{after}"))?)
    }

    /// Commits a version on top of the branch; gives the commit. Nothing is pushed yet.
    pub(crate) fn commit_version(&self, version: &str) -> anyhow::Result<String> {
        self.pull()?;
        self.set_tag(version)?;
        self.person(&["commit", "--quiet", "--all", &format!("--message=Release {version}")])?;
        self.person(&["rev-parse", "HEAD"])
    }

    /// Commits a revert on top of the branch; gives the commit.
    pub(crate) fn commit_revert(&self, commit: &str) -> anyhow::Result<String> {
        self.pull()?;
        self.person(&["revert", "--no-edit", commit])?;
        self.person(&["rev-parse", "HEAD"])
    }

    fn pull(&self) -> anyhow::Result<()> {
        self.person(&["fetch", "--quiet"])?;
        self.person(&["reset", "--quiet", "--hard", "origin/main"]).map(drop)
    }

    /// `git push`; gives the moment at which it ended.
    pub(crate) fn push(&self) -> anyhow::Result<Instant> {
        self.person(&["push", "--quiet"])?;
        Ok(Instant::now())
    }

    fn person(&self, args: &[&str]) -> anyhow::Result<String> {
        self.git(args, "shop")
    }

    /// git that sees nothing of this machine's settings.
    fn git(&self, args: &[&str], folder: &str) -> anyhow::Result<String> {
        let mut git = Command::new("git");
        git.args(args).current_dir(self.folder.path().join(folder));
        git.env("HOME", self.folder.path()).env("GIT_CONFIG_NOSYSTEM", "1").env_remove("XDG_CONFIG_HOME");
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "A developer").env(format!("GIT_{who}_EMAIL"), "dev@example.org");
        }
        let output = git.output().context("failed to run git")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "git {} failed: {}", args.join(" "), errors.trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop_turquoise();
        if let World::Embedded(sandbox) = &mut self.world {
            end(sandbox);
        }
    }
}

fn sandbox(turquoise: &Path, folder: &Path) -> anyhow::Result<Child> {
    let kubeconfig = folder.join("kubeconfig");
    let mut sandbox = Command::new(turquoise)
        .args(["sandbox", "--kubeconfig"])
        .arg(&kubeconfig)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start the sandbox")?;
    let start = Instant::now();
    while !kubeconfig.exists() {
        if start.elapsed() > STEP_MAX {
            end(&mut sandbox);
            bail!("the sandbox did not start");
        }
        std::thread::sleep(LOOK);
    }
    Ok(sandbox)
}

fn end(child: &mut Child) {
    // Both fail only where it has ended by itself.
    let _ended_already = child.kill();
    let _reaped_already = child.wait();
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let from = entry?.path();
        let to = to.join(from.file_name().unwrap_or_default());
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
