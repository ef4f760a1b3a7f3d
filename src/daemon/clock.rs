//! The one clock. Everything else gets time as data.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};

use crate::core::election::Moment;

/// A clock that never jumps, and that goes on while the machine sleeps where the system has one: what was promised for three
/// seconds is over when the machine wakes up.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SLEEPLESS: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SLEEPLESS: ClockId = ClockId::Monotonic;

/// A wall clock that moved by this much more or less than time has passed since it was read last was set, not slewed: time
/// servers slew by half a millisecond a second, and the daemon reads its clock every few seconds.
const JUMP_MIN: SignedDuration = SignedDuration::from_secs(1);

static STEADY: Mutex<Steady> = Mutex::new(Steady::new());

/// The time now, for deadlines and what is compared with them: the wall clock's, as if nobody had set it while we run.
/// Somebody who sets it must not make a candidate late.
#[must_use]
pub fn now() -> Timestamp {
    let (now, jump) = STEADY.lock().unwrap_or_else(PoisonError::into_inner).read(wall(), Instant::now());
    if let Some(jump) = jump {
        let jump = SignedDuration::from_secs_f64(jump.as_secs_f64().round());
        tracing::warn!("the clock jumped by {jump:#}: deadlines go on as if it had not, until the next start");
    }
    now
}

/// The wall clock's time now, for those who compare it with clocks of their own.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that clippy.toml names")]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// The sleepless clock's time now.
#[must_use]
pub fn moment() -> Moment {
    let now = clock_gettime(SLEEPLESS);
    let seconds = Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or_default());
    Moment::at(seconds + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or_default()))
}

/// The wall clock without its jumps.
#[derive(Debug)]
struct Steady {
    last: Option<(Timestamp, Instant)>,
    /// How far the wall clock was set ahead, all in all.
    ahead: SignedDuration,
}

impl Steady {
    const fn new() -> Self {
        Self { last: None, ahead: SignedDuration::ZERO }
    }

    /// The time, and the jump since it was read last, if there was one.
    fn read(&mut self, wall: Timestamp, instant: Instant) -> (Timestamp, Option<SignedDuration>) {
        let moved = self.last.map(|(then, before)| {
            let passed = SignedDuration::try_from(instant.duration_since(before)).unwrap_or(SignedDuration::ZERO);
            wall.duration_since(then).saturating_sub(passed)
        });
        self.last = Some((wall, instant));
        let jump = moved.filter(|moved| moved.abs() >= JUMP_MIN);
        if let Some(jump) = jump {
            self.ahead = self.ahead.saturating_add(jump);
        }
        (wall.checked_sub(self.ahead).unwrap_or(wall), jump)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_clock_that_is_set_changes_no_deadline_and_one_that_is_slewed_is_followed() {
        let begin = Instant::now();
        let mut steady = Steady::new();
        // Seconds passed, what the wall clock shows then, the time that counts, the jump.
        for (passed, wall, expect, jump) in [
            (0, 1000, 1000, None),
            (10, 1010, 1010, None),
            (20, 4620, 1020, Some(3600)),
            (30, 4630, 1030, None),
            (40, 1040, 1040, Some(-3600)),
            (50, 1050, 1050, None),
            (60, 60, 1060, Some(-1000)),
        ] {
            let (now, jumped) = steady.read(at(wall), begin + Duration::from_secs(passed));
            assert_eq!((now, jumped), (at(expect), jump.map(SignedDuration::from_secs)), "after {passed} s");
        }
        let mut slewed = Steady::new();
        for step in 0..1000_i32 {
            let wall = at(0) + SignedDuration::from_millis(10_005) * step;
            let (now, jumped) = slewed.read(wall, begin + Duration::from_secs(10) * step.unsigned_abs());
            assert_eq!((now, jumped), (wall, None));
        }
    }
}
