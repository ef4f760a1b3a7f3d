//! The hands that break the cluster of this machine, which `e2e/cluster` runs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::stage::command;

/// A process of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::outside) enum Component {
    Etcd,
    ApiServer,
    Kubelet,
}

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::outside) enum Harm {
    /// SIGKILL: it is down.
    Crash,
    /// SIGSTOP: it holds its connections and answers nobody.
    Freeze,
}

/// Something of the cluster that is broken, or about to be: whole again when this value ends, so that the next story finds
/// it so, however this one ended.
pub(in crate::outside) struct Broken {
    component: Component,
    harm: Harm,
    pid: String,
}

impl Component {
    /// Nothing is done yet: `command` does it, and the answer mends it.
    pub(in crate::outside) fn about_to_break(self, harm: Harm) -> Broken {
        Broken { component: self, harm, pid: cluster(&["pid", self.name()]) }
    }

    /// Breaks it now.
    pub(in crate::outside) fn breaks(self, harm: Harm) -> Broken {
        let broken = self.about_to_break(harm);
        command(Command::new("sh").args(["-c", &broken.command()]));
        broken
    }

    fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::Kubelet => "kubelet",
        }
    }
}

impl Broken {
    /// The shell's command that breaks it, for a hook of the repository.
    pub(in crate::outside) fn command(&self) -> String {
        let signal = match self.harm {
            Harm::Crash => "-KILL",
            Harm::Freeze => "-STOP",
        };
        format!("kill {signal} {}", self.pid)
    }

    /// Whole again, from now on.
    pub(in crate::outside) fn mend(self) {
        drop(self);
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        match self.harm {
            Harm::Crash => cluster(&["start", self.component.name()]),
            Harm::Freeze => command(Command::new("kill").args(["-CONT", &self.pid])),
        };
    }
}

/// The node cannot reach the API server, nor can anybody else, as long as this value lives.
pub(in crate::outside) struct Cut;

impl Cut {
    pub(in crate::outside) fn now() -> Self {
        cluster(&["cut"]);
        Self
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        cluster(&["mend"]);
    }
}

/// Kills a pod's containers, as a crash does.
pub(in crate::outside) fn kill_pod(namespace: &str, pod: &str) {
    cluster(&["kill-pod", namespace, pod]);
}

/// `e2e/cluster/cluster` with these words.
fn cluster(args: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/cluster/cluster");
    // It would take a named cluster for somebody else's.
    command(Command::new(script).args(args).env_remove("TURQUOISE_E2E_KUBECONFIG").env_remove("KUBECONFIG"))
}

/// Where `e2e/cluster` writes its kubeconfig (its README.md).
pub(super) fn kubeconfig() -> PathBuf {
    let state =
        env::var_os("TURQUOISE_CLUSTER_STATE").map_or_else(|| "/var/lib/turquoise-cluster".into(), PathBuf::from);
    state.join("kubeconfig")
}
