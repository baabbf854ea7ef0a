//! The pipeline against librdkafka's in-process broker, a stub of the Schema Registry and sinks in memory.
//!
//! The law behind most of these tests: whatever is repeated, refused, crashed or moved between members,
//! the table ends as the fold of the source's log, and each change is written exactly once.

#[path = "pipeline/source.rs"]
mod source;
#[path = "pipeline/world.rs"]
mod world;

use std::time::Duration;

use consumer::dead_letter::{DeadLetterTopic, HEADER_PREFIX};
use consumer::pipeline::{PipelineError, StopReason};
use contracts::Coalescing;
use events::Entity;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use source::{KafkaMessage, Log, schema_id};
use world::{Broken, Options, World, eventually};

/// Repetitions, moves, partial images, poison, refused and lost writes, and a crash in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_table_is_the_fold_of_the_log_across_a_crash() {
    let world = World::start(3).await;
    let log = Log::generate(1200, 60);
    world.produce(&log.messages).await;
    world.sink.set_broken(Broken::SomeWrites);
    world.registry.fail_next(3);

    let first = world.consumer(Options::default());
    eventually("half of the changes", || world.sink.applied() > log.writes() / 2).await;
    first.crash().await;

    let second = world.consumer(Options::default());
    eventually("all changes", || world.sink.written() == log.writes()).await;
    eventually("all dead letters", || world.dead_letters.offsets().len() == log.poison).await;
    // Repetitions at the end of the log have no effect to wait for, and a drain gives back what waits for its turn.
    eventually("all commits", || world.committed("tandem-cdc-consumers") == world.ends()).await;
    let complete = second.stop().await;
    assert!(complete.clean);
    assert!(matches!(complete.reason, StopReason::Shutdown));

    assert_eq!(world.sink.rows(), log.fold());
    let repeated: Vec<_> = world.sink.writes().into_iter().filter(|(_, count)| *count != 1).collect();
    assert!(repeated.is_empty(), "written more than once: {repeated:?}");
    assert_eq!(world.committed("tandem-cdc-consumers"), world.ends());
}

/// Partitions move to a second member and back while changes flow.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_when_members_come_and_go() {
    let world = World::start(2).await;
    let log = Log::generate(900, 40);
    let (early, late) = log.messages.split_at(600);
    world.produce(&early[..300]).await;
    let first = world.consumer(Options::default());
    eventually("some changes", || world.sink.applied() > 100).await;
    let second = world.consumer(Options::default());
    world.produce(&early[300..]).await;
    eventually("the second member's partitions", || second.has_partitions()).await;
    world.produce(late).await;
    assert!(first.stop().await.clean);
    eventually("all changes", || world.sink.written() == log.writes()).await;
    // Repetitions at the end of the log have no effect to wait for, and a drain gives back what waits for its turn.
    eventually("all commits", || world.committed("tandem-cdc-consumers") == world.ends()).await;
    assert!(second.stop().await.clean);
    assert_eq!(world.sink.rows(), log.fold());
    assert!(world.sink.writes().values().all(|count| *count == 1));
    assert_eq!(world.committed("tandem-cdc-consumers"), world.ends());
}

/// While the dead-letter topic is down, the partition's offset stays before the message that needs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_waits_for_the_dead_letter_topic() {
    let world = World::start(1).await;
    let mut messages = Log::generate_clean(20, 5).messages;
    messages.retain(|message| message.entity == Entity::Orders);
    messages.truncate(6);
    messages[2].value = Some(b"no Avro".to_vec());
    world.produce(&messages).await;
    world.dead_letters.set_broken(true);
    let consumer = world.consumer(Options::default());
    eventually("the other changes", || world.sink.written() == 5).await;
    eventually("a commit", || world.committed_offset(Entity::Orders, 0) == Some(2)).await;
    assert!(world.dead_letters.attempts() > 0);
    // A drain doesn't wait for a topic that is down: the message is given back.
    assert!(consumer.stop().await.clean);
    assert_eq!(world.committed_offset(Entity::Orders, 0), Some(2));

    world.dead_letters.set_broken(false);
    let consumer = world.consumer(Options::default());
    eventually("a commit", || world.committed_offset(Entity::Orders, 0) == Some(6)).await;
    consumer.stop().await;
    assert_eq!(world.dead_letters.offsets(), [(Entity::Orders, 0, 2)].into());
}

