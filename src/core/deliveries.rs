//! What people were told of an app, and what is on its way: kept in one ConfigMap an app, so that a transition is one
//! message also across restarts.
//!
//! An event is noted here before it is sent and taken out when it was received. So a process that is killed in between
//! sends it once more, with the same id; and a transition that nobody noted yet is found again from the facts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{Event, EventKind};
use super::ids::CommitId;
use super::news::Condition;
use super::observed::after;
use super::text::OneLine;

/// Ids that are remembered: a look tells of a dozen commits at most, so this is the news of many looks, in 2 KiB.
const TOLD_MAX: usize = 120;
/// Messages on their way, all receivers together: with 4 KiB each far below the 1 MiB of a ConfigMap. Beyond that the
/// oldest are dropped: the newest say where the app is.
const PENDING_MAX: usize = 60;
/// How long a message is tried: a receiver that was away over night gets it, one that is gone for good is let go.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);
/// A condition that comes and goes with the same words at the same HEAD is told once in this time.
const QUIET: Duration = Duration::from_secs(300);

/// The record of one app.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Deliveries {
    /// HEAD of the last look that was told of.
    pub head: Option<CommitId>,
    /// What is older is not told: receivers were named after it.
    since: Option<Timestamp>,
    /// The last switch that was told of.
    pub flipped_at: Option<Timestamp>,
    /// Ids of events that were noted, oldest first.
    told: VecDeque<String>,
    /// What is wrong, or was a moment ago.
    conditions: BTreeMap<String, Said>,
    /// What is on its way, oldest first.
    pending: Vec<Pending>,
}

/// A condition that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    reason: String,
    words: OneLine,
    head: CommitId,
    at: Timestamp,
    #[serde(default)]
    over: bool,
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The message.
    pub event: Event,
    /// The receivers that did not get it yet.
    pub to: BTreeSet<String>,
}

impl Deliveries {
    /// The record of an app that nobody was told of yet; `since`: what happened before that stays untold.
    #[must_use]
    pub fn beginning(since: Option<Timestamp>) -> Self {
        Self { since, ..Self::default() }
    }

    /// Whether what happened at a time is still worth telling.
    #[must_use]
    pub(super) fn is_fresh(&self, happened: Timestamp, now: Timestamp) -> bool {
        // git's times are whole seconds.
        self.since.is_none_or(|since| happened.as_second() >= since.as_second()) && now < after(happened, GIVE_UP_AFTER)
    }

