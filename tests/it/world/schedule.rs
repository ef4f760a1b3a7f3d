//! A case of the property in one line: a kind of world, and who acts after how many steps.
//!
//! `1tier 1svc auto keep slow | bump2@3 rv_last@rest cut1@0`: each word is an event and the number of turquoise's
//! actions since the event before it; `rest` waits until nothing is to be done any more, `!` acts between a look and
//! its first action.

use std::fmt;
use std::str::FromStr;

use super::cluster::Pace;
use super::people::Op;
use super::{Progress, Retiring, Setup, World, judge};

/// Something that happens to turquoise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies in the next action, after so many of its writes.
    Cut(u8),
    LostReply,
    /// The next look sees the cluster as it was so many looks ago.
    Stale(u8),
    Unreachable(u8),
    Refused(u8),
    /// git is out of reach for so many looks.
    GitDown(u8),
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Person(Op),
    Fault(Fault),
}

/// When, counted from the event before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// After so many actions.
    Actions(u8),
    /// After so many actions, and then between a look and its first action.
    Looked(u8),
    Rest,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) setup: Setup,
    pub(crate) events: Vec<(When, Event)>,
}

impl World {
    /// Lets the world go on until it is time.
    fn until(&mut self, when: When) {
        let (count, looked) = match when {
            When::Actions(count) => (count, false),
            When::Looked(count) => (count, true),
            When::Rest => (u8::MAX, false),
        };
        let mut acted = 0;
        for _ in 0..judge::STEPS_TO_REST_MAX {
            if acted >= count && (!looked || !self.pending.is_empty()) {
                return;
            }
            match self.step() {
                Progress::Acted => acted = acted.saturating_add(1),
                Progress::Looked | Progress::Waited => {}
                Progress::Rest => return,
            }
        }
    }

    pub(crate) fn happen(&mut self, event: Event) {
        match event {
            Event::Person(op) => {
                self.judge.acts += usize::from(self.person(op).is_ok());
            }
            Event::Fault(fault) => match fault {
                Fault::Cut(writes) => self.faults.cut = Some(writes),
                Fault::LostReply => self.faults.lost_reply = true,
                Fault::Stale(looks) => self.faults.stale = Some(looks),
                Fault::Unreachable(looks) => self.faults.unreachable = looks,
                Fault::Refused(pushes) => self.faults.refused = pushes,
                Fault::GitDown(looks) => self.faults.git_down = looks,
            },
        }
    }

    /// Plays a whole case, and rests at its end.
    pub(crate) fn play(&mut self, events: &[(When, Event)]) {
        if events.iter().any(|(_, event)| matches!(event, Event::Fault(Fault::Stale(_)))) {
            self.keep_past();
        }
        for (when, event) in events {
            self.until(*when);
            self.happen(*event);
        }
        self.judge_at_rest();
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(op) => op.fmt(f),
            Self::Fault(Fault::Cut(writes)) => write!(f, "cut{writes}"),
            Self::Fault(Fault::LostReply) => f.write_str("lost"),
            Self::Fault(Fault::Stale(looks)) => write!(f, "stale{looks}"),
            Self::Fault(Fault::Unreachable(looks)) => write!(f, "unreachable{looks}"),
            Self::Fault(Fault::Refused(pushes)) => write!(f, "refused{pushes}"),
            Self::Fault(Fault::GitDown(looks)) => write!(f, "gitdown{looks}"),
        }
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.parse().ok());
        let fault = if text == "lost" {
            Some(Fault::LostReply)
        } else {
            number("cut")
                .map(Fault::Cut)
                .or_else(|| number("stale").map(Fault::Stale))
                .or_else(|| number("unreachable").map(Fault::Unreachable))
                .or_else(|| number("refused").map(Fault::Refused))
                .or_else(|| number("gitdown").map(Fault::GitDown))
        };
        fault.map_or_else(|| text.parse().map(Self::Person), |fault| Ok(Self::Fault(fault)))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actions(count) => write!(f, "{count}"),
            Self::Looked(count) => write!(f, "{count}!"),
            Self::Rest => f.write_str("rest"),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number of actions"));
        match text.strip_suffix('!') {
            Some(looked) => count(looked).map(Self::Looked),
            None if text == "rest" => Ok(Self::Rest),
            None => count(text).map(Self::Actions),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { tiers, live_services, manual, retiring, pace, watch_s, flip_back } = self.setup;
        let retiring = match retiring {
            Retiring::Keep => "keep",
            Retiring::Zero => "zero",
            Retiring::One => "one",
            Retiring::Delete => "delete",
        };
        let promotion = if manual { "manual" } else { "auto" };
        let Pace { start_s, endpoints_s, check_s } = pace;
        write!(f, "{tiers} {live_services} {promotion} {retiring} {start_s} {endpoints_s} {check_s} {watch_s}")?;
        f.write_str(if flip_back { " back |" } else { " |" })?;
        self.events.iter().try_for_each(|(when, event)| write!(f, " {event}@{when}"))
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (setup, events) = text.split_once('|').ok_or("no `|`")?;
        let words: Vec<&str> = setup.split_whitespace().collect();
        let flip_back = words.last() == Some(&"back");
        let known = words.len() - usize::from(flip_back);
        let [tiers, live_services, promotion, retiring, start_s, endpoints_s, check_s, watch_s] = words[..known] else {
            return Err(format!("`{setup}` is no kind of world"));
        };
        let number = |text: &str| text.parse::<u32>().map_err(|_| format!("`{text}` is no number"));
        let setup = Setup {
            tiers: match number(tiers)? {
                1 => 1,
                2 => 2,
                _ => 3,
            },
            live_services: if number(live_services)? == 1 { 1 } else { 2 },
            manual: promotion == "manual",
            retiring: match retiring {
                "keep" => Retiring::Keep,
                "zero" => Retiring::Zero,
                "one" => Retiring::One,
                "delete" => Retiring::Delete,
                other => return Err(format!("`{other}` is no way to retire")),
            },
            pace: Pace {
                start_s: number(start_s)?.into(),
                endpoints_s: number(endpoints_s)?.into(),
                check_s: number(check_s)?.into(),
            },
            watch_s: number(watch_s)?.into(),
            flip_back,
        };
        let event = |word: &str| {
            let (event, when) = word.split_once('@').ok_or_else(|| format!("`{word}` has no time"))?;
            Ok::<_, String>((when.parse()?, event.parse()?))
        };
        let events = events.split_whitespace().map(event).collect::<Result<_, _>>()?;
        Ok(Self { setup, events })
    }
}
