//! The page's style, script and mark, out of the binary: nothing is fetched from elsewhere.

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::api::{is_known, not_modified};

const STYLE: &str = include_str!("../../templates/page.css");
const SCRIPT: &str = include_str!("../../templates/page.js");
const MARK: &str = include_str!("../../templates/mark.svg");

pub(super) async fn style(headers: HeaderMap) -> Response {
    serve(&headers, "text/css; charset=utf-8", STYLE)
}

pub(super) async fn script(headers: HeaderMap) -> Response {
    serve(&headers, "text/javascript; charset=utf-8", SCRIPT)
}

pub(super) async fn mark(headers: HeaderMap) -> Response {
    serve(&headers, "image/svg+xml", MARK)
}

fn serve(headers: &HeaderMap, kind: &'static str, text: &'static str) -> Response {
    let tag = format!("\"{}\"", crate::core::digest::of_json(&serde_json::Value::from(text)));
    if is_known(headers, &tag) {
        return not_modified(tag);
    }
    ([(header::CONTENT_TYPE, kind.to_owned()), (header::ETAG, tag)], text).into_response()
}
