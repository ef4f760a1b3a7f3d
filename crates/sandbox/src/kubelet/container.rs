//! One container: its image, its environment, its process in this very process, its restarts.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use turquoise_shop::{Exit, Resolver};

use crate::faults::PodFault;
use crate::images::{Program, invalid_name};
use crate::kubelet::environment::{NoStart, Process, listening_port, process};
use crate::kubelet::pod::Shared;
use crate::kubelet::probes::Probe;
use crate::object::{list, text};

/// The longest wait between restarts and between pulls; a kubelet's.
const BACK_OFF_MAX: Duration = Duration::from_secs(300);

/// A container that ran this long starts again without a wait.
const BACK_OFF_FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// How long a failed pull is shown as `ErrImagePull` before it becomes `ImagePullBackOff`.
const PULL_ERROR_SHOWN: Duration = Duration::from_millis(300);

/// How often a missing ConfigMap or Secret is looked for again.
const CONFIG_AGAIN: Duration = Duration::from_secs(1);

/// The exit code of a process that was killed.
const KILLED: i32 = 137;

/// What a container does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Run {
    /// Not yet, or not now.
    Waiting { reason: String, message: String },
    /// It runs since then.
    Running { since: String },
    /// It ended.
    Terminated { code: i32, reason: &'static str, message: String, since: String, at: String },
}

/// A container's state as the pod's status shows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContainerState {
    pub(crate) run: Run,
    pub(crate) last: Option<Run>,
    pub(crate) ready: bool,
    pub(crate) started: bool,
    pub(crate) restarts: u32,
    pub(crate) id: String,
}

impl Default for ContainerState {
    fn default() -> Self {
        ContainerState {
            run: waiting("ContainerCreating", ""),
            last: None,
            ready: false,
            started: false,
            restarts: 0,
            id: String::new(),
        }
    }
}

/// What a status says of a container's end: the shop writes no termination message, so there is one only where the container
/// asks for its last log lines instead.
fn last_words(spec: &Value, exit: &Exit) -> String {
    let asked = text(spec, "/terminationMessagePolicy") == "FallbackToLogsOnError";
    if asked && exit.code != 0 { exit.message.clone() } else { String::new() }
}

fn waiting(reason: &str, message: &str) -> Run {
    Run::Waiting { reason: reason.to_owned(), message: message.to_owned() }
}

/// Runs a container, again and again as its pod's restart policy says, until the pod stops.
pub(crate) async fn run(shared: Arc<Shared>, pod: Arc<Value>, spec: Value) {
    let name = text(&spec, "/name").to_owned();
    let mut stopping = shared.stopping.subscribe();
    tokio::select! {
        // Whatever is not running yet ends at once when the pod is told to stop.
        () = async {
            let mut crashes = 0;
            while start_and_end(&shared, &pod, &spec, &name, &mut crashes).await {}
        } => (),
        () = async {
            // The sender lives in `shared`.
            let _ = stopping.wait_for(|stopping| stopping.is_some()).await;
            if matches!(shared.states().get(&name).map(|state| &state.run), Some(Run::Running { .. })) {
                std::future::pending::<()>().await;
            }
        } => (),
    }
}

/// One start and its end; whether to go on.
async fn start_and_end(shared: &Arc<Shared>, pod: &Value, spec: &Value, name: &str, crashes: &mut u32) -> bool {
    let (program, spec) = pull(shared, pod, spec, name).await;
    let process = loop {
        match process(shared, pod, &spec, &program) {
            Ok(process) => break process,
            Err(NoStart { reason, message }) => {
                shared.world.event(pod, "kubelet", "Warning", "Failed", &format!("Error: {message}"));
                shared.update(name, |state| state.run = waiting(reason, &message));
                sleep(CONFIG_AGAIN).await;
            }
        }
    };
    let port = listening_port(&spec);
    let event = |kind: &str, reason: &str, message: String| shared.world.event(pod, "kubelet", kind, reason, &message);
    let listener = match TcpListener::bind((shared.address, port)).await {
        Ok(listener) => listener,
        Err(error) => {
            let message = format!("listen tcp {}:{port}: {error}", shared.address);
            event("Warning", "Failed", format!("Error: {message}"));
            shared.update(name, |state| state.run = waiting("RunContainerError", &message));
            sleep(CONFIG_AGAIN).await;
            return true;
        }
    };
    event("Normal", "Created", format!("Created container: {name}"));
    event("Normal", "Started", format!("Started container {name}"));
    let since = shared.world.options.clock.seconds();
    let started = Instant::now();
    shared.world.logs.rotate(&shared.key, name);
    shared.update(name, |state| {
        state.run = Run::Running { since: since.clone() };
        state.id = format!("{:032x}", fastrand::u128(..));
        state.started = !spec["startupProbe"].is_object();
        state.ready = state.started && !spec["readinessProbe"].is_object();
    });
    let exit = live(shared, pod, &spec, name, listener, process).await;
    let is_stopping = shared.stopping.borrow().is_some();
    let ended = Run::Terminated {
        code: exit.code,
        reason: if exit.code == 0 { "Completed" } else { "Error" },
        message: last_words(&spec, &exit),
        since,
        at: shared.world.options.clock.seconds(),
    };
    shared.update(name, |state| {
        state.run = ended.clone();
        state.ready = false;
        state.started = false;
    });
    let restarts = match text(pod, "/spec/restartPolicy") {
        "Never" => false,
        "OnFailure" => exit.code != 0,
        _ => true,
    };
    if is_stopping || !restarts {
        return false;
    }
    if started.elapsed() > BACK_OFF_FORGOTTEN_AFTER {
        *crashes = 0;
    }
    back_off_restart(shared, pod, name, ended, *crashes).await;
    *crashes += 1;
    true
}

