//! The vocabulary of the tests.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::{Method, Request, StatusCode};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use turquoise_sandbox::{Options, Sandbox};

/// The longest anything here may take; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A sandbox and a client for it.
pub(crate) struct Cluster {
    pub(crate) sandbox: Sandbox,
    pub(crate) client: Client,
}

pub(crate) const JSON_PATCH: &str = "application/json-patch+json";
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

impl Cluster {
    pub(crate) async fn start() -> Cluster {
        Cluster::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Cluster {
        let sandbox = Sandbox::start(options).await.unwrap();
        let kubeconfig = Kubeconfig::from_yaml(&sandbox.kubeconfig()).unwrap();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        // A refusal is an answer here; kube asks again after a 429 for minutes.
        config.default_retry = false;
        Cluster { sandbox, client: Client::try_from(config).unwrap() }
    }

    /// One request; the answer's status and body.
    pub(crate) async fn call(&self, method: Method, path: &str, content_type: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .header("accept", "application/json")
            .body(Body::from(body.as_bytes().to_vec()))
            .unwrap();
        let response = self.client.send(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, "application/json", "").await
    }

    pub(crate) async fn post(&self, path: &str, object: &Value) -> (StatusCode, Value) {
        self.call(Method::POST, path, "application/json", &object.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, kind: &str, patch: &Value) -> (StatusCode, Value) {
        self.call(Method::PATCH, path, kind, &patch.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::DELETE, path, "application/json", "").await
    }

    /// Server-side apply.
    pub(crate) async fn apply(&self, path: &str, manager: &str, force: bool, object: &Value) -> (StatusCode, Value) {
        let path = format!("{path}?fieldManager={manager}&force={force}");
        self.patch(&path, APPLY, object).await
    }

    /// Creates the two tiers of the shop in a colour, and waits until they are ready.
    pub(crate) async fn shop(&self, colour: &str, tag: &str, replicas: u32) {
        self.start_shop(colour, tag, replicas).await;
        self.ready(&format!("frontend-{colour}"), replicas).await;
    }

    pub(crate) async fn start_shop(&self, colour: &str, tag: &str, replicas: u32) {
        let backend = format!("backend-{colour}");
        self.ok(self.post(SERVICES, &service(&backend, &backend, colour)).await);
        self.ok(self.post(DEPLOYMENTS, &deployment(&backend, colour, "backend", tag, replicas, &json!([]))).await);
        let env = json!([{"name": "BACKEND_HOST", "value": backend}]);
        let frontend = deployment(&format!("frontend-{colour}"), colour, "frontend", tag, replicas, &env);
        self.ok(self.post(DEPLOYMENTS, &frontend).await);
    }

    pub(crate) fn ok(&self, (status, body): (StatusCode, Value)) -> Value {
        assert!(status.is_success(), "{status}: {body:#}");
        body
    }

    /// Waits until a Deployment is rolled out with so many pods.
    pub(crate) async fn ready(&self, name: &str, replicas: u32) {
        eventually(&format!("{name} has {replicas} ready pods"), || {
            let Some(found) = self.sandbox.get("deployments", "default", name) else { return false };
            let count = |field: &str| found["status"][field].as_u64().unwrap_or(0);
            found["status"]["observedGeneration"] == found["metadata"]["generation"]
                && ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]
                    .iter()
                    .all(|field| count(field) == u64::from(replicas))
        })
        .await;
    }

    /// Waits until a Deployment has so many ready pods, rolled out or not.
    pub(crate) async fn ready_pods(&self, name: &str, count: u64) {
        eventually(&format!("{name} has {count} ready pods"), || {
            let found = self.sandbox.get("deployments", "default", name).unwrap_or_default();
            found["status"]["readyReplicas"].as_u64().unwrap_or(0) == count
        })
        .await;
    }

    /// The pods of a Deployment of this name.
    pub(crate) fn pods(&self, app: &str) -> Vec<Value> {
        let mut pods = self.sandbox.list("pods", Some("default"));
        pods.retain(|pod| pod["metadata"]["labels"]["app"] == app);
        pods
    }

    pub(crate) fn address(&self, service: &str) -> SocketAddr {
        self.sandbox.service_address("default", service, 8080).unwrap()
    }

    /// `kubectl` with this sandbox's kubeconfig and input; a missing `kubectl` fails the test and says so.
    pub(crate) async fn kubectl(&self, args: &str, input: &str) -> Output {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("kubeconfig");
        std::fs::write(&config, self.sandbox.kubeconfig()).unwrap();
        let mut command = tokio::process::Command::new(kubectl());
        command
            .args(args.split_whitespace())
            .env("KUBECONFIG", &config)
            .env("HOME", folder.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true);
        let mut child =
            command.spawn().expect("`kubectl` is needed by these tests: `make` fetches it, or name one in $KUBECTL");
        let mut stdin = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await.unwrap();
        drop(stdin);
        tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("kubectl hangs").unwrap()
    }

    /// What `kubectl` prints; its failure fails the test.
    pub(crate) async fn kubectl_ok(&self, args: &str, input: &str) -> String {
        let output = self.kubectl(args, input).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "kubectl {args}: {}", text(&output.stderr));
        text(&output.stdout)
    }
}

