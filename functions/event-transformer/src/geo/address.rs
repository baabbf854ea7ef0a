//! Addresses as texts: what they are for, and how much of them is kept.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most bytes of an address: IPv6 with its last part written as IPv4.
const LONGEST: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len();

/// Reads an address: IPv4 with four decimal parts, or IPv6 (RFC 4291) without a zone. IPv4 that is written as IPv6
/// (`::ffff:192.0.2.1`) is IPv4.
pub(crate) fn read(text: &str) -> Option<IpAddr> {
    if text.len() > LONGEST {
        return None;
    }
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// How much of an address is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// The address as it is.
    Whole,
    /// The network that it is in: 24 bits of IPv4, 48 of IPv6.
    Network,
}

impl Precision {
    /// The address with zeros in place of what isn't kept.
    pub(crate) fn kept(self, address: IpAddr) -> IpAddr {
        let bits = u32::from(self.bits(address));
        match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        }
    }

    /// How many leading bits are kept.
    pub(crate) fn bits(self, address: IpAddr) -> u8 {
        match (self, address) {
            (Self::Whole, IpAddr::V4(_)) => 32,
            (Self::Whole, IpAddr::V6(_)) => 128,
            (Self::Network, IpAddr::V4(_)) => 24,
            // 6to4 (RFC 3056) has a whole IPv4 address behind its first 16 bits; of that one, 24 bits are kept too.
            (Self::Network, IpAddr::V6(address)) if address.segments()[0] == 0x2002 => 40,
            (Self::Network, IpAddr::V6(_)) => 48,
        }
    }
}

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It can be somebody's on the internet.
    Public,
    /// It is in a network of somebody's own, which many have.
    Private,
    /// It is no host's on the internet.
    Reserved,
}

