//! A tap on the line between turquoise and the API server.
//!
//! It counts what turquoise writes there, and kills it at one of these writes, before the server hears of it or after the
//! server has done it and before turquoise hears of that. Each commit lies between two such writes, so what is counted
//! here covers the commits as well. And it makes a bad server of a good one.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use futures::stream;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

/// The kubeconfig that goes through the tap, in a story's folder.
pub(super) const KUBECONFIG: &str = "tapped.kubeconfig";

/// The largest body that turquoise sends: a ConfigMap of a megabyte, as JSON.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest that a write takes that was let go.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// When turquoise is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// The server never hears of the write.
    Before,
    /// The server has done it, and turquoise never hears of that.
    After,
}

/// What is wrong with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Each n-th request is answered so, and not carried out.
    Answers { status: u16, each: usize },
    /// Each n-th write is carried out, and answered by a broken gateway.
    Lost { each: usize },
    /// No request is answered, until this is over.
    Silent,
    /// Each watch ends as soon as it has begun.
    Unwatched,
    /// Lists and objects are what they were when they were asked for last, from write number `from` on.
    Stale { from: usize },
}

/// What is to be done at the next writes.
#[derive(Debug, Default)]
struct Plan {
    /// Who is killed, at which write from now on, and when.
    armed: Option<(i32, usize, Moment)>,
    /// Writes since it was armed.
    seen: usize,
    /// The write at which turquoise was killed.
    killed_at: Option<String>,
    fault: Option<Fault>,
    /// Requests since the fault began.
    asked: usize,
    late: Late,
}

/// A write that is under way for long.
#[derive(Debug, Default)]
enum Late {
    #[default]
    None,
    /// The write of this number will be held.
    At(usize),
    /// It is held.
    Held(String),
    /// It may go on.
    LetGo,
    /// It arrived, and was answered so.
    Answered(StatusCode),
}

/// An answer as it was given once.
#[derive(Debug, Clone)]
struct Kept {
    status: StatusCode,
    kind: Option<HeaderValue>,
    body: Bytes,
}

struct Line {
    server: String,
    client: reqwest::Client,
    plan: Mutex<Plan>,
    /// What was read last, by its path.
    kept: Mutex<HashMap<String, Kept>>,
    /// Says that a fault is over.
    over: Notify,
}

/// The running tap; it ends with this value.
pub(super) struct Tap {
    _runtime: Runtime,
    line: Arc<Line>,
}

impl Tap {
    /// A tap on the API server that a kubeconfig in a folder names, and the kubeconfig that goes through it.
    pub(super) fn open(folder: &Path) -> Self {
        let direct = fs::read_to_string(folder.join("kubeconfig")).expect("a kubeconfig");
        let server = direct.lines().find_map(|line| line.trim().strip_prefix("server: ")).expect("a server").to_owned();
        turquoise::daemon::install_crypto();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let line = Arc::new(Line {
            server: server.clone(),
            client,
            plan: Mutex::default(),
            kept: Mutex::default(),
            over: Notify::new(),
        });
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(pass).with_state(Arc::clone(&line));
        runtime.spawn(async move { axum::serve(listener, router).await });
        fs::write(folder.join(KUBECONFIG), direct.replace(&server, &format!("http://{address}"))).expect("written");
        Self { _runtime: runtime, line }
    }

    /// Kills a process at its write number `at` from now on.
    pub(super) fn arm(&self, pid: u32, at: usize, moment: Moment) {
        let pid = i32::try_from(pid).expect("a pid");
        self.line.plans(Plan { armed: Some((pid, at, moment)), ..Plan::default() });
    }

    /// Whether it was killed.
    pub(super) fn has_killed(&self) -> bool {
        self.line.plan().killed_at.is_some()
    }

    /// Lets everything through again, and gives the write at which turquoise was killed.
    pub(super) fn disarm(&self) -> Option<String> {
        std::mem::take(&mut *self.line.plan()).killed_at
    }
}

impl Tap {
    /// The server has this fault from now on.
    pub(super) fn breaks(&self, fault: Fault) {
        self.line.plans(Plan { fault: Some(fault), ..Plan::default() });
    }

    /// Holds write number `at` from now on, until it is let go.
    pub(super) fn holds(&self, at: usize) {
        *self.line.plan() = Plan { late: Late::At(at), ..Plan::default() };
    }

    /// The write that is held, as method and path.
    pub(super) fn held(&self) -> Option<String> {
        if let Late::Held(what) = &self.line.plan().late { Some(what.clone()) } else { None }
    }

