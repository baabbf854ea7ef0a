//! `[network]` and `[cluster]`: the region's network, and the Kubernetes cluster that the consumer runs in.

use std::fmt;
use std::net::Ipv4Addr;

use super::Target;
use super::reader::Section;
use super::rule::{Rule, one_of, text, whole};

/// How subnets without addresses of their own reach the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// One gateway in the first zone: cheap, and gone with its zone.
    One,
    /// One gateway in each zone.
    EachZone,
}

/// The network of each region.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkSettings {
    /// How private subnets reach the internet.
    pub nat: Nat,
}

impl NetworkSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let nat = section.required("nat", &one_of(&[("one", Nat::One), ("each_zone", Nat::EachZone)]));
        Some(Self { nat: nat? })
    }
}

/// The Kubernetes cluster of each region.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterSettings {
    /// Kubernetes version, such as `1.34`.
    pub version: String,
    /// Networks that reach the cluster's public endpoint; none: the endpoint is private.
    pub api_access: Vec<Cidr>,
    /// ARNs of the roles that administer the cluster; on AWS at least one, because the deploy role has rights in the
    /// system's namespace only, and somebody must make that namespace.
    pub administrators: Vec<String>,
    /// On-demand nodes, for what must not be interrupted.
    pub baseline: NodeGroupSettings,
    /// Spot nodes, for what may be.
    pub spot: NodeGroupSettings,
}

impl ClusterSettings {
    pub(super) fn read(section: &mut Section<'_>, target: Option<Target>) -> Option<Self> {
        let version = section.required("version", &version());
        let api_access = section.list("api_access", &cidr(8..=32));
        let administrators = section.list("administrators", &role_arn());
        let baseline = section.section("baseline", NodeGroupSettings::read);
        let spot = section.section("spot", NodeGroupSettings::read);
        let (api_access, administrators) = (api_access?, administrators?);
        if administrators.is_empty() && target == Some(Target::Aws) {
            let problem = format!("`{}` names nobody who could make the namespace", section.path_of("administrators"));
            let hint = "add a role: `administrators = [\"arn:aws:iam::<account>:role/<name>\"]`";
            section.mistake_at("administrators", problem, hint);
            return None;
        }
        if api_access.iter().any(|network| network.prefix() == 0) {
            section.mistake("api_access", "which lets everybody in", "write the networks of your runners and people");
            return None;
        }
        Some(Self { version: version?, api_access, administrators, baseline: baseline?, spot: spot? })
    }
}

/// Nodes of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeGroupSettings {
    /// Instance types that may be used, all with arm64 processors; several make spot capacity easier to find.
    pub instance_types: Vec<String>,
    /// Nodes at least.
    pub min: u32,
    /// Nodes at most.
    pub max: u32,
}

impl NodeGroupSettings {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let instance_types = section.list("instance_types", &instance_type());
        let min = section.required("min", &whole(0..=100));
        let max = section.required("max", &whole(1..=450));
        let (instance_types, min, max) = (instance_types?, min?, max?);
        if instance_types.is_empty() {
            let problem = format!("`{}` names no instance type", section.path_of("instance_types"));
            section.mistake_at("instance_types", problem, "add one: `instance_types = [\"m7g.large\"]`");
            return None;
        }
        if min > max {
            section.mistake("min", "which is more than `max`", "lower `min` or raise `max`");
            return None;
        }
        Some(Self { instance_types, min, max })
    }
}

/// A network of IPv4 addresses, such as `10.20.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    first: u32,
    prefix: u8,
}

