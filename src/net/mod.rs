//! Requests to hosts that somebody outside named: the client that messages go through, with its guards. Checks dial by a
//! client of their own (`checks/request.rs`), which chooses the address itself, behind the same fence.
//!
//! - The host must be granted ([`Grants::allows`]), asked of the parsed URL, so that no second parser can disagree.
//! - The addresses that a name resolves to are looked at, and exactly those are dialled: no second lookup can lead
//!   elsewhere. Link-local is never dialled, nor is loopback unless the granted host is a loopback address itself.
//! - Redirects are not followed, proxies from the environment not used, answers are read to a bound.
//! - A URL may hold a token, in its path as well: [`Address`] shows its scheme and host and nothing else.

mod fence;
mod secret;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, Url};

use crate::core::grants::Grants;
use crate::core::text::OneLine;

pub use fence::{forbidden, names_loopback};
pub use secret::{SecretError, read as read_secret};

/// Connecting: a host that needs longer is as good as gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of an answer is read: enough for a reason, little enough to be no weapon.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Connections kept open a host between requests.
const IDLE_MAX: usize = 1;

/// Where a request goes: an http or https URL on a host that the operator granted.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

/// Why a request was not made, or brought nothing back. None of them holds the URL's path, query or credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// It is no http or https URL with a host.
    #[error("failed to read the URL: it needs `http://` or `https://` and a host")]
    NoUrl,
    /// The operator did not grant the host.
    #[error("failed to reach `{host}`: it is not granted; the operator may grant it with `--allow-host {host}`")]
    NotGranted {
        /// The host.
        host: OneLine,
    },
    /// No answer.
    #[error("failed to reach `{host}`: {words}")]
    Unreachable {
        /// The host.
        host: OneLine,
        /// What happened instead.
        words: OneLine,
    },
    /// No HTTP client could be made.
    #[error("failed to make an HTTP client: {0}")]
    Client(OneLine),
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// `Retry-After`, as it stands.
    pub retry_after: Option<String>,
    /// The body, cut at [`ANSWER_BYTES_MAX`].
    pub body: Vec<u8>,
}

impl Address {
    /// An address that a repository names.
    ///
    /// # Errors
    /// [`NetError::NoUrl`], or [`NetError::NotGranted`] with the host alone.
    pub fn granted(url: &str, grants: &Grants) -> Result<Self, NetError> {
        let address = Self::trusted(url)?;
        let (host, port) = (address.0.host_str().unwrap_or_default(), address.0.port_or_known_default());
        if !grants.allows(host, port) {
            return Err(NetError::NotGranted { host: address.host() });
        }
        Ok(address)
    }

    /// An address that the operator gave, which is granted by that.
    ///
    /// # Errors
    /// [`NetError::NoUrl`].
    pub fn trusted(url: &str) -> Result<Self, NetError> {
        let url = Url::parse(url).map_err(|_words_may_quote_it| NetError::NoUrl)?;
        let web = matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty());
        if web { Ok(Self(url)) } else { Err(NetError::NoUrl) }
    }

    /// The host with its port where the URL names one: all that may be shown.
    #[must_use]
    pub fn host(&self) -> OneLine {
        let host = self.0.host_str().unwrap_or_default();
        OneLine::new(&self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }

    fn is_loopback(&self) -> bool {
        fence::names_loopback(self.0.host_str().unwrap_or_default())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/...", self.0.scheme(), self.host())
    }
}

/// The client. Cloning shares its connections.
#[derive(Debug, Clone)]
pub struct Client {
    outside: reqwest::Client,
    loopback: reqwest::Client,
}

