//! Why a colour may not take traffic: what a rejection says.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::colour::Colour;
use super::observed::Trouble;
use super::text::OneLine;

/// Why a colour failed. Its words go into the lock, the commit and the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Failure {
    /// Nothing that turquoise deployed is there.
    NothingDeployed {
        /// The colour.
        colour: Colour,
    },
    /// Every workload asks for zero pods.
    NoReplicas {
        /// The colour.
        colour: Colour,
    },
    /// A pod or workload is in trouble that waiting cannot mend.
    Hopeless {
        /// `pod shop-5d9c` or `Deployment shop-green`.
        who: String,
        /// What is wrong with it.
        trouble: Trouble,
    },
    /// Not ready by the deadline.
    Late {
        /// The deadline's length.
        after: Duration,
        /// Ready pods.
        ready: u32,
        /// Wanted pods.
        wanted: u32,
        /// Whether so many are wanted because the serving colour has them.
        as_serving: bool,
        /// The first pod that is in trouble, and its words.
        trouble: Option<OneLine>,
    },
    /// The pods are ready, and the EndpointSlices of a preview never held exactly them.
    Endpoints {
        /// The Service.
        service: String,
        /// The colour.
        colour: Colour,
        /// Pods in its EndpointSlices.
        held: usize,
        /// Ready pods that it selects.
        wanted: usize,
        /// How long that was waited for.
        after: Duration,
    },
    /// A check failed.
    Check {
        /// Its name.
        check: String,
        /// What was asked, and what it said.
        words: OneLine,
    },
}

impl Failure {
    /// The failure in one line.
    #[must_use]
    pub fn line(&self) -> OneLine {
        OneLine::new(&self.to_string())
    }
}

/// Who is in trouble, why, and its last words.
#[must_use]
pub fn trouble_words(who: &str, trouble: &Trouble) -> OneLine {
    OneLine::new(&format!("{who}: {}: {}", trouble.reason, trouble.words))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingDeployed { colour } => write!(f, "{colour} holds nothing that turquoise deployed"),
            Self::NoReplicas { colour } => write!(f, "{colour} asks for no replicas at all"),
            Self::Hopeless { who, trouble } => write!(f, "{}", trouble_words(who, trouble)),
            Self::Late { after, ready, wanted, as_serving, trouble } => {
                write!(f, "not ready after {} s: {ready} of {wanted} pods ready", after.as_secs_f64())?;
                if *as_serving {
                    f.write_str(", as many as the serving colour has")?;
                }
                trouble.as_ref().map_or(Ok(()), |words| write!(f, "; {words}"))
            }
            Self::Endpoints { service, colour, held, wanted, after } => write!(
                f,
                "endpoints: the EndpointSlices of `{service}` did not hold exactly the ready pods of {colour} after {} s: \
                 they hold {held}, it selects {wanted}",
                after.as_secs_f64()
            ),
            Self::Check { check, words } => write!(f, "check `{check}`: {words}"),
        }
    }
}
