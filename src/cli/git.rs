//! The flags that say how a repository on a server is reached, for every command that reads one.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration;
use crate::source::GitAccess;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Repositories on a server")]
pub(super) struct GitArgs {
    /// The user's name at the server [default: the URL's; a token needs none; ssh: `git`]
    #[arg(long = "git-username", env = "TURQUOISE_GIT_USERNAME", value_name = "NAME")]
    username: Option<String>,
    /// A file with a token, for https
    #[arg(long = "git-token-file", env = "TURQUOISE_GIT_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A file with the user's password, for https
    #[arg(long = "git-password-file", env = "TURQUOISE_GIT_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A file with a private key, for ssh
    #[arg(long = "git-ssh-key", env = "TURQUOISE_GIT_SSH_KEY", value_name = "FILE")]
    ssh_key: Option<PathBuf>,
    /// A file with that key's passphrase
    #[arg(long = "git-ssh-passphrase-file", env = "TURQUOISE_GIT_SSH_PASSPHRASE_FILE", value_name = "FILE")]
    ssh_passphrase_file: Option<PathBuf>,
    /// The ssh hosts that are trusted [default: ~/.ssh/known_hosts]
    #[arg(long = "git-known-hosts", env = "TURQUOISE_GIT_KNOWN_HOSTS", value_name = "FILE")]
    known_hosts: Option<PathBuf>,
    /// Certificates in PEM that are trusted for https, instead of the system's
    #[arg(long = "git-ca", env = "TURQUOISE_GIT_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How long a git server may be silent, or all but silent
    #[arg(long = "git-timeout", env = "TURQUOISE_GIT_TIMEOUT", default_value = "60s", value_parser = duration)]
    timeout: Duration,
    /// Where copies of repositories are kept [default: $XDG_CACHE_HOME/turquoise, ~/.cache/turquoise, or a folder in
    /// $TMPDIR that ends with the process]
    #[arg(long, env = "TURQUOISE_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl From<GitArgs> for GitAccess {
    fn from(args: GitArgs) -> Self {
        Self {
            username: args.username,
            token_file: args.token_file,
            password_file: args.password_file,
            ssh_key_file: args.ssh_key,
            ssh_passphrase_file: args.ssh_passphrase_file,
            known_hosts_file: args.known_hosts,
            ca_file: args.ca,
            cache: args.cache,
            timeout: Some(args.timeout),
            program: None,
        }
    }
}