    /// Whether an event was noted.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.told.iter().any(|told| told == id)
    }

    /// Notes an event; `false` where it was noted before.
    pub fn note(&mut self, id: &str) -> bool {
        let known = self.told.iter().position(|told| told == id);
        // What is still found is remembered longest.
        let kept = known.and_then(|at| self.told.remove(at));
        self.told.push_back(kept.unwrap_or_else(|| id.to_owned()));
        while self.told.len() > TOLD_MAX {
            self.told.pop_front();
        }
        known.is_none()
    }

    /// Takes in what is wrong now, or that nothing is; gives it back where people should hear of it.
    pub(super) fn becomes<'a>(
        &mut self,
        kind: EventKind,
        now: Option<&'a Condition>,
        head: &CommitId,
        at: Timestamp,
    ) -> Option<&'a Condition> {
        let Some(now) = now else {
            if let Some(said) = self.conditions.get_mut(kind.as_str()) {
                said.over = true;
            }
            return None;
        };
        let news = self.conditions.get(kind.as_str()).is_none_or(|said| {
            let same = said.reason == now.reason && (said.words == now.words || said.head == *head);
            if said.over { !same || said.head != *head || at >= after(said.at, QUIET) } else { !same }
        });
        if !news {
            if let Some(said) = self.conditions.get_mut(kind.as_str()) {
                said.over = false;
            }
            return None;
        }
        let said = Said { reason: now.reason.clone(), words: now.words.clone(), head: head.clone(), at, over: false };
        self.conditions.insert(kind.as_str().to_owned(), said);
        Some(now)
    }

    /// Puts events on their way; gives how many older ones were dropped for them.
    pub fn send(&mut self, events: Vec<Event>, to: &BTreeSet<String>) -> usize {
        if !to.is_empty() {
            self.pending.extend(events.into_iter().map(|event| Pending { event, to: to.clone() }));
        }
        let dropped = self.pending.len().saturating_sub(PENDING_MAX);
        self.pending.drain(..dropped);
        dropped
    }

    /// What is on its way, oldest first.
    #[must_use]
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// The oldest message that a receiver did not get yet.
    #[must_use]
    pub fn next_for(&self, receiver: &str) -> Option<&Event> {
        self.pending.iter().find(|pending| pending.to.contains(receiver)).map(|pending| &pending.event)
    }

    /// A receiver got a message, or never will.
    pub fn settle(&mut self, id: &str, receiver: &str) {
        for pending in self.pending.iter_mut().filter(|pending| pending.event.id == id) {
            pending.to.remove(receiver);
        }
        self.pending.retain(|pending| !pending.to.is_empty());
    }

    /// Lets go of receivers that are not there any more, and of messages that are too old; gives how many of those.
    pub fn expire(&mut self, receivers: &BTreeSet<String>, now: Timestamp) -> usize {
        for pending in &mut self.pending {
            pending.to.retain(|receiver| receivers.contains(receiver));
        }
        self.pending.retain(|pending| !pending.to.is_empty());
        let before = self.pending.len();
        self.pending.retain(|pending| now < after(pending.event.at, GIVE_UP_AFTER));
        before - self.pending.len()
    }

    /// The stored record with what this process has beside it; `settled`: what it delivered since it last wrote.
    #[must_use]
    pub fn absorb(mut self, ours: Self, settled: &BTreeSet<(String, String)>) -> Self {
        for (id, receiver) in settled {
            self.settle(id, receiver);
        }
        for pending in ours.pending {
            if !self.knows(&pending.event.id) {
                self.pending.push(pending);
            }
        }
        for id in &ours.told {
            self.note(id);
        }
        if ours.head.is_some() {
            (self.head, self.flipped_at, self.conditions) = (ours.head, ours.flipped_at, ours.conditions);
        }
        self
    }

    /// What is worth a write where it differs.
    #[must_use]
    pub fn substance(&self) -> impl PartialEq + use<> {
        let told: BTreeSet<String> = self.told.iter().cloned().collect();
        let conditions: Vec<_> = self.conditions.iter().map(|(kind, said)| (kind.clone(), said.clone())).collect();
        (told, conditions, self.flipped_at)
    }

    /// The record as it is stored.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The stored record. One that cannot be read is none: the next look begins anew, silently.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Event;
    use crate::core::ids::AppName;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn event(number: usize) -> Event {
        Event::new(EventKind::Live, &AppName::new("shop"), &number.to_string(), at(0))
    }

    fn receivers(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn an_event_is_noted_once_and_each_receiver_gets_it_in_order() {
        let mut told = Deliveries::beginning(None);
        let events: Vec<Event> = (0..3).map(event).collect();
        assert!(events.iter().all(|event| told.note(&event.id)) && !told.note(&events[0].id));
        assert_eq!(told.send(events.clone(), &receivers(&["a", "b"])), 0);
        told.settle(&events[0].id, "a");
        assert_eq!(told.next_for("a"), Some(&events[1]));
        assert_eq!(told.next_for("b"), Some(&events[0]));
        assert_eq!(told.next_for("c"), None);
        for event in &events {
            told.settle(&event.id, "a");
            told.settle(&event.id, "b");
        }
        assert!(told.pending().is_empty());
        assert_eq!(Deliveries::from_text(&told.to_text()), Some(told));
    }

    #[test]
    fn the_record_is_bounded_and_forgets_the_oldest() {
        let mut told = Deliveries::beginning(None);
        let wide = |number: usize| {
            let line = OneLine::new(&"ü".repeat(200));
            Event {
                images: vec![line.clone(); 10],
                old_images: vec![line.clone(); 10],
                reason: Some(line),
                ..event(number)
            }
        };
        let dropped: usize = (0..500).map(|number| told.send(vec![wide(number)], &receivers(&["a"]))).sum();
        for number in 0..500 {
            told.note(&event(number).id);
        }
        assert_eq!(dropped, 500 - PENDING_MAX);
        assert!(told.knows(&event(499).id) && !told.knows(&event(0).id));
        assert_eq!(told.pending().first().map(|one| one.event.id.clone()), Some(event(500 - PENDING_MAX).id));
        assert!(told.to_text().len() < 1024 * 1024 * 3 / 4, "{} bytes", told.to_text().len());
    }

    #[test]
    fn old_messages_and_receivers_that_are_gone_are_let_go() {
        let mut told = Deliveries::beginning(None);
        told.send(vec![event(1)], &receivers(&["a", "gone"]));
        assert_eq!(told.expire(&receivers(&["a"]), at(100)), 0);
        assert_eq!(told.next_for("gone"), None);
        assert_eq!(told.expire(&receivers(&["a"]), at(24 * 3600)), 1);
        assert!(told.pending().is_empty());
    }

    #[test]
    fn two_writers_tell_nothing_twice_and_lose_nothing() {
        let mut theirs = Deliveries::beginning(None);
        for number in [1, 2] {
            theirs.note(&event(number).id);
        }
        theirs.send(vec![event(2)], &receivers(&["a"]));
        let mut ours = Deliveries::beginning(None);
        for number in [1, 2, 3] {
            ours.note(&event(number).id);
        }
        ours.send(vec![event(1), event(2), event(3)], &receivers(&["a"]));
        let settled = [(event(2).id, "a".to_owned())].into();
        let both = theirs.absorb(ours, &settled);
        let pending: Vec<&str> = both.pending().iter().map(|one| one.event.id.as_str()).collect();
        assert_eq!(pending, [event(3).id.as_str()], "1 was told by them, 2 was delivered by us");
        assert!((1..=3).all(|number| both.knows(&event(number).id)));
    }

    #[test]
    fn a_condition_is_told_when_it_begins() {
        let condition =
            |reason: &str, words: &str| Condition { reason: reason.to_owned(), words: OneLine::new(words), cure: None };
        let (red, two) = (condition("selector_unknown", "red"), condition("selector_unknown", "two of them"));
        let refused = condition("refused", "quota");
        let mut told = Deliveries::beginning(None);
        for (now, head, second, news) in [
            (Some(&red), "a", 0, true),
            (Some(&red), "a", 10, false),
            (Some(&red), "b", 20, false),
            (Some(&two), "c", 30, true),
            (Some(&two), "d", 35, false),
            (Some(&refused), "d", 40, true),
            (None, "d", 50, false),
            (Some(&refused), "d", 60, false),
            (None, "d", 70, false),
            (Some(&refused), "d", 400, true),
            (None, "d", 410, false),
            (Some(&refused), "e", 420, true),
        ] {
            let heard = told.becomes(EventKind::Blocked, now, &CommitId::new(head), at(second));
            assert_eq!(heard.is_some(), news, "{now:?} at {head}, {second} s");
        }
    }
}
