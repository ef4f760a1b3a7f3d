//! How the world performs actions: guards first, then one write after the other, each of which may be the last.

use std::collections::BTreeSet;
use std::sync::Arc;

use turquoise::core::action::{
    Action, ApplyOverlay, ColourGuard, Commit, Deploy, Inventory, RejectionEdit, Scale, ServiceGuard, Size, Stamp,
    Switch,
};
use turquoise::core::colour::Colour;
use turquoise::core::desired::Role;
use turquoise::core::ids::{CommitId, ObjectKey};
use turquoise::core::message::commit_message;
use turquoise::core::observed::{CheckKey, FlipRecord, Record};
use turquoise::core::workload::WorkloadKind;

use super::cluster::{Objects, SMOKE_FAILS, Service, WATCH_FAILS, Workload};
use super::git::{self, Author, BRANCH, Content, index};
use super::{Run, World};

/// Why an action did not happen, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Something is not as it was seen.
    Guard(String),
    /// The process died in the middle.
    Cut,
}

/// Cuts an action off after a number of writes.
#[derive(Debug)]
pub(crate) struct Cut {
    left: Option<u8>,
}

impl Cut {
    pub(crate) const fn new(left: Option<u8>) -> Self {
        Self { left }
    }

    pub(crate) const fn is_armed(&self) -> bool {
        self.left.is_some()
    }

    /// Asks leave for one write.
    pub(super) fn write(&mut self) -> Result<(), Failure> {
        match &mut self.left {
            Some(0) => Err(Failure::Cut),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

pub(super) fn guard(holds: bool, why: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::Guard(why())) }
}

impl World {
    /// Performs one action.
    pub(crate) fn execute(&mut self, action: &Action, cut: &mut Cut) -> Result<(), Failure> {
        match action {
            Action::Adopt(_) => unreachable!("the world begins empty"),
            Action::ApplyOverlay(apply) => self.apply_overlay(apply, cut),
            Action::Deploy(deploy) => self.deploy(deploy, cut),
            Action::Scale(scale) => self.scale(scale, cut),
            Action::Stamp(stamp) => self.stamp(stamp, cut),
            Action::MarkInUse { colour, at, guard } => {
                self.colour_guard(*colour, guard)?;
                self.edit_records(*colour, cut, |record| (record.in_use, record.started_at) = (true, *at))
            }
            Action::Recreate { colour, render, objects, record } => {
                self.recreate(*colour, render, objects, record, cut)
            }
            Action::Resize { colour, sizes, bounds, versions } => self.resize(*colour, sizes, bounds, versions, cut),
            Action::Schedules(schedules) => self.run_schedules(schedules, cut),
            Action::Prune { colour, objects, guard } => self.prune(*colour, objects, guard, cut),
            Action::NoteInventory(inventory) => {
                self.service_guards(&inventory.services)?;
                self.note_inventory(inventory, cut)
            }
            Action::PruneOverlay { objects, left } => self.prune_overlay(objects, left, cut),
            Action::PointPreviews { services, to } => {
                self.service_guards(services)?;
                self.edit_services(services, cut, |service| service.selects = Some(to.to_string()))
            }
            Action::Check { keys } => {
                cut.write()?;
                keys.iter().for_each(|key| self.start_check(key));
                Ok(())
            }
            Action::Commit(commit) => self.commit(commit, cut),
            Action::Switch(switch) => self.switch(switch, cut),
            Action::EndWatch { services, record } => {
                self.service_guards(services)?;
                self.edit_services(services, cut, |service| service.flip = Some(record.clone()))
            }
        }
    }

    pub(super) fn service_guards(&self, guards: &[ServiceGuard]) -> Result<(), Failure> {
        guards.iter().try_for_each(|seen| {
            let now = self.cluster.services.iter().find(|service| service.name == seen.name);
            let holds =
                now.is_some_and(|now| now.version.to_string() == seen.resource_version && now.selects == seen.selects);
            guard(holds, || format!("Service {} has changed", seen.name))
        })
    }

    fn colour_guard(&self, colour: Colour, seen: &ColourGuard) -> Result<(), Failure> {
        self.service_guards(&seen.services)?;
        guard(!self.cluster.is_served(colour), || format!("{colour} serves"))?;
        let workloads = &self.cluster.colours[colour].workloads;
        workloads.iter().try_for_each(|workload| {
            let version = seen.workloads.iter().find(|(key, _)| *key == workload.key).map(|(_, version)| version);
            guard(version.is_some_and(|version| *version == workload.version.to_string()), || {
                format!("{} has changed", workload.key)
            })
        })?;
        guard(seen.workloads.len() == workloads.len(), || format!("workloads of {colour} are gone"))
    }

