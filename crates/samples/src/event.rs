//! One sample: columns, a place in the source's log, and the change as the table's stream tells it.

use events::stream::{Change, EventName, Record};
use events::{
    ChangeSequence, Columns, Entity, EntityKey, EventId, Item, Operation, Region, RowChange, RowHead, RowWrite,
    SourceId, Timestamp, Trace, Version,
};

use crate::entities;
use crate::random::Random;
use crate::vocabulary::Vocabulary;

/// The source's log, which only goes forward.
#[derive(Debug)]
pub(crate) struct Log {
    millis: i64,
    counter: u64,
    position: u64,
    offsets: [i64; 12],
}

impl Log {
    pub(crate) fn start(second: i64, random: &mut Random) -> Self {
        Self {
            millis: second * 1000,
            counter: 1_000_000 + u64::from(random.below(9_000_000)),
            position: (0x0005_2000 << 32) + u64::from(random.below(0x0010_0000)),
            offsets: std::array::from_fn(|_| 20_000_000 + i64::from(random.below(4_000_000))),
        }
    }

    fn advance(&mut self, random: &mut Random) {
        self.millis += i64::from(random.between(40, 90_000));
        self.counter += u64::from(random.between(1, 60));
        self.position += u64::from(random.between(1, 400)) << if random.percent(5) { 32 } else { 0 };
    }
}

/// The next change of an entity, with the region that made it.
pub(crate) fn next(entity: Entity, log: &mut Log, vocabulary: &Vocabulary, random: &mut Random) -> (Record, Region) {
    log.advance(random);
    let at = Timestamp::from_millisecond(log.millis).expect("invariant: samples lie in this century");
    let row = entities::row(entity, at, vocabulary, random);
    let region = Region::new(if random.percent(80) { "us-west-2" } else { "us-east-1" }).expect("invariant: valid");

    let kind = random.below(100);
    let expires_at = at.as_second() + 30 * 86_400;
    let (event_name, old, change) = match kind {
        0..15 => (EventName::Insert, None, RowChange::Put(row.columns)),
        15..90 => (EventName::Modify, Some(Columns::new()), RowChange::Put(row.columns)),
        _ => (EventName::Modify, Some(Columns::new()), RowChange::Tombstone { expires_at }),
    };
    let operation = match (&event_name, &change) {
        (EventName::Insert, _) => Operation::Insert,
        (_, RowChange::Tombstone { .. }) => Operation::Delete,
        _ => Operation::Update,
    };
    let new = write(entity, &row.key, at, operation, change, &region, log, random);
    // Of the old image only the version and whether it lived count.
    let old = old.map(|columns| {
        let earlier = at - jiff::SignedDuration::from_hours(30);
        write(entity, &row.key, earlier, Operation::Update, RowChange::Put(columns), &region, log, random)
    });
    (record(entity, event_name, old, new), region)
}

fn record(entity: Entity, event_name: EventName, old: Option<Item>, new: Item) -> Record {
    Record {
        event_id: None,
        event_name,
        aws_region: None,
        event_source_arn: format!("arn:aws:dynamodb:us-west-2:000000000000:table/tandem-production-{entity}/stream/x"),
        user_identity: None,
        change: Change { keys: Item::new(), new_image: Some(new), old_image: old, sequence_number: "1".to_owned() },
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one row; a struct of them would be used here only")]
fn write(
    entity: Entity,
    key: &str,
    at: Timestamp,
    operation: Operation,
    change: RowChange,
    region: &Region,
    log: &mut Log,
    random: &mut Random,
) -> Item {
    let source: SourceId = "qlik-production".parse().expect("invariant: valid");
    let key: EntityKey = key.parse().expect("invariant: the keys of samples are short");
    let sequence = ChangeSequence::new(at, log.counter);
    let version = Version::cdc(1, &sequence);
    let partition = random.below(12);
    let offset = &mut log.offsets[partition as usize];
    *offset += i64::from(random.between(1, 30));
    let head = RowHead {
        entity,
        event_id: EventId::new(&source, entity, &key, &version),
        key,
        version,
        epoch: 3,
        origin_region: region.clone(),
        operation,
        committed_at: at,
        trace: Trace {
            task: source.to_string(),
            table: format!("sales.{entity}"),
            change_sequence: sequence.to_string(),
            stream_position: format!(
                "{:08X}:{:08X}:{:04X}",
                log.position >> 32,
                log.position & 0xffff_ffff,
                random.below(64)
            ),
            topic: entity.topic().to_owned(),
            partition: i32::try_from(partition).expect("invariant: twelve partitions"),
            offset: *offset,
        },
        traceparent: None,
        source,
    };
    RowWrite { head, change }.item()
}
