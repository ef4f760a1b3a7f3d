//! Phases, reasons, verdicts, metrics: the code's words and the documents'.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use turquoise::core::colour::Colour;
use turquoise::core::ids::CommitId;
use turquoise::core::report::{Alert, Blocked, Phase, Waiting};
use turquoise::core::text::OneLine;
use turquoise::core::verdict::Verdict;
use turquoise::http::Metrics;

use super::{document, first_column};

/// One of each. A variant that is added makes the match below incomplete: then it belongs into the list as well, and
/// into the documents.
fn phases() -> Vec<Phase> {
    let all = vec![
        Phase::Settled,
        Phase::Deploying,
        Phase::Verifying,
        Phase::AwaitingApproval,
        Phase::Flipping,
        Phase::Watching,
        Phase::Blocked,
    ];
    let index = |phase: &Phase| match phase {
        Phase::Settled => 0,
        Phase::Deploying => 1,
        Phase::Verifying => 2,
        Phase::AwaitingApproval => 3,
        Phase::Flipping => 4,
        Phase::Watching => 5,
        Phase::Blocked => 6,
    };
    assert!(all.iter().enumerate().all(|(at, one)| index(one) == at));
    all
}

fn waiting() -> Vec<Waiting> {
    let (colour, at) = (Colour::Green, Timestamp::UNIX_EPOCH);
    let all = vec![
        Waiting::Readiness { colour, ready: 0, wanted: 1, trouble: None, deadline: at },
        Waiting::Size { colour, ready: 0, wanted: 1, deadline: at },
        Waiting::Endpoints { service: String::new(), colour },
        Waiting::Checks { checks: Vec::new() },
        Waiting::Approval { colour, revision: CommitId::new("") },
        Waiting::Watch { until: at },
        Waiting::Retire { colour, at },
    ];
    let index = |one: &Waiting| match one {
        Waiting::Readiness { .. } => 0,
        Waiting::Size { .. } => 1,
        Waiting::Endpoints { .. } => 2,
        Waiting::Checks { .. } => 3,
        Waiting::Approval { .. } => 4,
        Waiting::Watch { .. } => 5,
        Waiting::Retire { .. } => 6,
    };
    assert!(all.iter().enumerate().all(|(at, one)| index(one) == at));
    all
}

fn blocked() -> Vec<Blocked> {
    let (words, colour) = (OneLine::new("words"), Colour::Blue);
    let all = vec![
        Blocked::SelectorUnknown { found: words.clone() },
        Blocked::ServingUnknown { found: words.clone() },
        Blocked::LiveOverlayOnly { colour },
        Blocked::Invalid { problems: Vec::new() },
        Blocked::SelectorNotEditable { why: words.clone() },
        Blocked::NotOurs { objects: Vec::new() },
        Blocked::OtherColourServing { serving: colour, declared: colour },
        Blocked::SelectorTooWide { service: words.clone(), selector: words.clone(), colour },
        Blocked::OtherCluster { cluster: words.clone() },
        Blocked::DuplicateName { folders: Vec::new() },
        Blocked::Refused { words: words.clone() },
        Blocked::LeftBehind { objects: Vec::new(), delete: words.to_string() },
    ];
    let index = |one: &Blocked| match one {
        Blocked::SelectorUnknown { .. } => 0,
        Blocked::ServingUnknown { .. } => 1,
        Blocked::LiveOverlayOnly { .. } => 2,
        Blocked::Invalid { .. } => 3,
        Blocked::SelectorNotEditable { .. } => 4,
        Blocked::NotOurs { .. } => 5,
        Blocked::OtherColourServing { .. } => 6,
        Blocked::SelectorTooWide { .. } => 7,
        Blocked::OtherCluster { .. } => 8,
        Blocked::DuplicateName { .. } => 9,
        Blocked::Refused { .. } => 10,
        Blocked::LeftBehind { .. } => 11,
    };
    assert!(all.iter().enumerate().all(|(at, one)| index(one) == at));
    all
}

fn alerts() -> Vec<Alert> {
    let words = OneLine::new("words");
    let all = vec![
        Alert::NothingToGoBackTo { failure: words.clone() },
        Alert::PinUnreachable { revision: CommitId::new("") },
        Alert::PushDeclined { words: words.clone() },
        Alert::Astray { services: Vec::new() },
        Alert::VerifiedNotReady { colour: Colour::Green, failure: words },
        Alert::Drift { objects: Vec::new() },
        Alert::Missing { objects: Vec::new() },
        Alert::NameTaken { by: OneLine::new("words") },
        Alert::Configuration { problems: Vec::new() },
        Alert::FlipBackUncommitted { colour: Colour::Blue, failure: OneLine::new("words") },
    ];
    let index = |one: &Alert| match one {
        Alert::NothingToGoBackTo { .. } => 0,
        Alert::PinUnreachable { .. } => 1,
        Alert::PushDeclined { .. } => 2,
        Alert::Astray { .. } => 3,
        Alert::VerifiedNotReady { .. } => 4,
        Alert::Drift { .. } => 5,
        Alert::Missing { .. } => 6,
        Alert::NameTaken { .. } => 7,
        Alert::Configuration { .. } => 8,
        Alert::FlipBackUncommitted { .. } => 9,
    };
    assert!(all.iter().enumerate().all(|(at, one)| index(one) == at));
    all
}