    fn deploy(&mut self, deploy: &Deploy, cut: &mut Cut) -> Result<(), Failure> {
        self.colour_guard(deploy.colour, &deploy.guard)?;
        let content = self.git.commits[index(&deploy.render)].tree.content(deploy.colour);
        self.judge.writes(deploy.colour, &self.cluster, "deployed to");
        let render = self.renders.one(&self.setup, &self.git, &deploy.render, deploy.colour);
        for (job, _) in &deploy.renew {
            cut.write()?;
            self.cluster.colours[deploy.colour].workloads.retain(|workload| workload.key != *job);
        }
        cut.write()?;
        self.cluster.colours[deploy.colour].inventory = deploy.inventory.clone();
        let mut keys: Vec<&ObjectKey> = render.objects.iter().collect();
        keys.sort_by_key(|key| !key.is_kind(WorkloadKind::Job));
        for key in keys {
            cut.write()?;
            self.put(deploy.colour, key, content, &deploy.record, &deploy.render, &deploy.sizes);
        }
        Ok(())
    }

    /// Applies one object of a colour.
    fn put(
        &mut self,
        colour: Colour,
        key: &ObjectKey,
        content: Content,
        record: &Record,
        render: &CommitId,
        sizes: &[Size],
    ) {
        if !key.is_workload() {
            self.put_config(colour, key, render);
            return;
        }
        self.judge.acted_on(&record.revision);
        let version = self.cluster.next();
        let spec = self.renders.one(&self.setup, &self.git, render, colour);
        let manifest = spec.workloads.iter().find(|spec| spec.key == *key).and_then(|spec| spec.replicas);
        let size = sizes.iter().find(|size| size.workload == *key).map(|size| size.replicas);
        let workloads = &mut self.cluster.colours[colour].workloads;
        let at = workloads.iter().position(|workload| workload.key == *key);
        let replaced = at.is_none_or(|at| workloads[at].content != content);
        let old = at.map(|at| (workloads[at].replicas, workloads[at].parked, workloads[at].born_s));
        if key.is_kind(WorkloadKind::Job) && old.is_some() && replaced {
            self.judge.changes_a_job();
        }
        // What lets a held Job go on is a patch of its own; a CronJob is as the apply says.
        let held = match (key.workload_kind(), size) {
            (Some(WorkloadKind::CronJob), size) => size == Some(0),
            (Some(WorkloadKind::Job), None) => old.is_some_and(|(_, parked, _)| parked),
            (_, _) => false,
        };
        let goes_on = old.is_some_and(|(_, parked, _)| parked) && !held;
        let workloads = &mut self.cluster.colours[colour].workloads;
        let fresh = Workload {
            key: key.clone(),
            version,
            content,
            // What an autoscaler owns stays as it is.
            replicas: size.or(manifest).or(old.map(|(replicas, ..)| replicas)).unwrap_or(1),
            applied_replicas: manifest.unwrap_or(1),
            parked: held,
            born_s: old.filter(|_| !goes_on).map_or(self.now_s, |(_, _, born_s)| born_s),
            record: Some(record.clone()),
            pods: at.map(|at| std::mem::take(&mut workloads[at].pods)).unwrap_or_default(),
            seen_s: self.now_s + self.cluster.pace.status_s(),
        };
        let at = match at {
            Some(at) => {
                workloads[at] = fresh;
                at
            }
            None => {
                workloads.push(fresh);
                workloads.len() - 1
            }
        };
        self.cluster.settle_pods(colour, at, replaced, self.now_s);
    }

    fn scale(&mut self, scale: &Scale, cut: &mut Cut) -> Result<(), Failure> {
        self.colour_guard(scale.colour, &scale.guard)?;
        self.judge.writes(scale.colour, &self.cluster, "scaled");
        for at in 0..self.cluster.colours[scale.colour].workloads.len() {
            cut.write()?;
            let version = self.cluster.next();
            let workload = &mut self.cluster.colours[scale.colour].workloads[at];
            workload.version = version;
            workload.seen_s = self.now_s + self.cluster.pace.status_s();
            if let Some(size) = scale.sizes.iter().find(|size| size.workload == workload.key) {
                workload.replicas = size.replicas;
                if !workload.serves() {
                    workload.parked = size.replicas == 0;
                    workload.born_s = self.now_s;
                }
            }
            if let (Some((attempt, started_at)), Some(record)) = (&scale.attempt, &mut workload.record) {
                record.attempt.clone_from(attempt);
                record.started_at = *started_at;
                record.endpoints_since = None;
            }
            self.cluster.settle_pods(scale.colour, at, false, self.now_s);
        }
        Ok(())
    }

