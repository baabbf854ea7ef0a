//! A region's stores, streams and clock in memory, and the peer; they keep watch over the rules.

use breaker::{
    CallError, ClearFlag, DeleteEvent, EventKey, Jitter, KeyFlag, Lease, Lot, Millis, ParkAnswer, ParkWrite,
    ParkedEvent, Position, Settings, Shared, Write,
};
use std::cell::{Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// A call that gave no answer. What it asked for may have been done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault;

/// Whether an event was sent and deleted.
pub(crate) type Sent = Result<bool, Fault>;

pub(crate) struct Region {
    settings: Settings,
    inner: RefCell<Inner>,
    probes: Rc<RefCell<Vec<Lease>>>,
}

struct Inner {
    random: u64,
    now: u64,
    trouble: bool,
    peer_up: bool,
    shared: Option<Shared>,
    flags: BTreeMap<EventKey, KeyFlag>,
    lot: BTreeMap<(EventKey, Position), ParkedEvent>,
    shards: BTreeMap<usize, Shard>,
    /// What has arrived of each key.
    arrived: BTreeMap<EventKey, BTreeSet<Position>>,
    wrong: Option<String>,
}

struct Shard {
    /// When each record is written to the stream, and its event.
    records: Vec<(u64, ParkedEvent)>,
    checkpoint: usize,
    cursor: usize,
}

/// A probe that runs until this is dropped.
pub(crate) struct Probe {
    probes: Rc<RefCell<Vec<Lease>>>,
    lease: Lease,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.probes.borrow_mut().retain(|lease| *lease != self.lease);
    }
}

/// Lets another instance go first.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|_| if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

