//! The shop through real HTTP, in this process and as the binary.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails here, with the line")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use turquoise_shop::{Exit, Fault, Resolver, Settings, Tier, serve};

/// One running tier.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Exit>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Running {
    async fn start(mut settings: Settings) -> Running {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        settings.log = Arc::new(move |line| lines.lock().unwrap().push(line.to_owned()));
        let resolver = Resolver::Table(Arc::new(|name| (name == "backend").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))));
        let stop_signal = async move {
            let _ = stopped.await;
        };
        let task = tokio::spawn(serve(listener, settings, resolver, stop_signal));
        Running { address, stop: Some(stop), task, log }
    }

    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }
}

fn frontend(version: &str, backend: &Running) -> Settings {
    let mut settings = Settings::new(Tier::Frontend, version);
    settings.backend = Some(("backend".to_owned(), backend.address.port()));
    settings
}

fn broken(tier: Tier, fault: Fault) -> Settings {
    let mut settings = Settings::new(tier, "2.0.0");
    settings.fault = Some(fault);
    settings
}

async fn connect(address: SocketAddr) -> std::io::Result<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    let (sender, connection) = handshake(hyper_util::rt::TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Status, whether the connection is to be closed, body.
async fn ask_over(connection: &mut SendRequest<Empty<Bytes>>, path: &str) -> hyper::Result<(u16, bool, Value)> {
    let request = hyper::Request::get(path).header("host", "shop").body(Empty::new()).unwrap();
    let response = connection.send_request(request).await?;
    let (status, closes) = (response.status().as_u16(), response.headers().get("connection").is_some());
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, closes, serde_json::from_slice(&body).unwrap()))
}

async fn ask(running: &Running, path: &str) -> (u16, Value) {
    let (status, _, body) = ask_over(&mut connect(running.address).await.unwrap(), path).await.unwrap();
    (status, body)
}

#[tokio::test]
async fn both_versions_are_named_and_must_match() {
    let backend = Running::start(Settings::new(Tier::Backend, "1.1.0")).await;
    let front = Running::start(frontend("1.1.0", &backend)).await;
    let (status, body) = ask(&front, "/").await;
    assert_eq!(status, 200);
    assert_eq!((&body["version"], &body["backend"], &body["errors"]), (&json!("1.1.0"), &json!("1.1.0"), &json!([])));
    for path in ["/readyz", "/healthz", "/smoke"] {
        assert_eq!(ask(&front, path).await.0, 200, "{path}");
    }
    let other = Running::start(frontend("1.0.0", &backend)).await;
    let (status, body) = ask(&other, "/").await;
    assert_eq!((status, &body["errors"]), (500, &json!(["backend is 1.1.0, frontend is 1.0.0"])));
    assert_eq!(ask(&other, "/readyz").await.0, 503);
    assert_eq!(ask(&other, "/smoke").await.1["reason"], "backend is 1.1.0, frontend is 1.0.0");
}

#[tokio::test]
async fn without_a_backend_a_frontend_answers_502() {
    let backend = Running::start(Settings::new(Tier::Backend, "1.1.0")).await;
    let front = Running::start(frontend("1.1.0", &backend)).await;
    assert_eq!(ask(&front, "/").await.0, 200);
    backend.task.abort();
    let _ = backend.task.await;
    let (status, body) = ask(&front, "/").await;
    assert_eq!(status, 502);
    assert!(body["errors"][0].as_str().unwrap().starts_with("backend can't be reached"), "{body}");
}

#[tokio::test]
async fn faults_break_what_their_name_says() {
    let never = Running::start(broken(Tier::Backend, Fault::NeverReady)).await;
    assert_eq!((ask(&never, "/readyz").await.0, ask(&never, "/healthz").await.0), (503, 200));
    let smoke = Running::start(broken(Tier::Backend, Fault::SmokeFails)).await;
    assert_eq!((ask(&smoke, "/readyz").await.0, ask(&smoke, "/smoke").await.0), (200, 500));
    let backend = Running::start(Settings::new(Tier::Backend, "2.0.0")).await;
    let mut settings = frontend("2.0.0", &backend);
    settings.fault = Some(Fault::WrongBackend);
    let wrong = Running::start(settings.clone()).await;
    assert_eq!(
        (ask(&wrong, "/readyz").await.0, ask(&wrong, "/smoke").await.0, ask(&wrong, "/").await.0),
        (200, 500, 500)
    );
    settings.fault = Some(Fault::BreaksLive);
    let live = Running::start(settings).await;
    assert_eq!(ask(&live, "/smoke").await.0, 200);
    assert_eq!(ask(&live, "/").await.0, 200);
    assert_eq!((ask(&live, "/smoke").await.0, ask(&live, "/").await.0), (500, 200));
    for fault in Fault::ALL {
        assert_eq!(fault.name().parse::<Fault>().unwrap(), fault);
    }
    assert!("on-fire".parse::<Fault>().unwrap_err().to_string().contains("never-ready"));
}

