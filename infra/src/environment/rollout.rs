//! `[rollout]`: how a release goes from wave to wave.

use std::time::Duration;

use super::reader::Section;
use super::rule::{Problem, seconds};

/// The longest that CloudFormation watches alarms after an update
/// (`RollbackConfiguration`, CloudFormation API reference, read 2026-12).
const LONGEST: Duration = Duration::from_secs(180 * 60);

/// How a release goes from wave to wave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RolloutSettings {
    /// How long the region's alarm is watched after each update of a stack of `events`, `api` and `cluster`: whole minutes up
    /// to 180. If it rings meanwhile, CloudFormation undoes that stack's update, and what depends on it isn't tried. Nothing is
    /// watched when it is zero.
    pub bake: Duration,
}

impl RolloutSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let minutes = seconds(Duration::ZERO..=LONGEST).and(|bake| match bake.as_secs() % 60 {
            0 => Ok(()),
            _ => Err(Problem {
                phrase: "not a number of whole minutes".to_owned(),
                hint: "write whole minutes, such as \"10m\"".to_owned(),
            }),
        });
        Some(Self { bake: section.required("bake", &minutes)? })
    }
}
