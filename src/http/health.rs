//! Whether the loop turns, and whether git and the cluster answer: `/healthz` and `/readyz`.
//!
//! Ages are measured with the monotonic clock, so that a wall clock that jumps makes nobody restart turquoise.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::core::text::OneLine;

/// The loop turns at least this often, if only to say so.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// A loop that did not turn for that long hangs: twelve heartbeats.
const TURN_MAX: Duration = Duration::from_secs(60);
/// An outage that is shorter takes nobody out of a Service's endpoints: git hosts restart, API servers are upgraded.
const OUTAGE_MAX: Duration = Duration::from_secs(120);

/// What is known of the outside world's health.
#[derive(Debug, Default)]
pub struct Health {
    turned: Option<Instant>,
    poll: Duration,
    repos: BTreeMap<String, Reach>,
    cluster: Reach,
    /// `None` where there is no election.
    lease: Option<Reach>,
}

/// When something was reached.
#[derive(Debug, Default)]
struct Reach {
    at: Option<Instant>,
    /// The words of a failure since then.
    failure: Option<OneLine>,
}

impl Health {
    /// How often git and the cluster are asked: silence of twice that, and an outage's length, is an outage too.
    pub fn expect_every(&mut self, poll: Duration) {
        self.poll = poll;
    }

    /// The daemon's loop turned.
    pub fn turned(&mut self, now: Instant) {
        self.turned = Some(now);
    }

    /// A repository was asked.
    pub fn asked_git(&mut self, repo: &str, answer: Result<(), OneLine>, now: Instant) {
        self.repos.entry(repo.to_owned()).or_default().note(answer, now);
    }

    /// Repositories that are not watched any more say nothing.
    pub fn retain_repos(&mut self, keep: impl Fn(&str) -> bool) {
        self.repos.retain(|repo, _| keep(repo));
    }

    /// The cluster was asked.
    pub fn asked_cluster(&mut self, answer: Result<(), OneLine>, now: Instant) {
        self.cluster.note(answer, now);
    }

    /// There is an election: whoever cannot reach its lease cannot take over.
    pub fn expect_lease(&mut self) {
        self.lease.get_or_insert_default();
    }

    /// The lease was asked for.
    pub fn asked_lease(&mut self, answer: Result<(), OneLine>, now: Instant) {
        self.lease.get_or_insert_default().note(answer, now);
    }

    /// Why the process should be restarted; `None` while its loop turns.
    #[must_use]
    pub fn hangs(&self, now: Instant) -> Option<String> {
        let age = now.duration_since(self.turned?);
        (age > TURN_MAX).then(|| format!("the loop has not turned for {} s", age.as_secs()))
    }

    /// What is out of reach; empty where git and the cluster answer. One of several repositories is enough for git:
    /// a repository that is gone must not take the others' hooks away.
    #[must_use]
    pub fn out_of_reach(&self, now: Instant) -> Vec<String> {
        let mut missing: Vec<String> = self
            .repos
            .iter()
            .filter_map(|(repo, reach)| Some(format!("git: {repo}: {}", reach.lack(self.poll, now)?)))
            .collect();
        if self.repos.is_empty() {
            missing.push("git: was not asked yet".to_owned());
        } else if missing.len() < self.repos.len() {
            missing.clear();
        }
        missing.extend(self.cluster.lack(self.poll, now).map(|lack| format!("cluster: {lack}")));
        let lease = self.lease.as_ref().and_then(|lease| lease.lack(Duration::ZERO, now));
        missing.extend(lease.map(|lack| format!("lease: {lack}")));
        missing
    }
}

impl Reach {
    fn note(&mut self, answer: Result<(), OneLine>, now: Instant) {
        match answer {
            Ok(()) => *self = Self { at: Some(now), failure: None },
            Err(words) => self.failure = Some(words),
        }
    }

    fn lack(&self, poll: Duration, now: Instant) -> Option<String> {
        let why = || self.failure.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
        let Some(at) = self.at else { return Some(format!("not reached yet{}", why())) };
        let age = now.duration_since(at);
        let patience = if self.failure.is_some() { OUTAGE_MAX } else { OUTAGE_MAX + poll * 2 };
        (age > patience).then(|| format!("not reached for {} s{}", age.as_secs(), why()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Result<(), OneLine> {
        Err(OneLine::new("connection refused"))
    }

    #[test]
    fn ready_is_both_reached_once_and_no_long_outage_since() {
        let (mut health, start) = (Health::default(), Instant::now());
        health.expect_every(Duration::from_secs(60));
        assert_eq!(health.out_of_reach(start), ["git: was not asked yet", "cluster: not reached yet"]);
        health.asked_git("shop.git", Ok(()), start);
        health.asked_cluster(failed(), start);
        assert_eq!(health.out_of_reach(start), ["cluster: not reached yet: connection refused"]);
        health.asked_cluster(Ok(()), start);
        assert!(health.out_of_reach(start).is_empty());

        let later = start + OUTAGE_MAX + Duration::from_secs(1);
        assert!(health.out_of_reach(later).is_empty(), "nobody asked in the meantime");
        let silent = start + OUTAGE_MAX + Duration::from_secs(121);
        assert_eq!(
            health.out_of_reach(silent),
            ["git: shop.git: not reached for 241 s", "cluster: not reached for 241 s"],
            "an answer that never comes is an outage"
        );
        health.asked_git("shop.git", failed(), later);
        assert_eq!(health.out_of_reach(later), ["git: shop.git: not reached for 121 s: connection refused"]);
        health.asked_git("shop.git", Ok(()), later);
        assert!(health.out_of_reach(later).is_empty());
    }

    #[test]
    fn whoever_cannot_reach_the_lease_is_not_ready_and_without_an_election_nobody_asks() {
        let (mut health, now) = (Health::default(), Instant::now());
        health.asked_cluster(Ok(()), now);
        health.asked_git("a.git", Ok(()), now);
        assert!(health.out_of_reach(now).is_empty());
        health.expect_lease();
        assert_eq!(health.out_of_reach(now), ["lease: not reached yet"]);
        health.asked_lease(Ok(()), now);
        health.expect_lease();
        assert!(health.out_of_reach(now).is_empty());
        let late = now + OUTAGE_MAX + Duration::from_secs(1);
        for side in [Health::asked_cluster, Health::asked_lease] {
            side(&mut health, failed(), late);
        }
        health.asked_cluster(Ok(()), late);
        health.asked_git("a.git", Ok(()), late);
        assert_eq!(health.out_of_reach(late), ["lease: not reached for 121 s: connection refused"]);
    }

    #[test]
    fn one_repository_of_several_is_enough() {
        let (mut health, now) = (Health::default(), Instant::now());
        health.asked_cluster(Ok(()), now);
        health.asked_git("a.git", failed(), now);
        health.asked_git("b.git", Ok(()), now);
        assert!(health.out_of_reach(now).is_empty());
        health.retain_repos(|repo| repo == "a.git");
        assert_eq!(health.out_of_reach(now), ["git: a.git: not reached yet: connection refused"]);
    }

    #[test]
    fn a_loop_that_hangs_is_seen() {
        let (mut health, start) = (Health::default(), Instant::now());
        assert_eq!(health.hangs(start), None, "it did not begin yet");
        health.turned(start);
        assert_eq!(health.hangs(start + TURN_MAX), None);
        let late = start + TURN_MAX + Duration::from_secs(1);
        assert_eq!(health.hangs(late).as_deref(), Some("the loop has not turned for 61 s"));
    }
}
