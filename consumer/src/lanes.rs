//! The assigned partitions' lanes: started, drained and aborted as partitions come and go.
//!
//! What becomes of a lane when its partition goes:
//!
//! - Given up: the lane finishes what it has begun, within 400 ms; its done prefix is to be committed before the partition is let go.
//! - Lost (this member was thrown out of the group): the lane is aborted and nothing is committed, because someone else owns the partition by now.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events::Entity;
use futures::FutureExt;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::dead_letter::DeadLetterSink;
use crate::lane::{Lane, Progress, Signals, Tools};
use crate::sink::Sink;

/// How long a member that gives partitions up finishes what it has begun of them.
///
/// librdkafka fetches nothing for the partitions that stay until the others are let go, so this is short: more than a write takes
/// as a rule, and less than anybody notices. Whatever takes longer is delivered again to the next owner.
pub const GIVE_UP_DEADLINE: Duration = Duration::from_millis(400);

/// A topic's partition.
pub type Partition = (Entity, i32);

/// The lanes of the assigned partitions.
pub struct Lanes {
    lanes: Mutex<HashMap<Partition, Arc<Lane>>>,
    /// Rises whenever lanes come or go.
    changes: AtomicU64,
    start_lane: Box<dyn Fn(Entity) -> Lane + Send + Sync>,
    drain_deadline: Duration,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").field("partitions", &self.lock().keys().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

/// What is left of lanes that were drained.
#[derive(Debug)]
pub struct Drained {
    /// The offsets to commit.
    pub offsets: TopicPartitionList,
    /// Whether every lane finished what it had begun in time.
    pub clean: bool,
}

impl Lanes {
    /// No lanes yet. Must be made on a runtime: lanes are its tasks.
    pub fn new<S: Sink, D: DeadLetterSink>(
        tools: Tools<S, D>,
        signals: Arc<Signals>,
        drain_deadline: Duration,
    ) -> Self {
        let (tools, runtime) = (Arc::new(tools), Handle::current());
        let clock = Arc::clone(&tools.clock);
        let start_lane = move |entity| Lane::spawn(entity, Arc::clone(&tools), Arc::clone(&signals), &runtime);
        Self {
            lanes: Mutex::default(),
            changes: AtomicU64::new(0),
            start_lane: Box::new(start_lane),
            drain_deadline,
            clock,
        }
    }

    /// The lane of a partition.
    pub fn lane(&self, partition: Partition) -> Option<Arc<Lane>> {
        self.lock().get(&partition).cloned()
    }

    /// A number that is another one whenever lanes have come or gone.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Every lane.
    pub fn all(&self) -> Vec<(Partition, Arc<Lane>)> {
        self.lock().iter().map(|(partition, lane)| (*partition, Arc::clone(lane))).collect()
    }

    /// What can be committed now: the done prefixes that are ahead of what is committed.
    pub fn to_commit(&self) -> TopicPartitionList {
        let lanes = self.all();
        to_commit(lanes.iter().map(|(partition, lane)| (*partition, lane.progress())))
    }

    /// Remembers what the broker has committed.
    pub fn set_committed(&self, offsets: &TopicPartitionList) {
        for element in offsets.elements() {
            let lane = Entity::from_topic(element.topic()).and_then(|entity| self.lane((entity, element.partition())));
            if let (Some(lane), Offset::Offset(offset), Ok(())) = (lane, element.offset(), element.error()) {
                lane.progress().set_committed(offset);
            }
        }
    }

    /// Starts the lanes of partitions that came.
    pub fn start(&self, partitions: &TopicPartitionList) {
        let mut lanes = self.lock();
        self.changes.fetch_add(1, Ordering::AcqRel);
        for (entity, number) in parts(partitions) {
            lanes.insert((entity, number), Arc::new((self.start_lane)(entity)));
        }
    }

    /// Whether none of these partitions has a lane.
    pub fn is_empty_for(&self, partitions: &TopicPartitionList) -> bool {
        let lanes = self.lock();
        parts(partitions).iter().all(|partition| !lanes.contains_key(partition))
    }

    /// Takes the lanes of partitions away that go, and drains them; gives what may be committed then.
    pub async fn give_up(&self, partitions: &TopicPartitionList) -> Drained {
        let lanes = self.take(partitions);
        self.drain(lanes, self.drain_deadline.min(GIVE_UP_DEADLINE)).await
    }

    /// Aborts the lanes of partitions that are someone else's by now.
    pub fn lose(&self, partitions: &TopicPartitionList) {
        for (_, lane) in self.take(partitions) {
            lane.abort();
        }
    }

    /// Takes every lane away and drains it; gives what may be committed then, and whether all lanes met the deadline.
    pub async fn drain_all(&self) -> Drained {
        let lanes = self.take_all();
        self.drain(lanes, self.drain_deadline).await
    }

    /// Aborts every lane at once, as a crash would.
    pub fn abort_all(&self) {
        for (_, lane) in self.take_all() {
            lane.abort();
        }
    }

    async fn drain(&self, lanes: Vec<(Partition, Arc<Lane>)>, deadline: Duration) -> Drained {
        let deadline = self.clock.sleep(deadline).shared();
        for (_, lane) in &lanes {
            lane.begin_drain();
        }
        let mut clean = true;
        let mut progress = Vec::new();
        for (partition, lane) in lanes {
            progress.push((partition, Arc::clone(lane.progress())));
            clean &= lane.drained(deadline.clone()).await;
        }
        Drained { offsets: to_commit(progress.iter().map(|(partition, progress)| (*partition, progress))), clean }
    }

    fn take(&self, partitions: &TopicPartitionList) -> Vec<(Partition, Arc<Lane>)> {
        let mut lanes = self.lock();
        self.changes.fetch_add(1, Ordering::AcqRel);
        parts(partitions).into_iter().filter_map(|partition| Some((partition, lanes.remove(&partition)?))).collect()
    }

    fn take_all(&self) -> Vec<(Partition, Arc<Lane>)> {
        let mut lanes = self.lock();
        self.changes.fetch_add(1, Ordering::AcqRel);
        std::mem::take(&mut *lanes).into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Partition, Arc<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn to_commit<'p>(progress: impl Iterator<Item = (Partition, &'p Arc<Progress>)>) -> TopicPartitionList {
    let mut offsets = TopicPartitionList::new();
    for ((entity, number), progress) in progress {
        if let Some(offset) = progress.to_commit()
            && let Err(error) = offsets.add_partition_offset(entity.topic(), number, Offset::Offset(offset))
        {
            tracing::error!(error = error.to_string(), "offset_out_of_range");
        }
    }
    offsets
}

/// The partitions of a list that belong to an entity's topic.
pub(crate) fn parts(partitions: &TopicPartitionList) -> Vec<Partition> {
    let elements = partitions.elements();
    let known = elements.iter().filter_map(|element| Some((Entity::from_topic(element.topic())?, element.partition())));
    known.collect()
}
