//! Who hears of an app's transitions: `spec.notifications`.

use serde::{Deserialize, Serialize};
use serde_yaml::Spanned;

/// More receivers than this are a loop that wrote the file.
pub(super) const RECEIVERS_MAX: usize = 20;

/// One receiver of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receiver {
    /// In which form.
    pub format: Format,
    /// Where to.
    pub to: Destination,
    /// The name of the secret that signs the messages.
    pub secret: Option<String>,
}

/// The form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A CloudEvents 1.0 envelope in JSON.
    CloudEvents,
    /// What Slack's incoming webhooks take, and chats that speak the same.
    Slack,
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// A URL as it stands in turquoise.yaml; its host must be granted.
    Url(String),
    /// The URL is the value of the secret of this name, which the operator granted.
    Secret(String),
}

impl Receiver {
    /// What tells it from the app's other receivers; its secret, which may be exchanged, does not.
    #[must_use]
    pub fn key(&self) -> String {
        crate::core::digest::of_json(&serde_json::json!([self.format, self.to])).to_string()
    }

    /// The names of the secrets that it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let url = match &self.to {
            Destination::Secret(name) => Some(name.as_str()),
            Destination::Url(_) => None,
        };
        url.into_iter().chain(self.secret.as_deref())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReceiver {
    webhook: Option<RawTarget>,
    slack: Option<RawTarget>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawTarget {
    url: Option<Spanned<String>>,
    url_from: Option<Spanned<String>>,
    secret: Option<Spanned<String>>,
}

/// Validates one entry; problems go to `problem`, with the place where they are.
pub(super) fn receiver(raw: Spanned<RawReceiver>, mut problem: impl FnMut(&Spanned<()>, &str)) -> Option<Receiver> {
    let at = |spanned: &Spanned<String>| Spanned::new((), spanned.referenced, spanned.defined);
    let here = Spanned::new((), raw.referenced, raw.defined);
    let (format, target) = match (raw.value.webhook, raw.value.slack) {
        (Some(target), None) => (Format::CloudEvents, target),
        (None, Some(target)) => (Format::Slack, target),
        (None, None) | (Some(_), Some(_)) => {
            problem(&here, "a notification is either a `webhook` or a `slack`");
            return None;
        }
    };
    let to = match (target.url, target.url_from) {
        (Some(url), None) => {
            if !url.value.starts_with("http://") && !url.value.starts_with("https://") {
                problem(&at(&url), "a webhook's `url` must begin with `http://` or `https://`");
            }
            Destination::Url(url.value)
        }
        (None, Some(name)) => Destination::Secret(name.value),
        (None, None) | (Some(_), Some(_)) => {
            problem(&here, "a receiver needs either `url`, or `urlFrom` with the name of a secret that holds it");
            return None;
        }
    };
    if let Some(secret) = target.secret.as_ref().filter(|_| format == Format::Slack) {
        problem(&at(secret), "a chat checks no signature: leave `secret` out");
    }
    Some(Receiver { format, to, secret: target.secret.map(|secret| secret.value) })
}
