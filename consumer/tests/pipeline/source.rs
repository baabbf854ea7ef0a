//! A source's log: change records in order, what they fold to, and the messages that Kafka would carry.

use std::collections::BTreeMap;

use events::qlik::encode::{Carriage, Encoder, Record, SchemaIds, sample_columns};
use events::{AttributeValue, ChangeSequence, Columns, Entity, Operation, Timestamp, Version};

/// The source's generation in these tests.
pub(crate) const GENERATION: u32 = 2;

/// One Kafka message.
#[derive(Clone, Debug)]
pub(crate) struct KafkaMessage {
    pub(crate) entity: Entity,
    /// Whether the image holds only some columns.
    pub(crate) partial: bool,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// What a table holds: key to version and columns, none for a tombstone.
pub(crate) type Rows = BTreeMap<(Entity, String), (String, Option<Columns>)>;

/// One write that a change means.
#[derive(Clone, Debug)]
enum Effect {
    Put(Columns),
    Merge(Columns),
    Tombstone,
}

/// A log and its messages.
pub(crate) struct Log {
    pub(crate) messages: Vec<KafkaMessage>,
    /// How many messages can't be applied.
    pub(crate) poison: usize,
    effects: Vec<(Entity, String, Version, Effect)>,
}

/// The registry's id of an entity's value schema.
pub(crate) fn schema_id(entity: Entity) -> u32 {
    let index = Entity::ALL.iter().position(|known| *known == entity).expect("known");
    1 + u32::try_from(index).expect("small")
}

impl Log {
    /// A log with everything that a source and Kafka do: moves, partial images, repetitions, compaction marks and poison.
    pub(crate) fn generate(changes: usize, keys: usize) -> Self {
        Self::build(changes, keys, true)
    }

    /// A log of whole images and deletions only, each delivered once.
    pub(crate) fn generate_clean(changes: usize, keys: usize) -> Self {
        Self::build(changes, keys, false)
    }

    fn build(changes: usize, keys: usize, mixed: bool) -> Self {
        let encoders = Entity::ALL.map(Encoder::new);
        let committed_at: Timestamp = "2026-03-04T05:06:07Z".parse().expect("valid");
        let mut log = Self { messages: Vec::new(), poison: 0, effects: Vec::new() };
        // A fixed walk over the keys, so that a failure can be looked at again.
        for index in 0..changes {
            let entity = Entity::ALL[index % 3];
            let key = format!("k{}", (index * 7 + index / 5) % keys);
            let alive = log.is_alive(entity, &key);
            let sequence = ChangeSequence::new(committed_at, index as u64 + 1);
            let version = Version::cdc(GENERATION, &sequence);
            let columns = sample_columns(entity, &key, index as u64);
            let moved = format!("{key}-moved-{index}");
            let (operation, columns, before, mask, effects) = match index % 11 {
                4 if alive => (Operation::Delete, columns, None, None, vec![(key.clone(), Effect::Tombstone)]),
                6 if alive && mixed => {
                    let after = sample_columns(entity, &moved, index as u64);
                    let effects = vec![(key.clone(), Effect::Tombstone), (moved, Effect::Put(after.clone()))];
                    (Operation::Update, after, Some(columns), None, effects)
                }
                8 | 9 if alive && mixed => {
                    // The key column and the second one.
                    let known: Columns = columns.into_iter().filter(|(name, _)| is_known(entity, name)).collect();
                    let effects = vec![(key.clone(), Effect::Merge(known.clone()))];
                    (Operation::Update, known, None, Some(&[0b11_u8][..]), effects)
                }
                _ => {
                    let operation = if alive { Operation::Update } else { Operation::Insert };
                    let effects = vec![(key.clone(), Effect::Put(columns.clone()))];
                    (operation, columns, None, None, effects)
                }
            };
            let record = Record {
                entity,
                operation,
                columns: &columns,
                before: before.as_ref(),
                change_sequence: Some(&sequence),
                committed_at,
                stream_position: "1",
                transaction_id: "2",
                column_mask: mask,
            };
            let value = encoders[index % 3].value(schema_id(entity), &record).expect("encoded");
            log.effects.extend(effects.into_iter().map(|(key, effect)| (entity, key, version.clone(), effect)));
            let message = KafkaMessage {
                entity,
                partial: mask.is_some(),
                key: Some(key.clone().into_bytes()),
                value: Some(value),
                headers: Vec::new(),
            };
            log.messages.push(message.clone());
            if mixed {
                log.disturb(index, message);
            }
        }
        log
    }

