//! How far behind the assigned partitions are, asked of the broker once a second.
//!
//! librdkafka's own statistics won't do: they know a partition's end only from answers to fetches, and so are old while a
//! partition is paused or its leader is away, and some brokers say less there than they have delivered.
//! So a client of its own asks for the ends, one request to each broker for all of its partitions. A second client, because the
//! member's must be left alone when the group is left, and a question may hang.
//!
//! **Records**: the end minus the position, which is one past the last message of the done prefix. Before the first message is
//! done the position is where the partition started. Offsets of the broker's own that aren't messages (marks of transactions)
//! count as records.
//!
//! **Seconds**: the age of the next record that isn't done. Taken up, its own time says it. Otherwise (it waits in the client, or
//! the partition is paused, or can't be read at all) it is found from when the end was seen to pass the position: exact to about
//! the second between two questions. A record that was there before the first question is at least as old as that question.
//! 0 when nothing waits. While a broker doesn't say the end, the last one that it said counts, and time goes on.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::Duration;

use events::{Entity, Timestamp};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::lanes::{Lanes, Partition};

/// How often the broker is asked, and the longest that an answer may take.
const INTERVAL: Duration = Duration::from_secs(1);
/// Ends that are remembered of a partition: a minute's, each at another second. Older ones are thinned out, which makes the time
/// of a position that far back a little less exact.
const REMEMBERED: usize = 60;

/// What is known of the assigned partitions.
#[derive(Debug, Default)]
pub struct Lag(Mutex<HashMap<Partition, Behind>>);

impl Lag {
    /// Partitions came: each with the offset where it starts, none for its beginning.
    pub fn begin(&self, partitions: impl IntoIterator<Item = (Partition, Option<i64>)>) {
        let mut behind = self.lock();
        behind.extend(partitions.into_iter().map(|(partition, start)| (partition, Behind::new(start))));
    }

    /// A partition went: nothing more is said of it.
    pub fn forget(&self, partition: Partition) {
        let mut behind = self.lock();
        behind.remove(&partition);
        // Under the lock, so that an answer that is just being noted doesn't bring them back.
        unsay(partition);
    }

    /// All partitions went.
    pub fn forget_all(&self) {
        self.lock().drain().for_each(|(partition, _)| unsay(partition));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Partition, Behind>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unsay((entity, number): Partition) {
    let number = number.to_string();
    telemetry::KAFKA_CONSUMER_LAG_RECORDS.remove(&[entity.topic(), &number]);
    telemetry::KAFKA_CONSUMER_LAG_SECONDS.remove(&[entity.topic(), &number]);
}

/// One partition.
#[derive(Debug)]
struct Behind {
    /// Where it starts; none while that is its beginning and nobody knows where that is.
    start: Option<i64>,
    /// Ends, each with the time when it was first seen; both rise.
    ends: VecDeque<(i64, Timestamp)>,
}

/// How far behind a partition is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figures {
    records: u32,
    age: Duration,
}

impl Behind {
    fn new(start: Option<i64>) -> Self {
        Self { start, ends: VecDeque::new() }
    }

    /// The broker said the end.
    fn note(&mut self, end: i64, now: Timestamp) {
        if self.ends.back().is_some_and(|(last, _)| *last >= end) {
            return;
        }
        if self.ends.len() == REMEMBERED {
            // Every second one, of the older half.
            let mut index = 0;
            self.ends.retain(|_| {
                index += 1;
                index == 1 || index > REMEMBERED / 2 || index % 2 == 0
            });
        }
        self.ends.push_back((end, now));
    }

