//! What happened, for people to read.

use turquoise::core::action::{Action, Commit, Size};
use turquoise::core::ids::ObjectKey;
use turquoise::core::observed::WatchState;
use turquoise::core::report::{Plan, Waiting};

use super::git::Git;
use super::people::Op;

/// Lines, if anybody wants them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transcript {
    lines: Option<Vec<String>>,
    /// The newest plan's waits, reasons and alerts: said once.
    said: Vec<String>,
}

impl Transcript {
    /// Writes from now on.
    pub(crate) fn begin(&mut self) {
        self.lines = Some(Vec::new());
        self.said.clear();
    }

    pub(crate) fn is_told(&self) -> bool {
        self.lines.is_some()
    }

    pub(crate) fn text(&self) -> String {
        self.lines.as_deref().unwrap_or_default().join("\n")
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line());
        }
    }

    pub(crate) fn person(&mut self, op: Op, commit: Option<usize>, git: &Git) {
        self.tell(|| match commit {
            Some(at) => format!("people     c{at}: {}", git.commits[at].subject),
            None => format!("people     {op}"),
        });
    }

    pub(crate) fn planned(&mut self, plan: &Plan) {
        if !self.is_told() {
            return;
        }
        let mut said: Vec<String> = plan.waiting.iter().map(waits).collect();
        said.extend(plan.blocked.iter().map(|blocked| format!("blocked    {}: {blocked}", blocked.as_str())));
        said.extend(plan.alerts.iter().map(|alert| format!("alert      {alert}")));
        for line in &said {
            if !self.said.contains(line) {
                self.tell(|| line.clone());
            }
        }
        self.said = said;
    }

    pub(crate) fn acted(&mut self, action: &Action, git: &Git) {
        let subject = || match action {
            Action::Commit(commit) => {
                let head = git.head();
                format!("c{head}: {}\n           {}", words(commit), git.commits[head].subject)
            }
            Action::ApplyOverlay(_)
            | Action::NoteInventory(_)
            | Action::PruneOverlay { .. }
            | Action::Adopt(_)
            | Action::Deploy(_)
            | Action::Scale(_)
            | Action::Stamp(_)
            | Action::MarkInUse { .. }
            | Action::Recreate { .. }
            | Action::Resize { .. }
            | Action::Schedules(_)
            | Action::Prune { .. }
            | Action::PointPreviews { .. }
            | Action::Check { .. }
            | Action::Switch(_)
            | Action::EndWatch { .. } => short(action),
        };
        self.tell(|| format!("turquoise  {}", subject()));
    }

    pub(crate) fn failed(&mut self, action: &Action, why: &str) {
        self.tell(|| format!("refused    {}: {why}", short(action)));
    }

    pub(crate) fn cut(&mut self, action: &Action) {
        self.tell(|| format!("killed     in the middle of: {}", short(action)));
    }
}

fn waits(waiting: &Waiting) -> String {
    match waiting {
        Waiting::Readiness { colour, ready, wanted, trouble, .. } => {
            let trouble = trouble.as_ref().map(|words| format!(", {words}")).unwrap_or_default();
            format!("waits      for {colour} to be ready: {ready} of {wanted}{trouble}")
        }
        Waiting::Size { colour, ready, wanted, .. } => format!("waits      for {colour} to grow: {ready} of {wanted}"),
        Waiting::Endpoints { service, colour } => format!("waits      for the endpoints of {service} to be {colour}'s"),
        Waiting::Checks { checks } => format!("waits      for checks: {}", checks.join(", ")),
        Waiting::Approval { colour, revision } => format!("waits      for approval of {revision} in {colour}"),
        Waiting::Watch { .. } => "waits      for the watch to end".to_owned(),
        Waiting::Retire { colour, .. } => format!("waits      before {colour} retires"),
    }
}

fn sizes(sizes: &[Size]) -> String {
    let words: Vec<String> = sizes.iter().map(|size| format!("{} to {}", size.workload.name, size.replicas)).collect();
    words.join(", ")
}

fn words(commit: &Commit) -> String {
    let facts: Vec<String> = commit.facts.iter().map(|fact| format!("{} {}", fact.revision, fact.verdict)).collect();
    let selector = commit.selector.map(|colour| format!("selector {colour}"));
    let pins =
        commit.pins.iter().filter_map(|(colour, pin)| Some(format!("{colour} pinned at {}", pin.as_ref()?.revision)));
    let parts: Vec<String> = facts.into_iter().chain(selector).chain(pins).collect();
    parts.join(", ")
}

/// An action in a few words.
pub(crate) fn short(action: &Action) -> String {
    match action {
        Action::ApplyOverlay(apply) => {
            let names: Vec<String> = apply.objects.iter().map(ToString::to_string).collect();
            format!("applies {} (live {}, preview {})", names.join(", "), apply.live, apply.preview)
        }
        Action::NoteInventory(inventory) => format!("notes {} objects of the live overlay", inventory.objects.len()),
        Action::PruneOverlay { objects, .. } => {
            let names: Vec<String> = objects.iter().map(ToString::to_string).collect();
            format!("deletes {}, which the live overlay dropped", names.join(", "))
        }
        Action::Adopt(_) => "takes over what others applied".to_owned(),
        Action::Deploy(deploy) => format!("deploys {} into {}", deploy.render, deploy.colour),
        Action::Scale(scale) => format!("scales {}", sizes(&scale.sizes)),
        Action::Stamp(stamp) if stamp.endpoints_since.is_some() => {
            format!("waits for endpoints of {} from now on", stamp.colour)
        }
        Action::Stamp(stamp) => format!("starts the deadline of {} anew", stamp.colour),
        Action::MarkInUse { colour, .. } => format!("marks {colour} as about to take traffic"),
        Action::Recreate { objects, .. } => {
            let names: Vec<String> = objects.iter().map(ToString::to_string).collect();
            format!("creates again {}", names.join(", "))
        }
        Action::Schedules(schedules) => {
            let names = |all: &[(ObjectKey, String)]| {
                let names: Vec<&str> = all.iter().map(|(key, _)| key.name.as_str()).collect();
                if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
            };
            format!("suspends {}, then lets {} run", names(&schedules.suspend), names(&schedules.resume))
        }
        Action::Resize { sizes: new, bounds, .. } => {
            let bounds: Vec<String> =
                bounds.iter().map(|new| format!("{} to {}", new.autoscaler.name, new.bounds)).collect();
            let all: Vec<String> = [sizes(new)].into_iter().filter(|text| !text.is_empty()).chain(bounds).collect();
            format!("resizes {}", all.join(", "))
        }
        Action::Prune { objects, .. } => {
            let names: Vec<String> = objects.iter().map(ToString::to_string).collect();
            format!("deletes {}", names.join(", "))
        }
        Action::PointPreviews { to, .. } => format!("points the preview at {to}"),
        Action::Check { keys } => {
            let names: Vec<String> = keys.iter().map(|key| format!("{} through {}", key.check, key.target)).collect();
            format!("checks {}", names.join(", "))
        }
        Action::Commit(commit) => format!("commits: {}", words(commit)),
        Action::Switch(switch) if switch.record.owed.is_some() => format!("TAKES TRAFFIC BACK to {}", switch.to),
        Action::Switch(switch) => format!("SWITCHES traffic to {}", switch.to),
        Action::EndWatch { record, .. } => match record.watch {
            WatchState::Passed => "ends the watch: passed".to_owned(),
            WatchState::Failed => "ends the watch: failed".to_owned(),
            WatchState::Open => "opens the watch".to_owned(),
        },
    }
}
