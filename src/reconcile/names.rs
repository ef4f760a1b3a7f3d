//! What a look was about, for the watches.

use std::collections::BTreeSet;

use super::View;

impl View {
    /// The names of the workloads and Services that it is about: watches tell of them, of their pods and their endpoints.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        const WATCHED: [&str; 6] = ["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Service"];
        let workloads = self.observed.colours.iter().flat_map(|(_, state)| &state.workloads).map(|one| &one.key);
        let keys = self.subject.expected.iter().chain(workloads).filter(|key| WATCHED.contains(&key.kind.as_str()));
        let services = self.subject.live.iter().chain(&self.subject.previews);
        keys.map(|key| &key.name).chain(services).cloned().collect()
    }
}
