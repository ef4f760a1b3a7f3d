//! Jobs -> pods that end by themselves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::controllers::pods::{self, Pod, age_seconds};
use crate::object::{self, int, list, text};
use crate::store::Key;
use crate::world::World;
use crate::writes::Deletion;

const COMPONENT: &str = "job-controller";

/// Creates pods until enough have succeeded, and writes the status; says when to look again.
pub(crate) fn sync(world: &World, key: &Key) -> Option<Duration> {
    let job = world.store.get(key)?;
    if object::is_deleting(&job) {
        return None;
    }
    if let Some(finished) = finished_at(&job) {
        return expire(world, key, &job, finished);
    }
    let pods = pods::controlled_by(world, &job);
    let tally = Tally::of(&job, &pods);
    let mut conditions = list(&job, "/status/conditions").to_vec();
    let now = world.options.clock.seconds();
    let mut again = None;
    let completions = int(&job, "/spec/completions").unwrap_or(1);
    if let Some((reason, message)) = tally.failure(world, &job) {
        end_active(world, &job, &pods);
        pods::set_condition(&mut conditions, "FailureTarget", ("True", reason, message), &now);
        pods::set_condition(&mut conditions, "Failed", ("True", reason, message), &now);
        world.event(&job, COMPONENT, "Warning", reason, message);
    } else if tally.succeeded >= completions {
        let done = ("True", "CompletionsReached", "Reached expected number of succeeded pods");
        pods::set_condition(&mut conditions, "SuccessCriteriaMet", done, &now);
        pods::set_condition(&mut conditions, "Complete", done, &now);
        world.event(&job, COMPONENT, "Normal", "Completed", "Job completed");
    } else if job["spec"]["suspend"] == true {
        end_active(world, &job, &pods);
        pods::set_condition(&mut conditions, "Suspended", ("True", "JobSuspended", "Job suspended"), &now);
    } else {
        if conditions.iter().any(|condition| condition["type"] == "Suspended") {
            pods::set_condition(&mut conditions, "Suspended", ("False", "JobResumed", "Job resumed"), &now);
        }
        again = tally.start(world, key, &job, completions);
    }
    write_status(world, key, &job, conditions);
    let deadline = int(&job, "/spec/activeDeadlineSeconds").map(|seconds| {
        let started = age_seconds(text(&job, "/status/startTime"), world.options.clock.now());
        Duration::from_secs(u64::try_from((seconds - started).max(1)).unwrap_or(1))
    });
    match (again, deadline) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// How a Job's pods fare.
struct Tally {
    active: i64,
    succeeded: i64,
    /// Pods that failed, and restarts of containers in pods that go on.
    failed: i64,
    /// When the last pod failed.
    last_failure: Option<String>,
}

impl Tally {
    fn of(job: &Value, pods: &[Pod]) -> Tally {
        let mut tally = Tally { active: 0, succeeded: 0, failed: 0, last_failure: None };
        let restarts = text(job, "/spec/template/spec/restartPolicy") == "OnFailure";
        for (_, pod) in pods {
            let statuses = list(pod, "/status/containerStatuses");
            match text(pod, "/status/phase") {
                "Succeeded" => tally.succeeded += 1,
                "Failed" => {
                    tally.failed += 1;
                    let ends = statuses.iter().map(|status| text(status, "/state/terminated/finishedAt").to_owned());
                    tally.last_failure = tally.last_failure.max(ends.max());
                }
                _ if object::is_deleting(pod) => {}
                _ => {
                    tally.active += 1;
                    if restarts {
                        tally.failed +=
                            statuses.iter().map(|status| int(status, "/restartCount").unwrap_or(0)).sum::<i64>();
                    }
                }
            }
        }
        tally
    }

    /// Why the Job has failed, if it has.
    fn failure(&self, world: &World, job: &Value) -> Option<(&'static str, &'static str)> {
        let started = text(job, "/status/startTime");
        let deadline = int(job, "/spec/activeDeadlineSeconds").filter(|_| !started.is_empty());
        if self.failed > int(job, "/spec/backoffLimit").unwrap_or(6) {
            return Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit"));
        }
        let late = deadline.is_some_and(|seconds| age_seconds(started, world.options.clock.now()) >= seconds);
        late.then_some(("DeadlineExceeded", "Job was active longer than specified deadline"))
    }

    /// Starts as many pods as are missing; after a failure with a wait that doubles.
    fn start(&self, world: &World, key: &Key, job: &Value, completions: i64) -> Option<Duration> {
        let parallel = int(job, "/spec/parallelism").unwrap_or(1);
        let missing = parallel.min(completions - self.succeeded) - self.active;
        if missing <= 0 {
            return None;
        }
        if let Some(last) = &self.last_failure {
            let doublings = u32::try_from(self.failed - 1).unwrap_or(0).min(16);
            let wait = world.options.back_off.saturating_mul(2_u32.saturating_pow(doublings));
            let quiet = Duration::from_secs(u64::try_from(age_seconds(last, world.options.clock.now())).unwrap_or(0));
            if quiet < wait {
                return Some((wait - quiet).max(Duration::from_millis(1)));
            }
        }
        let refused = (0..missing).any(|_| {
            let pod = pods::from_template(key, job, &job["spec"]["template"], |_| ());
            pods::create(world, job, COMPONENT, pod).is_err()
        });
        refused.then_some(pods::AGAIN)
    }
}

fn end_active(world: &World, job: &Value, pods: &[Pod]) {
    for (key, pod) in pods.iter().filter(|(_, pod)| pods::is_active(pod)) {
        pods::delete(world, job, COMPONENT, key, pod);
    }
}

fn finished_at(job: &Value) -> Option<String> {
    let ends = ["Complete", "Failed"].into_iter().filter_map(|kind| object::condition(job, kind));
    let end = ends.into_iter().find(|condition| condition["status"] == "True")?;
    Some(text(end, "/lastTransitionTime").to_owned())
}

/// A finished Job goes once its time is over.
fn expire(world: &World, key: &Key, job: &Value, finished: String) -> Option<Duration> {
    let seconds = int(job, "/spec/ttlSecondsAfterFinished")?;
    let age = age_seconds(&finished, world.options.clock.now());
    if age < seconds {
        return Some(Duration::from_secs(u64::try_from(seconds - age).unwrap_or(1)));
    }
    let deletion = Deletion {
        uid: Some(object::uid(job).to_owned()),
        propagation: "Foreground".to_owned(),
        ..Deletion::default()
    };
    // Gone meanwhile is as good as deleted.
    let _ = world.store.transaction(|transaction| world.delete(transaction, key, &deletion));
    None
}

fn write_status(world: &World, key: &Key, job: &Value, conditions: Vec<Value>) {
    let pods = pods::controlled_by(world, job);
    let tally = Tally::of(job, &pods);
    let holds = |kind: &str| conditions.iter().any(|one| one["type"] == kind && one["status"] == "True");
    let now = world.options.clock.seconds();
    let started = match text(job, "/status/startTime") {
        "" => now.clone(),
        started => started.to_owned(),
    };
    let failed = pods.iter().filter(|(_, pod)| text(pod, "/status/phase") == "Failed").count();
    let terminating = pods.iter().filter(|(_, pod)| object::is_deleting(pod)).count();
    let ready = pods.iter().filter(|(_, pod)| pods::is_active(pod) && object::is_ready(pod)).count();
    let mut status = json!({"uncountedTerminatedPods": {}, "ready": ready, "terminating": terminating});
    let counts = [
        ("active", tally.active),
        ("succeeded", tally.succeeded),
        ("failed", i64::try_from(failed).unwrap_or(i64::MAX)),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        status[name] = json!(count);
    }
    if !holds("Suspended") {
        status["startTime"] = json!(started);
    }
    if holds("Complete") {
        status["completionTime"] = json!(now);
    }
    if !conditions.is_empty() {
        status["conditions"] = Value::from(conditions);
    }
    pods::write_status(world, key, status);
}
