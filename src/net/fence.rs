//! Which addresses are dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The metadata service of a cloud that gave it a unique-local address.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// Where other clouds have theirs outside the link-local range: Alibaba, Oracle, Azure.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];

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
    let v4 = |v4: Ipv4Addr| v4.is_link_local() || v4.is_broadcast() || METADATA_V4.contains(&v4);
    let link_local = match address {
        IpAddr::V4(address) => v4(address),
        // Written as ::169.254.169.254, 64:ff9b::169.254.169.254 or 2002:a9fe:a9fe:: it is the same place behind a
        // translator.
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || address == METADATA_V6 || embedded(address).is_some_and(v4)
        }
    };
    // 0.0.0.0/8 is this machine to some kernels.
    let nowhere = matches!(address, IpAddr::V4(address) if address.octets()[0] == 0) || address.is_unspecified();
    if link_local {
        Some("a link-local or metadata address is never dialled")
    } else if nowhere || address.is_multicast() {
        Some("an unspecified or multicast address is never dialled")
    } else if address.is_loopback() && !loopback {
        Some("this machine is never dialled by another name than its own")
    } else {
        None
    }
}

/// The IPv4 address that an IPv6 address stands for: compatible, NAT64 or 6to4. Mapped ones are canonical already.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _native => None,
    }
}

/// The address that a URL's host is, where it is no name.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether a host is this machine by its own name.
#[must_use]
pub fn names_loopback(host: &str) -> bool {
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
            ("2002:a9fe:a9fe::1", false, false),
            ("100.100.100.200", false, false),
            ("168.63.129.16", false, false),
            ("0.1.2.3", false, false),
            ("fd00::1", false, true),
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