impl Client {
    /// A client whose whole requests take at most `deadline`.
    ///
    /// # Errors
    /// [`NetError::Client`].
    pub fn new(deadline: Duration) -> Result<Self, NetError> {
        let client = |loopback| {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(deadline)
                .pool_max_idle_per_host(IDLE_MAX)
                .user_agent(concat!("turquoise/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(Arc::new(fence::Fence { loopback }))
                .build()
                .map_err(|error| NetError::Client(OneLine::new(&error.to_string())))
        };
        Ok(Self { outside: client(false)?, loopback: client(true)? })
    }

    /// One request.
    ///
    /// # Errors
    /// [`NetError::Unreachable`] where no whole answer came back in time, or the address is one that is never dialled.
    pub async fn send(
        &self,
        method: Method,
        to: &Address,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answer, NetError> {
        let unreachable = |words: &str| NetError::Unreachable { host: to.host(), words: OneLine::new(words) };
        // A literal address is not resolved, so the fence in the resolver does not see it.
        let loopback = to.is_loopback();
        if let Some(why) = fence::literal(&to.0).and_then(|address| forbidden(address, loopback)) {
            return Err(unreachable(why));
        }
        let client = if loopback { &self.loopback } else { &self.outside };
        let request = client.request(method, to.0.clone()).headers(headers).body(body);
        let mut response = request.send().await.map_err(|error| unreachable(&root_cause(&error.without_url())))?;
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| unreachable(&root_cause(&error.without_url())))?
        {
            let room = ANSWER_BYTES_MAX.saturating_sub(body.len());
            body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
            if room <= chunk.len() {
                break;
            }
        }
        Ok(Answer { status, retry_after, body })
    }
}

/// How long `Retry-After` asks to wait: seconds, or a date, of which one that is over is no time at all. `None` where it is
/// neither.
#[must_use]
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// The innermost words: those around it name the library and, where it was not taken out, the URL.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiremock::matchers::{method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    fn client() -> Client {
        crate::daemon::install_crypto();
        Client::new(Duration::from_secs(2)).expect("a client")
    }

    fn grants(hosts: &[&str]) -> Grants {
        Grants { hosts: hosts.iter().map(|&host| host.to_owned()).collect(), ..Grants::default() }
    }

    #[test]
    fn an_address_is_granted_by_its_parsed_host_and_shows_nothing_else() {
        let grants = grants(&["chat.example.org", "127.0.0.1:9"]);
        for (url, granted) in [
            ("https://user:secret@chat.example.org/hook/secret?token=secret", true),
            ("https://CHAT.example.org:8443/secret", true),
            ("http://127.0.0.1:9/secret", true),
            ("http://127.0.0.1:10/secret", false),
            ("http://0x7f.1:10/secret", false),
            ("http://chat.example.org@169.254.169.254/secret", false),
            ("http://chat.example.org\\@evil.example/secret", true),
            ("http://evil.example\\@chat.example.org/secret", false),
            ("http://chat.example.org.evil.example/secret", false),
            ("file:///secret", false),
            ("http:///elsewhere/x", false),
            ("secret", false),
        ] {
            let shown = match Address::granted(url, &grants) {
                Ok(address) => {
                    assert!(granted, "{url}");
                    format!("{address:?}")
                }
                Err(error) => {
                    assert!(!granted, "{url}: {error}");
                    format!("{error} {error:?}")
                }
            };
            assert!(!shown.contains("secret") && !shown.contains("token"), "{shown}");
        }
    }

    #[tokio::test]
    async fn what_is_never_dialled_is_refused_by_address() {
        let client = client();
        for url in [
            "http://169.254.169.254/latest/",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://0.0.0.0/",
        ] {
            let address = Address::trusted(url).expect("a URL");
            let error = client.send(Method::GET, &address, HeaderMap::new(), Vec::new()).await.expect_err(url);
            assert!(error.to_string().contains("never"), "{error}");
        }
    }

    #[tokio::test]
    async fn redirects_are_answers_and_long_answers_are_cut() {
        let server = MockServer::start().await;
        let on = |route: &str| Mock::given(method("POST")).and(path(route));
        on("/away")
            .respond_with(ResponseTemplate::new(302).insert_header("location", "http://169.254.169.254/"))
            .mount(&server)
            .await;
        on("/long")
            .respond_with(
                ResponseTemplate::new(429)
                    .insert_header("retry-after", "7")
                    .set_body_bytes(vec![b'x'; 3 * ANSWER_BYTES_MAX]),
            )
            .mount(&server)
            .await;
        let grants = grants(&["127.0.0.1"]);
        let ask = async |route: &str| {
            let address = Address::granted(&format!("{}{route}", server.uri()), &grants).expect("granted");
            client().send(Method::POST, &address, HeaderMap::new(), Vec::new()).await.expect("an answer")
        };
        assert_eq!(ask("/away").await.status, 302);
        let long = ask("/long").await;
        assert_eq!((long.status, long.retry_after.as_deref(), long.body.len()), (429, Some("7"), ANSWER_BYTES_MAX));
    }

    #[tokio::test]
    async fn a_refused_connection_is_said_without_the_token() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let address = Address::trusted(&format!("http://u:secret@127.0.0.1:{port}/secret?secret")).expect("a URL");
        let error = client().send(Method::POST, &address, HeaderMap::new(), Vec::new()).await.expect_err("nobody");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("refused") && !shown.contains("secret"), "{shown}");
    }
}