    /// Lets the held write go on to the server, and gives how that answers.
    pub(super) fn lets_go(&self) -> u16 {
        self.line.plan().late = Late::LetGo;
        self.line.over.notify_waiters();
        let began = Instant::now();
        loop {
            if let Late::Answered(status) = self.line.plan().late {
                return status.as_u16();
            }
            assert!(began.elapsed() < ANSWER_MAX, "the write that was let go has no answer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The server is well again.
    pub(super) fn mends(&self) {
        self.line.plan().fault = None;
        self.line.over.notify_waiters();
    }
}

impl Line {
    /// What is wrong with this request, if anything is.
    fn fault(&self, is_write: bool, is_watch: bool) -> Option<Fault> {
        let mut plan = self.plan();
        let fault = plan.fault?;
        plan.asked += 1;
        let (asked, seen) = (plan.asked, plan.seen);
        let hits = match fault {
            Fault::Answers { each, .. } => asked % each == 0,
            Fault::Lost { each } => is_write && seen % each == 0,
            Fault::Silent => true,
            Fault::Unwatched => is_watch,
            Fault::Stale { from } => !is_write && !is_watch && seen >= from,
        };
        hits.then_some(fault)
    }

    /// What comes next. A death that nobody has asked for yet is not forgotten over it.
    fn plans(&self, next: Plan) {
        let mut plan = self.plan();
        *plan = Plan { killed_at: plan.killed_at.take(), ..next };
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while this write is held; says whether it was.
    async fn hold(&self, what: String) -> bool {
        {
            let mut plan = self.plan();
            let seen = plan.seen;
            if !matches!(plan.late, Late::At(at) if at == seen) {
                return false;
            }
            plan.late = Late::Held(what);
        }
        loop {
            let over = self.over.notified();
            if matches!(self.plan().late, Late::LetGo) {
                return true;
            }
            // A call to let go between the look and this wait is seen a moment later.
            let _either = tokio::time::timeout(Duration::from_millis(50), over).await;
        }
    }

    /// The victim, if this write is the one.
    fn victim(&self, what: &str) -> Option<(Pid, Moment)> {
        let mut plan = self.plan();
        plan.seen += 1;
        let (pid, at, moment) = plan.armed.filter(|(_, at, _)| *at == plan.seen)?;
        plan.killed_at = Some(format!("{moment:?} write {at}, {what}"));
        Some((Pid::from_raw(pid)?, moment))
    }
}

/// Carries a request to the server and its answer back, unless turquoise dies of it.
async fn pass(State(line): State<Arc<Line>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.expect("a body that is not too large");
    let what = is_write(&head.method, &head.uri).then(|| format!("{} {}", head.method, head.uri.path()));
    let victim = what.as_ref().and_then(|what| line.victim(what));
    if let Some(what) = what
        && line.hold(what).await
    {
        let answer = carry(&line, head.method, &head.uri, head.headers, body).await;
        line.plan().late = Late::Answered(answer.status());
        return answer;
    }
    if let Some((pid, Moment::Before)) = victim {
        return killed(pid);
    }
    let is_watch = head.uri.query().is_some_and(|query| query.contains("watch="));
    match line.fault(is_write(&head.method, &head.uri), is_watch) {
        Some(Fault::Answers { status, .. }) => return refusal(StatusCode::from_u16(status).expect("a status")),
        Some(Fault::Silent) => {
            line.over.notified().await;
            return refusal(StatusCode::GATEWAY_TIMEOUT);
        }
        Some(Fault::Stale { .. }) => {
            let kept = line.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&head.uri.to_string()).cloned();
            if let Some(kept) = kept {
                return again(kept);
            }
        }
        Some(Fault::Lost { .. }) => {
            drop(carry(&line, head.method, &head.uri, head.headers, body).await);
            return refusal(StatusCode::BAD_GATEWAY);
        }
        // An answer without a body: the watch has begun, and is over.
        Some(Fault::Unwatched) => return refusal(StatusCode::OK),
        None => {}
    }
    let is_read = head.method == Method::GET && !is_watch;
    let answer = carry(&line, head.method, &head.uri, head.headers, body).await;
    match victim {
        Some((pid, _)) => killed(pid),
        None if is_read => keep(&line, head.uri.to_string(), answer).await,
        None => answer,
    }
}

/// Keeps an answer for those who are told what was.
async fn keep(line: &Line, path: String, answer: Response<Body>) -> Response<Body> {
    let (head, body) = answer.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else { return refusal(StatusCode::BAD_GATEWAY) };
    let kept = Kept { status: head.status, kind: head.headers.get(header::CONTENT_TYPE).cloned(), body };
    line.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(path, kept.clone());
    again(kept)
}

fn again(kept: Kept) -> Response<Body> {
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = kept.status;
    response.headers_mut().extend(kept.kind.map(|kind| (header::CONTENT_TYPE, kind)));
    response
}

/// Whether a request changes something of a release. Events are for people, and are sent when there is time for it.
fn is_write(method: &Method, uri: &Uri) -> bool {
    let dry = uri.query().is_some_and(|query| query.contains("dryRun"));
    *method != Method::GET && !dry && !uri.path().ends_with("/events") && uri.path().contains("/namespaces/")
}

async fn carry(line: &Line, method: Method, uri: &Uri, mut headers: HeaderMap, body: Bytes) -> Response<Body> {
    for own in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        headers.remove(own);
    }
    let request = line.client.request(method, format!("{}{uri}", line.server)).headers(headers).body(body);
    let Ok(answer) = request.send().await else { return refusal(StatusCode::BAD_GATEWAY) };
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers().iter().filter(|(name, _)| **name != header::TRANSFER_ENCODING) {
        response = response.header(name, value);
    }
    // A watch's answer has no end: it is handed on as it comes.
    let chunks = stream::unfold(answer, async |mut answer| {
        let chunk = answer.chunk().await.transpose()?;
        Some((chunk, answer))
    });
    response.body(Body::from_stream(chunks)).expect("a response")
}

fn killed(pid: Pid) -> Response<Body> {
    kill_process(pid, Signal::KILL).expect("it ran until now");
    refusal(StatusCode::SERVICE_UNAVAILABLE)
}

fn refusal(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
