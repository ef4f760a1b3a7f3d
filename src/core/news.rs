//! From the facts of a look to the transitions that people are told of.
//!
//! Nothing here is remembered by a process: what was told stands in [`Deliveries`], what happened stands in git and on
//! the cluster's objects. So whoever looks next finds what the one before it was killed over, under the same ids.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::colour::Colour;
use super::deliveries::Deliveries;
use super::desired::{Declared, Desired};
use super::event::{self, Event, EventKind, lines};
use super::ids::{AppName, CommitId};
use super::lock::{Lock, PinState};
use super::message::FAILED_UNDER_TRAFFIC;
use super::observed::Observed;
use super::report::{Blocked, Plan, Waiting};
use super::text::OneLine;
use super::verdict::{Entry, Verdict};

mod condition;

pub use condition::Condition;

/// What one look says, as far as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// When the look began.
    pub at: Timestamp,
    /// HEAD.
    pub head: CommitId,
    /// Whether the app was never released more than once: then everything counts from its beginning.
    pub is_new: bool,
    /// What each colour was started with.
    pub starts: Vec<Start>,
    /// The last switch, once every EndpointSlice holds the new colour.
    pub live: Option<Live>,
    /// What is wrong now, by kind.
    pub conditions: BTreeMap<EventKind, Condition>,
}

/// A candidate that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Where.
    pub colour: Colour,
    /// What.
    pub revision: CommitId,
    /// The attempt, without what makes it new for its deadline only.
    pub attempt: String,
    /// When.
    pub at: Timestamp,
    /// Its images.
    pub images: Vec<OneLine>,
    /// What is live.
    pub old_images: Vec<OneLine>,
}

/// Where traffic is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The colour.
    pub colour: Colour,
    /// Its revision.
    pub revision: CommitId,
    /// When it was switched; `None` for an app's first release.
    pub flipped_at: Option<Timestamp>,
    /// The commit that gave the selector its value; `None` where it never changed.
    pub selector: Option<CommitId>,
    /// Its images.
    pub images: Vec<OneLine>,
    /// What was live before.
    pub old_images: Vec<OneLine>,
    /// Whether the other colour holds something to go back to.
    pub way_back: bool,
}

/// What git tells about turquoise's own commits: newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chronicle {
    /// turquoise's commits that carry facts of the app.
    pub sayings: Vec<Saying>,
    /// All commits that were walked.
    pub walked: Vec<CommitId>,
    /// Who wrote which commit, and its first line.
    pub words: BTreeMap<CommitId, (OneLine, OneLine)>,
}

/// One commit of turquoise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    /// Its id.
    pub commit: CommitId,
    /// When it was made.
    pub at: Timestamp,
    /// The facts that count.
    pub facts: Vec<Entry>,
    /// The colour that is live after it.
    pub live: Option<Colour>,
    /// Its message's second paragraph.
    pub body: OneLine,
    /// The lock before it.
    pub before: Lock,
    /// The lock after it.
    pub after: Lock,
}

impl Live {
    /// A revision that goes live again goes live by another change of the selector.
    fn about(&self) -> String {
        format!("{} {}", self.revision, self.selector.as_ref().map_or("-", CommitId::as_str))
    }
}

impl Facts {
    /// The facts of a look that led to a plan.
    #[must_use]
    pub fn of(desired: &Desired, observed: &Observed, plan: &Plan) -> Self {
        let entries = desired.verdicts.entries();
        let mut conditions = BTreeMap::new();
        if let Some(blocked) = &plan.blocked {
            conditions.insert(EventKind::Blocked, Condition::of_blocked(blocked));
        }
        for alert in &plan.alerts {
            let (kind, condition) = Condition::of_alert(alert);
            conditions.entry(kind).or_insert(condition);
        }
        Self {
            at: observed.at,
            head: desired.head.clone(),
            is_new: entries.iter().all(|entry| entry.revision == entries[0].revision),
            starts: Colour::BOTH.into_iter().filter_map(|colour| start(desired, observed, colour)).collect(),
            live: live(desired, observed, plan),
            conditions,
        }
    }

