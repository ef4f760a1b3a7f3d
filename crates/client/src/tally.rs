//! What the answers say in all. Pure: the answers come in with their times.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use crate::ask::Answer;
use crate::latency::{Histogram, Percentiles, ms};

/// Failures that are kept in words: the first ones tell the story, the number tells the rest.
const FAILURES_KEPT: usize = 20;
/// What counts as around a flip, before and after: kube-proxy's work and a cold pod's first answers are over by then.
const AROUND: Duration = Duration::from_secs(1);
/// Flips that are kept; a run of the whole suite has some two hundred.
const FLIPS_KEPT: usize = 2_000;

/// How a request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Over a connection of its own.
    New,
    /// Over a connection that is kept.
    Kept,
    /// One that takes long, over a connection of its own.
    Long,
}

/// One request and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) kind: Kind,
    pub(crate) sent: Instant,
    pub(crate) took: Duration,
    /// When the answer came, for people.
    pub(crate) at: Timestamp,
    pub(crate) outcome: Result<Answer, String>,
}

impl Asked {
    /// The log's line.
    pub(crate) fn line(&self) -> String {
        let seconds = self.took.as_secs_f64();
        let at = self.at;
        match &self.outcome {
            Ok(Answer { status: 200, body }) => format!("[{at:.3}] {body} in {seconds:.4}s"),
            Ok(Answer { status, body }) => format!("[{at:.3}] {status} {body} in {seconds:.4}s"),
            Err(words) => format!("[{at:.3}] {words} in {seconds:.4}s"),
        }
    }

    fn version(&self) -> Option<&str> {
        self.outcome.as_ref().ok()?.body["version"].as_str()
    }

    /// A status of 200 and no errors in the answer.
    fn is_good(&self) -> bool {
        let Ok(Answer { status: 200, body }) = &self.outcome else { return false };
        body["errors"].as_array().is_some_and(Vec::is_empty)
    }

    /// Both tiers' versions are in the answer, and they differ.
    fn is_mixed(&self) -> bool {
        let Ok(Answer { body, .. }) = &self.outcome else { return false };
        body["backend"].as_str().is_some_and(|backend| body["version"] != backend)
    }
}

/// Requests of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct KindTally {
    /// Requests that were sent and answered, or given up.
    pub sent: u64,
    /// Requests without an answer, with another status than 200, or with errors in the answer.
    pub failed: u64,
}

/// New connections began to see another version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flip {
    /// The version before.
    pub from: String,
    /// The version after.
    pub to: String,
    /// When the first answer of the new version came.
    pub at: Timestamp,
    /// How much later the last answer of the old version came over a new connection; 0 if none came later.
    pub last_old_ms: f64,
    /// Requests around the flip, from a second before to a second after.
    pub requests: usize,
    /// Their latencies.
    #[serde(flatten)]
    pub latency: Percentiles,
}

/// What was seen, as one JSON object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// All requests.
    pub sent: u64,
    /// Requests without an answer, with another status than 200, or with errors in the answer.
    pub failed: u64,
    /// Answers in which the two tiers' versions differ.
    pub mixed: u64,
    /// How long it was asked, and how often a second.
    pub seconds: f64,
    /// Requests a second.
    pub per_second: f64,
    /// By kind of connection.
    pub kinds: BTreeMap<Kind, KindTally>,
    /// Good answers by version.
    pub versions: BTreeMap<String, u64>,
    /// Latencies of all requests but the long ones.
    pub latency: Percentiles,
    /// Each time that new connections began to see another version, in order. Versions that change to and fro show here.
    pub flips: Vec<Flip>,
    /// The first failures, as they stand in the log.
    pub failures: Vec<String>,
}

/// The version that new connections see, and since when.
#[derive(Debug, Clone)]
struct Current {
    version: String,
    first_seen: Instant,
}

/// A flip while the answers around it still come in.
#[derive(Debug, Clone)]
struct Watched {
    from: String,
    to: String,
    at: Timestamp,
    first_new: Instant,
    last_old: Option<Instant>,
    around: Vec<Duration>,
}

