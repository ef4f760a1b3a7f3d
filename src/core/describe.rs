//! Actions in words, for a dry run: all that would be done, and nothing of how.

use super::action::{Action, Commit, RejectionEdit, Size, Topic};
use super::colour::Colour;
use super::ids::{AppName, ObjectKey};
use super::message::commit_message;
use super::policy::Messages;

/// What an action would do, in one line or several.
#[must_use]
pub fn describe(action: &Action, app: &AppName, branch: &str, shape: &Messages) -> String {
    match action {
        Action::ApplyOverlay(apply) => format!(
            "apply {} of the live overlay at {}; live Services select {}, previews {}",
            keys(&apply.objects),
            apply.render.short(),
            apply.live,
            apply.preview
        ),
        Action::NoteInventory(inventory) => {
            format!("note what the live overlay has: {}", keys(inventory.objects.iter()))
        }
        Action::PruneOverlay { objects, .. } => format!("delete of the live overlay: {}", keys(objects.iter())),
        Action::Adopt(adopt) => {
            format!("take over as they stand: {}", keys(adopt.objects.iter().map(|object| &object.key)))
        }
        Action::Deploy(deploy) => {
            let sizes = sizes(&deploy.sizes);
            let sizes = if sizes.is_empty() { sizes } else { format!(", with {sizes}") };
            format!("deploy {} into {}: {}{sizes}", deploy.render.short(), deploy.colour, keys(deploy.inventory.iter()))
        }
        Action::Scale(scale) => format!("scale {}: {}", scale.colour, sizes(&scale.sizes)),
        Action::Stamp(stamp) => format!("start {}'s deadline", stamp.colour),
        Action::MarkInUse { colour, .. } => format!("mark {colour}'s workloads as about to take traffic"),
        Action::Recreate { colour, render, objects, .. } => {
            format!("create again what is missing of {colour}, from {}: {}", render.short(), keys(objects.iter()))
        }
        Action::Resize { colour, sizes: wanted, bounds, .. } => {
            let bounds = bounds.iter().map(|new| format!("bounds of {}", new.autoscaler));
            let parts: Vec<String> =
                Some(sizes(wanted)).filter(|text| !text.is_empty()).into_iter().chain(bounds).collect();
            format!("resize {colour} in place: {}", parts.join(", "))
        }
        Action::Prune { colour, objects, .. } => format!("delete of {colour}: {}", keys(objects.iter())),
        Action::PointPreviews { services, to } => {
            let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
            format!("point {} at {to}", names.join(", "))
        }
        Action::Schedules(schedules) => {
            let (suspend, resume) = (&schedules.suspend, &schedules.resume);
            format!(
                "suspend schedules: {}; let schedules run: {}",
                keys_or_none(suspend.iter().map(|(key, _)| key)),
                keys_or_none(resume.iter().map(|(key, _)| key))
            )
        }
        Action::Check { keys } => {
            let checks: Vec<String> = keys.iter().map(|key| format!("{} through {}", key.check, key.target)).collect();
            format!("run checks: {}", checks.join(", "))
        }
        Action::Commit(commit) => committed(commit, app, branch, shape),
        Action::Switch(switch) => {
            let names: Vec<&str> = switch.services.iter().map(|service| service.name.as_str()).collect();
            format!("switch {} to {}", names.join(", "), switch.to)
        }
        Action::EndWatch { record, .. } => format!("end the watch of {}", record.revision.short()),
    }
}

fn keys<'a>(keys: impl IntoIterator<Item = &'a ObjectKey>) -> String {
    let names: Vec<String> = keys.into_iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn keys_or_none<'a>(these: impl IntoIterator<Item = &'a ObjectKey>) -> String {
    Some(keys(these)).filter(|names| !names.is_empty()).unwrap_or_else(|| "none".to_owned())
}

fn sizes(sizes: &[Size]) -> String {
    let sizes: Vec<String> = sizes.iter().map(|size| format!("{} to {}", size.workload, size.replicas)).collect();
    sizes.join(", ")
}

/// The commit: what changes in which file, and its message word by word.
fn committed(commit: &Commit, app: &AppName, branch: &str, shape: &Messages) -> String {
    let mut text = format!("commit to {branch} on top of {}", commit.parent.short());
    if let Some(colour) = commit.selector {
        text.push_str(&format!("\n  the live Services' selector: {colour}"));
    }
    for colour in Colour::BOTH {
        if let Some(pin) = &commit.pins[colour] {
            text.push_str(&format!(
                "\n  turquoise.lock: {colour} holds {} ({})",
                pin.revision.short(),
                pin.images.join(", ")
            ));
        }
    }
    match &commit.rejection {
        RejectionEdit::Keep => {}
        RejectionEdit::Clear => text.push_str("\n  turquoise.lock: no revision stands rejected"),
        RejectionEdit::Set(rejection) => {
            text.push_str(&format!(
                "\n  turquoise.lock: {} is rejected: {}",
                rejection.revision.short(),
                rejection.reason
            ));
        }
    }
    if let Topic::RestoreLock { colour } = &commit.topic {
        text.push_str(&format!("\n  turquoise.lock: what {colour} holds is written again"));
    }
    for line in commit_message(commit, app, branch, shape).trim_end().lines() {
        text.push_str("\n  | ");
        text.push_str(line);
    }
    text
}