    /// The facts of a look that ended in a reason to do nothing before there was a plan.
    #[must_use]
    pub fn of_blocked(head: &CommitId, blocked: &Blocked, at: Timestamp) -> Self {
        let conditions = [(EventKind::Blocked, Condition::of_blocked(blocked))].into();
        Self { at, head: head.clone(), is_new: false, starts: Vec::new(), live: None, conditions }
    }

    /// Whose words a message may want.
    pub fn revisions(&self) -> impl Iterator<Item = &CommitId> {
        self.starts.iter().map(|start| &start.revision).chain(self.live.iter().map(|live| &live.revision))
    }

    /// Whether two looks say the same to people.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Self { at: other.at, ..self.clone() } == *other
    }
}

fn pinned_images(lock: &Lock, colour: Option<Colour>) -> Vec<OneLine> {
    let pin = colour.and_then(|colour| lock.pins[colour].as_ref());
    pin.filter(|pin| pin.state == PinState::Released).map_or_else(Vec::new, |pin| lines(&pin.images))
}

fn start(desired: &Desired, observed: &Observed, colour: Colour) -> Option<Start> {
    let record = observed.colours[colour].record.as_ref()?;
    // `REVISION#N`, and behind an `@` what the running deadline is for.
    let attempt = record.attempt.split('@').next().filter(|attempt| attempt.contains('#'))?;
    let pin = desired.lock.pins[colour].as_ref().filter(|pin| pin.state == PinState::Released);
    // What comes back is told of when it is there.
    if pin.is_some_and(|pin| pin.revision != record.revision && desired.same_pair(&pin.revision, &record.revision)) {
        return None;
    }
    let images = desired.render(&record.revision, colour).map(|render| lines(&render.images));
    Some(Start {
        colour,
        revision: record.revision.clone(),
        attempt: attempt.to_owned(),
        at: record.started_at,
        images: images.unwrap_or_default(),
        old_images: pinned_images(&desired.lock, observed.serving().colour().filter(|&serving| serving != colour)),
    })
}

fn live(desired: &Desired, observed: &Observed, plan: &Plan) -> Option<Live> {
    let colour = observed.serving().colour().filter(|&serving| desired.declared == Declared::Colour(serving))?;
    let settled = !plan.waiting.iter().any(|waiting| matches!(waiting, Waiting::Endpoints { .. }));
    let pin = desired.lock.pins[colour].as_ref().filter(|pin| settled && pin.state == PinState::Released)?;
    let flip = observed.flip();
    Some(Live {
        colour,
        revision: pin.revision.clone(),
        flipped_at: flip.map(|flip| flip.at),
        selector: desired.selector_change.as_ref().map(|change| change.commit.clone()),
        images: lines(&pin.images),
        old_images: pinned_images(&desired.lock, flip.map(|_| colour.other())),
        way_back: desired.lock.pins[colour.other()].as_ref().is_some_and(|pin| pin.state == PinState::Released),
    })
}

/// How far back turquoise's commits are wanted for [`events`]: `Some(None)` as far as may be, `None` not at all.
#[must_use]
pub fn wants(app: &AppName, told: &Deliveries, facts: &Facts) -> Option<Option<CommitId>> {
    let news = |kind: EventKind, about: &str| !told.knows(&event::id(kind, app.as_str(), about));
    let live = facts.live.as_ref().is_some_and(|live| news(EventKind::Live, &live.about()));
    let start = facts.starts.iter().any(|start| news(EventKind::Started, &start.attempt));
    match &told.head {
        _ if live || start => Some(None),
        Some(head) if *head == facts.head => None,
        Some(head) => Some(Some(head.clone())),
        None => Some(None),
    }
}

