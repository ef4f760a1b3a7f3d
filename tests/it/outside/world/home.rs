//! A story's own place in its world: a sandbox, or a namespace of a real cluster with an account for turquoise.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::super::stage::{answers, command, hermetic, turquoise};
use super::turns::Turn;
use super::{Manner, World, report};

/// On everything that a story makes outside of its namespaces, and on those; `e2e/run` looks for it.
const LABEL: &str = "turquoise-story";
/// What a story's objects may be called at most: names of namespaces and labels end at 63 characters.
const NAME_LEN_MAX: usize = 48;

/// A story's place; it ends with this value.
pub(in crate::outside) struct Home {
    folder: PathBuf,
    /// The kubeconfig of people's hands.
    people: PathBuf,
    namespace: String,
    sandbox: Option<Child>,
    _turn: Option<Turn>,
}

impl Home {
    /// Writes a kubeconfig for turquoise into a folder; everything else lies beside it.
    pub(in crate::outside) fn open(kubeconfig: &Path, manner: Manner<'_>) -> Self {
        match World::here() {
            World::Sandbox => Self::sandbox(kubeconfig, manner.images),
            World::Cluster { kubeconfig: admin, .. } => Self::in_cluster(kubeconfig, admin, manner.alone),
        }
    }

    /// A sandbox, whatever the world: for a story's second cluster.
    pub(in crate::outside) fn sandbox(kubeconfig: &Path, images: &[&str]) -> Self {
        let sandbox = turquoise()
            .args(["sandbox", "--kubeconfig"])
            .arg(kubeconfig)
            .args(images.iter().flat_map(|image| ["--image", image]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the sandbox starts");
        let home = Self {
            folder: folder_of(kubeconfig),
            people: kubeconfig.to_path_buf(),
            namespace: "default".into(),
            sandbox: Some(sandbox),
            _turn: None,
        };
        wait("the sandbox starts", || kubeconfig.exists());
        home
    }

    fn in_cluster(kubeconfig: &Path, admin: &Path, alone: bool) -> Self {
        let turn = Turn::take(alone);
        let (folder, namespace) = (folder_of(kubeconfig), name());
        let people = folder.join("people.kubeconfig");
        let mut config = hermetic("kubectl", &folder);
        config.arg("--kubeconfig").arg(admin).args(["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]);
        let mut config: Value = serde_json::from_str(&command(&mut config)).expect("JSON");
        config["contexts"][0]["context"]["namespace"] = namespace.as_str().into();
        fs::write(&people, config.to_string()).expect("written");
        let home = Self { folder, people, namespace: namespace.clone(), sandbox: None, _turn: Some(turn) };
        wait("the API server is ready", || home.is_ready());
        home.create_namespace(&namespace);
        let token = home.kubectl(&["create", "token", "turquoise", "--duration=2h"]);
        config["users"][0]["user"] = json!({"token": token});
        fs::write(kubeconfig, config.to_string()).expect("written");
        home
    }

    /// The story before may have broken it.
    fn is_ready(&self) -> bool {
        let mut kubectl = hermetic("kubectl", &self.folder);
        kubectl.arg("--kubeconfig").arg(&self.people).args(["get", "--raw", "/readyz", "--request-timeout=5s"]);
        kubectl.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// turquoise's namespace.
    pub(in crate::outside) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// One more namespace that turquoise may work in, of this story alone. Gives its name.
    pub(in crate::outside) fn more_namespace(&self, name: &str) -> String {
        let name = if self.sandbox.is_some() { name.to_owned() } else { format!("{}-{name}", self.namespace) };
        self.create_namespace(&name);
        name
    }

    /// With the account and the rights that the shipped install gives to turquoise there, and no others.
    fn create_namespace(&self, name: &str) {
        if self.sandbox.is_some() {
            self.kubectl(&["create", "namespace", name]);
            return;
        }
        let [namespace, bindings] =
            ["namespace", "bindings"].map(|file| self.folder.join(format!("{file}-{name}.yaml")));
        let labels = self.label();
        let text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n");
        fs::write(&namespace, text).expect("written");
        self.kubectl(&["create", "--filename", &namespace.to_string_lossy()]);
        let bind = |role: &str| {
            format!(
                "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {role}}}\n\
                 roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {role}}}\n\
                 subjects: [{{kind: ServiceAccount, name: turquoise, namespace: {}}}]\n",
                self.namespace
            )
        };
        // Checks from outside the cluster go through the API server (kubernetes/README.md).
        let checks = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: checks-from-outside}\n\
             rules: [{apiGroups: [''], resources: [services/proxy], verbs: [get, create]}]\n";
        fs::write(&bindings, format!("{checks}{}{}", bind("turquoise"), bind("checks-from-outside"))).expect("written");
        let (account, role, bindings) =
            (shipped("service-account.yaml"), shipped("role.yaml"), bindings.to_string_lossy());
        self.kubectl(&["apply", "-n", name, "-f", &account, "-f", &role, "-f", &bindings]);
    }

    /// kubectl, for the human hand.
    pub(in crate::outside) fn kubectl(&self, args: &[&str]) -> String {
        command(hermetic("kubectl", &self.folder).arg("--kubeconfig").arg(&self.people).args(args))
    }

    /// What a story makes outside of its namespaces is called so; it is deleted at the end if it has this label.
    pub(in crate::outside) fn label(&self) -> String {
        format!("{LABEL}: {}", self.namespace)
    }

    /// A name for what a story makes outside of its namespaces.
    pub(in crate::outside) fn own_name(&self, name: &str) -> String {
        let (_, run) = self.namespace.rsplit_once("-x").unwrap_or(("", &self.namespace));
        format!("{name}-{run}")
    }

    /// Waits until the API server refuses a Deployment of an image: it learns of a policy a moment after it was written.
    pub(in crate::outside) fn until_refused(&self, image: &str) {
        wait("the policy is in force", || {
            let mut kubectl = hermetic("kubectl", &self.folder);
            kubectl.arg("--kubeconfig").arg(&self.people);
            kubectl.args(["create", "deployment", "asked-only", "--dry-run=server", "--image", image]);
            !kubectl.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        });
    }

    /// An address in the pods' network that no pod has: the last one beside a pod's.
    pub(in crate::outside) fn nobodys_address(&self) -> String {
        let address = self.kubectl(&["get", "pods", "-o", "jsonpath={.items[0].status.podIP}"]);
        let (network, _) = address.rsplit_once('.').expect("an address");
        format!("{network}.254")
    }

    /// How a pod says that its image can't be pulled; empty where each cluster has other words.
    pub(in crate::outside) fn no_image(&self) -> &'static str {
        if self.sandbox.is_some() { "NotFound" } else { "" }
    }

    /// Where a Service answers on this machine.
    pub(in crate::outside) fn address(&self, service: &str, port: u16) -> SocketAddr {
        if self.sandbox.is_some() {
            let address = self.kubectl(&["get", "service", service, "-o", "jsonpath={.spec.clusterIP}"]);
            return SocketAddr::new(address.parse().expect("an address"), port);
        }
        // A node port is the way in from outside; git does not speak of it, so it is nobody's drift.
        self.kubectl(&["patch", "service", service, "-p", r#"{"spec":{"type":"NodePort"}}"#]);
        let path = format!("jsonpath={{.spec.ports[?(@.port=={port})].nodePort}}");
        let port = self.kubectl(&["get", "service", service, "-o", &path]).parse().expect("a node port");
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        wait("the node port answers", || answers(address).is_some());
        address
    }

    /// What an autoscaler does that has seen a load. There are no metrics in either world.
    pub(in crate::outside) fn autoscale(&self, deployment: &str, replicas: u32) {
        if self.sandbox.is_some() {
            let wanted = format!("sandbox.turquoise.dev/wanted-replicas={replicas}");
            self.kubectl(&["annotate", "--overwrite", "hpa", deployment, &wanted]);
        } else {
            self.kubectl(&["scale", "deployment", deployment, &format!("--replicas={replicas}")]);
        }
    }

    /// What the cluster has to say where a story failed.
    fn tell(&self) {
        for what in [&["get", "pods,services,endpointslices", "-o", "wide"][..], &["get", "events"]] {
            let mut kubectl = hermetic("kubectl", &self.folder);
            let output = kubectl.arg("--kubeconfig").arg(&self.people).args(what).output();
            let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            eprintln!(
                "{}",
                text.lines().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(sandbox) = &mut self.sandbox {
            // A process that ended by itself cannot be killed any more.
            let _ended_already = sandbox.kill();
            let _reaped_already = sandbox.wait();
            return;
        }
        if std::thread::panicking() {
            self.tell();
        }
        let label = format!("{LABEL}={}", self.namespace);
        let kinds = "namespaces,validatingadmissionpolicies,validatingadmissionpolicybindings";
        let mut delete = hermetic("kubectl", &self.folder);
        delete.arg("--kubeconfig").arg(&self.people).args(["delete", kinds, "--wait=false", "--selector", &label]);
        // Whether everything is gone is asked at the end of the run; a drop in a panic must not panic.
        let _told_at_the_end = delete.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn folder_of(kubeconfig: &Path) -> PathBuf {
    kubeconfig.parent().expect("a folder").to_path_buf()
}

/// A manifest of turquoise's own install.
fn shipped(file: &str) -> String {
    format!("{}/kubernetes/{file}", env!("CARGO_MANIFEST_DIR"))
}

/// After the story, and told apart from what an earlier run has left.
fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let story: String = report::story().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let story: String = story.to_ascii_lowercase().chars().take(NAME_LEN_MAX - 14).collect();
    format!("t-{}-x{:x}-{count}", story.trim_matches('-'), std::process::id())
}

fn wait(what: &str, done: impl Fn() -> bool) {
    let (start, limits) = (Instant::now(), World::here().limits());
    while !done() {
        assert!(start.elapsed() < limits.step, "{what}: did not happen");
        std::thread::sleep(limits.look);
    }
}
