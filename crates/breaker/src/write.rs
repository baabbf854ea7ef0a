//! Writes of the shared record, as values that a store carries out.
//!
//! A write holds only while the record's version is the one that was read.

use crate::shared::{Shared, Transition};

/// What should follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Step {
    /// Nothing is to be written.
    Keep,
    /// The record is to be written.
    Write(Box<Write>),
}

/// A conditional write of the record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Write {
    /// The record after it. The write sets every attribute but `parks` and `survey`, which it leaves as they are.
    pub next: Shared,
    /// What must hold of the stored record for the write to take place.
    pub condition: Condition,
    /// What to tell once it took place; nothing if the state's name stays.
    pub transition: Option<Transition>,
}

/// What must hold of the stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// There is none.
    Absent,
    /// It has this version.
    Version(u64),
    /// It has this version, and nothing was parked since it was read.
    VersionAndParks {
        /// The version that was read.
        version: u64,
        /// The number of parks that was read.
        parks: u64,
    },
}

impl Condition {
    /// Whether it holds of the stored record.
    pub fn holds(self, stored: Option<&Shared>) -> bool {
        match (self, stored) {
            (Self::Absent, stored) => stored.is_none(),
            (_, None) => false,
            (Self::Version(version), Some(stored)) => stored.version == version,
            (Self::VersionAndParks { version, parks }, Some(stored)) => {
                stored.version == version && stored.parks == parks
            }
        }
    }
}

impl Write {
    /// What the store holds afterwards, or nothing if the condition doesn't hold: the meaning of a write, for stores that
    /// live in memory and as a pattern for others.
    pub fn apply(&self, stored: Option<&Shared>) -> Option<Shared> {
        if !self.condition.holds(stored) {
            return None;
        }
        let (parks, survey) = stored.map(|stored| (stored.parks, stored.survey.clone())).unwrap_or_default();
        Some(Shared { parks, survey, ..self.next.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Survey;
    use crate::state::State;
    use crate::time::Millis;

    #[test]
    fn a_write_leaves_parks_and_survey_as_they_are() {
        let before = Shared { version: 3, ..Shared::absent() };
        let next = Shared { version: 4, state: State::ForcedOpen, ..before.clone() };
        let write = Write { next, condition: Condition::Version(3), transition: None };
        let survey = Survey { parks: 11, depth: 2, oldest: Some(Millis(1)), oldest_key: None };
        let stored = Shared { parks: 12, survey: survey.clone(), ..before };
        let after = write.apply(Some(&stored)).expect("the version is the same");
        assert_eq!((&after.state, after.parks, &after.survey), (&State::ForcedOpen, 12, &survey));
        assert_eq!(write.apply(Some(&after)), None, "it takes place once");
        assert_eq!(write.apply(None), None);
    }

    #[test]
    fn a_record_is_created_once() {
        let write = Write { next: Shared::absent(), condition: Condition::Absent, transition: None };
        assert!(write.apply(None).is_some());
        assert_eq!(write.apply(Some(&Shared::absent())), None);
    }
}
