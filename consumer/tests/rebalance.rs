//! Members come and go under load: nothing is lost, and what stays with a member goes on. What is delivered again changes nothing,
//! because the table refuses it (`convergence`).

#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "pipeline/source.rs"]
mod source;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "pipeline/world.rs"]
mod world;

use std::cell::Cell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws::Applied;
use aws::table_writer::Together;
use consumer::sink::{Sink, SinkError};
use events::{Entity, RowWrite, Version};
use source::Log;
use world::{MemorySink, Options, Running, World, eventually};

const PARTITIONS: i32 = 4;
/// Partitions of all topics.
const ALL: usize = 12;
/// How often a member comes or goes.
const CHANGES: usize = 20;
/// The mock gives a group a second less than this to come together, at each step of a rebalance.
const SESSION: Duration = Duration::from_millis(3000);
/// The time in which the group waits for its members: a member that paused its partitions would pause them for as long.
const REBALANCE: Duration = Duration::from_millis(2000);
/// Messages that are produced at once, and the pause between.
const CHUNK: usize = 15;
const PAUSE: Duration = Duration::from_millis(200);

/// Who wrote something of which partition, and when.
type Journal = Arc<Mutex<Vec<(Instant, usize, (Entity, i32))>>>;

/// The table, as one member writes it.
struct Member {
    number: usize,
    table: MemorySink,
    journal: Journal,
    /// The first write of each partition, which hangs, if any does.
    hung: Option<Hung>,
}

/// What hangs: row and version, by partition.
type Hung = Arc<Mutex<BTreeMap<(Entity, i32), (String, Version)>>>;

impl Member {
    async fn hang(&self, write: &RowWrite) {
        let Some(hung) = &self.hung else { return };
        let place = (write.head.entity, write.head.trace.partition);
        let is_first = match hung.lock().expect("no panic").entry(place) {
            Entry::Vacant(entry) => {
                entry.insert((write.head.key.to_string(), write.head.version.clone()));
                true
            }
            Entry::Occupied(_) => false,
        };
        if is_first {
            std::future::pending::<()>().await;
        }
    }

    fn note(&self, write: &RowWrite) {
        let place = (write.head.entity, write.head.trace.partition);
        self.journal.lock().expect("no panic").push((Instant::now(), self.number, place));
    }
}

impl Sink for Member {
    async fn apply(&self, write: &RowWrite, since: &Version) -> Result<Applied, SinkError> {
        self.hang(write).await;
        let applied = self.table.apply(write, since).await?;
        self.note(write);
        Ok(applied)
    }

    async fn apply_both(&self, one: &RowWrite, other: &RowWrite) -> Result<Together, SinkError> {
        let together = self.table.apply_both(one, other).await?;
        self.note(one);
        Ok(together)
    }
}

/// The group.
struct Group<'w> {
    world: &'w World,
    journal: Journal,
    members: Vec<Running>,
    next: usize,
}

impl Group<'_> {
    fn join(&mut self) {
        self.join_with(None);
    }

    fn join_with(&mut self, hung: Option<Hung>) {
        let (table, journal) = (self.world.sink.clone(), Arc::clone(&self.journal));
        let member = Member { number: self.next, table, journal, hung };
        self.next += 1;
        let member = self.world.member(Options::default(), SESSION, member, self.world.dead_letters.clone());
        self.members.push(member);
    }

    /// Waits until every partition has one member and each member some.
    async fn settle(&self) {
        eventually("all partitions", || {
            let held: Vec<usize> = self.members.iter().map(Running::partitions).collect();
            held.iter().sum::<usize>() == ALL && held.iter().all(|held| *held >= ALL / self.members.len() - 1)
        })
        .await;
    }
}

