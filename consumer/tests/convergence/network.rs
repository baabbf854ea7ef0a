//! Everything outside of the consumers: a table, a dead-letter topic, a log with its group, and time.
//!
//! Nothing here happens by itself. What consumers ask for waits until the test decides what becomes of it: it is done,
//! refused, done with its answer lost, done twice, done after the asker is long gone, or never done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use aws::Applied;
use aws::table_writer::{StoredHead, Together, Verdict, judge};
use consumer::clock::Clock;
use consumer::dead_letter::{DeadLetterError, DeadLetterSink, Diagnosis};
use consumer::lanes::{Lanes, Partition};
use consumer::sink::{Sink, SinkError};
use consumer::source::Source;
use events::{Columns, RowChange, RowWrite, Version};
use futures::future::BoxFuture;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Message as _, OwnedMessage, Timestamp};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{Notify, oneshot};

use crate::history::{ENTITY, Meaning, Message, PARTITIONS};

/// A rule that is broken, to see that the tests find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// Writes have no condition.
    NoFence,
    /// A deletion removes the row.
    NoTombstones,
    /// Some columns are merged into a row of an earlier generation.
    MergesIntoEarlierGenerations,
    /// What was taken in last is committed, done or not.
    CommitsOutOfOrder,
    /// A dead letter counts before it is stored.
    LosesLetters,
    /// Changes that are written as one replace a row that holds something from between them.
    FoldsOverWhatIsBetween,
    /// A half of a move that is stale keeps the other one out.
    StaleHalvesCancel,
}

/// Everything outside, shared by all.
#[derive(Clone)]
pub(crate) struct Network(Arc<Mutex<State>>);

pub(crate) struct State {
    pub(crate) flaw: Flaw,
    pub(crate) table: BTreeMap<String, StoredRow>,
    pub(crate) requests: Vec<Request>,
    /// Partition and offset of each dead letter.
    pub(crate) letters: BTreeSet<(usize, usize)>,
    pub(crate) postings: Vec<Posting>,
    pub(crate) timers: Vec<Timer>,
    pub(crate) logs: Vec<Vec<Message>>,
    pub(crate) committed: Vec<i64>,
    pub(crate) owners: Vec<Option<usize>>,
    pub(crate) members: BTreeMap<usize, Member>,
    /// Whether the coordinator takes no commits.
    pub(crate) refuses_commits: bool,
    /// The first rule that was found broken.
    pub(crate) wrong: Option<String>,
    /// How often what has happened.
    pub(crate) seen: Seen,
}

/// How often what has happened in a run.
pub(crate) type Seen = BTreeMap<&'static str, usize>;

/// A row as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRow {
    source: String,
    pub(crate) version: String,
    epoch: u64,
    pub(crate) columns: Option<Columns>,
}

/// A request to the table that is under way.
pub(crate) struct Request {
    order: Order,
    answer: Option<oneshot::Sender<Result<Answer, SinkError>>>,
}

/// What a request asks for.
#[derive(Clone)]
enum Order {
    One(Box<RowWrite>, Version),
    Both(Box<[RowWrite; 2]>),
}

/// What the table says of a request that it could look at.
enum Answer {
    One(Applied),
    Both(Together),
}

/// A dead letter that is under way.
pub(crate) struct Posting {
    place: (usize, usize),
    answer: oneshot::Sender<Result<(), DeadLetterError>>,
}

/// A wait that isn't over.
pub(crate) struct Timer {
    pub(crate) wait: Duration,
    over: oneshot::Sender<()>,
}

/// A member of the group, as the group and the broker see it.
#[derive(Default)]
pub(crate) struct Member {
    /// Whether the group has thrown it out. It may not know.
    pub(crate) is_expelled: bool,
    /// Whether it is cut off for good: it goes on with what it has and never hears of anything.
    pub(crate) is_cut_off: bool,
    /// Where each of its partitions is read next, as far as it knows.
    pub(crate) positions: BTreeMap<usize, usize>,
    starts: BTreeMap<usize, usize>,
    paused: BTreeSet<usize>,
    /// Partitions that it gives up, or is about to be told to.
    leaving: BTreeSet<usize>,
    /// Rebalances that it will hear of.
    pub(crate) rebalances: VecDeque<Rebalance>,
    /// How many of them it may hear of now.
    heard: usize,
    inbox: VecDeque<OwnedMessage>,
    /// Commits that are under way.
    pub(crate) commits: VecDeque<TopicPartitionList>,
    pub(crate) lanes: Option<Arc<Lanes>>,
    bell: Arc<Notify>,
}

