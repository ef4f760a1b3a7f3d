//! The daemon's HTTP server: status, health, metrics, the pages for people, and the push hook. Read-only but for the
//! hook, which only says "look again".

mod api;
mod assets;
mod board;
mod guard;
mod health;
mod hook;
mod links;
mod metrics;
mod page;
mod view;
mod words;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::core::outside::{HookAccess, Outside};

pub use board::{Board, Library};
pub use guard::ServeError;
pub use health::{HEARTBEAT, Health};
pub use metrics::Metrics;

use hook::{HOOK_BYTES_MAX, Hook};

/// What a page of ours may do: its own style, script and image, and ask us again. Nothing from elsewhere, no forms, in
/// no frame.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                              img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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
        .route("/", get(page::overview))
        .route("/apps/{name}", get(page::app))
        .route("/assets/page.css", get(assets::style))
        .route("/assets/page.js", get(assets::script))
        .route("/assets/mark.svg", get(assets::mark))
        .route("/api/v1/apps", get(api::apps))
        .route("/api/v1/apps/{name}", get(api::app))
        .route("/api/v1/apps/{name}/history", get(api::history))
        .route("/openapi.yaml", get(api::openapi))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(board.clone());
    let harden = axum::middleware::map_response(harden);
    let secret = match hook {
        HookAccess::Off => return router.layer(harden),
        HookAccess::Open => None,
        HookAccess::Signed(source) => Some(source.clone()),
    };
    let metrics = board.metrics;
    let hook = Hook::new(secret, board.hook, move |outcome| metrics.hook(outcome));
    let body = DefaultBodyLimit::max(HOOK_BYTES_MAX);
    router.merge(Router::new().route("/hooks/push", post(hook::push)).layer(body).with_state(hook)).layer(harden)
}

/// What every answer carries: browsers guess no types, send no addresses on, frame nothing, and ask again each time.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The process is alive and its loop turns.
async fn healthz(State(board): State<Board>) -> Response {
    match board.health(|health, now| health.hangs(now)) {
        None => "ok".into_response(),
        Some(words) => (StatusCode::SERVICE_UNAVAILABLE, words).into_response(),
    }
}

/// Git and the cluster were reached, and not too long ago.
async fn readyz(State(board): State<Board>) -> Response {
    let missing = board.health(|health, now| health.out_of_reach(now));
    if missing.is_empty() {
        match board.replica() {
            None => "ok".into_response(),
            Some(replica) => format!("ok\n{replica}").into_response(),
        }
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n")).into_response()
    }
}

async fn metrics_text(State(board): State<Board>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], board.metrics.text()).into_response()
}

#[cfg(test)]
mod tests;
