//! Processes, repositories and the status of all apps.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

use crate::cpu::Cpu;
use crate::http;
use crate::real::{Place, Real};

/// How often turquoise asks git at rest.
pub(crate) const POLL_S: f64 = 15.0;
/// A step that takes longer has failed.
const STEP_MAX: Duration = Duration::from_secs(600);
/// The pause between two questions for the status of all apps: the answer is a megabyte.
const LOOK: Duration = Duration::from_millis(500);
/// The log's end that goes with an error.
const LAST_WORDS_LINES: usize = 12;

/// Where the apps are.
enum World {
    Embedded(Child),
    /// What ends with this value.
    Real {
        _place: Place,
    },
}

/// Everything in it ends with it.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    turquoise: PathBuf,
    world: World,
    /// Of the namespaces' names.
    prefix: String,
    daemon: Option<Child>,
    listen: SocketAddr,
    apps: usize,
    repos: usize,
    /// The commits that were pushed last, one a repository.
    pushed: Vec<String>,
}

/// How long it took until all apps were there.
pub(crate) struct Reached {
    /// The wanted colour carries what was pushed last.
    pub(crate) applied_s: f64,
    /// It is live, and everything is settled.
    pub(crate) live_s: f64,
}

impl Stage {
    /// A cluster, and apps spread over bare repositories, each with a namespace of its own.
    pub(crate) async fn open(
        turquoise: &Path,
        real: &Real,
        apps: usize,
        repos: usize,
        pods: u32,
    ) -> anyhow::Result<Self> {
        let turquoise = turquoise.canonicalize().with_context(|| {
            format!("failed to find the turquoise binary {}; `make bench-scale` builds it", turquoise.display())
        })?;
        let folder = tempfile::Builder::new().prefix("turquoise-scale-").tempdir()?;
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (world, prefix) = if real.kubeconfig.is_some() {
            let prefix = format!("turquoise-scale-{}-{apps}-", std::process::id());
            let namespaces = (0..repos).map(|repo| format!("{prefix}{}", repo_name(repo))).collect();
            (World::Real { _place: Place::open(real, folder.path(), namespaces)? }, prefix)
        } else {
            (World::Embedded(sandbox(&turquoise, folder.path(), repos).await?), String::new())
        };
        let mut stage =
            Self { folder, turquoise, world, prefix, daemon: None, listen, apps, repos, pushed: Vec::new() };
        stage.write_repos(pods)?;
        Ok(stage)
    }

