//! One message a transition, to a receiver of the test's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::stage::{Stage, edit};

/// Keeps every envelope that it is sent.
struct Receiver {
    address: SocketAddr,
    envelopes: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let envelopes: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = Arc::clone(&envelopes);
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(envelope) = receive(stream) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(envelope);
                }
            }
        });
        Self { address, envelopes }
    }

    /// `type revision` of each, in the order of their arrival.
    fn heard(&self) -> Vec<String> {
        let envelopes = self.envelopes.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        envelopes.iter().map(|one| format!("{} {}", text(&one["type"]), text(&one["data"]["revision"]))).collect()
    }

    fn ids(&self) -> Vec<String> {
        let envelopes = self.envelopes.lock().unwrap_or_else(PoisonError::into_inner);
        envelopes.iter().map(|one| one["id"].to_string()).collect()
    }
}

fn receive(mut stream: TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").ok()?;
    serde_json::from_slice(&body).ok()
}

#[test]
fn every_transition_is_told_once() {
    let receiver = Receiver::start();
    let url = format!("http://{}/hook", receiver.address);
    let stage = Stage::open_with(|clone| {
        edit(&clone.join("turquoise.yaml"), |text| {
            format!("{text}\n  notifications:\n    - webhook: {{url: \"{url}\"}}\n")
        });
    });
    let first = stage.git_log("%H").pop().unwrap_or_default();
    let bump = stage.bump("1.1.0");
    stage.until_live("green", "1.1.0");
    let back = stage.revert(&bump);
    stage.until_live("blue", "1.0.0");
    let broken = stage.bump("2.0.0-smoke-fails");
    stage.until_verdict(&broken, "rejected");
    let event = |kind: &str, revision: &str| format!("dev.turquoise.release.{kind} {revision}");
    let expect = [
        event("started", &first),
        event("live", &first),
        event("started", &bump),
        event("live", &bump),
        event("started", &back),
        event("live", &back),
        event("started", &broken),
        event("rejected", &broken),
    ];
    stage.until("every message", |_| receiver.heard().len() >= expect.len());
    assert_eq!(receiver.heard(), expect);
    let mut ids = receiver.ids();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), expect.len(), "each message has an id of its own");
    stage.ends();
}

#[test]
fn what_is_not_granted_is_blocked_by_name() {
    let stage = Stage::open();
    let asks = stage.commit("Ask for more", |clone| {
        edit(&clone.join("turquoise.yaml"), |text| {
            format!("{text}\n  namespace: kube-system\n  notifications:\n    - webhook: {{url: \"http://metadata.example/\"}}\n")
        });
    });
    let status = stage.until("blocked", |app| app["phase"] == "blocked" && app["head"] == asks.as_str());
    let words = status["blocked"].to_string();
    assert!(
        words.contains("--allow-namespace kube-system") && words.contains("--allow-host metadata.example"),
        "{words}"
    );
    assert_eq!(stage.kubectl(&["get", "deployments", "-n", "kube-system", "-o", "name"]), "");
    let mended = stage.revert(&asks);
    stage.until("mended", |app| app["head"] == mended.as_str() && stage.is_at_rest(app));
    stage.ends();
}