/// A row that the table refuses for good goes the same way, with the number of attempts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_hold_everything() {
    let world = World::start(1).await;
    let messages = Log::generate_clean(30, 4).messages;
    let mut message = messages.into_iter().find(|message| message.entity == Entity::Products).expect("a product");
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    message.headers.push(("traceparent".to_owned(), traceparent.as_bytes().to_vec()));
    world.sink.set_broken(Broken::Poison);
    world.produce(std::slice::from_ref(&message)).await;
    let topic = DeadLetterTopic::new(world.producer(), "tandem.cdc.dead-letters", "tandem-cdc-consumers");
    let consumer = world.consumer_with(Options::default(), topic);

    let reader: BaseConsumer = world.client("reader").create().expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset("tandem.cdc.dead-letters", 0, Offset::Beginning).expect("valid");
    reader.assign(&assignment).expect("assigned");
    let letter = tokio::task::spawn_blocking(move || {
        let letter = reader.poll(Duration::from_secs(20)).expect("a dead letter").expect("no error");
        letter.detach()
    })
    .await
    .expect("read");
    assert_eq!(letter.key(), message.key.as_deref());
    assert_eq!(letter.payload(), message.value.as_deref());
    let headers = letter.headers().expect("headers");
    let header = |name: &str| {
        let header = headers.iter().find(|header| header.key == name);
        String::from_utf8_lossy(header.unwrap_or_else(|| panic!("no {name}")).value.unwrap_or_default()).into_owned()
    };
    assert_eq!(header("traceparent"), traceparent);
    for (name, value) in [
        ("topic", "qlik.products"),
        ("partition", "0"),
        ("offset", "0"),
        ("schema-id", &schema_id(Entity::Products).to_string()),
        ("error-class", "invalid_row"),
        ("message", "the row can't be written: larger than 400 KB"),
        ("attempts", "1"),
        ("trace-id", &traceparent[3..35]),
        ("group", "tandem-cdc-consumers"),
        ("program", "consumer"),
        ("program-version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(header(&format!("{HEADER_PREFIX}{name}")), value, "{name}");
    }
    for name in ["first-seen", "failed-at"] {
        header(&format!("{HEADER_PREFIX}{name}")).parse::<events::Timestamp>().expect(name);
    }
    header(&format!("{HEADER_PREFIX}event-id")).parse::<events::EventId>().expect("an id");
    consumer.stop().await;
    assert_eq!(world.committed_offset(Entity::Products, 0), Some(1));
}

/// A message's trace context goes into its row. A malformed one is as good as none, and is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_context_goes_into_the_row() {
    let world = World::start(1).await;
    let mut messages = Log::generate_clean(60, 20).messages;
    messages.retain(|message| message.entity == Entity::Orders);
    messages.truncate(4);
    let context = |digit: &str| format!("00-{}-00f067aa0ba902b7-01", digit.repeat(32));
    let mut give = |index: usize, value: &str| {
        messages[index].headers.push(("traceparent".to_owned(), value.as_bytes().to_vec()));
    };
    give(0, &context("a"));
    give(1, "00-nonsense");
    // Headers that aren't written exactly so are others.
    messages[2].headers.push(("Traceparent".to_owned(), context("b").into_bytes()));
    let mut give = |value: &str| messages[3].headers.push(("traceparent".to_owned(), value.as_bytes().to_vec()));
    give(&context("c"));
    give(&context("d"));
    let ignored = || telemetry::TRACE_CONTEXTS_IGNORED_TOTAL.get(&["kafka"]);
    let before = ignored();
    world.produce(&messages).await;
    let consumer = world.consumer(Options::default());
    eventually("all writes", || world.sink.written() == 4).await;
    assert!(consumer.stop().await.clean);
    let found: Vec<Option<String>> =
        world.sink.traces().into_values().map(|context| context.map(|context| context.to_string())).collect();
    assert_eq!(found, [Some(context("a")), None, None, Some(context("d"))], "the last one counts");
    assert_eq!(ignored(), before + 1);
}

/// What can't be decoded has no id yet: its trace is the one that it came with, if it did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_name_their_trace() {
    let world = World::start(1).await;
    let mut messages = Log::generate_clean(20, 5).messages;
    messages.retain(|message| message.entity == Entity::Orders);
    messages.truncate(2);
    messages.iter_mut().for_each(|message| message.value = Some(b"no Avro".to_vec()));
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    messages[0].headers.push(("traceparent".to_owned(), traceparent.as_bytes().to_vec()));
    world.produce(&messages).await;
    let consumer = world.consumer(Options::default());
    eventually("both letters", || world.dead_letters.offsets().len() == 2).await;
    consumer.stop().await;
    let came_in = events::Correlation { event_id: None, traceparent: traceparent.parse().ok() };
    assert_eq!(world.dead_letters.correlations(), [came_in, events::Correlation::default()]);
}

