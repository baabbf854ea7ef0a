//! Where an event's address lies, and what stays of the address.
//!
//! Which member holds the address is said by the rules. The answer is that for everything that the kept address may stand
//! for: an event whose address is truncated already gets the same one, and the answer tells nothing about what was cut
//! off. No answer is ever a reason to refuse an event or to let somebody do something.
//!
//! Nothing here asks a network, and only [`GeoDatabase::open`] asks a disk.

mod address;
mod database;

pub use database::{GeoDatabase, GeoDatabaseError};

pub(crate) use address::{Precision, read};

use crate::document::{Pointer, Value};
use address::Purpose;
use contracts::GeoDatabaseFile;
use events::dead_letter::chain;
use events::geo::{Geo, GeoStatus};
use std::net::IpAddr;
use std::path::Path;

/// Opens the database of addresses, if there is one that can be used, and says so in the log and in a metric.
///
/// Events are worth more than where they come from: without a database they say `db_absent`, and the function works on.
pub fn open(file: &GeoDatabaseFile) -> Option<GeoDatabase> {
    let database = match file {
        GeoDatabaseFile::None => None,
        GeoDatabaseFile::At(path) => match GeoDatabase::open(Path::new(path)) {
            Ok(database) => {
                let id = database.id();
                tracing::info!(name = id.name, build_epoch = id.build_epoch, sha256 = id.sha256, "geo database loaded");
                Some(database)
            }
            Err(error) => {
                tracing::warn!(path, error = chain(&error), "geo database not usable; events say `db_absent`");
                None
            }
        },
    };
    telemetry::GEO_DATABASE_LOADED.set(&[], if database.is_some() { 1.0 } else { 0.0 });
    database
}

/// What the rules say about addresses.
#[derive(Clone, Debug)]
pub(crate) struct GeoRule {
    /// The member that holds the address.
    pub(crate) address: Pointer,
    /// What is kept of it.
    pub(crate) precision: Precision,
}

/// What is known of an event's address, and what the address becomes if it was one.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) geo: Geo,
    pub(crate) kept: Option<IpAddr>,
}

/// Looks at the address of `event`, which isn't changed.
pub(crate) fn locate(event: &Value<'_>, rule: &GeoRule, database: Option<&GeoDatabase>) -> Located {
    let id = database.map(|database| database.id().clone());
    let without_address = |status| Located { geo: Geo::of_status(status, id.clone()), kept: None };
    let text = match event.find(&rule.address) {
        None | Some(Value::Null) => return without_address(GeoStatus::NoAddress),
        Some(value) => value.as_text(),
    };
    let Some(address) = text.as_deref().and_then(read) else {
        return without_address(GeoStatus::Invalid);
    };
    let kept = rule.precision.kept(address);
    let geo = match (Purpose::of(address), database) {
        (Purpose::Private, _) => Geo::of_status(GeoStatus::Private, id),
        (Purpose::Reserved, _) => Geo::of_status(GeoStatus::Reserved, id),
        (Purpose::Public, None) => Geo::of_status(GeoStatus::DatabaseAbsent, id),
        (Purpose::Public, Some(database)) => database.look_up(address, rule.precision.bits(address)),
    };
    Located { geo, kept: Some(kept) }
}

#[cfg(test)]
#[path = "../tests/mmdb/mod.rs"]
pub(crate) mod mmdb;

#[cfg(test)]
mod tests;
