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

    /// The kinds of its objects that no namespace's own watch tells of. Secrets are never watched (I6).
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<(String, String)> {
        const WATCHED: [(&str, &str); 8] = [
            ("apps/v1", "Deployment"),
            ("apps/v1", "StatefulSet"),
            ("apps/v1", "DaemonSet"),
            ("batch/v1", "Job"),
            ("v1", "Service"),
            ("v1", "ConfigMap"),
            ("v1", "Secret"),
            // One changes with each of its Jobs, and those are watched.
            ("batch/v1", "CronJob"),
        ];
        let others = |kind: &&(String, String)| !WATCHED.contains(&(kind.0.as_str(), kind.1.as_str()));
        self.subject.kinds.iter().filter(others).cloned().collect()
    }
}
