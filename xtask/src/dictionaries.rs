//! Trains the dictionaries of the cross-region envelope and keeps `crates/events/dictionaries` in order.
//!
//! zstd's trainer uses neither clock nor chance, and the samples follow from their numbers. So two runs make the same bytes as
//! long as the samples, the form of a domain event and the version of zstd (pinned in `Cargo.lock`) stay the same.
//! Files are only added here. Which dictionary is used is said by hand, in `crates/events/src/cross_region/dictionary.rs`.
//!
//! A dictionary holds pieces of what it was trained on, word for word, and the file is checked in. So real events may be
//! used only after everything about persons was replaced, and with the consent of those who own them.

mod comparison;
mod training;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use events::Entity;
use events::cross_region::{self, DictionaryId};

pub(crate) use comparison::compare;

/// What can go wrong with dictionaries.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {action} `{}`", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("zstd cannot {action}")]
    Zstd { action: &'static str, source: std::io::Error },
    #[error("{}:{line}: this is no domain event", path.display())]
    NoEvent { path: PathBuf, line: usize, source: serde_json::Error },
    #[error("{}:{line}: this is an event of `{found}`; the file is for `{expected}`", path.display())]
    OtherEntity { path: PathBuf, line: usize, expected: Entity, found: Entity },
    #[error("`{}` has {bytes} bytes of events; training takes at least {least}", path.display())]
    TooFew { path: PathBuf, bytes: usize, least: usize },
    #[error("`{}` has none of the files `customers.jsonl`, `orders.jsonl` and `products.jsonl`", .0.display())]
    NoFiles(PathBuf),
    #[error("the dictionaries are not in order:\n  {}", .0.join("\n  "))]
    Disorder(Vec<String>),
}

/// Trains a dictionary for each entity on made-up events and writes those that aren't there yet.
pub(crate) fn write() -> Result<String, Error> {
    let said: Result<Vec<String>, Error> =
        Entity::ALL.into_iter().map(|entity| add(entity, &training::from_samples(entity)?)).collect();
    Ok(said?.join("\n"))
}

/// Trains on the events in `<folder>/<entity>.jsonl`, one a line, and writes the dictionaries that aren't there yet.
pub(crate) fn write_from(folder: &Path) -> Result<String, Error> {
    let mut said = Vec::new();
    for entity in Entity::ALL {
        if let Some(bytes) = training::from_file(entity, &folder.join(format!("{entity}.jsonl")))? {
            said.push(add(entity, &bytes)?);
        }
    }
    if said.is_empty() { Err(Error::NoFiles(folder.to_owned())) } else { Ok(said.join("\n")) }
}

/// Checks that each file is what its name says, that the table and the files are the same set, and that what training on
/// made-up events gives now is among them.
pub(crate) fn check() -> Result<String, Error> {
    let mut problems = Vec::new();
    let files = files()?;
    for (name, bytes) in &files {
        let id = DictionaryId::of(bytes);
        if *name != file_name(id) {
            problems.push(format!("`{name}` holds the dictionary {id}: it was changed; restore it"));
        } else if !knows(id) {
            problems.push(format!("`{name}` isn't in the table `EMBEDDED`; add or remove it"));
        }
    }
    for dictionary in cross_region::dictionaries() {
        if !files.contains_key(&file_name(dictionary.id())) {
            problems.push(format!("the table `EMBEDDED` has {}, which has no file; restore it", dictionary.id()));
        }
    }
    for entity in Entity::ALL {
        let id = DictionaryId::of(&training::from_samples(entity)?);
        if !knows(id) {
            problems
                .push(format!("training for {entity} gives {id}, which isn't there; run `cargo xtask dictionaries`"));
        }
    }
    if problems.is_empty() {
        Ok(format!("{} dictionaries are what their names say; training gives the known ones again", files.len()))
    } else {
        Err(Error::Disorder(problems))
    }
}

/// Writes a dictionary if it is new, and says what is to be done with it.
fn add(entity: Entity, bytes: &[u8]) -> Result<String, Error> {
    let id = DictionaryId::of(bytes);
    if knows(id) {
        return Ok(format!("{entity}: {id} is in the table `EMBEDDED` already"));
    }
    let path = folder().join(file_name(id));
    fs::write(&path, bytes).map_err(|source| Error::File { action: "write", path, source })?;
    Ok(format!("{entity}: {} bytes written; add to `EMBEDDED`: embedded!({entity:?}, \"{id}\", OpenOnly)", bytes.len()))
}

fn knows(id: DictionaryId) -> bool {
    cross_region::missing_dictionaries([id]).is_empty()
}

fn file_name(id: DictionaryId) -> String {
    format!("{id}.zdict")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/events/dictionaries")
}

/// Every file of the folder by name, with its bytes.
fn files() -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let folder = folder();
    let list = |source| Error::File { action: "list", path: folder.clone(), source };
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(&folder).map_err(list)? {
        let path = entry.map_err(list)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&path).map_err(|source| Error::File { action: "read", path, source })?;
        files.insert(name, bytes);
    }
    Ok(files)
}