/// A writer that lost its authority stops, and commits nothing of what it couldn't write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_writer_stops() {
    let world = World::start(1).await;
    let log = Log::generate_clean(10, 3);
    world.sink.set_broken(Broken::Fenced);
    world.produce(&log.messages).await;
    let complete = world.consumer(Options::default()).ended().await;
    match complete.reason {
        StopReason::Fenced { message } => assert!(message.contains("lost its authority"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert!(world.committed("tandem-cdc-consumers").values().all(|offset| *offset == 0));
    assert_eq!(world.sink.written(), 0);
}

/// Authority that is lost while the last writes are finished is told like any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_met_during_the_drain_is_the_reason() {
    let world = World::start(1).await;
    world.sink.set_broken(Broken::FencedSlowly);
    world.produce(&Log::generate_clean(1, 1).messages).await;
    let consumer = world.consumer(Options::default());
    eventually("the write", || world.sink.calls() == 1).await;
    let complete = consumer.stop().await;
    assert!(matches!(complete.reason, StopReason::Fenced { .. }), "{:?}", complete.reason);
    assert_eq!(world.committed_offset(Entity::Customers, 0), Some(0));
}

/// A slow sink holds the intake back: what is in work stays within the limit, and nothing is lost by pausing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_sink_holds_the_intake_back() {
    let world = World::start(1).await;
    let log = Log::generate_clean(150, 50);
    world.sink.set_broken(Broken::Slow);
    world.produce(&log.messages).await;
    let options = Options { in_flight: 5, ..Options::default() };
    let consumer = world.consumer(options);
    eventually("all changes", || world.sink.written() == log.writes()).await;
    assert!(consumer.stop().await.clean);
    // Three topics with one partition each.
    assert!(world.sink.most_at_once() <= 15, "{} at once", world.sink.most_at_once());
    assert_eq!(world.sink.rows(), log.fold());
    assert_eq!(world.committed("tandem-cdc-consumers"), world.ends());
}

/// An offset that Kafka no longer has stops the consumer, instead of skipping or repeating changes in silence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_offset_stops_the_consumer() {
    let world = World::start(1).await;
    world.produce(&Log::generate_clean(10, 3).messages).await;
    let committer: BaseConsumer = world.client("tandem-cdc-consumers").create().expect("a consumer");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(Entity::Customers.topic(), 0, Offset::Offset(5000)).expect("valid");
    tokio::task::spawn_blocking(move || committer.commit(&offsets, CommitMode::Sync).expect("committed"))
        .await
        .expect("committed");
    let complete = world.consumer(Options::default()).ended().await;
    assert!(matches!(complete.reason, StopReason::Failed(PipelineError::OffsetExpired(_))), "{:?}", complete.reason);
}

/// A schema that the registry doesn't have is poison; a registry that is down is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absent_schemas_are_poison_and_a_dead_registry_is_not() {
    let world = World::start(1).await;
    let mut messages = Log::generate_clean(12, 3).messages;
    messages.retain(|message| message.entity == Entity::Customers);
    messages.truncate(3);
    let mut unknown = messages[0].clone();
    unknown.value.as_mut().expect("a value")[4] = 99;
    messages.insert(0, unknown);
    world.registry.fail_next(8);
    world.produce(&messages).await;
    let consumer = world.consumer(Options::default());
    eventually("the changes", || world.sink.written() == 3).await;
    consumer.stop().await;
    assert_eq!(world.dead_letters.classes(), ["schema_not_found"]);
    assert_eq!(world.committed_offset(Entity::Customers, 0), Some(4));
    // The absence was doubted, then believed: after the failures three questions for the unknown schema, one for the known.
    assert_eq!(world.registry.requests(), 8 + 3 + 1);
}

/// A change whose schema isn't announced holds its partition for a while and is put aside; after the metadata changes are applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unannounced_schemas_are_waited_for_and_then_put_aside() {
    let world = World::start(1).await;
    world.produce(&source::announced()).await;
    let consumer = world.consumer(Options::default());
    eventually("the change", || world.sink.written() == 1).await;
    consumer.stop().await;
    assert_eq!(world.dead_letters.classes(), ["schema_missing"]);
    assert_eq!(world.committed_offset(Entity::Customers, 0), Some(3));
    assert_eq!(world.registry.requests(), 0, "the registry is asked for its own ids only");
}

