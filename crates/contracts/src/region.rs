//! AWS region names.

use std::fmt;
use std::str::FromStr;

/// The name of an AWS region, such as `us-west-2`.
///
/// The form is checked, not the existence: new regions need no release of this crate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(String);

impl Region {
    /// Takes a region name.
    ///
    /// # Errors
    /// When `text` isn't of the form `us-west-2`: lower-case words joined by hyphens, then a number.
    pub fn new(text: &str) -> Result<Self, InvalidRegion> {
        let parts: Vec<&str> = text.split('-').collect();
        let well_formed = match parts.as_slice() {
            [area, places @ .., number] => {
                area.len() == 2
                    && !places.is_empty()
                    && std::iter::once(area)
                        .chain(places)
                        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase()))
                    && matches!(number.as_bytes(), [b'1'..=b'9'])
            }
            _ => false,
        };
        if well_formed { Ok(Self(text.to_owned())) } else { Err(InvalidRegion(text.to_owned())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// One region or more, each once, in a fixed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions(Vec<Region>);

impl Regions {
    /// Takes regions; none when there is no region or one stands twice.
    pub fn new(regions: impl IntoIterator<Item = Region>) -> Option<Self> {
        let regions: Vec<Region> = regions.into_iter().collect();
        let twice = regions.iter().enumerate().any(|(index, region)| regions[..index].contains(region));
        (!regions.is_empty() && !twice).then_some(Self(regions))
    }

    /// Whether `region` is one of them.
    pub fn contains(&self, region: &Region) -> bool {
        self.0.contains(region)
    }

    /// The regions.
    pub fn iter(&self) -> std::slice::Iter<'_, Region> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Regions {
    type Item = &'a Region;
    type IntoIter = std::slice::Iter<'a, Region>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A text that is no region name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an AWS region name such as `us-west-2`")]
pub struct InvalidRegion(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_names() {
        for good in ["us-west-2", "us-east-1", "ap-southeast-2", "us-gov-west-1"] {
            assert_eq!(Region::new(good).expect(good).as_str(), good);
        }
        for bad in
            ["", "us", "us-west", "US-WEST-2", "us-west-0", "us--2", "us-west-2a", "us-west-2 ", "west-2", "us-2"]
        {
            assert!(Region::new(bad).is_err(), "{bad}");
        }
    }
}
