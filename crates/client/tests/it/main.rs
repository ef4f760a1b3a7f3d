//! The client against a shop: a flip, a shop that stops gracefully, one that is killed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use turquoise_client::{Kind, Options, Traffic};
use turquoise_shop::{Resolver, Settings, Tier, serve};

/// Generous: the machine is loaded.
const STEP_MAX: Duration = Duration::from_secs(60);

fn epoch() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

/// A one-tier shop of a version.
struct Shop {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn shop(version: &str) -> Shop {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel();
    let settings = Settings::new(Tier::Backend, version);
    let task = tokio::spawn(async move {
        let stopped = async move {
            let _dropped = stopped.await;
        };
        serve(listener, settings, Resolver::System, stopped).await;
    });
    Shop { address, stop, task }
}

/// A Service: new connections go to whoever is live, the others stay where they are.
async fn service(live: Arc<Mutex<SocketAddr>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut customer, _)) = listener.accept().await {
            let target = *live.lock().expect("unpoisoned");
            tokio::spawn(async move {
                if let Ok(mut shop) = TcpStream::connect(target).await {
                    let _ended = tokio::io::copy_bidirectional(&mut customer, &mut shop).await;
                }
            });
        }
    });
    address
}

async fn until(traffic: &Traffic, what: &str, wished: impl Fn(&turquoise_client::Summary) -> bool) {
    let start = Instant::now();
    while !wished(&traffic.summary()) {
        assert!(start.elapsed() < STEP_MAX, "{what} was not seen: {:?}", traffic.summary());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flip_and_a_graceful_stop_lose_nothing() {
    let (old, new) = (shop("1").await, shop("2").await);
    let live = Arc::new(Mutex::new(old.address));
    let mut options = Options::new(service(Arc::clone(&live)).await, epoch);
    options.long = Some(Duration::from_millis(300));
    let traffic = Traffic::start(options);
    until(&traffic, "version 1 over every kind of connection", |seen| seen.kinds.len() == 3).await;
    *live.lock().expect("unpoisoned") = new.address;
    until(&traffic, "the flip", |seen| !seen.flips.is_empty()).await;
    let kept_on_the_old = traffic.summary().versions["1"];
    until(&traffic, "kept connections on the old one", |seen| seen.versions["1"] > kept_on_the_old).await;
    old.stop.send(()).expect("it runs");
    old.task.await.expect("it ends");
    let after = traffic.sent();
    until(&traffic, "more requests", |seen| seen.sent > after + 50).await;
    let seen = traffic.stop().await.expect("no log");
    assert_eq!((seen.failed, seen.mixed), (0, 0), "{seen:?}");
    assert_eq!(seen.flips.len(), 1, "{seen:?}");
    assert_eq!((seen.flips[0].from.as_str(), seen.flips[0].to.as_str()), ("1", "2"));
    assert!(seen.flips[0].requests > 0 && seen.flips[0].latency.max_ms >= seen.flips[0].latency.p50_ms, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_shows_in_every_kind() {
    let old = shop("1").await;
    let mut options = Options::new(old.address, epoch);
    options.long = Some(Duration::from_secs(5));
    let traffic = Traffic::start(options);
    until(&traffic, "version 1", |seen| seen.sent > 20).await;
    old.task.abort();
    let failed = |seen: &turquoise_client::Summary, kind| seen.kinds.get(&kind).is_some_and(|kind| kind.failed > 0);
    until(&traffic, "the failures", |seen| {
        failed(seen, Kind::New) && failed(seen, Kind::Kept) && failed(seen, Kind::Long)
    })
    .await;
    let seen = traffic.stop().await.expect("no log");
    assert!(!seen.failures.is_empty() && seen.flips.is_empty(), "{seen:?}");
}

#[tokio::test]
async fn each_answer_is_a_line() {
    let shop = shop("1").await;
    let file = std::env::temp_dir().join(format!("turquoise-client-{}.log", std::process::id()));
    let mut options = Options::new(shop.address, epoch);
    options.log = Some(Box::new(std::fs::File::create(&file).expect("a log")));
    let traffic = Traffic::start(options);
    until(&traffic, "an answer", |seen| seen.sent > 0).await;
    let seen = traffic.stop().await.expect("written");
    let log = std::fs::read_to_string(&file).expect("a log");
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(log.lines().count() as u64, seen.sent);
    let line = log.lines().next().expect("a line");
    assert!(
        line.starts_with("[1970-01-01T00:00:00.000Z] {") && line.ends_with('s') && line.contains("} in 0."),
        "{line}"
    );
    assert!(line.contains(r#""version":"1""#), "{line}");
}