/// The first restart comes at once, the next ones after a wait that doubles.
async fn back_off_restart(shared: &Shared, pod: &Value, name: &str, ended: Run, crashes: u32) {
    if crashes > 0 {
        let wait = doubled(shared.world.options.back_off, crashes - 1);
        let message = format!(
            "back-off {} restarting failed container={name} pod={}_{}({})",
            seconds(wait),
            shared.key.name,
            shared.key.namespace,
            crate::object::uid(pod)
        );
        let told = format!("Back-off restarting failed container {name} in pod {}", shared.key.name);
        shared.world.event(pod, "kubelet", "Warning", "BackOff", &told);
        shared.update(name, |state| {
            state.last = Some(ended.clone());
            state.run = waiting("CrashLoopBackOff", &message);
        });
        sleep(wait).await;
    }
    shared.update(name, |state| {
        state.last = Some(ended);
        state.restarts += 1;
    });
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times)).min(BACK_OFF_MAX)
}

fn seconds(wait: Duration) -> String {
    if wait.subsec_millis() == 0 { format!("{}s", wait.as_secs()) } else { format!("{}ms", wait.as_millis()) }
}

/// Waits until the image is there; the pod's image may be changed meanwhile.
async fn pull(shared: &Shared, pod: &Value, spec: &Value, name: &str) -> (Program, Value) {
    let mut tries = 0;
    loop {
        let mut spec = spec.clone();
        let now = shared.pod();
        let current =
            now.iter().flat_map(|pod| list(pod, "/spec/containers")).find(|other| text(other, "/name") == name);
        if let Some(current) = current {
            spec["image"] = current["image"].clone();
        }
        let image = text(&spec, "/image").to_owned();
        let event =
            |kind: &str, reason: &str, message: String| shared.world.event(pod, "kubelet", kind, reason, &message);
        if let Some(message) = invalid_name(&image) {
            event("Warning", "InspectFailed", message.clone());
            event("Warning", "Failed", "Error: InvalidImageName".to_owned());
            shared.update(name, |state| state.run = waiting("InvalidImageName", &message));
            sleep(CONFIG_AGAIN).await;
            continue;
        }
        let error = match shared.world.options.images.pull(&image) {
            Ok(program) => {
                event("Normal", "Pulled", format!("Container image {image:?} already present on machine"));
                return (program, spec);
            }
            Err(error) => error,
        };
        event("Normal", "Pulling", format!("Pulling image {image:?}"));
        event("Warning", "Failed", format!("Failed to pull image {image:?}: {error}"));
        event("Warning", "Failed", "Error: ErrImagePull".to_owned());
        shared.update(name, |state| state.run = waiting("ErrImagePull", &error));
        sleep(PULL_ERROR_SHOWN).await;
        event("Normal", "BackOff", format!("Back-off pulling image {image:?}"));
        event("Warning", "Failed", "Error: ImagePullBackOff".to_owned());
        let message = format!("Back-off pulling image {image:?}: ErrImagePull: {error}");
        shared.update(name, |state| state.run = waiting("ImagePullBackOff", &message));
        sleep(doubled(shared.world.options.back_off, tries)).await;
        tries += 1;
    }
}

/// The process and its probes, until it ends by itself, by its liveness probe, by a test, or because the pod stops.
async fn live(
    shared: &Arc<Shared>,
    pod: &Value,
    spec: &Value,
    name: &str,
    listener: TcpListener,
    process: Process,
) -> Exit {
    let mut stopping = shared.stopping.subscribe();
    let grace = text_seconds(pod);
    let stop = {
        let mut stopping = shared.stopping.subscribe();
        async move {
            let _ = stopping.wait_for(Option::is_some).await;
        }
    };
    let resolver = {
        let (world, namespace) = (Arc::clone(&shared.world), shared.key.namespace.clone());
        Resolver::Table(Arc::new(move |host: &str| world.resolve(&namespace, host)))
    };
    let killed = |message: &str| Exit { code: KILLED, message: message.to_owned() };
    let run = async {
        match process {
            Process::Task(task, log) => task.run(log, stop).await,
            Process::Server(mut settings) => {
                settings.grace = grace;
                turquoise_shop::serve(listener, *settings, resolver, stop).await
            }
        }
    };
    tokio::select! {
        exit = run => exit,
        reason = watch_health(shared, pod, spec, name) => killed(&reason),
        () = killed_by_test(shared) => killed("killed"),
        () = async {
            // The grace period may be shortened while the pod stops.
            loop {
                let end = *stopping.borrow_and_update();
                match end {
                    None => if stopping.changed().await.is_err() { return },
                    Some(end) => tokio::select! {
                        () = tokio::time::sleep_until(end) => return,
                        changed = stopping.changed() => if changed.is_err() { return },
                    },
                }
            }
        } => killed("killed at the end of its grace period"),
    }
}

