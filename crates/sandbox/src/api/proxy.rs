//! The API server's proxy to Services and pods.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::api::Body;
use crate::api::errors::ApiError;
use crate::api::request::ApiRequest;
use crate::kubelet;
use crate::network::{endpoints_of, proxy::backends};
use crate::object::{list, text};
use crate::resources::Resource;
use crate::store::Key;
use crate::world::World;

/// How long a backend's connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Passes a request on to `[http:]NAME[:PORT]`.
pub(crate) async fn answer(
    world: &Arc<World>,
    resource: &'static Resource,
    request: ApiRequest,
) -> Result<Response<Body>, ApiError> {
    let given = request.name.clone().unwrap_or_default();
    let given = given.strip_prefix("http:").unwrap_or(&given);
    let (name, port) = given.split_once(':').unwrap_or((given, ""));
    let key = Key::new(resource, request.namespace.clone().unwrap_or_default(), name);
    let object = world.store.get(&key).ok_or_else(|| ApiError::not_found(resource, name))?;
    let addresses = if resource.plural == "pods" {
        let first = list(&object, "/spec/containers").first().and_then(|container| {
            let wanted = serde_json::Value::from(port);
            if port.is_empty() {
                u16::try_from(container["ports"][0]["containerPort"].as_u64()?).ok()
            } else {
                kubelet::port(container, &wanted)
            }
        });
        let address =
            text(&object, "/status/podIP").parse::<std::net::Ipv4Addr>().ok().zip(first).map(SocketAddr::from);
        address.into_iter().collect()
    } else {
        let ports = list(&object, "/spec/ports");
        let chosen = match port {
            "" => ports.first(),
            port => ports.iter().find(|other| other["name"] == port || other["port"].to_string() == port),
        };
        let chosen = chosen.ok_or_else(|| {
            ApiError::service_unavailable(format!("no service port {port:?} found for service {name:?}"))
        })?;
        backends(&endpoints_of(&world.store, &key.namespace, name), text(chosen, "/name"))
    };
    if addresses.is_empty() {
        return Err(ApiError::service_unavailable(format!("no endpoints available for service {given:?}")));
    }
    let address = addresses[fastrand::usize(..addresses.len())];
    pass_on(world, address, request).await.map_err(|error| {
        ApiError::service_unavailable(format!("error trying to reach service: dial tcp {address}: {error}"))
    })
}

async fn pass_on(world: &Arc<World>, address: SocketAddr, request: ApiRequest) -> Result<Response<Body>, String> {
    let connected = timeout(CONNECT_WITHIN, TcpStream::connect(address)).await.map_err(|_| "i/o timeout".to_owned())?;
    let stream = connected.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let stop = world.stop.clone();
    world.tasks.spawn(async move {
        tokio::select! {
            // It ends with the answer's body.
            _ = connection => (),
            () = stop.cancelled() => (),
        }
    });
    let query = if request.raw_query.is_empty() { String::new() } else { format!("?{}", request.raw_query) };
    let mut passed = Request::builder().method(request.method).uri(format!("/{}{query}", request.rest));
    if let Some(headers) = passed.headers_mut() {
        *headers = request.headers;
        headers.remove(CONNECTION);
        headers.remove(hyper::header::AUTHORIZATION);
        if let Ok(host) = address.to_string().parse() {
            headers.insert(HOST, host);
        }
    }
    let passed = passed.body(Full::new(request.body)).map_err(|error| error.to_string())?;
    let response = sender.send_request(passed).await.map_err(|error| error.to_string())?;
    let (mut head, body) = response.into_parts();
    head.headers.remove(CONNECTION);
    Ok(Response::from_parts(head, body.map_err(std::io::Error::other).boxed()))
}
