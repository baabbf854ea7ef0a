//! The model against a fold that is written independently.
//!
//! It knows the traffic by its bytes alone: it decodes them as the consumer does, and applies the writes under the conditions
//! of the table writer, with the partitions in any order.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use contracts::Region;
use events::qlik::{DecodeError, Decoded, Fence, Message as Bytes, Origin, VALUE_SCHEMA_HEADER, WriterSchema, decode};
use events::trace_context::TRACEPARENT;
use events::{Entity, EntityKey, Row, RowChange, RowHead, RowState, RowWrite, Timestamp};
use proptest::prelude::*;
use traffic::{
    Config, Expected, Kind, Letter, Message, Mix, Place, Random, SchemaIds, Schemas, Traffic, Writer, schemas,
};

fn ids(entity: Entity) -> SchemaIds {
    let first = match entity {
        Entity::Customers => 1,
        Entity::Orders => 4,
        Entity::Products => 7,
    };
    Schemas { value: first, key: first + 1, odd_value: first + 2 }
}

fn registry() -> HashMap<u32, Arc<WriterSchema>> {
    let of = |entity| {
        let (ids, schemas) = (ids(entity), schemas(entity));
        [(ids.value, schemas.value.1), (ids.key, schemas.key.1), (ids.odd_value, schemas.odd_value.1)]
    };
    let parsed = |(id, json): (u32, String)| (id, Arc::new(WriterSchema::parse(&json).expect("a schema")));
    Entity::ALL.into_iter().flat_map(of).map(parsed).collect()
}

fn writer() -> Writer {
    let region = Region::new("us-west-2").expect("valid");
    Writer { source: "shop".parse().expect("valid"), epoch: 3, region }
}

fn fence(generation: u32) -> Fence {
    let Writer { source, epoch, region } = writer();
    Fence { source, generation, epoch, origin_region: region, tombstone_retention: Duration::from_secs(86_400) }
}

/// What consumers that do all as they should leave behind.
#[derive(Default)]
struct World {
    rows: BTreeMap<(Entity, EntityKey), Row>,
    letters: Vec<Letter>,
    log: BTreeMap<Place, u64>,
    ends: BTreeMap<(Entity, i32), i64>,
}

impl World {
    /// Takes in the next message of a partition.
    fn take(&mut self, registry: &HashMap<u32, Arc<WriterSchema>>, message: &Message, generation: u32) {
        let end = self.ends.entry((message.entity, message.partition)).or_default();
        let place = Place { topic: message.entity.topic().to_owned(), partition: message.partition, offset: *end };
        *end += 1;
        let header = |name: &str| message.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value);
        let text = |name: &str| header(name).and_then(|value| std::str::from_utf8(value).ok());
        let number = text(traffic::NUMBER_HEADER).and_then(|text| text.parse().ok());
        if let Some(number) = number {
            self.log.insert(place.clone(), number);
        }
        let bytes = Bytes {
            entity: message.entity,
            key: Some(&message.key),
            value: message.value.as_deref(),
            key_schema_header: None,
            value_schema_header: header(VALUE_SCHEMA_HEADER).map(Vec::as_slice),
        };
        let mut letter =
            |class: &str| self.letters.push(Letter { place: place.clone(), number, class: class.to_owned() });
        match decode(registry, &bytes) {
            Ok(Decoded::CompactionMark) => {}
            Ok(Decoded::Metadata(_)) | Err(DecodeError::UnannouncedSchema(_)) => {
                panic!("nothing announces schemas here")
            }
            Err(DecodeError::UnknownSchema(_)) => letter("schema_not_found"),
            Err(DecodeError::Poison(poison)) => letter(poison.class()),
            Ok(Decoded::Change(change)) => {
                let now = Timestamp::UNIX_EPOCH;
                let traceparent = text(TRACEPARENT).and_then(|text| text.parse().ok());
                let origin =
                    Origin { topic: "t", partition: 0, offset: place.offset, message_time: now, now, traceparent };
                for write in change.writes(&fence(generation), &origin) {
                    self.apply(write);
                }
            }
        }
    }

    fn apply(&mut self, RowWrite { head, change }: RowWrite) {
        let place = (head.entity, head.key.clone());
        let stored = self.rows.get(&place);
        if stored.is_some_and(|row| row.head.version >= head.version) {
            return;
        }
        let state = match change {
            RowChange::Put(columns) => RowState::Live(columns),
            RowChange::Tombstone { expires_at } => RowState::Tombstone { expires_at },
            RowChange::Merge(part) => match stored {
                Some(Row { head: RowHead { version, .. }, state: RowState::Live(columns) })
                    if version.as_str() >= head.version.generation_floor() =>
                {
                    let mut columns = columns.clone();
                    columns.extend(part);
                    RowState::Live(columns)
                }
                other => panic!("a change of some columns of `{}` comes to {other:?}", head.key),
            },
        };
        self.rows.insert(place, Row { head, state });
    }

    fn rows(&self, entity: Entity) -> Vec<Row> {
        self.rows.iter().filter(|((of, _), _)| *of == entity).map(|(_, row)| row.clone()).collect()
    }
}

