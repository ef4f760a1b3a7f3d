//! The two worlds in which the stories are told, each written once: the sandbox, a process for each story, and a real
//! Kubernetes, a namespace for each. `TURQUOISE_E2E_KUBECONFIG` names the real one (`make e2e` does); without it, it is
//! the sandbox.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use super::stage::Stage;
use super::transport::Transport;

mod home;
mod local;
mod report;
mod turns;

pub(super) use home::Home;
pub(super) use local::{Component, Cut, Harm, kill_pod};
pub(super) use report::Record;

/// Where the stories are told.
pub(super) enum World {
    /// `turquoise sandbox`.
    Sandbox,
    /// A real cluster that somebody has started.
    Cluster {
        /// With the rights of an administrator.
        kubeconfig: PathBuf,
        /// Whether `e2e/cluster` runs it on this machine, so that its processes can be stopped.
        is_local: bool,
    },
}

/// What takes another time in another world.
pub(super) struct Limits {
    /// A step that takes longer did not happen. Machines are slow and noisy; the steps themselves take a second in the
    /// sandbox, and up to half a minute where a kubelet backs off.
    pub(super) step: Duration,
    /// The pause between two looks at turquoise's status. Each starts a git or a kubectl, and a real cluster shares the
    /// machine's cores with its own stories.
    pub(super) look: Duration,
    /// A readiness deadline that healthy pods meet, under the load of the other stories, and that broken ones wait out.
    pub(super) deadline_s: u32,
    /// Requests a second to the live Service. In the sandbox many stories, their pods and clients share the cores.
    pub(super) requests_per_second: u32,
    /// How long the long request takes that is always under way. The end of a story waits for it.
    pub(super) long_request: Duration,
}

impl World {
    /// The world of this run.
    pub(super) fn here() -> &'static Self {
        static HERE: OnceLock<World> = OnceLock::new();
        HERE.get_or_init(|| match env::var_os("TURQUOISE_E2E_KUBECONFIG") {
            Some(file) if !file.is_empty() => {
                let kubeconfig = PathBuf::from(file);
                Self::Cluster { is_local: kubeconfig == local::kubeconfig(), kubeconfig }
            }
            _ => Self::Sandbox,
        })
    }

    /// Its limits.
    pub(super) fn limits(&self) -> Limits {
        match self {
            Self::Sandbox => Limits {
                step: step(60),
                look: Duration::from_millis(20),
                deadline_s: 3,
                requests_per_second: 100,
                long_request: Duration::from_secs(1),
            },
            Self::Cluster { .. } => Limits {
                step: step(150),
                look: Duration::from_millis(100),
                deadline_s: 20,
                requests_per_second: 200,
                long_request: Duration::from_secs(3),
            },
        }
    }

    /// How reports call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Cluster { .. } => "cluster",
        }
    }
}

/// The seconds that a step may take, unless `TURQUOISE_E2E_STEP_S` says otherwise: where each story is to fail, most of them
/// by what never happens.
fn step(seconds: u64) -> Duration {
    let said = env::var("TURQUOISE_E2E_STEP_S").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(said.unwrap_or(seconds))
}

/// A story that is told in one world alone, and why. The report of `make e2e` lists what was left out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Only {
    /// In the sandbox.
    Sandbox(&'static str),
    /// On the cluster that `e2e/cluster` runs on this machine; no other story is told meanwhile.
    Local(&'static str),
}

impl Only {
    /// The stage with the first release live and traffic, where the story can be told.
    pub(super) fn open(self) -> Option<Stage> {
        self.open_with(|_| {})
    }

    /// The same, with changes to the clone before its first commit.
    pub(super) fn open_with(self, prepare: impl FnOnce(&Path)) -> Option<Stage> {
        self.told().map(|manner| Stage::raise(prepare, manner).opened())
    }

    /// The same, with turquoise reaching the repository over a transport.
    pub(super) fn open_over(self, transport: Transport) -> Option<Stage> {
        self.told().map(|manner| Stage::raise(|_| {}, manner).over(transport).opened())
    }

    /// The stage without turquoise, and with images of one's own in the sandbox.
    pub(super) fn bare_with_images(self, prepare: impl FnOnce(&Path), images: &[&str]) -> Option<Stage> {
        self.told().map(|manner| Stage::raise(prepare, Manner { images, ..manner }))
    }

    fn told(self) -> Option<Manner<'static>> {
        let (here, why, alone) = match (self, World::here()) {
            (Self::Sandbox(why), world) => (matches!(world, World::Sandbox), why, false),
            (Self::Local(why), World::Cluster { is_local, .. }) => (*is_local, why, true),
            (Self::Local(why), World::Sandbox) => (false, why, false),
        };
        if !here {
            report::left_out(why);
        }
        here.then_some(Manner { images: &[], alone })
    }
}

/// How a story wants its place.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner<'a> {
    /// Images of one's own, `NAME:TAG`, in the sandbox.
    pub(super) images: &'a [&'a str],
    /// No other story is told on the cluster meanwhile.
    pub(super) alone: bool,
}
