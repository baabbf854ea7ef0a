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
