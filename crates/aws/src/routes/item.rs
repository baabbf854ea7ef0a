//! Records, flags and events as DynamoDB items.

use crate::tables::{item, number};
use breaker::{
    EventKey, KeyFlag, Lease, Lot, Millis, Owner, ParkedEvent, Position, Reason, Shared, Stamp, State, StateName,
    Survey,
};
use events::attribute::{AttributeValue, Item};

use super::Oldest;

/// Names of attributes.
pub(super) mod names {
    pub(crate) const PK: &str = "pk";
    pub(crate) const SK: &str = "sk";
    pub(crate) const VERSION: &str = "version";
    pub(crate) const LOT: &str = "lot";
    pub(crate) const PARKS: &str = "parks";
    pub(crate) const SURVEYED_PARKS: &str = "surveyed_parks";
    pub(crate) const SURVEYED_DEPTH: &str = "surveyed_depth";
    pub(crate) const SURVEYED_OLDEST: &str = "surveyed_oldest";
    pub(crate) const SURVEYED_OLDEST_KEY: &str = "surveyed_oldest_key";
    pub(crate) const KEY: &str = "event_key";
    pub(crate) const TAIL_RUN: &str = "tail_run";
    pub(crate) const TAIL_NUMBER: &str = "tail_number";
    pub(crate) const PARKED_AT: &str = "parked_at";
}

/// What the attribute `lot` holds while something may be parked.
pub(super) const IN_USE: &str = "in_use";
/// What it holds otherwise.
const EMPTY: &str = "empty";

/// What a write of the record sets: every attribute but `parks` and what surveys note, which are others' to write.
pub(super) fn of_record(shared: &Shared) -> Vec<(&'static str, AttributeValue)> {
    let Shared { version, state, episode, since, reason, note, parks: _, survey: _ } = shared;
    let lot = match state.lot() {
        Lot::InUse => IN_USE,
        Lot::Empty => EMPTY,
    };
    let (mut until, mut step, mut successes, mut probes) = (0, 0, 0, Vec::new());
    match state {
        State::Open { until: Millis(millis), step: failed } => (until, step) = (*millis, *failed),
        State::HalfOpen { step: failed, probes: leases, successes: good } => {
            (step, successes) = (*failed, *good);
            probes = leases.iter().map(of_lease).collect();
        }
        State::Closed { .. } | State::ForcedOpen | State::ForcedClosed { .. } | State::MetricsOnly { .. } => {}
    }
    vec![
        (names::VERSION, number(*version)),
        ("state", AttributeValue::text(state.name().as_str())),
        (names::LOT, AttributeValue::text(lot)),
        ("until", number(until)),
        ("step", number(step.into())),
        ("successes", number(successes.into())),
        ("probes", AttributeValue::L(probes)),
        ("episode", number(*episode)),
        ("since", number(since.0)),
        ("reason", AttributeValue::text(reason.as_str())),
        // Empty where there is none: a write sets every attribute, so that none is left of an earlier state.
        ("note", AttributeValue::text(note.as_deref().unwrap_or_default())),
    ]
}

fn of_lease(lease: &Lease) -> AttributeValue {
    AttributeValue::M(item([("owner", AttributeValue::text(&*lease.owner.0)), ("expires", number(lease.expires.0))]))
}