    /// Where the broker and the lane stand. `taken_up` is the age of the oldest message in work.
    fn figures(&mut self, position: Option<i64>, taken_up: Option<Duration>, now: Timestamp) -> Option<Figures> {
        let position = position.or(self.start)?;
        let (end, _) = *self.ends.back()?;
        // A message that was delivered after the broker was asked is past that end.
        let records = u32::try_from((end - position).max(0)).unwrap_or(u32::MAX);
        // Ends that the position has reached say nothing more; the last one stays for the records.
        while self.ends.len() > 1 && self.ends[0].0 <= position {
            self.ends.pop_front();
        }
        let age = match taken_up {
            Some(age) => age,
            None if records == 0 => Duration::ZERO,
            None => Duration::try_from(now.duration_since(self.ends[0].1)).unwrap_or_default(),
        };
        Some(Figures { records, age })
    }
}

/// Asks until its owner is gone.
#[derive(Debug)]
pub struct Watch(#[expect(dead_code, reason = "dropping it ends the asking")] mpsc::Sender<()>);

/// Begins to ask the brokers of `member`, the settings of a member of the group.
///
/// # Errors
/// When librdkafka refuses the settings.
pub fn watch(member: &ClientConfig, lanes: &Arc<Lanes>, lag: &Arc<Lag>) -> KafkaResult<Watch> {
    let mut client = member.clone();
    // It belongs to no group and fetches nothing.
    for name in [
        "group.id",
        "group.protocol",
        "partition.assignment.strategy",
        "session.timeout.ms",
        "heartbeat.interval.ms",
        "max.poll.interval.ms",
    ] {
        client.remove(name);
    }
    // What is wrong with a broker the member's log says.
    client.set("statistics.interval.ms", "0").set_log_level(RDKafkaLogLevel::Emerg);
    let client: BaseConsumer = client.create()?;
    let (owner, gone) = mpsc::channel();
    let (lanes, lag) = (Arc::downgrade(lanes), Arc::downgrade(lag));
    let ask = move || {
        while gone.recv_timeout(INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
            if look(&client, &lanes, &lag).is_none() {
                return;
            }
        }
    };
    // A thread of its own: the client waits for brokers. One that can't be started costs the figures and nothing else.
    if let Err(error) = std::thread::Builder::new().name("lag".to_owned()).spawn(ask) {
        tracing::error!(error = error.to_string(), "lag_not_measured");
    }
    Ok(Watch(owner))
}

/// Events of the client's that are cleared away with each question. A broker that is away gives a few in a second.
const MOST_EVENTS: usize = 100;

/// Asks once; none when nobody is interested any more.
fn look(client: &BaseConsumer, lanes: &Weak<Lanes>, lag: &Weak<Lag>) -> Option<()> {
    let partitions: Vec<(Partition, bool)> =
        lag.upgrade()?.lock().iter().map(|(partition, behind)| (*partition, behind.start.is_some())).collect();
    // Nothing is fetched, but whatever happens to connections is queued and would stay there. One call takes one event.
    for _ in 0..MOST_EVENTS {
        let _ = client.poll(Duration::ZERO);
    }
    let starts =
        ask(client, partitions.iter().filter(|(_, known)| !known).map(|(partition, _)| *partition), Offset::Beginning);
    let ends = ask(client, partitions.iter().map(|(partition, _)| *partition), Offset::End);
    let now = Timestamp::now();
    let (lanes, lag) = (lanes.upgrade()?, lag.upgrade()?);
    let mut known = lag.lock();
    for (partition, behind) in known.iter_mut() {
        behind.start = behind.start.or(starts.get(partition).copied());
        if let Some(end) = ends.get(partition) {
            behind.note(*end, now);
        }
        let Some(lane) = lanes.lane(*partition) else { continue };
        let progress = lane.progress();
        if let Some(Figures { records, age }) = behind.figures(progress.position(), progress.oldest_age(now), now) {
            let (topic, number) = (partition.0.topic(), partition.1.to_string());
            telemetry::KAFKA_CONSUMER_LAG_RECORDS.set(&[topic, &number], f64::from(records));
            telemetry::KAFKA_CONSUMER_LAG_SECONDS.set(&[topic, &number], age.as_secs_f64());
        }
    }
    Some(())
}

/// Where partitions begin or end; those whose broker doesn't say are left out.
fn ask(client: &BaseConsumer, partitions: impl Iterator<Item = Partition>, place: Offset) -> HashMap<Partition, i64> {
    let mut wanted = TopicPartitionList::new();
    for (entity, number) in partitions {
        // Beginning and end are the protocol's own words in place of a time.
        if wanted.add_partition_offset(entity.topic(), number, place).is_err() {
            return HashMap::new();
        }
    }
    if wanted.count() == 0 {
        return HashMap::new();
    }
    let Ok(found) = client.offsets_for_times(wanted, INTERVAL) else { return HashMap::new() };
    let elements = found.elements();
    let answers = elements.iter().filter_map(|element| match (element.error(), element.offset()) {
        (Ok(()), Offset::Offset(offset)) => Some(((Entity::from_topic(element.topic())?, element.partition()), offset)),
        _ => None,
    });
    answers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    /// What is said of a partition that started at `start`, after the broker said these ends.
    fn check(
        start: Option<i64>,
        ends: &[(i64, i64)],
        (position, taken_up): (Option<i64>, Option<u64>),
        now: i64,
        expected: Option<(u32, u64)>,
    ) {
        let mut behind = Behind::new(start);
        for (end, second) in ends {
            behind.note(*end, at(*second));
        }
        let found = behind.figures(position, taken_up.map(Duration::from_secs), at(now));
        let expected = expected.map(|(records, age)| Figures { records, age: Duration::from_secs(age) });
        assert_eq!(found, expected, "{start:?}, {ends:?}, {position:?}");
    }

    #[test]
    fn lag_is_what_lies_between_the_position_and_the_end() {
        let ends = [(10, 100), (20, 101), (20, 102), (35, 103)];
        // Nobody knows where it begins, or where it ends.
        check(None, &ends, (None, None), 110, None);
        check(Some(5), &[], (None, None), 110, None);
        // Nothing was taken up yet: from the start, which was there at the first question at the latest.
        check(Some(5), &ends, (None, None), 110, Some((30, 10)));
        // The end passed the position at a known second.
        check(Some(5), &ends, (Some(10), None), 110, Some((25, 9)));
        check(Some(5), &ends, (Some(20), None), 110, Some((15, 7)));
        // What is taken up knows its own time.
        check(Some(5), &ends, (Some(20), Some(42)), 110, Some((15, 42)));
        // Caught up, or further than the broker has said.
        check(Some(5), &ends, (Some(35), None), 110, Some((0, 0)));
        check(Some(5), &ends, (Some(36), None), 110, Some((0, 0)));
        // Taken up, and past the end that was said last.
        check(Some(5), &ends, (Some(35), Some(1)), 110, Some((0, 1)));
        // The clock was set back.
        check(Some(5), &ends, (Some(20), None), 90, Some((15, 0)));
    }

    /// Over a long time nothing grows, and the beginning stays known.
    #[test]
    fn memory_is_bounded() {
        let mut behind = Behind::new(Some(0));
        for second in 1..10_000 {
            behind.note(second, at(second));
            assert!(behind.ends.len() <= REMEMBERED);
        }
        let figures = behind.figures(None, None, at(10_000)).expect("known");
        assert_eq!(figures, Figures { records: 9_999, age: Duration::from_secs(9_999) });
        let figures = behind.figures(Some(9_990), None, at(10_000)).expect("known");
        assert_eq!(figures, Figures { records: 9, age: Duration::from_secs(9) });
    }
}
