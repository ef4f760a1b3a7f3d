//! Who may speak to the server: connections are bounded in number and patience, and a request must be addressed to us.
//!
//! A browser can be made to send requests to any address under a name of the attacker's (DNS rebinding); such a request
//! carries that name in its `Host`. An address written as digits cannot be rebound, so those are taken.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::core::outside::{HookAccess, Outside};

/// Connections at a time: dozens of people with the page open and everything that scrapes; beyond that new ones wait.
const CONNECTIONS_MAX: usize = 512;
/// How long the head of a request may take, and how long a connection may say nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A request's head: ours are short, and a proxy's headers fit.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers of one request.
const HEADERS_MAX: usize = 100;
/// The pause after a connection could not be taken: out of file descriptors, for a moment.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Anybody who reaches the address could knock.
    #[error(
        "failed to listen on {0}: beyond loopback the push hook needs a secret; give one with `--hook-secret file:PATH`, \
         or switch the hook off with `--no-push-hook`"
    )]
    HookWithoutSecret(SocketAddr),
    /// The public URL is none.
    #[error("failed to read `--public-url`: it needs `http://` or `https://` and a host")]
    PublicUrl,
    /// The hook's secret cannot be read.
    #[error(transparent)]
    Secret(#[from] crate::net::SecretError),
    /// The address cannot be listened on.
    #[error("failed to listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

impl Outside {
    /// Listens, if the hook may be reached there.
    pub(super) async fn listen(&self, address: SocketAddr) -> Result<TcpListener, ServeError> {
        match &self.hook {
            HookAccess::Open if !address.ip().to_canonical().is_loopback() => {
                return Err(ServeError::HookWithoutSecret(address));
            }
            HookAccess::Signed(source) => drop(crate::net::read_secret(source)?),
            HookAccess::Open | HookAccess::Off => {}
        }
        TcpListener::bind(address).await.map_err(|error| ServeError::Listen { address, error })
    }

    /// The names that a request may be addressed to, beside addresses in digits.
    pub(super) fn names(&self) -> Result<Names, ServeError> {
        let mut names: BTreeSet<String> = self.names.iter().map(|name| name.to_lowercase()).collect();
        names.insert("localhost".into());
        if let Some(url) = &self.public_url {
            let url = reqwest::Url::parse(url).map_err(|_no_url| ServeError::PublicUrl)?;
            let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https"));
            names.insert(host.ok_or(ServeError::PublicUrl)?.to_owned());
        }
        Ok(Names(Arc::new(names)))
    }
}

/// The names that a request may be addressed to.
#[derive(Debug, Clone)]
pub(super) struct Names(Arc<BTreeSet<String>>);

impl Names {
    fn accept(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else { return false };
        uri.authority().is_none_or(|authority| self.is_ours(authority.as_str())) && self.is_ours(host)
    }

    fn is_ours(&self, authority: &str) -> bool {
        let without_port =
            authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let host = without_port.map_or(authority, |(host, _)| host).to_lowercase();
        let digits = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        digits || self.0.contains(host.trim_end_matches('.'))
    }
}

/// Turns away what is not addressed to us.
pub(super) async fn addressed(State(names): State<Names>, request: Request, next: Next) -> Response {
    if names.accept(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    let words = "not a name of this server; the operator may add it with `--server-name`\n";
    (StatusCode::MISDIRECTED_REQUEST, words).into_response()
}

/// Serves until it is dropped, and all its connections with it.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    loop {
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(&free).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                tracing::warn!("failed to take a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are small; a socket that refuses the option is only slower.
        let _slower = stream.set_nodelay(true);
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        connections.spawn(async move {
            // Peers go away in the middle: nothing that anybody could mend.
            let _gone = connection.await;
            drop(slot);
        });
        while connections.try_join_next().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::grants::SecretSource;

    #[test]
    fn requests_must_be_addressed_to_us() {
        let outside = Outside {
            public_url: Some("https://Turquoise.Example.org:8443/at/".into()),
            names: ["turquoise.apps.svc".into()].into(),
            hook: HookAccess::Off,
        };
        let names = outside.names().expect("names");
        for (host, ours) in [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("10.1.2.3", true),
            ("turquoise.example.org", true),
            ("turquoise.example.org.:443", true),
            ("turquoise.apps.svc:8080", true),
            ("rebound.example", false),
            ("localhost.rebound.example", false),
            ("127.0.0.1.rebound.example:8080", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().expect("a value"));
            assert_eq!(names.accept(&Uri::from_static("/"), &headers), ours, "{host}");
            assert!(!names.accept(&Uri::from_static("http://rebound.example/"), &headers), "{host}");
            headers.append(HOST, "rebound.example".parse().expect("a value"));
            assert!(!names.accept(&Uri::from_static("/"), &headers), "{host} twice");
        }
        assert!(!names.accept(&Uri::from_static("/"), &HeaderMap::new()));
        let wrong = Outside { public_url: Some("turquoise.example.org".into()), ..Outside::default() };
        assert!(matches!(wrong.names(), Err(ServeError::PublicUrl)));
    }

    #[tokio::test]
    async fn an_open_hook_listens_on_loopback_only() {
        let open = Outside::default();
        let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let error = open.listen(anywhere).await.expect_err("no secret").to_string();
        assert!(error.contains("--hook-secret") && error.contains("--no-push-hook"), "{error}");
        open.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("loopback");
        let off = Outside { hook: HookAccess::Off, ..Outside::default() };
        off.listen(anywhere).await.expect("no hook, no secret");
        let gone = HookAccess::Signed(SecretSource::File("/nonexistent/secret".into()));
        let error = Outside { hook: gone, ..Outside::default() }.listen(anywhere).await.expect_err("no file");
        assert!(error.to_string().contains("/nonexistent/secret"), "{error}");
    }
}
