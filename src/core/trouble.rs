//! What is wrong with a pod or a workload, by the word that Kubernetes has for it.

use std::fmt;

use serde::{Serialize, Serializer};

/// Why pods do not run. Each is told with the pod's last words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TroubleReason {
    /// The image's name is none.
    InvalidImageName,
    /// The image is not on the node, and the policy forbids to pull it.
    ImageNeverPull,
    /// The image could not be pulled; it is tried again.
    ImagePull,
    /// The image could not be pulled, and the kubelet waits before it tries again.
    ImagePullBackOff,
    /// A ConfigMap, Secret or key that the container names is not there.
    CreateContainerConfig,
    /// The runtime could not make the container.
    CreateContainer,
    /// The runtime could not start the container.
    RunContainer,
    /// The container ended again and again.
    CrashLoop,
    /// No node takes the pod.
    Unschedulable,
    /// The API server refuses the workload's pods: a quota, an admission webhook, a security policy.
    FailedCreate,
    /// All pods are ready, and the workload's status does not say yet that it is rolled out. Not a word of Kubernetes.
    RolloutNotOver,
    /// Another word of Kubernetes: `OOMKilled`, `Evicted`, `ContainersNotReady`.
    Other(String),
}

impl TroubleReason {
    /// Reads Kubernetes' word.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "InvalidImageName" => Self::InvalidImageName,
            "ErrImageNeverPull" => Self::ImageNeverPull,
            "ErrImagePull" => Self::ImagePull,
            "ImagePullBackOff" => Self::ImagePullBackOff,
            "CreateContainerConfigError" => Self::CreateContainerConfig,
            "CreateContainerError" => Self::CreateContainer,
            "RunContainerError" => Self::RunContainer,
            "CrashLoopBackOff" => Self::CrashLoop,
            "Unschedulable" => Self::Unschedulable,
            "FailedCreate" => Self::FailedCreate,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Kubernetes' word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::InvalidImageName => "InvalidImageName",
            Self::ImageNeverPull => "ErrImageNeverPull",
            Self::ImagePull => "ErrImagePull",
            Self::ImagePullBackOff => "ImagePullBackOff",
            Self::CreateContainerConfig => "CreateContainerConfigError",
            Self::CreateContainer => "CreateContainerError",
            Self::RunContainer => "RunContainerError",
            Self::CrashLoop => "CrashLoopBackOff",
            Self::Unschedulable => "Unschedulable",
            Self::FailedCreate => "FailedCreate",
            Self::RolloutNotOver => "RolloutNotOver",
            Self::Other(word) => word,
        }
    }

    /// Whether it says no more than that something is not ready yet, and whatever else is wrong says more.
    #[must_use]
    pub fn is_vague(&self) -> bool {
        matches!(self.as_str(), "RolloutNotOver" | "ContainersNotReady" | "ContainersNotInitialized" | "NotReady")
    }
}

impl fmt::Display for TroubleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for TroubleReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
