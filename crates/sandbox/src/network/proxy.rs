//! The Services' listeners: each connection goes to a ready endpoint that is chosen when it comes in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::network::{Endpoint, SERVICE_NAME, endpoints_of};
use crate::object::{list, text};
use crate::resources::SERVICES;
use crate::store::{Change, Key, Scope};
use crate::world::World;

/// A loopback connect is done in microseconds; one that is not has met a full backlog.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// How long to wait before listening is tried again where the port is taken for the moment.
const LISTEN_AGAIN: Duration = Duration::from_millis(200);

/// How long to wait after a failed accept (too many open files, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Bytes in flight in each direction of a connection: an answer of the shop fits, and thousands of connections stay small.
const COPY_BYTES: usize = 4 * 1024;

/// Where a listener's connections go; replaced as a whole.
type Backends = Arc<Mutex<Arc<Vec<SocketAddr>>>>;

/// One open port of a Service.
struct Listener {
    backends: Backends,
    stop: CancellationToken,
}

/// Follows Services and EndpointSlices until the sandbox stops.
pub(crate) async fn run(world: Arc<World>) {
    let mut tip = world.store.listen(Scope::Everything);
    let mut seen = 0;
    let mut listeners: BTreeMap<(Key, SocketAddr), Listener> = BTreeMap::new();
    loop {
        let dirty: BTreeSet<Key> = match world.store.changes_after(seen) {
            Some(changes) => {
                seen = changes.last().map_or(seen, |change| change.version);
                changes.iter().filter_map(service_of).collect()
            }
            None => {
                let (version, services) = world.store.list(*SERVICES, None);
                seen = version;
                services.iter().map(|service| Key::of(*SERVICES, service)).collect()
            }
        };
        for service in dirty {
            sync(&world, &service, &mut listeners);
        }
        tokio::select! {
            () = world.stop.cancelled() => break,
            changed = tip.changed() => if changed.is_err() { break },
        }
    }
}

fn service_of(change: &Change) -> Option<Key> {
    match change.key.resource().plural {
        "services" => Some(change.key.clone()),
        "endpointslices" => {
            let slice = change.new.as_ref().or(change.old.as_ref())?;
            let name = slice["metadata"]["labels"][SERVICE_NAME].as_str()?;
            Some(Key::new(*SERVICES, change.key.namespace.clone(), name))
        }
        _ => None,
    }
}

/// Opens, closes and aims the listeners of one Service. Without endpoints nobody listens: connections are refused, as
/// kube-proxy's REJECT does.
fn sync(world: &Arc<World>, key: &Key, listeners: &mut BTreeMap<(Key, SocketAddr), Listener>) {
    let mut wanted: HashMap<SocketAddr, Vec<SocketAddr>> = HashMap::new();
    if let Some(service) = world.store.get(key) {
        let endpoints = endpoints_of(&world.store, &key.namespace, &key.name);
        for port in list(&service, "/spec/ports") {
            for address in addresses(&service, port) {
                wanted.insert(address, backends(&endpoints, text(port, "/name")));
            }
        }
    }
    listeners.retain(|(service, address), listener| {
        let keep = service != key || wanted.get(address).is_some_and(|backends| !backends.is_empty());
        if !keep {
            listener.stop.cancel();
        }
        keep
    });
    for (address, backends) in wanted {
        if backends.is_empty() {
            continue;
        }
        let backends = Arc::new(backends);
        if let Some(listener) = listeners.get(&(key.clone(), address)) {
            *listener.backends.lock().unwrap_or_else(PoisonError::into_inner) = backends;
            continue;
        }
        let listener = Listener { backends: Arc::new(Mutex::new(backends)), stop: world.stop.child_token() };
        let task =
            listen(Arc::clone(world), key.clone(), address, Arc::clone(&listener.backends), listener.stop.clone());
        world.tasks.spawn(task);
        listeners.insert((key.clone(), address), listener);
    }
}

fn addresses(service: &Value, port: &Value) -> Vec<SocketAddr> {
    let number = |field: &str| port[field].as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    let cluster = text(service, "/spec/clusterIP").parse::<Ipv4Addr>().ok();
    if text(port, "/protocol") == "UDP" {
        return Vec::new();
    }
    let cluster = cluster.zip(number("port")).map(SocketAddr::from);
    let node = number("nodePort").map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    cluster.into_iter().chain(node).collect()
}

/// The ready endpoints; if there are none, those that stop but still serve, as kube-proxy does.
pub(crate) fn backends(endpoints: &[Endpoint], port: &str) -> Vec<SocketAddr> {
    let at = |wanted: &dyn Fn(&Endpoint) -> bool| -> Vec<SocketAddr> {
        let wanted = endpoints.iter().filter(|endpoint| wanted(endpoint));
        wanted
            .flat_map(|endpoint| {
                let ports = endpoint.ports.iter().filter(|(name, _)| name == port);
                ports.map(|(_, number)| SocketAddr::from((endpoint.address, *number)))
            })
            .collect()
    };
    let ready = at(&|endpoint| endpoint.ready);
    if ready.is_empty() { at(&|endpoint| endpoint.serving && endpoint.terminating) } else { ready }
}

async fn listen(world: Arc<World>, key: Key, address: SocketAddr, backends: Backends, stop: CancellationToken) {
    let mut told = false;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) => {
                if !told && let Some(service) = world.store.get(&key) {
                    let message = format!("failed to listen on {address}: {error}");
                    world.event(&service, "kube-proxy", "Warning", "FailedToListen", &message);
                    told = true;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(LISTEN_AGAIN) => (),
        }
    };
    let turn = Arc::new(AtomicUsize::new(fastrand::usize(..1024)));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, _)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (backends, turn, end) = (Arc::clone(&backends), Arc::clone(&turn), world.stop.clone());
        world.tasks.spawn(async move {
            tokio::select! {
                () = end.cancelled() => (),
                () = forward(client, &backends, &turn) => (),
            }
        });
    }
}

/// Carries one connection to a backend, for as long as both ends hold it.
async fn forward(mut client: TcpStream, backends: &Backends, turn: &AtomicUsize) {
    let backends = Arc::clone(&backends.lock().unwrap_or_else(PoisonError::into_inner));
    let first = turn.fetch_add(1, Ordering::Relaxed);
    for offset in 0..backends.len() {
        let backend = backends[(first + offset) % backends.len()];
        let Ok(Ok(mut server)) = timeout(CONNECT_WITHIN, TcpStream::connect(backend)).await else { continue };
        // Small requests and answers must not wait for the other side's acknowledgement.
        if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
            return;
        }
        // How the connection ends is between client and server.
        let _ended = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut server, COPY_BYTES, COPY_BYTES).await;
        return;
    }
}
