//! What dictionaries of other sizes and scopes would save: why those that there are have 8 KiB and an entity each.

use std::collections::BTreeMap;

use events::cross_region::COMPRESSION_LEVEL;
use events::domain::{Action, EventType};
use events::{DomainEvent, Entity};
use samples::Set;
use zstd::bulk::Compressor;

use super::Error;
use super::training::{TRAINING_EVENTS, train};

/// Events to measure with, per entity.
const HELD_OUT_EVENTS: usize = 1000;

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

/// Which of several dictionaries an event of a type gets.
type Scope = fn(EventType) -> usize;

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
