//! Messages to people: one a transition, sent beside the daemon's work. A dead receiver never holds a release.
//!
//! What is told is decided in [`crate::core::news`]; what is on its way is kept in [`crate::core::deliveries`]. Here is one
//! delivery: its form, its signature, and what the receiver's answer means.

mod format;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;

use crate::core::event::{Event, Links};
use crate::core::grants::Grants;
use crate::core::policy::{Destination, Format, Receiver};
use crate::core::text::OneLine;
use crate::core::url::without_credentials;
use crate::net::{self, Address, Client, NetError};

pub use crate::core::signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER, sign, verify};
pub use format::{cloud_event, slack, summary};

/// One delivery: a receiver that is slower than that is as good as dead.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Deliveries at a time, all apps together: a dead receiver of a hundred apps must not cost a hundred sockets.
const DELIVERIES_MAX: usize = 16;
/// The first pause after a failure; it doubles with each one after it.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest pause: a receiver that is back gets its messages within that time.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// The longest pause that a receiver may ask for: beyond it, it says no.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// How often a message is sent that the receiver understood and does not want: its settings may just be changing.
pub const REFUSALS_MAX: u32 = 5;

/// Carries messages to receivers.
#[derive(Clone)]
pub struct Courier {
    client: Client,
    grants: Arc<Grants>,
    links: Arc<Links>,
    source: String,
    clock: fn() -> Timestamp,
    slots: Arc<Semaphore>,
}

/// What became of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// Not now.
    Later {
        /// The pause that the receiver asked for.
        asked: Option<Duration>,
        /// Why.
        words: OneLine,
    },
    /// The receiver understood and does not want it.
    Refused {
        /// What it said.
        words: OneLine,
    },
}

impl Courier {
    /// A courier for the apps of one repository.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(repo: &str, grants: Arc<Grants>, links: Links, clock: fn() -> Timestamp) -> Result<Self, NetError> {
        Ok(Self {
            client: Client::new(DELIVERY_TIMEOUT)?,
            grants,
            links: Arc::new(links),
            source: source_of(repo),
            clock,
            slots: Arc::new(Semaphore::new(DELIVERIES_MAX)),
        })
    }

    /// The same for the apps of another repository.
    #[must_use]
    pub fn elsewhere(&self, repo: &str, grants: &Arc<Grants>) -> Self {
        Self { source: source_of(repo), grants: Arc::clone(grants), ..self.clone() }
    }

    /// Tries to deliver a message, once.
    pub async fn deliver(&self, receiver: &Receiver, event: &Event) -> Outcome {
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await;
        let later = |words: &str| Outcome::Later { asked: None, words: OneLine::new(words) };
        let (address, headers, body) = match self.prepare(receiver, event) {
            Ok(prepared) => prepared,
            Err(words) => return Outcome::Later { asked: None, words },
        };
        match self.client.send(Method::POST, &address, headers, body).await {
            Ok(answer) => self.judge(&answer),
            Err(error) => later(&error.to_string()),
        }
    }

    fn prepare(&self, receiver: &Receiver, event: &Event) -> Result<(Address, HeaderMap, Vec<u8>), OneLine> {
        let words = |error: &dyn std::error::Error| OneLine::new(&error.to_string());
        let secret = |name: &str| {
            let source = self.grants.secrets.get(name);
            let source = source.ok_or_else(|| OneLine::new(&format!("the secret `{name}` is not granted")))?;
            net::read_secret(source).map_err(|error| words(&error))
        };
        let address = match &receiver.to {
            Destination::Url(url) => Address::granted(url, &self.grants).map_err(|error| words(&error))?,
            Destination::Secret(name) => {
                let url = String::from_utf8(secret(name)?).unwrap_or_default();
                Address::trusted(&url).map_err(|error| words(&error))?
            }
        };
        let (kind, body) = match receiver.format {
            Format::CloudEvents => ("application/cloudevents+json", cloud_event(event, &self.source, &self.links)),
            Format::Slack => ("application/json", slack(event, &self.links)),
        };
        let body = body.to_string().into_bytes();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(name) = &receiver.secret {
            let now = (self.clock)().as_second();
            let signature = sign(&secret(name)?, now, &body);
            headers.insert(HeaderName::from_static(TIMESTAMP_HEADER), HeaderValue::from(now));
            let value = HeaderValue::from_str(&signature).map_err(|error| words(&error))?;
            headers.insert(HeaderName::from_static(SIGNATURE_HEADER), value);
        }
        Ok((address, headers, body))
    }

    fn judge(&self, answer: &net::Answer) -> Outcome {
        let body = String::from_utf8_lossy(&answer.body);
        let words = OneLine::new(&format!("the receiver answered {}: {body}", answer.status));
        match answer.status {
            200..=299 => Outcome::Delivered,
            // Too early, too many, too slow: it is the moment that is wrong.
            408 | 425 | 429 => Outcome::Later { asked: self.asked(answer), words },
            400..=499 => Outcome::Refused { words },
            _redirect_or_broken => Outcome::Later { asked: self.asked(answer), words },
        }
    }

    /// The pause that a receiver asks for, within reason.
    fn asked(&self, answer: &net::Answer) -> Option<Duration> {
        let asked = net::retry_after(answer.retry_after.as_deref()?, (self.clock)())?;
        Some(asked.min(RETRY_AFTER_MAX))
    }
}

/// The pause after the given number of failures in a row: what the receiver asked for, at least; else doubling, with a
/// `random` part (0 to 1), so that the messages of many apps do not come back at one moment.
#[must_use]
pub fn pause(failures: u32, asked: Option<Duration>, random: f64) -> Duration {
    let doubled = PAUSE_FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16))).min(PAUSE_MAX);
    let own = doubled.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
    asked.map_or(own, |asked| asked.max(PAUSE_FIRST) + own.min(PAUSE_FIRST))
}

/// The repository as a URI reference, without credentials and query.
fn source_of(repo: &str) -> String {
    let plain = without_credentials(repo);
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:@+".contains(&byte);
    let encoded =
        plain.bytes().map(|byte| if safe(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    format!("turquoise/{}", encoded.collect::<String>())
}

#[cfg(test)]
mod tests;