/// The running count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    kinds: BTreeMap<Kind, KindTally>,
    mixed: u64,
    versions: BTreeMap<String, u64>,
    latency: Histogram,
    failures: Vec<String>,
    current: Option<Current>,
    flips: Vec<Watched>,
    recent: VecDeque<(Instant, Duration)>,
}

impl Tally {
    pub(crate) fn sent(&self) -> u64 {
        self.kinds.values().map(|kind| kind.sent).sum()
    }

    /// Counts one request.
    pub(crate) fn note(&mut self, asked: &Asked) {
        let kind = self.kinds.entry(asked.kind).or_default();
        kind.sent += 1;
        self.mixed += u64::from(asked.is_mixed());
        if asked.is_good() && !asked.is_mixed() {
            if let Some(version) = asked.version() {
                *self.versions.entry(version.to_owned()).or_default() += 1;
            }
        } else {
            kind.failed += u64::from(!asked.is_good());
            if self.failures.len() < FAILURES_KEPT {
                self.failures.push(asked.line());
            }
        }
        if asked.kind == Kind::Long {
            return;
        }
        self.latency.add(asked.took);
        self.note_around(asked);
        if asked.kind == Kind::New && asked.is_good() {
            self.note_version(asked);
        }
    }

    fn note_around(&mut self, asked: &Asked) {
        let end = asked.sent + asked.took;
        while self.recent.front().is_some_and(|(sent, _)| *sent + 2 * AROUND < end) {
            self.recent.pop_front();
        }
        self.recent.push_back((asked.sent, asked.took));
        for flip in self.flips.iter_mut().rev().take_while(|flip| flip.first_new + 4 * AROUND > end) {
            if asked.sent <= flip.first_new + AROUND {
                flip.around.push(asked.took);
            }
        }
    }

    /// A request that was sent after the current version was first seen, and saw another one, has seen a flip. One that
    /// was sent before is a straggler.
    fn note_version(&mut self, asked: &Asked) {
        let Some(version) = asked.version() else { return };
        let got = asked.sent + asked.took;
        let Some(current) = &mut self.current else {
            self.current = Some(Current { version: version.to_owned(), first_seen: got });
            return;
        };
        if version == current.version {
            return;
        }
        if asked.sent < current.first_seen {
            if let Some(flip) = self.flips.last_mut().filter(|flip| flip.from == version) {
                flip.last_old = flip.last_old.max(Some(got));
            }
            return;
        }
        let around = self.recent.iter().filter(|(sent, _)| *sent + AROUND >= got).map(|(_, took)| *took).collect();
        let from = std::mem::replace(current, Current { version: version.to_owned(), first_seen: got }).version;
        if self.flips.len() < FLIPS_KEPT {
            let to = version.to_owned();
            self.flips.push(Watched { from, to, at: asked.at, first_new: got, last_old: None, around });
        }
    }

