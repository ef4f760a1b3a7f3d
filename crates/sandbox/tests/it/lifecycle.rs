//! Starting, stopping, and living beside another sandbox.

use serde_json::json;
use turquoise_sandbox::{Options, Sandbox};

use crate::support::{Cluster, DEPLOYMENTS, SERVICES, ask, deployment, eventually, service};

#[tokio::test]
async fn stop_closes_everything() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(DEPLOYMENTS, &deployment("web", "blue", "backend", "1.0.0", 2, &json!([]))).await);
    cluster.ok(cluster.post(SERVICES, &service("web", "web", "blue")).await);
    cluster.ready("web", 2).await;
    let address = cluster.address("web");
    eventually("it listens", || std::net::TcpStream::connect(address).is_ok()).await;
    let pod: std::net::Ipv4Addr = cluster.pods("web")[0]["status"]["podIP"].as_str().unwrap().parse().unwrap();
    let api: std::net::SocketAddr = cluster.sandbox.url().trim_start_matches("http://").parse().unwrap();
    let Cluster { sandbox, client } = cluster;
    drop(client);
    sandbox.stop().await;
    for address in [address, (pod, 8080).into(), api] {
        assert!(ask(address, "/").await.unwrap_err().starts_with("connect: "), "{address} is open");
    }
}

#[tokio::test]
async fn two_sandboxes_share_no_address() {
    let (one, two) = (Cluster::start().await, Cluster::start().await);
    for cluster in [&one, &two] {
        cluster.shop("blue", "1.0.0", 2).await;
    }
    let addresses = |cluster: &Cluster| -> Vec<String> {
        let pods = cluster.sandbox.list("pods", None);
        let services = cluster.sandbox.list("services", None);
        let of = |objects: &[serde_json::Value], pointer: &str| -> Vec<String> {
            objects.iter().filter_map(|object| Some(object.pointer(pointer)?.as_str()?.to_owned())).collect()
        };
        [of(&pods, "/status/podIP"), of(&services, "/spec/clusterIP")].concat()
    };
    let first = addresses(&one);
    assert!(first.len() >= 5);
    assert!(addresses(&two).iter().all(|address| !first.contains(address)));
}

#[tokio::test]
async fn a_token_is_asked_for() {
    let cluster = Cluster::with(Options { token: Some("secret".to_owned()), ..Options::default() }).await;
    assert_eq!(cluster.get("/api/v1/namespaces").await.0, 200, "the kubeconfig carries it");
    let address = cluster.sandbox.url().trim_start_matches("http://").parse().unwrap();
    assert_eq!(ask(address, "/api/v1/namespaces").await.unwrap().0, 401);
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let listen = sandbox.url().trim_start_matches("http://").parse().unwrap();
    let error = Sandbox::start(Options { listen, ..Options::default() }).await.err().unwrap();
    assert!(error.to_string().starts_with("failed to listen on 127.0.0.1:"), "{error}");
}
