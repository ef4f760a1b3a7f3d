//! The kinds that run pods, and what size means for each (docs/adr/0009-kinds-that-run-pods.md).

use super::ids::ObjectKey;

/// A kind that runs pods and that can be held in two colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// `spec.replicas` pods.
    Deployment,
    /// `spec.replicas` pods with names.
    StatefulSet,
    /// A pod on each node that its `nodeSelector` names; down, it names none.
    DaemonSet,
    /// Runs once for each content of its colour; down, it is suspended.
    Job,
    /// Runs by the clock in the serving colour; suspended in the other.
    CronJob,
}

impl WorkloadKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::Job, Self::CronJob];

    /// `apiVersion` and `kind`.
    #[must_use]
    pub const fn gvk(self) -> (&'static str, &'static str) {
        match self {
            Self::Deployment => ("apps/v1", "Deployment"),
            Self::StatefulSet => ("apps/v1", "StatefulSet"),
            Self::DaemonSet => ("apps/v1", "DaemonSet"),
            Self::Job => ("batch/v1", "Job"),
            Self::CronJob => ("batch/v1", "CronJob"),
        }
    }

    /// The kind of an object.
    #[must_use]
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.gvk() == (api_version, kind))
    }

    /// Whether its pods can answer for a Service: what a colour needs at least one of.
    #[must_use]
    pub const fn serves(self) -> bool {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => true,
            Self::Job | Self::CronJob => false,
        }
    }

    /// Whether its size is a number of pods that the manifest or an autoscaler names; of the others a size says only
    /// whether they run (1) or not (0).
    #[must_use]
    pub const fn is_counted(self) -> bool {
        match self {
            Self::Deployment | Self::StatefulSet => true,
            Self::DaemonSet | Self::Job | Self::CronJob => false,
        }
    }

    /// Where its pod template stands, as a JSON pointer.
    #[must_use]
    pub const fn template(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::Job => "/spec/template",
            Self::CronJob => "/spec/jobTemplate/spec/template",
        }
    }
}

impl ObjectKey {
    /// Its kind, if it runs pods and turquoise releases it by colour.
    #[must_use]
    pub fn workload_kind(&self) -> Option<WorkloadKind> {
        WorkloadKind::of(&self.api_version, &self.kind)
    }

    /// Whether this kind runs pods, of the kinds that turquoise deploys by colour.
    #[must_use]
    pub fn is_workload(&self) -> bool {
        self.workload_kind().is_some()
    }

    /// Whether it is a workload of this kind.
    #[must_use]
    pub fn is_kind(&self, kind: WorkloadKind) -> bool {
        self.workload_kind() == Some(kind)
    }
}
