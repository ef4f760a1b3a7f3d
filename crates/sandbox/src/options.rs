//! What a sandbox can be told at its start.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::clock::Clock;
use crate::images::Images;

/// How a sandbox is set up; the default suits tests and the demo.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The images that pods can run.
    pub images: Images,
    /// The namespace that the kubeconfig's context names.
    pub context_namespace: String,
    /// If set, the API asks for this bearer token, and the kubeconfig carries it.
    pub token: Option<String>,
    /// Where times in objects come from.
    pub clock: Clock,
    /// Until a container was ready once, its readiness (and startup) probe is tried this often instead of each
    /// `periodSeconds`, so that starting takes no longer than it must. `None`: go by the probe's own period, as a kubelet does
    /// after its first try.
    pub eager_probes: Option<Duration>,
    /// The wait before a crashed container's second restart and before the second try to pull an image; it doubles each time.
    /// A kubelet's is 10 s.
    pub back_off: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            images: Images::default(),
            context_namespace: "default".to_owned(),
            token: None,
            clock: Clock::default(),
            eager_probes: Some(Duration::from_millis(25)),
            back_off: Duration::from_secs(10),
        }
    }
}
