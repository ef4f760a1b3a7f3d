//! The trees that are rendered: what a team's overlay looks like, small and in thousands.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Resources in one file of the base.
const PER_FILE: usize = 20;

/// What a tree holds, for the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    /// Resources in the output, generated ones included.
    pub(crate) resources: usize,
    /// Bytes of all files.
    pub(crate) bytes: u64,
}

struct Files<'a> {
    root: &'a Path,
    bytes: u64,
}

impl Files<'_> {
    fn write(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.root.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        self.bytes += text.len() as u64;
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
    }
}

/// Writes `base` and `overlay` for `count` resources into `root`.
///
/// Of ten resources four are workloads with a Service each, one is an account, and one a generated ConfigMap that a workload
/// reads. The overlay renames all, labels all with their selectors, changes images, patches every tenth resource by name, all
/// workloads by target, and one in fifty by a JSON patch.
pub(crate) fn write(root: &Path, count: usize) -> anyhow::Result<Written> {
    let mut files = Files { root, bytes: 0 };
    let apps = count.div_ceil(10) * 4;
    let (generated, accounts) = (count / 10, count / 10);
    let (workloads, services) = (apps, count - apps - generated - accounts);
    let mut objects: Vec<String> = Vec::with_capacity(count);
    objects.extend((0..workloads).map(|i| workload(i, generated, accounts)));
    objects.extend((0..services).map(service));
    objects.extend(
        (0..accounts).map(|i| format!("apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: account-{i}\n")),
    );
    let mut base = String::from("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n");
    for (i, chunk) in objects.chunks(PER_FILE).enumerate() {
        writeln!(base, "- part-{i}.yaml")?;
        files.write(&format!("base/part-{i}.yaml"), &chunk.join("---\n"))?;
    }
    if generated > 0 {
        base.push_str("configMapGenerator:\n");
        for i in 0..generated {
            writeln!(
                base,
                "- name: settings-{i}\n  literals:\n  - COLOUR=blue\n  - REPLICA_OF={i}\n  - 'GREETING=good morning'"
            )?;
        }
    }
    files.write("base/kustomization.yaml", &base)?;
    files.write("overlay/kustomization.yaml", &overlay(workloads, services, generated)?)?;
    Ok(Written { resources: count, bytes: files.bytes })
}

fn workload(i: usize, generated: usize, accounts: usize) -> String {
    let settings = if generated > 0 { i % generated } else { 0 };
    let account = if accounts > 0 { i % accounts } else { 0 };
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-{i}
  labels:
    app.kubernetes.io/name: app-{i}
spec:
  replicas: 2
  selector:
    matchLabels:
      app.kubernetes.io/name: app-{i}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: app-{i}
    spec:
      serviceAccountName: account-{account}
      containers:
      - name: app
        image: registry.example/shop:1.0.0
        args: [\"--listen\", \"0.0.0.0:8080\"]
        ports:
        - name: http
          containerPort: 8080
        env:
        - name: COLOUR
          valueFrom:
            configMapKeyRef:
              name: settings-{settings}
              key: COLOUR
        envFrom:
        - configMapRef:
            name: settings-{settings}
        resources:
          requests: {{cpu: 50m, memory: 64Mi}}
          limits: {{memory: 128Mi}}
        readinessProbe:
          httpGet: {{path: /healthz, port: http}}
"
    )
}

fn service(i: usize) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata:
  name: app-{i}
spec:
  selector:
    app.kubernetes.io/name: app-{i}
  ports:
  - name: http
    port: 80
    targetPort: http
"
    )
}

fn overlay(workloads: usize, services: usize, generated: usize) -> anyhow::Result<String> {
    let mut text = String::from(
        "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: shop
nameSuffix: -blue
labels:
- pairs: {colour: blue}
  includeSelectors: true
images:
- name: registry.example/shop
  newTag: 1.1.0
resources:
- ../base
secretGenerator:
- name: token
  literals: [TOKEN=s3cr3t]
",
    );
    if generated > 0 {
        text.push_str("configMapGenerator:\n");
        for i in (0..generated).step_by(10) {
            writeln!(text, "- name: settings-{i}\n  behavior: merge\n  literals: [COLOUR=green]")?;
        }
    }
    text.push_str("patches:\n");
    for i in (0..workloads).step_by(10) {
        writeln!(
            text,
            "- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata:\n      name: app-{i}\n    spec:\n      replicas: 3\n      template:\n        spec:\n          containers:\n          - name: app\n            env:\n            - name: EXTRA\n              value: \"{i}\""
        )?;
    }
    for i in (0..services).step_by(50) {
        writeln!(
            text,
            "- target: {{kind: Service, name: app-{i}}}\n  patch: |-\n    - op: add\n      path: /spec/ports/-\n      value: {{name: metrics, port: 9090}}"
        )?;
    }
    text.push_str(
        "- target: {kind: Deployment}
  patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: any
    spec:
      template:
        spec:
          terminationGracePeriodSeconds: 20
",
    );
    Ok(text)
}
