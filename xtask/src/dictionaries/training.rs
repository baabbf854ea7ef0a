//! Training: from events to the bytes of a dictionary.

use std::fs;
use std::path::Path;

use events::{DomainEvent, Entity};
use samples::Set;

use super::Error;

/// Made-up events to learn from, per entity: about 4 MB.
pub(super) const TRAINING_EVENTS: usize = 4000;
/// Bytes of a dictionary: `cargo xtask dictionaries --compare` says what others would save.
const DICTIONARY_BYTES: usize = 8 * 1024;
/// zstd advises samples of about a hundred times the dictionary's size; half of that is refused here.
const LEAST_SAMPLE_BYTES: usize = 50 * DICTIONARY_BYTES;

/// The dictionary for an entity's events, from made-up ones.
pub(super) fn from_samples(entity: Entity) -> Result<Vec<u8>, Error> {
    let samples: Vec<String> =
        samples::events(Set::Training, entity, TRAINING_EVENTS).iter().map(DomainEvent::to_json).collect();
    train(&samples, DICTIONARY_BYTES)
}

/// The dictionary for an entity's events, from a file with one domain event a line, or nothing if the file isn't there.
pub(super) fn from_file(entity: Entity, path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|source| Error::File { action: "read", path: path.to_owned(), source })?,
    };
    let mut samples = Vec::new();
    for (line, json) in (1..).zip(text.lines()) {
        let event: DomainEvent =
            serde_json::from_str(json).map_err(|source| Error::NoEvent { path: path.to_owned(), line, source })?;
        if event.entity != entity {
            return Err(Error::OtherEntity { path: path.to_owned(), line, expected: entity, found: event.entity });
        }
        // As it is sealed, whatever white space the file has.
        samples.push(event.to_json());
    }
    let bytes = samples.iter().map(String::len).sum();
    if bytes < LEAST_SAMPLE_BYTES {
        return Err(Error::TooFew { path: path.to_owned(), bytes, least: LEAST_SAMPLE_BYTES });
    }
    train(&samples, DICTIONARY_BYTES).map(Some)
}

/// A dictionary of so many bytes at most.
pub(super) fn train(samples: &[String], bytes: usize) -> Result<Vec<u8>, Error> {
    zstd::dict::from_samples(samples, bytes).map_err(|source| Error::Zstd { action: "train a dictionary", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_is_deterministic() {
        let samples: Vec<String> =
            samples::events(Set::Training, Entity::Orders, 400).iter().map(DomainEvent::to_json).collect();
        let once = train(&samples, 4096).expect("trains");
        assert_eq!(train(&samples, 4096).expect("trains"), once);
        assert_ne!(train(&samples[1..], 4096).expect("trains"), once);
    }

    #[test]
    fn files_give_what_the_same_events_give() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("orders.jsonl");
        let file = |entity, path: &Path| from_file(entity, path).map_err(|error| error.to_string());
        assert_eq!(file(Entity::Orders, &path), Ok(None));

        let lines = |count| {
            let events = samples::events(Set::Training, Entity::Orders, count);
            events.iter().map(|event| event.to_json() + "\n").collect::<String>()
        };
        fs::write(&path, lines(TRAINING_EVENTS)).expect("written");
        assert_eq!(file(Entity::Orders, &path), Ok(Some(from_samples(Entity::Orders).expect("trains"))));
        assert!(file(Entity::Products, &path).expect_err("orders").contains(":1: this is an event of `orders`"));

        fs::write(&path, lines(100)).expect("written");
        assert!(file(Entity::Orders, &path).expect_err("few").contains("at least 409600"));
        fs::write(&path, lines(1) + "{}").expect("written");
        assert!(file(Entity::Orders, &path).expect_err("no event").contains("orders.jsonl:2: this is no domain event"));
    }
}
