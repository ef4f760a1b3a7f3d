//! A stage for many: repositories, apps, and more than one turquoise.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::stage::{command, hermetic, turquoise};
use super::world::{Home, Manner, Record, World};

/// One world of a scenario; everything in it ends with it.
pub(super) struct Many {
    // Ends before the folder with its kubeconfig does.
    home: Home,
    folder: tempfile::TempDir,
    daemons: Vec<Daemon>,
    _record: Record,
}

struct Daemon {
    child: Child,
    log: PathBuf,
    listen: SocketAddr,
}

/// An app without a second tier: a Deployment, a live Service and a preview, all named after it.
pub(super) struct Shop<'a> {
    pub(super) name: &'a str,
    pub(super) replicas: u32,
    /// What its check asks; `None`: it has none.
    pub(super) check: Option<&'a str>,
}

impl Many {
    pub(super) fn open() -> Self {
        let folder = tempfile::Builder::new().prefix("turquoise-many-").tempdir().expect("a folder");
        let home = Home::open(&folder.path().join("kubeconfig"), Manner::default());
        Self { home, folder, daemons: Vec::new(), _record: Record::begin() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A bare repository `NAME.git` and a clone of it `NAME`, with apps.
    pub(super) fn repo(&self, name: &str, shops: &[Shop<'_>]) {
        self.git(&["init", "--quiet", "--bare", "--initial-branch=main", &format!("{name}.git")], "");
        self.git(&["init", "--quiet", "--initial-branch=main", name], "");
        self.git(&["remote", "add", "origin", &format!("../{name}.git")], name);
        shops.iter().for_each(|shop| write_shop(&self.path(name), shop));
        self.git(&["add", "--all"], name);
        self.git(&["commit", "--quiet", "--message=The apps"], name);
        self.git(&["push", "--quiet", "--set-upstream", "origin", "main"], name);
    }

    pub(super) fn git(&self, args: &[&str], folder: &str) -> String {
        command(hermetic("git", self.folder.path()).current_dir(self.path(folder)).args(args))
    }

    /// Fetches, changes the clone, commits and pushes; again where turquoise was faster. Gives the commit.
    pub(super) fn commit(&self, repo: &str, message: &str, change: impl Fn(&Path)) -> String {
        for _ in 0..50 {
            self.git(&["fetch", "--quiet"], repo);
            self.git(&["reset", "--quiet", "--hard", "origin/main"], repo);
            change(&self.path(repo));
            self.git(&["add", "--all"], repo);
            self.git(&["commit", "--quiet", "--message", message], repo);
            let push = hermetic("git", self.folder.path())
                .current_dir(self.path(repo))
                .args(["push", "--quiet"])
                .stderr(Stdio::null())
                .status();
            if push.expect("git runs").success() {
                return self.git(&["rev-parse", "HEAD"], repo);
            }
        }
        panic!("the push never landed");
    }

    /// Sets the tag of apps, in one commit.
    pub(super) fn bump(&self, repo: &str, apps: &[&str], version: &str) -> String {
        self.commit(repo, &format!("Release {version}"), |clone| {
            for app in apps {
                set_tag(&clone.join(app).join("base/kustomization.yaml"), version);
            }
        })
    }

    /// `git log` of a bare repository, newest first.
    pub(super) fn log_of(&self, repo: &str, format: &str) -> Vec<String> {
        let text = self.git(&["log", &format!("--format={format}"), "main"], &format!("{repo}.git"));
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// Where the story has its objects.
    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// kubectl, for the human hand.
    pub(super) fn kubectl(&self, args: &[&str]) -> String {
        self.home.kubectl(args)
    }

    /// What `turquoise` with these arguments says and how it ends.
    pub(super) fn turquoise(&self, args: &[&str]) -> (ExitStatus, String) {
        let output = turquoise().current_dir(self.folder.path()).args(args).output().expect("turquoise runs");
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Starts a turquoise in this cluster. Gives its number.
    pub(super) fn run(&mut self, args: &[&str]) -> usize {
        self.run_in("kubeconfig", args)
    }

    /// Starts a turquoise in another cluster.
    pub(super) fn run_in(&mut self, kubeconfig: &str, args: &[&str]) -> usize {
        let log = self.path(&format!("turquoise-{}.log", self.daemons.len()));
        let mut child = turquoise()
            .current_dir(self.folder.path())
            .args(["run", "--kubeconfig", kubeconfig, "--listen", "127.0.0.1:0"])
            .args(args)
            .env("TURQUOISE_LOG", "turquoise=debug,info")
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("turquoise starts");
        let start = Instant::now();
        let listen = loop {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let address = text.lines().find_map(|line| line.split_once("listening on http://")?.1.trim().parse().ok());
            if let Some(address) = address {
                break address;
            }
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("turquoise ended: {status}\n{text}");
            }
            assert!(start.elapsed() < World::here().limits().step, "turquoise did not start\n{text}");
            std::thread::sleep(World::here().limits().look);
        };
        self.daemons.push(Daemon { child, log, listen });
        self.daemons.len() - 1
    }

    /// Another cluster, until the end of the answer; an embedded one in both worlds.
    pub(super) fn cluster(&self, kubeconfig: &str) -> Home {
        Home::sandbox(&self.path(kubeconfig), &[])
    }

    pub(super) fn signal(&self, daemon: usize, signal: &str) {
        let pid = self.daemons[daemon].child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill runs").success());
    }

    pub(super) fn log(&self, daemon: usize) -> String {
        fs::read_to_string(&self.daemons[daemon].log).unwrap_or_default()
    }

    pub(super) fn address(&self, daemon: usize) -> SocketAddr {
        self.daemons[daemon].listen
    }

    /// The body of a GET; empty while nobody answers.
    pub(super) fn get(&self, daemon: usize, path: &str) -> String {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&self.daemons[daemon].listen, Duration::from_secs(2))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        ask().unwrap_or_default().split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }

    pub(super) fn status(&self, daemon: usize, app: &str) -> Value {
        serde_json::from_str(&self.get(daemon, &format!("/api/v1/apps/{app}"))).unwrap_or(Value::Null)
    }

    /// Waits until an app's status is as wished.
    pub(super) fn until(&self, daemon: usize, app: &str, what: &str, wished: impl Fn(&Value) -> bool) -> Value {
        let (start, limits) = (Instant::now(), World::here().limits());
        loop {
            let status = self.status(daemon, app);
            if wished(&status) {
                return status;
            }
            assert!(
                start.elapsed() < limits.step,
                "{app}: {what} did not happen; status {status:#}\n{}",
                self.log(daemon)
            );
            std::thread::sleep(limits.look);
        }
    }

    /// Waits until an app's version is live in a colour.
    pub(super) fn until_live(&self, daemon: usize, app: &str, colour: &str, version: &str) -> Value {
        self.until(daemon, app, &format!("{version} live in {colour}"), |status| is_live(status, colour, version))
    }

    /// The uids of an app's objects of a kind, sorted.
    pub(super) fn uids(&self, namespace: &str, kind: &str, app: &str) -> Vec<String> {
        let label = format!("turquoise.dev/app={app}");
        let path = "jsonpath={range .items[*]}{.metadata.uid} {.metadata.resourceVersion}{\"\\n\"}{end}";
        let text = self.kubectl(&["-n", namespace, "get", kind, "-l", &label, "-o", path]);
        let mut uids: Vec<String> = text.lines().map(str::to_owned).collect();
        uids.sort();
        uids
    }
}

/// Whether an app's version is live in a colour and nothing else is to be done.
pub(super) fn is_live(status: &Value, colour: &str, version: &str) -> bool {
    let image = format!("shop:{version}");
    let images = status["colours"][colour]["images"].as_array();
    status["serving"] == colour
        && status["declared"] == colour
        && (status["phase"] == "settled" || status["phase"] == "watching")
        && images.is_some_and(|images| images.iter().any(|one| *one == image))
}

impl Drop for Many {
    fn drop(&mut self) {
        for Daemon { child, .. } in &mut self.daemons {
            // Both fail only where it has ended by itself.
            let _ended_already = child.kill();
            let _reaped_already = child.wait();
        }
    }
}

/// Sets a kustomization's tag.
pub(super) fn set_tag(file: &Path, version: &str) {
    let text = fs::read_to_string(file).expect("a kustomization");
    let (before, rest) = text.split_once("newTag: ").expect("a tag");
    let after = rest.split_once('\n').map_or("", |(_, after)| after);
    fs::write(file, format!("{before}newTag: {version}\n{after}")).expect("written");
}

fn write_shop(repo: &Path, shop: &Shop<'_>) {
    let Shop { name, replicas, .. } = shop;
    let base = "resources: [deployment.yaml]\nimages:\n- name: shop\n  newTag: 1.0.0\n".to_owned();
    let deployment = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: {replicas}\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      \
         containers:\n      - name: web\n        image: shop\n        args: [backend]\n        ports: [{{name: http, containerPort: 8080}}]\n        \
         readinessProbe: {{httpGet: {{path: /readyz, port: http}}, periodSeconds: 1}}\n"
    );
    let folder = repo.join(name);
    for (path, text) in [("base/kustomization.yaml", base), ("base/deployment.yaml", deployment)] {
        write(&folder.join(path), &text);
    }
    write_overlays(&folder, shop, "../../base");
}

/// turquoise.yaml and the three overlays of an app whose base is anywhere.
pub(super) fn write_overlays(folder: &Path, shop: &Shop<'_>, base: &str) {
    let name = shop.name;
    let check = shop.check.map_or_else(String::new, |path| {
        format!(
            "  checks:\n  - name: smoke\n    http: {{service: {name}-preview, port: 8080, path: '{path}', timeout: 60s}}\n"
        )
    });
    let policy = format!(
        "apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\nmetadata: {{name: {name}}}\nspec:\n  watch: 0\n  readinessDeadline: 60s\n{check}"
    );
    let colour = |colour: &str| {
        format!(
            "resources: [{base}]\nnameSuffix: -{colour}\nlabels:\n- pairs: {{colour: {colour}}}\n  includeSelectors: true\n"
        )
    };
    let service = |service: &str, colour: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: {service}\nspec:\n  selector:\n    app: {name}\n    colour: {colour}\n  ports:\n  - {{name: http, port: 8080, targetPort: http}}\n"
        )
    };
    let live = format!("{}---\n{}", service(name, "blue"), service(&format!("{name}-preview"), "green"));
    for (path, text) in [
        ("turquoise.yaml", policy),
        ("overlays/blue/kustomization.yaml", colour("blue")),
        ("overlays/green/kustomization.yaml", colour("green")),
        ("overlays/live/kustomization.yaml", "resources: [service.yaml]\n".to_owned()),
        ("overlays/live/service.yaml", live),
    ] {
        write(&folder.join(path), &text);
    }
}

pub(super) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("written");
}
