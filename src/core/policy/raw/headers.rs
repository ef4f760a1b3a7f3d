//! Reading the headers that a check sends, and what may stand in them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::Spanned;

use super::Validator;
use crate::core::policy::check::{Header, HeaderValue};

/// More headers than this are refused by servers, too.
const HEADERS_MAX: usize = 50;
/// What servers take of one header.
const HEADER_CHARS_MAX: usize = 4_096;

/// Headers that the HTTP client writes itself, or that only steer who passes the request on.
const HEADERS_OURS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
/// Headers whose values are secrets: they must not stand in git.
const HEADERS_SECRET: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
/// What an API server takes for somebody else's name when it passes a check on.
const HEADERS_OF_THE_API: [&str; 2] = ["impersonate-", "x-remote-"];

/// `X-Caller: turquoise`, or a Secret's name.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawHeader {
    Text(String),
    Secret(RawSecret),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecret {
    secret: String,
    #[serde(default)]
    prefix: String,
}

impl Validator {
    pub(super) fn headers(&mut self, raw: BTreeMap<String, Spanned<RawHeader>>) -> Vec<Header> {
        if let Some(extra) = raw.values().nth(HEADERS_MAX) {
            self.problem(extra, format!("more than {HEADERS_MAX} headers"));
        }
        let mut headers: Vec<Header> = Vec::new();
        for (name, value) in raw.into_iter().take(HEADERS_MAX) {
            let at = Spanned::new((), value.referenced, value.defined);
            let lower = name.to_ascii_lowercase();
            if let Some(why) = bad_header_name(&lower) {
                self.problem(&at, format!("header `{name}` {why}"));
            }
            if headers.iter().any(|header| header.name == lower) {
                self.problem(&at, format!("two headers are named `{lower}`"));
            }
            let value = match value.value {
                RawHeader::Text(text) => {
                    if HEADERS_SECRET.contains(&lower.as_str()) {
                        self.problem(
                            &at,
                            format!("header `{name}` holds a secret, which must not stand in git; write `{{secret: NAME}}` with a Secret that the operator granted"),
                        );
                    }
                    HeaderValue::Text(text)
                }
                RawHeader::Secret(RawSecret { secret, prefix }) => {
                    self.secret_name(&at, &secret);
                    HeaderValue::Secret { secret, prefix }
                }
            };
            let (HeaderValue::Text(text) | HeaderValue::Secret { prefix: text, .. }) = &value;
            if !is_header_text(text) {
                self.problem(
                    &at,
                    format!("header `{name}` must be at most {HEADER_CHARS_MAX} visible ASCII characters"),
                );
            }
            headers.push(Header { name: lower, value });
        }
        headers
    }

    /// Says so where a name is none that an operator can have granted.
    pub(super) fn secret_name<T>(&mut self, at: &Spanned<T>, name: &str) {
        let fine = !name.is_empty()
            && name.len() <= 253
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if !fine {
            self.problem(at, "a Secret is named by letters, digits, `-`, `_` and `.`, as the operator granted it");
        }
    }
}

fn bad_header_name(lower: &str) -> Option<&'static str> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if lower.is_empty() || lower.len() > 128 || !lower.bytes().all(token) {
        return Some("is no header's name");
    }
    if HEADERS_OURS.contains(&lower) || lower.starts_with("turquoise-") {
        return Some("is written by turquoise itself");
    }
    HEADERS_OF_THE_API.iter().any(|prefix| lower.starts_with(prefix)).then_some("is for API servers and is never sent")
}

/// Visible ASCII, with spaces inside.
pub(crate) fn is_header_text(text: &str) -> bool {
    text.len() <= HEADER_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}
