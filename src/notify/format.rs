//! The forms of a message. Text from outside is one bounded line already; each form escapes it for its readers.

use serde_json::{Value, json};

use crate::core::event::{Event, EventKind, Links};
use crate::core::ids::CommitId;
use crate::core::text::{OneLine, join};

/// The event as a CloudEvents 1.0 envelope in JSON, structured mode. `source` is a URI reference.
#[must_use]
pub fn cloud_event(event: &Event, source: &str, links: &Links) -> Value {
    let mut data = serde_json::to_value(event).unwrap_or_default();
    data["summary"] = summary(event).into();
    data["links"] = json!({
        "page": links.page,
        "revision": event.revision.as_ref().and_then(|revision| links.commit(revision)),
        "commit": event.commit.as_ref().and_then(|commit| links.commit(commit)),
    });
    json!({
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": format!("dev.turquoise.release.{}", event.kind.as_str()),
        "subject": event.app,
        "time": event.at,
        "datacontenttype": "application/json",
        "data": data,
    })
}

/// The event for Slack's incoming webhooks. Nothing of it is parsed for names, channels or links by Slack.
#[must_use]
pub fn slack(event: &Event, links: &Links) -> Value {
    let mut lines =
        vec![format!("{} *{}*: {}", emoji(event.kind), escaped(event.app.as_str()), escaped(&title(event)))];
    if let Some(change) = change(event) {
        lines.push(escaped(&change));
    }
    if let Some(reason) = &event.reason {
        lines.push(format!("> {}", escaped(reason.as_str())));
    }
    if let Some(go_back) = &event.go_back {
        lines.push(format!("To go back: `{}`", escaped(go_back)));
    }
    if let Some(cure) = &event.cure {
        lines.push(escaped(cure.as_str()));
    }
    let mut foot: Vec<String> = Vec::new();
    let commit = |label: &str, commit: &CommitId| {
        let short = escaped(commit.short());
        links.commit(commit).map_or_else(|| format!("{label} {short}"), |url| format!("{label} {}", link(&url, &short)))
    };
    foot.extend(event.revision.as_ref().map(|revision| commit("revision", revision)));
    foot.extend(event.commit.as_ref().filter(|id| event.revision.as_ref() != Some(id)).map(|id| commit("commit", id)));
    foot.extend(links.page.as_ref().map(|page| link(page, "status")));
    let text = |text: &str| json!({"type": "mrkdwn", "text": text, "verbatim": true});
    let mut blocks = vec![json!({"type": "section", "text": text(&lines.join("\n"))})];
    if !foot.is_empty() {
        blocks.push(json!({"type": "context", "elements": [text(&foot.join(" · "))]}));
    }
    json!({
        "text": escaped(&summary(event)),
        "blocks": blocks,
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// The event in one line of plain text: for logs, Kubernetes Events and the fallback of chats.
#[must_use]
pub fn summary(event: &Event) -> String {
    let mut text = format!("{}: {}", event.app, title(event));
    for part in [change(event), event.reason.as_ref().map(ToString::to_string)].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(&part);
    }
    text
}

fn title(event: &Event) -> String {
    let colour = event.colour.map_or("a colour", |colour| colour.as_str());
    let revision = event.revision.as_ref().map_or("a revision", CommitId::short);
    match event.kind {
        EventKind::Started => format!("a release of {revision} into {colour} has started"),
        EventKind::Verified => format!("{revision} is verified in {colour} and waits for approval"),
        EventKind::Live => format!("{colour} is live with {revision}"),
        EventKind::Returned => format!("{colour} is live again with {revision}"),
        EventKind::Rejected => format!("{revision} is rejected; traffic never moved"),
        EventKind::FlippedBack => format!("{revision} failed under traffic and is rejected; traffic goes back"),
        EventKind::Withdrawn => format!("{revision} is withdrawn"),
        EventKind::Blocked => "blocked, somebody must mend something".to_owned(),
        EventKind::Alert => "somebody should look".to_owned(),
        EventKind::Drift => "the cluster was not as it was released".to_owned(),
        EventKind::GitUnreachable => "git is out of reach; what runs stays as it is".to_owned(),
        EventKind::GitBack => "git answers again".to_owned(),
        EventKind::ClusterUnreachable => "the cluster is out of reach".to_owned(),
        EventKind::ClusterBack => "the cluster answers again".to_owned(),
    }
}

/// Who changed what: `shop:1.0.0 -> shop:1.1.0, "Release 1.1.0" by A developer`.
fn change(event: &Event) -> Option<String> {
    let (old, new) = (join(&event.old_images, ", "), join(&event.images, ", "));
    let images = match (old.is_empty(), new.is_empty()) {
        (true, true) => None,
        (true, false) => Some(new),
        (false, true) => Some(format!("live: {old}")),
        (false, false) if old == new => Some(format!("{new}, another configuration")),
        (false, false) => Some(format!("{old} → {new}")),
    };
    let who = event.subject.as_ref().map(|subject| {
        let author = event.author.as_ref().map_or("somebody", OneLine::as_str);
        format!("“{subject}” by {author}")
    });
    let parts: Vec<String> = [images, who].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The three characters that mean something to Slack: without them there is no mention, no channel and no link.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('`', "'")
}

/// A link whose URL the operator gave.
fn link(url: &str, label: &str) -> String {
    format!("<{}|{label}>", escaped(url).replace('|', "%7C"))
}

const fn emoji(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Started => ":hourglass_flowing_sand:",
        EventKind::Verified => ":raised_hand:",
        EventKind::Live | EventKind::GitBack | EventKind::ClusterBack => ":white_check_mark:",
        EventKind::Returned | EventKind::Withdrawn => ":leftwards_arrow_with_hook:",
        EventKind::Rejected | EventKind::FlippedBack => ":x:",
        EventKind::Blocked | EventKind::Alert | EventKind::Drift => ":warning:",
        EventKind::GitUnreachable | EventKind::ClusterUnreachable => ":electric_plug:",
    }
}