/// The record that an item holds, or the name of the attribute that can't be read.
pub(super) fn to_record(item: &Item) -> Result<Shared, &'static str> {
    let lot = match text_of(item, names::LOT)? {
        IN_USE => Lot::InUse,
        EMPTY => Lot::Empty,
        _ => return Err(names::LOT),
    };
    let name = text_of(item, "state")?;
    let small = |attribute| u32::try_from(number_of(item, attribute)?).map_err(|_| attribute);
    let state = match StateName::ALL.into_iter().find(|known| known.as_str() == name).ok_or("state")? {
        StateName::Closed => State::Closed { lot },
        StateName::Open => State::Open { until: Millis(number_of(item, "until")?), step: small("step")? },
        StateName::HalfOpen => {
            let Some(AttributeValue::L(probes)) = item.get("probes") else { return Err("probes") };
            let probes = probes.iter().map(to_lease).collect::<Option<_>>().ok_or("probes")?;
            State::HalfOpen { step: small("step")?, probes, successes: small("successes")? }
        }
        StateName::ForcedOpen => State::ForcedOpen,
        StateName::ForcedClosed => State::ForcedClosed { lot },
        StateName::MetricsOnly => State::MetricsOnly { lot },
    };
    let reason = text_of(item, "reason")?;
    Ok(Shared {
        version: number_of(item, names::VERSION)?,
        state,
        episode: number_of(item, "episode")?,
        since: Millis(number_of(item, "since")?),
        reason: Reason::ALL.into_iter().find(|known| known.as_str() == reason).ok_or("reason")?,
        note: text_of(item, "note").ok().filter(|note| !note.is_empty()).map(Into::into),
        parks: number_of(item, names::PARKS).unwrap_or_default(),
        survey: Survey {
            parks: number_of(item, names::SURVEYED_PARKS).unwrap_or_default(),
            depth: number_of(item, names::SURVEYED_DEPTH).unwrap_or_default(),
            oldest: number_of(item, names::SURVEYED_OLDEST).ok().map(Millis),
            oldest_key: text_of(item, names::SURVEYED_OLDEST_KEY).ok().map(|key| EventKey(key.into())),
        },
    })
}

fn to_lease(value: &AttributeValue) -> Option<Lease> {
    let fields = value.as_map()?;
    let owner = Owner(text_of(fields, "owner").ok()?.into());
    Some(Lease { owner, expires: Millis(number_of(fields, "expires").ok()?) })
}

pub(super) fn of_flag(route: &str, flag: &KeyFlag) -> Item {
    item([
        (names::PK, AttributeValue::text(route)),
        (names::SK, AttributeValue::text(KeyFlag::sort_key(&flag.key))),
        (names::KEY, AttributeValue::text(&*flag.key.0)),
        // A random number of 64 bits fits into DynamoDB's 38 digits.
        (names::TAIL_RUN, number(flag.tail.run)),
        (names::TAIL_NUMBER, number(flag.tail.number)),
    ])
}

pub(super) fn to_flag(item: &Item) -> Result<KeyFlag, &'static str> {
    let tail = Stamp { run: number_of(item, names::TAIL_RUN)?, number: number_of(item, names::TAIL_NUMBER)? };
    Ok(KeyFlag { key: EventKey(text_of(item, names::KEY)?.into()), tail })
}

pub(super) fn of_event(route: &str, event: &ParkedEvent) -> Item {
    let ParkedEvent { key, position, event_id, original_at, parked_at, attempts, episode, body } = event;
    item([
        (names::PK, AttributeValue::text(route)),
        (names::SK, AttributeValue::text(ParkedEvent::sort_key(key, position))),
        (names::KEY, AttributeValue::text(&*key.0)),
        ("position", AttributeValue::text(position.as_str())),
        ("event_id", AttributeValue::text(&**event_id)),
        ("original_at", number(original_at.0)),
        (names::PARKED_AT, number(parked_at.0)),
        ("attempts", number((*attempts).into())),
        ("episode", number(*episode)),
        ("body", AttributeValue::B(body.to_vec())),
    ])
}

pub(super) fn to_event(item: &Item) -> Result<ParkedEvent, &'static str> {
    let Some(AttributeValue::B(body)) = item.get("body") else { return Err("body") };
    Ok(ParkedEvent {
        key: EventKey(text_of(item, names::KEY)?.into()),
        position: Position::new(text_of(item, "position")?).map_err(|_| "position")?,
        event_id: text_of(item, "event_id")?.into(),
        original_at: Millis(number_of(item, "original_at")?),
        parked_at: Millis(number_of(item, names::PARKED_AT)?),
        attempts: u32::try_from(number_of(item, "attempts")?).map_err(|_| "attempts")?,
        episode: number_of(item, "episode")?,
        body: body.as_slice().into(),
    })
}

