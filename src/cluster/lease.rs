//! The Lease that says which replica acts: read and written as [`crate::core::election`] asks, through a client of its own.
//! What keeps the other client busy must not cost the lead, and an answer that comes late is worth nothing here.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use kube::api::{Api, Patch, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::{ClusterError, MANAGER, by_us, chain, config_error, micro_time, read_config};
use crate::core::election::{Answer, Ask, Entry, LEASE, Lease, REQUEST_MAX, TERM};
use crate::core::text::OneLine;

/// A connection that said nothing for that long is dead, and the next request goes over a new one. Between two requests it rests
/// for a second, which must not count as silence.
const SILENCE_MAX: Duration = TERM;

/// The one Lease, and how it is reached.
#[derive(Clone)]
pub struct Registrar {
    api: Api<LeaseObject>,
    namespace: String,
    name: String,
}

impl Registrar {
    /// Reads a kubeconfig (or the environment, or the pod's service account) and prepares a client; the namespace is the
    /// kubeconfig's or the pod's own where none is named.
    ///
    /// # Errors
    /// [`ClusterError::Config`] where it cannot be read or names nothing usable. The server is not asked yet.
    pub async fn connect(
        kubeconfig: Option<&Path>,
        context: Option<&str>,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Self, ClusterError> {
        let mut config = read_config(kubeconfig, context).await?;
        config.connect_timeout = Some(REQUEST_MAX);
        config.read_timeout = Some(SILENCE_MAX);
        config.write_timeout = Some(REQUEST_MAX);
        let namespace = namespace.map_or_else(|| config.default_namespace.clone(), str::to_owned);
        let client = Client::try_from(config).map_err(|error| config_error(&error))?;
        Ok(Self { api: Api::namespaced(client, &namespace), namespace, name: name.to_owned() })
    }

    /// `NAMESPACE/NAME`, for people.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Asks once, for at most [`REQUEST_MAX`]. `now` is what people read in the Lease; nothing is judged by it.
    pub async fn ask(&self, ask: &Ask, now: Timestamp) -> Answer {
        let answered = async {
            match ask {
                Ask::Look => self.api.get_opt(&self.name).await,
                Ask::Write(entry) => self.write(entry, now).await.map(Some),
            }
        };
        match tokio::time::timeout(REQUEST_MAX, answered).await {
            Ok(Ok(found)) => Answer::Lease(found.as_ref().map(read)),
            Ok(Err(kube::Error::Api(status))) if lost(ask, status.code) => Answer::Conflict,
            Ok(Err(error)) => Answer::Failed(OneLine::new(&chain(&error))),
            Err(_elapsed) => Answer::Failed(OneLine::new(&format!("no answer in {} ms", REQUEST_MAX.as_millis()))),
        }
    }

    async fn write(&self, entry: &Entry, now: Timestamp) -> kube::Result<LeaseObject> {
        let mut body = body(&self.name, entry, now);
        match &entry.over {
            Some(version) => {
                body["metadata"]["resourceVersion"] = version.as_str().into();
                let params = by_us();
                self.api.patch(&self.name, &params, &Patch::Merge(&body)).await
            }
            None => {
                let object: LeaseObject = serde_json::from_value(body).map_err(kube::Error::SerdeError)?;
                let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
                self.api.create(&params, &object).await
            }
        }
    }
}

/// Whether a status says that somebody else was faster: wrote it, made it, or took it away.
const fn lost(ask: &Ask, code: u16) -> bool {
    matches!((ask, code), (Ask::Write(_), 409) | (Ask::Write(Entry { over: Some(_), .. }), 404))
}

/// A renewal changes nothing but its time, which also makes the resourceVersion another one.
fn body(name: &str, entry: &Entry, now: Timestamp) -> Value {
    let now = micro_time(now);
    let mut spec = json!({
        "holderIdentity": entry.holder,
        "leaseDurationSeconds": LEASE.as_secs(),
        "leaseTransitions": entry.transitions,
        "renewTime": now,
    });
    if entry.begins {
        spec["acquireTime"] = now.into();
    }
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "turquoise"}},
        "spec": spec,
    })
}

fn read(object: &LeaseObject) -> Lease {
    let spec = object.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    Lease {
        version: object.resource_version().unwrap_or_default(),
        holder: spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty()),
        lasts: seconds.map(Duration::from_secs),
        transitions: spec.and_then(|spec| spec.lease_transitions).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let entry = Entry { over: Some("7".into()), holder: Some("a_1".into()), transitions: 3, begins: true };
        let mut written = body("turquoise", &entry, Timestamp::UNIX_EPOCH);
        written["metadata"]["resourceVersion"] = "8".into();
        assert_eq!(written["spec"]["acquireTime"], "1970-01-01T00:00:00.000000Z");
        let object: LeaseObject = serde_json::from_value(written).expect("a Lease");
        let expect = Lease { version: "8".into(), holder: Some("a_1".into()), lasts: Some(LEASE), transitions: 3 };
        assert_eq!(read(&object), expect);
        let released = Entry { holder: None, begins: false, ..entry };
        let object = serde_json::from_value(body("turquoise", &released, Timestamp::UNIX_EPOCH)).expect("a Lease");
        assert_eq!(read(&object).holder, None);
        let emptied = json!({"metadata": {"name": "turquoise"}, "spec": {"holderIdentity": ""}});
        assert_eq!(read(&serde_json::from_value(emptied).expect("a Lease")).holder, None);
    }

    #[test]
    fn who_was_faster_is_told_from_what_is_wrong() {
        let write = |over: Option<&str>| {
            Ask::Write(Entry { over: over.map(str::to_owned), holder: None, transitions: 0, begins: false })
        };
        for (ask, code, expect) in [
            (write(Some("7")), 409, true),
            (write(None), 409, true),
            (write(Some("7")), 404, true),
            (write(None), 404, false),
            (Ask::Look, 409, false),
            (write(Some("7")), 403, false),
            (write(Some("7")), 500, false),
        ] {
            assert_eq!(lost(&ask, code), expect, "{ask:?} {code}");
        }
    }
}
