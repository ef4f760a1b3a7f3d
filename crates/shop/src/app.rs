//! What each path answers.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, CONTENT_TYPE};
use hyper::{HeaderMap, Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::backend::{ANSWER_WITHIN, Backend, PROBE_WITHIN, Resolver};
use crate::settings::{Fault, Settings, Tier};

/// How long a version with the fault `slow-start` takes to become ready.
const SLOW_START: Duration = Duration::from_secs(3);

/// How long a version with the fault `crash-after-start` lives once it was ready.
const CRASH_AFTER_READY: Duration = Duration::from_secs(1);

/// The longest request one may ask for with `/slow`: a connection that lasts longer than any grace period tells nothing more.
const SLOW_MS_MAX: u64 = 120_000;

/// The version that a frontend with the fault `wrong-backend` claims its backend has.
const WRONG_BACKEND: &str = "0.0.0-wrong";

/// One running instance.
pub(crate) struct App {
    settings: Settings,
    backend: Backend,
    started: Instant,
    draining: AtomicBool,
    served: AtomicBool,
    ready_since: OnceLock<Instant>,
    became_ready: Notify,
}

impl App {
    pub(crate) fn new(settings: Settings, resolver: Resolver) -> Self {
        let backend = Backend::new(settings.backend.clone(), resolver);
        App {
            settings,
            backend,
            started: Instant::now(),
            draining: AtomicBool::new(false),
            served: AtomicBool::new(false),
            ready_since: OnceLock::new(),
            became_ready: Notify::new(),
        }
    }

    /// From now on it is not ready, and every answer of a frontend asks the client to close its connection. A backend
    /// keeps its connections, because the frontends that hold them are told to stop at the same time and still answer.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.backend.hold_on();
    }

    /// Ends when the instance crashes by itself, if it ever does; answers with its last words.
    pub(crate) async fn crash(&self) -> String {
        match self.settings.fault {
            Some(Fault::Crash) => {
                format!("panic: version {} can't start: no such table: orders", self.settings.version)
            }
            Some(Fault::CrashAfterStart) => {
                self.became_ready.notified().await;
                tokio::time::sleep(CRASH_AFTER_READY).await;
                format!("panic: version {} ran out of stock", self.settings.version)
            }
            None
            | Some(
                Fault::NeverReady | Fault::SmokeFails | Fault::SlowStart | Fault::WrongBackend | Fault::BreaksLive,
            ) => std::future::pending().await,
        }
    }

    /// The answer to one request.
    pub(crate) async fn answer(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        asked: &HeaderMap,
    ) -> Response<Full<Bytes>> {
        let (status, body) = if *method != Method::GET && *method != Method::HEAD {
            (StatusCode::METHOD_NOT_ALLOWED, json!({"errors": ["only GET is served"]}))
        } else {
            match path {
                "/" => self.front_page().await,
                "/readyz" => self.readyz().await,
                "/healthz" => (StatusCode::OK, json!({"ok": true, "version": self.settings.version})),
                "/smoke" => self.smoke().await,
                "/slow" => self.slow(query).await,
                _ => (StatusCode::NOT_FOUND, json!({"errors": [format!("nothing is at {path}")]})),
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(format!("{body}\n"))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
        let client_closes = asked.get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        let drains = self.draining.load(Ordering::SeqCst) && self.settings.tier == Tier::Frontend;
        if client_closes || drains {
            headers.insert(CONNECTION, hyper::header::HeaderValue::from_static("close"));
        }
        response
    }

    async fn front_page(&self) -> (StatusCode, Value) {
        self.served.store(true, Ordering::SeqCst);
        let Settings { version, pod, greeting, tier, .. } = &self.settings;
        if *tier == Tier::Backend {
            return (StatusCode::OK, json!({"version": version, "pod": pod, "errors": []}));
        }
        let (status, backend, errors) = match self.backend_version("/").await {
            Err(error) => (StatusCode::BAD_GATEWAY, Value::Null, vec![error]),
            Ok(backend) if backend != *version => {
                self.backend.let_go();
                let error = format!("backend is {backend}, frontend is {version}");
                (StatusCode::INTERNAL_SERVER_ERROR, Value::from(backend), vec![error])
            }
            Ok(backend) => (StatusCode::OK, Value::from(backend), Vec::new()),
        };
        (status, json!({"version": version, "backend": backend, "pod": pod, "greeting": greeting, "errors": errors}))
    }

    async fn readyz(&self) -> (StatusCode, Value) {
        if let Err(reason) = self.ready().await {
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                json!({"ready": false, "version": self.settings.version, "reason": reason}),
            );
        }
        if self.ready_since.set(Instant::now()).is_ok() {
            (self.settings.log)("ready");
            self.became_ready.notify_one();
        }
        (StatusCode::OK, json!({"ready": true, "version": self.settings.version}))
    }

    async fn ready(&self) -> Result<(), String> {
        if self.draining.load(Ordering::SeqCst) {
            return Err("stopping".to_owned());
        }
        match self.settings.fault {
            Some(Fault::NeverReady) => return Err("warehouse does not answer".to_owned()),
            Some(Fault::SlowStart) if self.started.elapsed() < SLOW_START => {
                return Err("loading the catalogue".to_owned());
            }
            None
            | Some(
                Fault::SmokeFails
                | Fault::Crash
                | Fault::CrashAfterStart
                | Fault::SlowStart
                | Fault::WrongBackend
                | Fault::BreaksLive,
            ) => (),
        }
        if self.settings.tier == Tier::Backend {
            return Ok(());
        }
        let backend = self.backend.version("/readyz", PROBE_WITHIN).await.map_err(|error| error.to_string())?;
        self.same_version(&backend)
    }

    async fn smoke(&self) -> (StatusCode, Value) {
        let verdict = self.smoke_verdict().await;
        let version = &self.settings.version;
        match verdict {
            Ok(()) => (StatusCode::OK, json!({"ok": true, "version": version})),
            Err(reason) => {
                (StatusCode::INTERNAL_SERVER_ERROR, json!({"ok": false, "version": version, "reason": reason}))
            }
        }
    }

    async fn smoke_verdict(&self) -> Result<(), String> {
        match self.settings.fault {
            Some(Fault::SmokeFails) => {
                return Err("orders can't be placed: payment is refused".to_owned());
            }
            Some(Fault::BreaksLive) if self.settings.tier == Tier::Frontend && self.served.load(Ordering::SeqCst) => {
                return Err("the cart is empty after the first visitor".to_owned());
            }
            None
            | Some(
                Fault::NeverReady
                | Fault::Crash
                | Fault::CrashAfterStart
                | Fault::SlowStart
                | Fault::WrongBackend
                | Fault::BreaksLive,
            ) => (),
        }
        if self.settings.tier == Tier::Backend {
            return Ok(());
        }
        let backend = self.backend_version("/smoke").await?;
        self.same_version(&backend)
    }

    /// The backend's version as this frontend sees it.
    async fn backend_version(&self, path: &str) -> Result<String, String> {
        let version = self.backend.version(path, ANSWER_WITHIN).await.map_err(|error| error.to_string())?;
        if self.settings.fault == Some(Fault::WrongBackend) {
            return Ok(WRONG_BACKEND.to_owned());
        }
        Ok(version)
    }

    fn same_version(&self, backend: &str) -> Result<(), String> {
        let version = &self.settings.version;
        if backend == version {
            return Ok(());
        }
        // A new frontend may have met an old backend that still drains: the next request finds another one.
        self.backend.let_go();
        Err(format!("backend is {backend}, frontend is {version}"))
    }

    async fn slow(&self, query: Option<&str>) -> (StatusCode, Value) {
        let asked = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("ms="));
        let Some(ms) = asked.and_then(|ms| ms.parse::<u64>().ok()).filter(|ms| *ms <= SLOW_MS_MAX) else {
            let error = format!("ask for /slow?ms=N with N up to {SLOW_MS_MAX}");
            return (StatusCode::BAD_REQUEST, json!({"errors": [error]}));
        };
        tokio::time::sleep(Duration::from_millis(ms)).await;
        (
            StatusCode::OK,
            json!({"version": self.settings.version, "pod": self.settings.pod, "slept_ms": ms, "errors": []}),
        )
    }
}
