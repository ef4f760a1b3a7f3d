//! One request over a new connection or a kept one.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, HOST};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The shop's answers are some hundred bytes; a thousand times that is somebody else's.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// A connection that may be used again.
pub(crate) type Connection = SendRequest<Empty<Bytes>>;

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The body, as JSON where it is some, else as text.
    pub(crate) body: Value,
}

/// Whom to ask, and how long to wait for the answer.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    pub(crate) timeout: Duration,
}

impl Target {
    /// Asks over a new connection, which ends with the answer.
    pub(crate) async fn ask_once(&self, path: &str, more: Duration) -> Result<Answer, String> {
        self.within(more, async {
            let (answer, _ends) = self.ask_over(self.connect().await?, path, false).await?;
            Ok(answer)
        })
        .await
    }

    /// Asks over the kept connection, or a new one where there is none or the server has closed it before we asked.
    /// Keeps it unless the server said that it closes.
    pub(crate) async fn ask_kept(&self, path: &str, kept: &mut Option<Connection>) -> Result<Answer, String> {
        let mut before = kept.take();
        let (answer, connection) = self
            .within(Duration::ZERO, async {
                if let Some(connection) = &mut before
                    && connection.ready().await.is_err()
                {
                    before = None;
                }
                let connection = match before.take() {
                    Some(connection) => connection,
                    None => self.connect().await?,
                };
                self.ask_over(connection, path, true).await
            })
            .await?;
        *kept = connection;
        Ok(answer)
    }

    async fn within<T>(&self, more: Duration, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let limit = self.timeout + more;
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_elapsed) => Err(format!("no answer in {:.1} s", limit.as_secs_f64())),
        }
    }

    async fn connect(&self) -> Result<Connection, String> {
        let stream = TcpStream::connect(self.address).await.map_err(|error| format!("no connection: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // Its error comes out of the request too; it ends with the connection.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn ask_over(
        &self,
        mut connection: Connection,
        path: &str,
        keeps: bool,
    ) -> Result<(Answer, Option<Connection>), String> {
        let mut request = Request::get(path).header(HOST, &self.host);
        if !keeps {
            request = request.header(CONNECTION, "close");
        }
        let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
        let response = connection.send_request(request).await.map_err(|error| words(&error))?;
        let status = response.status().as_u16();
        let closes = response.headers().get(CONNECTION).is_some_and(|value| value.as_bytes() == b"close");
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body)));
        Ok((Answer { status, body }, (keeps && !closes).then_some(connection)))
    }
}

/// An error with what lies under it: hyper's own words are "connection error" for a reset as well as for a refusal.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut under = error.source();
    while let Some(error) = under {
        text = format!("{text}: {error}");
        under = error.source();
    }
    text
}
