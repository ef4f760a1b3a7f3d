//! Where a repo is: a path, or a URL over https, http or ssh.

use std::path::{Path, PathBuf};

use super::error::SourceError;
use crate::core::url::without_credentials;

/// What a location names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A folder of this machine.
    Path(PathBuf),
    /// A server.
    Server(Address),
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// TLS; the certificate is checked.
    Https,
    /// Clear text: no credentials travel over it but to this very machine.
    Http,
    /// ssh with a key; the host's key is checked.
    Ssh,
}

/// A repo on a server, without any secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) scheme: Scheme,
    /// The user that the URL names.
    pub(super) user: Option<String>,
    /// The host's name or address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The URL as libgit2 takes it, without a user for http, with one for ssh if it names one.
    pub(super) url: String,
}

impl Scheme {
    fn of(text: &str) -> Option<Self> {
        match text {
            "https" => Some(Self::Https),
            "http" => Some(Self::Http),
            "ssh" | "git+ssh" | "ssh+git" => Some(Self::Ssh),
            _unknown => None,
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
            Self::Ssh => 22,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
        }
    }
}

impl Address {
    /// Whether the host is this machine, by an address that cannot lead elsewhere.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Reads a location: a path, `file://`, `https://`, `http://`, `ssh://`, or `user@host:path` as scp has it.
///
/// # Errors
/// [`SourceError::Location`] for other schemes, for a URL that holds a password, a query or no path. No secret is in
/// its words.
pub(super) fn parse(location: &str) -> Result<Place, SourceError> {
    let refuse =
        |why: &str| Err(SourceError::Location { location: without_credentials(location), why: why.to_owned() });
    if let Some(path) = location.strip_prefix("file://") {
        return Ok(Place::Path(PathBuf::from(path)));
    }
    let Some((scheme, rest)) = location.split_once("://") else { return scp_like(location) };
    let Some(scheme) = Scheme::of(&scheme.to_ascii_lowercase()) else {
        return refuse("a repository is a path, or a URL that begins with https://, http:// or ssh://");
    };
    if rest.contains(['?', '#']) || rest.contains(is_odd) {
        return refuse("a repository's URL has no query, no fragment and no blanks");
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.trim_matches('/').is_empty() {
        return refuse("the URL names no repository on that host");
    }
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return refuse(
            "a password in the URL can be read by everybody on the machine; take it out and put it into a file, see \
             `--git-token-file` and `--git-password-file`, or `credentials` in a configuration file",
        );
    }
    let Some((host, port)) = host_and_port(host) else { return refuse("the URL's host or port cannot be read") };
    let user = user.filter(|user| !user.is_empty()).map(str::to_owned);
    if user.as_deref().is_some_and(|user| user.starts_with('-')) {
        return refuse("a user's name does not begin with `-`");
    }
    let shown_host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let colon_port = port.map_or_else(String::new, |port| format!(":{port}"));
    let at = match (&user, scheme) {
        (Some(user), Scheme::Ssh) => format!("{user}@"),
        (Some(_) | None, Scheme::Https | Scheme::Http) | (None, Scheme::Ssh) => String::new(),
    };
    let url = format!("{}://{at}{shown_host}{colon_port}/{path}", scheme.as_str());
    Ok(Place::Server(Address { scheme, user, host, port: port.unwrap_or_else(|| scheme.default_port()), url }))
}

/// `user@host:path`, or a path.
fn scp_like(location: &str) -> Result<Place, SourceError> {
    let first = location.split('/').next().unwrap_or_default();
    if !first.contains(':') || Path::new(location).exists() {
        return Ok(Place::Path(PathBuf::from(location)));
    }
    let refuse =
        |why: &str| Err(SourceError::Location { location: without_credentials(location), why: why.to_owned() });
    let (authority, path) = location.split_once(':').unwrap_or_default();
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user.to_owned()), host),
        None => (None, authority),
    };
    let bad_host = host.is_empty() || host.starts_with('-') || host.contains(['[', ']']) || host.contains(is_odd);
    if bad_host || path.is_empty() || path.contains(is_odd) || path.contains('@') {
        return refuse("`USER@HOST:PATH` was expected; with a port, write ssh://USER@HOST:PORT/PATH");
    }
    Ok(Place::Server(Address {
        scheme: Scheme::Ssh,
        user: user.filter(|user| !user.is_empty()),
        host: host.to_ascii_lowercase(),
        port: Scheme::Ssh.default_port(),
        url: location.to_owned(),
    }))
}

fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, after.strip_prefix(':').or(after.is_empty().then_some(""))?)
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
    if host.is_empty() || host.starts_with('-') || host.contains(odd) {
        return None;
    }
    let port = if port.is_empty() { None } else { Some(port.parse().ok().filter(|port| *port > 0)?) };
    Some((host.to_ascii_lowercase(), port))
}

fn is_odd(c: char) -> bool {
    c.is_control() || c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_understood() {
        let cases = [
            ("https://example.org/shop.git", "https example.org 443 - https://example.org/shop.git"),
            ("HTTPS://Example.org:8443/a/shop", "https example.org 8443 - https://example.org:8443/a/shop"),
            ("https://ann@example.org/shop.git", "https example.org 443 ann https://example.org/shop.git"),
            ("http://127.0.0.1:3000/shop", "http 127.0.0.1 3000 - http://127.0.0.1:3000/shop"),
            ("ssh://git@example.org/srv/shop.git", "ssh example.org 22 git ssh://git@example.org/srv/shop.git"),
            ("ssh://example.org:2222/~/shop.git", "ssh example.org 2222 - ssh://example.org:2222/~/shop.git"),
            ("ssh://git@[::1]:2222/shop.git", "ssh ::1 2222 git ssh://git@[::1]:2222/shop.git"),
            ("git@example.org:shop/web.git", "ssh example.org 22 git git@example.org:shop/web.git"),
            ("example.org:shop.git", "ssh example.org 22 - example.org:shop.git"),
        ];
        for (location, expect) in cases {
            let Ok(Place::Server(address)) = parse(location) else { panic!("{location}: {:?}", parse(location)) };
            let Address { scheme, user, host, port, url } = address;
            let shown = format!("{} {host} {port} {} {url}", scheme.as_str(), user.as_deref().unwrap_or("-"));
            assert_eq!(shown, expect, "{location}");
        }
    }

    #[test]
    fn paths_stay_paths() {
        let cases = [("file:///srv/shop.git", "/srv/shop.git"), ("/srv/a:b.git", "/srv/a:b.git"), ("shop", "shop")];
        for (location, path) in cases {
            assert_eq!(parse(location), Ok(Place::Path(path.into())));
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_its_secrets() {
        for location in [
            "https://ann:secret@example.org/shop.git",
            "ssh://git:secret@example.org/shop.git",
            "https://example.org/shop.git?token=secret",
            "https://example.org",
            "https:///shop.git",
            "https://-oProxyCommand=secret/shop.git",
            "https://example.org:99999/shop.git",
            "https://exa mple.org/shop.git",
            "git://example.org/shop.git",
            "ssh://-oProxyCommand=x@example.org/shop.git",
            "ext::sh -c secret% >&2",
            "git@-oProxyCommand=x:shop.git",
            "ann:secret@example.org:shop.git",
            "ssh://[::1/shop.git",
        ] {
            match parse(location) {
                Err(error) => assert!(!error.to_string().contains("secret@"), "{error}"),
                Ok(place) => panic!("{location} was taken as {place:?}"),
            }
        }
        let error = parse("https://ann:secret@example.org/shop.git").expect_err("a password");
        assert!(error.to_string().contains("--git-token-file") && !error.to_string().contains("secret"), "{error}");
    }
}
