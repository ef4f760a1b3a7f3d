use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};

use super::*;
use crate::core::grants::SecretSource;

/// A server of its own, and how many looks its hook led to.
struct Served {
    address: SocketAddr,
    looks: Arc<AtomicUsize>,
    board: Board,
    _folder: tempfile::TempDir,
}

async fn served(secret: Option<&str>) -> Served {
    crate::daemon::install_crypto();
    let folder = tempfile::tempdir().expect("a folder");
    let hook = secret.map_or(HookAccess::Open, |secret| {
        let path = folder.path().join("secret");
        std::fs::write(&path, secret).expect("written");
        HookAccess::Signed(SecretSource::File(path))
    });
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let board = Board::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let outside = Outside { hook, ..Outside::default() };
    let (address, server) =
        serve(SocketAddr::from(([127, 0, 0, 1], 0)), board.clone(), &outside).await.expect("it listens");
    tokio::spawn(server);
    Served { address, looks, board, _folder: folder }
}

impl Served {
    fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    async fn post(&self, headers: &[(&str, String)], body: Vec<u8>) -> u16 {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = http.post(format!("http://{}/hooks/push", self.address)).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        request.send().await.expect("an answer").status().as_u16()
    }

    /// What comes back for bytes as they stand; empty where the connection was closed without an answer.
    async fn raw(&self, bytes: Vec<u8>) -> String {
        let address = self.address;
        let ask = move || {
            let mut stream = TcpStream::connect(address).expect("connected");
            stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
            // It may close before it has read everything.
            let _closed_early = stream.write_all(&bytes);
            let mut answer = Vec::new();
            let _closed_hard = stream.read_to_end(&mut answer);
            String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
        };
        tokio::task::spawn_blocking(ask).await.expect("asked")
    }
}

fn hex(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_is_heard_from_those_who_know_the_secret() {
    let served = served(Some("s3cret")).await;
    let body = br#"{"ref":"refs/heads/main"}"#.to_vec();
    let (right, wrong) = (hex("s3cret", &body), hex("other", &body));
    for (headers, status) in [
        (vec![], 401),
        (vec![("x-hub-signature-256", format!("sha256={wrong}"))], 401),
        (vec![("x-hub-signature-256", "sha256=".to_owned())], 401),
        (vec![("x-gitea-signature", wrong.clone())], 401),
        (vec![("x-gitlab-token", "other".to_owned())], 401),
        (vec![("x-hub-signature", format!("sha1={right}"))], 401),
    ] {
        assert_eq!(served.post(&headers, body.clone()).await, status, "{headers:?}");
    }
    assert_eq!(served.looks(), 0, "nobody was heard");
    for (header, value) in [
        ("x-hub-signature-256", format!("sha256={right}")),
        ("x-gitea-signature", right.clone()),
        ("x-forgejo-signature", right),
        ("x-gitlab-token", "s3cret".to_owned()),
    ] {
        assert_eq!(served.post(&[(header, value)], body.clone()).await, 202, "{header}");
        assert!(served.looks() >= 1, "the first is a look at once");
    }
    let metrics = served.board.metrics.text();
    assert!(metrics.contains(r#"turquoise_hooks_total{outcome="accepted"} 4"#), "{metrics}");
    assert!(metrics.contains(r#"turquoise_hooks_total{outcome="refused"} 6"#), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_hooks_in_a_second_are_two_looks() {
    let served = served(None).await;
    let request = "POST /hooks/push HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let last = "POST /hooks/push HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let start = Instant::now();
    let answer = served.raw((request.repeat(999) + last).into_bytes()).await;
    assert_eq!(answer, "HTTP/1.1 202 Accepted");
    assert!(served.looks() >= 1);
    // A machine that needs longer for a thousand requests may look once more for each second that it needs.
    let seconds = usize::try_from(start.elapsed().as_secs()).expect("a few");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!((2..=2 + seconds).contains(&served.looks()), "{} looks in {seconds} s", served.looks());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_paths_names_and_sizes_are_bounded() {
    let served = served(None).await;
    let ask = |method: &str, path: &str, host: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .into_bytes()
    };
    for (request, status) in [
        (ask("GET", "/healthz", "localhost"), "200"),
        (ask("HEAD", "/api/v1/apps", "127.0.0.1:1"), "200"),
        (ask("POST", "/hooks/push", "localhost"), "202"),
        (ask("GET", "/hooks/push", "localhost"), "405"),
        (ask("POST", "/api/v1/apps", "localhost"), "405"),
        (ask("DELETE", "/", "localhost"), "405"),
        (ask("GET", "/nowhere", "localhost"), "404"),
        (ask("GET", "/api/v1/apps/nobody", "localhost"), "404"),
        (ask("GET", "/healthz", "rebound.example"), "421"),
        (ask("POST", "/hooks/push", "rebound.example:8080"), "421"),
        (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), "421"),
        (b"POST /hooks/push HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n".to_vec(), "413"),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\nx: {}\r\n\r\n", "x".repeat(100_000)).into_bytes(), "431"),
    ] {
        let words = String::from_utf8_lossy(&request).chars().take(60).collect::<String>();
        let answer = served.raw(request).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{words}: {answer}");
    }
    let chunks = "20000\r\n".to_owned() + &"x".repeat(0x2_0000) + "\r\n";
    let endless = "POST /hooks/push HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    let answer = served.raw((endless + &chunks.repeat(9)).into_bytes()).await;
    assert!(answer.is_empty() || answer.contains("413"), "{answer}");
    assert!(served.looks() <= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_requests_are_let_go_and_hold_nobody_up() {
    let served = served(None).await;
    let head = served.raw(b"GET /healthz HTTP/1.1\r\nHost: loc".to_vec());
    let body = served.raw(b"POST /hooks/push HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab".to_vec());
    let silent = served.raw(Vec::new());
    let well = async {
        let start = Instant::now();
        let answer =
            served.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec()).await;
        (answer, start.elapsed())
    };
    let (head, body, silent, (well, took)) = futures::join!(head, body, silent, well);
    assert!(head.is_empty() || head.contains("408"), "{head}");
    assert!(body.contains("408"), "{body}");
    assert!(silent.is_empty() || silent.contains("408"), "{silent}");
    assert!(well.contains("200") && took < Duration::from_secs(8), "{well} after {took:?}");
    assert_eq!(served.looks(), 0);
}
