//! What is wrong, as people are told of it.

use crate::core::event::EventKind;
use crate::core::report::{Alert, Blocked};
use crate::core::text::OneLine;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Which reason: its word in the status.
    pub reason: String,
    /// The same in words.
    pub words: OneLine,
    /// What mends it.
    pub cure: Option<OneLine>,
}

impl Condition {
    pub(super) fn of_blocked(blocked: &Blocked) -> Self {
        Self {
            reason: blocked.as_str().to_owned(),
            words: OneLine::new(&blocked.to_string()),
            cure: Some(OneLine::new(blocked.cure())),
        }
    }

    /// The cluster does not hold what was released.
    #[must_use]
    pub fn drift(reason: &str, words: &str) -> Self {
        Self {
            reason: reason.to_owned(),
            words: OneLine::new(words),
            cure: Some(OneLine::new("find out who changes it; git's word counts")),
        }
    }

    pub(super) fn of_alert(alert: &Alert) -> (EventKind, Self) {
        // The reason's word is the one of the status.
        let reason = serde_json::to_value(alert).ok().and_then(|value| Some(value.get("reason")?.as_str()?.to_owned()));
        let (reason, words) = (reason.unwrap_or_default(), alert.to_string());
        match alert {
            Alert::Astray { .. } | Alert::Missing { .. } | Alert::Drift { .. } => {
                (EventKind::Drift, Self::drift(&reason, &words))
            }
            Alert::NothingToGoBackTo { .. }
            | Alert::PinUnreachable { .. }
            | Alert::PushDeclined { .. }
            | Alert::VerifiedNotReady { .. }
            | Alert::FlipBackUncommitted { .. }
            | Alert::NameTaken { .. }
            | Alert::Configuration { .. } => {
                let fix = matches!(alert, Alert::NothingToGoBackTo { .. } | Alert::VerifiedNotReady { .. });
                let cure = fix.then(|| OneLine::new("push a fix: it is released into the other colour"));
                (EventKind::Alert, Self { reason, words: OneLine::new(&words), cure })
            }
        }
    }
}