/// What many messages lack is waited for once, and when it is there after all, it counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announcement_that_never_comes_is_waited_for_once() {
    let world = World::start(1).await;
    let [change, metadata, _] = source::announced();
    let mut messages = vec![change.clone(); 20];
    messages.extend([metadata, change]);
    world.produce(&messages).await;
    let consumer = world.consumer(Options::default());
    eventually("the change", || world.sink.written() == 1).await;
    consumer.stop().await;
    let attempts = world.dead_letters.attempts_of_letters();
    assert_eq!(attempts.len(), 20);
    assert!(attempts[1..].iter().all(|attempts| *attempts == 1), "{attempts:?}");
}

/// A registry's replica that learns of a schema late costs no message, and what it said first isn't remembered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_comes_late_is_no_poison() {
    let world = World::start(1).await;
    let mut messages = Log::generate_clean(12, 3).messages;
    messages.retain(|message| message.entity == Entity::Customers);
    world.registry.deny_next(2);
    world.produce(&messages).await;
    let consumer = world.consumer(Options::default());
    eventually("the changes", || world.sink.written() == messages.len()).await;
    consumer.stop().await;
    assert!(world.dead_letters.classes().is_empty());
}

/// Partitions that were full, and so paused, when they moved away are read again when they come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_paused_partition_that_comes_back_goes_on() {
    let world = World::start(2).await;
    let log = Log::generate_clean(300, 100);
    world.sink.set_broken(Broken::AllWrites);
    world.produce(&log.messages).await;
    let first = world.consumer(Options { in_flight: 5, ..Options::default() });
    eventually("all partitions", || first.partitions() == 6).await;
    // With nothing written, every partition fills up.
    eventually("many attempts", || world.sink.calls() > 100).await;
    let second = world.consumer(Options { in_flight: 5, ..Options::default() });
    eventually("half of the partitions", || second.partitions() == 3 && first.partitions() == 3).await;
    second.stop().await;
    eventually("all partitions again", || first.partitions() == 6).await;
    world.sink.set_broken(Broken::Nothing);
    eventually("all changes", || world.sink.written() == log.writes()).await;
    assert!(first.stop().await.clean);
    assert_eq!(world.sink.rows(), log.fold());
    assert_eq!(world.committed("tandem-cdc-consumers"), world.ends());
}

/// A change of some columns waits for its row. When that doesn't come, the change is kept and the key goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partial_image_without_a_row_becomes_a_dead_letter() {
    let world = World::start(1).await;
    let mut messages = Log::generate(200, 4).messages;
    let partial = messages.iter().position(|message| message.partial).expect("a partial image");
    messages.drain(..partial);
    messages.truncate(1);
    world.produce(&messages).await;
    let consumer = world.consumer(Options::default());
    eventually("the dead letter", || world.dead_letters.classes() == ["partial_without_row"]).await;
    let entity = messages[0].entity;
    eventually("a commit", || world.committed_offset(entity, 0) == Some(1)).await;
    consumer.stop().await;
    assert_eq!(world.sink.written(), 0);
    assert!(world.sink.calls() > 1, "the row was waited for");
}

/// A dead letter that its topic can't take stops the consumer with the setting's name, and the message isn't skipped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_that_is_too_large_stops_the_consumer() {
    let world = World::start(1).await;
    let mut message = Log::generate_clean(1, 1).messages.remove(0);
    message.value = Some(vec![b'x'; 5000]);
    world.produce(&[message]).await;
    let mut small = world.client("unused");
    small.set("message.max.bytes", "2000");
    let topic = DeadLetterTopic::new(small.create().expect("a producer"), "tandem.cdc.dead-letters", "group");
    let complete = world.consumer_with(Options::default(), topic).ended().await;
    let StopReason::Failed(error @ PipelineError::DeadLetterTooLarge(_)) = complete.reason else {
        panic!("{:?}", complete.reason);
    };
    let text = error.to_string();
    for part in
        ["offset 0 of `qlik.customers`, partition 0", "unframed", "`tandem.cdc.dead-letters`", "`max.message.bytes`"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(world.committed_offset(Entity::Customers, 0), Some(0));
}

/// Where to start isn't guessed when the coordinator doesn't say, and the advice fits the cause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_offsets_stop_the_consumer() {
    let world = World::start(1).await;
    world.produce(&Log::generate_clean(10, 3).messages).await;
    world.refuse_committed_offsets();
    let complete = world.consumer(Options::default()).ended().await;
    assert!(matches!(complete.reason, StopReason::Failed(PipelineError::OffsetsUnknown(_))), "{:?}", complete.reason);
    assert_eq!(world.sink.written(), 0);
}

