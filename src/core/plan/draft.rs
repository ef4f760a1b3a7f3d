//! A plan while it is made.

use jiff::Timestamp;

use crate::core::action::Action;
use crate::core::report::{Alert, Blocked, Phase, Plan, Waiting};

/// Collects what a plan says; [`Draft::done`] ends it in a phase.
#[derive(Debug, Default)]
pub(super) struct Draft {
    actions: Vec<Action>,
    waiting: Vec<Waiting>,
    blocked: Option<Blocked>,
    alerts: Vec<Alert>,
    wake: Option<Timestamp>,
}

impl Draft {
    /// Adds an action. What writes the live overlay's inventory moves versions that later actions were planned under: it is
    /// the last one, and the next look plans the rest.
    pub(super) fn act(&mut self, action: Action) {
        let ended = matches!(self.actions.last(), Some(Action::NoteInventory(_) | Action::PruneOverlay { .. }));
        if !ended {
            self.actions.push(action);
        }
    }

    pub(super) fn act_all(&mut self, actions: impl IntoIterator<Item = Action>) {
        actions.into_iter().for_each(|action| self.act(action));
    }

    pub(super) fn wait(&mut self, waiting: Waiting) {
        if !self.waiting.contains(&waiting) {
            self.waiting.push(waiting);
        }
    }

    pub(super) fn alert(&mut self, alert: Alert) {
        self.alerts.push(alert);
    }

    pub(super) fn block(&mut self, blocked: Blocked) {
        self.blocked = Some(blocked);
    }

    /// Wakes at that moment, or at an earlier one that is known already.
    pub(super) fn wake(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |known| known.min(at)));
    }

    pub(super) fn done(self, phase: Phase) -> Plan {
        let watches = self.waiting.iter().any(|waiting| matches!(waiting, Waiting::Watch { .. }));
        let phase = if self.blocked.is_some() {
            Phase::Blocked
        } else if phase == Phase::Settled && watches {
            Phase::Watching
        } else {
            phase
        };
        Plan {
            phase,
            actions: self.actions,
            waiting: self.waiting,
            blocked: self.blocked,
            alerts: self.alerts,
            wake: self.wake,
        }
    }
}
