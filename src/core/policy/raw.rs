//! Reading `turquoise.yaml`: raw serde types, validated once, every problem reported with its line.

use std::time::Duration;

use serde::Deserialize;
use serde_yaml::Spanned;

use super::notifications::{self, RECEIVERS_MAX, RawReceiver, Receiver};
use super::{Messages, OnGitDown, Overlays, Policy, PolicyProblem, Promotion, Retire};
use crate::core::ids::AppName;
use crate::core::template::Template;
use crate::core::text::OneLine;

mod checks;
mod headers;

use checks::RawCheck;
pub(crate) use headers::is_header_text;

/// Long enough for an image pull and a slow start; most teams set it shorter.
pub(super) const READINESS_DEADLINE_DEFAULT: Duration = Duration::from_secs(600);
/// Long enough to see a crash under real traffic, short enough not to hold the next release.
pub(super) const WATCH_DEFAULT: Duration = Duration::from_secs(60);
/// A delay beyond a week is a typing error.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawFile {
    api_version: Spanned<String>,
    kind: Spanned<String>,
    #[serde(default)]
    metadata: RawMetadata,
    #[serde(default)]
    spec: RawSpec,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawMetadata {
    name: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawSpec {
    namespace: Option<Spanned<String>>,
    #[serde(default)]
    overlays: RawOverlays,
    selector_key: Option<Spanned<String>>,
    #[serde(default)]
    preview_services: Vec<String>,
    readiness_deadline: Option<Spanned<String>>,
    #[serde(default)]
    checks: Vec<Spanned<RawCheck>>,
    #[serde(default)]
    promotion: Promotion,
    watch: Option<Spanned<String>>,
    #[serde(default)]
    on_git_down: OnGitDown,
    retire: Option<Spanned<RawRetire>>,
    #[serde(default)]
    notifications: Vec<Spanned<RawReceiver>>,
    #[serde(default)]
    adopt: bool,
    #[serde(default)]
    commits: RawMessages,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawMessages {
    subject: Option<Spanned<String>>,
    note: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawOverlays {
    blue: Option<Spanned<String>>,
    green: Option<Spanned<String>>,
    live: Option<Spanned<String>>,
}

/// `retire: keep`, or a map with what to do and when.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`retire` is `keep`, `{scaleTo: 1, after: 5m}` or `{delete: true, after: 1h}`")]
enum RawRetire {
    Word(String),
    Map(RawRetireMap),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawRetireMap {
    scale_to: Option<u32>,
    #[serde(default)]
    delete: bool,
    after: Option<String>,
}

/// Reads and validates a `turquoise.yaml`.
///
/// # Errors
/// Every problem that could be found, each with its line; broken YAML and unknown fields end the search.
pub fn parse(text: &str) -> Result<Policy, Vec<PolicyProblem>> {
    let raw: RawFile = serde_yaml::from_str(text).map_err(|error| {
        vec![PolicyProblem {
            line: error.location().map_or(0, |at| at.line()),
            message: OneLine::new(&in_our_words(&error.without_snippet().to_string())),
        }]
    })?;
    let mut validator = Validator { problems: Vec::new() };
    let policy = validator.policy(raw);
    if validator.problems.is_empty() { Ok(policy) } else { Err(validator.problems) }
}

/// The reader's words without its position, which stands before them, and without its own function names. An unknown
/// field gets the nearest known one instead of all of them.
pub(crate) fn in_our_words(words: &str) -> String {
    let words = words.rsplit_once(" at line ").map_or(words, |(words, _)| words);
    if let Some((field, known)) = words.split_once("unknown field `").and_then(|(_, rest)| rest.split_once('`')) {
        let known = known.split([',', ' ', '`']).filter(|word| word.len() > 2 && *word != "expected" && *word != "one");
        let near = known.map(|word| (distance(field, word), word)).filter(|(distance, _)| *distance <= 3).min();
        let hint = near.map(|(_, word)| format!("; did you mean `{word}`?")).unwrap_or_default();
        return format!("unknown field `{field}`{hint}");
    }
    if words.contains("from_str_multiple") {
        return "more than one YAML document".to_owned();
    }
    let plain = [
        ("expected sequence start", "a list was expected here"),
        ("expected mapping start", "a mapping was expected here"),
        ("unexpected end of input", "the file is empty, or ends too early"),
    ];
    plain.iter().find(|(theirs, _)| words == *theirs).map_or(words, |(_, ours)| ours).to_owned()
}

/// How many letters must change, come or go between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Collects every problem while it turns raw values into valid ones.
struct Validator {
    problems: Vec<PolicyProblem>,
}

impl Validator {
    fn problem<T>(&mut self, at: &Spanned<T>, message: impl AsRef<str>) {
        self.problems.push(PolicyProblem { line: at.referenced.line(), message: OneLine::new(message.as_ref()) });
    }

    fn policy(&mut self, raw: RawFile) -> Policy {
        if raw.api_version.value != "turquoise.dev/v1alpha1" {
            self.problem(&raw.api_version, "`apiVersion` must be `turquoise.dev/v1alpha1`");
        }
        if raw.kind.value != "BlueGreen" {
            self.problem(&raw.kind, "`kind` must be `BlueGreen`");
        }
        let default = Policy::default();
        let spec = raw.spec;
        let watch = self.duration(spec.watch, default.watch);
        Policy {
            name: raw.metadata.name.map(|name| {
                if !is_dns_label(&name.value) {
                    self.problem(
                        &name,
                        format!("`{}` is no name: lower-case letters, digits and `-`, at most 63", name.value),
                    );
                }
                AppName::new(name.value)
            }),
            namespace: spec.namespace.map(|namespace| {
                if !is_dns_label(&namespace.value) {
                    self.problem(&namespace, format!("`{}` is no namespace", namespace.value));
                }
                namespace.value
            }),
            overlays: Overlays {
                blue: self.folder(spec.overlays.blue, default.overlays.blue),
                green: self.folder(spec.overlays.green, default.overlays.green),
                live: self.folder(spec.overlays.live, default.overlays.live),
            },
            selector_key: spec.selector_key.map(|key| key.value),
            preview_services: spec.preview_services,
            readiness_deadline: self.deadline(spec.readiness_deadline, default.readiness_deadline),
            checks: self.checks(spec.checks),
            promotion: spec.promotion,
            retire: self.retire(spec.retire, watch),
            watch,
            on_git_down: spec.on_git_down,
            notifications: self.receivers(spec.notifications),
            adopt: spec.adopt,
            commits: Messages { subject: self.template(spec.commits.subject), note: self.template(spec.commits.note) },
        }
    }

    fn template(&mut self, raw: Option<Spanned<String>>) -> Option<Template> {
        let raw = raw?;
        Template::parse(&raw.value).map_err(|why| self.problem(&raw, why)).ok()
    }

    fn duration(&mut self, raw: Option<Spanned<String>>, default: Duration) -> Duration {
        let Some(raw) = raw else { return default };
        match parse_duration(&raw.value) {
            Ok(duration) => duration,
            Err(why) => {
                self.problem(&raw, why);
                default
            }
        }
    }

    /// A duration in which something can happen.
    fn deadline(&mut self, raw: Option<Spanned<String>>, default: Duration) -> Duration {
        if let Some(zero) = raw.as_ref().filter(|raw| parse_duration(&raw.value) == Ok(Duration::ZERO)) {
            self.problem(zero, "`readinessDeadline` must be longer than 0: nothing is ready at once");
        }
        self.duration(raw, default)
    }

    fn folder(&mut self, raw: Option<Spanned<String>>, default: String) -> String {
        let Some(raw) = raw else { return default };
        let path = raw.value.trim_end_matches('/').to_owned();
        let inside = !path.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !inside {
            self.problem(&raw, format!("`{}` must be a folder below turquoise.yaml, without `.` and `..`", raw.value));
        }
        path
    }

    fn retire(&mut self, raw: Option<Spanned<RawRetire>>, watch: Duration) -> Retire {
        let Some(spanned) = raw else {
            return Retire::Keep;
        };
        let at = Spanned::new((), spanned.referenced, spanned.defined);
        let map = match spanned.value {
            RawRetire::Word(word) if word == "keep" => return Retire::Keep,
            RawRetire::Word(word) if word == "delete" => RawRetireMap { scale_to: None, delete: true, after: None },
            RawRetire::Word(word) => {
                self.problem(
                    &at,
                    format!("`retire: {word}` is not known; write `keep`, `delete` or `{{scaleTo: 0, after: 10m}}`"),
                );
                return Retire::Keep;
            }
            RawRetire::Map(map) => map,
        };
        let after = match map.after.as_deref().map(parse_duration) {
            None => watch,
            Some(Ok(after)) => after,
            Some(Err(why)) => {
                self.problem(&at, why);
                watch
            }
        };
        if after < watch {
            self.problem(&at, "`retire.after` is shorter than `watch`: a failed watch could not flip back");
        }
        match (map.scale_to, map.delete) {
            (Some(replicas), false) => Retire::ScaleTo { replicas, after },
            (None, true) => Retire::Delete { after },
            (Some(_), true) | (None, false) => {
                self.problem(&at, "`retire` needs either `scaleTo` or `delete: true`");
                Retire::Keep
            }
        }
    }

    fn receivers(&mut self, raw: Vec<Spanned<RawReceiver>>) -> Vec<Receiver> {
        if let Some(extra) = raw.get(RECEIVERS_MAX) {
            self.problem(extra, format!("more than {RECEIVERS_MAX} notifications"));
        }
        let entries = raw.into_iter().take(RECEIVERS_MAX);
        entries.filter_map(|entry| notifications::receiver(entry, |at, words| self.problem(at, words))).collect()
    }
}

/// Whether a text is an RFC 1123 label.
pub(crate) fn is_dns_label(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Reads `90s`, `1m30s`, `500ms`, `2h`; a bare `0` too.
///
/// # Errors
/// What is wrong with the text, and how to write it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; write for example `30s`, `1m30s` or `500ms`");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text.trim();
    let mut total_ms: u64 = 0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest.get(..digits).unwrap_or_default().parse().map_err(|_| wrong())?;
        rest = rest.get(digits..).unwrap_or_default();
        let (unit_ms, unit_len) = match rest {
            r if r.starts_with("ms") => (1, 2),
            r if r.starts_with('s') => (1_000, 1),
            r if r.starts_with('m') => (60_000, 1),
            r if r.starts_with('h') => (3_600_000, 1),
            r if r.starts_with('d') => (86_400_000, 1),
            _no_unit => return Err(wrong()),
        };
        total_ms = number.checked_mul(unit_ms).and_then(|ms| total_ms.checked_add(ms)).ok_or_else(wrong)?;
        rest = rest.get(unit_len..).unwrap_or_default();
    }
    let duration = Duration::from_millis(total_ms);
    if duration > DURATION_MAX { Err(format!("`{text}` is longer than seven days")) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\n";

    #[test]
    fn nothing_but_version_and_kind_is_enough() {
        assert_eq!(parse(HEAD), Ok(Policy::default()));
    }

    #[test]
    fn every_field_is_read() {
        let text = format!(
            "{HEAD}metadata: {{name: shop}}\nspec:\n  namespace: prod\n  overlays: {{blue: a, green: b/c, live: d}}\n  selectorKey: slot\n  previewServices: [test]\n  \
             readinessDeadline: 1m30s\n  promotion: manual\n  watch: 0\n  onGitDown: flip-back\n  retire: {{scaleTo: 1, after: 5m}}\n  adopt: true\n  \
             commits: {{subject: '{{app}}: {{summary}} [skip ci]', note: 'by {{branch}}'}}\n  \
             notifications:\n  - webhook: {{url: 'http://h/x', secret: key}}\n  - slack: {{urlFrom: chat}}\n  checks:\n  - name: smoke\n    http: {{service: s-preview, port: 8080, path: /x, method: POST, status: 204, timeout: 1s, times: 2, interval: 5ms}}\n"
        );
        let policy = parse(&text).expect("a valid file");
        assert_eq!(policy.readiness_deadline, Duration::from_secs(90));
        assert_eq!(policy.retire, Retire::ScaleTo { replicas: 1, after: Duration::from_secs(300) });
        assert_eq!(policy.checks[0].name, "smoke");
        assert_eq!(policy.overlays.green, "b/c");
        assert_eq!(policy.on_git_down, OnGitDown::FlipBack);
        let secrets: Vec<&str> = policy.notifications.iter().flat_map(Receiver::secrets).collect();
        assert_eq!(secrets, ["key", "chat"]);
    }

    #[test]
    fn problems_carry_their_lines_and_come_all_at_once() {
        for (body, expect) in [
            ("spec:\n  wach: 5s\n", vec![(4, "unknown field `wach`; did you mean `watch`?")]),
            ("spec:\n  watch: soon\n  readinessDeadline: 8d\n", vec![(4, "no duration"), (5, "seven days")]),
            ("spec:\n  watch: 5m\n  retire: {scaleTo: 0, after: 1m}\n", vec![(5, "shorter than `watch`")]),
            ("spec:\n  overlays:\n    blue: ../x\n", vec![(5, "below turquoise.yaml")]),
            ("spec:\n  commits: {subject: '{HOME}'}\n", vec![(4, "no field `{HOME}`")]),
            ("spec:\n  retire: later\n", vec![(4, "retire: later")]),
            (
                "spec:\n  notifications:\n  - webhook: {url: ftp://h}\n  - slack: {}\n  - slack: {urlFrom: chat, secret: x}\n",
                vec![(5, "must begin with"), (6, "urlFrom"), (7, "no signature")],
            ),
            ("spec: [\n", vec![(3, "mapping")]),
            ("spec:\n  checks: {a: 1}\n", vec![(4, "a list was expected here")]),
            ("spec:\n  retire: {scaleTo: -1}\n", vec![(4, "`retire` is `keep`, `{scaleTo: 1")]),
            ("spec:\n  readinessDeadline: 0s\n", vec![(4, "longer than 0")]),
        ] {
            let mut problems = parse(&format!("{HEAD}{body}")).expect_err(body);
            problems.sort_by_key(|problem| problem.line);
            assert_eq!(problems.len(), expect.len(), "{body}: {problems:?}");
            for (problem, (line, word)) in problems.iter().zip(expect) {
                assert_eq!(problem.line, line, "{body}: {problem}");
                assert!(problem.message.as_str().contains(word), "{body}: {problem}");
            }
        }
    }
}