/// The events that follow from a look and were not told yet, oldest first; notes them as told.
pub fn events(app: &AppName, told: &mut Deliveries, facts: &Facts, chronicle: &Chronicle) -> Vec<Event> {
    let mut found: Vec<(u8, Event)> = Vec::new();
    found.extend(facts.starts.iter().filter_map(|one| started(app, one, told, chronicle)).map(|event| (0, event)));
    let sayings = chronicle.sayings.iter().rev();
    found.extend(sayings.flat_map(|saying| said(app, saying, facts)).map(|event| (1, event)));
    if let Some(live) = &facts.live {
        found.push((2, went_live(app, live, told, facts.at, chronicle)));
    }
    // git's times are whole seconds: within one, a start comes before its verdict, and that before the traffic.
    found.sort_by_key(|(rank, event)| (event.at.as_second(), *rank));
    let mut events: Vec<Event> = found.into_iter().map(|(_, event)| event).collect();
    events.extend(conditions(app, told, facts));
    // What is too old to be delivered is too old to be told: it was, long ago.
    events.retain(|event| told.note(&event.id) && told.is_fresh(event.at, facts.at));
    if let Some(live) = &facts.live {
        told.flipped_at = live.flipped_at;
    }
    told.head = Some(facts.head.clone());
    for event in &mut events {
        if let Some((author, subject)) = event.revision.as_ref().and_then(|revision| chronicle.words.get(revision)) {
            event.author = Some(author.clone());
            event.subject = Some(subject.clone());
        }
    }
    events
}

/// A start is told unless it only brings back what was released before.
fn started(app: &AppName, start: &Start, told: &mut Deliveries, chronicle: &Chronicle) -> Option<Event> {
    let event = Event::new(EventKind::Started, app, &start.attempt, start.at);
    if chronicle.release(&start.revision).is_some_and(|index| chronicle.is_return(index, start.colour)) {
        // Noted all the same: its commit is not at hand for ever.
        told.note(&event.id);
        return None;
    }
    Some(Event {
        colour: Some(start.colour),
        revision: Some(start.revision.clone()),
        images: start.images.clone(),
        old_images: start.old_images.clone(),
        ..event
    })
}

impl Chronicle {
    /// The newest commit that says a revision to be released.
    fn release(&self, revision: &CommitId) -> Option<usize> {
        let says = |fact: &Entry| fact.revision == *revision && fact.verdict == Verdict::Released;
        self.sayings.iter().position(|saying| saying.facts.iter().any(says))
    }

    /// Whether a commit pins a colour with what it was released with before: under another revision, or under the same
    /// one that was not rejected since.
    fn is_return(&self, index: usize, colour: Colour) -> bool {
        let Some(saying) = self.sayings.get(index) else { return false };
        let (Some(before), Some(after)) = (&saying.before.pins[colour], &saying.after.pins[colour]) else {
            return false;
        };
        let older = self.sayings.iter().skip(index + 1).flat_map(|saying| &saying.facts);
        let verdict = older.filter(|fact| fact.revision == after.revision).map(|fact| fact.verdict).next();
        before.state == PinState::Released
            && before.digests == after.digests
            && (before.revision != after.revision || verdict != Some(Verdict::Rejected))
    }

    fn age(&self, commit: &CommitId) -> Option<usize> {
        self.walked.iter().position(|walked| walked == commit)
    }
}

/// What a commit of turquoise tells people. A released revision is told of when it is live.
fn said(app: &AppName, saying: &Saying, facts: &Facts) -> Vec<Event> {
    let event = |fact: &Entry| {
        let about = format!("{} {}", fact.revision, saying.commit);
        let colour = saying.live.map(Colour::other);
        let new = |kind: EventKind, id_of: EventKind, cure: &str| Event {
            id: event::id(id_of, app.as_str(), &about),
            colour,
            revision: Some(fact.revision.clone()),
            commit: Some(saying.commit.clone()),
            cure: Some(OneLine::new(cure)),
            ..Event::new(kind, app, &about, saying.at)
        };
        let revert = format!("git revert {}", saying.commit);
        let images = |colour: Option<Colour>| {
            let pin = colour.and_then(|colour| saying.after.pins[colour].as_ref());
            let started = facts.starts.iter().find(|start| start.revision == fact.revision);
            match pin.filter(|pin| pin.revision == fact.revision) {
                Some(pin) => lines(&pin.images),
                None => started.map(|start| start.images.clone()).unwrap_or_default(),
            }
        };
        match fact.verdict {
            Verdict::Verified => {
                let pinned = Colour::BOTH.into_iter().find(|&colour| {
                    saying.after.pins[colour].as_ref().is_some_and(|pin| pin.revision == fact.revision)
                });
                let cure = match pinned {
                    Some(colour) => format!("set the live Service's selector to {colour} and push to approve it"),
                    None => "set the live Service's selector to its colour and push to approve it".to_owned(),
                };
                let old_images = pinned_images(&saying.after, pinned.map(Colour::other));
                let event = new(EventKind::Verified, EventKind::Verified, &cure);
                Some(Event { colour: pinned.or(colour), images: images(pinned), old_images, ..event })
            }
            Verdict::Rejected => {
                let in_lock = saying.after.rejected.as_ref().filter(|one| one.revision == fact.revision);
                let reason = in_lock.map_or_else(|| saying.body.clone(), |one| one.reason.clone());
                let under_traffic = saying.body.as_str().starts_with(FAILED_UNDER_TRAFFIC);
                let kind = if under_traffic { EventKind::FlippedBack } else { EventKind::Rejected };
                let event = new(kind, EventKind::Rejected, &format!("{revert} has it tried again, checks included"));
                let old_images = pinned_images(&saying.after, saying.live);
                Some(Event { images: images(colour), old_images, reason: Some(reason), ..event })
            }
            Verdict::Withdrawn => {
                let old_images = pinned_images(&saying.after, saying.live);
                let event = new(EventKind::Withdrawn, EventKind::Withdrawn, "push a change to have something released");
                Some(Event { images: images(colour), old_images, ..event })
            }
            Verdict::Released | Verdict::Superseded => None,
        }
    };
    saying.facts.iter().filter_map(event).collect()
}