    fn stamp(&mut self, stamp: &Stamp, cut: &mut Cut) -> Result<(), Failure> {
        self.colour_guard(stamp.colour, &stamp.guard)?;
        self.edit_records(stamp.colour, cut, |record| {
            record.attempt.clone_from(&stamp.attempt);
            record.started_at = stamp.started_at;
            record.endpoints_since = stamp.endpoints_since;
        })
    }

    fn edit_records(&mut self, colour: Colour, cut: &mut Cut, edit: impl Fn(&mut Record)) -> Result<(), Failure> {
        for at in 0..self.cluster.colours[colour].workloads.len() {
            cut.write()?;
            let version = self.cluster.next();
            let workload = &mut self.cluster.colours[colour].workloads[at];
            workload.version = version;
            workload.seen_s = self.now_s + self.cluster.pace.status_s();
            workload.record.as_mut().into_iter().for_each(&edit);
        }
        Ok(())
    }

    fn recreate(
        &mut self,
        colour: Colour,
        render: &CommitId,
        objects: &BTreeSet<ObjectKey>,
        record: &Record,
        cut: &mut Cut,
    ) -> Result<(), Failure> {
        let content = self.git.commits[index(render)].tree.content(colour);
        for key in objects {
            cut.write()?;
            let workloads = &self.cluster.colours[colour].workloads;
            if !workloads.iter().any(|workload| workload.key == *key) {
                let held = key.is_kind(WorkloadKind::CronJob).then(|| Size { workload: key.clone(), replicas: 0 });
                self.put(colour, key, content, record, render, held.as_slice());
            }
        }
        Ok(())
    }

    fn prune(
        &mut self,
        colour: Colour,
        objects: &BTreeSet<ObjectKey>,
        seen: &ColourGuard,
        cut: &mut Cut,
    ) -> Result<(), Failure> {
        self.colour_guard(colour, seen)?;
        self.judge.writes(colour, &self.cluster, "pruned");
        for key in objects {
            cut.write()?;
            let Objects { workloads, configs, autoscalers, inventory } = &mut self.cluster.colours[colour];
            workloads.retain(|workload| workload.key != *key);
            autoscalers.remove(key);
            configs.remove(key);
            inventory.remove(key);
        }
        Ok(())
    }

    fn edit_services(
        &mut self,
        services: &[ServiceGuard],
        cut: &mut Cut,
        edit: impl Fn(&mut Service),
    ) -> Result<(), Failure> {
        for seen in services {
            cut.write()?;
            let version = self.cluster.next();
            if let Some(service) = self.cluster.service(&seen.name) {
                service.version = version;
                edit(service);
            }
        }
        Ok(())
    }

    fn apply_overlay(&mut self, apply: &ApplyOverlay, cut: &mut Cut) -> Result<(), Failure> {
        self.service_guards(&apply.services)?;
        let overlay = self.renders.live(&self.setup, &self.git, &apply.render);
        for key in &apply.objects {
            cut.write()?;
            let object = overlay.objects.iter().find(|object| object.key == *key).expect("it names its own objects");
            let colour = match object.role {
                Role::Live => Some(apply.live),
                Role::Preview => Some(apply.preview),
                Role::Shared | Role::Routing => None,
            };
            if let Some(colour) = colour {
                let version = self.cluster.next();
                let inventory = Some(apply.inventory.clone());
                if let Some(service) = self.cluster.service(&key.name) {
                    service.selects = Some(colour.to_string());
                    service.version = version;
                    service.inventory = inventory;
                } else {
                    self.cluster.services.push(Service {
                        name: key.name.clone(),
                        preview: object.role == Role::Preview,
                        version,
                        selects: Some(colour.to_string()),
                        flip: None,
                        inventory,
                        endpoints: BTreeSet::new(),
                        due_s: None,
                    });
                }
            }
            self.cluster.overlay.insert(key.clone(), object.digest.clone());
        }
        if let Some(colour) = self.cluster.serving() {
            self.judge.serves(colour, &self.cluster);
        }
        Ok(())
    }

