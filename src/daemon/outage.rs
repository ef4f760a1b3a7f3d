//! Whether git and the cluster are in reach: told once they have been out of reach for a while, and when they are back.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::observed::after;
use crate::core::text::OneLine;

/// A server that is restarted is back within that time: nobody is told.
const SETTLE: Duration = Duration::from_secs(30);

/// One side, git or the cluster.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// When it was first found out of reach, and whether people were told.
    out: Option<(Timestamp, bool)>,
    /// Whether it was ever reached by this process.
    reached: bool,
}

/// What people should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Out of reach since then; `None` where this process never reached it.
    Out { since: Option<Timestamp>, words: OneLine },
    /// Back, after it was said to be out since then.
    Back { since: Option<Timestamp> },
}

impl Outage {
    /// It did not answer.
    pub(super) fn failed(&mut self, words: &OneLine, now: Timestamp) -> Option<Change> {
        let (since, told) = self.out.get_or_insert((now, false));
        if *told || now < after(*since, SETTLE) {
            return None;
        }
        *told = true;
        Some(Change::Out { since: self.reached.then_some(*since), words: words.clone() })
    }

    /// It answered.
    pub(super) fn answered(&mut self) -> Option<Change> {
        let reached = std::mem::replace(&mut self.reached, true);
        let (since, told) = self.out.take()?;
        told.then_some(Change::Back { since: reached.then_some(since) })
    }
}

/// A server that gave an answer to another look within that time was not away: it is as long as one call may take.
const SILENT: Duration = Duration::from_secs(10);

/// When the API server was away last: what pods did not do meanwhile they are not to blame for.
#[derive(Debug, Default)]
pub(super) struct Silence {
    answered_at: Option<Timestamp>,
    lost_at: Option<Timestamp>,
}

impl Silence {
    /// A look got its answers.
    pub(super) fn answered(&mut self, at: Timestamp) {
        self.answered_at = self.answered_at.max(Some(at));
    }

    /// A look got none.
    pub(super) fn failed(&mut self, now: Timestamp) {
        if self.answered_at.is_none_or(|at| now >= after(at, SILENT)) {
            self.lost_at = Some(now);
        }
    }

    /// When it was found away last.
    pub(super) fn lost_at(&self) -> Option<Timestamp> {
        self.lost_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_answers_others_was_not_away() {
        let at = |second: i64| Timestamp::from_second(second).expect("a time");
        let mut silence = Silence::default();
        silence.answered(at(100));
        silence.failed(at(109));
        assert_eq!(silence.lost_at(), None);
        silence.failed(at(110));
        silence.answered(at(111));
        silence.failed(at(120));
        assert_eq!(silence.lost_at(), Some(at(110)));
    }

    #[test]
    fn a_short_outage_is_not_told_and_a_long_one_once() {
        let mut reach = Outage::default();
        let at = |second: i64| Timestamp::from_second(second).expect("a time");
        let words = OneLine::new("no answer");
        assert_eq!(reach.answered(), None);
        assert_eq!(reach.failed(&words, at(0)), None);
        assert_eq!(reach.failed(&words, at(29)), None);
        assert_eq!(reach.answered(), None);
        assert_eq!(reach.failed(&words, at(100)), None);
        let out = Change::Out { since: Some(at(100)), words: words.clone() };
        assert_eq!(reach.failed(&words, at(130)), Some(out));
        assert_eq!(reach.failed(&words, at(160)), None);
        assert_eq!(reach.answered(), Some(Change::Back { since: Some(at(100)) }));
        assert_eq!(reach.answered(), None);
    }

    #[test]
    fn an_outage_that_a_start_found_has_no_beginning() {
        let mut reach = Outage::default();
        let words = OneLine::new("no answer");
        assert_eq!(reach.failed(&words, Timestamp::UNIX_EPOCH), None);
        let later = Timestamp::from_second(60).expect("a time");
        assert_eq!(reach.failed(&words, later), Some(Change::Out { since: None, words }));
        assert_eq!(reach.answered(), Some(Change::Back { since: None }));
    }
}