    pub(crate) fn summary(&self, ran: Duration) -> Summary {
        let sent = self.sent();
        let seconds = ran.as_secs_f64();
        Summary {
            sent,
            failed: self.kinds.values().map(|kind| kind.failed).sum(),
            mixed: self.mixed,
            seconds: (seconds * 1e3).round() / 1e3,
            per_second: if seconds > 0.0 { (sent as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 },
            kinds: self.kinds.clone(),
            versions: self.versions.clone(),
            latency: self.latency.percentiles(),
            flips: self.flips.iter().map(Watched::flip).collect(),
            failures: self.failures.clone(),
        }
    }
}

impl Watched {
    fn flip(&self) -> Flip {
        let late = self.last_old.map_or(Duration::ZERO, |last| last.saturating_duration_since(self.first_new));
        Flip {
            from: self.from.clone(),
            to: self.to.clone(),
            at: self.at,
            last_old_ms: ms(late),
            requests: self.around.len(),
            latency: Percentiles::of(&self.around),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Story {
        start: Instant,
        tally: Tally,
    }

    impl Story {
        fn new() -> Self {
            Self { start: Instant::now(), tally: Tally::default() }
        }

        /// A request sent and answered so many milliseconds after the start.
        fn asked(&mut self, kind: Kind, from_ms: u64, to_ms: u64, outcome: Result<Answer, String>) {
            let sent = self.start + Duration::from_millis(from_ms);
            let took = Duration::from_millis(to_ms - from_ms);
            let at = Timestamp::UNIX_EPOCH + Duration::from_millis(to_ms);
            self.tally.note(&Asked { kind, sent, took, at, outcome });
        }

        fn sees(&mut self, kind: Kind, from_ms: u64, to_ms: u64, version: &str) {
            let body = json!({"version": version, "backend": version, "errors": []});
            self.asked(kind, from_ms, to_ms, Ok(Answer { status: 200, body }));
        }

        fn summary(&self) -> Summary {
            self.tally.summary(Duration::from_secs(10))
        }

        fn flips(&self) -> Vec<String> {
            let flips = self.summary().flips;
            flips.iter().map(|flip| format!("{} -> {}, last old {}", flip.from, flip.to, flip.last_old_ms)).collect()
        }
    }

    #[test]
    fn a_flip_is_seen_once_and_a_straggler_is_none() {
        let mut story = Story::new();
        story.sees(Kind::New, 0, 5, "1");
        story.sees(Kind::New, 100, 110, "2");
        story.sees(Kind::New, 99, 125, "1");
        story.sees(Kind::New, 130, 135, "2");
        assert_eq!(story.flips(), ["1 -> 2, last old 15"]);
    }

    #[test]
    fn versions_that_go_to_and_fro_show() {
        let mut story = Story::new();
        for (at, version) in [(0, "1"), (100, "2"), (120, "1"), (140, "2")] {
            story.sees(Kind::New, at, at + 5, version);
        }
        assert_eq!(story.flips(), ["1 -> 2, last old 0", "2 -> 1, last old 0", "1 -> 2, last old 0"]);
    }

    #[test]
    fn kept_connections_stay_behind_without_a_flip() {
        let mut story = Story::new();
        story.sees(Kind::New, 0, 5, "1");
        story.sees(Kind::New, 10, 15, "2");
        story.sees(Kind::Kept, 500, 505, "1");
        assert_eq!(story.flips(), ["1 -> 2, last old 0"]);
        assert_eq!(story.summary().versions, [("1".to_owned(), 2), ("2".to_owned(), 1)].into());
    }

    #[test]
    fn latencies_around_a_flip_are_those_of_a_second_to_each_side() {
        let mut story = Story::new();
        story.sees(Kind::New, 0, 900, "1");
        story.sees(Kind::Kept, 1_500, 1_510, "1");
        story.sees(Kind::New, 2_000, 2_020, "2");
        story.sees(Kind::Long, 2_000, 2_900, "2");
        story.sees(Kind::Kept, 2_900, 2_950, "2");
        story.sees(Kind::Kept, 3_100, 3_600, "2");
        let flip = &story.summary().flips[0];
        assert_eq!((flip.requests, flip.latency.p50_ms, flip.latency.max_ms), (3, 20.0, 50.0));
        assert_eq!(story.summary().latency.max_ms, 900.0);
    }

    #[test]
    fn what_failed_and_what_mixed() {
        let mut story = Story::new();
        let mixed = json!({"version": "1", "backend": "2", "errors": ["backend is 2, frontend is 1"]});
        story.asked(Kind::New, 0, 5, Ok(Answer { status: 500, body: mixed }));
        story.asked(Kind::Kept, 10, 15, Err("connection reset".to_owned()));
        story.asked(Kind::New, 20, 25, Ok(Answer { status: 200, body: json!({"version": "1"}) }));
        let quiet = json!({"version": "1", "backend": "2", "errors": []});
        story.asked(Kind::New, 30, 35, Ok(Answer { status: 200, body: quiet }));
        story.asked(Kind::Long, 0, 40, Ok(Answer { status: 200, body: json!({"version": "1", "errors": []}) }));
        let summary = story.summary();
        assert_eq!((summary.sent, summary.failed, summary.mixed), (5, 3, 2));
        assert_eq!(summary.kinds[&Kind::New], KindTally { sent: 3, failed: 2 });
        assert_eq!(summary.kinds[&Kind::Kept], KindTally { sent: 1, failed: 1 });
        assert_eq!(summary.failures[1], "[1970-01-01T00:00:00.015Z] connection reset in 0.0050s");
        assert_eq!(summary.per_second, 0.5);
    }
}
