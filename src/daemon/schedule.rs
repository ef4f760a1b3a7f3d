//! When which app is looked at: a synchronous decision over events. Triggers only say "look again".
//!
//! Passes are limited in number and given out in turns, over repos first and then over the apps of a repo, so that no app
//! and no repo holds back another: see [`Limits`].

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use jiff::Timestamp;

use crate::core::ids::{AppName, RepoName};
use crate::core::observed::after;

/// The first pause after a failure; it doubles with each one after it.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// The longest pause after failures: an outage is over for us soon after it is over.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The pause after a conflict: somebody else is writing, and is done in a moment.
const CONFLICT_PAUSE: Duration = Duration::from_millis(20);
/// An app at rest is looked at that often although nothing said that it changed: watches and file events find what changes
/// at once, this is for what they lost. A thousand apps are then half a pass a second, a third of a percent of a core.
const RESYNC: Duration = Duration::from_secs(30 * 60);
/// The looks of apps that were all looked at together drift apart by up to a fifth.
const RESYNC_SPREAD: Duration = Duration::from_secs(6 * 60);

/// How many passes are under way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Passes that count.
    pub(super) passes: usize,
}

impl Limits {
    /// A pass is a few hundred milliseconds of mostly waiting. One that takes longer hangs at a server or renders something
    /// huge: it is not counted any more, so that it holds nobody back.
    const SLOW_AFTER: Duration = Duration::from_secs(3);
    /// Slow passes beside each one that counts. Each is bounded by its calls' deadlines, so more of them only wait their turn.
    const SLOW_FACTOR: usize = 4;
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A repository is watched from now on.
    RepoAdded(RepoName),
    /// A repository is not watched any more.
    RepoRemoved(RepoName),
    /// A repository changed, or may have.
    GitTouched(RepoName),
    /// Any repository may have changed.
    AllTouched,
    /// Something of these apps changed in the cluster.
    AppsTouched(Vec<AppName>),
    /// What a repository may do changed: all its apps are looked at.
    GrantsChanged(RepoName),
    /// What may be done changed: everything is looked at, whatever failed before.
    LeadChanged,
    /// The search for apps ended with these; `true`: it must be looked at, because the repository says something new of it.
    Discovered(RepoName, BTreeMap<AppName, bool>),
    /// The search for apps failed.
    DiscoveryFailed(RepoName),
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
    Discover(RepoName),
    /// Run a pass.
    Pass(AppName),
}

#[derive(Debug, Default)]
struct Slot {
    /// Since when a pass is under way.
    running: Option<Timestamp>,
    dirty: bool,
    due: Option<Timestamp>,
    failures: u32,
}

#[derive(Debug, Default)]
struct Repo {
    apps: BTreeMap<AppName, Slot>,
    /// Whose turn it was last.
    last: Option<AppName>,
    discovering: bool,
    again: bool,
    due: Option<Timestamp>,
    failures: u32,
}

/// Which repos and apps there are, which are looked at, and when the next look is due.
#[derive(Debug)]
pub(super) struct Schedule {
    limits: Limits,
    repos: BTreeMap<RepoName, Repo>,
    /// Whose turn it was last.
    last: Option<RepoName>,
}

