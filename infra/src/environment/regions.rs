//! `[[regions]]`: where the system runs, which region is home, and in which order regions are deployed.

use contracts::Region;

use super::network::{Cidr, cidr};
use super::reader::{Section, nearest};
use super::rule::{Problem, Rule, one_of, text, whole};

/// Regions of the standard partition, from AWS's table of regions and zones (read 2026-11-21).
///
/// Some need opting in; an account that hasn't is told so by AWS.
const KNOWN: [&str; 34] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

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
}

/// Reads the regions, two or more: one of them primary, none twice. The primary comes first, the others in file order.
pub(super) fn read(root: &mut Section<'_>) -> Option<Vec<RegionSettings>> {
    let mut regions = root.sections("regions", |section| {
        let region = section.required("name", &region());
        let role = section.required("role", &one_of(&[("primary", Role::Primary), ("secondary", Role::Secondary)]));
        let wave = section.required("wave", &whole(1..=9));
        let network = section.required("network", &cidr(16..=18));
        Some(RegionSettings { region: region?, role: role?, wave: wave?, network: network? })
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
            if KNOWN.contains(&name.as_str()) {
                return Ok(());
            }
            let hint = match nearest(name, &KNOWN) {
                Some(known) => format!("did you mean \"{known}\"?"),
                None => "write the name of an AWS region, such as \"us-west-2\"".to_owned(),
            };
            Err(Problem { phrase: "not a known region".to_owned(), hint })
        })
        .map(|name| Region::new(&name).expect("every known region is well-formed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_regions_are_well_formed_and_sorted() {
        assert!(KNOWN.is_sorted());
        for name in KNOWN {
            assert!(Region::new(name).is_ok(), "{name}");
        }
    }
}
