//! The daemon's HTTP server: status, health, metrics, the page for people, and the push hook. Read-only but for the
//! hook, which only says "look again".

mod guard;
mod hook;
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

use crate::core::ids::AppName;
use crate::core::outside::{HookAccess, Outside};
use crate::core::status::{AppStatus, MessagesStatus};

pub use guard::ServeError;
pub use metrics::Metrics;

use hook::{HOOK_BYTES_MAX, Hook};

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
    pub fn set(&self, mut status: AppStatus) {
        self.metrics.phase(&status);
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        // Messages are sent beside the looks: what is known of them is newer.
        if let Some(old) = apps.get(&status.name) {
            status.messages = old.messages.clone();
        }
        apps.insert(status.name.clone(), status);
    }

    /// Shows how an app's messages are doing.
    pub fn set_messages(&self, name: &AppName, messages: MessagesStatus) {
        self.metrics.messages_pending(name.as_str(), messages.pending);
        if let Some(status) = self.apps.lock().unwrap_or_else(PoisonError::into_inner).get_mut(name) {
            status.messages = messages;
        }
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
/// The address cannot be listened on, or not without a secret for the push hook.
pub async fn serve(
    address: SocketAddr,
    board: Board,
    outside: &Outside,
) -> Result<(SocketAddr, impl Future<Output = ()> + Send + use<>), ServeError> {
    let names = outside.names()?;
    let listener = outside.listen(address).await?;
    let bound = listener.local_addr().map_err(|error| ServeError::Listen { address, error })?;
    let router = router(board, &outside.hook).layer(axum::middleware::from_fn_with_state(names, guard::addressed));
    Ok((bound, guard::serve(listener, router)))
}

fn router(board: Board, hook: &HookAccess) -> Router {
    let router = Router::new()
        .route("/", get(page_of_all))
        .route("/api/v1/apps", get(apps))
        .route("/api/v1/apps/{name}", get(app))
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(board.clone());
    let secret = match hook {
        HookAccess::Off => return router,
        HookAccess::Open => None,
        HookAccess::Signed(source) => Some(source.clone()),
    };
    let metrics = board.metrics;
    let hook = Hook::new(secret, board.hook, move |outcome| metrics.hook(outcome));
    let body = DefaultBodyLimit::max(HOOK_BYTES_MAX);
    router.merge(Router::new().route("/hooks/push", post(hook::push)).layer(body).with_state(hook))
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

#[cfg(test)]
mod tests;
