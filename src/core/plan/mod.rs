//! The decision: the rules of docs/rules.md, as one pure function.
//!
//! The function reads like the rules: what git declares and what the cluster serves choose one of six situations, and
//! each of them is straight-line code that ends at the first thing to do or to wait for.
//!
//! | cluster serves | file | rules |
//! | --- | --- | --- |
//! | whatever, and others made it | [`adopt`] | 12 |
//! | nothing | [`first`] | 12 |
//! | a colour to which traffic went back before git could be told | [`owed`] | 5, and "git leads" |
//! | something without a colour, from before turquoise | [`adopt`], then [`release`], [`declared`] | 12 |
//! | something unclear | [`unclear`] | 6 |
//! | a colour, and git has lost what it knew of it | [`restore`] | 13 |
//! | the colour that git does not name | [`declared`] | 5 |
//! | the colour that git names | [`agreed`], then [`watch`], [`release`], [`idle`] | 1-4, 7-11 |

mod adopt;
mod agreed;
mod commit;
mod declared;
mod draft;
mod dropped;
mod first;
mod idle;
mod jobs;
mod overlay;
mod owed;
mod release;
mod restore;
mod standing;
mod unclear;
mod verify;
mod view;
mod watch;

use super::desired::{Declared, Desired};
use super::observed::{Observed, Serving};
use super::policy::Policy;
use super::report::{Blocked, Plan};
use super::text::OneLine;
use view::View;

/// What decides: [`plan`], or one of those that the tests break on purpose, to see whether anybody notices.
pub type Planner = fn(&Desired, &Observed, &Policy) -> Plan;

/// Decides what to do next for one app.
///
/// # Expected flow
/// Observe, plan, do the actions in order until one fails, observe again; until the plan is empty. A plan that is
/// empty stays so until git, the cluster or the time in [`Plan::wake`] changes.
///
/// # Guarantees
/// - Total and deterministic: the same facts give the same plan; no clock, no randomness, no IO.
/// - Every action carries what must still be so when it is done (I2), so a stale look can only fail.
/// - A colour that serves is never deployed to, scaled or deleted, apart from rule 7's missing objects and sizes.
///
/// # Assumptions
/// - `observed.at` was taken before the first read of the cluster, and the cluster was read before git.
/// - `desired.renders` holds HEAD; other commits may be missing and then equal nothing.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed, policy: &Policy) -> Plan {
    let declared = match &desired.declared {
        Declared::Colour(colour) => *colour,
        Declared::Unknown(found) => {
            return Plan::blocked(Blocked::SelectorUnknown { found: OneLine::new(found) });
        }
    };
    let view = View { desired, observed, policy };
    if let Some(plan) = adopt::plan(&view, declared) {
        return plan;
    }
    if let Some(plan) = owed::plan(&view, declared) {
        return plan;
    }
    match observed.serving() {
        Serving::Nothing => first::plan(&view, declared),
        Serving::Unclear => match adopt::stand_in(&view) {
            Some(serving) => adopt::beside(&view, declared, serving),
            None => unclear::plan(&view, declared),
        },
        Serving::Colour(serving) if restore::is_due(&view, declared, serving) => {
            restore::plan(&view, declared, serving)
        }
        Serving::Colour(serving) if serving != declared => declared::plan(&view, declared, serving),
        Serving::Colour(serving) => agreed::plan(&view, serving),
    }
}
