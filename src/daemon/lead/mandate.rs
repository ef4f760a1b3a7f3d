//! What this process may do now: act, or only look. Whatever writes asks here, at every step of its way.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::watch;

use crate::core::election::{Leave, Moment};
use crate::daemon::clock;

/// What the election has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::daemon) enum Term {
    /// There is no election: this process acts for as long as it runs.
    Always,
    /// It acts until that moment, if it is not prolonged.
    Until(Moment),
    /// Another one acts, or nobody.
    Never,
}

/// The right to act, for everybody who writes. Clones are the same right.
#[derive(Debug, Clone)]
pub(in crate::daemon) struct Mandate {
    term: watch::Receiver<Term>,
}

impl Mandate {
    /// The right that somebody else prolongs and takes away.
    pub(super) const fn new(term: watch::Receiver<Term>) -> Self {
        Self { term }
    }

    /// The right of a process that is alone.
    pub(in crate::daemon) fn always() -> Self {
        Self { term: watch::channel(Term::Always).1 }
    }

    /// Whether this process may act, at this very moment.
    pub(in crate::daemon) fn holds(&self) -> bool {
        match *self.term.borrow() {
            Term::Always => true,
            Term::Until(until) => clock::moment() < until,
            Term::Never => false,
        }
    }

    /// The same question, for those who know nothing of mandates.
    pub(in crate::daemon) fn leave(&self) -> Leave {
        let mandate = self.clone();
        Arc::new(move || mandate.holds())
    }

    /// Works while the mandate holds; `None` where it ended first.
    ///
    /// # Guarantees
    /// Before each step of the work the clock is asked, so that a process that was frozen in the middle of it takes no further
    /// step, whatever wakes it first. Work that waits for an answer is dropped at the term's end, with its request.
    pub(in crate::daemon) async fn during<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut over) = (pin!(work), pin!(self.over()));
        poll_fn(|context| {
            if !self.holds() || over.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(context).map(Some)
        })
        .await
    }

    /// Done when the mandate has ended.
    async fn over(&self) {
        let mut term = self.term.clone();
        loop {
            let until = *term.borrow_and_update();
            let changed = match until {
                Term::Never => return,
                Term::Always => term.changed().await,
                Term::Until(until) => {
                    let left = until.since(clock::moment());
                    if left.is_zero() {
                        return;
                    }
                    tokio::select! {
                        changed = term.changed() => changed,
                        () = tokio::time::sleep(left) => Ok(()),
                    }
                }
            };
            if changed.is_err() {
                // Nobody changes it any more: it stays as it is.
                match until {
                    Term::Always => return std::future::pending().await,
                    Term::Until(until) => tokio::time::sleep(until.since(clock::moment())).await,
                    Term::Never => return,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn mandate(term: Term) -> (watch::Sender<Term>, Mandate) {
        let (sender, term) = watch::channel(term);
        (sender, Mandate::new(term))
    }

    /// Far enough away for a busy machine to begin something before it.
    fn soon() -> Moment {
        clock::moment().plus(Duration::from_millis(400))
    }

    #[tokio::test]
    async fn work_ends_with_the_term_and_not_before() {
        assert_eq!(Mandate::always().during(async { 1 }).await, Some(1));
        let (_sender, never) = mandate(Term::Never);
        assert_eq!(never.during(async { 1 }).await, None, "not even a step");
        let (_sender, short) = mandate(Term::Until(soon()));
        assert_eq!(short.during(async { 1 }).await, Some(1));
        assert_eq!(short.during(std::future::pending::<()>()).await, None, "what waits is dropped");
        assert!(!short.holds());
    }

    #[tokio::test]
    async fn a_prolonged_term_lets_work_go_on_and_a_revoked_one_ends_it() {
        let (sender, long) = mandate(Term::Until(soon()));
        let end = soon().plus(Duration::from_secs(60));
        sender.send(Term::Until(end)).expect("heard");
        let slow = tokio::time::sleep(Duration::from_millis(500));
        assert_eq!(long.during(slow).await, Some(()), "beyond the first end");

        let (sender, revoked) = mandate(Term::Until(clock::moment().plus(Duration::from_secs(3600))));
        let work = tokio::spawn(async move { revoked.during(std::future::pending::<()>()).await });
        tokio::task::yield_now().await;
        sender.send(Term::Never).expect("heard");
        assert_eq!(work.await.expect("ended"), None);
    }

    /// As after a freeze: the thread sleeps through the term's end in the middle of the work, and what it waited for is there.
    #[tokio::test]
    async fn a_step_after_the_end_is_not_taken_though_it_could_be() {
        let (_sender, short) = mandate(Term::Until(clock::moment().plus(Duration::from_millis(1_000))));
        let mut steps = 0;
        let work = async {
            loop {
                steps += 1;
                std::thread::sleep(Duration::from_millis(600));
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(short.during::<()>(work).await, None);
        assert_eq!(steps, 2, "the second began in time, a third did not");
    }
}
