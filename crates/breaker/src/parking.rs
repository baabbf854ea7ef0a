//! Parking: events that can't be sent now are put aside, and sent later in the order of their keys.
//!
//! The lot of a route is one partition of a table. It holds one [`KeyFlag`] for each key that has parked events, and the
//! [`ParkedEvent`]s. Both are items with a sort key (`parked#K` and `event#length#K#position`), so that one query finds the flags
//! in any case, one finds the events of a key from the oldest on, and one sees whether there is anything at all.
//!
//! The values here are what a store does, one to one; they don't do it.

mod drain;
mod park;

pub use drain::{ClearFlag, DeleteEvent, KeyDrain, KeyStep, Ramp};
pub use park::{FollowUp, InvalidPark, ParkAnswer, ParkWrite, Stamp, Stamps};

use crate::time::Millis;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// What events are kept in order by. Events of different keys have no order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey(pub Arc<str>);

impl EventKey {
    /// Bytes of a key that stand in a sort key as they are. A sort key has 1,024 bytes at most (DynamoDB quotas), and up to
    /// 60 of them are not the key's.
    const LONGEST: usize = 900;

    /// The key as it stands in sort keys: itself, or its beginning and its hash.
    fn in_sort_key(&self) -> Cow<'_, str> {
        if self.0.len() <= Self::LONGEST {
            return Cow::Borrowed(&self.0);
        }
        let beginning = &self.0[..self.0.floor_char_boundary(Self::LONGEST - 128)];
        let hash = Sha256::digest(self.0.as_bytes());
        let mut named = format!("{beginning}~");
        hash.iter().for_each(|byte| named.push_str(&format!("{byte:02x}")));
        Cow::Owned(named)
    }
}

/// The place of an event among those of its key: the sequence number of its stream record.
///
/// Invariant: 40 digits, so that the order of the bytes is the order of the numbers.
/// (DynamoDB API Reference, `StreamRecord`: a sequence number has 21 to 40 digits.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(Arc<str>);

impl Position {
    const DIGITS: usize = 40;

    /// The place with the sequence number `digits`.
    ///
    /// # Errors
    /// It isn't 1 to 40 digits.
    pub fn new(digits: &str) -> Result<Self, InvalidPosition> {
        let valid = (1..=Self::DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if valid { Ok(Self(format!("{digits:0>40}").into())) } else { Err(InvalidPosition(digits.into())) }
    }

    /// The 40 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no sequence number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no sequence number; expected 1 to 40 digits")]
pub struct InvalidPosition(pub Box<str>);

/// The sign that a key has parked events, so that later ones must be parked too.
///
/// Invariant: while an event of the key is parked, the flag is there. The two are written in one transaction, and the flag
/// is deleted only after the key was seen without events and only if none was parked meanwhile ([`ClearFlag`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyFlag {
    /// The key.
    pub key: EventKey,
    /// The tail: the mark of the key's last park.
    pub tail: Stamp,
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParkedEvent {
    /// Its key.
    pub key: EventKey,
    /// Its place among the events of its key.
    pub position: Position,
    /// Its id, which it keeps when it is sent again: receivers take each id once.
    pub event_id: Arc<str>,
    /// When the change happened that it tells of.
    pub original_at: Millis,
    /// When it was parked.
    pub parked_at: Millis,
    /// How often it was tried before it was parked.
    pub attempts: u32,
    /// The breaker's episode in which it was parked.
    pub episode: u64,
    /// The event as it is sent.
    pub body: Arc<[u8]>,
}

impl ParkedEvent {
    /// The deletion that may follow once the peer has acknowledged the event, and not before: if the drain dies between
    /// the two, the event is sent again with the same id.
    pub fn acknowledged(&self) -> DeleteEvent {
        DeleteEvent { key: self.key.clone(), position: self.position.clone() }
    }
}

impl KeyFlag {
    /// What the sort keys of all flags begin with.
    pub const PREFIX: &'static str = "parked#";

    /// The sort key of the flag of `key`.
    pub fn sort_key(key: &EventKey) -> String {
        format!("{}{}", Self::PREFIX, key.in_sort_key())
    }
}

impl ParkedEvent {
    /// What the sort keys of all events begin with.
    pub const PREFIX: &'static str = "event#";

    /// What the sort keys of the events of `key`, and no others, begin with. The key's length in bytes stands before it,
    /// because a key may hold a `#` itself.
    pub fn key_prefix(key: &EventKey) -> String {
        format!("{}{}#{}#", Self::PREFIX, key.0.len(), key.in_sort_key())
    }

    /// The sort key of the event of `key` at `position`.
    pub fn sort_key(key: &EventKey, position: &Position) -> String {
        format!("{}{position}", Self::key_prefix(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position(digits: &str) -> Position {
        Position::new(digits).expect("digits")
    }

    #[test]
    fn a_position_is_digits() {
        assert_eq!(position("7").as_str().len(), 40);
        assert!(position("99") < position("100"));
        for bad in ["", "-1", "1a", &"1".repeat(41)] {
            assert!(Position::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_of_any_length_have_sort_keys_of_their_own() {
        let key = |text: String| EventKey(text.into());
        let long =
            [key("ü".repeat(1_024)), key(format!("{}a", "x".repeat(2_047))), key(format!("{}b", "x".repeat(2_047)))];
        let place = position("7");
        for one in &long {
            assert!(ParkedEvent::sort_key(one, &place).len() <= 1_024);
            assert!(KeyFlag::sort_key(one).len() <= 1_024);
            assert!(ParkedEvent::sort_key(one, &place).starts_with(&ParkedEvent::key_prefix(one)));
            let alike = long.iter().filter(|other| KeyFlag::sort_key(other) == KeyFlag::sort_key(one)).count();
            assert_eq!(alike, 1);
        }
    }

    proptest! {
        #[test]
        fn sort_keys_are_in_the_order_of_positions(left in any::<u128>(), right in any::<u128>()) {
            let sort_key = |number: u128| ParkedEvent::sort_key(&EventKey("k".into()), &position(&number.to_string()));
            prop_assert_eq!(sort_key(left).cmp(&sort_key(right)), left.cmp(&right));
        }

        #[test]
        fn a_keys_prefix_is_that_of_no_other_key(left in "[a#0-9]{0,6}", right in "[a#0-9]{0,6}", number in any::<u64>()) {
            let [left, right] = [left, right].map(|key| EventKey(key.into()));
            let sort_key = ParkedEvent::sort_key(&left, &position(&number.to_string()));
            prop_assert_eq!(sort_key.starts_with(&ParkedEvent::key_prefix(&right)), left == right);
        }
    }
}
