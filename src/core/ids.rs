//! Names and identities that pass between git, the cluster and the planner.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Text newtypes: the compiler keeps a commit from being passed where a digest belongs.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it stands.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A git commit's id: 40 hexadecimal digits.
    CommitId
}

text_id! {
    /// A digest of rendered content (`D(rev, c)` of docs/rules.md): the first 16 hexadecimal digits of a SHA-256.
    Digest
}

text_id! {
    /// An app's name: `metadata.name` of its turquoise.yaml, else its folder's.
    AppName
}

text_id! {
    /// A watched repository's name: what the operator calls it.
    RepoName
}

impl CommitId {
    /// The first seven digits, as people quote commits.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }
}

/// Which object: everything that tells it from the others of its app.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// `v1`, `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// The namespace it names itself; `None` where the app's is meant.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectKey {
    /// The identity of a rendered object; `None` when it lacks one of its parts.
    #[must_use]
    pub fn of(object: &serde_json::Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer)?.as_str().map(str::to_owned);
        Some(Self {
            api_version: text("/apiVersion")?,
            kind: text("/kind")?,
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name")?,
        })
    }

    /// Whether this is a HorizontalPodAutoscaler.
    #[must_use]
    pub fn is_autoscaler(&self) -> bool {
        self.api_version.starts_with("autoscaling/") && self.kind == "HorizontalPodAutoscaler"
    }

    /// Whether this is a claim on a volume. Its data dies with it and no revert brings it back.
    #[must_use]
    pub fn is_claim(&self) -> bool {
        self.api_version == "v1" && self.kind == "PersistentVolumeClaim"
    }

    /// Whether this is a core Secret: never read, never printed (I6).
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.api_version == "v1" && self.kind == "Secret"
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}
