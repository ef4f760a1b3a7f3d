//! Addresses that are never asked, whoever grants a host that resolves to them (DESIGN 9).

use ::core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds keep their instances' credentials, beside the link-local range: AWS over IPv6, Alibaba, Oracle, Azure.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// See [`METADATA_V6`].
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];

/// Why an address is never asked; `None` where it may be.
#[must_use]
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => refusal_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inside) => refusal_v4(inside),
            None if address.is_unicast_link_local() => Some("link-local"),
            None if address == METADATA_V6 => Some("a cloud's metadata service"),
            None if address.is_unspecified() || address.is_multicast() => Some("no host"),
            None => None,
        },
    }
}

fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    if address.is_link_local() {
        return Some("link-local");
    }
    if METADATA_V4.contains(&address) {
        return Some("a cloud's metadata service");
    }
    // 0.0.0.0/8 is this machine to some kernels.
    let none = address.octets()[0] == 0 || address.is_multicast() || address.is_broadcast();
    none.then_some("no host")
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, 6to4 or NAT64.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match parts {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _native => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_are_never_asked_in_any_spelling() {
        for (address, refused) in [
            ("169.254.169.254", true),
            ("169.254.0.1", true),
            ("::ffff:169.254.169.254", true),
            ("::169.254.169.254", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("2002:a9fe:a9fe::1", true),
            ("fe80::1", true),
            ("fd00:ec2::254", true),
            ("100.100.100.200", true),
            ("168.63.129.16", true),
            ("0.0.0.0", true),
            ("::", true),
            ("224.0.0.1", true),
            ("255.255.255.255", true),
            ("ff02::1", true),
            ("10.0.0.1", false),
            ("127.0.0.1", false),
            ("::1", false),
            ("fd00::1", false),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
        ] {
            let parsed: IpAddr = address.parse().expect("an address");
            assert_eq!(refusal(parsed).is_some(), refused, "{address}");
        }
    }
}
