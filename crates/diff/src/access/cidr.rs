//! Blocks of IP addresses.

use std::net::IpAddr;

/// A block of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cidr {
    is_v6: bool,
    /// The address, at the upper end.
    bits: u128,
    length: u8,
}

impl Cidr {
    /// Reads `10.0.0.0/8`, or a single address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let (bits, is_v6, most) = match address.parse().ok()? {
            IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, false, 32),
            IpAddr::V6(address) => (u128::from(address), true, 128),
        };
        let length = length.map_or(Some(most), |length| length.parse().ok()).filter(|length| *length <= most)?;
        Some(Self { is_v6, bits: bits & mask(length), length })
    }

    /// Whether every address of `other` is in this block.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.is_v6 == other.is_v6 && self.length <= other.length && other.bits & mask(self.length) == self.bits
    }

    /// Whether it is all addresses of its family.
    pub(crate) fn is_world(self) -> bool {
        self.length == 0
    }
}

fn mask(length: u8) -> u128 {
    if length == 0 { 0 } else { u128::MAX << (128 - u32::from(length)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_contain_smaller_ones_of_their_family() {
        let cidr = |text| Cidr::parse(text).unwrap();
        for (outer, inner, expected) in [
            ("0.0.0.0/0", "10.1.2.3/32", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.200.0.0/16", true),
            ("10.0.0.0/16", "10.0.0.0/8", false),
            ("10.0.0.0/8", "11.0.0.0/16", false),
            ("0.0.0.0/0", "::/0", false),
            ("::/0", "2001:db8::/32", true),
            ("2001:db8::/32", "2001:db8:1::/48", true),
            ("2001:db8::/32", "2001:db9::/48", false),
            ("10.0.0.7/8", "10.0.0.0/8", true),
            ("10.0.0.1", "10.0.0.1/32", true),
        ] {
            assert_eq!(cidr(outer).covers(cidr(inner)), expected, "{outer} {inner}");
        }
        for bad in ["10.0.0.0/33", "10.0.0/8", "::/129", "x", ""] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
    }
}