#[derive(Clone, Debug)]
pub(crate) enum Rebalance {
    Assigned(usize),
    Revoked(usize),
    Lost,
}

/// What becomes of something that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    Refused,
    /// It is done, and who asked for it gets an error.
    AnswerLost,
    /// It is done, and stays under way to be done once more.
    Doubled,
}

impl Network {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self(Arc::new(Mutex::new(State {
            flaw,
            table: BTreeMap::new(),
            requests: Vec::new(),
            letters: BTreeSet::new(),
            postings: Vec::new(),
            timers: Vec::new(),
            logs: vec![Vec::new(); PARTITIONS],
            committed: vec![0; PARTITIONS],
            owners: vec![None; PARTITIONS],
            members: BTreeMap::new(),
            refuses_commits: false,
            wrong: None,
            seen: Seen::new(),
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic before")
    }
}

fn picked(pick: usize, of: usize) -> Option<usize> {
    (of > 0).then(|| pick % of)
}

impl State {
    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Decides about one of the requests to the table.
    pub(crate) fn answer_request(&mut self, pick: usize, fate: Fate) {
        let Some(index) = picked(pick, self.requests.len()) else {
            return;
        };
        if fate == Fate::Doubled {
            let order = self.requests[index].order.clone();
            let _ = self.carry_out(&order);
            self.saw("a request is done twice");
            return;
        }
        let Request { order, answer } = self.requests.remove(index);
        if answer.as_ref().is_none_or(oneshot::Sender::is_closed) {
            self.saw("a request is done when its asker is gone");
        }
        let result = match fate {
            Fate::Done => self.carry_out(&order),
            Fate::AnswerLost => {
                let _ = self.carry_out(&order);
                self.saw("an answer of the table is lost");
                Err(SinkError::Retryable("the answer is lost".into()))
            }
            Fate::Refused | Fate::Doubled => Err(SinkError::Overloaded("throttled".into())),
        };
        if let Some(answer) = answer {
            // The asker may be gone.
            let _ = answer.send(result);
        }
    }

    fn carry_out(&mut self, order: &Order) -> Result<Answer, SinkError> {
        match order {
            Order::One(write, since) => self.write(write, since).map(Answer::One),
            Order::Both(halves) => Ok(Answer::Both(self.write_both(&halves[0], &halves[1]))),
        }
    }

    /// What the stored row lets happen, as the writer judges it.
    fn judge(&self, write: &RowWrite, since: &Version) -> Result<Verdict, SinkError> {
        if self.flaw == Flaw::NoFence {
            return Ok(Verdict::Admitted);
        }
        let since = if self.flaw == Flaw::FoldsOverWhatIsBetween { &write.head.version } else { since };
        let stored = self.table.get(write.head.key.as_str());
        let head = stored.map(|row| StoredHead {
            source: row.source.clone(),
            version: match self.flaw {
                Flaw::MergesIntoEarlierGenerations if row.version.as_str() < write.head.version.generation_floor() => {
                    write.head.version.generation_floor().to_owned()
                }
                _ => row.version.clone(),
            },
            epoch: Some(row.epoch.to_string()),
            live: row.columns.is_some(),
        });
        Ok(judge(write, since, head.as_ref())?)
    }

    fn write(&mut self, write: &RowWrite, since: &Version) -> Result<Applied, SinkError> {
        let verdict = self.judge(write, since);
        self.saw(match &verdict {
            Ok(Verdict::Admitted) if matches!(write.change, RowChange::Merge(_)) => "a row is merged",
            Ok(Verdict::Admitted) => "a row is written",
            Ok(Verdict::Duplicate) => "duplicate",
            Ok(Verdict::Stale) => "stale",
            Ok(Verdict::NoRow) => "a change waits for its row",
            Err(SinkError::Interleaved(_)) => "changes can't be written as one",
            Err(_) => "a write is refused",
        });
        match verdict? {
            Verdict::Admitted => {
                if *since != write.head.version {
                    self.saw("changes are written as one");
                }
                self.store(write);
                Ok(Applied::Written)
            }
            Verdict::Duplicate => Ok(Applied::Duplicate),
            Verdict::Stale => Ok(Applied::Stale),
            Verdict::NoRow => Err(SinkError::NoRow("there is no row of this generation".into())),
        }
    }

    fn write_both(&mut self, one: &RowWrite, other: &RowWrite) -> Together {
        let mut halves = [one, other].into_iter();
        let admitted = halves.all(|half| {
            !matches!(half.change, RowChange::Merge(_))
                && matches!(self.judge(half, &half.head.version), Ok(Verdict::Admitted))
        });
        if !admitted {
            self.saw("a move is done in halves");
            // A reference consumer lost rows by this.
            return if self.flaw == Flaw::StaleHalvesCancel { Together::Written } else { Together::Apart };
        }
        self.saw("a move is done at once");
        self.store(one);
        self.store(other);
        Together::Written
    }

    fn store(&mut self, write: &RowWrite) {
        let key = write.head.key.as_str();
        let columns = match &write.change {
            RowChange::Put(columns) => Some(columns.clone()),
            RowChange::Merge(columns) => {
                let mut merged = self.table.get(key).and_then(|row| row.columns.clone()).unwrap_or_default();
                merged.extend(columns.clone());
                Some(merged)
            }
            RowChange::Tombstone { .. } => None,
        };
        if columns.is_none() && self.flaw == Flaw::NoTombstones {
            self.table.remove(key);
            return;
        }
        let (source, version) = (write.head.source.to_string(), write.head.version.to_string());
        self.table.insert(key.to_owned(), StoredRow { source, version, epoch: write.head.epoch, columns });
    }

    /// Decides about one of the dead letters under way.
    pub(crate) fn answer_posting(&mut self, pick: usize, fate: Fate) {
        let Some(index) = picked(pick, self.postings.len()) else {
            return;
        };
        let Posting { place, answer } = self.postings.remove(index);
        if fate != Fate::Refused {
            self.letters.insert(place);
        }
        let refused =
            || DeadLetterError::new("letters", KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut));
        let _ = answer.send(if fate == Fate::Done { Ok(()) } else { Err(refused()) });
    }

    /// Ends one of the waits.
    pub(crate) fn fire(&mut self, pick: usize) {
        self.timers.retain(|timer| !timer.over.is_closed());
        if let Some(index) = picked(pick, self.timers.len()) {
            let _ = self.timers.remove(index).over.send(());
        }
    }

    /// Ends one of the waits of this length.
    pub(crate) fn fire_long(&mut self, wait: Duration) {
        self.timers.retain(|timer| !timer.over.is_closed());
        if let Some(index) = self.timers.iter().position(|timer| timer.wait == wait) {
            let _ = self.timers.remove(index).over.send(());
        }
    }

    /// Ends every wait that is shorter than `limit`, but not those of the length `deadline`.
    pub(crate) fn fire_below(&mut self, limit: Duration, deadline: Duration) {
        let ends = |timer: &Timer| timer.wait < limit && timer.wait != deadline;
        let (short, long): (Vec<_>, Vec<_>) = self.timers.drain(..).partition(ends);
        self.timers = long;
        for timer in short {
            let _ = timer.over.send(());
        }
    }

    fn member(&mut self, pick: usize) -> Option<usize> {
        let index = picked(pick, self.members.len())?;
        self.members.keys().nth(index).copied()
    }

    /// Hands a member the next message of one of its partitions.
    pub(crate) fn deliver(&mut self, of: usize, pick: usize) {
        let Some(id) = self.member(of) else { return };
        let member = self.members.get_mut(&id).expect("it is a member");
        let open: Vec<usize> =
            member.positions.keys().copied().filter(|number| !member.paused.contains(number)).collect();
        let Some(index) = picked(pick, open.len()) else { return };
        let number = open[index];
        let position = member.positions.get_mut(&number).expect("it is open");
        if let Some(message) = self.logs[number].get(*position) {
            member.inbox.push_back(carried(message, number, *position));
            *position += 1;
            member.bell.notify_one();
        }
    }

    /// Hands a member a message that it had before.
    pub(crate) fn deliver_again(&mut self, of: usize, pick: usize) {
        let Some(id) = self.member(of) else { return };
        let member = self.members.get_mut(&id).expect("it is a member");
        let Some(index) = picked(pick, member.positions.len()) else { return };
        let (number, position) = member.positions.iter().nth(index).map(|(number, at)| (*number, *at)).expect("few");
        let start = member.starts[&number];
        let Some(back) = picked(pick / PARTITIONS, position - start) else { return };
        let offset = start + back;
        member.inbox.push_back(carried(&self.logs[number][offset], number, offset));
        member.bell.notify_one();
        self.saw("a message is delivered again");
    }

    /// Gives a partition that nobody owns to a member.
    pub(crate) fn assign(&mut self, number: usize, pick: usize) {
        let able: Vec<usize> =
            self.members.iter().filter(|(_, member)| !member.is_expelled).map(|(id, _)| *id).collect();
        if self.owners[number].is_none()
            && let Some(index) = picked(pick, able.len())
        {
            self.owners[number] = Some(able[index]);
            let member = self.members.get_mut(&able[index]).expect("it is a member");
            member.rebalances.push_back(Rebalance::Assigned(number));
        }
    }

    /// Asks a partition's owner to give it up.
    pub(crate) fn revoke(&mut self, number: usize) {
        if let Some(member) = self.owners[number].and_then(|id| self.members.get_mut(&id))
            && member.leaving.insert(number)
        {
            member.rebalances.push_back(Rebalance::Revoked(number));
        }
    }

    /// The group no longer counts on a member, which will hear of it later, if it lives.
    pub(crate) fn expel(&mut self, id: usize) {
        self.owners.iter_mut().filter(|owner| **owner == Some(id)).for_each(|owner| *owner = None);
        if let Some(member) = self.members.get_mut(&id)
            && !member.is_expelled
        {
            member.is_expelled = true;
            member.rebalances.clear();
            member.leaving.clear();
            member.heard = 0;
            member.rebalances.push_back(Rebalance::Lost);
        }
    }

    /// Lets a member hear of its next rebalance.
    pub(crate) fn tell(&mut self, pick: usize) {
        let Some(id) = self.member(pick) else { return };
        let member = self.members.get_mut(&id).expect("it is a member");
        if member.heard < member.rebalances.len() && !member.is_cut_off {
            member.heard += 1;
            member.bell.notify_one();
        }
    }

    /// The coordinator looks at the next commit of a member.
    pub(crate) fn answer_commit(&mut self, pick: usize, fate: Fate) {
        let Some(id) = self.member(pick) else { return };
        let Some(offsets) = self.members.get_mut(&id).and_then(|member| member.commits.pop_front()) else { return };
        if fate != Fate::Refused && self.commit(id, &offsets).is_ok() && fate == Fate::Done {
            let lanes = self.members[&id].lanes.clone();
            if let Some(lanes) = lanes {
                lanes.set_committed(&offsets);
            }
        }
    }

    fn commit(&mut self, id: usize, offsets: &TopicPartitionList) -> KafkaResult<()> {
        let member = self.members.get(&id);
        if self.refuses_commits || member.is_none_or(|member| member.is_expelled) {
            self.saw("a commit is refused");
            return Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::IllegalGeneration));
        }
        for element in offsets.elements() {
            let number = usize::try_from(element.partition()).expect("small");
            let Offset::Offset(mut offset) = element.offset() else { continue };
            if self.flaw == Flaw::CommitsOutOfOrder
                && let Some(position) = self.members[&id].positions.get(&number)
            {
                offset = i64::try_from(*position).expect("small");
            }
            self.committed[number] = offset;
            let below = usize::try_from(offset).expect("never negative");
            if let Some(undone) = (0..below).find(|place| !self.is_settled(number, *place)) {
                self.wrong
                    .get_or_insert(format!("{offset} of partition {number} is committed and {undone} isn't done"));
            }
        }
        Ok(())
    }

