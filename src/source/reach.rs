//! Whether git could be asked, and took commits, when it was tried last.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A refused commit is tried again within half a minute; a refusal that is older was about a commit that nobody wants any
/// more, and says nothing of the next one.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// How the last tries ended.
#[derive(Debug, Default)]
pub(super) struct Reach(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lost: bool,
    refused: Option<Instant>,
}

impl Reach {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The branch was asked for, or could not be.
    pub(super) fn asked<T, E>(&self, answer: Result<T, E>) -> Result<T, E> {
        self.state().lost = answer.is_err();
        answer
    }

    /// A commit was taken, or not.
    pub(super) fn pushed<T, E>(&self, answer: Result<T, E>) -> Result<T, E> {
        self.state().refused = answer.is_err().then(Instant::now);
        answer
    }

    /// Whether the last question found no answer, or the last commit was not taken.
    pub(super) fn is_lost(&self) -> bool {
        let state = self.state();
        state.lost || state.refused.is_some_and(|at| at.elapsed() < REFUSED_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_failure_counts_until_the_next_success() {
        let reach = Reach::default();
        let (yes, no) = (Ok::<(), ()>(()), Err::<(), ()>(()));
        assert!(!reach.is_lost());
        assert!(reach.asked(no).is_err() && reach.is_lost());
        assert!(reach.pushed(no).is_err() && reach.asked(yes).is_ok() && reach.is_lost());
        assert!(reach.pushed(yes).is_ok() && !reach.is_lost());
    }
}
