//! `geo_database` and `geo_layer_version` of `[functions.event-transformer]`: the database of IP addresses.
//!
//! Whoever deploys brings it, with a licence of their own. On AWS it comes in a layer, because a function's code is built
//! from this repository and nothing else is mounted; on the local platform it is a file of this machine.

use contracts::{GeoDatabaseFile, Setting};

use super::Target;
use super::reader::Section;
use super::rule::{Rule, text, whole};

/// The folder in which a function finds what its layers hold (Lambda developer guide, "Layers", read 2026-11).
const LAYERS: &str = "/opt/";

/// Where the transformer's database of addresses comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GeoSource {
    /// There is none: events say `db_absent`.
    None,
    /// A file of this machine; on the local platform only.
    Machine {
        /// Its absolute path.
        path: String,
    },
    /// A file in the layer `tandem-<environment>-geo`, which each region has under the same version; on AWS only.
    Layer {
        /// Its path where the function runs, below `/opt/`.
        path: String,
        /// The layer's version, from 1.
        version: u32,
    },
}

impl GeoSource {
    /// What the function is told.
    pub fn file(&self) -> GeoDatabaseFile {
        match self {
            Self::None => GeoDatabaseFile::None,
            Self::Machine { path } | Self::Layer { path, .. } => GeoDatabaseFile::At(path.clone()),
        }
    }

    /// The version of the layer, if it comes in one.
    pub fn layer_version(&self) -> Option<u32> {
        match self {
            Self::None | Self::Machine { .. } => None,
            Self::Layer { version, .. } => Some(*version),
        }
    }

    pub(super) fn read(section: &mut Section<'_>, target: Option<Target>) -> Option<Self> {
        let path = section.optional("geo_database", &file());
        let version = section.optional("geo_layer_version", &whole(1..=u32::MAX));
        match (target?, path?, version?) {
            (_, None, None) => Some(Self::None),
            (_, None, Some(_)) => {
                let hint = "add `geo_database`, the file's path below `/opt/`, or remove the layer";
                section.mistake("geo_layer_version", "but no `geo_database` is in it", hint);
                None
            }
            (Target::Local, Some(path), None) => Some(Self::Machine { path }),
            (Target::Local, Some(_), Some(_)) => {
                let hint = "remove it: `geo_database` is a file of this machine";
                section.mistake("geo_layer_version", "but the local platform has no layers", hint);
                None
            }
            (Target::Aws, Some(path), Some(version)) if path.starts_with(LAYERS) => Some(Self::Layer { path, version }),
            (Target::Aws, Some(_), Some(_)) => {
                let hint = "write where the layer's file lies in a function, such as \"/opt/geo.mmdb\"";
                section.mistake("geo_database", "which isn't below `/opt/`, where a layer's files are", hint);
                None
            }
            (Target::Aws, Some(_), None) => {
                let hint = "add `geo_layer_version`, the version of the layer with this file, in every region the same";
                section.mistake("geo_database", "but no layer brings that file to AWS", hint);
                None
            }
        }
    }
}

/// A path as the function's contract takes it.
fn file() -> Rule<String> {
    text("write the absolute path of a file, such as \"/opt/geo.mmdb\"", |text| match GeoDatabaseFile::parse(text) {
        Ok(GeoDatabaseFile::At(path)) => Ok(path),
        Ok(GeoDatabaseFile::None) => Err("what stands for no file; leave the key out instead".to_owned()),
        Err(_) => Err("not the absolute path of a file".to_owned()),
    })
}