/// Liveness, readiness and metrics, as Kubernetes and Prometheus see them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_readiness_and_metrics() {
    let world = World::start(1).await;
    let log = Log::generate_clean(10, 3);
    world.produce(&log.messages).await;
    let consumer = world.consumer(Options::default());
    let listener = consumer::http::listen(0).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(consumer::http::serve(listener, consumer.status(), std::future::pending()));
    eventually("all changes", || world.sink.written() == log.writes()).await;
    world::eventually_async("readiness", async || world::get(address, "/ready").await.0 == 200).await;
    assert_eq!(world::get(address, "/health").await, (200, "alive\n".to_owned()));
    let lag = format!("kafka_consumer_lag_records{{topic=\"{}\"", Entity::Orders.topic());
    world::eventually_async("lag", async || world::get(address, "/metrics").await.1.contains(&lag)).await;
    let metrics = world::get(address, "/metrics").await.1;
    for expected in [
        "kafka_messages_consumed_total{topic=\"qlik.customers\"}",
        "cdc_events_processed_total{entity=\"customers\",operation=\"insert\",outcome=\"written\"}",
        "kafka_processing_duration_seconds_count{topic=\"qlik.customers\"}",
    ] {
        assert!(metrics.contains(expected), "{expected} in\n{metrics}");
    }
    consumer.stop().await;
    assert_eq!(world::get(address, "/ready").await.0, 503);
    server.abort();
}

fn coalescing() -> Options {
    Options { coalescing: Coalescing::Waiting, ..Options::default() }
}

/// Changes of one row that wait for each other become one write, and the row ends as if each had been written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_wait_together_are_written_as_one() {
    let world = World::start(1).await;
    let log = Log::generate(300, 2);
    world.sink.set_broken(Broken::Slow);
    world.produce(&log.messages).await;
    let consumer = world.consumer(coalescing());
    eventually("all commits", || world.committed("tandem-cdc-consumers") == world.ends()).await;
    assert!(consumer.stop().await.clean);
    assert_eq!(world.sink.rows(), log.fold());
    assert_eq!(world.dead_letters.offsets().len(), log.poison);
    assert!(world.sink.calls() < log.writes() * 2 / 3, "{} requests for {} writes", world.sink.calls(), log.writes());
}

/// A table that refuses the one write is asked about each change, and each becomes a dead letter of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_write_of_several_changes_is_taken_apart() {
    let world = World::start(1).await;
    let mut messages = Log::generate_clean(60, 1).messages;
    messages.retain(|message| message.entity == Entity::Customers);
    world.sink.set_broken(Broken::Poison);
    world.produce(&messages).await;
    let consumer = world.consumer(coalescing());
    eventually("all dead letters", || world.dead_letters.offsets().len() == messages.len()).await;
    eventually("all commits", || world.committed("tandem-cdc-consumers") == world.ends()).await;
    assert!(consumer.stop().await.clean);
    assert_eq!(world.dead_letters.classes(), vec!["invalid_row"; messages.len()]);
    assert!(world.sink.calls() > messages.len(), "some were tried together first");
}

/// Changes of some columns that have waited together for their row don't each wait again when it doesn't come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_without_a_row_wait_for_it_once() {
    let world = World::start(1).await;
    let mut messages = Log::generate(2_000, 5).messages;
    let is_datum = |message: &KafkaMessage| message.value.as_ref().is_some_and(|value| value.first() == Some(&0));
    messages.retain(|message| message.partial && message.entity == Entity::Orders && is_datum(message));
    let key = messages[0].key.clone();
    messages.retain(|message| message.key == key);
    assert!(messages.len() > 20, "{} messages", messages.len());
    world.produce(&messages).await;
    let consumer = world.consumer(coalescing());
    eventually("all dead letters", || world.dead_letters.offsets().len() == messages.len()).await;
    consumer.stop().await;
    assert!(world.dead_letters.classes().iter().all(|class| *class == "partial_without_row"));
    // The first one and then the others together are tried for as long as a row is waited for; then each is, once.
    let attempts = world.dead_letters.attempts_of_letters();
    let patient = attempts.iter().filter(|attempts| **attempts > 1).count();
    assert!(patient <= 1, "{attempts:?}");
}

/// A table that has too much to do holds writes back, and nothing is given up for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overloaded_table_is_waited_for() {
    let world = World::start(1).await;
    let log = Log::generate_clean(150, 50);
    world.sink.set_broken(Broken::Overloaded);
    world.produce(&log.messages).await;
    let consumer = world.consumer(Options::default());
    eventually("refusals", || world.sink.calls() > 300).await;
    world.sink.set_broken(Broken::Nothing);
    eventually("all changes", || world.sink.written() == log.writes()).await;
    assert!(consumer.stop().await.clean);
    assert!(world.dead_letters.classes().is_empty());
    assert_eq!(world.sink.rows(), log.fold());
}
