//! `--dry-run`: what a run would replay. Reads the queue to its end, changes nothing and shows everything again at once.

use std::collections::BTreeMap;

use events::Timestamp;
use events::dead_letter::chain;
use serde::Serialize;

use super::filter::is_meant;
use super::plan::{Letter, plan};
use super::port::{CallFailed, Port};
use super::report::{Failed, counted};
use super::work::{HIDDEN_FOR, IDLE_BATCHES, Met, Run};
use crate::ui::table;

/// What stands for the error class of a message that is no letter.
const NO_CLASS: &str = "(as it came)";

/// What a run would replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// The environment.
    pub environment: String,
    /// The queue's region.
    pub region: String,
    /// The queue, without system and environment.
    pub queue: String,
    /// How many messages would be replayed.
    pub replayable: usize,
    /// How many the filter leaves out.
    pub skipped: usize,
    /// Messages that can't be replayed, with the reasons.
    pub failed: Vec<Failed>,
    /// The messages that would be replayed, by their error class.
    pub classes: Vec<Class>,
    /// The letters that would be replayed, without their bodies.
    pub letters: Vec<Letter>,
}

/// The messages of one error class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Class {
    /// The class.
    pub error_class: String,
    /// How many there are.
    pub count: usize,
    /// When the oldest came into the queue, as far as that is known.
    pub oldest: Option<Timestamp>,
    /// When the newest did.
    pub newest: Option<Timestamp>,
}

impl Survey {
    /// The survey for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}"));
        let heading = ["error class", "count", "oldest", "newest"].map(str::to_owned).to_vec();
        let rows = self.classes.iter().map(|class| {
            vec![class.error_class.clone(), class.count.to_string(), time(class.oldest), time(class.newest)]
        });
        let mut lines = Vec::new();
        if !self.classes.is_empty() {
            lines.extend(table(&[heading].into_iter().chain(rows).collect::<Vec<_>>()));
        }
        let replayable = counted(self.replayable, "message");
        lines.push(format!("{replayable} of `{}` in {} would be replayed", self.queue, self.region));
        if self.skipped > 0 {
            lines.push(format!("left out by the filter: {}", self.skipped));
        }
        lines.extend(Failed::render(&self.failed, "can't be replayed"));
        lines
    }
}

impl<P: Port> Run<'_, P> {
    /// Looks at what is in the queue.
    pub(super) async fn survey(&self, survey: Survey) -> Result<Survey, CallFailed> {
        let mut met = Met::default();
        let surveyed = self.read(&mut met, survey).await;
        let shown = met.show(self.port).await;
        let survey = surveyed?;
        shown.map(|()| survey)
    }

    async fn read(&self, met: &mut Met, mut survey: Survey) -> Result<Survey, CallFailed> {
        let mut classes: BTreeMap<String, Class> = BTreeMap::new();
        let mut idle = 0;
        while idle < IDLE_BATCHES {
            let batch = self.port.receive(HIDDEN_FOR).await?;
            if batch.is_empty() {
                break;
            }
            idle += 1;
            for message in batch {
                if !met.is_new(&message) {
                    continue;
                }
                let planned = plan(self.target, &message);
                if self.is_newer(&planned) {
                    continue;
                }
                idle = 0;
                if !is_meant(self.filters, planned.letter.as_ref()) {
                    survey.skipped += 1;
                    continue;
                }
                if let Err(error) = &planned.replay {
                    survey.failed.push(Failed::of(&message, planned.letter.as_ref(), chain(error)));
                    continue;
                }
                survey.replayable += 1;
                let name = planned.letter.as_ref().map_or(NO_CLASS, |letter| letter.error_class.as_str());
                let class = classes.entry(name.to_owned()).or_insert_with(|| Class {
                    error_class: name.to_owned(),
                    count: 0,
                    oldest: planned.since,
                    newest: planned.since,
                });
                class.count += 1;
                class.oldest = class.oldest.min(planned.since);
                class.newest = class.newest.max(planned.since);
                survey.letters.extend(planned.letter);
            }
        }
        survey.classes = classes.into_values().collect();
        survey.classes.sort_by_key(|class| std::cmp::Reverse(class.count));
        survey.letters.sort_by_key(|letter| letter.failed_at);
        Ok(survey)
    }
}
