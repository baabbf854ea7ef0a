//! Trains the dictionaries of the cross-region envelope and keeps `crates/events/dictionaries` in order.
//!
//! zstd's trainer uses neither clock nor chance, and the samples follow from their numbers. So two runs make the same bytes as
//! long as the samples, the form of a domain event and the version of zstd (pinned in `Cargo.lock`) stay the same.
//! Files are only added here. Which dictionary is used is said by hand, in `crates/events/src/cross_region/dictionary.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use events::cross_region::{self, COMPRESSION_LEVEL, DictionaryId};
use events::domain::{Action, EventType};
use events::{DomainEvent, Entity};
use samples::Set;
use zstd::bulk::Compressor;

/// Events to learn from, per entity: about 4 MB, five hundred times the dictionary. zstd advises a hundred times.
const TRAINING_EVENTS: usize = 4000;
/// Events to measure with, per entity, in [`compare`].
const HELD_OUT_EVENTS: usize = 1000;
/// Bytes of a dictionary: see [`compare`] for what others would save.
const DICTIONARY_BYTES: usize = 8 * 1024;

/// What can go wrong with dictionaries.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {action} `{}`", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("zstd cannot {action}")]
    Zstd { action: &'static str, source: std::io::Error },
    #[error("the dictionaries are not in order:\n  {}", .0.join("\n  "))]
    Disorder(Vec<String>),
}

/// Trains a dictionary for each entity and writes those that aren't there yet.
pub(crate) fn write() -> Result<String, Error> {
    let mut said = Vec::new();
    for entity in Entity::ALL {
        let bytes = trained(entity)?;
        let id = DictionaryId::of(&bytes);
        if knows(id) {
            said.push(format!("{entity}: {id} is in use or known already"));
            continue;
        }
        let path = folder().join(file_name(id));
        fs::write(&path, &bytes).map_err(|source| Error::File { action: "write", path, source })?;
        let line =
            format!("{} bytes written; add to `EMBEDDED`: embedded!({entity:?}, \"{id}\", OpenOnly)", bytes.len());
        said.push(format!("{entity}: {line}"));
    }
    Ok(said.join("\n"))
}

/// Checks that each file is what its name says, that the table and the files are the same set, and that what would be
/// trained now is among them.
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
        let id = DictionaryId::of(&trained(entity)?);
        if !knows(id) {
            problems
                .push(format!("training for {entity} gives {id}, which isn't there; run `cargo xtask dictionaries`"));
        }
    }
    if problems.is_empty() {
        Ok(format!("{} dictionaries are as they were trained, one of each entity as it would be now", files.len()))
    } else {
        Err(Error::Disorder(problems))
    }
}

/// Which of several dictionaries an event of a type gets.
type Scope = fn(EventType) -> usize;

/// Says what other sizes and scopes would save of live held-out events after base64, as a table in Markdown.
pub(crate) fn compare() -> Result<String, Error> {
    let events = |set, count| Entity::ALL.into_iter().flat_map(move |entity| samples::events(set, entity, count));
    let training: Vec<DomainEvent> = events(Set::Training, TRAINING_EVENTS).collect();
    let held_out: Vec<DomainEvent> =
        events(Set::HeldOut, HELD_OUT_EVENTS).filter(|event| event.data.is_some()).collect();

    let mut lines = vec![format!("| dictionary | {} |", Entity::ALL.map(Entity::as_str).join(" | "))];
    lines.push("|---|---|---|---|".to_owned());
    lines.push(row("none", &held_out, |_| 0, &BTreeMap::from([(0, Vec::new())]))?);
    for kib in [4, 8, 16] {
        let scopes: [(&str, Scope); 3] = [
            ("one for all", |_| 0),
            ("one an entity", |kind| kind.entity as usize),
            ("one an event type", |kind| kind.entity as usize * Action::ALL.len() + kind.action as usize),
        ];
        for (scope, place) in scopes {
            let dictionaries = trained_by(&training, place, kib * 1024)?;
            lines.push(row(&format!("{kib} KiB, {scope}"), &held_out, place, &dictionaries)?);
        }
    }
    Ok(lines.join("\n"))
}

/// One line of the comparison: the share saved of each entity's events.
fn row(
    name: &str,
    events: &[DomainEvent],
    place: Scope,
    dictionaries: &BTreeMap<usize, Vec<u8>>,
) -> Result<String, Error> {
    let compress = |source| Error::Zstd { action: "compress a sample", source };
    let mut compressors = BTreeMap::new();
    for (place, dictionary) in dictionaries {
        compressors.insert(*place, Compressor::with_dictionary(COMPRESSION_LEVEL, dictionary).map_err(compress)?);
    }
    let mut cells = Vec::new();
    for entity in Entity::ALL {
        let (mut before, mut after) = (0, 0);
        for event in events.iter().filter(|event| event.entity == entity) {
            let json = event.to_json();
            let compressor =
                compressors.get_mut(&place(event.event_type)).expect("invariant: training has every event type");
            before += json.len();
            after += compressor.compress(json.as_bytes()).map_err(compress)?.len().div_ceil(3) * 4;
        }
        cells.push(format!("{:.1} %", 100.0 - 100.0 * after as f64 / before as f64));
    }
    Ok(format!("| {name} | {} |", cells.join(" | ")))
}

fn trained_by(events: &[DomainEvent], place: Scope, bytes: usize) -> Result<BTreeMap<usize, Vec<u8>>, Error> {
    let mut groups: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for event in events {
        groups.entry(place(event.event_type)).or_default().push(event.to_json());
    }
    groups.into_iter().map(|(place, samples)| Ok((place, train(&samples, bytes)?))).collect()
}

/// The dictionary for an entity's events.
fn trained(entity: Entity) -> Result<Vec<u8>, Error> {
    let samples: Vec<String> =
        samples::events(Set::Training, entity, TRAINING_EVENTS).iter().map(DomainEvent::to_json).collect();
    train(&samples, DICTIONARY_BYTES)
}

fn train(samples: &[String], bytes: usize) -> Result<Vec<u8>, Error> {
    zstd::dict::from_samples(samples, bytes).map_err(|source| Error::Zstd { action: "train a dictionary", source })
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
