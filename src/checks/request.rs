//! One request of a check: to a Service that turquoise resolves itself, or to a host that the operator granted.
//!
//! Whom a policy names is not to be trusted: the address that was looked at is the one that is dialled; some
//! are never dialled; nobody is redirected; no proxy of the environment is asked; what comes back is bounded in size, and
//! by one deadline from the lookup to the last byte.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::Client;
use kube::api::Api;

use crate::core::policy::Method;
use crate::core::text::OneLine;
use crate::core::url::WebUrl;
use crate::net::{ANSWER_BYTES_MAX, forbidden, names_loopback};

/// Looking up a Service: what one call to the API server may take elsewhere, too.
const LOOKUP_MAX: Duration = Duration::from_secs(10);
/// Clients that are kept, one for each host and its addresses. All go when there are more: addresses changed often then.
const CLIENTS_MAX: usize = 64;
/// A header that the API server keeps for itself when it passes a request on.
const NOT_PASSED_ON: &str = "authorization";

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A Service of the app.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        service: String,
        /// Its port.
        port: u16,
        /// Path and query.
        path: String,
    },
    /// A URL on a granted host.
    Url(WebUrl),
}

impl Place {
    /// Where it goes, for people: without a query, which may hold a token.
    pub(super) fn name(&self) -> String {
        let path = |path: &str| path.split('?').next().unwrap_or_default().to_owned();
        match self {
            Self::Service { path: whole, .. } => path(whole),
            Self::Url(url) => format!("{url}{}", path(&url.path)),
        }
    }
}

/// A request, with every value that may not be printed filled in.
pub(super) struct Request<'a> {
    pub(super) place: &'a Place,
    pub(super) method: Method,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    pub(super) body: Vec<u8>,
    /// There was more.
    pub(super) cut: bool,
}

/// Why nothing came back.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// Nobody listens yet: worth another try.
    Refused(OneLine),
    /// Final.
    Failed(OneLine),
    /// No fault of the target's: it could not be asked at all.
    Hindered(OneLine),
}

impl NoAnswer {
    fn failed(words: impl AsRef<str>) -> Self {
        Self::Failed(OneLine::new(words.as_ref()))
    }
}

/// Asks Services and granted hosts.
#[derive(Clone)]
pub struct Asker {
    client: Client,
    in_cluster: bool,
    /// The API server's host and port: never asked by a check.
    server: (String, u16),
    clients: Arc<Mutex<Clients>>,
}

type Clients = BTreeMap<(String, Vec<SocketAddr>), reqwest::Client>;

impl Asker {
    /// An asker for one cluster, whose API server is `server`.
    #[must_use]
    pub fn new(client: Client, server: (String, u16), in_cluster: bool) -> Self {
        Self { client, in_cluster, server, clients: Arc::default() }
    }