impl Purpose {
    /// By IANA's registries of special-purpose addresses (RFC 6890; read 2026-11).
    ///
    /// Single addresses within them that are reachable (such as `192.0.0.9`) count as their network, and so does `::1`:
    /// all that is kept together has one purpose.
    pub(super) fn of(address: IpAddr) -> Self {
        let is_in = |network: &(u128, u8)| {
            let (bits, width) = match address {
                IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
                IpAddr::V6(address) => (address.to_bits(), 128),
            };
            bits >> (width - u32::from(network.1)) == network.0 >> (width - u32::from(network.1))
        };
        let (private, reserved) = match address {
            IpAddr::V4(_) => (PRIVATE_V4, RESERVED_V4),
            IpAddr::V6(_) => (PRIVATE_V6, RESERVED_V6),
        };
        let outside = matches!(address, IpAddr::V6(address) if address.segments()[0] >> 13 != 0b001);
        if private.iter().any(is_in) {
            Self::Private
        } else if outside || reserved.iter().any(is_in) {
            Self::Reserved
        } else {
            Self::Public
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, bits: u8) -> (u128, u8) {
    (Ipv4Addr::new(a, b, c, 0).to_bits() as u128, bits)
}

const fn v6(a: u16, b: u16, c: u16, bits: u8) -> (u128, u8) {
    (Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_bits(), bits)
}

const PRIVATE_V4: &[(u128, u8)] = &[
    v4(10, 0, 0, 8),
    // Between a provider and its customers (RFC 6598).
    v4(100, 64, 0, 10),
    // Link-local.
    v4(169, 254, 0, 16),
    v4(172, 16, 0, 12),
    v4(192, 168, 0, 16),
];

const RESERVED_V4: &[(u128, u8)] = &[
    v4(0, 0, 0, 8),
    // Loopback.
    v4(127, 0, 0, 8),
    // Protocol assignments.
    v4(192, 0, 0, 24),
    // Documentation.
    v4(192, 0, 2, 24),
    v4(198, 51, 100, 24),
    v4(203, 0, 113, 24),
    // Relays of 6to4, which are no more.
    v4(192, 88, 99, 24),
    // Measuring of devices.
    v4(198, 18, 0, 15),
    // Multicast, and what was kept for later, with the broadcast address.
    v4(224, 0, 0, 4),
    v4(240, 0, 0, 4),
];

const PRIVATE_V6: &[(u128, u8)] = &[
    // Unique local addresses.
    v6(0xfc00, 0, 0, 7),
    // Link-local.
    v6(0xfe80, 0, 0, 10),
];

/// Within `2000::/3`. What lies outside of it isn't given to anybody (IANA's "Internet Protocol Version 6 Address Space").
const RESERVED_V6: &[(u128, u8)] = &[
    // Protocol assignments, Teredo among them.
    v6(0x2001, 0, 0, 23),
    // Documentation.
    v6(0x2001, 0x0db8, 0, 32),
    v6(0x3fff, 0, 0, 20),
    // 6to4.
    v6(0x2002, 0, 0, 16),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        read(text).unwrap_or_else(|| panic!("{text} is an address"))
    }

    #[test]
    fn what_is_no_address_is_not_read() {
        for text in [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "01.2.3.4",
            "0x1.2.3.4",
            "1.2.3.4:80",
            "1.2.3.4/24",
            " 1.2.3.4",
            "16909060",
            "1:2:3:4:5:6:7",
            "::1::",
            "fe80::1%eth0",
            "[::1]",
            "::/0",
            "localhost",
            "１.２.３.４",
            &"1".repeat(1_000_000),
        ] {
            assert_eq!(read(text), None, "{}", text.get(..40).unwrap_or(text));
        }
        assert!(read("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255").is_some());
    }

    #[test]
    fn networks_are_kept() {
        let check = |text: &str, expected: &str| {
            let address = address(text);
            assert_eq!(Precision::Network.kept(address).to_string(), expected, "{text}");
            assert_eq!(Precision::Whole.kept(address), address, "{text}");
        };
        check("8.8.4.9", "8.8.4.0");
        check("255.255.255.255", "255.255.255.0");
        check("2a00:1450:4001:82a::200e", "2a00:1450:4001::");
        check("2A00:1450:4001:82A:0:0:0:1", "2a00:1450:4001::");
        // IPv4 in other clothes.
        check("::ffff:8.8.4.9", "8.8.4.0");
        check("::ffff:808:409", "8.8.4.0");
        check("::8.8.4.9", "::");
        check("64:ff9b::8.8.4.9", "64:ff9b::");
        check("2002:0808:0409::1", "2002:808:400::");
        check("::1", "::");
    }

    #[test]
    fn purposes() {
        use Purpose::{Private, Public, Reserved};
        let check = |expected: Purpose, texts: &[&str]| {
            for text in texts {
                assert_eq!(Purpose::of(address(text)), expected, "{text}");
            }
        };
        // The first and the last address of each network, and what stands before and behind it.
        check(
            Private,
            &["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"],
        );
        check(Public, &["9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0"]);
        check(Private, &["100.64.0.0", "100.127.255.255", "169.254.0.0", "169.254.255.255", "::ffff:10.1.2.3"]);
        check(Public, &["100.63.255.255", "100.128.0.0", "169.253.255.255", "169.255.0.0", "::ffff:1.1.1.1"]);
        check(Reserved, &["0.0.0.0", "0.255.255.255", "127.0.0.0", "127.255.255.255", "192.0.0.0", "192.0.0.255"]);
        check(Public, &["1.0.0.0", "126.255.255.255", "128.0.0.0", "191.255.255.255", "192.0.1.0", "192.0.1.255"]);
        check(
            Reserved,
            &["192.0.2.0", "192.0.2.255", "198.51.100.0", "198.51.100.255", "203.0.113.0", "203.0.113.255"],
        );
        check(
            Public,
            &["192.0.3.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255"],
        );
        check(
            Reserved,
            &["192.88.99.0", "192.88.99.255", "198.18.0.0", "198.19.255.255", "224.0.0.0", "255.255.255.255"],
        );
        check(Public, &["192.88.98.255", "192.88.100.0", "198.17.255.255", "198.20.0.0"]);
        check(Private, &["fc00::", "fdff:ffff:ffff:ffff::", "fe80::", "febf:ffff:ffff:ffff::"]);
        check(
            Reserved,
            &["fbff:ffff::", "fe00::", "fe7f:ffff::", "fec0::", "ff02::1", "4000::", "5f00::1", "1fff:ffff::"],
        );
        check(Reserved, &["::", "::1", "::1.1.1.1", "64:ff9b::1.1.1.1", "64:ff9b:1::", "100::1"]);
        check(
            Reserved,
            &["2001::", "2001:1ff:ffff::", "2001:db8::", "2001:db8:ffff:ffff::", "2002::", "2002:ffff:ffff::"],
        );
        check(Public, &["2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "2a00::1", "3ffe:ffff::"]);
        check(Reserved, &["3fff::", "3fff:fff:ffff::"]);
        check(Public, &["3fff:1000::", "3fff:ffff:ffff:ffff::"]);
    }

    /// Addresses near the ends of every special network more often than others.
    fn any_address() -> impl Strategy<Value = IpAddr> {
        let special_v4 = prop::sample::select([PRIVATE_V4, RESERVED_V4].concat());
        let special_v6 = prop::sample::select([PRIVATE_V6, RESERVED_V6].concat());
        prop_oneof![
            any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
            any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
            (special_v4, -300_i32..300).prop_map(|((bits, _), step)| {
                Ipv4Addr::from_bits(u32::try_from(bits).expect("32 bits").wrapping_add_signed(step)).into()
            }),
            (special_v6, any::<i128>(), 0..128_u32).prop_map(|((bits, _), step, shift)| {
                Ipv6Addr::from_bits(bits.wrapping_add_signed(step >> shift)).into()
            }),
            (0..u128::from(u32::MAX)).prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_handled(text in "[0-9a-f:.%/\\[\\]]{0,50}|.{0,60}") {
            if let Some(address) = read(&text) {
                prop_assert_eq!(read(&address.to_string()), Some(address));
            }
        }

        /// What is kept is its own, and has the purpose that the whole had.
        #[test]
        fn truncating_twice_is_truncating_once(address in any_address()) {
            let address = address.to_canonical();
            for precision in [Precision::Network, Precision::Whole] {
                let kept = precision.kept(address);
                prop_assert_eq!(precision.kept(kept), kept);
                prop_assert_eq!(precision.bits(kept), precision.bits(address));
                prop_assert_eq!(Purpose::of(kept), Purpose::of(address), "{} {}", address, kept);
                prop_assert_eq!(read(&kept.to_string()), Some(kept));
            }
        }
    }
}