fn text_seconds(pod: &Value) -> Duration {
    let seconds = crate::object::int(pod, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

async fn killed_by_test(shared: &Shared) {
    let mut faults = shared.world.faults.pods();
    loop {
        match faults.recv().await {
            Ok((namespace, name, PodFault::Kill)) if namespace == shared.key.namespace && name == shared.key.name => {
                return;
            }
            Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => (),
            Err(tokio::sync::broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Runs the probes; ends with a reason when the container is to be killed.
async fn watch_health(shared: &Shared, pod: &Value, spec: &Value, name: &str) -> String {
    if let Some(startup) = Probe::read(spec, "startupProbe", shared.address) {
        if let Err(reason) = wait_started(shared, pod, name, &startup).await {
            return reason;
        }
        let ready = !spec["readinessProbe"].is_object();
        shared.update(name, |state| {
            state.started = true;
            state.ready = ready;
        });
    }
    tokio::select! {
        never = keep_ready(shared, pod, spec, name) => match never {},
        reason = keep_alive(shared, pod, spec, name) => reason,
    }
}

async fn wait_started(shared: &Shared, pod: &Value, name: &str, probe: &Probe) -> Result<(), String> {
    sleep(probe.initial_delay).await;
    let began = Instant::now();
    let patience = probe.period * probe.failure_threshold;
    loop {
        let Err(why) = probe.ask().await else { return Ok(()) };
        shared.world.event(pod, "kubelet", "Warning", "Unhealthy", &format!("Startup probe failed: {why}"));
        if began.elapsed() >= patience {
            let message = format!("Container {name} failed startup probe, will be restarted");
            shared.world.event(pod, "kubelet", "Normal", "Killing", &message);
            return Err(message);
        }
        sleep(shared.world.options.eager_probes.unwrap_or(probe.period).min(probe.period)).await;
    }
}

async fn keep_alive(shared: &Shared, pod: &Value, spec: &Value, name: &str) -> String {
    let Some(probe) = Probe::read(spec, "livenessProbe", shared.address) else {
        return std::future::pending().await;
    };
    sleep(probe.initial_delay).await;
    let mut failures = 0;
    loop {
        match probe.ask().await {
            Ok(()) => failures = 0,
            // A pod that stops is not killed for being unwell.
            Err(_) if shared.stopping.borrow().is_some() => (),
            Err(why) => {
                shared.world.event(pod, "kubelet", "Warning", "Unhealthy", &format!("Liveness probe failed: {why}"));
                failures += 1;
            }
        }
        if failures >= probe.failure_threshold {
            let message = format!("Container {name} failed liveness probe, will be restarted");
            shared.world.event(pod, "kubelet", "Normal", "Killing", &message);
            return message;
        }
        sleep(probe.period).await;
    }
}

async fn keep_ready(shared: &Shared, pod: &Value, spec: &Value, name: &str) -> std::convert::Infallible {
    let mut faults = shared.world.faults.pods();
    let probe = Probe::read(spec, "readinessProbe", shared.address);
    if let Some(probe) = &probe {
        sleep(probe.initial_delay).await;
    }
    let (mut failures, mut successes, mut was_ready) = (0, 0, false);
    loop {
        let unready = shared.world.faults.is_unready(&shared.key.namespace, &shared.key.name);
        let answer = match &probe {
            _ if unready => Err("held unready by the sandbox".to_owned()),
            None => Ok(()),
            Some(probe) => probe.ask().await,
        };
        let (needed, tolerated, period) = match &probe {
            Some(probe) => (probe.success_threshold, probe.failure_threshold, probe.period),
            None => (1, 1, Duration::from_secs(3600)),
        };
        match answer {
            Ok(()) => {
                (successes, failures) = (successes + 1, 0);
                if successes >= needed {
                    was_ready = true;
                    set_ready(shared, name, true);
                }
            }
            Err(why) => {
                (successes, failures) = (0, failures + 1);
                shared.world.event(pod, "kubelet", "Warning", "Unhealthy", &format!("Readiness probe failed: {why}"));
                if failures >= tolerated || unready {
                    set_ready(shared, name, false);
                }
            }
        }
        let pause = match shared.world.options.eager_probes {
            Some(eager) if !was_ready => eager.min(period),
            Some(_) | None => period,
        };
        let looked = async {
            loop {
                match faults.recv().await {
                    Ok((namespace, name, PodFault::Look))
                        if namespace == shared.key.namespace && name == shared.key.name =>
                    {
                        return;
                    }
                    Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => (),
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            () = sleep(pause) => (),
            () = looked => (),
        }
    }
}

fn set_ready(shared: &Shared, name: &str, ready: bool) {
    if shared.states().get(name).is_some_and(|state| state.ready != ready) {
        shared.update(name, |state| state.ready = ready);
    }
}
