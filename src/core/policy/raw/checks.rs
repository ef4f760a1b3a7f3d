//! Reading `spec.checks`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_yaml::Spanned;

use super::{Validator, is_dns_label};
use crate::core::policy::check::{
    Asks, Check, Header, HeaderValue, HttpCheck, JsonRule, Method, Status, Target, WebhookCheck,
};
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
/// More headers than this are refused by servers, too.
const HEADERS_MAX: usize = 50;
/// What servers take of one header.
const HEADER_CHARS_MAX: usize = 4_096;
/// A body that needs more is no smoke test.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// A name in messages: it is read in one glance.
const NAME_CHARS_MAX: usize = 63;

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

/// `X-Caller: turquoise`, or a Secret's name.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawHeader {
    Text(String),
    Secret(RawSecret),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecret {
    secret: String,
    #[serde(default)]
    prefix: String,
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

    fn headers(&mut self, raw: BTreeMap<String, Spanned<RawHeader>>) -> Vec<Header> {
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

    fn secret_name<T>(&mut self, at: &Spanned<T>, name: &str) {
        let fine = !name.is_empty()
            && name.len() <= 253
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if !fine {
            self.problem(at, "a Secret is named by letters, digits, `-`, `_` and `.`, as the operator granted it");
        }
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

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn one(body: &str) -> Result<Check, Vec<String>> {
        let text = format!("apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\nspec:\n  checks:\n  - {body}\n");
        let lines = |problem: &crate::core::policy::PolicyProblem| format!("{}: {}", problem.line, problem.message);
        parse(&text).map(|mut policy| policy.checks.remove(0)).map_err(|problems| problems.iter().map(lines).collect())
    }

    #[test]
    fn every_field_of_a_check_is_read() {
        let check = one(
            "name: smoke\n    http:\n      service: s-preview\n      port: 8080\n      path: /x?y=1\n      method: PUT\n      headers:\n        X-Caller: turquoise\n        Authorization: {secret: api, prefix: 'Bearer '}\n      body: '{}'\n      status: [200, 2xx, '304']\n      json:\n      - {pointer: /a/0, equals: up}\n      - {pointer: '', equals: {a: [1, null]}}\n      timeout: 1s\n      times: 2\n      interval: 5ms",
        )
        .expect("a valid check");
        let Asks::Http(http) = &check.asks else { panic!("{check:?}") };
        assert_eq!(http.target, Target::Service { service: "s-preview".into(), port: 8080, path: "/x?y=1".into() });
        assert_eq!(http.status, [Status::One(200), Status::Class(2), Status::One(304)]);
        assert_eq!(http.headers.len(), 2);
        assert_eq!(http.json[1].equals, serde_json::json!({"a": [1, null]}));
        assert_eq!((http.times, http.body.as_deref()), (2, Some("{}")));
        assert_eq!(check.secrets().collect::<Vec<_>>(), ["api"]);

        let check = one("webhook: {url: 'https://board.example.org/x', secret: board, timeout: 2h}").expect("valid");
        assert_eq!(check.name, "check-1");
        assert_eq!(check.urls().map(ToString::to_string).collect::<Vec<_>>(), ["board.example.org:443"]);
        assert_eq!(check.secrets().collect::<Vec<_>>(), ["board"]);

        let check = one("http: {url: 'http://preview.example/', liveUrl: 'http://example/'}").expect("valid");
        assert_eq!(check.urls().count(), 2);
        assert_eq!(check.service(), None);
    }

    #[test]
    fn what_is_wrong_with_a_check_is_said_with_its_line() {
        let http = |fields: &str| format!("http:\n      service: s\n      {fields}");
        for (body, line, words) in [
            ("name: x".to_owned(), 5, "either `http` or `webhook`"),
            ("http: {service: s}\n    webhook: {url: 'http://h/'}".into(), 5, "either `http` or `webhook`"),
            ("http: {path: /}".into(), 5, "either a `service` or a `url`"),
            ("http: {service: ../x}".into(), 5, "no Service's name"),
            (http("port: 0"), 7, "1 to 65535"),
            (http("port: 70000"), 7, ""),
            (http("path: smoke"), 7, "begin with `/`"),
            (http("path: /../../secrets"), 7, "`..`"),
            (http("path: \"/a\\r\\nX: y\""), 7, "ASCII"),
            (http("liveUrl: http://h/"), 7, "goes with `url`"),
            (http("method: BREW"), 7, ""),
            (http("body: x"), 7, "needs `method: POST`"),
            (http("status: 99"), 7, "100 to 599"),
            (http("status: [200, 9xx]"), 7, "100 to 599"),
            (http("json: [{pointer: a, equals: 1}]"), 7, "JSON pointer"),
            (http("json: [{pointer: /~2, equals: 1}]"), 7, "JSON pointer"),
            (http("times: 0"), 7, "1 to 1000"),
            (http("timeout: 0"), 5, "longer than 0"),
            (http("interval: often"), 7, "no duration"),
            (http("retries: 3"), 7, "unknown field `retries`"),
            (http("headers:\n        Host: x"), 8, "written by turquoise itself"),
            (http("headers:\n        Impersonate-User: admin"), 8, "for API servers"),
            (http("headers:\n        'X Y': z"), 8, "no header's name"),
            (http("headers:\n        X: \"a\\r\\nY: b\""), 8, "visible ASCII"),
            (http("headers:\n        Authorization: Bearer hunter2"), 8, "must not stand in git"),
            (http("headers:\n        A: {secret: '../x'}"), 8, "as the operator granted it"),
            (http("headers:\n        X-A: b\n        x-a: c"), 9, "two headers"),
            ("http:\n      url: http://u:p@h/".into(), 6, "user or password"),
            ("http:\n      url: http://h/\n      port: 80".into(), 6, "in the `url` itself"),
            ("webhook:\n      url: gopher://h/".into(), 6, "must begin"),
            ("webhook:\n      url: http://h/\n      timeout: 8d".into(), 7, "seven days"),
            ("webhook:\n      url: http://h/\n      secret: 'a b'".into(), 7, "as the operator granted it"),
        ] {
            let problems = one(&body).expect_err(&body);
            let found =
                problems.iter().any(|problem| problem.starts_with(&format!("{line}: ")) && problem.contains(words));
            assert!(found, "{body}: {problems:?}");
            assert!(
                !problems.iter().any(|problem| problem.contains("hunter2") || problem.contains("u:p")),
                "{problems:?}"
            );
        }
    }
}
