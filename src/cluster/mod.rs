//! The cluster port: snapshots, guarded writes and triggers, through kube.
//!
//! Nothing is decided here: [`Cluster::snapshot`] turns objects into [`crate::core::observed`] facts, the writes do what
//! an [`crate::core::action::Action`] says and fail where its guards do not hold. Every call has a deadline.

mod adopt;
mod annotations;
mod apply;
mod behind;
mod deliveries;
mod drift;
mod dropped;
mod kinds;
mod lease;
mod pods;
mod record;
mod sizes;
mod snapshot;
mod states;
mod switch;
mod watch;
mod workloads;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::core::desired::OverlayObject;
use crate::core::ids::{AppName, ObjectKey};
use crate::core::text::OneLine;

pub use behind::Remains;
pub use deliveries::Stored;
pub use lease::Registrar;
pub use watch::{Touched, watch_kind, watch_namespace};

/// The field manager of every write.
const MANAGER: &str = "turquoise";
/// One call to the API server: the slowest honest answer of a busy server is a few seconds, and a look makes several.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Connecting to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Watches end by themselves before that; a read that is silent for longer is dead.
const READ_TIMEOUT: Duration = Duration::from_secs(295);

/// A connection to one cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    server: (String, u16),
    kinds: Arc<kinds::Kinds>,
    answers: Arc<drift::Answers>,
}

/// Which objects a look or a write is about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The app: the value of the label on all its objects.
    pub app: AppName,
    /// Where its objects live.
    pub namespace: String,
    /// The selector's key.
    pub key: String,
    /// The live Services' names.
    pub live: Vec<String>,
    /// The preview Services' names.
    pub previews: Vec<String>,
    /// The kinds to list, as `(apiVersion, kind)`.
    pub kinds: BTreeSet<(String, String)>,
    /// The live overlay's objects as HEAD renders them, and their digests.
    pub overlay: Vec<(OverlayObject, Value)>,
    /// What the renders name: objects of these names that are not labelled as the app's are foreign.
    pub expected: BTreeSet<ObjectKey>,
}

/// Why a call to the cluster did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig cannot be used.
    #[error("failed to read the kubeconfig: {0}")]
    Config(OneLine),
    /// What was seen is not so any more: look again.
    #[error("{0} has changed since it was looked at")]
    Conflict(String),
    /// The server understood and says no.
    #[error("failed to {what}: {words}")]
    Refused {
        /// What was asked.
        what: String,
        /// The status code.
        code: u16,
        /// The server's words.
        words: OneLine,
    },
    /// No usable answer: it is tried again later.
    #[error("failed to {what}: {words}")]
    Unreachable {
        /// What was asked.
        what: String,
        /// What happened instead.
        words: OneLine,
    },
}

/// How an API server begins when an applied object has a field that its schema does not have. It answers 500 and gives no
/// reason, so that nothing but these words tells a mistake in a manifest from an outage.
const UNTYPED: &str = "failed to create typed patch object";

impl ClusterError {
    /// Maps kube's errors: conflicts to another look, refusals to the server's words, the rest to a retry.
    fn of(what: &str, error: kube::Error) -> Self {
        let what = what.to_owned();
        let kube::Error::Api(status) = error else {
            return Self::Unreachable { what, words: OneLine::of_error(&chain(&error)) };
        };
        match status.code {
            409 | 410 => Self::Conflict(what),
            400 | 401 | 403 | 404 | 405 | 413 | 415 | 422 => {
                let words = OneLine::of_error(&without_the_object(&what, &status.message));
                Self::Refused { what, code: status.code, words }
            }
            // Asking again does not mend it, whatever the code says.
            500 if status.message.starts_with(UNTYPED) => {
                Self::Refused { what, code: status.code, words: OneLine::of_error(&status.message) }
            }
            _busy_or_broken => Self::Unreachable { what, words: OneLine::of_error(&status.message) },
        }
    }
}

/// `deployments.apps "web-green" is forbidden: quota` begins with what is said already, and a line ends at 200 characters:
/// a policy's own message, at the end, is the part that matters.
fn without_the_object<'a>(what: &str, message: &'a str) -> &'a str {
    let Some((object, rest)) = message.split_once("\" is ") else { return message };
    let named = object.split_once(" \"").is_some_and(|(_, name)| what.ends_with(&format!(" {name}")));
    let refused = ["forbidden: ", "invalid: "].iter().any(|word| rest.starts_with(word));
    if named && refused { rest } else { message }
}

/// An error with its causes in one line: `a: b: c`.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

impl Cluster {
    /// Reads a kubeconfig (or the environment, or the pod's service account) and prepares a client.
    ///
    /// # Errors
    /// [`ClusterError::Config`] where it cannot be read or names nothing usable. The server is not asked yet.
    pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<(Self, String), ClusterError> {
        let mut config = read_config(kubeconfig, context).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.write_timeout = Some(CALL_TIMEOUT);
        let namespace = config.default_namespace.clone();
        let (host, port) = (config.cluster_url.host().unwrap_or_default(), config.cluster_url.port_u16());
        let https = config.cluster_url.scheme_str() == Some("https");
        let server = (host.trim_matches(['[', ']']).to_owned(), port.unwrap_or(if https { 443 } else { 80 }));
        let client = Client::try_from(config).map_err(|error| config_error(&error))?;
        Ok((Self { client, server, kinds: Arc::default(), answers: Arc::default() }, namespace))
    }