    /// Whether a message has had its effect, as the table and the dead-letter topic show it.
    fn is_settled(&self, number: usize, offset: usize) -> bool {
        match self.logs[number].get(offset).map(|message| &message.meaning) {
            Some(Meaning::Change(rows)) => rows
                .iter()
                .all(|(key, version)| self.table.get(key).is_some_and(|row| row.version.as_str() >= version.as_str())),
            Some(Meaning::Poison) => self.letters.contains(&(number, offset)),
            Some(Meaning::Mark) => true,
            None => false,
        }
    }

    pub(crate) fn is_committed(&self) -> bool {
        self.logs
            .iter()
            .zip(&self.committed)
            .all(|(log, committed)| log.len() == usize::try_from(*committed).expect("≥ 0"))
    }
}

fn carried(message: &Message, number: usize, offset: usize) -> OwnedMessage {
    OwnedMessage::new(
        message.value.clone(),
        Some(message.key.clone().into_bytes()),
        ENTITY.topic().to_owned(),
        Timestamp::CreateTime(1_772_600_000_000),
        i32::try_from(number).expect("small"),
        i64::try_from(offset).expect("small"),
        None,
    )
}

impl Network {
    async fn ask(&self, order: Order) -> Result<Answer, SinkError> {
        let (answer, answered) = oneshot::channel();
        self.state().requests.push(Request { order, answer: Some(answer) });
        answered.await.unwrap_or_else(|_| Err(SinkError::Retryable("the connection is lost".into())))
    }
}