/// Some traffic with reloads in between, and what it must lead to.
fn played(config: &Config, eras: &[usize], order: u64) -> (Expected, World) {
    let (registry, mut traffic) = (registry(), Traffic::new(config, ids));
    let (mut expected, mut world, mut random) = (Expected::default(), World::default(), Random::new(order));
    for (era, count) in eras.iter().enumerate() {
        if era > 0 {
            traffic.reload();
        }
        let generation = traffic.generation();
        let mut partitions: BTreeMap<(Entity, i32), VecDeque<Message>> = BTreeMap::new();
        for message in traffic.by_ref().take(*count) {
            expected.take(&message);
            partitions.entry((message.entity, message.partition)).or_default().push_back(message);
        }
        let mut queues: Vec<VecDeque<Message>> = partitions.into_values().collect();
        while !queues.is_empty() {
            let index = random.index(queues.len());
            // Long stretches of one partition, so that the others lag far behind.
            for _ in 0..=random.index(50) {
                match queues[index].pop_front() {
                    Some(message) => world.take(&registry, &message, generation),
                    None => break,
                }
            }
            queues.retain(|queue| !queue.is_empty());
        }
    }
    (expected, world)
}

fn configs() -> impl Strategy<Value = Config> {
    (any::<u64>(), 2_u32..60, 1_u32..5, 0_u32..3).prop_map(|(seed, keys, partitions, generation)| Config {
        seed,
        keys,
        partitions,
        generation,
        mix: Mix::default(),
    })
}

