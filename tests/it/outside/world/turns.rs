//! How many stories a real cluster bears at a time: each has pods that start, a turquoise and a client that asks.

use std::env;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Stories at a time, unless `TURQUOISE_E2E_STORIES` says otherwise. A story mostly waits; with more of them two cores are
/// busy all the time, and what the stories measure is the queue.
const STORIES_AT_A_TIME: usize = 3;

#[derive(Default)]
struct Taken {
    stories: usize,
    /// Somebody waits to be alone: nobody else begins.
    alone_waits: bool,
}

static TAKEN: Mutex<Taken> = Mutex::new(Taken { stories: 0, alone_waits: false });
static GIVEN_BACK: Condvar = Condvar::new();

/// A story's turn; it ends with this value.
pub(super) struct Turn {
    weight: usize,
}

impl Turn {
    /// Waits for it; `alone`: until nobody else has one.
    pub(super) fn take(alone: bool) -> Self {
        let all = at_a_time();
        let weight = if alone { all } else { 1 };
        let mut taken = lock();
        while alone && taken.alone_waits {
            taken = GIVEN_BACK.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        taken.alone_waits |= alone;
        while taken.stories + weight > all || (!alone && taken.alone_waits) {
            taken = GIVEN_BACK.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        taken.stories += weight;
        if alone {
            taken.alone_waits = false;
        }
        Self { weight }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock().stories -= self.weight;
        GIVEN_BACK.notify_all();
    }
}

fn lock() -> MutexGuard<'static, Taken> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn at_a_time() -> usize {
    let said = env::var("TURQUOISE_E2E_STORIES").ok().and_then(|text| text.parse().ok());
    said.filter(|number| *number > 0).unwrap_or(STORIES_AT_A_TIME)
}