fn kubectl() -> PathBuf {
    std::env::var_os("KUBECTL").map_or_else(|| PathBuf::from("kubectl"), PathBuf::from)
}

/// Waits for something to become true.
pub(crate) async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let began = Instant::now();
    while !check() {
        assert!(began.elapsed() < PATIENCE, "not so in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
pub(crate) const SERVICES: &str = "/api/v1/namespaces/default/services";
pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";

pub(crate) fn config_map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

pub(crate) fn service(name: &str, app: &str, colour: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {
            "selector": {"app": app, "colour": colour},
            "ports": [{"name": "http", "port": 8080, "targetPort": "http"}],
        },
    })
}

pub(crate) fn deployment(name: &str, colour: &str, tier: &str, tag: &str, replicas: u32, env: &Value) -> Value {
    let labels = json!({"app": name, "tier": tier, "colour": colour});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name, "colour": colour}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 5,
                    "containers": [{
                        "name": "shop",
                        "image": format!("shop:{tag}"),
                        "args": [tier],
                        "env": env,
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1},
                    }],
                },
            },
        },
    })
}

/// One GET over a fresh connection: status and body.
pub(crate) async fn ask(address: SocketAddr, path: &str) -> Result<(u16, Value), String> {
    Visitor::default().ask(address, path, true).await
}

/// A client that keeps its connection as long as the server lets it.
#[derive(Default)]
pub(crate) struct Visitor {
    kept: Option<hyper::client::conn::http1::SendRequest<http_body_util::Empty<bytes::Bytes>>>,
}

impl Visitor {
    pub(crate) async fn ask(&mut self, address: SocketAddr, path: &str, fresh: bool) -> Result<(u16, Value), String> {
        // Ready a moment after the last answer's end; not at all if the server closed it meanwhile.
        let usable = match self.kept.as_mut() {
            Some(kept) if !fresh => kept.ready().await.is_ok(),
            Some(_) | None => false,
        };
        if !usable {
            let stream = tokio::net::TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
            let io = hyper_util::rt::TokioIo::new(stream);
            let (sender, connection) =
                hyper::client::conn::http1::handshake(io).await.map_err(|error| error.to_string())?;
            tokio::spawn(connection);
            self.kept = Some(sender);
        }
        let sender = self.kept.as_mut().unwrap();
        let request = Request::get(path).header("host", "shop").body(http_body_util::Empty::new()).unwrap();
        let response = sender.send_request(request).await.map_err(|error| format!("request: {error}"))?;
        let closes = response.headers().get("connection").is_some_and(|value| value == "close");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| format!("body: {error}"))?.to_bytes();
        if closes {
            self.kept = None;
        }
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}
