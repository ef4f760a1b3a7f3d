//! What the operator says of reaching a repository's server.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// How a repo on a server is reached. Secrets are named by file and read at each use, so that they may be rotated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct GitAccess {
    /// The user's name, for https with a token or a password, and for ssh.
    pub username: Option<String>,
    /// A file with a token, for https.
    pub token_file: Option<PathBuf>,
    /// A file with the user's password, for https.
    pub password_file: Option<PathBuf>,
    /// A file with a private key (ed25519, ecdsa, rsa), for ssh.
    pub ssh_key_file: Option<PathBuf>,
    /// A file with that key's passphrase, if it has one.
    pub ssh_passphrase_file: Option<PathBuf>,
    /// The keys of ssh hosts that are trusted, in OpenSSH's format; `None`: `~/.ssh/known_hosts`.
    pub known_hosts_file: Option<PathBuf>,
    /// Certificates in PEM that are trusted for https instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The folder in which copies of repos are kept; `None`: `$XDG_CACHE_HOME/turquoise`, `~/.cache/turquoise`, or a
    /// folder of the process's own.
    pub cache: Option<PathBuf>,
    /// How long a server may be silent, or all but silent; `None`: a minute.
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// The binary that speaks to servers; `None`: this one. For whoever embeds the library.
    #[serde(skip)]
    pub program: Option<PathBuf>,
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| super::policy::parse_duration(&text).map_err(serde::de::Error::custom)).transpose()
}