    fn note_inventory(&mut self, inventory: &Inventory, cut: &mut Cut) -> Result<(), Failure> {
        let objects = &inventory.objects;
        self.edit_services(&inventory.services, cut, |service| service.inventory = Some(objects.clone()))
    }

    fn prune_overlay(&mut self, objects: &BTreeSet<ObjectKey>, left: &Inventory, cut: &mut Cut) -> Result<(), Failure> {
        self.service_guards(&left.services)?;
        for key in objects {
            cut.write()?;
            self.judge.drops(key, &self.git, &self.cluster);
            self.cluster.overlay.remove(key);
        }
        self.note_inventory(left, cut)
    }

    fn start_check(&mut self, key: &CheckKey) {
        let service = self.cluster.services.iter().find(|service| service.name == key.target);
        let asked = service.and_then(|service| Some((service, service.selects.as_deref()?.parse::<Colour>().ok()?)));
        let fails = asked.is_none_or(|(service, colour)| {
            let content = self.cluster.colours[colour].content();
            let live = !service.preview;
            content.is_none_or(|content| {
                content.base == SMOKE_FAILS || (live && (content.base == WATCH_FAILS || self.cluster.outage))
            })
        });
        if let Some((_, colour)) = asked.filter(|(_, colour)| !fails && *colour == key.colour) {
            self.judge.passed(colour, &self.cluster);
        }
        self.judge.checks += 1;
        self.process.checks.retain(|run| !run.key.asks_the_same(key));
        self.process.checks.push(Run { key: key.clone(), due_s: self.now_s + self.setup.pace.check_s, fails });
    }

    fn commit(&mut self, commit: &Commit, cut: &mut Cut) -> Result<(), Failure> {
        cut.write()?;
        guard(self.faults.git_down == 0, || "git is out of reach".into())?;
        if self.faults.refused > 0 {
            self.faults.refused -= 1;
            return Err(Failure::Guard("the push is refused".into()));
        }
        guard(index(&commit.parent) == self.git.head(), || "HEAD has moved".into())?;
        let mut tree = self.git.tree().clone();
        if let Some(colour) = commit.selector {
            tree.selector = colour.to_string();
        }
        for colour in Colour::BOTH {
            if let Some(pin) = &commit.pins[colour] {
                tree.lock.pins[colour] = Some(pin.clone());
                tree.lock.branch = BRANCH.into();
            }
        }
        match &commit.rejection {
            RejectionEdit::Keep => {}
            RejectionEdit::Clear => tree.lock.rejected = None,
            RejectionEdit::Set(rejection) => tree.lock.rejected = Some(rejection.clone()),
        }
        self.judge.commits(commit, &tree, &self.git, &self.cluster);
        let subject = if self.transcript.is_told() {
            let desired = self.facts.as_ref().map(|facts| &facts.desired).expect("a commit was planned");
            commit_message(commit, &desired.app, &desired.branch, &self.policy.commits)
                .lines()
                .filter(|line| !line.is_empty())
                .take(2)
                .collect::<Vec<_>>()
                .join(": ")
        } else {
            String::new()
        };
        self.git.push(git::Commit { tree, author: Author::Turquoise, subject, facts: commit.facts.clone() });
        Ok(())
    }

    fn switch(&mut self, switch: &Switch, cut: &mut Cut) -> Result<(), Failure> {
        let asked = switch.record.owed.is_some() || self.faults.git_down == 0;
        guard(asked, || "git cannot be asked for HEAD".into())?;
        self.service_guards(&switch.services)?;
        let overlay: Arc<_> = self.renders.live(&self.setup, &self.git, &switch.render);
        let facts = self.facts.as_ref().expect("a switch was planned");
        self.judge.switches(switch, &facts.desired, &self.cluster, self.now_s);
        let from = self.cluster.serving();
        for seen in &switch.services {
            cut.write()?;
            let version = self.cluster.next();
            if let Some(service) = self.cluster.service(&seen.name) {
                service.version = version;
                service.selects = Some(switch.to.to_string());
                service.flip = Some(FlipRecord { ..switch.record.clone() });
            }
            let digest =
                overlay.objects.iter().find(|object| object.key.name == seen.name && object.role == Role::Live);
            if let Some(object) = digest {
                self.cluster.overlay.insert(object.key.clone(), object.digest.clone());
            }
        }
        self.judge.moved(from, switch.to);
        self.judge.serves(switch.to, &self.cluster);
        Ok(())
    }
}
