//! What git says, on real repositories.

use crate::core::desired::Desired;
use crate::core::verdict::Verdict;

mod apps;
mod commits;
mod history;
mod looks;
mod verdicts;

fn entries(of: &Desired) -> Vec<(&str, Verdict)> {
    of.verdicts.entries().iter().map(|entry| (entry.revision.as_str(), entry.verdict)).collect()
}