    /// The client, for requests through the API server's service proxy.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The API server's host and port: no check may ask it.
    #[must_use]
    pub fn server(&self) -> (String, u16) {
        self.server.clone()
    }

    /// Whether the API server answers.
    ///
    /// # Errors
    /// [`ClusterError::Unreachable`] or what the server says.
    pub async fn ping(&self) -> Result<(), ClusterError> {
        call("ask the API server for its version", self.client.apiserver_version()).await.map(drop)
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn dynamic(
        &self,
        namespace: &str,
        api_version: &str,
        kind: &str,
    ) -> Result<Api<DynamicObject>, ClusterError> {
        let resource: ApiResource = self.kinds.resource(&self.client, api_version, kind).await?;
        Ok(Api::namespaced_with(self.client.clone(), namespace, &resource))
    }
}

fn config_error(error: &dyn std::error::Error) -> ClusterError {
    ClusterError::Config(OneLine::new(&chain(error)))
}

/// What a client is made from, without proxies and retries of its own.
async fn read_config(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Config, ClusterError> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let mut config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|error| config_error(&error))?;
            Config::from_custom_kubeconfig(file, &options).await.map_err(|error| config_error(&error))?
        }
        None if context.is_some() => Config::from_kubeconfig(&options).await.map_err(|error| config_error(&error))?,
        None => Config::infer().await.map_err(|error| config_error(&error))?,
    };
    // Its retries can last minutes; a look that failed is simply made again, with a back-off that people see.
    config.default_retry = false;
    // The machine's trusted roots are a megabyte, and nobody asks for them without TLS.
    if config.cluster_url.scheme_str() == Some("http") {
        config.root_cert = Some(Vec::new());
    }
    config.proxy_url = None;
    Ok(config)
}

/// What every patch that is no apply says of itself.
fn by_us() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() }
}

/// A deletion, of which it is no failure that the object is gone already: that is what was asked for.
async fn delete(api: &Api<DynamicObject>, key: &ObjectKey, params: &DeleteParams) -> Result<(), ClusterError> {
    match call(&format!("delete {key}"), api.delete(&key.name, params)).await {
        Ok(_) | Err(ClusterError::Refused { code: 404, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What was composed as JSON, as the type that a call takes. That it does not fit is a bug: nothing was sent, and the next
/// look composes it again.
fn composed<T: DeserializeOwned>(what: &str, json: Value) -> Result<T, ClusterError> {
    serde_json::from_value(json)
        .map_err(|error| ClusterError::Unreachable { what: what.to_owned(), words: OneLine::new(&error.to_string()) })
}

/// Kubernetes' `MicroTime`: RFC 3339 with microseconds.
fn micro_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// A call with its deadline and its name.
async fn call<T>(what: &str, work: impl Future<Output = kube::Result<T>>) -> Result<T, ClusterError> {
    match tokio::time::timeout(CALL_TIMEOUT, work).await {
        Ok(result) => result.map_err(|error| ClusterError::of(what, error)),
        Err(_elapsed) => Err(ClusterError::Unreachable {
            what: what.to_owned(),
            words: OneLine::new(&format!("no answer in {} s", CALL_TIMEOUT.as_secs())),
        }),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn answers_are_refusals_conflicts_or_outages() {
        let of = |code: u16, message: &str| {
            let status = Status { code, message: message.to_owned(), ..Status::default() };
            match ClusterError::of("apply", kube::Error::Api(Box::new(status))) {
                ClusterError::Config(_) => "config",
                ClusterError::Conflict(_) => "conflict",
                ClusterError::Refused { .. } => "refused",
                ClusterError::Unreachable { .. } => "unreachable",
            }
        };
        for (code, message, expect) in [
            (409, "the object has been modified", "conflict"),
            (422, "spec.selector: field is immutable", "refused"),
            (429, "too many requests", "unreachable"),
            (500, "etcdserver: request timed out", "unreachable"),
            (
                500,
                "failed to create typed patch object (a/b; apps/v1, Kind=Deployment): .spec.colour: field not declared in schema",
                "refused",
            ),
        ] {
            assert_eq!(of(code, message), expect, "{code} {message}");
        }
    }

    #[test]
    fn what_is_said_already_is_not_said_again() {
        let what = "apply Deployment web-green";
        for (message, expect) in [
            (
                "deployments.apps \"web-green\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: no",
                "forbidden: ValidatingAdmissionPolicy 'p' denied request: no",
            ),
            ("Deployment.apps \"web-green\" is invalid: spec.selector: immutable", "invalid: spec.selector: immutable"),
            (
                "deployments.apps is forbidden: User \"x\" cannot create",
                "deployments.apps is forbidden: User \"x\" cannot create",
            ),
            ("deployments.apps \"other\" is forbidden: no", "deployments.apps \"other\" is forbidden: no"),
            ("namespaces \"web-green\" is being terminated", "namespaces \"web-green\" is being terminated"),
        ] {
            assert_eq!(without_the_object(what, message), expect);
        }
    }
}
