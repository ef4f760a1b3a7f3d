//! Readiness, liveness and startup probes.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::object::{int, list, text};

/// A probe as its container declares it.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    target: Target,
    pub(crate) initial_delay: Duration,
    pub(crate) period: Duration,
    pub(crate) failure_threshold: u32,
    pub(crate) success_threshold: u32,
    timeout: Duration,
}

#[derive(Clone, Debug)]
enum Target {
    Http {
        address: SocketAddr,
        path: String,
        headers: Vec<(String, String)>,
    },
    Tcp(SocketAddr),
    /// A command that is no program here, and says nothing that could be asked otherwise.
    Passes,
    /// What can't be right.
    Fails(String),
}

impl Probe {
    /// The container's probe under this name, if it has one.
    pub(crate) fn read(container: &Value, name: &str, pod: Ipv4Addr) -> Option<Probe> {
        let probe = container.get(name).filter(|probe| probe.is_object())?;
        let seconds = |field: &str, unset: i64| {
            let seconds = int(probe, &format!("/{field}")).unwrap_or(unset);
            Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        };
        let count = |field: &str, unset: u32| {
            int(probe, &format!("/{field}")).and_then(|count| u32::try_from(count).ok()).unwrap_or(unset)
        };
        Some(Probe {
            target: target(container, probe, pod),
            initial_delay: seconds("initialDelaySeconds", 0),
            period: seconds("periodSeconds", 10).max(Duration::from_secs(1)),
            timeout: seconds("timeoutSeconds", 1).max(Duration::from_secs(1)),
            failure_threshold: count("failureThreshold", 3).max(1),
            success_threshold: count("successThreshold", 1).max(1),
        })
    }

    /// One try; the error says what a kubelet says.
    pub(crate) async fn ask(&self) -> Result<(), String> {
        match &self.target {
            Target::Passes => Ok(()),
            Target::Fails(why) => Err(why.clone()),
            Target::Tcp(address) => match timeout(self.timeout, TcpStream::connect(address)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(format!("dial tcp {address}: {error}")),
                Err(_) => Err(format!("dial tcp {address}: i/o timeout")),
            },
            Target::Http { address, path, headers } => {
                match timeout(self.timeout, get(*address, path, headers)).await {
                    Ok(Ok(200..=399)) => Ok(()),
                    Ok(Ok(status)) => Err(format!("HTTP probe failed with statuscode: {status}")),
                    Ok(Err(error)) => Err(format!("Get \"http://{address}{path}\": {error}")),
                    Err(_) => Err(format!(
                        "Get \"http://{address}{path}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
                    )),
                }
            }
        }
    }
}

fn target(container: &Value, probe: &Value, pod: Ipv4Addr) -> Target {
    let address = |action: &Value| {
        let host = match text(action, "/host") {
            "" => pod,
            host => host.parse().unwrap_or(pod),
        };
        port(container, &action["port"]).map(|port| SocketAddr::from((host, port)))
    };
    if let Some(action) = probe.get("httpGet").filter(|action| action.is_object()) {
        let Some(address) = address(action) else { return Target::Fails("couldn't find port".to_owned()) };
        if text(action, "/scheme") == "HTTPS" {
            return Target::Fails("http: server gave HTTP response to HTTPS client".to_owned());
        }
        let path = format!("/{}", text(action, "/path").trim_start_matches('/'));
        let headers = list(action, "/httpHeaders").iter();
        let headers =
            headers.map(|header| (text(header, "/name").to_owned(), text(header, "/value").to_owned())).collect();
        return Target::Http { address, path, headers };
    }
    if let Some(action) = probe.get("tcpSocket").filter(|action| action.is_object()) {
        return address(action).map_or_else(|| Target::Fails("couldn't find port".to_owned()), Target::Tcp);
    }
    if let Some(action) = probe.get("grpc").filter(|action| action.is_object()) {
        // No container here speaks gRPC: that its port answers is all that can be known.
        return address(action).map_or_else(|| Target::Fails("couldn't find port".to_owned()), Target::Tcp);
    }
    command(container, &probe["exec"], pod)
}

/// A command of an `exec` probe: `false` fails, one that asks an address (`wget -qO- http://localhost:8080/readyz`) is asked
/// that address in the pod, and every other passes, because there is no program to run.
fn command(container: &Value, action: &Value, pod: Ipv4Addr) -> Target {
    let words: Vec<&str> = list(action, "/command").iter().filter_map(Value::as_str).collect();
    let program = words.first().map_or("", |first| first.rsplit('/').next().unwrap_or(first));
    if program == "false" || words.last().is_some_and(|last| matches!(last.trim(), "false" | "exit 1")) {
        return Target::Fails("command terminated with exit code 1".to_owned());
    }
    let mut parts = words.iter().flat_map(|word| word.split_whitespace());
    let Some(url) = parts.find_map(|part| part.trim_matches(['\'', '"']).strip_prefix("http://")) else {
        return Target::Passes;
    };
    let (authority, path) = url.split_once('/').unwrap_or((url, ""));
    let number = authority.rsplit_once(':').map_or(Value::from(80), |(_, number)| Value::from(number));
    match port(container, &number) {
        Some(port) => {
            Target::Http { address: SocketAddr::from((pod, port)), path: format!("/{path}"), headers: Vec::new() }
        }
        None => Target::Fails("couldn't find port".to_owned()),
    }
}

/// A port by number or by its name in the container.
pub(crate) fn port(container: &Value, port: &Value) -> Option<u16> {
    if let Some(number) = port.as_u64() {
        return u16::try_from(number).ok();
    }
    let name = port.as_str()?;
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let named = list(container, "/ports").iter().find(|port| port["name"] == name)?;
    u16::try_from(named["containerPort"].as_u64()?).ok()
}

async fn get(address: SocketAddr, path: &str, headers: &[(String, String)]) -> Result<u16, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("dial tcp {address}: {error}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let mut request = Request::get(path)
        .header("host", address.to_string())
        .header("user-agent", "kube-probe/1.33")
        .header("connection", "close");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let asked = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        Ok(response.status().as_u16())
    };
    // The connection is driven here and dropped with the answer's head: no task outlives the probe.
    let mut connection = std::pin::pin!(connection);
    let mut asked = std::pin::pin!(asked);
    tokio::select! {
        answer = asked.as_mut() => answer,
        ended = connection.as_mut() => match ended {
            Ok(()) => asked.await,
            Err(error) => Err(error.to_string()),
        },
    }
}
