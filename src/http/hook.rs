//! `/hooks/push`: a forge says that something was pushed. It only says "look again": what changed is read from git.
//!
//! The body is read to a bound, its signature is checked, and nothing else is done with it. Hooks come in bursts (a push of
//! ten tags is eleven of them), so they are coalesced: the first is a look at once, all others of the same second are one
//! look at its end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::time::Instant;

use crate::core::grants::SecretSource;
use crate::net;

/// A push hook's body: what the large forges send at most for one push is cut by them below that.
pub(super) const HOOK_BYTES_MAX: usize = 1024 * 1024;
/// How long a body may take: a forge sends it in one go.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// At most two looks begin in this time: one at its start, one at its end.
const PACE: Duration = Duration::from_secs(1);

/// HMAC-SHA256 of the body in hexadecimal digits: the header, and what stands before the digits.
const HMAC_HEADERS: [(&str, &str); 4] = [
    ("x-hub-signature-256", "sha256="),
    ("x-gitea-signature", ""),
    ("x-forgejo-signature", ""),
    ("x-gogs-signature", ""),
];
/// The secret itself.
const TOKEN_HEADER: &str = "x-gitlab-token";

/// What the hook does with a request.
#[derive(Clone)]
pub(super) struct Hook {
    secret: Option<SecretSource>,
    pace: Arc<Mutex<Pace>>,
    look: Arc<dyn Fn() + Send + Sync>,
    count: Arc<dyn Fn(&'static str) + Send + Sync>,
}

impl Hook {
    /// A hook that calls `look`; without a secret whoever reaches it may knock. `count` hears each outcome.
    pub(super) fn new(
        secret: Option<SecretSource>,
        look: Arc<dyn Fn() + Send + Sync>,
        count: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> Self {
        Self { secret, pace: Arc::default(), look, count: Arc::new(count) }
    }

    fn knock(&self) {
        let turn = self.pace.lock().unwrap_or_else(PoisonError::into_inner).knock(Instant::now());
        match turn {
            Turn::Now => (self.look)(),
            Turn::Included => {}
            Turn::At(moment) => {
                let this = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep_until(moment).await;
                    this.pace.lock().unwrap_or_else(PoisonError::into_inner).looked(Instant::now());
                    (this.look)();
                });
            }
        }
    }
}

/// The route.
pub(super) async fn push(State(hook): State<Hook>, request: Request) -> Response {
    let (outcome, response) = judge(&hook, request).await;
    (hook.count)(outcome);
    if outcome == "accepted" {
        hook.knock();
    }
    response
}

async fn judge(hook: &Hook, request: Request) -> (&'static str, Response) {
    let refused = || ("refused", StatusCode::UNAUTHORIZED.into_response());
    let headers = request.headers().clone();
    let secret = match hook.secret.as_ref().map(net::read_secret) {
        None => None,
        Some(Ok(secret)) => Some(secret),
        Some(Err(error)) => {
            tracing::error!("a push hook was refused: {error}");
            return ("failed", StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
    };
    // Without a signature the body is not worth reading.
    if secret.is_some() && !is_signed(&headers) {
        return refused();
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > HOOK_BYTES_MAX) {
        return ("failed", StatusCode::PAYLOAD_TOO_LARGE.into_response());
    }
    let body = match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => return ("failed", rejection.status().into_response()),
        Err(_elapsed) => return ("failed", StatusCode::REQUEST_TIMEOUT.into_response()),
    };
    if secret.is_some_and(|secret| !verifies(&secret, &headers, &body)) {
        return refused();
    }
    ("accepted", StatusCode::ACCEPTED.into_response())
}

fn is_signed(headers: &HeaderMap) -> bool {
    HMAC_HEADERS.iter().any(|(name, _)| headers.contains_key(*name)) || headers.contains_key(TOKEN_HEADER)
}

/// Whether one of the forges' headers shows that the sender knows the secret. Each comparison takes as long for a wrong
/// value as for the right one.
fn verifies(secret: &[u8], headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let by_hmac = HMAC_HEADERS.iter().any(|(name, prefix)| {
        let digits = text(name).and_then(|value| value.strip_prefix(prefix));
        digits.and_then(bytes_of_hex).is_some_and(|tag| keyed(secret, body).verify_slice(&tag).is_ok())
    });
    // Compared as HMACs under the secret, so that neither length nor content of the secret shows in the time.
    let by_token = text(TOKEN_HEADER).is_some_and(|token| {
        let expected = keyed(secret, secret).finalize().into_bytes();
        keyed(secret, token.as_bytes()).verify_slice(&expected).is_ok()
    });
    by_hmac || by_token
}

fn keyed(secret: &[u8], message: &[u8]) -> Hmac<Sha256> {
    // A key of any length will do for an HMAC.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_never| unreachable!("HMAC takes any key"));
    mac.update(message);
    mac
}

fn bytes_of_hex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok())
        .collect()
}

