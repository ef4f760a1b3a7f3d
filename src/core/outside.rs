//! How the server is reached from outside, in the operator's words.

use std::collections::BTreeSet;

use super::grants::SecretSource;

/// What the operator says about the server's outside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outside {
    /// Where people reach the status page: links in messages, and a name that requests may carry.
    pub public_url: Option<String>,
    /// More names that requests may carry, without a port.
    pub names: BTreeSet<String>,
    /// Who may use the push hook.
    pub hook: HookAccess,
}

/// Who may use the push hook.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HookAccess {
    /// Whoever reaches it: on loopback only.
    #[default]
    Open,
    /// Whoever knows the secret.
    Signed(SecretSource),
    /// Nobody: there is no hook.
    Off,
}