fn set<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    words.into_iter().map(|word| word.as_ref().to_owned()).collect()
}

/// The values of an enumeration in the OpenAPI description.
fn openapi(pointer: &str) -> BTreeSet<String> {
    let description: Value = serde_saphyr(&document("docs/openapi.yaml"));
    let values =
        description.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("nothing at {pointer}"));
    values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

pub(super) fn serde_saphyr(text: &str) -> Value {
    serde_yaml::from_str(text).expect("YAML")
}

#[test]
fn every_phase_and_reason_is_documented_and_none_that_is_not() {
    let status = document("docs/status.md");
    for (heading, pointer, words) in [
        ("## Phases", "/components/schemas/App/properties/phase/enum", set(phases().iter().map(|one| one.as_str()))),
        (
            "## Waiting",
            "/components/schemas/Waiting/properties/reason/enum",
            set(waiting().iter().map(Waiting::as_str)),
        ),
        (
            "## Blocked",
            "/components/schemas/Blocked/properties/reason/enum",
            set(blocked().iter().map(Blocked::as_str)),
        ),
        ("## Alerts", "/components/schemas/Alert/properties/reason/enum", set(alerts().iter().map(Alert::as_str))),
        ("## Verdicts", "/components/schemas/VerdictWord/enum", set(Verdict::ALL.iter().map(|one| one.as_str()))),
    ] {
        assert_eq!(set(first_column(&status, heading)), words, "docs/status.md, {heading}");
        assert_eq!(openapi(pointer), words, "docs/openapi.yaml, {pointer}");
    }
}

#[test]
fn the_words_are_those_of_the_json() {
    let reason = |value: Result<Value, _>| value.expect("JSON")["reason"].as_str().map(str::to_owned);
    for one in waiting() {
        assert_eq!(reason(serde_json::to_value(&one)).as_deref(), Some(one.as_str()));
    }
    for one in blocked() {
        assert_eq!(reason(serde_json::to_value(&one)).as_deref(), Some(one.as_str()));
    }
    for one in alerts() {
        assert_eq!(reason(serde_json::to_value(&one)).as_deref(), Some(one.as_str()));
    }
}

#[test]
fn every_blocked_reason_has_a_section_with_its_cure() {
    let text = document("docs/blocked.md");
    let sections: BTreeSet<String> =
        text.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    assert_eq!(sections, set(blocked().iter().map(Blocked::as_str)));
    for one in blocked() {
        let section = text.split_once(&format!("\n## {}\n", one.as_str())).expect("a section").1;
        let section =
            section.split("\n## ").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            section.contains(one.cure()),
            "docs/blocked.md, {}: the cure is not there word by word: {}",
            one.as_str(),
            one.cure()
        );
        assert!(
            !one.cure().is_empty() && section.len() > one.cure().len() + 100,
            "{}: a section explains",
            one.as_str()
        );
    }
}

#[test]
fn every_field_of_the_status_is_documented() {
    let status = document("docs/status.md");
    let description = serde_saphyr(&document("docs/openapi.yaml"));
    let fields = description.pointer("/components/schemas/App/properties").and_then(Value::as_object).expect("fields");
    for field in fields.keys() {
        assert!(status.contains(&format!("`{field}`")), "docs/status.md says nothing of `{field}`");
    }
}

#[test]
fn every_metric_is_documented_and_none_that_is_not() {
    let metrics = Metrics::default();
    // A counter is written with `_total`; which are counters, the text of the registry says.
    metrics.look("shop", "done");
    metrics.verdict("shop", "released");
    metrics.switched("shop");
    metrics.repo("shop.git", Some(true));
    metrics.hook("accepted");
    metrics.message("shop", "delivered", 1);
    let text = metrics.text();
    let full = |name: &str| {
        let counter = text.contains(&format!("# TYPE turquoise_{name} counter"));
        format!("turquoise_{name}{}", if counter { "_total" } else { "" })
    };
    let registered = set(metrics.names().iter().map(|name| full(name)));
    let documented = document("docs/metrics.md");
    let rows = documented.lines().filter_map(|line| line.strip_prefix("| `turquoise_"));
    let rows = set(rows.filter_map(|row| Some(format!("turquoise_{}", row.split_once('`')?.0))));
    assert_eq!(rows, registered, "docs/metrics.md");
}
