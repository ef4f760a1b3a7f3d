//! URLs of hosts that an operator may grant, read strictly: what is granted, what is dialled and what is shown must be one.

// Addresses as values: nothing is dialled here.
use ::core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;

use serde::Serialize;

/// The longest URL: what servers take.
const URL_CHARS_MAX: usize = 2_000;

/// An `http` or `https` URL without user, password and fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebUrl {
    /// Whether it is `https`.
    pub tls: bool,
    /// A name in lower case, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// The port, also where it is the scheme's own.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub path: String,
}

impl WebUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, without the URL itself, which may hold a token.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > URL_CHARS_MAX {
            return Err("the URL is longer than 2000 characters");
        }
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("a URL must begin with `http://` or `https://`"),
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("a URL must not hold a user or password: name a granted Secret in a header");
        }
        let (host, port) = split_port(authority).ok_or("a URL's port must be a number from 1 to 65535")?;
        let host = host.to_ascii_lowercase();
        if !is_host(&host) {
            return Err("a URL's host must be a name or an address");
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        check_path(&path)?;
        Ok(Self { tls, host, port: port.unwrap_or(if tls { 443 } else { 80 }), path })
    }

    /// The host without an IPv6 address's brackets: what is resolved.
    #[must_use]
    pub fn dial_host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host)
    }

    /// `host:port`.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The whole URL. It may hold a token: only [`WebUrl::authority`] is for people.
    #[must_use]
    pub fn to_dial(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority())
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_address = authority.rfind(']').map_or(0, |at| at + 1);
    match authority.get(after_address..)?.find(':') {
        None => Some((authority, None)),
        Some(at) => {
            let (host, port) = authority.split_at(after_address + at);
            let port = port.get(1..).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
            (port > 0).then_some((host, Some(port)))
        }
    }
}

/// A name, `127.0.0.1` or `[::1]`. A name whose last part is a number is none: some readers take `2130706433` and
/// `0x7f.1` for addresses, and others do not.
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    if host.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    let labels: Vec<&str> = host.split('.').collect();
    let label = |label: &&str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let numeric = labels.last().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
    host.len() <= 253 && labels.iter().all(label) && !numeric
}

/// Whether a path with its query can be sent as it stands, and stays below whatever it is put behind.
///
/// # Errors
/// What is wrong with it.
pub fn check_path(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("a path must begin with `/`");
    }
    if path.contains(['#', '\\']) || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a path must be plain ASCII without spaces, `#` and `\\`: write other characters as `%20`");
    }
    let plain = path.split('?').next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".");
    if plain.split(['/', ';']).any(|part| part == ".." || part == ".") || plain.contains("%2f") || plain.contains("%5c")
    {
        return Err("a path must not hold `.`, `..` or an escaped `/`");
    }
    Ok(())
}

/// Where a repository is, for people: without user and password, and of a URL without a query, which may hold a token.
#[must_use]
pub fn without_credentials(location: &str) -> String {
    let Some((scheme, rest)) = location.split_once("://") else {
        // `user@host:path` has no place for a password; what looks like one is not shown.
        let (user, rest) = location.split_once('@').unwrap_or_default();
        let secret = user.contains(':') && !user.contains('/');
        return if secret { rest.to_owned() } else { location.to_owned() };
    };
    // Where a password holds a `?` nobody has escaped it: what stands behind the last `@` is the host all the same.
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let without_query = |text: &str| text.split(['?', '#']).next().unwrap_or_default().to_owned();
    let host = without_query(authority.rsplit('@').next().unwrap_or_default());
    format!("{scheme}://{host}{}", without_query(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_shown_without_its_secrets() {
        for (location, shown) in [
            ("https://user:secret@example.org/shop.git?token=secret", "https://example.org/shop.git"),
            ("https://user:sec?ret@example.org/shop.git", "https://example.org/shop.git"),
            ("https://example.org?token=secret", "https://example.org"),
            ("http://secret@example.org", "http://example.org"),
            ("ssh://git@example.org/shop.git", "ssh://example.org/shop.git"),
            ("git@example.org:shop.git", "git@example.org:shop.git"),
            ("ann:secret@example.org:shop.git", "example.org:shop.git"),
            ("/srv/a@b:c.git", "/srv/a@b:c.git"),
            ("/srv/git/a@b?c.git", "/srv/git/a@b?c.git"),
        ] {
            assert_eq!(without_credentials(location), shown);
        }
    }

    #[test]
    fn urls_are_read_strictly() {
        for (text, expect) in [
            ("https://Board.example.org/hook?x=1", Ok("board.example.org:443 /hook?x=1")),
            ("http://127.0.0.1:8080", Ok("127.0.0.1:8080 /")),
            ("http://[::1]:8080/x", Ok("[::1]:8080 /x")),
            ("http://[::1]", Ok("[::1]:80 /")),
            ("http://host?x", Ok("host:80 /?x")),
            ("ftp://host/", Err("begin")),
            ("http://user:pw@host/", Err("user")),
            ("http://good.example\\@evil.example/", Err("ASCII")),
            ("http://host:0/", Err("port")),
            ("http://host:99999/", Err("port")),
            ("http://host:8o/", Err("port")),
            ("http:///x", Err("host")),
            ("http://2130706433/", Err("host")),
            ("http://0x7f.0x1/", Err("host")),
            ("http://127.1/", Err("host")),
            ("http://ho st/", Err("host")),
            ("http://host/a b", Err("ASCII")),
            ("http://host/a\r\nX: y", Err("ASCII")),
            ("http://host/../x", Err("`..`")),
            ("http://host/a/%2e%2E/x", Err("`..`")),
            ("http://host/a%2fb", Err("`..`")),
            ("http://host/x#y", Err("ASCII")),
        ] {
            let read = WebUrl::parse(text).map(|url| format!("{url} {}", url.path));
            match (read, expect) {
                (Ok(read), Ok(expect)) => assert_eq!(read, expect, "{text}"),
                (Err(why), Err(word)) => assert!(why.contains(word), "{text}: {why}"),
                (read, expect) => panic!("{text}: {read:?}, not {expect:?}"),
            }
        }
    }
}
