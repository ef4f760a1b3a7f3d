//! Which of several replicas acts: the decision, without clock and IO. Time comes in as [`Moment`]s of the process's own
//! monotonic clock; the wall clock, ours or anybody's, decides nothing.
//!
//! A Lease object names the one that leads. Who leads writes it again every [`RENEW_EVERY`], under its resourceVersion, and may
//! act until [`TERM`] after the moment *before* the last write that succeeded was sent. Who stands by looks at it every
//! [`LOOK_EVERY`], and takes it when it has seen the same resourceVersion for [`LEASE`]: counted from the moment *after* the
//! answer came that showed it first. A write lies between its sending and any answer that shows it, so a term is over at least
//! `LEASE - TERM` before anybody else's can begin, whatever the wall clocks say (docs/adr/0013).

use std::sync::Arc;
use std::time::Duration;

use super::text::OneLine;

/// How long a lease must be seen unchanged before another takes it. With [`LOOK_EVERY`] before and a first look after it, a
/// takeover is done within six seconds. An API server that is silent for longer costs a change of the leader, which is
/// cheap: the other has looked all the time, and everything that is under way is found again from facts.
pub const LEASE: Duration = Duration::from_secs(4);
/// How long a leader may act on one successful write. What is left to [`LEASE`] is for requests that are under way when it ends,
/// and for clocks that run at different speeds: a quarter is a thousand times what clocks differ by.
pub const TERM: Duration = Duration::from_secs(3);
/// How often a leader writes: two writes may fail before its term is over.
pub const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How often the others look; also what a released lease waits for at most.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);
/// One request about the lease. An answer that takes longer comes too late to help.
pub const REQUEST_MAX: Duration = Duration::from_secs(1);
/// The pause after a request without a usable answer, while the term runs.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// The pause after somebody else was faster: what they wrote is looked at then.
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);
/// A lease may ask others to wait longer than [`LEASE`], because its holder is of another version; no longer than this.
const LEASE_MAX: Duration = Duration::from_secs(60);
/// Requests for giving the lease back: one look, where it is in doubt whose it is, and a few tries. Whoever takes over waits for
/// its end otherwise.
const RELEASE_TRIES: u32 = 4;

/// Asks whether this process may act, right before something is written.
pub type Leave = Arc<dyn Fn() -> bool + Send + Sync>;

/// A moment of one process's own clock, which never jumps and goes on while the machine sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The moment at which that much has passed on the clock.
    #[must_use]
    pub const fn at(passed: Duration) -> Self {
        Self(passed)
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, more: Duration) -> Self {
        Self(self.0.saturating_add(more))
    }

    /// How long it is from `earlier` to here; nothing where it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// One of the replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What the operator calls it: in a cluster its pod's name. Only one process of a name runs at a time.
    name: String,
    /// What tells this process from those that had the name before it.
    process: String,
}

impl Candidate {
    /// A candidate; `process` is another one at each start.
    #[must_use]
    pub fn new(name: &str, process: &str) -> Self {
        Self { name: name.to_owned(), process: process.replace('_', "-") }
    }

    /// What stands in the lease while it leads.
    #[must_use]
    pub fn holder(&self) -> String {
        format!("{}_{}", self.name, self.process)
    }

    /// Whether an earlier process of this name is meant.
    fn was(&self, holder: &str) -> bool {
        holder != self.holder() && name_of(holder) == self.name
    }
}

/// Whose name a holder carries.
#[must_use]
pub fn name_of(holder: &str) -> &str {
    holder.rsplit_once('_').map_or(holder, |(name, _)| name)
}

/// The lease as it was read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// `metadata.resourceVersion`.
    pub version: String,
    /// Who leads; `None`: it was given back.
    pub holder: Option<String>,
    /// How long others are to wait.
    pub lasts: Option<Duration>,
    /// How often it went from one to another. A lease that nobody ever had is blank: it stands where one may have been deleted
    /// under its holder.
    pub transitions: i32,
}

impl Lease {
    const fn is_blank(&self) -> bool {
        self.holder.is_none() && self.transitions == 0
    }
}

/// What is to be asked of the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// How the lease is.
    Look,
    /// Make it, or write it under a resourceVersion.
    Write(Entry),
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The resourceVersion that it must have; `None`: it must not be there.
    pub over: Option<String>,
    /// Who leads from now on; `None`: nobody.
    pub holder: Option<String>,
    /// How often it went from one to another.
    pub transitions: i32,
    /// A term begins, and is not only renewed.
    pub begins: bool,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The lease, as it was read or is after the write; `None`: there is none.
    Lease(Option<Lease>),
    /// Nothing was written: somebody else was faster.
    Conflict,
    /// No usable answer: it may have been written or not.
    Failed(OneLine),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing before that moment.
    Wait(Moment),
    /// Ask, and say what came back.
    Ask(Ask),
    /// The lease is given back, or was never ours.
    Done,
}

/// The lease as this process knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// `None`: it is not there.
    lease: Option<Lease>,
    /// When an answer showed it so for the first time.
    since: Moment,
    /// It was this name's when this process began: its former process is gone.
    former: bool,
}

/// One replica's part in the election.
#[derive(Debug, Clone)]
pub struct Election {
    me: Candidate,
    seen: Option<Seen>,
    /// What is known of the lease may be outdated: it is looked at before it is written.
    doubt: bool,
    /// Until when this replica may act.
    until: Option<Moment>,
    due: Moment,
    /// Tries to give the lease back that are left; `None`: it is not to be given back.
    leaving: Option<u32>,
}

