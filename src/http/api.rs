//! The JSON that others script against, described by docs/openapi.yaml.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Board;
use crate::core::ids::AppName;

/// The description of this interface; a test holds the answers against it.
const OPENAPI: &str = include_str!("../../docs/openapi.yaml");

pub(super) async fn apps(State(board): State<Board>, headers: HeaderMap) -> Response {
    let tag = board.tag();
    if is_known(&headers, &tag) {
        return not_modified(tag);
    }
    match board.apps_json() {
        Ok(body) => {
            ([(header::CONTENT_TYPE, "application/json".to_owned()), (header::ETAG, tag)], body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

pub(super) async fn app(State(board): State<Board>, Path(name): Path<String>) -> Response {
    board.get(&AppName::new(&name)).map_or_else(missing, |status| Json(status).into_response())
}

pub(super) async fn history(State(board): State<Board>, Path(name): Path<String>) -> Response {
    let Some(status) = board.get(&AppName::new(&name)) else { return missing() };
    match board.book(&status).await {
        Some(book) => Json(json!({"name": status.name, "entries": book.history})).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"error": "git did not answer in time"}))).into_response(),
    }
}

pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], OPENAPI).into_response()
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"error": "no app of this name"}))).into_response()
}

/// Whether the asker has what the tag stands for.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let asked = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    asked.is_some_and(|tags| tags.split(',').any(|one| one.trim() == tag))
}

pub(super) fn not_modified(tag: String) -> Response {
    (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response()
}
