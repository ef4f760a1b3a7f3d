//! The flags of `run` about replicas, of which one acts.

use clap::Args;

use crate::config::Election;
use crate::core::policy::is_dns_label;

/// A name that people still read in a list; pods' names are shorter.
const IDENTITY_CHARS_MAX: usize = 200;

#[derive(Debug, Args)]
#[command(next_help_heading = "Several replicas")]
pub(super) struct LeadArgs {
    /// Act only while this replica holds a Lease in the cluster; else stand by: look, show, and write nothing
    #[arg(long, env = "TURQUOISE_LEADER_ELECT", conflicts_with = "dry_run")]
    leader_elect: bool,
    /// The Lease's namespace [default: the pod's own, or the kubeconfig's]
    #[arg(long, env = "TURQUOISE_LEASE_NAMESPACE", value_name = "NAMESPACE", value_parser = label)]
    lease_namespace: Option<String>,
    /// The Lease's name: replicas that watch the same share one
    #[arg(long, env = "TURQUOISE_LEASE_NAME", value_name = "NAME", default_value = "turquoise", value_parser = label)]
    lease_name: String,
    /// What this replica is called. Two that run at once must not share a name: whoever starts under it takes the lease over from
    /// its former process, without waiting [default: the pod's name, or one made of the machine's and the process's]
    #[arg(long, env = "TURQUOISE_LEASE_IDENTITY", value_name = "NAME", value_parser = identity)]
    lease_identity: Option<String>,
}

impl LeadArgs {
    pub(super) fn election(self) -> Option<Election> {
        self.leader_elect.then_some(Election {
            namespace: self.lease_namespace,
            name: self.lease_name,
            identity: self.lease_identity,
        })
    }
}

fn label(text: &str) -> Result<String, String> {
    let fine = is_dns_label(text);
    if fine { Ok(text.to_owned()) } else { Err("write lower-case letters, digits and `-`, at most 63".to_owned()) }
}

fn identity(text: &str) -> Result<String, String> {
    let fine = !text.is_empty() && text.len() <= IDENTITY_CHARS_MAX && text.chars().all(|c| c.is_ascii_graphic());
    if fine { Ok(text.to_owned()) } else { Err(format!("write at most {IDENTITY_CHARS_MAX} printable characters")) }
}
