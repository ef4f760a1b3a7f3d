//! How the world writes sizes, bounds and schedules.

use std::collections::BTreeMap;

use turquoise::core::action::{NewBounds, Schedules, Size};
use turquoise::core::colour::Colour;
use turquoise::core::ids::{CommitId, ObjectKey};

use super::World;
use super::execute::{Cut, Failure, guard};

impl World {
    /// Applies an object that runs nothing.
    pub(super) fn put_config(&mut self, colour: Colour, key: &ObjectKey, render: &CommitId) {
        let render = self.renders.one(&self.setup, &self.git, render, colour);
        let version = self.cluster.next();
        let objects = &mut self.cluster.colours[colour];
        if let Some(scaler) = render.autoscalers.iter().find(|scaler| scaler.key == *key) {
            objects.autoscalers.insert(key.clone(), (scaler.bounds, version));
        }
        objects.configs.insert(key.clone());
    }

    pub(super) fn resize(
        &mut self,
        colour: Colour,
        sizes: &[Size],
        bounds: &[NewBounds],
        versions: &BTreeMap<ObjectKey, String>,
        cut: &mut Cut,
    ) -> Result<(), Failure> {
        for size in sizes {
            cut.write()?;
            let at = self.seen_workload(colour, &size.workload, versions.get(&size.workload))?;
            let workload = &mut self.cluster.colours[colour].workloads[at];
            workload.replicas = size.replicas;
            workload.applied_replicas = size.replicas;
            self.cluster.settle_pods(colour, at, false, self.now_s);
        }
        for new in bounds {
            cut.write()?;
            let version = self.cluster.next();
            let found = self.cluster.colours[colour].autoscalers.get_mut(&new.autoscaler);
            let seen = versions.get(&new.autoscaler);
            let found = found.filter(|(_, version)| seen == Some(&version.to_string()));
            let found = found.ok_or_else(|| Failure::Guard(format!("{} has changed", new.autoscaler)))?;
            *found = (new.bounds, version);
        }
        Ok(())
    }

    /// The place of a workload that is as it was seen; it gets a new version.
    fn seen_workload(&mut self, colour: Colour, key: &ObjectKey, seen: Option<&String>) -> Result<usize, Failure> {
        let version = self.cluster.next();
        let workloads = &mut self.cluster.colours[colour].workloads;
        let at = workloads.iter().position(|workload| workload.key == *key);
        let at = at.filter(|at| seen == Some(&workloads[*at].version.to_string()));
        let at = at.ok_or_else(|| Failure::Guard(format!("{key} has changed")))?;
        workloads[at].version = version;
        Ok(at)
    }

    pub(super) fn run_schedules(&mut self, schedules: &Schedules, cut: &mut Cut) -> Result<(), Failure> {
        self.service_guards(&schedules.services)?;
        guard(self.cluster.serving() == Some(schedules.serving), || "another colour serves".into())?;
        let idle = schedules.serving.other();
        let all = [(idle, &schedules.suspend, false), (schedules.serving, &schedules.resume, true)];
        for (colour, crons, runs) in all {
            for (key, version) in crons {
                cut.write()?;
                let at = self.seen_workload(colour, key, Some(version))?;
                let cron = &mut self.cluster.colours[colour].workloads[at];
                cron.replicas = u32::from(runs);
                cron.parked = !runs;
            }
        }
        Ok(())
    }
}
