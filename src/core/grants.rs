//! What the operator grants to a repository: whoever may push to it decides what runs in the app's namespace, and
//! nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::policy::{Destination, Policy};
use super::report::Blocked;
use super::text::OneLine;

/// The operator's grants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Namespaces that turquoise.yaml may name beside the one that apps have by default.
    pub namespaces: BTreeSet<String>,
    /// Hosts that checks and webhooks may reach: `host` or `host:port`.
    pub hosts: BTreeSet<String>,
    /// Secrets that turquoise.yaml may name, and where they are read: a Secret of Kubernetes is mounted, never read through
    /// the API (I6).
    pub secrets: BTreeMap<String, SecretSource>,
}

/// Where the operator keeps a secret: `file:PATH` or `env:VARIABLE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, read anew each time.
    File(PathBuf),
    /// A variable of turquoise's own environment.
    Env(String),
}

impl FromStr for SecretSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("env", variable)) if !variable.is_empty() => Ok(Self::Env(variable.to_owned())),
            // What stands there may be the secret itself: it is not repeated.
            Some(_) | None => Err("write where the secret is: `file:PATH` or `env:VARIABLE`".to_owned()),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Env(variable) => write!(f, "the variable {variable}"),
        }
    }
}

impl Grants {
    /// Why a policy asks for more than it may; `None` where it does not.
    #[must_use]
    pub fn refuse(&self, policy: &Policy, own_namespace: &str) -> Option<Blocked> {
        let mut problems = Vec::new();
        if let Some(namespace) = &policy.namespace
            && namespace != own_namespace
            && !self.namespaces.contains(namespace)
        {
            problems.push(OneLine::new(&format!(
                "turquoise.yaml asks for the namespace `{namespace}`, which is not granted; the operator may grant it with `--allow-namespace {namespace}`, or in the configuration file"
            )));
        }
        for receiver in &policy.notifications {
            if let Destination::Url(url) = &receiver.to
                && !self.allows_url(url)
            {
                // The address may hold a token: only its host is named.
                let host = host_of(url).unwrap_or("?");
                problems.push(OneLine::new(&format!(
                    "turquoise.yaml sends messages to `{host}`, which is not granted; the operator may grant it with `--allow-host {host}`, or in the configuration file"
                )));
            }
            for secret in receiver.secrets().filter(|&name| !self.secrets.contains_key(name)) {
                problems.push(OneLine::new(&format!(
                    "turquoise.yaml names the secret `{secret}`, which is not granted; the operator may grant it with `--allow-secret {secret}=file:PATH`, or in the configuration file"
                )));
            }
        }
        for check in &policy.checks {
            let name = &check.name;
            problems.extend(check.urls().filter(|url| !self.allows(&url.host, Some(url.port))).map(|url| {
                OneLine::new(&format!(
                    "turquoise.yaml: check `{name}` asks `{url}`, which is not granted; the operator may grant it with `--allow-host {url}`"
                ))
            }));
            problems.extend(check.secrets().filter(|secret| !self.secrets.contains_key(*secret)).map(|secret| {
                OneLine::new(&format!(
                    "turquoise.yaml: check `{name}` names the Secret `{secret}`, which is not granted; the operator may grant it with `--allow-secret {secret}=file:PATH`"
                ))
            }));
        }
        (!problems.is_empty()).then_some(Blocked::Invalid { problems })
    }

    /// Whether a webhook may be sent there.
    #[must_use]
    pub fn allows_url(&self, url: &str) -> bool {
        let Some(authority) = host_of(url) else { return false };
        let host = authority
            .rsplit_once(':')
            .filter(|(_, port)| port.parse::<u16>().is_ok())
            .map_or(authority, |(host, _)| host);
        self.hosts.contains(authority) || self.hosts.contains(host)
    }

    /// Whether a host may be reached on a port: as a parser of URLs gives them.
    #[must_use]
    pub fn allows(&self, host: &str, port: Option<u16>) -> bool {
        self.hosts.contains(host) || port.is_some_and(|port| self.hosts.contains(&format!("{host}:{port}")))
    }
}

/// The host of an http or https URL, with its port where it names one, without user and password.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::policy::{Format, Receiver};

    #[test]
    fn only_granted_hosts_are_reached() {
        let grants = Grants { hosts: ["chat.example.org".into(), "127.0.0.1:9".into()].into(), ..Grants::default() };
        for (url, allowed) in [
            ("https://chat.example.org/hook?token=1", true),
            ("https://chat.example.org:8443/", true),
            ("http://127.0.0.1:9/x", true),
            ("http://127.0.0.1:10/x", false),
            ("http://chat.example.org@169.254.169.254/", false),
            ("http://chat.example.org.evil.example/", false),
            ("http://evil.example\\@chat.example.org/", false),
            ("ftp://chat.example.org/", false),
            ("http:///x", false),
        ] {
            assert_eq!(grants.allows_url(url), allowed, "{url}");
        }
    }

    #[test]
    fn a_secret_is_given_by_its_place() {
        assert_eq!("file:/run/key".parse(), Ok(SecretSource::File("/run/key".into())));
        assert_eq!("env:KEY".parse(), Ok(SecretSource::Env("KEY".into())));
        for wrong in ["s3cret", "file:", "env:", "vault:s3cret"] {
            let error = wrong.parse::<SecretSource>().expect_err(wrong);
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_refusal_names_the_flag_and_no_token() {
        let policy = Policy {
            namespace: Some("kube-system".into()),
            notifications: vec![Receiver {
                format: Format::CloudEvents,
                to: Destination::Url("https://u:p@h.example/secret".into()),
                secret: Some("key".into()),
            }],
            ..Policy::default()
        };
        let blocked = Grants::default().refuse(&policy, "default").expect("refused");
        let words = serde_json::to_string(&blocked).expect("json");
        assert!(words.contains("--allow-namespace kube-system") && words.contains("--allow-host h.example"), "{words}");
        assert!(words.contains("--allow-secret key="), "{words}");
        assert!(!words.contains("/secret") && !words.contains("u:p"), "{words}");
        let granted = Grants {
            namespaces: ["kube-system".into()].into(),
            hosts: ["h.example".into()].into(),
            secrets: [("key".into(), SecretSource::Env("KEY".into()))].into(),
        };
        assert_eq!(granted.refuse(&policy, "default"), None);
    }
    #[test]
    fn checks_reach_granted_hosts_and_secrets_only() {
        let text = "apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\nspec:\n  checks:\n  - http: {url: 'http://Preview.example/x?token=hunter2', liveUrl: 'https://shop.example/'}\n  - name: board\n    webhook: {url: 'https://board.example:8443/', secret: board}\n";
        let policy = crate::core::policy::parse(text).expect("a valid file");
        let blocked = Grants::default().refuse(&policy, "default").expect("refused");
        let words = serde_json::to_string(&blocked).expect("json");
        for flag in [
            "--allow-host preview.example:80",
            "--allow-host shop.example:443",
            "--allow-host board.example:8443",
            "--allow-secret board=file:PATH",
        ] {
            assert!(words.contains(flag), "{flag}: {words}");
        }
        assert!(!words.contains("hunter2"), "{words}");
        let granted = Grants {
            hosts: ["preview.example".into(), "shop.example:443".into(), "board.example".into()].into(),
            secrets: [("board".into(), SecretSource::File("/run/secrets/board".into()))].into(),
            ..Grants::default()
        };
        assert_eq!(granted.refuse(&policy, "default"), None);
    }
}