/// The longest time between two writes of a partition that one member kept from one change of the group to the next.
fn longest_gap(journal: &[(Instant, usize, (Entity, i32))], changes: &[Instant]) -> (Duration, usize) {
    let mut by_partition: BTreeMap<(Entity, i32), Vec<(Instant, usize)>> = BTreeMap::new();
    for (at, member, place) in journal {
        by_partition.entry(*place).or_default().push((*at, *member));
    }
    let (mut longest, mut kept) = (Duration::ZERO, 0);
    for span in changes.windows(2) {
        for writes in by_partition.values() {
            // From the last write before the change.
            let first = writes.partition_point(|(at, _)| *at < span[0]).saturating_sub(1);
            let within: Vec<_> = writes[first..].iter().take_while(|(at, _)| *at < span[1]).collect();
            if within.len() < 2 || within.iter().any(|(_, member)| *member != within[0].1) {
                continue;
            }
            kept += 1;
            let gaps = within.windows(2).map(|pair| pair[1].0 - pair[0].0);
            longest = longest.max(gaps.max().unwrap_or_default());
        }
    }
    (longest, kept)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_changes_of_the_group_under_load() {
    let world = World::start(PARTITIONS).await;
    let log = Log::generate_clean(12_000, 240);
    let (sent, enough) = (Cell::new(0_usize), Cell::new(false));
    let mut group = Group { world: &world, journal: Arc::default(), members: Vec::new(), next: 0 };
    let load = async {
        for chunk in log.messages.chunks(CHUNK) {
            world.produce(chunk).await;
            sent.set(sent.get() + chunk.len());
            if !enough.get() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    let come_and_go = async {
        group.join();
        group.join();
        group.settle().await;
        let mut changes = Vec::new();
        for change in 0..CHANGES {
            changes.push(Instant::now());
            // Two come, two go, the eldest first.
            if change % 4 < 2 {
                group.join();
            } else {
                assert!(group.members.remove(0).stop().await.clean);
            }
            group.settle().await;
            tokio::time::sleep(PAUSE * 3).await;
        }
        changes.push(Instant::now());
        enough.set(true);
        (changes, sent.get())
    };
    let ((), (changes, during)) = tokio::join!(load, come_and_go);
    assert!(during < log.messages.len(), "the load lasted to the end");

    eventually("all changes", || world.sink.written() == log.writes()).await;
    eventually("all commits", || world.committed("tandem-cdc-consumers") == world.ends()).await;
    // Everything is committed, so it doesn't matter what a last commit meets while the others leave.
    for member in group.members.drain(..) {
        member.stop().await;
    }
    assert_eq!(world.sink.rows(), log.fold(), "nothing is lost");
    assert!(world.dead_letters.offsets().is_empty());

    let journal = group.journal.lock().expect("no panic");
    let (gap, kept) = longest_gap(&journal, &changes);
    figure(&format!(
        "{CHANGES} changes in {:.0} s, {during} messages meanwhile; {kept} times a partition stayed, at most {} ms without a write",
        (changes[CHANGES] - changes[0]).as_secs_f64(),
        gap.as_millis()
    ));
    assert!(kept >= CHANGES, "{kept} times a partition stayed");
    assert!(gap < REBALANCE, "a partition that stayed was paused for {gap:?}");
}

/// A write that takes long mustn't hold up the partitions that stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_stays_goes_on_soon_whatever_hangs() {
    let world = World::start(PARTITIONS).await;
    let log = Log::generate_clean(600, 240);
    let (before, after) = log.messages.split_at(300);
    let hung = Hung::default();
    let mut group = Group { world: &world, journal: Arc::default(), members: Vec::new(), next: 0 };
    group.join_with(Some(Arc::clone(&hung)));
    world.produce(before).await;
    eventually("a write that hangs in each partition", || hung.lock().expect("no panic").len() == ALL).await;

    group.join();
    eventually("partitions that go", || group.members[0].partitions() == ALL / 2).await;
    let begun = group.journal.lock().expect("no panic").len();
    world.produce(after).await;
    let given_up = Instant::now();
    let places = |of| {
        let journal = group.journal.lock().expect("no panic");
        let since = journal[begun..].iter().filter(|(_, member, _)| *member == of).map(|(_, _, place)| *place);
        since.collect::<BTreeSet<_>>().len()
    };
    eventually("writes in all partitions that stay", || places(0) == ALL / 2).await;
    let paused = given_up.elapsed();
    figure(&format!("partitions that stay go on after {} ms", paused.as_millis()));
    assert!(paused < REBALANCE, "{paused:?}");
    // The next owner does again what was cut off.
    let cut_off = hung.lock().expect("no panic").clone();
    let done = || {
        let writes = world.sink.writes();
        cut_off
            .values()
            .filter(|(key, version)| writes.keys().any(|(_, row, at)| row == key && at == version.as_str()))
            .count()
    };
    eventually("the writes that were cut off", || done() == ALL / 2).await;
    for member in group.members {
        member.crash().await;
    }
}

/// A figure of the test, for `--no-capture`.
#[expect(clippy::print_stdout, reason = "figures are read by people")]
fn figure(text: &str) {
    println!("{text}");
}