    /// A repository's namespace.
    pub(crate) fn namespace(&self, repo: usize) -> String {
        format!("{}{}", self.prefix, repo_name(repo))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn apps_of(&self, repo: usize) -> impl Iterator<Item = usize> {
        (repo..self.apps).step_by(self.repos)
    }

    fn write_repos(&mut self, pods: u32) -> anyhow::Result<()> {
        let mut config = "apiVersion: turquoise.dev/v1alpha1\nkind: Configuration\nrepos:\n".to_owned();
        for repo in 0..self.repos {
            let (name, namespace) = (repo_name(repo), self.namespace(repo));
            writeln!(config, "- url: {name}.git\n  poll: {POLL_S}s\n  grants: {{namespaces: [{namespace}]}}")?;
            for app in self.apps_of(repo) {
                write_app(&self.path(&name).join(format!("app-{app:04}")), app, pods)?;
            }
            self.git(&["init", "--quiet", "--initial-branch=main", &name], "")?;
            self.git(&["add", "--all"], &name)?;
            self.git(&["commit", "--quiet", "--message=The apps"], &name)?;
            self.git(&["clone", "--quiet", "--bare", &name, &format!("{name}.git")], "")?;
            self.git(&["remote", "add", "origin", &format!("../{name}.git")], &name)?;
        }
        self.pushed = self.heads()?;
        Ok(fs::write(self.path("config.yaml"), config)?)
    }

    /// Where the clones stand, by repository.
    fn heads(&self) -> anyhow::Result<Vec<String>> {
        (0..self.repos).map(|repo| self.git(&["rev-parse", "HEAD"], &repo_name(repo))).collect()
    }

    /// Commits a version of all apps in each repository, on top of what turquoise committed. Nothing is pushed yet.
    pub(crate) fn commit_version(&mut self, version: &str) -> anyhow::Result<()> {
        for repo in 0..self.repos {
            let name = repo_name(repo);
            self.git(&["fetch", "--quiet", "origin", "main"], &name)?;
            self.git(&["reset", "--quiet", "--hard", "FETCH_HEAD"], &name)?;
            for app in self.apps_of(repo) {
                let base = self.path(&name).join(format!("app-{app:04}/base/kustomization.yaml"));
                let text = fs::read_to_string(&base)?.replace("newTag: 1.0.0", &format!("newTag: {version}"));
                fs::write(&base, text)?;
            }
            self.git(&["commit", "--quiet", "--all", &format!("--message=Release {version}")], &name)?;
        }
        self.pushed = self.heads()?;
        Ok(())
    }

    /// Pushes every repository.
    pub(crate) fn push(&self) -> anyhow::Result<()> {
        (0..self.repos)
            .try_for_each(|repo| self.git(&["push", "--quiet", "origin", "main"], &repo_name(repo)).map(drop))
    }

    // ---- turquoise

    pub(crate) fn start_turquoise(&mut self) -> anyhow::Result<()> {
        let daemon = Command::new(&self.turquoise)
            .current_dir(self.folder.path())
            .args(["run", "--config", "config.yaml", "--kubeconfig", "kubeconfig", "--listen"])
            .arg(self.listen.to_string())
            .env("TURQUOISE_LOG", "turquoise=warn,error")
            .env_remove("KUBERNETES_SERVICE_HOST")
            .stderr(fs::File::create(self.path("turquoise.log"))?)
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

    pub(crate) fn pid(&self) -> u32 {
        self.daemon.as_ref().map_or(0, Child::id)
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.path("turquoise.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS_LINES)..].join("\n")
    }

    /// Processor time that was used up to now.
    pub(crate) fn cpu(&self) -> Cpu {
        let sandbox = match &self.world {
            World::Embedded(sandbox) => Some(sandbox.id()),
            World::Real { .. } => None,
        };
        Cpu::now(self.pid(), sandbox)
    }

    /// Waits until every app carries what was pushed last in a colour, serves that colour, and is settled.
    pub(crate) async fn until_all_are_live(&self, colour: &str) -> anyhow::Result<Reached> {
        let start = Instant::now();
        let mut applied_s = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let text = http::get(self.listen, "/api/v1/apps").await.unwrap_or_default();
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            let apps = answer["apps"].as_array().map(Vec::as_slice).unwrap_or_default();
            let carries = |app: &&Value| self.carries(app, colour);
            let is_live = |app: &&Value| {
                carries(app)
                    && app["phase"] == "settled"
                    && app["serving"] == colour
                    && app["declared"] == colour
                    && app["error"].is_null()
            };
            if applied_s.is_none() && apps.iter().filter(carries).count() == self.apps {
                applied_s = Some(start.elapsed().as_secs_f64());
            }
            let live = apps.iter().filter(is_live).count();
            if live == self.apps {
                let live_s = start.elapsed().as_secs_f64();
                return Ok(Reached { applied_s: applied_s.unwrap_or(live_s), live_s });
            }
            if start.elapsed() > STEP_MAX {
                let other = apps.iter().find(|app| !is_live(app)).cloned().unwrap_or_default();
                bail!("{live} of {} are live in {colour}; one that is not: {other:#}", self.apps);
            }
        }
    }

    /// Whether a colour of an app carries the commit that was pushed last.
    fn carries(&self, app: &Value, colour: &str) -> bool {
        let revision = app["colours"][colour]["revision"].as_str();
        let repo = app["repo"].as_str().and_then(|repo| repo.rsplit('/').next()?.strip_suffix(".git"));
        let pushed = (0..self.repos).find(|one| repo == Some(&repo_name(*one))).and_then(|one| self.pushed.get(one));
        revision.is_some() && revision == pushed.map(String::as_str)
    }

    /// The sum of a counter over all its labels.
    pub(crate) async fn counted(&self, name: &str) -> anyhow::Result<u64> {
        let text = http::get(self.listen, "/metrics").await.context("failed to ask for the metrics")?;
        let lines = text.lines().filter(|line| line.starts_with(name));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
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

async fn sandbox(turquoise: &Path, folder: &Path, repos: usize) -> anyhow::Result<Child> {
    let kubeconfig = folder.join("kubeconfig");
    let mut sandbox = Command::new(turquoise)
        .args(["sandbox", "--kubeconfig"])
        .arg(&kubeconfig)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start the sandbox")?;
    let made = namespaces(&kubeconfig, repos).await;
    if made.is_err() {
        end(&mut sandbox);
    }
    made.map(|()| sandbox)
}

async fn namespaces(kubeconfig: &Path, repos: usize) -> anyhow::Result<()> {
    let start = Instant::now();
    while !kubeconfig.exists() {
        ensure!(start.elapsed() < STEP_MAX, "the sandbox did not start");
        tokio::time::sleep(LOOK).await;
    }
    let config =
        Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig)?, &KubeConfigOptions::default()).await?;
    let namespaces: Api<Namespace> = Api::all(Client::try_from(config)?);
    for repo in 0..repos {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(repo_name(repo));
        namespaces.create(&PostParams::default(), &namespace).await.context("failed to make a namespace")?;
    }
    Ok(())
}

fn end(child: &mut Child) {
    // Both fail only where it has ended by itself.
    let _ended_already = child.kill();
    let _reaped_already = child.wait();
}

fn repo_name(repo: usize) -> String {
    format!("team-{repo:02}")
}

/// An app of a Deployment without probes, a generated ConfigMap, a live Service and a preview.
fn write_app(folder: &Path, app: usize, pods: u32) -> anyhow::Result<()> {
    let name = format!("app-{app:04}");
    let colour = |colour: &str| {
        format!(
            "resources: [../../base]\nnameSuffix: -{colour}\nlabels:\n- pairs: {{colour: {colour}}}\n  includeSelectors: true\n"
        )
    };
    let service = |name: &str, colour: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  selector:\n    app: app-{app:04}\n    colour: {colour}\n  ports:\n  - port: 80\n"
        )
    };
    let deployment = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  replicas: {pods}\n  selector:\n    matchLabels: {{app: {name}}}\n  \
         template:\n    metadata:\n      labels: {{app: {name}}}\n    spec:\n      containers:\n      - name: web\n        image: shop\n        args: [backend]\n        \
         envFrom:\n        - configMapRef: {{name: {name}}}\n"
    );
    let base = format!(
        "resources: [deployment.yaml]\nconfigMapGenerator:\n- name: {name}\n  literals: [GREETING=hello]\nimages:\n- name: shop\n  newTag: 1.0.0\n"
    );
    let preview = format!("{name}-preview");
    let files = [
        ("turquoise.yaml", "apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\nspec:\n  watch: 0\n".to_owned()),
        ("base/kustomization.yaml", base),
        ("base/deployment.yaml", deployment),
        ("overlays/blue/kustomization.yaml", colour("blue")),
        ("overlays/green/kustomization.yaml", colour("green")),
        ("overlays/live/kustomization.yaml", "resources: [service.yaml]\n".to_owned()),
        ("overlays/live/service.yaml", format!("{}---\n{}", service(&name, "blue"), service(&preview, "green"))),
    ];
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    Ok(())
}
