//! Measures a sandbox: apply to ready, requests a second through a Service, lists, memory.

#![expect(clippy::unwrap_used, reason = "a measurement that can't go on ends here")]

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config, config::Kubeconfig};
use serde_json::{Value, json};
use turquoise_sandbox::{Options, Sandbox};

const REQUESTS: usize = 10_000;

#[tokio::main]
async fn main() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let kubeconfig = Kubeconfig::from_yaml(&sandbox.kubeconfig()).unwrap();
    let client =
        Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap()).unwrap();
    for colour in ["blue", "green"] {
        println!("apply to ready, {colour}: {:?}", apply(&sandbox, &client, colour).await);
    }
    let address = sandbox.service_address("default", "frontend-green", 8080).unwrap();
    let mut sender = connect(address).await;
    let began = Instant::now();
    for _ in 0..REQUESTS {
        get(&mut sender, "/healthz").await;
    }
    println!("kept alive, /healthz: {:.0}/s", REQUESTS as f64 / began.elapsed().as_secs_f64());
    let began = Instant::now();
    for _ in 0..REQUESTS {
        get(&mut sender, "/").await;
    }
    println!("kept alive, both tiers: {:.0}/s", REQUESTS as f64 / began.elapsed().as_secs_f64());
    let began = Instant::now();
    for _ in 0..REQUESTS / 5 {
        get(&mut connect(address).await, "/").await;
    }
    println!("new connections, both tiers: {:.0}/s", REQUESTS as f64 / 5.0 / began.elapsed().as_secs_f64());
    let api = sandbox.url().trim_start_matches("http://").parse().unwrap();
    let mut sender = connect(api).await;
    let began = Instant::now();
    for _ in 0..REQUESTS {
        get(&mut sender, "/apis/apps/v1/namespaces/default/deployments").await;
    }
    println!("list of 4 Deployments: {:?}", began.elapsed() / REQUESTS as u32);
    println!("memory with the shop twice: {}", memory());
    let began = Instant::now();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
    let deployments: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);
    for number in 0..1_000 {
        let name = format!("web-{number}");
        let object = deployment(&name, "none", "backend", 0, &json!([]));
        deployments.patch(&name, &PatchParams::apply("measure"), &Patch::Apply(object)).await.unwrap();
    }
    println!("1,000 Deployments of 0: {:?}, memory {}", began.elapsed(), memory());
    let began = Instant::now();
    sandbox.stop().await;
    println!("stop: {:?}", began.elapsed());
}

async fn apply(sandbox: &Sandbox, client: &Client, colour: &str) -> Duration {
    let began = Instant::now();
    let names = [format!("backend-{colour}"), format!("frontend-{colour}")];
    let core = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Service"));
    let apps = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
    for (tier, name) in ["backend", "frontend"].into_iter().zip(&names) {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"port": 8080, "targetPort": "http"}]},
        });
        let env = json!([{"name": "BACKEND_HOST", "value": names[0]}]);
        for (resource, object) in [(&core, service), (&apps, deployment(name, colour, tier, 2, &env))] {
            let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), resource);
            api.patch(name, &PatchParams::apply("measure"), &Patch::Apply(object)).await.unwrap();
        }
    }
    let ready = |name: &String| {
        sandbox.get("deployments", "default", name).is_some_and(|live| live["status"]["availableReplicas"] == 2)
    };
    while !names.iter().all(ready) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    began.elapsed()
}

fn deployment(name: &str, colour: &str, tier: &str, replicas: u32, env: &Value) -> Value {
    let labels = json!({"app": name, "colour": colour});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{
                "name": "shop", "image": "shop:1.0.0", "args": [tier], "env": env,
                "ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1},
            }]}},
        },
    })
}

type Sender = hyper::client::conn::http1::SendRequest<Empty<bytes::Bytes>>;

async fn connect(address: std::net::SocketAddr) -> Sender {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn get(sender: &mut Sender, path: &str) {
    let request = hyper::Request::get(path).header("host", "x").body(Empty::new()).unwrap();
    sender.ready().await.unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap();
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("unknown").trim().to_owned()
}
