//! Compares the dead-letter topic with the messages that can't be applied.
//!
//! A letter may be there several times: it is sent before the offset of its message is committed, and a consumer may die in
//! between. So letters of one place (topic, partition and offset) count as one, and the set of places must be the same.

use std::collections::BTreeMap;
use std::fmt;

use crate::expected::Expected;

/// Where a message lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, offset } = self;
        write!(f, "{topic}/{partition}@{offset}")
    }
}

/// A dead letter, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Where its message lies.
    pub place: Place,
    /// The message's number; none if the letter doesn't have the header.
    pub number: Option<u64>,
    /// Why it wasn't applied.
    pub class: String,
}

/// A dead letter that isn't what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterDifference {
    /// A message that can't be applied has no letter.
    Lost(Place),
    /// A letter of a message that can be applied.
    Unknown(Letter),
    /// A letter that names another class or another message than it must.
    Differs {
        /// The letter.
        found: Letter,
        /// The message's number.
        number: u64,
        /// The class that it must have.
        class: &'static str,
    },
    /// A message that was to be sent isn't in its topic.
    Unsent(u64),
}

impl fmt::Display for LetterDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(place) => write!(f, "the message at {place} can't be applied and has no dead letter"),
            Self::Unknown(Letter { place, class, .. }) => {
                write!(f, "the message at {place} can be applied and has a dead letter with class `{class}`")
            }
            Self::Differs { found: Letter { place, number: found, class: found_class }, number, class } => write!(
                f,
                "the dead letter of the message at {place} has class `{found_class}` and number {} instead of \
                 `{class}` and {number}",
                found.map_or_else(|| "none".to_owned(), |number| number.to_string())
            ),
            Self::Unsent(number) => write!(f, "message {number} isn't in its topic"),
        }
    }
}

impl Expected {
    /// What is wrong with the dead letters.
    ///
    /// `log` says where the messages that can't be applied lie, by their number in each; a producer that sent again what the
    /// broker had already leaves one at two places. `letters` are all letters.
    pub fn compare_letters(&self, log: &BTreeMap<Place, u64>, letters: &[Letter]) -> Vec<LetterDifference> {
        let mut differences = Vec::new();
        let mut missing = log.clone();
        for letter in letters {
            missing.remove(&letter.place);
            let Some(number) = log.get(&letter.place) else {
                differences.push(LetterDifference::Unknown(letter.clone()));
                continue;
            };
            let class = self.poison().get(number).map_or("none", |poison| poison.class());
            if letter.number != Some(*number) || letter.class != class {
                differences.push(LetterDifference::Differs { found: letter.clone(), number: *number, class });
            }
        }
        differences.extend(missing.into_keys().map(LetterDifference::Lost));
        let sent: std::collections::BTreeSet<u64> = log.values().copied().collect();
        let unsent = self.poison().keys().filter(|number| !sent.contains(number));
        differences.extend(unsent.copied().map(LetterDifference::Unsent));
        differences
    }
}
