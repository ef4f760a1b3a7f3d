//! Reading `spec.checks`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_yaml::Spanned;

use super::headers::RawHeader;
use super::{Validator, is_dns_label};
use crate::core::policy::check::{Asks, Check, HttpCheck, JsonRule, Method, Status, Target, WebhookCheck};
use crate::core::url::{WebUrl, check_path};

/// One answer of a smoke test.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// Between two requests of one check: each goes over a new connection, so that several ask several pods at once, and time
/// between them shows nothing more. Most of what a release takes beyond its pods would be this pause (bench/README.md).
const INTERVAL_DEFAULT: Duration = Duration::from_millis(20);
/// A machine decides within seconds; where people decide, the policy says how long they may take.
const DECISION_DEFAULT: Duration = Duration::from_secs(60);
/// More passes in a row than this hold a release for longer than anybody wants.
const TIMES_MAX: u32 = 1_000;
/// More checks than this are a loop that wrote the file.
const CHECKS_MAX: usize = 50;
/// A body that needs more is no smoke test.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// A name in messages: it is read in one glance.
const NAME_CHARS_MAX: usize = 63;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCheck {
    name: Option<Spanned<String>>,
    http: Option<RawHttp>,
    webhook: Option<RawWebhook>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawHttp {
    service: Option<Spanned<String>>,
    port: Option<Spanned<u16>>,
    path: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
    live_url: Option<Spanned<String>>,
    #[serde(default)]
    method: Method,
    #[serde(default)]
    headers: BTreeMap<String, Spanned<RawHeader>>,
    body: Option<Spanned<String>>,
    status: Option<Spanned<RawStatuses>>,
    #[serde(default)]
    json: Vec<RawJson>,
    timeout: Option<Spanned<String>>,
    times: Option<Spanned<u32>>,
    interval: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    url: Spanned<String>,
    secret: Option<Spanned<String>>,
    #[serde(default)]
    headers: BTreeMap<String, Spanned<RawHeader>>,
    timeout: Option<Spanned<String>>,
}

/// `200`, `2xx`, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawStatuses {
    One(RawStatus),
    List(Vec<RawStatus>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawStatus {
    Number(u16),
    Class(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJson {
    pointer: Spanned<String>,
    equals: Value,
}

/// A Service, its port and the path there, each if it is given.
type RawAddress = (Option<Spanned<String>>, Option<Spanned<u16>>, Option<Spanned<String>>);

impl Validator {
    pub(super) fn checks(&mut self, raw: Vec<Spanned<RawCheck>>) -> Vec<Check> {
        let mut checks: Vec<Check> = Vec::new();
        if let Some(extra) = raw.get(CHECKS_MAX) {
            self.problem(extra, format!("more than {CHECKS_MAX} checks"));
        }
        for (index, spanned) in raw.into_iter().take(CHECKS_MAX).enumerate() {
            let at = Spanned::new((), spanned.referenced, spanned.defined);
            let RawCheck { name, http, webhook } = spanned.value;
            let name = name.map_or_else(|| format!("check-{}", index + 1), |name| self.check_name(name));
            if checks.iter().any(|check| check.name == name) {
                self.problem(&at, format!("two checks are named `{name}`"));
            }
            let asks = match (http, webhook) {
                (Some(http), None) => self.http(&at, &name, http).map(Asks::Http),
                (None, Some(webhook)) => self.webhook_check(&at, webhook).map(Asks::Webhook),
                (Some(_), Some(_)) | (None, None) => {
                    self.problem(&at, format!("check `{name}` needs either `http` or `webhook`"));
                    None
                }
            };
            checks.extend(asks.map(|asks| Check { name, asks }));
        }
        checks
    }

    fn check_name(&mut self, name: Spanned<String>) -> String {
        let fine = !name.value.is_empty()
            && name.value.chars().count() <= NAME_CHARS_MAX
            && !name.value.chars().any(|c| c.is_control() || c == '`');
        if !fine {
            self.problem(&name, format!("a check's `name` must be 1 to {NAME_CHARS_MAX} characters without '`'"));
        }
        name.value
    }

    fn http(&mut self, at: &Spanned<()>, name: &str, raw: RawHttp) -> Option<HttpCheck> {
        let target = self.target(at, name, (raw.service, raw.port, raw.path), raw.url, raw.live_url);
        let times = raw.times.map_or(1, |times| {
            if times.value == 0 || times.value > TIMES_MAX {
                self.problem(&times, format!("`times` must be 1 to {TIMES_MAX}"));
            }
            times.value
        });
        if let Some(body) = &raw.body {
            if body.value.len() > BODY_BYTES_MAX {
                self.problem(body, format!("`body` is longer than {BODY_BYTES_MAX} bytes"));
            }
            if matches!(raw.method, Method::Get | Method::Head) {
                self.problem(body, "a `body` needs `method: POST` or `method: PUT`");
            }
        }
        if let (Some(rule), Method::Head) = (raw.json.first(), raw.method) {
            self.problem(&rule.pointer, "the answer to `HEAD` has no body that `json` could look at");
        }
        Some(HttpCheck {
            method: raw.method,
            headers: self.headers(raw.headers),
            body: raw.body.map(|body| body.value),
            status: raw.status.map(|status| self.statuses(status)).unwrap_or_default(),
            json: raw.json.into_iter().map(|rule| self.json_rule(rule)).collect(),
            timeout: self.wait(at, "timeout", raw.timeout, TIMEOUT_DEFAULT),
            times,
            interval: self.duration(raw.interval, INTERVAL_DEFAULT),
            target: target?,
        })
    }

    fn target(
        &mut self,
        at: &Spanned<()>,
        name: &str,
        (service, port, path): RawAddress,
        url: Option<Spanned<String>>,
        live_url: Option<Spanned<String>>,
    ) -> Option<Target> {
        match (service, url) {
            (Some(service), None) => {
                if let Some(live_url) = &live_url {
                    self.problem(
                        live_url,
                        "`liveUrl` goes with `url`: the live Service of a preview is found by its name",
                    );
                }
                if !is_dns_label(&service.value) {
                    self.problem(&service, format!("`{}` is no Service's name", service.value));
                }
                if let Some(port) = port.as_ref().filter(|port| port.value == 0) {
                    self.problem(port, "`port` must be 1 to 65535");
                }
                if let Some(path) = &path
                    && let Err(why) = check_path(&path.value)
                {
                    self.problem(path, format!("`path` of check `{name}`: {why}"));
                }
                Some(Target::Service {
                    service: service.value,
                    port: port.map_or(80, |port| port.value),
                    path: path.map_or_else(|| "/".to_owned(), |path| path.value),
                })
            }
            (None, Some(url)) => {
                if port.is_some() || path.is_some() {
                    self.problem(&url, "`port` and `path` stand in the `url` itself");
                }
                let live = live_url.map(|live| self.url(&live));
                let url = self.url(&url)?;
                match live {
                    Some(live) => Some(Target::Url { url, live: Some(live?) }),
                    None => Some(Target::Url { url, live: None }),
                }
            }
            (Some(_), Some(_)) | (None, None) => {
                self.problem(at, format!("check `{name}` needs either a `service` or a `url`"));
                None
            }
        }
    }

    fn url(&mut self, raw: &Spanned<String>) -> Option<WebUrl> {
        WebUrl::parse(&raw.value).map_err(|why| self.problem(raw, why)).ok()
    }

    fn webhook_check(&mut self, at: &Spanned<()>, raw: RawWebhook) -> Option<WebhookCheck> {
        let url = self.url(&raw.url);
        Some(WebhookCheck {
            secret: raw.secret.map(|secret| {
                self.secret_name(&secret, &secret.value);
                secret.value.clone()
            }),
            headers: self.headers(raw.headers),
            timeout: self.wait(at, "timeout", raw.timeout, DECISION_DEFAULT),
            url: url?,
        })
    }

    /// A duration that cannot be zero: nothing answers in no time.
    fn wait(&mut self, at: &Spanned<()>, field: &str, raw: Option<Spanned<String>>, default: Duration) -> Duration {
        let wait = self.duration(raw, default);
        if wait.is_zero() {
            self.problem(at, format!("`{field}` must be longer than 0"));
        }
        wait
    }

    fn statuses(&mut self, raw: Spanned<RawStatuses>) -> Vec<Status> {
        let at = Spanned::new((), raw.referenced, raw.defined);
        let all = match raw.value {
            RawStatuses::One(one) => vec![one],
            RawStatuses::List(list) => list,
        };
        let mut statuses = Vec::new();
        for one in all {
            let read = match &one {
                RawStatus::Number(number @ 100..=599) => Some(Status::One(*number)),
                RawStatus::Number(_) => None,
                RawStatus::Class(text) => match text.as_bytes() {
                    [digit @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => Some(Status::Class(u16::from(digit - b'0'))),
                    _number_or_nonsense => text.parse().ok().filter(|one| (100..600).contains(one)).map(Status::One),
                },
            };
            match read {
                Some(status) => statuses.push(status),
                None => self.problem(
                    &at,
                    "`status` must be a number from 100 to 599, a class such as `2xx`, or a list of them",
                ),
            }
        }
        statuses
    }

    fn json_rule(&mut self, raw: RawJson) -> JsonRule {
        let pointer = &raw.pointer.value;
        let escapes =
            pointer.match_indices('~').all(|(at, _)| matches!(pointer.as_bytes().get(at + 1), Some(b'0' | b'1')));
        if !(pointer.is_empty() || pointer.starts_with('/')) || !escapes {
            self.problem(
                &raw.pointer,
                "`pointer` must be a JSON pointer such as `/status/0`, or empty for the whole answer",
            );
        }
        JsonRule { pointer: pointer.clone(), equals: raw.equals }
    }
}

#[cfg(test)]
mod tests;
