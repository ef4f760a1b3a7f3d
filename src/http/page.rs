//! The pages: all apps at a glance, and one app with what goes on, why, and what a person can do. They are whole without
//! a script; with it they follow the server. They read, and offer nothing that would change anything.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::api::{is_known, not_modified};
use super::view::{AppPage, Overview};
use super::{Board, view};
use crate::core::ids::AppName;

/// How often an open page asks: a release is a matter of seconds, and an answer without news costs nothing.
const POLL_MS: u32 = 2_000;
/// How often a long list asks: it changes with every look at any of its apps.
const POLL_LONG_MS: u32 = 10_000;
/// From that many apps on a list is long.
const APPS_LONG: usize = 100;

pub(super) async fn overview(State(board): State<Board>, headers: HeaderMap) -> Response {
    let tag = board.tag();
    if is_known(&headers, &tag) {
        return not_modified(tag);
    }
    let apps = board.all();
    let poll_ms = if apps.len() > APPS_LONG { POLL_LONG_MS } else { POLL_MS };
    answer(Overview::new(&apps, board.replica(), poll_ms).render(), tag)
}

pub(super) async fn app(State(board): State<Board>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let tag = board.tag();
    let Some(status) = board.get(&AppName::new(name)) else {
        let page = view::Missing::new().render();
        return match page {
            Ok(html) => (StatusCode::NOT_FOUND, Html(html)).into_response(),
            Err(error) => (StatusCode::NOT_FOUND, error.to_string()).into_response(),
        };
    };
    if is_known(&headers, &tag) {
        return not_modified(tag);
    }
    let book = board.book(&status).await;
    // Without its history the page is not what it will be: it gets no tag, and is asked for again.
    let tag = if book.is_some() { tag } else { String::new() };
    answer(AppPage::new(&status, book.as_deref(), POLL_MS).render(), tag)
}

fn answer(html: Result<String, askama::Error>, tag: String) -> Response {
    match html {
        Ok(html) if tag.is_empty() => Html(html).into_response(),
        Ok(html) => ([(header::ETAG, tag)], Html(html)).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