impl Region {
    pub(crate) fn new(seed: u64, settings: Settings) -> Self {
        let inner = Inner {
            random: seed | 1,
            now: 0,
            trouble: true,
            peer_up: true,
            shared: None,
            flags: BTreeMap::new(),
            lot: BTreeMap::new(),
            shards: BTreeMap::new(),
            arrived: BTreeMap::new(),
            wrong: None,
        };
        Self { settings, inner: RefCell::new(inner), probes: Rc::default() }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn now(&self) -> Millis {
        Millis(self.inner.borrow().now)
    }

    pub(crate) fn monotonic(&self) -> Duration {
        Duration::from_millis(self.inner.borrow().now)
    }

    /// A random number below `below`.
    pub(crate) fn random(&self, below: u64) -> u64 {
        self.inner.borrow_mut().random(below)
    }

    pub(crate) fn jitter(&self) -> Jitter {
        Jitter::new(f64::from(u32::try_from(self.random(1000)).expect("small")) / 1000.0)
    }

    pub(crate) fn fill(&self, shard: usize, records: Vec<(u64, ParkedEvent)>) {
        self.inner.borrow_mut().shards.insert(shard, Shard { records, checkpoint: 0, cursor: 0 });
    }

    /// A moment passes.
    pub(crate) fn pass(&self, trouble: bool) {
        let mut inner = self.inner.borrow_mut();
        inner.now += inner.random(2);
        inner.trouble = trouble;
        if !trouble {
            inner.peer_up = true;
        } else if inner.random(30_000) == 0 {
            inner.peer_up = !inner.peer_up;
        }
    }

    /// The next record of a shard, if it is there yet.
    pub(crate) fn next_record(&self, shard: usize) -> Option<ParkedEvent> {
        self.records(shard, 1).pop()
    }

    pub(crate) fn records(&self, shard: usize, most: usize) -> Vec<ParkedEvent> {
        let inner = self.inner.borrow();
        let Shard { records, cursor, .. } = &inner.shards[&shard];
        let there = records[*cursor..].iter().take_while(|(at, _)| *at <= inner.now);
        there.take(most).map(|(_, event)| event.clone()).collect()
    }

    /// The next records of a shard are sent or parked.
    pub(crate) fn done(&self, shard: usize, records: usize) {
        self.inner.borrow_mut().shards.get_mut(&shard).expect("it was filled").cursor += records;
    }

    /// A shard's invocation has ended: what it did is the new checkpoint, unless it died.
    pub(crate) fn redeliver(&self, shard: usize, dies: bool) {
        let mut inner = self.inner.borrow_mut();
        let shard = inner.shards.get_mut(&shard).expect("it was filled");
        if dies {
            shard.cursor = shard.checkpoint;
            return;
        }
        let done = shard.records[shard.checkpoint..shard.cursor].to_vec();
        shard.checkpoint = shard.cursor;
        for (_, event) in done {
            let place = (event.key, event.position);
            let arrived = inner.arrived.get(&place.0).is_some_and(|arrived| arrived.contains(&place.1));
            if !arrived && !inner.lot.contains_key(&place) {
                inner.wrong = Some(format!("{place:?} is lost"));
            }
        }
    }

    pub(crate) async fn read(&self) -> Result<Shared, Fault> {
        Ok(self.reading().await?.shared.clone().unwrap_or_else(Shared::absent))
    }

    pub(crate) async fn flag(&self, key: &EventKey) -> Result<Option<KeyFlag>, Fault> {
        Ok(self.reading().await?.flags.get(key).cloned())
    }

    /// Up to `most` flags, not always the same ones.
    pub(crate) async fn flags(&self, most: usize) -> Result<Vec<KeyFlag>, Fault> {
        let skip = usize::try_from(self.random(50)).expect("small");
        let inner = self.reading().await?;
        let skip = if skip < inner.flags.len() { skip } else { 0 };
        Ok(inner.flags.values().skip(skip).take(most).cloned().collect())
    }

    pub(crate) async fn any_flag(&self) -> Result<Option<KeyFlag>, Fault> {
        Ok(self.flags(1).await?.pop())
    }

    pub(crate) async fn oldest(&self, key: &EventKey) -> Result<Option<ParkedEvent>, Fault> {
        let inner = self.reading().await?;
        let mut events = inner.lot.iter().filter(|((of, _), _)| of == key);
        Ok(events.next().map(|(_, event)| event.clone()))
    }

    /// How many flags there are, and after a while how many events.
    pub(crate) async fn items(&self) -> Result<u64, Fault> {
        let flags = self.reading().await?.flags.len();
        Ok((flags + self.reading().await?.lot.len()) as u64)
    }

    pub(crate) async fn write(&self, write: &Write) -> Result<bool, Fault> {
        self.writing(|inner| {
            let Some(next) = write.apply(inner.shared.as_ref()) else { return false };
            let version = inner.shared.as_ref().map_or(0, |shared| shared.version);
            if next.version != version + 1 {
                inner.wrong = Some(format!("version {} follows {version}", next.version));
            }
            inner.shared = Some(next);
            true
        })
        .await
    }

    pub(crate) async fn park(&self, write: &ParkWrite) -> ParkAnswer {
        let parked = self.writing(|inner| {
            let Some(shared) = write.apply(inner.shared.as_ref()) else { return false };
            inner.shared = Some(shared);
            for event in write.events() {
                inner.lot.insert((event.key.clone(), event.position.clone()), event.clone());
            }
            for flag in write.flags() {
                inner.flags.insert(flag.key.clone(), flag.clone());
            }
            true
        });
        match parked.await {
            Ok(true) => ParkAnswer::Parked,
            Ok(false) => ParkAnswer::Refused,
            Err(Fault) => ParkAnswer::Failed,
        }
    }

    pub(crate) async fn delete(&self, delete: &DeleteEvent) -> Result<(), Fault> {
        let place = (delete.key.clone(), delete.position.clone());
        self.writing(|inner| drop(inner.lot.remove(&place))).await
    }

    pub(crate) async fn clear(&self, clear: &ClearFlag) -> Result<(), Fault> {
        self.writing(|inner| {
            if clear.holds(inner.flags.get(&clear.key)) {
                inner.flags.remove(&clear.key);
            }
        })
        .await
    }

    /// Sends an event. If no answer comes, it may have arrived.
    pub(crate) async fn send(&self, event: &ParkedEvent) -> Result<(), CallError> {
        pause().await;
        let (arrives, answers) = {
            let mut inner = self.inner.borrow_mut();
            (inner.peer_up, !(inner.trouble && inner.random(20) == 0))
        };
        if arrives {
            self.inner.borrow_mut().arrive(event);
        }
        pause().await;
        if arrives && answers { Ok(()) } else { Err(CallError::Timeout) }
    }

    /// Begins a probe by a lease.
    pub(crate) fn probe(&self, lease: Lease) -> Probe {
        let now = self.now();
        self.probes.borrow_mut().push(lease.clone());
        let live = self.probes.borrow().iter().filter(|lease| lease.is_live(now)).count();
        if live > self.settings.thresholds().probes as usize {
            self.inner.borrow_mut().wrong = Some(format!("{live} probes run"));
        }
        Probe { probes: self.probes.clone(), lease }
    }

    pub(crate) fn read_now(&self) -> Shared {
        self.inner.borrow().shared.clone().unwrap_or_else(Shared::absent)
    }

    /// Whether all records are done, have arrived, and nothing is left in the lot.
    pub(crate) fn is_finished(&self) -> bool {
        let inner = self.inner.borrow();
        let settled = |shared: &Shared| shared.state.lot() == Lot::Empty || shared.state.parks_everything();
        inner.shared.as_ref().is_none_or(settled)
            && inner.flags.is_empty()
            && inner.shards.values().all(|shard| shard.checkpoint == shard.records.len())
    }

    pub(crate) fn wrong(&self) -> Option<String> {
        self.inner.borrow().wrong()
    }

    async fn reading(&self) -> Result<Ref<'_, Inner>, Fault> {
        pause().await;
        if self.inner.borrow_mut().fails() { Err(Fault) } else { Ok(self.inner.borrow()) }
    }

    /// A write, of which half of the faults hide that it took place.
    async fn writing<T>(&self, write: impl FnOnce(&mut Inner) -> T) -> Result<T, Fault> {
        pause().await;
        let answer = {
            let mut inner = self.inner.borrow_mut();
            let fails = inner.fails();
            let lost = fails && inner.random(2) == 0;
            if lost {
                return Err(Fault);
            }
            let answer = write(&mut inner);
            if fails { Err(Fault) } else { Ok(answer) }
        };
        pause().await;
        answer
    }
}

impl Inner {
    /// The next number of the generator xorshift64*.
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % below
    }

    fn fails(&mut self) -> bool {
        self.trouble && self.random(25) == 0
    }

    fn arrive(&mut self, event: &ParkedEvent) {
        let arrived = self.arrived.entry(event.key.clone()).or_default();
        if arrived.insert(event.position.clone()) {
            let earlier = |(_, other): &&(u64, ParkedEvent)| other.key == event.key && other.position < event.position;
            let before = self.shards.values().flat_map(|shard| &shard.records).filter(earlier).count();
            if arrived.len() != before + 1 || arrived.last() != Some(&event.position) {
                self.wrong = Some(format!("{event:?} has overtaken"));
            }
        }
    }

    fn wrong(&self) -> Option<String> {
        let in_use = self.shared.as_ref().is_some_and(|shared| shared.state.lot() == Lot::InUse);
        let is_empty = self.flags.is_empty() && self.lot.is_empty();
        if !in_use && !is_empty {
            return Some("a lot that was declared empty isn't".to_owned());
        }
        self.wrong.clone()
    }
}
