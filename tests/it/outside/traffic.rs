//! A test client over plain sockets: new connections and kept ones, all the time; every request must be answered rightly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

const PAUSE: Duration = Duration::from_millis(10);
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    sent: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// The running client.
pub(super) struct Traffic {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Two workers that open a connection for each request, two that keep theirs as long as the server does.
    pub(super) fn start(address: SocketAddr) -> Self {
        let shared: Arc<Shared> = Arc::default();
        let workers = (0..4)
            .map(|worker| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.work(address, worker % 2 == 0))
            })
            .collect();
        Self { shared, workers }
    }

    /// Ends the client; no request may have failed.
    pub(super) fn end(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            worker.join().expect("a worker ends");
        }
        let failures = self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = self.shared.sent.load(Ordering::Relaxed);
        assert!(failures.is_empty(), "{} of {sent} requests failed, the first: {}", failures.len(), failures[0]);
        assert!(sent > 50, "only {sent} requests were sent");
    }
}

impl Shared {
    fn work(&self, address: SocketAddr, keeps: bool) {
        let mut kept: Option<BufReader<TcpStream>> = None;
        while !self.stop.load(Ordering::Relaxed) {
            self.sent.fetch_add(1, Ordering::Relaxed);
            let result = kept.take().map_or_else(|| open(address), Ok).and_then(|stream| ask(stream, keeps));
            match result {
                Ok((answer, stream)) => {
                    kept = stream;
                    if answer["errors"].as_array().is_none_or(|errors| !errors.is_empty())
                        || answer["version"] != answer["backend"]
                    {
                        self.fail(answer.to_string());
                    }
                }
                Err(error) => self.fail(error.to_string()),
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn fail(&self, words: String) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(words);
    }
}

fn open(address: SocketAddr) -> std::io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

/// Asks once; gives the connection back where it may be used again.
fn ask(mut stream: BufReader<TcpStream>, keeps: bool) -> std::io::Result<(Value, Option<BufReader<TcpStream>>)> {
    let connection = if keeps { "keep-alive" } else { "close" };
    let request = format!("GET / HTTP/1.1\r\nHost: shop\r\nConnection: {connection}\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes())?;
    let (mut length, mut closes, mut line) = (0, !keeps, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        closes |= header == "connection: close";
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let answer = serde_json::from_slice(&body).map_err(std::io::Error::other)?;
    Ok((answer, (!closes).then_some(stream)))
}
