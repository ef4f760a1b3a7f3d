//! How a repo on a server is reached: who we are there, whom we trust there, and where its copy is kept. One struct a
//! repo; the command line and a configuration file fill the same one.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::address::{Address, Scheme};
use super::error::SourceError;
use crate::core::access::GitAccess;

/// Tokens, passwords and keys are shorter: an RSA key of 16,384 bits is 13 KB of text.
const SECRET_BYTES_MAX: u64 = 16 * 1024;

/// The user that goes with a token where none is named. GitHub takes any name, GitLab and Gitea too; Bitbucket wants
/// `x-token-auth`.
const TOKEN_USER: &str = "x-access-token";

/// The user that forges have for ssh.
const SSH_USER: &str = "git";

/// A token, password or key: it goes to the child process over a pipe, and is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(String);

impl Secret {
    /// The text, for the one place that needs it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Who we are to a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Credentials {
    /// Nobody: a repo that everybody may read, or an ssh server that asks for nothing.
    None,
    /// HTTP's basic authentication.
    Basic { username: String, secret: Secret },
    /// A key for ssh.
    Key { username: String, key: Secret, passphrase: Option<Secret> },
}

impl GitAccess {
    /// Whether these settings fit an address.
    ///
    /// # Errors
    /// [`SourceError::Access`]: settings that exclude each other, are for another scheme, or would send a secret in the
    /// clear.
    pub(super) fn check(&self, address: &Address) -> Result<(), SourceError> {
        let refuse = |why: &str| Err(SourceError::Access { why: why.to_owned() });
        let has_secret = self.token_file.is_some() || self.password_file.is_some();
        match address.scheme {
            _ if self.token_file.is_some() && self.password_file.is_some() => {
                refuse("`--git-token-file` and `--git-password-file` exclude each other: name one")
            }
            Scheme::Ssh if has_secret => refuse("a token or a password is for https; ssh takes `--git-ssh-key`"),
            Scheme::Ssh if self.ssh_key_file.is_none() => {
                refuse("a repository over ssh needs a private key: name its file with `--git-ssh-key`")
            }
            Scheme::Https | Scheme::Http if self.ssh_key_file.is_some() => {
                refuse("a key is for ssh; https takes `--git-token-file` or `--git-password-file`")
            }
            Scheme::Https | Scheme::Http
                if self.password_file.is_some() && self.username.is_none() && address.user.is_none() =>
            {
                refuse("a password needs a user: name it with `--git-username`")
            }
            Scheme::Http if has_secret && !address.is_loopback() => {
                refuse("a token or a password would travel in the clear over http: use https")
            }
            Scheme::Ssh | Scheme::Https | Scheme::Http => Ok(()),
        }
    }

    /// Reads the secrets, for one request to the child.
    ///
    /// # Errors
    /// [`SourceError::Access`]: a file cannot be read. Its content is not in the words.
    pub(super) fn read(&self, address: &Address) -> Result<Credentials, SourceError> {
        let named = self.username.clone().or_else(|| address.user.clone());
        if let Some(key) = &self.ssh_key_file {
            return Ok(Credentials::Key {
                username: address.user.clone().or(named).unwrap_or_else(|| SSH_USER.to_owned()),
                key: read_key(key)?,
                passphrase: self.ssh_passphrase_file.as_deref().map(read_line).transpose()?,
            });
        }
        let basic = |file: &Path, default: &str| {
            let username = named.clone().unwrap_or_else(|| default.to_owned());
            Ok(Credentials::Basic { username, secret: read_line(file)? })
        };
        match (&self.token_file, &self.password_file) {
            (Some(file), _) => basic(file, TOKEN_USER),
            (None, Some(file)) => basic(file, SSH_USER),
            (None, None) => Ok(Credentials::None),
        }
    }
}

/// One line of a file, without the line's end.
fn read_line(path: &Path) -> Result<Secret, SourceError> {
    let text = read_file(path)?;
    let line = text.trim_end_matches(['\n', '\r']);
    if line.is_empty() || line.contains(char::is_control) {
        let why = format!("`{}` should hold one line, the secret, and nothing else", path.display());
        return Err(SourceError::Access { why });
    }
    Ok(Secret(line.to_owned()))
}