#[tokio::test]
async fn crashes_end_with_last_words() {
    let crash = Running::start(broken(Tier::Backend, Fault::Crash)).await;
    let exit = crash.task.await.unwrap();
    assert_eq!(exit.code, 1);
    assert_eq!(crash.log.lock().unwrap().last(), Some(&exit.message));
    let later = Running::start(broken(Tier::Backend, Fault::CrashAfterStart)).await;
    assert_eq!(ask(&later, "/readyz").await.0, 200);
    let began = Instant::now();
    assert_eq!(later.task.await.unwrap().code, 1);
    assert!(began.elapsed() >= Duration::from_millis(900));
}

#[tokio::test]
async fn a_stop_drains_without_losing_a_request() {
    // A frontend's clients must go elsewhere; a backend's are frontends that stop with it and still need it.
    for (tier, asks_to_close) in [(Tier::Frontend, true), (Tier::Backend, false)] {
        let mut running = Running::start(Settings::new(tier, "1.0.0")).await;
        let address = running.address;
        let mut idle = connect(address).await.unwrap();
        assert!(!ask_over(&mut idle, "/healthz").await.unwrap().1, "kept alive while it runs");
        let slow = tokio::spawn(async move { ask_over(&mut connect(address).await.unwrap(), "/slow?ms=1500").await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        running.stop();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(ask(&running, "/readyz").await.0, 503);
        assert_eq!(ask(&running, "/healthz").await.0, 200, "new connections are served while it drains");
        let (status, closes, _) = ask_over(&mut idle, "/healthz").await.unwrap();
        assert_eq!((status, closes), (200, asks_to_close), "kept ones are served on");
        assert_eq!(slow.await.unwrap().unwrap().0, 200, "a long request is waited for");
        drop(idle);
        assert_eq!(running.task.await.unwrap().code, 0);
        assert!(connect(address).await.is_err());
    }
}

#[tokio::test]
async fn a_stop_ends_within_the_grace_period() {
    let mut settings = Settings::new(Tier::Backend, "1.0.0");
    settings.grace = Duration::from_secs(1);
    let mut running = Running::start(settings).await;
    let address = running.address;
    let slow = tokio::spawn(async move { ask_over(&mut connect(address).await.unwrap(), "/slow?ms=60000").await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    running.stop();
    assert_eq!(running.task.await.unwrap().code, 0);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(slow.await.unwrap().is_err());
}

#[tokio::test]
async fn odd_requests_are_told_what_is_wrong() {
    let running = Running::start(Settings::new(Tier::Backend, "1.0.0")).await;
    assert_eq!(ask(&running, "/nothing").await.0, 404);
    for query in ["", "?ms=", "?ms=x", "?ms=999999999"] {
        assert_eq!(ask(&running, &format!("/slow{query}")).await.0, 400, "{query}");
    }
}

#[test]
fn settings_come_from_arguments_and_environment() {
    let read = |args: &[&str], vars: &[(&str, &str)]| {
        let args: Vec<String> = args.iter().map(|word| (*word).to_owned()).collect();
        Settings::read(&args, |name| {
            vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    };
    let vars = [
        ("SHOP_VERSION", "1.2.0"),
        ("BACKEND_HOST", "b"),
        ("BACKEND_PORT", "9"),
        ("PORT", "81"),
        ("SHOP_FAULT", "crash"),
    ];
    let (settings, port) = read(&["frontend"], &vars).ok().unwrap();
    assert_eq!((settings.version.as_str(), port, settings.fault), ("1.2.0", 81, Some(Fault::Crash)));
    assert_eq!(settings.backend, Some(("b".to_owned(), 9)));
    let refused = |args: &[&str], vars: &[(&str, &str)]| read(args, vars).err().unwrap().to_string();
    assert_eq!(refused(&[], &[]), "the first argument is `frontend` or `backend`, not `nothing`");
    assert_eq!(refused(&["frontend"], &[]), "a frontend needs BACKEND_HOST");
    assert_eq!(refused(&["backend"], &[("PORT", "x")]), "PORT is no port: `x`");
    assert!(refused(&["backend"], &[("SHOP_FAULT", "x")]).starts_with("SHOP_FAULT: no fault is named `x`"));
}

#[tokio::test]
async fn the_binary_stops_on_sigterm() {
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_shop"))
        .arg("backend")
        .env("PORT", port.to_string())
        .env("SHOP_VERSION", "1.0.0")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let began = Instant::now();
    let mut connection = loop {
        match connect(address).await {
            Ok(connection) => break connection,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(10), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(ask_over(&mut connection, "/").await.unwrap().2["version"], "1.0.0");
    let id = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[test]
fn the_binary_names_its_faults() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_shop")).arg("faults").output().unwrap();
    let names: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), names);
}

#[tokio::test]
async fn the_migration_ends_by_itself_well_or_badly() {
    let run = async |vars: &[(&str, &str)]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_shop"));
        command.arg("migrate").env("SHOP_VERSION", "2.0.0").env("MIGRATION_MS", "1");
        let output = command.envs(vars.iter().copied()).kill_on_drop(true).output().await.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).lines().last().unwrap().to_owned())
    };
    assert_eq!(run(&[]).await, (Some(0), "migrated to 2.0.0".to_owned()));
    let failed = (Some(1), "migration to 2.0.0 failed: the disk is full".to_owned());
    assert_eq!(run(&[("MIGRATION_FAILS", "the disk is full")]).await, failed);
    assert_eq!(run(&[("SHOP_FAULT", "crash")]).await.0, Some(1));
}