impl Schedule {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { limits, repos: BTreeMap::new(), last: None }
    }

    /// Changes the limits; passes that are under way go on.
    pub(super) const fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes an event in and says what to do now.
    pub(super) fn on(&mut self, event: Event, now: Timestamp) -> Vec<Command> {
        match event {
            Event::RepoAdded(repo) => self.repos.entry(repo).or_default().again = true,
            Event::RepoRemoved(repo) => drop(self.repos.remove(&repo)),
            Event::GitTouched(repo) => self.repo(&repo, |repo| repo.again = true),
            Event::AllTouched => self.repos.values_mut().for_each(|repo| repo.again = true),
            Event::AppsTouched(apps) => {
                for app in apps {
                    // What failed is not tried again by every trigger of the cluster, only by time. A pass that is under
                    // way may be the one that succeeds: what changes behind its look is seen by the next one.
                    self.slot(&app, |slot| slot.dirty |= slot.failures == 0 || slot.running.is_some());
                }
            }
            Event::GrantsChanged(repo) => {
                self.repo(&repo, |repo| repo.apps.values_mut().for_each(|slot| slot.dirty = true));
            }
            Event::LeadChanged => {
                for repo in self.repos.values_mut() {
                    (repo.again, repo.failures) = (true, 0);
                    repo.apps.values_mut().for_each(|slot| (slot.dirty, slot.failures) = (true, 0));
                }
            }
            Event::Discovered(name, apps) => self.repo(&name, |repo| repo.discovered(apps)),
            Event::DiscoveryFailed(repo) => self.repo(&repo, |repo| {
                repo.discovering = false;
                repo.failures += 1;
                repo.due = Some(after(now, pause(repo.failures)));
            }),
            Event::PassEnded(app, ended) => self.ended(&app, &ended, now),
        }
        self.due(now)
    }

    fn repo(&mut self, name: &RepoName, change: impl FnOnce(&mut Repo)) {
        if let Some(repo) = self.repos.get_mut(name) {
            change(repo);
        }
    }

    fn slot(&mut self, app: &AppName, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.repos.values_mut().find_map(|repo| repo.apps.get_mut(app)) {
            change(slot);
        }
    }

    fn ended(&mut self, app: &AppName, ended: &Ended, now: Timestamp) {
        let Some(repo) = self.repos.values_mut().find(|repo| repo.apps.contains_key(app)) else { return };
        repo.again |= matches!(ended, Ended::Conflict);
        let Some(slot) = repo.apps.get_mut(app) else { return };
        slot.running = None;
        let resync = after(after(now, RESYNC), spread(app));
        match ended {
            Ended::Waiting(wake) => {
                slot.failures = 0;
                slot.due = Some(wake.map_or(resync, |wake| wake.min(resync)));
            }
            Ended::Conflict => slot.due = Some(after(now, CONFLICT_PAUSE)),
            Ended::Failed => {
                slot.failures += 1;
                slot.due = Some(after(now, pause(slot.failures)));
                slot.dirty = false;
            }
        }
    }

    /// Everything that is due now and has room.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        for (name, repo) in &mut self.repos {
            let late = repo.due.is_some_and(|due| due <= now);
            if !repo.discovering && (repo.again || late) {
                (repo.discovering, repo.again, repo.due) = (true, false, None);
                commands.push(Command::Discover(name.clone()));
            }
        }
        for _free in 0..self.free(now) {
            let Some(app) = self.next(now) else { break };
            commands.push(Command::Pass(app));
        }
        commands
    }

    /// Room for more passes.
    fn free(&self, now: Timestamp) -> usize {
        let (mut quick, mut slow) = (0_usize, 0_usize);
        for since in self.running() {
            if after(since, Limits::SLOW_AFTER) > now { quick += 1 } else { slow += 1 }
        }
        let counted = quick + slow.saturating_sub(self.limits.passes * Limits::SLOW_FACTOR);
        self.limits.passes.saturating_sub(counted)
    }

    fn running(&self) -> impl Iterator<Item = Timestamp> {
        self.repos.values().flat_map(|repo| repo.apps.values()).filter_map(|slot| slot.running)
    }

    /// Starts the next pass: of the next repo in turn that has an app to look at, the next app in turn.
    fn next(&mut self, now: Timestamp) -> Option<AppName> {
        let repo = in_turn(&self.repos, self.last.as_ref(), |repo| repo.ready(now).is_some())?.clone();
        let turn = self.repos.get_mut(&repo)?;
        let app = turn.ready(now)?;
        let slot = turn.apps.get_mut(&app)?;
        *slot = Slot { running: Some(now), failures: slot.failures, ..Slot::default() };
        turn.last = Some(app.clone());
        self.last = Some(repo);
        Some(app)
    }

    /// The next moment at which something is due by time alone.
    pub(super) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let slots = || self.repos.values().flat_map(|repo| repo.apps.values());
        let waits = |slot: &Slot| slot.running.is_none() && (slot.dirty || slot.due.is_some_and(|due| due <= now));
        let discoveries = self.repos.values().filter(|repo| !repo.discovering).filter_map(|repo| repo.due);
        // Who is due already waits for room: that comes with a pass that ends, which is an event, or becomes slow.
        let room = self.running().map(|since| after(since, Limits::SLOW_AFTER)).filter(|slow| *slow > now);
        let room = room.min().filter(|_| slots().any(waits));
        let apps = slots().filter(|slot| slot.running.is_none() && !waits(slot)).filter_map(|slot| slot.due);
        apps.chain(discoveries).chain(room).min()
    }

    /// Whether a pass or a search is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.repos.values().any(|repo| repo.discovering) || self.running().next().is_some()
    }
}

impl Repo {
    fn discovered(&mut self, apps: BTreeMap<AppName, bool>) {
        (self.discovering, self.due, self.failures) = (false, None, 0);
        self.apps.retain(|app, slot| apps.contains_key(app) || slot.running.is_some());
        for (app, news) in apps {
            let known = self.apps.contains_key(&app);
            let slot = self.apps.entry(app).or_default();
            slot.dirty |= news || !known;
        }
    }

    /// The next app in turn that is to be looked at.
    fn ready(&self, now: Timestamp) -> Option<AppName> {
        let ready = |slot: &Slot| slot.running.is_none() && (slot.dirty || slot.due.is_some_and(|due| due <= now));
        in_turn(&self.apps, self.last.as_ref(), ready).cloned()
    }
}

/// The first key after `last`, round and round, whose value is wanted.
fn in_turn<'a, K: Ord, V>(map: &'a BTreeMap<K, V>, last: Option<&K>, wanted: impl Fn(&V) -> bool) -> Option<&'a K> {
    let behind = last.map(|last| map.range((Excluded(last), Unbounded)));
    let all = behind.into_iter().flatten().chain(map.iter());
    all.filter(|(_, value)| wanted(value)).map(|(key, _)| key).next()
}

fn pause(failures: u32) -> Duration {
    RETRY_FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16))).min(RETRY_MAX)
}

/// An app's own part of the spread: the same each time, and another for each app.
fn spread(app: &AppName) -> Duration {
    // FNV-1a: any function that scatters names does.
    let hash =
        app.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    RESYNC_SPREAD.mul_f64(f64::from(hash) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
