//! Which ssh hosts are trusted: OpenSSH's known_hosts.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use git2::cert::CertHostkey;
use git2::{CertificateCheckStatus, Error, ErrorClass, ErrorCode};
use sha2::{Digest, Sha256};

use super::super::wire::{Request, Trouble};

/// A known_hosts file of a whole company.
const KNOWN_HOSTS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a known_hosts file says of a host's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Trusted,
    Revoked,
    /// The host has other keys.
    Other,
    /// The host is not there in the clear; `hashed`: the file has hashed names, among which it may be.
    Unknown {
        hashed: bool,
    },
}

type Refusal = (Trouble, Result<CertificateCheckStatus, Error>);

/// Whether a host's key is one that is trusted.
///
/// # Errors
/// What is to be said if the connection is refused, and what libgit2 is told: where names are hashed, its own look into
/// the same file decides.
pub(super) fn check(request: &Request, key: &CertHostkey<'_>) -> Result<CertificateCheckStatus, Refusal> {
    let refuse = || Err(Error::new(ErrorCode::Certificate, ErrorClass::Ssh, "the host's key is not trusted"));
    let (Some(raw), Some(kind)) = (key.hostkey(), key.hostkey_type()) else {
        let words = crate::core::text::OneLine::new("it has no host key that can be read");
        return Err((Trouble::Server { words }, refuse()));
    };
    let host = host_name(&request.host, request.port);
    let named = request.known_hosts.clone().unwrap_or_else(|| PathBuf::from("known_hosts"));
    let (text, file) = match read(&named) {
        Ok(text) => (text, format!("`{}`", named.display())),
        Err(error) => (String::new(), format!("`{}` ({error})", named.display())),
    };
    let fingerprint = format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(raw)));
    let encoded = STANDARD.encode(raw);
    match standing(&text, &host, &encoded) {
        Standing::Trusted => Ok(CertificateCheckStatus::CertificateOk),
        Standing::Revoked | Standing::Other => Err((Trouble::HostChanged { host, file, fingerprint }, refuse())),
        Standing::Unknown { hashed } => {
            let line = format!("{host} {} {encoded}", kind.name());
            let answer = if hashed { Ok(CertificateCheckStatus::CertificatePassthrough) } else { refuse() };
            Err((Trouble::HostUnknown { host, file, fingerprint, line }, answer))
        }
    }
}

/// libssh2 asks a server for a kind of key that it finds in the home's known_hosts, so it gets the same file there.
pub(super) fn hand_to_libssh2(known_hosts: &Path) -> std::io::Result<()> {
    let Some(home) = std::env::var_os("HOME").map(PathBuf::from) else { return Ok(()) };
    let link = home.join(".ssh/known_hosts");
    if fs::read_link(&link).is_ok_and(|now| now == known_hosts) {
        return Ok(());
    }
    fs::create_dir_all(home.join(".ssh"))?;
    if fs::symlink_metadata(&link).is_ok() {
        fs::remove_file(&link)?;
    }
    std::os::unix::fs::symlink(known_hosts, link)
}

fn read(path: &Path) -> std::io::Result<String> {
    if fs::metadata(path)?.len() > KNOWN_HOSTS_BYTES_MAX {
        return Err(std::io::Error::other("too large"));
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// The host as known_hosts has it.
fn host_name(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

fn standing(text: &str, host: &str, key: &str) -> Standing {
    let (mut trusted, mut other, mut hashed) = (false, false, false);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        let (marker, names) =
            if first.starts_with('@') { (Some(first), words.next().unwrap_or_default()) } else { (None, first) };
        let (_kind, this) = (words.next(), words.next().unwrap_or_default());
        if names.starts_with("|1|") {
            hashed = true;
        } else if names_hold(names, host) {
            match marker {
                Some("@revoked") if this == key => return Standing::Revoked,
                // Hosts that an authority vouches for are not supported: such a line trusts no key by itself.
                Some(_) => {}
                None if this == key => trusted = true,
                None => other = true,
            }
        }
    }
    match (trusted, other) {
        (true, _) => Standing::Trusted,
        (false, true) => Standing::Other,
        (false, false) => Standing::Unknown { hashed },
    }
}

/// Names with commas between; `*` and `?` stand for others, `!` takes out.
fn names_hold(names: &str, host: &str) -> bool {
    let mut holds = false;
    for name in names.split(',') {
        match name.strip_prefix('!') {
            Some(not) if matches(not, host) => return false,
            Some(_) => {}
            None => holds |= matches(name, host),
        }
    }
    holds
}

fn matches(pattern: &str, host: &str) -> bool {
    let (pattern, host): (Vec<char>, Vec<char>) =
        (pattern.to_ascii_lowercase().chars().collect(), host.to_ascii_lowercase().chars().collect());
    // Row by row: which beginnings of the host the pattern so far stands for.
    let mut ends = vec![false; host.len() + 1];
    ends[0] = true;
    for c in pattern {
        let mut next = vec![false; host.len() + 1];
        for at in 0..=host.len() {
            next[at] = match c {
                '*' => ends[at] || (at > 0 && next[at - 1]),
                '?' => at > 0 && ends[at - 1],
                c => at > 0 && ends[at - 1] && host[at - 1] == c,
            };
        }
        ends = next;
    }
    ends[host.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hosts_are_read_as_openssh_does() {
        let text = "\
            # people's notes\n\
            example.org,192.0.2.1 ssh-ed25519 AAAA\n\
            example.org ecdsa-sha2-nistp256 BBBB comment\n\
            [example.org]:2222 ssh-ed25519 CCCC\n\
            *.corp.example,!bad.corp.example ssh-rsa DDDD\n\
            @revoked old.example ssh-rsa EEEE\n\
            old.example ssh-rsa EEEE\n\
            @cert-authority *.ca.example ssh-rsa FFFF\n";
        for (host, port, key, expect) in [
            ("example.org", 22, "AAAA", Standing::Trusted),
            ("EXAMPLE.org", 22, "BBBB", Standing::Trusted),
            ("192.0.2.1", 22, "AAAA", Standing::Trusted),
            ("example.org", 22, "CCCC", Standing::Other),
            ("example.org", 2222, "CCCC", Standing::Trusted),
            ("example.org", 2222, "AAAA", Standing::Other),
            ("example.org", 2200, "AAAA", Standing::Unknown { hashed: false }),
            ("git.corp.example", 22, "DDDD", Standing::Trusted),
            ("bad.corp.example", 22, "DDDD", Standing::Unknown { hashed: false }),
            ("old.example", 22, "EEEE", Standing::Revoked),
            ("a.ca.example", 22, "FFFF", Standing::Unknown { hashed: false }),
            ("else.example", 22, "AAAA", Standing::Unknown { hashed: false }),
        ] {
            assert_eq!(standing(text, &host_name(host, port), key), expect, "{host}:{port} {key}");
        }
        let hashed = "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= ssh-rsa AAAA\n";
        assert_eq!(standing(hashed, "example.org", "AAAA"), Standing::Unknown { hashed: true });
        assert_eq!(standing("", "example.org", ""), Standing::Unknown { hashed: false });
    }
}
