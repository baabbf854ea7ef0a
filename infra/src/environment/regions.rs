//! `[[regions]]`: where the system runs, which region is home, and in which order regions are deployed.

use contracts::Region;

use super::network::{Cidr, cidr};
use super::reader::{Section, nearest};
use super::rule::{Problem, Rule, one_of, text, whole};

/// Regions of the standard partition, from AWS's table of regions and zones (read 2026-11-21), with the zones to use.
///
/// Some regions need opting in; an account that hasn't is told so by AWS. Zones stand here by their ids, because their
/// letters mean other places in each account, and one of those may be a zone that EKS refuses for a cluster: `use1-az3`,
/// `usw1-az2` and `cac1-az3` (EKS user guide, "View Amazon EKS networking requirements for VPC and subnets"). `apne1-az3`
/// is closed to new accounts. Most regions have exactly three; of those with more, any three do.
const KNOWN: [(&str, &[&str]); 34] = [
    ("af-south-1", &["afs1-az1", "afs1-az2", "afs1-az3"]),
    ("ap-east-1", &["ape1-az1", "ape1-az2", "ape1-az3"]),
    ("ap-east-2", &["ape2-az1", "ape2-az2", "ape2-az3"]),
    ("ap-northeast-1", &["apne1-az1", "apne1-az2", "apne1-az4"]),
    ("ap-northeast-2", &["apne2-az1", "apne2-az2", "apne2-az3"]),
    ("ap-northeast-3", &["apne3-az1", "apne3-az2", "apne3-az3"]),
    ("ap-south-1", &["aps1-az1", "aps1-az2", "aps1-az3"]),
    ("ap-south-2", &["aps2-az1", "aps2-az2", "aps2-az3"]),
    ("ap-southeast-1", &["apse1-az1", "apse1-az2", "apse1-az3"]),
    ("ap-southeast-2", &["apse2-az1", "apse2-az2", "apse2-az3"]),
    ("ap-southeast-3", &["apse3-az1", "apse3-az2", "apse3-az3"]),
    ("ap-southeast-4", &["apse4-az1", "apse4-az2", "apse4-az3"]),
    ("ap-southeast-5", &["apse5-az1", "apse5-az2", "apse5-az3"]),
    ("ap-southeast-6", &["apse6-az1", "apse6-az2", "apse6-az3"]),
    ("ap-southeast-7", &["apse7-az1", "apse7-az2", "apse7-az3"]),
    ("ca-central-1", &["cac1-az1", "cac1-az2", "cac1-az4"]),
    ("ca-west-1", &["caw1-az1", "caw1-az2", "caw1-az3"]),
    ("eu-central-1", &["euc1-az1", "euc1-az2", "euc1-az3"]),
    ("eu-central-2", &["euc2-az1", "euc2-az2", "euc2-az3"]),
    ("eu-north-1", &["eun1-az1", "eun1-az2", "eun1-az3"]),
    ("eu-south-1", &["eus1-az1", "eus1-az2", "eus1-az3"]),
    ("eu-south-2", &["eus2-az1", "eus2-az2", "eus2-az3"]),
    ("eu-west-1", &["euw1-az1", "euw1-az2", "euw1-az3"]),
    ("eu-west-2", &["euw2-az1", "euw2-az2", "euw2-az3"]),
    ("eu-west-3", &["euw3-az1", "euw3-az2", "euw3-az3"]),
    ("il-central-1", &["ilc1-az1", "ilc1-az2", "ilc1-az3"]),
    ("me-central-1", &["mec1-az1", "mec1-az2", "mec1-az3"]),
    ("me-south-1", &["mes1-az1", "mes1-az2", "mes1-az3"]),
    ("mx-central-1", &["mxc1-az1", "mxc1-az2", "mxc1-az3"]),
    ("sa-east-1", &["sae1-az1", "sae1-az2", "sae1-az3"]),
    ("us-east-1", &["use1-az1", "use1-az2", "use1-az4"]),
    ("us-east-2", &["use2-az1", "use2-az2", "use2-az3"]),
    ("us-west-1", &["usw1-az1", "usw1-az3"]),
    ("us-west-2", &["usw2-az1", "usw2-az2", "usw2-az3"]),
];

/// Zones of each region that are used: three are what keeps a majority when one is lost.
pub(crate) const ZONES: usize = 3;

/// What a region is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The home region: owns the tables' stack and runs the consumer.
    Primary,
    /// Holds replicas and serves traffic.
    Secondary,
}

