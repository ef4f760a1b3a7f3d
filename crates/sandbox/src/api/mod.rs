//! The API server: HTTP in, objects out.

mod discovery;
pub(crate) mod errors;
mod events;
mod logs;
mod openapi;
mod output;
mod protobuf;
mod proxy;
mod request;
mod subresources;
mod table;
mod verbs;
mod watching;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::faults::Effect;
use crate::world::World;
use errors::ApiError;
use request::{ApiRequest, Target};

/// The version of Kubernetes that the answers are modelled after.
pub(crate) const VERSION: &str = "v1.33.4";

/// How long to wait after a failed accept (too many open files, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// An answer's body.
pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// An answer, or an error that cuts the connection.
pub(crate) type Answer = io::Result<Response<Body>>;

/// Serves connections until the sandbox stops.
pub(crate) async fn serve(world: Arc<World>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = world.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                world.tasks.spawn(connection(Arc::clone(&world), stream, peer));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn connection(world: Arc<World>, stream: TcpStream, _peer: SocketAddr) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut restarts = world.faults.restarts();
    let stop = world.stop.clone();
    let service = service_fn(move |request| answer(Arc::clone(&world), request));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // How a connection ends is the client's business.
        _ = served => (),
        () = stop.cancelled() => (),
        _ = restarts.changed() => (),
    }
}

/// The connection is cut, as by a crash.
pub(crate) fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut by the sandbox")
}

async fn answer(world: Arc<World>, request: hyper::Request<Incoming>) -> Answer {
    world.faults.thawed().await;
    if let Some(token) = &world.options.token {
        let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if given.and_then(|value| value.strip_prefix("Bearer ")) != Some(token.as_str()) {
            return Ok(failure(&ApiError::unauthorized()));
        }
    }
    let read = ApiRequest::read(request).await;
    let (request, target) = match read {
        Ok(read) => read,
        Err(error) => return Ok(failure(&error)),
    };
    let effect = match &target {
        Target::Object { verb, .. } => {
            let name = request.name.as_deref().unwrap_or_default();
            world.faults.effect(*verb, request.resource_name(), name)
        }
        Target::Document(_) => None,
    };
    match effect {
        Some(Effect::Delay(delay)) => sleep(delay).await,
        Some(Effect::Status(code)) => return Ok(failure(&ApiError::injected(code))),
        Some(Effect::Hang) => std::future::pending().await,
        Some(Effect::Cut) => return Err(cut()),
        Some(Effect::LoseReply) | None => (),
    }
    let answered = match &target {
        Target::Document(path) => document(&world, &request, path),
        Target::Object { verb, resource } => verbs::perform(&world, *verb, resource, request).await,
    };
    // What was asked before a freeze is answered after it.
    world.faults.thawed().await;
    if effect == Some(Effect::LoseReply) {
        return Err(cut());
    }
    Ok(answered.unwrap_or_else(|error| failure(&error)))
}

fn document(world: &World, request: &ApiRequest, path: &str) -> Result<Response<Body>, ApiError> {
    if matches!(path, "/healthz" | "/readyz" | "/livez" | "/healthz/ping") {
        return Ok(plain(StatusCode::OK, "text/plain; charset=utf-8", "ok"));
    }
    if path == "/version" {
        return Ok(json(StatusCode::OK, &discovery::version()));
    }
    if let Some(document) = openapi::document(path) {
        return Ok(json(StatusCode::OK, &document));
    }
    let _ = world;
    match discovery::document(path, request.accepts_aggregated_discovery()) {
        Some((content_type, document)) => Ok(plain(StatusCode::OK, content_type, document.to_string())),
        None => Err(ApiError::no_such_path()),
    }
}

/// A failure's `Status`.
pub(crate) fn failure(error: &ApiError) -> Response<Body> {
    let mut response = json(error.code, &error.status());
    if error.code == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
    }
    response
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    plain(status, "application/json", value.to_string())
}

/// An answer of some other type.
pub(crate) fn plain(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