fn read_key(path: &Path) -> Result<Secret, SourceError> {
    let text = read_file(path)?;
    if !text.contains("PRIVATE KEY-----") || text.contains('\0') {
        let why = format!("`{}` is no private key in OpenSSH's or PEM's format", path.display());
        return Err(SourceError::Access { why });
    }
    Ok(Secret(text))
}

fn read_file(path: &Path) -> Result<String, SourceError> {
    let failed = |words: &str| SourceError::Access { why: format!("`{}` cannot be read: {words}", path.display()) };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| failed(&error.to_string()))?;
    let read = file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| failed(&error.to_string()))?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(failed("it is too large for a secret"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::address::{self, Place};
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    fn server(location: &str) -> Address {
        match address::parse(location) {
            Ok(Place::Server(address)) => address,
            other => panic!("{other:?}"),
        }
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, text).expect("written");
        (folder, path)
    }

    #[test]
    fn a_secret_is_never_shown() {
        let (_folder, path) = file("hunter2\n");
        let access = GitAccess { token_file: Some(path), ..GitAccess::default() };
        let credentials = access.read(&server("https://example.org/shop.git")).expect("a token");
        assert!(!format!("{credentials:?} {access:?}").contains("hunter2"));
        let Credentials::Basic { username, secret } = credentials else { panic!("a token is for basic") };
        assert_eq!((username.as_str(), secret.expose()), (TOKEN_USER, "hunter2"));
    }

    #[test]
    fn a_file_that_is_no_secret_is_refused_without_its_content() {
        for text in ["", "\n", "alpha\nbeta\n", "a\u{7}b", &"long".repeat(10_000)] {
            let (_folder, path) = file(text);
            let error = read_line(&path).expect_err("no secret").to_string();
            assert!(error.contains("secret") && !error.contains("alpha") && !error.contains("long"), "{error}");
        }
        let (_folder, path) = file("hunter2");
        assert!(!read_key(&path).expect_err("no key").to_string().contains("hunter2"));
    }

    #[test]
    fn settings_must_fit_the_address() {
        let some = Some(PathBuf::from("file"));
        let token = GitAccess { token_file: some.clone(), ..GitAccess::default() };
        let password = GitAccess { password_file: some.clone(), ..GitAccess::default() };
        let key = GitAccess { ssh_key_file: some.clone(), ..GitAccess::default() };
        let both = GitAccess { password_file: some, ..token.clone() };
        for (access, location, expect) in [
            (&token, "https://example.org/a", None),
            (&key, "git@example.org:a", None),
            (&GitAccess::default(), "https://example.org/a", None),
            (&token, "http://127.0.0.1:1/a", None),
            (&token, "http://example.org/a", Some("in the clear")),
            (&token, "git@example.org:a", Some("--git-ssh-key")),
            (&GitAccess::default(), "git@example.org:a", Some("--git-ssh-key")),
            (&key, "https://example.org/a", Some("--git-token-file")),
            (&both, "https://example.org/a", Some("exclude")),
            (&password, "https://example.org/a", Some("--git-username")),
            (&password, "https://ann@example.org/a", None),
        ] {
            let checked = access.check(&server(location));
            match (expect, checked) {
                (None, Ok(())) => {}
                (Some(words), Err(error)) => assert!(error.to_string().contains(words), "{error}"),
                (expect, checked) => panic!("{location}: {checked:?}, expected {expect:?}"),
            }
        }
    }

    #[test]
    fn a_configuration_file_fills_the_same_struct() {
        let text = "{tokenFile: /run/token, username: bot, caFile: /run/ca.pem, timeout: 20s}";
        let access: GitAccess = serde_yaml::from_str(text).expect("an access");
        assert_eq!(access.timeout, Some(Duration::from_secs(20)));
        assert_eq!(access.token_file.as_deref(), Some(Path::new("/run/token")));
        assert!(serde_yaml::from_str::<GitAccess>("{token: hunter2}").is_err());
    }
}