/// When the next look may begin.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
    waits: bool,
}

/// What a knock leads to.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// A look, now.
    Now,
    /// A look at that moment, for all that come before it.
    At(Instant),
    /// A look is waiting already.
    Included,
}

impl Pace {
    fn knock(&mut self, now: Instant) -> Turn {
        if self.waits {
            return Turn::Included;
        }
        match self.last.map(|last| last + PACE).filter(|&next| next > now) {
            None => {
                self.last = Some(now);
                Turn::Now
            }
            Some(next) => {
                self.waits = true;
                Turn::At(next)
            }
        }
    }

    fn looked(&mut self, now: Instant) {
        self.waits = false;
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_knock_is_a_look_at_once_and_a_burst_is_one_more() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        assert_eq!(pace.knock(at(0)), Turn::Now);
        assert_eq!(pace.knock(at(10)), Turn::At(at(1000)));
        for ms in 11..999 {
            assert_eq!(pace.knock(at(ms)), Turn::Included);
        }
        pace.looked(at(1000));
        assert_eq!(pace.knock(at(1500)), Turn::At(at(2000)));
        pace.looked(at(2000));
        assert_eq!(pace.knock(at(3000)), Turn::Now);
    }

    #[test]
    fn only_the_secrets_owner_is_heard() {
        let (secret, body) = (b"s3cret", br#"{"ref":"refs/heads/main"}"#);
        let hex = |secret: &[u8]| -> String {
            keyed(secret, body).finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let (right, wrong) = (hex(secret), hex(b"other"));
        for (name, value, heard) in [
            ("x-hub-signature-256", format!("sha256={right}"), true),
            ("x-hub-signature-256", format!("sha256={}", right.to_uppercase()), true),
            ("x-hub-signature-256", format!("sha256={wrong}"), false),
            ("x-hub-signature-256", right.clone(), false),
            ("x-hub-signature-256", "sha256=".to_owned(), false),
            ("x-hub-signature-256", "sha256=zz".to_owned(), false),
            ("x-hub-signature-256", format!("sha256={}", right.get(..62).expect("long")), false),
            ("x-gitea-signature", right.clone(), true),
            ("x-gitea-signature", wrong.clone(), false),
            ("x-forgejo-signature", right.clone(), true),
            ("x-gitlab-token", "s3cret".to_owned(), true),
            ("x-gitlab-token", "s3cre".to_owned(), false),
            ("x-gitlab-token", "s3cret ".to_owned(), false),
            ("x-gitlab-token", String::new(), false),
            ("x-other", right.clone(), false),
        ] {
            let headers = [(name.parse().expect("a name"), value.parse().expect("a value"))].into_iter().collect();
            assert_eq!(verifies(secret, &headers, body), heard, "{name}: {value}");
            assert!(!verifies(secret, &headers, b"another body") || name == TOKEN_HEADER, "{name}: {value}");
        }
    }
}
