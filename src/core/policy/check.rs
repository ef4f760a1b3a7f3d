//! What a check asks, and of whom.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::url::WebUrl;

/// How long a refused connection is tried again: kube-proxy is a moment behind the EndpointSlices.
pub const CONNECT_GRACE: Duration = Duration::from_secs(3);

/// One check of a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name in messages, unique in the app.
    pub name: String,
    /// What is asked.
    pub asks: Asks,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Asks {
    /// A request whose answer must be the expected one, some times in a row.
    Http(HttpCheck),
    /// The release as JSON, for somebody else to decide; asked before a flip only.
    Webhook(WebhookCheck),
}

/// An HTTP request with its expected answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpCheck {
    /// Who is asked.
    pub target: Target,
    /// How.
    pub method: Method,
    /// What is sent beside it.
    pub headers: Vec<Header>,
    /// The request's body.
    pub body: Option<String>,
    /// The statuses that pass; empty: any 2xx.
    pub status: Vec<Status>,
    /// What must stand in the answer, which is JSON then.
    pub json: Vec<JsonRule>,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How many passes in a row are needed.
    pub times: u32,
    /// The pause between two requests.
    pub interval: Duration,
}

impl HttpCheck {
    /// The longest that a round of passes takes from the first request on, refused connections that are tried again included.
    pub fn longest_round(&self) -> Duration {
        (self.timeout + self.interval).saturating_mul(self.times).saturating_add(CONNECT_GRACE)
    }
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A Service of the app, resolved without DNS.
    Service {
        /// A preview Service; after the flip the live Service that it previews is asked.
        service: String,
        /// The Service's port.
        port: u16,
        /// Path and query, beginning with `/`.
        path: String,
    },
    /// A host that the operator granted.
    Url {
        /// Where the candidate is seen before the flip.
        url: WebUrl,
        /// Where the live colour is seen after it; `None`: the check is no part of the watch.
        live: Option<WebUrl>,
    },
}

/// The methods that a check may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Asks.
    #[default]
    Get,
    /// Asks for the head only.
    Head,
    /// Asks with a body.
    Post,
    /// Asks with a body.
    Put,
}

impl Method {
    /// The word in the request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// One header of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Its name, in lower case.
    pub name: String,
    /// Its value.
    pub value: HeaderValue,
}

/// Where a header's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderValue {
    /// The policy itself, which everybody may read.
    Text(String),
    /// A Secret that the operator granted by name; its value is never printed.
    Secret {
        /// Its name in the operator's grants.
        secret: String,
        /// What stands before it: `Bearer `.
        prefix: String,
    },
}

/// A status that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// This one.
    One(u16),
    /// All that begin with this digit.
    Class(u16),
}

impl Status {
    /// Whether an answer's status is meant.
    #[must_use]
    pub const fn holds(self, status: u16) -> bool {
        match self {
            Self::One(one) => one == status,
            Self::Class(class) => status / 100 == class,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(one) => write!(f, "{one}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

/// What must stand at one place of a JSON answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JsonRule {
    /// A JSON pointer (RFC 6901); empty: the whole answer.
    pub pointer: String,
    /// The value; numbers are compared as numbers.
    pub equals: Value,
}

/// A webhook that decides about a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookCheck {
    /// Where the release is posted, on a host that the operator granted.
    pub url: WebUrl,
    /// The granted Secret that signs it.
    pub secret: Option<String>,
    /// What is sent beside it.
    pub headers: Vec<Header>,
    /// How long the decision may take, all answers of `202` included.
    pub timeout: Duration,
}

impl Check {
    /// The URLs that it asks: their hosts must be granted.
    pub fn urls(&self) -> impl Iterator<Item = &WebUrl> {
        let (first, second) = match &self.asks {
            Asks::Http(HttpCheck { target: Target::Url { url, live }, .. }) => (Some(url), live.as_ref()),
            Asks::Http(HttpCheck { target: Target::Service { .. }, .. }) => (None, None),
            Asks::Webhook(webhook) => (Some(&webhook.url), None),
        };
        first.into_iter().chain(second)
    }

    /// The preview Service that it asks.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.service_port().map(|(service, _)| service)
    }

    /// The preview Service that it asks, and on which port.
    #[must_use]
    pub fn service_port(&self) -> Option<(&str, u16)> {
        match &self.asks {
            Asks::Http(HttpCheck { target: Target::Service { service, port, .. }, .. }) => Some((service, *port)),
            Asks::Http(HttpCheck { target: Target::Url { .. }, .. }) | Asks::Webhook(_) => None,
        }
    }

    /// The Secrets that it names.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let (headers, signs) = match &self.asks {
            Asks::Http(http) => (&http.headers, None),
            Asks::Webhook(webhook) => (&webhook.headers, webhook.secret.as_deref()),
        };
        let named = headers.iter().filter_map(|header| match &header.value {
            HeaderValue::Text(_) => None,
            HeaderValue::Secret { secret, .. } => Some(secret.as_str()),
        });
        named.chain(signs)
    }
}