fn differences(expected: &Expected, world: &World) -> Vec<String> {
    let rows = Entity::ALL.into_iter().flat_map(|entity| expected.compare_rows(entity, &world.rows(entity), &writer()));
    let letters = expected.compare_letters(&world.log, &world.letters);
    rows.map(|row| row.to_string()).chain(letters.iter().map(ToString::to_string)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_model_is_the_fold_of_the_bytes_in_any_order_of_partitions(
        config in configs(),
        eras in proptest::collection::vec(0_usize..500, 1..4),
        order in any::<u64>(),
    ) {
        let (expected, world) = played(&config, &eras, order);
        prop_assert_eq!(differences(&expected, &world), Vec::<String>::new());
    }

    #[test]
    fn a_seed_gives_the_same_traffic_and_more_of_it_begins_alike(config in configs()) {
        let traffic = |count| Traffic::new(&config, ids).take(count).collect::<Vec<_>>();
        let long = traffic(400);
        prop_assert_eq!(&traffic(400), &long);
        prop_assert_eq!(&traffic(150)[..], &long[..150]);
        let other = Config { seed: config.seed.wrapping_add(1), ..config.clone() };
        prop_assert_ne!(Traffic::new(&other, ids).take(400).collect::<Vec<_>>(), long);
    }

    #[test]
    fn a_rows_messages_are_in_one_partition(config in configs()) {
        let mut partitions = HashMap::new();
        for message in Traffic::new(&config, ids).take(600).filter(|message| message.kind != Kind::Poison) {
            let partition = *partitions.entry((message.entity, message.key)).or_insert(message.partition);
            prop_assert_eq!(partition, message.partition);
        }
    }
}

fn ordinary() -> Config {
    Config { seed: 7, keys: 200, partitions: 4, generation: 0, mix: Mix::default() }
}

/// The fold would show little of traffic in which little happens.
#[test]
fn traffic_is_full_of_everything() {
    let (expected, world) = played(&ordinary(), &[29_000, 300], 1);
    for kind in Kind::ALL {
        assert!(expected.count(kind) >= 150, "{}: {}", kind.as_str(), expected.count(kind));
    }
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for poison in expected.poison().values() {
        *classes.entry(poison.class()).or_default() += 1;
    }
    assert_eq!(classes.len(), 9, "{classes:?}");
    assert!(classes.values().all(|count| *count >= 5), "{classes:?}");
    for entity in Entity::ALL {
        let counts = expected.row_counts(entity);
        assert!(counts.live >= 100 && counts.tombstones >= 8, "{entity}: {counts:?}");
        let traced = world.rows(entity).iter().filter(|row| row.head.traceparent.is_some()).count();
        assert!(traced >= 20, "{entity}: {traced}");
    }
    let earlier = world.rows.values().filter(|row| row.head.version.as_str().starts_with("0000000000")).count();
    assert!(earlier >= 10, "rows that the source lost during the outage: {earlier}");
    assert_eq!(differences(&expected, &world), Vec::<String>::new());
}

/// A comparison that finds nothing in a damaged world would be worth nothing.
fn check_finds(damage: impl FnOnce(&mut World), expected_words: &str) {
    let (expected, mut world) = played(&ordinary(), &[3_000], 1);
    assert_eq!(differences(&expected, &world), Vec::<String>::new());
    damage(&mut world);
    let found = differences(&expected, &world);
    assert!(found.len() == 1 && found[0].contains(expected_words), "{found:?}");
}

fn a_live_row(world: &mut World) -> &mut Row {
    world.rows.values_mut().find(|row| matches!(row.state, RowState::Live(_))).expect("a live row")
}

fn a_tombstone(world: &mut World) -> &mut Row {
    world.rows.values_mut().find(|row| matches!(row.state, RowState::Tombstone { .. })).expect("a tombstone")
}

#[test]
fn lost_and_unknown_rows_are_found() {
    check_finds(|world| drop(world.rows.pop_first()), "is lost");
    let unknown = |world: &mut World| {
        let mut row = a_live_row(world).clone();
        row.head.key = "nobody".parse().expect("a key");
        world.rows.insert((row.head.entity, row.head.key.clone()), row);
    };
    check_finds(unknown, "nothing told of it");
}

#[test]
fn resurrected_and_deleted_rows_are_found() {
    check_finds(|world| a_tombstone(world).state = RowState::Live(Default::default()), "lives although");
    check_finds(|world| a_live_row(world).state = RowState::Tombstone { expires_at: 1 }, "deleted although");
}

#[test]
fn one_column_of_one_row_is_found() {
    let damage = |world: &mut World| {
        if let RowState::Live(columns) = &mut a_live_row(world).state {
            let last = columns.values_mut().last().expect("a column");
            *last = events::AttributeValue::text("another");
        }
    };
    check_finds(damage, "another");
    let null = |world: &mut World| {
        if let RowState::Live(columns) = &mut a_live_row(world).state {
            columns.pop_last();
        }
    };
    check_finds(null, "nothing");
}

#[test]
fn lost_unknown_and_wrong_letters_are_found_and_repeated_ones_are_none() {
    check_finds(|world| drop(world.letters.pop()), "has no dead letter");
    let unknown = |world: &mut World| {
        let mut letter = world.letters[0].clone();
        letter.place.offset = 1_000_000;
        world.letters.push(letter);
    };
    check_finds(unknown, "can be applied and has a dead letter");
    check_finds(|world| world.letters[0].class = "other".to_owned(), "class `other`");
    check_finds(|world| world.letters[0].number = None, "number none");
    let (expected, mut world) = played(&ordinary(), &[3_000], 1);
    world.letters.extend_from_within(..);
    assert_eq!(differences(&expected, &world), Vec::<String>::new());
    let (place, _) = world.log.pop_first().expect("poison");
    world.letters.retain(|letter| letter.place != place);
    let found = differences(&expected, &world);
    assert!(found.len() == 1 && found[0].contains("isn't in its topic"), "{found:?}");
}