/// Traffic is on a colour: with something new, with what was there before, or put back after a hand in the cluster.
fn went_live(app: &AppName, live: &Live, told: &Deliveries, at: Timestamp, chronicle: &Chronicle) -> Event {
    let selector = live.selector.as_ref();
    let about = live.about();
    let id = event::id(EventKind::Live, app.as_str(), &about);
    if told.knows(&id) && told.flipped_at != live.flipped_at && live.flipped_at.is_some() {
        let flip = live.flipped_at.map(|at| at.to_string()).unwrap_or_default();
        let condition =
            Condition::drift("astray", "the live Service's selector was changed in the cluster and is back");
        let event = Event::new(EventKind::Drift, app, &format!("{about} {flip}"), at);
        return Event { colour: Some(live.colour), reason: Some(condition.words), cure: condition.cure, ..event };
    }
    let release = chronicle.release(&live.revision);
    let newest = release.and_then(|index| chronicle.sayings.get(index));
    let returned = release.is_some_and(|index| {
        // The selector was changed after it was released: by a revert, or by a flip-back.
        let released_at = chronicle.sayings.get(index).and_then(|saying| chronicle.age(&saying.commit));
        let turned_at = selector.and_then(|commit| chronicle.age(commit));
        turned_at.zip(released_at).is_some_and(|(turned, released)| turned < released)
            || chronicle.is_return(index, live.colour)
    });
    let go_back = selector.filter(|_| live.way_back).map(|commit| format!("git revert {commit}"));
    Event {
        id,
        colour: Some(live.colour),
        revision: Some(live.revision.clone()),
        commit: selector.or(newest.map(|saying| &saying.commit)).cloned(),
        images: live.images.clone(),
        old_images: live.old_images.clone(),
        go_back,
        ..Event::new(
            if returned { EventKind::Returned } else { EventKind::Live },
            app,
            &about,
            live.flipped_at.unwrap_or(at),
        )
    }
}

/// What became wrong: told when it begins, and when it is another thing at another HEAD.
fn conditions(app: &AppName, told: &mut Deliveries, facts: &Facts) -> Vec<Event> {
    let mut events = Vec::new();
    for kind in [EventKind::Blocked, EventKind::Alert, EventKind::Drift] {
        let now = facts.conditions.get(&kind);
        if let Some(condition) = told.becomes(kind, now, &facts.head, facts.at) {
            // The same thing may come and go at one HEAD: the time when it came tells them apart.
            let about = format!("{} {} {}", facts.head, condition.reason, facts.at);
            events.push(Event {
                reason: Some(condition.words.clone()),
                cure: condition.cure.clone(),
                ..Event::new(kind, app, &about, facts.at)
            });
        }
    }
    events
}

#[cfg(test)]
mod tests;
