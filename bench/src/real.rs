//! A place in a real cluster: namespaces of its own with the account and exactly the rights that the shipped install gives to
//! turquoise there, all deleted at the end; and what the API server's audit log says of that account's requests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::{Value, json};

/// How a real cluster is told of.
#[derive(Debug, Clone, Args)]
pub(crate) struct Real {
    /// A real cluster's kubeconfig, as its administrator; without one it is the embedded cluster
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The API server's audit log: turquoise's requests are counted there
    #[arg(long, value_name = "FILE", requires = "kubeconfig")]
    pub(crate) audit: Option<PathBuf>,
    /// turquoise's install, whose Role it gets
    #[arg(long, value_name = "DIR", default_value = "kubernetes")]
    pub(crate) install: PathBuf,
}

/// What outlives a measurement: the token of turquoise's account.
const TOKEN_HOURS: u32 = 4;
/// What checks from outside of a cluster need beside the Role (kubernetes/README.md).
const CHECKS: &str = "checks-from-outside";
/// turquoise's account, and the name of its Role.
const ACCOUNT: &str = "turquoise";

/// The namespaces; they end with this value.
pub(crate) struct Place {
    admin: PathBuf,
    namespaces: Vec<String>,
}

impl Place {
    /// Makes namespaces, and writes turquoise's kubeconfig into a folder; the account is in the first of them.
    pub(crate) fn open(real: &Real, folder: &Path, namespaces: Vec<String>) -> anyhow::Result<Self> {
        let admin = real.kubeconfig.clone().context("no kubeconfig")?;
        let admin = admin.canonicalize().with_context(|| format!("failed to find {}", admin.display()))?;
        let place = Self { admin, namespaces };
        let home = place.namespaces.first().context("no namespace")?;
        let manifest = folder.join("rights.json");
        for namespace in &place.namespaces {
            place.kubectl(&["create", "namespace", namespace])?;
            fs::write(&manifest, rights(home).to_string())?;
            let shipped = ["service-account.yaml", "role.yaml"].map(|file| real.install.join(file));
            let files = shipped.iter().chain([&manifest]).flat_map(|file| ["-f".into(), file.display().to_string()]);
            let files: Vec<String> = files.collect();
            let args = ["apply", "-n", namespace].into_iter().chain(files.iter().map(String::as_str));
            place.kubectl(&args.collect::<Vec<_>>())?;
        }
        let token = place.kubectl(&["create", "token", ACCOUNT, "-n", home, &format!("--duration={TOKEN_HOURS}h")])?;
        let view = place.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"])?;
        let mut config: Value = serde_json::from_str(&view)?;
        config["users"][0]["user"] = json!({"token": token});
        config["contexts"][0]["context"]["namespace"] = home.as_str().into();
        fs::write(folder.join("kubeconfig"), config.to_string())?;
        Ok(place)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("--kubeconfig").arg(&self.admin).args(args);
        kubectl
    }

    fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.command(args).output().context("failed to run kubectl")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {} failed: {}", args.join(" "), errors.trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let delete = ["delete", "namespaces", "--ignore-not-found", "--wait=false"];
        let args: Vec<&str> = delete.into_iter().chain(self.namespaces.iter().map(String::as_str)).collect();
        // What stays behind has a name that says whose it is.
        let _left_behind = self.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// The Role and its binding to the account of the first namespace, and the rights for checks.
fn rights(home: &str) -> Value {
    let group = "rbac.authorization.k8s.io";
    let bind = |role: &str| {
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": role},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": home}],
        })
    };
    let checks = json!({
        "apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": CHECKS},
        "rules": [{"apiGroups": [""], "resources": ["services/proxy"], "verbs": ["get", "create"]}],
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [checks, bind(ACCOUNT), bind(CHECKS)]})
}

/// The audit log from a moment on.
pub(crate) struct Audit {
    file: PathBuf,
    from: u64,
}

impl Audit {
    /// From now on.
    pub(crate) fn begin(file: &Path) -> io::Result<Self> {
        Ok(Self { file: file.to_owned(), from: fs::metadata(file)?.len() })
    }

    /// Requests of turquoise's account in a namespace since then, by verb. One that takes long is in the log twice, as
    /// it begins and as it ends.
    pub(crate) fn requests(&self, namespace: &str) -> io::Result<BTreeMap<String, u64>> {
        let user = format!("system:serviceaccount:{namespace}:{ACCOUNT}");
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(self.from))?;
        let (mut seen, mut verbs) = (BTreeSet::new(), BTreeMap::new());
        for line in BufReader::new(file).lines() {
            // The last line may be half-written.
            let Ok(event) = serde_json::from_str::<Value>(&line?) else { continue };
            let began_here = event["stage"] == "ResponseStarted" || event["verb"] != "watch";
            let id = event["auditID"].as_str().unwrap_or_default().to_owned();
            if event["user"]["username"] == user.as_str() && began_here && seen.insert(id) {
                *verbs.entry(event["verb"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
            }
        }
        Ok(verbs)
    }
}