impl Election {
    /// A replica that knows nothing yet.
    #[must_use]
    pub const fn new(me: Candidate, now: Moment) -> Self {
        Self { me, seen: None, doubt: true, until: None, due: now, leaving: None }
    }

    /// Until when this replica may act; `None`, or a moment that is over: it may not.
    #[must_use]
    pub const fn until(&self) -> Option<Moment> {
        self.until
    }

    /// Who leads, as far as it is known.
    #[must_use]
    pub fn leader(&self) -> Option<&str> {
        self.seen.as_ref().and_then(|seen| seen.lease.as_ref()).and_then(|lease| lease.holder.as_deref()).map(name_of)
    }

    /// Gives the lease back from now on: nobody has to wait for its end. Whoever calls it acts no more.
    pub const fn leave(&mut self, now: Moment) {
        if self.leaving.is_none() {
            self.leaving = Some(RELEASE_TRIES);
            self.until = None;
            self.due = now;
        }
    }

    /// What to do now.
    #[must_use]
    pub fn next(&self, now: Moment) -> Step {
        if let Some(tries) = self.leaving {
            let mine = self.seen.as_ref().is_some_and(|seen| self.is_mine(seen));
            if tries == 0 || !mine && !self.doubt || self.seen.is_none() {
                return Step::Done;
            }
        }
        if now < self.due {
            return Step::Wait(self.due);
        }
        let Some(seen) = self.seen.as_ref().filter(|_| !self.doubt) else { return Step::Ask(Ask::Look) };
        if self.leaving.is_some() {
            return Step::Ask(Ask::Write(self.entry(seen, None, now)));
        }
        if self.free_from(seen, now) > now {
            return Step::Ask(Ask::Look);
        }
        // Where there is none, its holder may act still: what is made is nobody's, and waits as if it were somebody's.
        let blank = seen.lease.is_none() && !self.leads(now);
        Step::Ask(Ask::Write(self.entry(seen, (!blank).then(|| self.me.holder()), now)))
    }

    /// Takes in what came back of an [`Ask`] that was sent at `sent`.
    pub fn heard(&mut self, ask: &Ask, sent: Moment, answer: &Answer, now: Moment) {
        if let Some(tries) = &mut self.leaving {
            *tries = tries.saturating_sub(1);
        }
        match answer {
            Answer::Lease(lease) => {
                self.saw(lease.clone(), now);
                self.doubt = false;
                match ask {
                    Ask::Write(entry) if entry.holder.is_some() && self.leaving.is_none() => {
                        self.until = Some(sent.plus(TERM));
                        self.due = sent.plus(RENEW_EVERY);
                    }
                    Ask::Write(_) | Ask::Look => self.due = self.after_look(now),
                }
            }
            Answer::Conflict => {
                self.doubt = true;
                self.due = now.plus(CONFLICT_PAUSE);
            }
            // A renewal is simply sent again: if it was written the first time, that is a conflict, and looked at.
            Answer::Failed(_) => {
                let leads = self.leads(now);
                self.doubt |= !leads;
                self.due = now.plus(if leads || self.leaving.is_some() { RETRY_PAUSE } else { LOOK_EVERY });
            }
        }
    }

    fn saw(&mut self, lease: Option<Lease>, now: Moment) {
        let holder = lease.as_ref().and_then(|lease| lease.holder.as_deref());
        let anybodys = lease.as_ref().is_none_or(Lease::is_blank);
        if !anybodys && holder != Some(self.me.holder().as_str()) {
            // Somebody else leads: a newer process of the same name, or whoever a person wrote there.
            self.until = None;
        }
        let version = |lease: &Option<Lease>| lease.as_ref().map(|lease| lease.version.clone());
        let (since, former) = match &self.seen {
            Some(seen) if version(&seen.lease) == version(&lease) => (seen.since, seen.former),
            Some(_) => (now, false),
            None => (now, holder.is_some_and(|holder| self.me.was(holder))),
        };
        self.seen = Some(Seen { lease, since, former });
    }

    /// When the lease may be written, as far as it is known.
    fn free_from(&self, seen: &Seen, now: Moment) -> Moment {
        let Some(lease) = &seen.lease else { return now };
        let given_back = lease.holder.is_none() && !lease.is_blank();
        if given_back || seen.former || self.is_mine(seen) || lease.is_blank() && self.leads(now) {
            return now;
        }
        seen.since.plus(lease.lasts.unwrap_or(LEASE).clamp(LEASE, LEASE_MAX))
    }

    fn after_look(&self, now: Moment) -> Moment {
        let seen = self.seen.as_ref().filter(|_| self.leaving.is_none());
        seen.map_or(now, |seen| self.free_from(seen, now)).min(now.plus(LOOK_EVERY)).max(now)
    }

    fn leads(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    fn is_mine(&self, seen: &Seen) -> bool {
        seen.lease.as_ref().and_then(|lease| lease.holder.as_ref()).is_some_and(|holder| *holder == self.me.holder())
    }

    fn entry(&self, seen: &Seen, holder: Option<String>, now: Moment) -> Entry {
        let begins = holder.is_some() && !self.leads(now);
        let before = seen.lease.as_ref();
        let moves = i32::from(holder.is_some() && !self.is_mine(seen));
        Entry {
            over: before.map(|lease| lease.version.clone()),
            holder,
            transitions: before.map_or(0, |lease| lease.transitions).saturating_add(moves),
            begins,
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
