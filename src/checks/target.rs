//! One request of a check, to an address that turquoise resolved itself.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::Client;
use kube::api::Api;

use super::Ask;
use crate::core::policy::{HttpCheck, Method};
use crate::core::text::OneLine;

/// How long a refused connection is tried again: kube-proxy is a moment behind the EndpointSlices.
const CONNECT_GRACE: Duration = Duration::from_secs(3);
/// The pause between two tries within [`CONNECT_GRACE`].
const CONNECT_PAUSE: Duration = Duration::from_millis(50);
/// How much of an answer is read: enough for a reason, little enough to be no weapon.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Asks Services: directly where their addresses are reachable, else through the API server's service proxy.
#[derive(Clone)]
pub struct Asker {
    client: Client,
    http: reqwest::Client,
    in_cluster: bool,
}

/// What came back.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// Why nothing came back.
enum NoAnswer {
    /// Nobody listens yet: worth another try.
    Refused(OneLine),
    /// Final.
    Failed(OneLine),
}

impl Asker {
    /// An asker for one cluster.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(client: Client, in_cluster: bool) -> Result<Self, reqwest::Error> {
        // Redirects lead to hosts that nobody granted, proxies from the environment see what they should not (DESIGN 9);
        // a kept connection would ask the pod that answered before.
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { client, http, in_cluster })
    }

    /// Asks once; passes where the status is the expected one.
    ///
    /// # Errors
    /// What was wrong, in the target's words.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<(), OneLine> {
        let tries = CONNECT_GRACE.as_millis() / CONNECT_PAUSE.as_millis();
        for _ in 0..tries {
            let answer = tokio::time::timeout(ask.http.timeout, self.once(ask)).await;
            match answer {
                Err(_elapsed) => {
                    return Err(OneLine::new(&format!(
                        "{} did not answer in {} s",
                        ask.http.path,
                        ask.http.timeout.as_secs_f64()
                    )));
                }
                Ok(Ok(answer)) => return judge(&ask.http, &answer),
                Ok(Err(NoAnswer::Failed(words))) => return Err(words),
                Ok(Err(NoAnswer::Refused(_))) => tokio::time::sleep(CONNECT_PAUSE).await,
            }
        }
        match self.once(ask).await {
            Ok(answer) => judge(&ask.http, &answer),
            Err(NoAnswer::Failed(words) | NoAnswer::Refused(words)) => Err(words),
        }
    }

    async fn once(&self, ask: &Ask) -> Result<Answer, NoAnswer> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), &ask.namespace);
        let service = services
            .get(&ask.service)
            .await
            .map_err(|error| NoAnswer::Failed(OneLine::new(&format!("Service `{}`: {error}", ask.service))))?;
        let address: Option<IpAddr> = service.spec.and_then(|spec| spec.cluster_ip?.parse().ok());
        match address.filter(|address| self.in_cluster || address.is_loopback()) {
            Some(address) => self.directly(ask, address).await,
            None => self.through_proxy(ask).await,
        }
    }

    async fn directly(&self, ask: &Ask, address: IpAddr) -> Result<Answer, NoAnswer> {
        let url = format!("http://{}{}", std::net::SocketAddr::new(address, ask.http.port), ask.http.path);
        let method = match ask.http.method {
            Method::Get => reqwest::Method::GET,
            Method::Head => reqwest::Method::HEAD,
            Method::Post => reqwest::Method::POST,
        };
        let request = self.http.request(method, url).header("host", &ask.service).header("user-agent", "turquoise");
        let mut response = request.send().await.map_err(|error| {
            let words = OneLine::new(&format!("{}: {}", ask.http.path, root_cause(&error)));
            if error.is_connect() { NoAnswer::Refused(words) } else { NoAnswer::Failed(words) }
        })?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = BODY_BYTES_MAX.saturating_sub(body.len());
            body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
            if room == 0 {
                break;
            }
        }
        Ok(Answer { status, body })
    }

    async fn through_proxy(&self, ask: &Ask) -> Result<Answer, NoAnswer> {
        let path = format!(
            "/api/v1/namespaces/{}/services/{}:{}/proxy{}",
            ask.namespace, ask.service, ask.http.port, ask.http.path
        );
        let method = match ask.http.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
        };
        let failed = |words: String| NoAnswer::Failed(OneLine::new(&words));
        let request = axum::http::Request::builder().method(method).uri(path).body(kube::client::Body::empty());
        let request = request.map_err(|error| failed(error.to_string()))?;
        let response = self.client.send(request).await.map_err(|error| failed(error.to_string()))?;
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(axum::body::Body::new(response.into_body()), BODY_BYTES_MAX).await;
        Ok(Answer { status, body: body.map(|bytes| bytes.to_vec()).unwrap_or_default() })
    }
}

fn judge(http: &HttpCheck, answer: &Answer) -> Result<(), OneLine> {
    let passes = match http.status {
        Some(expected) => answer.status == expected,
        None => (200..300).contains(&answer.status),
    };
    if passes {
        return Ok(());
    }
    let body = String::from_utf8_lossy(&answer.body);
    Err(OneLine::new(&format!("{} answered {}: {body}", http.path, answer.status)))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