/// Key and age of an event; nothing if the item has no valid ones.
pub(super) fn to_oldest(item: &Item) -> Option<Oldest> {
    let parked_at = Millis(number_of(item, names::PARKED_AT).ok()?);
    Some(Oldest { parked_at, key: EventKey(text_of(item, names::KEY).ok()?.into()) })
}

fn text_of<'a>(item: &'a Item, name: &'static str) -> Result<&'a str, &'static str> {
    item.get(name).and_then(AttributeValue::as_text).ok_or(name)
}

fn number_of(item: &Item, name: &'static str) -> Result<u64, &'static str> {
    item.get(name).and_then(AttributeValue::as_number).and_then(|digits| digits.parse().ok()).ok_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(state: State) -> Shared {
        Shared {
            version: 7,
            state,
            episode: 3,
            since: Millis(1_000),
            reason: Reason::ProbeFailed,
            note: None,
            parks: 12,
            survey: Survey {
                parks: 10,
                depth: 4,
                oldest: Some(Millis(900)),
                oldest_key: Some(EventKey("orders/a#b".into())),
            },
        }
    }

    fn stored(shared: &Shared) -> Item {
        let others = [
            (names::PARKS, number(shared.parks)),
            (names::SURVEYED_PARKS, number(shared.survey.parks)),
            (names::SURVEYED_DEPTH, number(shared.survey.depth)),
            (names::SURVEYED_OLDEST, number(shared.survey.oldest.expect("one").0)),
            (names::SURVEYED_OLDEST_KEY, AttributeValue::text(&*shared.survey.oldest_key.as_ref().expect("one").0)),
        ];
        of_record(shared).into_iter().chain(others).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn every_record_comes_back() {
        let lease = Lease { owner: Owner("run".into()), expires: Millis(5_000) };
        let states = [
            State::Closed { lot: Lot::Empty },
            State::Closed { lot: Lot::InUse },
            State::Open { until: Millis(77), step: 2 },
            State::HalfOpen { step: 1, probes: vec![lease], successes: 1 },
            State::ForcedOpen,
            State::ForcedClosed { lot: Lot::InUse },
            State::MetricsOnly { lot: Lot::Empty },
        ];
        for state in states {
            let shared = record(state);
            assert_eq!(to_record(&stored(&shared)), Ok(shared.clone()));
            let commanded = Shared { reason: Reason::Operator, note: Some("a switch".into()), ..shared };
            assert_eq!(to_record(&stored(&commanded)), Ok(commanded));
        }
    }

    #[test]
    fn a_record_without_an_attribute_is_refused_by_its_name() {
        let shared = record(State::Open { until: Millis(77), step: 2 });
        for name in [names::VERSION, "state", names::LOT, "until", "step", "episode", "since", "reason"] {
            let mut item = stored(&shared);
            item.remove(name);
            assert_eq!(to_record(&item), Err(name));
        }
    }

    #[test]
    fn flags_and_events_come_back() {
        let flag = KeyFlag { key: EventKey("orders/a#b".into()), tail: Stamp { run: u64::MAX, number: 2 } };
        assert_eq!(to_flag(&of_flag("a#b#c", &flag)), Ok(flag.clone()));
        let event = ParkedEvent {
            key: flag.key,
            position: Position::new("100000000000000000001").expect("digits"),
            event_id: "id".into(),
            original_at: Millis(1),
            parked_at: Millis(2),
            attempts: 3,
            episode: 4,
            body: b"{}".as_slice().into(),
        };
        assert_eq!(to_event(&of_event("a#b#c", &event)), Ok(event));
    }
}