impl Sink for Network {
    async fn apply(&self, write: &RowWrite, since: &Version) -> Result<Applied, SinkError> {
        match self.ask(Order::One(Box::new(write.clone()), since.clone())).await? {
            Answer::One(applied) => Ok(applied),
            Answer::Both(_) => unreachable!("one row was asked for"),
        }
    }

    async fn apply_both(&self, one: &RowWrite, other: &RowWrite) -> Result<Together, SinkError> {
        match self.ask(Order::Both(Box::new([one.clone(), other.clone()]))).await? {
            Answer::Both(together) => Ok(together),
            Answer::One(_) => unreachable!("two rows were asked for"),
        }
    }
}

impl DeadLetterSink for Network {
    async fn send(&self, message: &OwnedMessage, _diagnosis: &Diagnosis) -> Result<(), DeadLetterError> {
        if self.state().flaw == Flaw::LosesLetters {
            return Ok(());
        }
        let place =
            (usize::try_from(message.partition()).expect("≥ 0"), usize::try_from(message.offset()).expect("≥ 0"));
        let (answer, answered) = oneshot::channel();
        self.state().postings.push(Posting { place, answer });
        answered.await.expect("each posting is answered while anybody waits for it")
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

impl Clock for Network {
    /// Time stands still, so that a change of some columns waits for its row for ever.
    fn now(&self) -> Instant {
        static BEGINNING: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        *BEGINNING
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let (over, ended) = oneshot::channel();
        self.state().timers.push(Timer { wait, over });
        Box::pin(async move {
            // A timer that was forgotten never ends.
            if ended.await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// A consumer's membership.
pub(crate) struct Membership {
    id: usize,
    network: Network,
    lanes: Arc<Lanes>,
    bell: Arc<Notify>,
    /// A rebalance that has begun: nothing cuts it off but the end of the membership.
    rebalancing: tokio::sync::Mutex<Option<BoxFuture<'static, ()>>>,
}

impl Membership {
    pub(crate) fn join(network: &Network, id: usize, lanes: Arc<Lanes>) -> Self {
        let member = Member { lanes: Some(Arc::clone(&lanes)), ..Member::default() };
        let bell = Arc::clone(&member.bell);
        network.state().members.insert(id, member);
        Self { id, network: network.clone(), lanes, bell, rebalancing: tokio::sync::Mutex::new(None) }
    }

    fn next_rebalance(&self) -> Option<Rebalance> {
        let mut state = self.network.state();
        let member = state.members.get_mut(&self.id)?;
        member.heard = member.heard.checked_sub(1)?;
        member.rebalances.pop_front()
    }

    fn next_message(&self) -> Option<OwnedMessage> {
        self.network.state().members.get_mut(&self.id)?.inbox.pop_front()
    }

    fn rebalance(&self, rebalance: Rebalance) -> BoxFuture<'static, ()> {
        let (network, lanes, id) = (self.network.clone(), Arc::clone(&self.lanes), self.id);
        Box::pin(async move {
            match rebalance {
                Rebalance::Assigned(number) => {
                    {
                        let mut state = network.state();
                        let start = usize::try_from(state.committed[number]).expect("≥ 0");
                        let Some(member) = state.members.get_mut(&id) else { return };
                        member.positions.insert(number, start);
                        member.starts.insert(number, start);
                        member.paused.remove(&number);
                    }
                    lanes.start(&list([number]));
                }
                Rebalance::Revoked(number) => {
                    network.state().forget(id, &[number]);
                    let drained = lanes.give_up(&list([number])).await;
                    let mut state = network.state();
                    state.saw(if drained.clean { "a partition is drained" } else { "a drain takes too long" });
                    state.commit_now(id, &drained.offsets);
                    // Thrown out meanwhile, it has nothing to give.
                    if state.owners[number] == Some(id) {
                        state.owners[number] = None;
                    }
                    if let Some(member) = state.members.get_mut(&id) {
                        member.leaving.remove(&number);
                    }
                }
                Rebalance::Lost => {
                    network.state().saw("a member hears that it is thrown out");
                    let all: Vec<usize> = (0..PARTITIONS).collect();
                    let mut state = network.state();
                    state.forget(id, &all);
                    if let Some(member) = state.members.get_mut(&id) {
                        member.commits.clear();
                        // Who is cut off hears of nothing any more, so the group doesn't count on it again.
                        member.is_expelled = member.is_cut_off;
                    }
                    lanes.lose(&list(all));
                }
            }
        })
    }
}

impl State {
    /// What was read of these partitions and not handed over yet is dropped, as librdkafka does.
    fn forget(&mut self, id: usize, numbers: &[usize]) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.inbox.retain(|message| {
            !numbers.iter().any(|number| message.partition() == i32::try_from(*number).expect("small"))
        });
        for number in numbers {
            member.positions.remove(number);
            member.starts.remove(number);
        }
    }

    /// A commit that is waited for. Those that were under way before it come first.
    fn commit_now(&mut self, id: usize, offsets: &TopicPartitionList) -> bool {
        let earlier = self.members.get_mut(&id).map(|member| std::mem::take(&mut member.commits)).unwrap_or_default();
        for offsets in earlier {
            let _ = self.commit(id, &offsets);
        }
        offsets.count() == 0 || self.commit(id, offsets).is_ok()
    }
}

fn list(numbers: impl IntoIterator<Item = usize>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for number in numbers {
        list.add_partition(ENTITY.topic(), i32::try_from(number).expect("small"));
    }
    list
}

impl Source for Membership {
    async fn recv(&self) -> KafkaResult<OwnedMessage> {
        loop {
            {
                let mut rebalancing = self.rebalancing.lock().await;
                if let Some(running) = rebalancing.as_mut() {
                    running.await;
                    *rebalancing = None;
                }
                if let Some(rebalance) = self.next_rebalance() {
                    *rebalancing = Some(self.rebalance(rebalance));
                    continue;
                }
            }
            if let Some(message) = self.next_message() {
                return Ok(message);
            }
            self.bell.notified().await;
        }
    }

    /// What was read ahead is dropped and read again later, as librdkafka does.
    fn pause(&self, (_, number): Partition) -> KafkaResult<()> {
        let mut state = self.network.state();
        let Some(member) = state.members.get_mut(&self.id) else { return Ok(()) };
        let partition = usize::try_from(number).expect("≥ 0");
        member.paused.insert(partition);
        let ahead = member.inbox.iter().filter(|message| message.partition() == number);
        if let (Some(first), Some(position)) =
            (ahead.map(OwnedMessage::offset).min(), member.positions.get_mut(&partition))
        {
            *position = (*position).min(usize::try_from(first).expect("≥ 0"));
        }
        member.inbox.retain(|message| message.partition() != number);
        Ok(())
    }

    fn resume(&self, (_, number): Partition) -> KafkaResult<()> {
        if let Some(member) = self.network.state().members.get_mut(&self.id) {
            member.paused.remove(&usize::try_from(number).expect("≥ 0"));
        }
        Ok(())
    }

    fn commit(&self, offsets: &TopicPartitionList) -> KafkaResult<()> {
        if let Some(member) = self.network.state().members.get_mut(&self.id) {
            member.commits.push_back(offsets.clone());
        }
        Ok(())
    }

    async fn close(self: Arc<Self>, offsets: TopicPartitionList) -> bool {
        let mut state = self.network.state();
        let committed = state.commit_now(self.id, &offsets);
        state.owners.iter_mut().filter(|owner| **owner == Some(self.id)).for_each(|owner| *owner = None);
        state.members.remove(&self.id);
        committed
    }
}
