//! When which app is looked at: a synchronous decision over events (STYLE 9). Triggers only say "look again".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::core::ids::AppName;
use crate::core::observed::after;

/// The first pause after a failure; it doubles with each one after it.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// The longest pause after failures: an outage is over for us soon after it is over.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The pause after a conflict: somebody else is writing, and is done in a moment.
const CONFLICT_PAUSE: Duration = Duration::from_millis(20);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The repository changed, or may have.
    GitTouched,
    /// Something in the cluster changed that may be any app's.
    ClusterTouched,
    /// Something of one app changed.
    AppTouched(AppName),
    /// The search for apps ended with these.
    Discovered(BTreeSet<AppName>),
    /// The search for apps failed.
    DiscoveryFailed,
    /// A pass ended.
    PassEnded(AppName, Ended),
}

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing to do but wait, until that moment at the latest.
    Waiting(Option<Timestamp>),
    /// The world moved on: look again at once.
    Conflict,
    /// Try again later.
    Failed,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Command {
    /// Ask git for HEAD and the apps.
    Discover,
    /// Run a pass.
    Pass(AppName),
}

#[derive(Debug, Default)]
struct Slot {
    running: bool,
    dirty: bool,
    due: Option<Timestamp>,
    failures: u32,
}

/// Which apps there are, which are looked at, and when the next look is due.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    apps: BTreeMap<AppName, Slot>,
    discovering: bool,
    discover_again: bool,
    discover_due: Option<Timestamp>,
    discover_failures: u32,
}

impl Schedule {
    /// Takes an event in and says what to do now.
    pub(super) fn on(&mut self, event: Event, now: Timestamp) -> Vec<Command> {
        match event {
            Event::GitTouched => self.discover_again = true,
            Event::ClusterTouched => self.apps.values_mut().for_each(|slot| slot.dirty = true),
            Event::AppTouched(app) => {
                if let Some(slot) = self.apps.get_mut(&app) {
                    slot.dirty = true;
                }
            }
            Event::Discovered(apps) => {
                self.discovering = false;
                self.discover_due = None;
                self.discover_failures = 0;
                self.apps.retain(|app, slot| apps.contains(app) || slot.running);
                for app in apps {
                    self.apps.entry(app).or_default().dirty = true;
                }
            }
            Event::DiscoveryFailed => {
                self.discovering = false;
                self.discover_failures += 1;
                self.discover_due = Some(after(now, pause(self.discover_failures)));
            }
            Event::PassEnded(app, ended) => self.ended(&app, ended, now),
        }
        self.due(now)
    }

    fn ended(&mut self, app: &AppName, ended: Ended, now: Timestamp) {
        let Some(slot) = self.apps.get_mut(app) else { return };
        slot.running = false;
        match ended {
            Ended::Waiting(wake) => {
                slot.failures = 0;
                slot.due = wake;
            }
            Ended::Conflict => {
                slot.due = Some(after(now, CONFLICT_PAUSE));
                self.discover_again = true;
            }
            Ended::Failed => {
                slot.failures += 1;
                slot.due = Some(after(now, pause(slot.failures)));
                // What failed is not tried again by every trigger, only by time.
                slot.dirty = false;
            }
        }
    }

    /// Everything that is due now.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        let late = self.discover_due.is_some_and(|due| due <= now);
        if !self.discovering && (self.discover_again || late) {
            self.discovering = true;
            self.discover_again = false;
            self.discover_due = None;
            commands.push(Command::Discover);
        }
        for (app, slot) in &mut self.apps {
            let late = slot.due.is_some_and(|due| due <= now);
            if !slot.running && (slot.dirty || late) {
                *slot = Slot { running: true, failures: slot.failures, ..Slot::default() };
                commands.push(Command::Pass(app.clone()));
            }
        }
        commands
    }

    /// The next moment at which something is due by time alone.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let apps = self.apps.values().filter(|slot| !slot.running).filter_map(|slot| slot.due);
        apps.chain(self.discover_due.filter(|_| !self.discovering)).min()
    }

    /// Whether a pass or a search is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.discovering || self.apps.values().any(|slot| slot.running)
    }
}

fn pause(failures: u32) -> Duration {
    RETRY_FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16))).min(RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> AppName {
        AppName::new("shop")
    }

    fn discovered(schedule: &mut Schedule, now: Timestamp) {
        assert_eq!(schedule.on(Event::GitTouched, now), [Command::Discover]);
        assert_eq!(schedule.on(Event::Discovered([app()].into()), now), [Command::Pass(app())]);
    }

    #[test]
    fn a_trigger_during_a_pass_is_one_more_pass_after_it() {
        let (mut schedule, now) = (Schedule::default(), Timestamp::UNIX_EPOCH);
        discovered(&mut schedule, now);
        for _ in 0..5 {
            assert_eq!(schedule.on(Event::ClusterTouched, now), []);
        }
        let ended = Event::PassEnded(app(), Ended::Waiting(None));
        assert_eq!(schedule.on(ended.clone(), now), [Command::Pass(app())]);
        assert_eq!(schedule.on(ended, now), []);
        assert!(!schedule.is_busy() && schedule.next_due().is_none());
    }

    #[test]
    fn failures_back_off_and_triggers_do_not_cut_the_pause_short_for_ever() {
        let (mut schedule, now) = (Schedule::default(), Timestamp::UNIX_EPOCH);
        discovered(&mut schedule, now);
        let mut due = now;
        for expect_ms in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            assert_eq!(schedule.on(Event::PassEnded(app(), Ended::Failed), due), []);
            let next = schedule.next_due().expect("a retry");
            assert_eq!(next.duration_since(due).as_millis(), expect_ms);
            due = next;
            assert_eq!(schedule.due(due), [Command::Pass(app())]);
        }
    }

    #[test]
    fn a_conflict_looks_at_git_again() {
        let (mut schedule, now) = (Schedule::default(), Timestamp::UNIX_EPOCH);
        discovered(&mut schedule, now);
        assert_eq!(schedule.on(Event::PassEnded(app(), Ended::Conflict), now), [Command::Discover]);
        assert_eq!(schedule.on(Event::Discovered([app()].into()), now), [Command::Pass(app())]);
    }

    #[test]
    fn an_app_that_is_gone_is_not_looked_at() {
        let (mut schedule, now) = (Schedule::default(), Timestamp::UNIX_EPOCH);
        discovered(&mut schedule, now);
        schedule.on(Event::PassEnded(app(), Ended::Waiting(None)), now);
        schedule.on(Event::GitTouched, now);
        assert_eq!(schedule.on(Event::Discovered(BTreeSet::new()), now), []);
        assert_eq!(schedule.on(Event::AppTouched(app()), now), []);
    }
}
