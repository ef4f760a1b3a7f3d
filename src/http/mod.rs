//! The daemon's HTTP server: status, health, metrics, the page for people, and the push hook. Read-only but for the
//! hook, which only says "look again".

mod metrics;
mod page;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use tokio::net::TcpListener;

use crate::core::ids::AppName;
use crate::core::status::AppStatus;

pub use metrics::Metrics;

/// A push hook's body: what the large forges send at most for one push, and more than is ever read.
const HOOK_BYTES_MAX: usize = 1024 * 1024;

/// What the server shows, written by the daemon.
#[derive(Clone)]
pub struct Board {
    apps: Arc<Mutex<BTreeMap<AppName, AppStatus>>>,
    /// Why it is not ready; `None`: it is.
    unready: Arc<Mutex<Option<String>>>,
    /// The counters of `/metrics`.
    pub metrics: Metrics,
    hook: Arc<dyn Fn() + Send + Sync>,
}

impl Board {
    /// An empty board; `hook` is called for each accepted push hook.
    pub fn new(hook: impl Fn() + Send + Sync + 'static) -> Self {
        let unready = Arc::new(Mutex::new(Some("git or the cluster was not reached yet".to_owned())));
        Self { apps: Arc::default(), unready, metrics: Metrics::default(), hook: Arc::new(hook) }
    }

    /// Shows an app's status.
    pub fn set(&self, status: AppStatus) {
        self.metrics.phase(&status);
        self.apps.lock().unwrap_or_else(PoisonError::into_inner).insert(status.name.clone(), status);
    }

    /// Takes apps away that are not there any more.
    pub fn retain(&self, keep: impl Fn(&AppName) -> bool) {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| keep(name));
    }

    /// An app's status.
    #[must_use]
    pub fn get(&self, name: &AppName) -> Option<AppStatus> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All apps, by name.
    #[must_use]
    pub fn all(&self) -> Vec<AppStatus> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Says that git was reached.
    pub fn set_ready(&self) {
        *self.unready.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Says why `/readyz` says no.
    pub fn set_unready(&self, why: String) {
        *self.unready.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

/// Serves the board until the task is dropped.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    board: Board,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()> + Send)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let router = router(board);
    Ok((bound, async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!("the HTTP server ended: {error}");
        }
    }))
}

fn router(board: Board) -> Router {
    Router::new()
        .route("/", get(page_of_all))
        .route("/api/v1/apps", get(apps))
        .route("/api/v1/apps/{name}", get(app))
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .route("/hooks/push", post(hook))
        .layer(DefaultBodyLimit::max(HOOK_BYTES_MAX))
        .with_state(board)
}

async fn apps(State(board): State<Board>) -> Json<serde_json::Value> {
    Json(json!({"apps": board.all()}))
}

async fn app(State(board): State<Board>, Path(name): Path<String>) -> Response {
    match board.get(&AppName::new(&name)) {
        Some(status) => Json(status).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"error": "no app of this name"}))).into_response(),
    }
}

async fn readyz(State(board): State<Board>) -> Response {
    let unready = board.unready.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match unready {
        None => "ok".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

async fn metrics_text(State(board): State<Board>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], board.metrics.text()).into_response()
}

async fn page_of_all(State(board): State<Board>) -> Response {
    match page::render(&board.all()) {
        Ok(html) => {
            let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
            ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Says "look again". The body is not parsed: what changed is read from git itself.
async fn hook(State(board): State<Board>, _body: axum::body::Bytes) -> StatusCode {
    (board.hook)();
    StatusCode::ACCEPTED
}
