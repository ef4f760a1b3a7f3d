//! The handle: starting, looking, breaking, stopping.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustix::process::{Resource as Limit, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::faults::Faults;
use crate::object::{list, text};
use crate::options::Options;
use crate::resources::{self, NAMESPACES, SERVICES};
use crate::store::Key;
use crate::world::World;
use crate::writes::Write;
use crate::{api, controllers, kubelet, network};

/// The namespaces that every cluster has.
const NAMESPACES_AT_START: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// A running sandbox. It ends with [`Sandbox::stop`]; dropping the last handle stops it, too, without waiting.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    world: Arc<World>,
    url: String,
}

/// Why a sandbox can't start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The API's address is taken or not allowed.
    #[error("failed to listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
}

impl Sandbox {
    /// Starts the API, the controllers, the node and the Services on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// When the API can't listen.
    pub async fn start(options: Options) -> Result<Sandbox, SandboxError> {
        raise_open_files_limit();
        let address = options.listen;
        let listen = |error| SandboxError::Listen { address, error };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let url = format!("http://{}", listener.local_addr().map_err(listen)?);
        let world = World::new(options);
        prepare(&world);
        world.tasks.spawn(controllers::run(Arc::clone(&world)));
        world.tasks.spawn(network::proxy::run(Arc::clone(&world)));
        world.tasks.spawn(kubelet::run(Arc::clone(&world)));
        world.tasks.spawn(api::serve(Arc::clone(&world), listener));
        Ok(Sandbox { inner: Arc::new(Inner { world, url }) })
    }

    /// Where the API listens: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// A kubeconfig for this sandbox, as `kubectl` and kube clients read it.
    pub fn kubeconfig(&self) -> String {
        let options = &self.inner.world.options;
        let user = match &options.token {
            Some(token) => format!("\n    token: {}", Value::from(token.as_str())),
            None => " {}".to_owned(),
        };
        let (url, namespace) = (self.url(), &options.context_namespace);
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: sandbox\n  cluster:\n    server: {url}\nusers:\n- name: sandbox\n  \
             user:{user}\ncontexts:\n- name: sandbox\n  context:\n    cluster: sandbox\n    user: sandbox\n    namespace: \
             {namespace}\ncurrent-context: sandbox\n"
        )
    }

    /// The switches with which tests break things.
    pub fn faults(&self) -> &Faults {
        &self.inner.world.faults
    }

    /// Where a Service listens on a port; it does so while it has endpoints.
    pub fn service_address(&self, namespace: &str, name: &str, port: u16) -> Option<SocketAddr> {
        let service = self.inner.world.store.get(&Key::new(*SERVICES, namespace, name))?;
        let has_port = list(&service, "/spec/ports").iter().any(|other| other["port"] == port);
        let address = text(&service, "/spec/clusterIP").parse().ok()?;
        has_port.then_some(SocketAddr::new(address, port))
    }

    /// An object as it is stored, by its resource's plural (`deployments`); the namespace of cluster-wide ones is empty.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let resource = resources::plural(resource)?;
        self.inner.world.store.get(&Key::new(resource, namespace, name)).map(|object| Value::clone(&object))
    }

    /// All objects of a kind, by its resource's plural, in a namespace or (`None`) everywhere.
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Vec<Value> {
        let Some(resource) = resources::plural(resource) else { return Vec::new() };
        let (_, objects) = self.inner.world.store.list(resource, namespace);
        objects.iter().map(|object| Value::clone(object)).collect()
    }

    /// The newest resourceVersion.
    pub fn resource_version(&self) -> u64 {
        self.inner.world.store.version()
    }

    /// Ends everything: all listeners are closed and all tasks ended when this returns.
    pub async fn stop(self) {
        let world = &self.inner.world;
        world.stop.cancel();
        world.tasks.close();
        world.tasks.wait().await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.world.stop.cancel();
    }
}

/// What a cluster has before anybody asks for anything.
fn prepare(world: &World) {
    let mut names = NAMESPACES_AT_START.to_vec();
    let context = world.options.context_namespace.clone();
    if !names.contains(&context.as_str()) {
        names.push(&context);
    }
    for name in names {
        let namespace = json!({"metadata": {"name": name}});
        // The store is new: nothing can be there already.
        let _ = world.store.transaction(|transaction| {
            world.create(transaction, *NAMESPACES, namespace, Write::by("kube-apiserver", ""))
        });
    }
}

/// Each connection through a Service takes three descriptors, and some systems give 1,024. More is a wish, not a need.
fn raise_open_files_limit() {
    let limit = getrlimit(Limit::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let _ = setrlimit(Limit::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}