impl Cidr {
    /// Reads `10.20.0.0/16`; the bits after the prefix must be zero.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let first = u32::from(address.parse::<Ipv4Addr>().ok()?);
        let prefix = prefix.parse::<u8>().ok().filter(|prefix| *prefix <= 32)?;
        let network = Self { first, prefix };
        (first & !network.mask() == 0).then_some(network)
    }

    /// Length of the part that all addresses share, 0 to 32 bits.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether an address is in both networks.
    pub fn overlaps(self, other: Self) -> bool {
        let shorter = if self.prefix < other.prefix { self } else { other };
        self.first & shorter.mask() == other.first & shorter.mask()
    }

    /// The part number `index` when the network is cut into networks of `prefix` bits; none when there is no such part.
    pub fn part(self, prefix: u8, index: u32) -> Option<Self> {
        let bits = prefix.checked_sub(self.prefix).filter(|_| prefix <= 32)?;
        let size = 32 - u32::from(prefix);
        let fits = u64::from(index) < 1u64 << bits;
        let first = u64::from(self.first) + (u64::from(index) << size);
        fits.then_some(Self { first: u32::try_from(first).ok()?, prefix })
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

/// A network whose prefix is in `prefixes`.
pub(super) fn cidr(prefixes: std::ops::RangeInclusive<u8>) -> Rule<Cidr> {
    let hint = format!("write a network with {} to {} bits: \"10.20.0.0/16\"", prefixes.start(), prefixes.end());
    text(hint, move |text| {
        let network = Cidr::parse(text).ok_or_else(|| "not a network of IPv4 addresses".to_owned())?;
        let good = prefixes.contains(&network.prefix);
        good.then_some(network).ok_or_else(|| format!("not {} to {} bits long", prefixes.start(), prefixes.end()))
    })
}

fn version() -> Rule<String> {
    text("write major and minor version: \"1.34\"", |text| {
        let minor = text.strip_prefix("1.").and_then(|minor| minor.parse::<u32>().ok());
        // Older ones are out of Amazon's support.
        if minor.is_some_and(|minor| (30..100).contains(&minor)) {
            Ok(text.to_owned())
        } else {
            Err("not a Kubernetes version that EKS supports".to_owned())
        }
    })
}

/// An instance type of AWS's own arm64 processors: nodes, and the consumer's image, are of one architecture.
fn instance_type() -> Rule<String> {
    text("write an instance type with an arm64 processor: \"m7g.large\"", |text| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match text.split_once('.') {
            Some((family, size))
                if !family.is_empty() && !size.is_empty() && family.bytes().chain(size.bytes()).all(allowed) =>
            {
                if is_arm64(family) {
                    Ok(text.to_owned())
                } else {
                    Err("not of the architecture arm64".to_owned())
                }
            }
            _ => Err("not an instance type".to_owned()),
        }
    })
}

/// Whether instances of a family have arm64 processors: those have a `g` behind the generation, as in `m7gd`, but for
/// the first of them (EC2 user guide, "Instance type naming conventions", from general knowledge).
fn is_arm64(family: &str) -> bool {
    let options = family.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let options = options.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let options = options.split('-').next().unwrap_or_default();
    family == "a1" || options.contains('g')
}

fn role_arn() -> Rule<String> {
    text("write a role's ARN: \"arn:aws:iam::123456789012:role/administrators\"", |text| {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", _, "iam", "", account, role]
                if account.len() == 12
                    && account.bytes().all(|byte| byte.is_ascii_digit())
                    && role.strip_prefix("role/").is_some_and(|name| !name.is_empty()) =>
            {
                Ok(text.to_owned())
            }
            _ => Err("not a role's ARN".to_owned()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_cut_and_compared() {
        let network = Cidr::parse("10.20.0.0/16").expect("a network");
        assert_eq!(network.part(20, 15).expect("the last part").to_string(), "10.20.240.0/20");
        assert_eq!(network.part(20, 16), None);
        assert_eq!(network.part(8, 0), None);
        for bad in ["10.20.0.1/16", "10.20.0.0", "10.20.0.0/33", "a/16", ""] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
        let overlaps = |other: &str| network.overlaps(Cidr::parse(other).expect(other));
        assert!(overlaps("10.20.128.0/17") && overlaps("10.0.0.0/8") && overlaps("0.0.0.0/0"));
        assert!(!overlaps("10.21.0.0/16"));
    }

    #[test]
    fn families_tell_their_architecture() {
        for family in ["a1", "t4g", "m6g", "m7gd", "c7gn", "x2gd", "im4gn", "is4gen", "g5g", "hpc7g", "r8g"] {
            assert!(is_arm64(family), "{family}");
        }
        for family in
            ["t3", "t3a", "m7i", "m7i-flex", "g5", "g4dn", "g6e", "c6in", "p5en", "u7i-12tb", "u-6tb1", "trn1"]
        {
            assert!(!is_arm64(family), "{family}");
        }
    }
}
