//! Which addresses are dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The metadata service of a cloud that gave it a unique-local address.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Resolves names, and leaves out what is never dialled. What it answers is what is connected to.
#[derive(Debug)]
pub(super) struct Fence {
    /// Whether the granted host is this machine itself.
    pub(super) loopback: bool,
}

impl Resolve for Fence {
    fn resolve(&self, name: Name) -> Resolving {
        let loopback = self.loopback;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let (allowed, never): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|address| forbidden(address.ip(), loopback).is_none());
            if allowed.is_empty() {
                let why = never.first().and_then(|address| forbidden(address.ip(), loopback));
                return Err(why.unwrap_or("the name has no address").into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Why an address is never dialled; `None` where it may be. `loopback`: the granted host is a loopback address itself.
#[must_use]
pub fn forbidden(address: IpAddr, loopback: bool) -> Option<&'static str> {
    let address = address.to_canonical();
    let v4 = |v4: Ipv4Addr| v4.is_link_local() || v4.is_broadcast();
    let link_local = match address {
        IpAddr::V4(address) => v4(address),
        // Written as ::169.254.169.254 or 64:ff9b::169.254.169.254 it is the same place behind a translator.
        IpAddr::V6(address) => {
            let [.., a, b] = address.segments();
            let [a, b] = [a.to_be_bytes(), b.to_be_bytes()];
            let embedded = address.segments()[..6] == [0; 6] || address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
            address.is_unicast_link_local()
                || address == METADATA_V6
                || (embedded && v4(Ipv4Addr::new(a[0], a[1], b[0], b[1])))
        }
    };
    if link_local {
        Some("a link-local address is never dialled")
    } else if address.is_unspecified() || address.is_multicast() {
        Some("an unspecified or multicast address is never dialled")
    } else if address.is_loopback() && !loopback {
        Some("this machine is never dialled by another name than its own")
    } else {
        None
    }
}

/// The address that a URL's host is, where it is no name.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether a host is this machine by its own name.
pub(super) fn names_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_never_dialled() {
        for (address, loopback, dialled) in [
            ("203.0.113.7", false, true),
            ("10.0.0.7", false, true),
            ("2001:db8::1", false, true),
            ("169.254.169.254", false, false),
            ("169.254.169.254", true, false),
            ("::ffff:169.254.169.254", false, false),
            ("::169.254.169.254", false, false),
            ("64:ff9b::169.254.169.254", false, false),
            ("fe80::1", false, false),
            ("fd00:ec2::254", false, false),
            ("0.0.0.0", false, false),
            ("::", false, false),
            ("224.0.0.1", false, false),
            ("255.255.255.255", false, false),
            ("127.0.0.1", false, false),
            ("127.0.0.1", true, true),
            ("::1", false, false),
            ("::ffff:127.0.0.1", false, false),
            ("::1", true, true),
        ] {
            let ip = address.parse().expect("an address");
            assert_eq!(forbidden(ip, loopback).is_none(), dialled, "{address} {loopback}");
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_not_dialled() {
        let ask = |loopback| async move {
            Fence { loopback }.resolve("localhost".parse().expect("a name")).await.map(Iterator::count)
        };
        assert!(ask(true).await.is_ok_and(|found| found > 0));
        let error = ask(false).await.expect_err("another name for this machine").to_string();
        assert!(error.contains("never"), "{error}");
    }
}
