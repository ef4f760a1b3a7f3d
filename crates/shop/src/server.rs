//! Listening, serving and stopping without losing a request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::app::App;
use crate::backend::Resolver;
use crate::settings::{Settings, Tier};

/// What stays of the grace period for closing down, so that we end by ourselves before we are killed.
const GRACE_MARGIN: Duration = Duration::from_millis(300);

/// How long to wait after a failed accept (too many open files, mostly), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The process's exit code: 0 after a stop, 1 after a crash.
    pub code: i32,
    /// Its last words.
    pub message: String,
}

/// Serves until `stop` ends or the instance crashes by its own fault.
///
/// After `stop`, readiness fails at once; new requests are still answered for the drain period, each with
/// `Connection: close`; then the listener and idle connections are closed; requests in flight are waited for until shortly
/// before the grace period ends. Dropping the future is a kill: every connection breaks.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    resolver: Resolver,
    stop: impl Future<Output = ()>,
) -> Exit {
    let log = Arc::clone(&settings.log);
    // A backend outlives the frontends that were told to stop with it: their last answers need it.
    let drain = if settings.tier == Tier::Backend { settings.drain * 2 } else { settings.drain };
    let grace = settings.grace;
    log(&format!("{} {} starts", settings.tier.name(), settings.version));
    let app = Arc::new(App::new(settings, resolver));
    let (closing, closes) = watch::channel(false);
    let mut connections = JoinSet::new();

    tokio::select! {
        never = accept(&listener, &app, &closes, &mut connections) => match never {},
        message = app.crash() => {
            log(&message);
            return Exit { code: 1, message };
        }
        () = stop => (),
    }

    log("told to stop: draining");
    app.drain();
    let told = Instant::now();
    let end = told + grace.saturating_sub(GRACE_MARGIN);
    tokio::select! {
        never = accept(&listener, &app, &closes, &mut connections) => match never {},
        () = sleep_until(end.min(told + drain)) => (),
    }
    drop(listener);
    closing.send_replace(true);
    tokio::select! {
        () = async { while connections.join_next().await.is_some() {} } => log("stopped"),
        () = sleep_until(end) => log(&format!("stopped with {} requests unanswered", connections.len())),
    }
    Exit { code: 0, message: "stopped".to_owned() }
}

async fn accept(
    listener: &TcpListener,
    app: &Arc<App>,
    closes: &watch::Receiver<bool>,
    connections: &mut JoinSet<()>,
) -> Infallible {
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, Arc::clone(app), closes.clone()));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn connection(stream: TcpStream, app: Arc<App>, mut closes: watch::Receiver<bool>) {
    // Without it each answer waits for the client's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let app = Arc::clone(&app);
        async move {
            let uri = request.uri();
            Ok::<_, Infallible>(app.answer(request.method(), uri.path(), uri.query(), request.headers()).await)
        }
    });
    // No limit on an idle connection's age: it stays until the client or the instance's end closes it.
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    tokio::select! {
        // A broken connection is the client's business; nobody is left to tell.
        _ = served.as_mut() => return,
        _ = closes.wait_for(|closing| *closing) => served.as_mut().graceful_shutdown(),
    }
    let _ended = served.await;
}