impl Role {
    /// The word in the environment file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

/// One region of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegionSettings {
    /// The region.
    pub region: Region,
    /// What it is for.
    pub role: Role,
    /// Deployment order, 1 to 9: regions of a wave go together, lower waves go first.
    pub wave: u32,
    /// Addresses of the region's network, 16 to 18 bits; no two regions share one.
    pub network: Cidr,
    /// Ids of the zones to use, such as `usw2-az1`: the same places in every account, and each takes a cluster.
    pub zones: [&'static str; ZONES],
}

/// Reads the regions, two or more: one of them primary, none twice. The primary comes first, the others in file order.
pub(super) fn read(root: &mut Section<'_>) -> Option<Vec<RegionSettings>> {
    let mut regions = root.sections("regions", |section| {
        let region = section.required("name", &region_with_zones());
        let role = section.required("role", &one_of(&[("primary", Role::Primary), ("secondary", Role::Secondary)]));
        let wave = section.required("wave", &whole(1..=9));
        let network = section.required("network", &cidr(16..=18));
        let (region, zones) = region?;
        Some(RegionSettings { region, role: role?, wave: wave?, network: network?, zones })
    })?;
    if !relations_hold(root, &regions) {
        return None;
    }
    regions.sort_by_key(|region| region.role != Role::Primary);
    Some(regions)
}

fn relations_hold(root: &Section<'_>, regions: &[RegionSettings]) -> bool {
    let mut good = true;
    for (index, settings) in regions.iter().enumerate() {
        let (region, role) = (&settings.region, settings.role);
        let Some(section) = root.inner_at("regions", index) else {
            continue;
        };
        if regions[..index].iter().any(|earlier| earlier.region == *region) {
            good = false;
            section.mistake("name", "which stands here a second time", "remove one of the two sections");
        }
        if regions[..index].iter().any(|earlier| earlier.network.overlaps(settings.network)) {
            good = false;
            section.mistake("network", "which overlaps the network of another region", "choose other addresses");
        }
        if role == Role::Primary && regions[..index].iter().any(|earlier| earlier.role == Role::Primary) {
            good = false;
            section.mistake("role", "which another region is already", "make all regions but one \"secondary\"");
        }
    }
    if !regions.iter().any(|region| region.role == Role::Primary) {
        good = false;
        root.mistake_at("regions", "no region is primary".to_owned(), "set `role = \"primary\"` in the home region");
    }
    if regions.len() < 2 {
        good = false;
        let problem = "there is only one region, and the system needs two or more".to_owned();
        root.mistake_at("regions", problem, "add a section `[[regions]]` with `role = \"secondary\"`");
    }
    good
}

pub(super) fn region() -> Rule<Region> {
    text("write the name of an AWS region, such as \"us-west-2\"", |text| Ok(text.to_owned()))
        .and(|name| {
            if zones_of(name).is_some() {
                return Ok(());
            }
            let known = KNOWN.map(|(name, _)| name);
            let hint = match nearest(name, &known) {
                Some(known) => format!("did you mean \"{known}\"?"),
                None => "write the name of an AWS region, such as \"us-west-2\"".to_owned(),
            };
            Err(Problem { phrase: "not a known region".to_owned(), hint })
        })
        .map(|name| Region::new(&name).expect("every known region is well-formed"))
}

/// A region that the system itself can be in: it has zones enough for a cluster.
fn region_with_zones() -> Rule<(Region, [&'static str; ZONES])> {
    let zones = |region: &Region| zones_of(region.as_str()).and_then(|zones| <[&str; ZONES]>::try_from(zones).ok());
    region()
        .and(move |region| match zones(region) {
            Some(_) => Ok(()),
            None => Err(Problem {
                phrase: format!("a region with fewer than the {ZONES} zones that a cluster is spread over"),
                hint: "choose another region, such as \"us-west-2\"".to_owned(),
            }),
        })
        .map(move |region| {
            let zones = zones(&region).expect("a region without enough zones is refused before");
            (region, zones)
        })
}

/// Ids of the zones to use of a known region.
fn zones_of(region: &str) -> Option<&'static [&'static str]> {
    KNOWN.iter().find(|(name, _)| *name == region).map(|(_, zones)| *zones)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_regions_are_well_formed_and_sorted() {
        assert!(KNOWN.is_sorted());
        for (name, _) in KNOWN {
            assert!(Region::new(name).is_ok(), "{name}");
        }
    }

    /// The prefix of a zone's id is its region's name cut short: `apne1` for `ap-northeast-1`.
    fn prefix(region: &str) -> String {
        let [area, direction, number] = region.split('-').collect::<Vec<_>>()[..] else { panic!("{region}") };
        let direction = match direction {
            "northeast" => "ne",
            "southeast" => "se",
            other => &other[..1],
        };
        format!("{area}{direction}{number}")
    }

    #[test]
    fn zones_are_of_their_region_and_take_a_cluster() {
        let refused = ["apne1-az3", "cac1-az3", "use1-az3", "usw1-az2"];
        let mut seen = std::collections::BTreeSet::new();
        for (region, zones) in KNOWN {
            assert!(zones.is_sorted() && zones.len() == if region == "us-west-1" { 2 } else { ZONES }, "{region}");
            for zone in zones {
                let (of, number) = zone.split_once("-az").expect("an id");
                assert_eq!(of, prefix(region), "{zone}");
                assert!(number.parse::<u32>().is_ok_and(|number| (1..=6).contains(&number)), "{zone}");
                assert!(!refused.contains(zone), "{zone}");
                assert!(seen.insert(zone), "{zone} stands twice");
            }
        }
    }
}
