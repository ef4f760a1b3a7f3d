//! The frontend's way to its backend: a few kept connections, each request bounded in time and size.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A backend that takes longer is as good as down for a customer.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The probe that waits for us gives us one second, so the backend gets less.
pub(crate) const PROBE_WITHIN: Duration = Duration::from_millis(800);

/// The backend's answers are some hundred bytes; more is somebody else's.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Connections kept between requests; more than that many at once is rare for a shop this small.
const IDLE_CONNECTIONS_MAX: usize = 16;

/// How often a kept connection is waited for while the frontend drains, and the pause between: a tenth of a second in all,
/// after which a new connection is better than none.
const HOLD_ON_TRIES: usize = 50;
const HOLD_ON_PAUSE: Duration = Duration::from_millis(2);

/// A function that knows names.
pub type Names = Arc<dyn Fn(&str) -> Option<IpAddr> + Send + Sync>;

/// How names become addresses.
#[derive(Clone)]
pub enum Resolver {
    /// The system's resolver, as in a container.
    System,
    /// A function that knows the names, as in the sandbox.
    Table(Names),
}

impl Resolver {
    async fn address(&self, host: &str, port: u16) -> Result<SocketAddr, BackendError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(ip, port));
        }
        let found = match self {
            Resolver::System => tokio::net::lookup_host((host, port)).await.ok().and_then(|mut all| all.next()),
            Resolver::Table(table) => table(host).map(|ip| SocketAddr::new(ip, port)),
        };
        found.ok_or_else(|| BackendError::NoSuchHost(host.to_owned()))
    }
}

/// Why the backend gave no usable answer.
#[derive(Debug)]
pub(crate) enum BackendError {
    /// The frontend was given no backend.
    NotConfigured,
    /// Its name is unknown.
    NoSuchHost(String),
    /// It does not answer in time.
    Timeout,
    /// The connection failed.
    Connection(String),
    /// It answered with another status than 200.
    Status(StatusCode),
    /// Its answer is no JSON with a version.
    Answer,
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackendError::NotConfigured => write!(f, "no backend is configured"),
            BackendError::NoSuchHost(host) => write!(f, "backend `{host}` is unknown"),
            BackendError::Timeout => write!(f, "backend does not answer"),
            BackendError::Connection(why) => write!(f, "backend can't be reached: {why}"),
            BackendError::Status(status) => write!(f, "backend answers {}", status.as_u16()),
            BackendError::Answer => write!(f, "backend's answer names no version"),
        }
    }
}

/// The connection to the backend.
pub(crate) struct Backend {
    address: Option<(String, u16)>,
    resolver: Resolver,
    idle: Mutex<Vec<SendRequest<Empty<Bytes>>>>,
    holds_on: AtomicBool,
}

impl Backend {
    pub(crate) fn new(address: Option<(String, u16)>, resolver: Resolver) -> Self {
        Backend { address, resolver, idle: Mutex::default(), holds_on: AtomicBool::new(false) }
    }

    /// From now on the kept connections are used as long as there are any: behind a new one may be a backend of the next
    /// version already.
    pub(crate) fn hold_on(&self) {
        self.holds_on.store(true, Ordering::SeqCst);
    }

    /// Closes the kept connections, unless they are held on to.
    pub(crate) fn let_go(&self) {
        if !self.holds_on.load(Ordering::SeqCst) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// The version that the backend names at `path`, if it does so in time.
    pub(crate) async fn version(&self, path: &str, within: Duration) -> Result<String, BackendError> {
        match timeout(within, self.ask(path)).await {
            Err(_) => Err(BackendError::Timeout),
            Ok(Err(error)) => Err(error),
            Ok(Ok(answer)) => answer["version"].as_str().map(str::to_owned).ok_or(BackendError::Answer),
        }
    }

    /// Asks over a kept connection if there is one; a kept connection may have died unseen, so its failure is followed by
    /// a try over a fresh one (every request is a GET).
    async fn ask(&self, path: &str) -> Result<Value, BackendError> {
        while let Some(kept) = self.take_kept().await {
            if let Ok(answer) = self.ask_over(kept, path).await {
                return answer;
            }
        }
        let fresh = self.connect().await?;
        self.ask_over(fresh, path).await?
    }

    /// The outer error says that the connection failed, the inner one that the backend did.
    async fn ask_over(
        &self,
        mut connection: SendRequest<Empty<Bytes>>,
        path: &str,
    ) -> Result<Result<Value, BackendError>, BackendError> {
        let host = self.address.as_ref().map_or("backend", |(host, _)| host.as_str());
        let request = Request::get(path).header(HOST, host).body(Empty::new()).map_err(connection_error)?;
        let response = connection.send_request(request).await.map_err(connection_error)?;
        let status = response.status();
        let closes = response.headers().get(CONNECTION).is_some_and(|value| value.as_bytes() == b"close");
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(connection_error)?;
        // A backend that answers no is one to go from, unless it is the last of its version that can be had.
        let stays = status == StatusCode::OK || self.holds_on.load(Ordering::SeqCst);
        // It is ready a moment after the body's end; one that was closed instead is not kept.
        if stays && !closes && connection.ready().await.is_ok() {
            self.put_idle(connection);
        }
        if status != StatusCode::OK {
            return Ok(Err(BackendError::Status(status)));
        }
        Ok(serde_json::from_slice(&body.to_bytes()).map_err(|_| BackendError::Answer))
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, BackendError> {
        let (host, port) = self.address.as_ref().ok_or(BackendError::NotConfigured)?;
        let address = self.resolver.address(host, *port).await?;
        let stream = TcpStream::connect(address).await.map_err(connection_error)?;
        stream.set_nodelay(true).map_err(connection_error)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(connection_error)?;
        // The task ends with the connection, which ends when its sender is dropped.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// A kept connection; while holding on, one that is in use is waited for.
    async fn take_kept(&self) -> Option<SendRequest<Empty<Bytes>>> {
        let waits = if self.holds_on.load(Ordering::SeqCst) { HOLD_ON_TRIES } else { 0 };
        for _ in 0..waits {
            if let Some(kept) = self.take_idle() {
                return Some(kept);
            }
            tokio::time::sleep(HOLD_ON_PAUSE).await;
        }
        self.take_idle()
    }

    fn take_idle(&self) -> Option<SendRequest<Empty<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    fn put_idle(&self, connection: SendRequest<Empty<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
    }
}

fn connection_error(error: impl fmt::Display) -> BackendError {
    BackendError::Connection(error.to_string())
}
