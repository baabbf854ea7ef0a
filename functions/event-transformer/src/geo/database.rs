//! The database of addresses: a file in MaxMind's format, brought by whoever deploys.
//!
//! A function that can't read its database works on without one. So a file is refused as a whole, with the reason, and
//! never half used. Its bytes aren't trusted: how much is read is limited, and what a damaged record leads to is an error
//! and no panic.

use events::dead_letter::caught;
use events::geo::{ContinentCode, CountryCode, Geo, GeoDatabaseId, GeoStatus};
use maxminddb::{MaxMindDbError, Reader};
use serde::Deserialize;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

/// The largest file that is read, in bytes. Databases of countries have 5 to 10 MB; the function has little memory.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;
/// Most bytes of a database's name, which stands in every event.
const LONGEST_NAME: usize = 128;
/// The end of the year 9999.
const LATEST_BUILD: u64 = 253_402_300_799;

/// A database of addresses, in memory.
pub struct GeoDatabase {
    id: GeoDatabaseId,
    reader: Reader<Vec<u8>>,
}

impl GeoDatabase {
    /// Reads a database file of at most 64 MiB.
    ///
    /// Of its records `country.iso_code` and `continent.code` are used, or `country_code` and `continent_code` where a
    /// record is flat.
    ///
    /// # Errors
    /// When the file can't be read, is too large, or is no database.
    pub fn open(path: &Path) -> Result<Self, GeoDatabaseError> {
        let file = File::open(path).map_err(GeoDatabaseError::Unreadable)?;
        let metadata = file.metadata().map_err(GeoDatabaseError::Unreadable)?;
        if !metadata.is_file() {
            return Err(GeoDatabaseError::NoFile);
        }
        // A file that isn't changed gives exactly so many bytes; room is made for them and no more.
        let expected = usize::try_from(metadata.len().min(LARGEST_FILE)).unwrap_or_default();
        let mut bytes = Vec::with_capacity(expected.saturating_add(1));
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(GeoDatabaseError::Unreadable)?;
        Self::from_bytes(bytes)
    }

    /// Takes the bytes of a database file; [`GeoDatabase::open`] says of what form.
    ///
    /// # Errors
    /// When there are too many, or they are no database.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, GeoDatabaseError> {
        // The library is made for damaged files; should it panic on one all the same, that is a damaged file too.
        caught(|| Self::read(bytes)).unwrap_or_else(|message| Err(GeoDatabaseError::Panicked { message }))
    }

    /// Which database it is.
    pub fn id(&self) -> &GeoDatabaseId {
        &self.id
    }

    /// Where an address lies whose first `kept_bits` bits are kept. It should be one that can be somebody's.
    pub(super) fn look_up(&self, address: IpAddr, kept_bits: u8) -> Geo {
        let found = caught(|| self.find(address, kept_bits));
        found.ok().and_then(Result::ok).unwrap_or_else(|| self.status(GeoStatus::DatabaseAbsent))
    }

    fn read(bytes: Vec<u8>) -> Result<Self, GeoDatabaseError> {
        if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST_FILE) {
            return Err(GeoDatabaseError::TooLarge);
        }
        // Hashed before: the reader keeps the bytes to itself.
        let unnamed = GeoDatabaseId::of_file("", 0, &bytes);
        let reader = Reader::from_source(bytes).map_err(GeoDatabaseError::NoDatabase)?;
        let metadata = reader.metadata();
        let name = metadata.database_type.clone();
        if !(1..=LONGEST_NAME).contains(&name.len()) || metadata.build_epoch > LATEST_BUILD {
            return Err(GeoDatabaseError::Unnamed);
        }
        let id = GeoDatabaseId { name, build_epoch: metadata.build_epoch, ..unnamed };
        Ok(Self { id, reader })
    }

    fn find(&self, address: IpAddr, kept_bits: u8) -> Result<Geo, MaxMindDbError> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Ok(self.status(GeoStatus::Miss));
        }
        let found = self.reader.lookup(address)?;
        let network = found.network()?;
        // An IPv6 database without IPv4 answers for all of IPv4 at once, with a network of IPv6.
        let answered_bits = if network.is_ipv4() == address.is_ipv4() { network.prefix() } else { 0 };
        if answered_bits > kept_bits {
            return Ok(self.status(GeoStatus::Ambiguous));
        }
        let (country, continent) = found.decode::<Record<'_>>()?.unwrap_or_default().codes();
        let status = if country.is_none() && continent.is_none() { GeoStatus::Miss } else { GeoStatus::Hit };
        Ok(Geo { country, continent, ..self.status(status) })
    }

    fn status(&self, status: GeoStatus) -> Geo {
        Geo::of_status(status, Some(self.id.clone()))
    }
}

/// Without the file's bytes.
impl fmt::Debug for GeoDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, reader: _ } = self;
        f.debug_struct("GeoDatabase").field("id", id).finish_non_exhaustive()
    }
}

/// What is used of a record.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    country: Country<'a>,
    #[serde(borrow)]
    continent: Continent<'a>,
    country_code: Option<&'a str>,
    continent_code: Option<&'a str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Country<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Continent<'a> {
    code: Option<&'a str>,
}

impl Record<'_> {
    /// What is no code counts as absent.
    fn codes(&self) -> (Option<CountryCode>, Option<ContinentCode>) {
        let country = self.country.iso_code.or(self.country_code);
        let continent = self.continent.code.or(self.continent_code);
        (country.and_then(|text| text.parse().ok()), continent.and_then(|text| text.parse().ok()))
    }
}

/// Why a file can't be used as a database of addresses.
#[derive(Debug, thiserror::Error)]
pub enum GeoDatabaseError {
    /// It can't be read, or isn't there.
    #[error("the file can't be read")]
    Unreadable(#[source] io::Error),
    /// A folder, a device or the like.
    #[error("the path leads to something else than a file")]
    NoFile,
    /// It is larger than the function has room for.
    #[error("the file is larger than 64 MiB; a database of countries has 5 to 10 MB")]
    TooLarge,
    /// It isn't of MaxMind's format, or damaged.
    #[error("the file is no database in MaxMind's format")]
    NoDatabase(#[source] MaxMindDbError),
    /// What the database says of itself couldn't be told in events.
    #[error("the database has no name of 1 to 128 bytes, or was built after the year 9999")]
    Unnamed,
    /// The reader panicked on it.
    #[error("the file is damaged: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
}

#[cfg(test)]
mod tests;