    fn disturb(&mut self, index: usize, message: KafkaMessage) {
        match index % 13 {
            // At once again, and late again.
            3 => self.messages.push(message),
            5 if self.messages.len() > 30 => {
                let old = self.messages[self.messages.len() - 30].clone();
                // A repetition of poison would be a second dead letter.
                if old.value.as_ref().is_some_and(|value| value.first() == Some(&0)) {
                    self.messages.push(old);
                }
            }
            7 => self.messages.push(KafkaMessage { value: None, ..message }),
            10 => {
                self.poison += 1;
                self.messages.push(KafkaMessage { value: Some(b"{\"not\": \"avro\"}".to_vec()), ..message });
            }
            _ => {}
        }
    }

    fn is_alive(&self, entity: Entity, key: &str) -> bool {
        let last = self.effects.iter().rev().find(|(of, at, ..)| *of == entity && at == key);
        last.is_some_and(|(.., effect)| !matches!(effect, Effect::Tombstone))
    }

    /// How many writes the changes mean.
    pub(crate) fn writes(&self) -> usize {
        self.effects.len()
    }

    /// What the table must hold in the end.
    pub(crate) fn fold(&self) -> Rows {
        let mut rows = Rows::new();
        for (entity, key, version, effect) in &self.effects {
            let row = rows.entry((*entity, key.clone())).or_default();
            row.0 = version.to_string();
            match effect {
                Effect::Put(columns) => row.1 = Some(columns.clone()),
                Effect::Tombstone => row.1 = None,
                Effect::Merge(columns) => row.1.get_or_insert_default().extend(columns.clone()),
            }
        }
        rows
    }
}

fn is_known(entity: Entity, column: &str) -> bool {
    let second = match entity {
        Entity::Customers => "name",
        Entity::Orders => "customer_id",
        Entity::Products => "sku",
    };
    entity.key_columns().contains(&column) || column == second
}

/// Tells a log that is wrong from a pipeline that is.
#[test]
fn logs_hold_every_kind_of_change() {
    let log = Log::generate(1200, 60);
    let count = |wanted: fn(&Effect) -> bool| log.effects.iter().filter(|(.., effect)| wanted(effect)).count();
    assert!(count(|effect| matches!(effect, Effect::Put(_))) > 500);
    assert!(count(|effect| matches!(effect, Effect::Merge(_))) > 100);
    assert!(count(|effect| matches!(effect, Effect::Tombstone)) > 100);
    assert!(log.poison > 50);
    assert!(log.messages.len() > 1400);
    assert!(log.effects.len() > 1200, "moves are two writes");
    let columns = sample_columns(Entity::Orders, "k", 1);
    assert_eq!(columns["order_id"], AttributeValue::text("k"));
}

/// Without a registry: a change of a customer before its metadata, the metadata, and the same change again.
pub(crate) fn announced() -> [KafkaMessage; 3] {
    let entity = Entity::Customers;
    let columns = sample_columns(entity, "C-1", 1);
    let record = Record {
        entity,
        operation: Operation::Refresh,
        columns: &columns,
        before: None,
        change_sequence: None,
        committed_at: Timestamp::UNIX_EPOCH,
        stream_position: "",
        transaction_id: "",
        column_mask: None,
    };
    let announced = "7d1f3c0e9a5b4c6d8e2f10a1b2c3d4e5";
    let ids = SchemaIds { value: 0.into(), key: 0.into(), envelope: 0, announced };
    let (encoder, carriage) = (Encoder::new(entity), Carriage::EnvelopeAnnounced);
    let change = encoder.message(carriage, &ids, &record, Some("C-1")).expect("encoded");
    let metadata = encoder.metadata(carriage, &ids).expect("encoded").expect("an envelope");
    [change.clone(), metadata, change].map(|message| KafkaMessage {
        entity,
        partial: false,
        key: message.key,
        value: message.value,
        headers: Vec::new(),
    })
}