    /// Asks once; the answer is whole within `limit`, or there is none.
    pub(super) async fn send(&self, request: &Request<'_>, limit: Duration) -> Result<Answer, NoAnswer> {
        let address = match request.place {
            Place::Service { namespace, service, .. } => self.address_of(namespace, service).await?,
            Place::Url(_) => None,
        };
        let work = async {
            match (request.place, address) {
                (Place::Url(url), _) => self.granted_host(request, url).await,
                (Place::Service { service, port, path, .. }, Some(address)) => {
                    self.service(request, SocketAddr::new(address, *port), service, path).await
                }
                (Place::Service { namespace, service, port, path }, None) => {
                    let path = format!("/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy{path}");
                    self.through_proxy(request, path).await
                }
            }
        };
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_elapsed| {
            let name = request.place.name();
            Err(NoAnswer::failed(format!("{name} did not answer in {} s", limit.as_secs_f64())))
        })
    }

    /// A Service's own address, where it can be reached from here.
    async fn address_of(&self, namespace: &str, name: &str) -> Result<Option<IpAddr>, NoAnswer> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let hindered = |why: &str| NoAnswer::Hindered(OneLine::new(&format!("Service `{name}`: {why}")));
        let service = match tokio::time::timeout(LOOKUP_MAX, services.get(name)).await {
            Ok(service) => service.map_err(|error| hindered(&error.to_string()))?,
            Err(_elapsed) => return Err(hindered("the API server does not answer")),
        };
        let address: Option<IpAddr> = service.spec.and_then(|spec| spec.cluster_ip?.parse().ok());
        Ok(address.filter(|address| self.in_cluster || address.is_loopback()))
    }

    async fn service(
        &self,
        request: &Request<'_>,
        address: SocketAddr,
        name: &str,
        path: &str,
    ) -> Result<Answer, NoAnswer> {
        // A Service's address is the API server's to give, so it is never its own.
        if let Some(why) = refusal(address, &[], address.ip().is_loopback()) {
            return Err(NoAnswer::failed(format!("Service `{name}` has the address {}: {why}", address.ip())));
        }
        let client = self.client_for("", &[])?;
        dial(&client, request, &format!("http://{address}{path}"), Some(name)).await
    }

    async fn granted_host(&self, request: &Request<'_>, url: &WebUrl) -> Result<Answer, NoAnswer> {
        let (host, port) = &self.server;
        let server: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), *port))
            .await
            .map_err(|error| {
                NoAnswer::Hindered(OneLine::new(&format!("the API server's address cannot be resolved: {error}")))
            })?
            .collect();
        let found: Vec<SocketAddr> = tokio::net::lookup_host((url.dial_host(), url.port))
            .await
            .map_err(|error| NoAnswer::Refused(OneLine::new(&format!("{url} cannot be resolved: {error}"))))?
            .collect();
        // One address that is never asked spoils the name: which of them is dialled would be chance.
        let refused = found.iter().find_map(|address| {
            let why = refusal(*address, &server, names_loopback(&url.host))?;
            Some(format!("{url} resolves to {}: {why}", address.ip()))
        });
        if let Some(words) = refused {
            return Err(NoAnswer::failed(words));
        }
        if found.is_empty() {
            return Err(NoAnswer::failed(format!("{url} resolves to no address")));
        }
        let client = self.client_for(&url.host, &found)?;
        dial(&client, request, &url.to_dial(), None).await
    }

    /// A client that dials those addresses for that host and nothing else. Redirects lead to hosts that nobody granted,
    /// proxies from the environment see what they should not; a kept connection would ask the pod that answered before.
    pub(super) fn client_for(&self, host: &str, addresses: &[SocketAddr]) -> Result<reqwest::Client, NoAnswer> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host.to_owned(), addresses.to_vec());
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .resolve_to_addrs(host, addresses)
            .build()
            .map_err(|error| NoAnswer::Hindered(OneLine::new(&format!("failed to make an HTTP client: {error}"))))?;
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }

    async fn through_proxy(&self, request: &Request<'_>, path: String) -> Result<Answer, NoAnswer> {
        if request.headers.iter().any(|(name, _)| name == NOT_PASSED_ON) {
            return Err(NoAnswer::failed(format!(
                "the header `{NOT_PASSED_ON}` cannot go through the API server's proxy: run turquoise in the cluster, or ask a URL"
            )));
        }
        let mut builder = axum::http::Request::builder().method(request.method.as_str()).uri(path);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let built = builder.body(kube::client::Body::from(request.body.clone()));
        let built = built.map_err(|error| NoAnswer::failed(error.to_string()))?;
        let response = self.client.send(built).await.map_err(|error| {
            NoAnswer::Hindered(OneLine::new(&format!("the API server's proxy: {}", root_cause(&error))))
        })?;
        let status = response.status().as_u16();
        let retry_after = text_of(response.headers().get("retry-after"));
        let mut chunks = axum::body::Body::new(response.into_body()).into_data_stream();
        let mut body = Bounded::default();
        while let Some(chunk) = futures::StreamExt::next(&mut chunks).await {
            let chunk = chunk.map_err(|error| NoAnswer::failed(cut_off(request, &error)))?;
            if !body.take(&chunk) {
                break;
            }
        }
        Ok(Answer { status, retry_after, body: body.bytes, cut: body.cut })
    }
}

/// Why an address is never asked: what it is, or whose. `loopback`: this machine was asked for by its own name.
fn refusal(address: SocketAddr, server: &[SocketAddr], loopback: bool) -> Option<String> {
    let ip = address.ip().to_canonical();
    if let Some(why) = forbidden(address.ip(), loopback) {
        return Some(why.to_owned());
    }
    // On this machine many listen; elsewhere the address is the API server's alone.
    let same = |one: &SocketAddr| one.ip().to_canonical() == ip && (one.port() == address.port() || !ip.is_loopback());
    server.iter().any(same).then(|| "and a check never asks the API server".to_owned())
}

pub(super) async fn dial(
    client: &reqwest::Client,
    request: &Request<'_>,
    url: &str,
    host: Option<&str>,
) -> Result<Answer, NoAnswer> {
    let method = match request.method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
    };
    let mut builder = client.request(method, url).header("user-agent", "turquoise");
    if let Some(host) = host {
        builder = builder.header("host", host);
    }
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    if matches!(request.method, Method::Post | Method::Put) {
        builder = builder.body(request.body.clone());
    }
    let mut response = builder.send().await.map_err(|error| {
        let is_connect = error.is_connect();
        // The address may hold a token: the error is said without it.
        let words = OneLine::new(&format!("{}: {}", request.place.name(), root_cause(&error.without_url())));
        if is_connect { NoAnswer::Refused(words) } else { NoAnswer::Failed(words) }
    })?;
    let status = response.status().as_u16();
    let retry_after = text_of(response.headers().get("retry-after"));
    let mut body = Bounded::default();
    while let Some(chunk) = response.chunk().await.map_err(|error| NoAnswer::failed(cut_off(request, &error)))? {
        if !body.take(&chunk) {
            break;
        }
    }
    Ok(Answer { status, retry_after, body: body.bytes, cut: body.cut })
}

/// A body as far as it is read.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    cut: bool,
}

impl Bounded {
    /// Takes what there is room for; false where there was more.
    fn take(&mut self, chunk: &[u8]) -> bool {
        let room = ANSWER_BYTES_MAX - self.bytes.len();
        self.bytes.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        self.cut |= chunk.len() > room;
        !self.cut
    }
}

fn text_of(header: Option<&axum::http::HeaderValue>) -> Option<String> {
    header.and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn cut_off(request: &Request<'_>, error: &dyn std::error::Error) -> String {
    format!("{}: the answer was cut off: {}", request.place.name(), root_cause(error))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
