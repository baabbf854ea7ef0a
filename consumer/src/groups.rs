//! Messages on their way from the client to the lanes, in groups.
//!
//! While a group is gathered, partitions may go and come back, and then the same partition has another lane that starts elsewhere.
//! A message that was meant for the lane before must not reach the new one, which would take it for the first of its own
//! and everything before it for done.

use std::sync::Arc;

use events::Entity;
use rdkafka::message::{Message, OwnedMessage};

use crate::lane::{Lane, LaneGone};
use crate::lanes::{Lanes, Partition};

/// Messages by the lane that they are for.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<Group>,
    /// What [`Lanes::changes`] was when the lanes were looked up.
    changes: u64,
}

#[derive(Debug)]
struct Group {
    partition: Partition,
    lane: Arc<Lane>,
    messages: Vec<OwnedMessage>,
}

impl Groups {
    /// Adds a message that has just come. Gives its partition when that must be paused now.
    pub(crate) fn add(&mut self, lanes: &Lanes, message: OwnedMessage) -> Option<Partition> {
        let partition = (Entity::from_topic(message.topic())?, message.partition());
        self.forget_former(lanes);
        // Messages of a partition come in runs.
        let index = match self.groups.iter().rposition(|group| group.partition == partition) {
            Some(index) => index,
            None => {
                // A message of a partition that was just revoked: its next owner gets it.
                let lane = lanes.lane(partition)?;
                self.groups.push(Group { partition, lane, messages: Vec::new() });
                self.groups.len() - 1
            }
        };
        let group = &mut self.groups[index];
        let is_full = group.lane.expect(&message);
        group.messages.push(message);
        is_full.then_some(partition)
    }

    /// Hands each lane its messages.
    pub(crate) fn hand_over(mut self, lanes: &Lanes) -> Result<(), LaneGone> {
        self.forget_former(lanes);
        for Group { lane, messages, .. } in self.groups {
            lane.hand_over(messages)?;
        }
        Ok(())
    }

    /// Drops what is for lanes that are gone.
    fn forget_former(&mut self, lanes: &Lanes) {
        let changes = lanes.changes();
        if self.changes != changes {
            self.changes = changes;
            self.groups.retain(|group| lanes.lane(group.partition).is_some_and(|lane| Arc::ptr_eq(&lane, &group.lane)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use aws::Applied;
    use aws::table_writer::Together;
    use contracts::{Coalescing, Region};
    use events::qlik::Fence;
    use events::{RowWrite, Version};
    use rdkafka::{Timestamp, TopicPartitionList};

    use super::*;
    use crate::clock::RuntimeClock;
    use crate::dead_letter::{DeadLetterError, DeadLetterSink, Diagnosis};
    use crate::lane::{Limits, Tools};
    use crate::limiter::Limiter;
    use crate::registry::Registry;
    use crate::sink::{Sink, SinkError};

    struct NoRows;

    impl Sink for NoRows {
        async fn apply(&self, write: &RowWrite, _: &Version) -> Result<Applied, SinkError> {
            panic!("nothing here can be decoded: {write:?}")
        }

        async fn apply_both(&self, one: &RowWrite, _: &RowWrite) -> Result<Together, SinkError> {
            panic!("nothing here can be decoded: {one:?}")
        }
    }

    /// The offsets of what has reached a lane.
    #[derive(Clone, Default)]
    struct Letters(Arc<Mutex<Vec<i64>>>);

    impl DeadLetterSink for Letters {
        async fn send(&self, message: &OwnedMessage, _: &Diagnosis) -> Result<(), DeadLetterError> {
            self.0.lock().expect("no panic").push(message.offset());
            Ok(())
        }
    }

    fn message(offset: i64) -> OwnedMessage {
        let topic = Entity::Orders.topic().to_owned();
        OwnedMessage::new(Some(b"no Avro".to_vec()), None, topic, Timestamp::NotAvailable, 0, offset, None)
    }

    #[tokio::test]
    async fn what_was_for_a_lane_before_does_not_reach_the_next_one() {
        let letters = Letters::default();
        let tools = Tools {
            sink: NoRows,
            dead_letters: letters.clone(),
            registry: Arc::new(Registry::new("http://127.0.0.1:9", None).expect("a URL")),
            fence: Fence {
                source: "shop".parse().expect("a source"),
                generation: 0,
                epoch: 1,
                origin_region: Region::new("us-west-2").expect("a region"),
                tombstone_retention: Duration::from_secs(86_400),
            },
            limits: Limits { messages: 10, bytes: 1_000 },
            writes: Limiter::new(1),
            coalescing: Coalescing::Never,
            clock: Arc::new(RuntimeClock),
            backoff: (Duration::from_millis(1), Duration::from_millis(1)),
            absence_wait: Duration::from_millis(1),
            row_wait: Duration::from_millis(1),
        };
        let lanes = Lanes::new(tools, Arc::default(), Duration::from_secs(5));
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition(Entity::Orders.topic(), 0);

        lanes.start(&partitions);
        let mut groups = Groups::default();
        assert_eq!(groups.add(&lanes, message(120)), None);
        // The partition goes and comes back while the group is gathered, and is read from its committed offset on.
        lanes.lose(&partitions);
        lanes.start(&partitions);
        assert_eq!(groups.add(&lanes, message(100)), None);
        groups.hand_over(&lanes).expect("the lane is there");
        // One that goes at last gets nothing, which is no failure.
        let mut late = Groups::default();
        late.add(&lanes, message(101));
        let lane = lanes.lane((Entity::Orders, 0)).expect("a lane");
        while lane.progress().position() != Some(101) {
            tokio::task::yield_now().await;
        }
        lanes.lose(&partitions);
        late.hand_over(&lanes).expect("nothing to hand over");
        assert_eq!(*letters.0.lock().expect("no panic"), [100]);
    }
}
