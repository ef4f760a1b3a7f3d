//! One GET over a new connection, with nothing kept between two.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The body of a 200.
///
/// # Errors
/// No connection, no answer in time, another status.
pub(crate) async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    tokio::time::timeout(TIMEOUT, ask(address, path)).await?
}

async fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    if head.split_whitespace().nth(1) == Some("200") {
        Ok(body.to_owned())
    } else {
        Err(io::Error::other(format!("{}: {body}", head.lines().next().unwrap_or_default())))
    }
}
