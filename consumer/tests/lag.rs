//! The gauges of lag against what the broker itself says.
//!
//! A test binary of its own, because gauges belong to the process.

#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "pipeline/source.rs"]
mod source;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "pipeline/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use events::Entity;
use rdkafka::consumer::{BaseConsumer, Consumer};
use source::{KafkaMessage, Log};
use world::{Broken, Options, World, eventually};

/// What a gauge may be behind the broker: the second between two questions, and a little for the answers.
const AGREEMENT: Duration = Duration::from_millis(1500);
const GROUP: &str = "tandem-cdc-consumers";
const PARTITIONS: i32 = 2;

type Figures = BTreeMap<(Entity, i32), i64>;

/// The broker's own view: the high watermark minus what the group has committed.
fn of_broker(world: &World) -> Figures {
    let client: BaseConsumer = world.client("somebody-else").create().expect("a consumer");
    let committed = world.committed(GROUP);
    let lag = committed.into_iter().map(|((entity, number), committed)| {
        let (_, end) = client.fetch_watermarks(entity.topic(), number, Duration::from_secs(10)).expect("an answer");
        ((entity, number), end - committed)
    });
    lag.collect()
}

/// What the gauges say, as far as they say something.
fn of_gauges() -> Figures {
    let partitions = Entity::ALL.into_iter().flat_map(|entity| (0..PARTITIONS).map(move |number| (entity, number)));
    let said = partitions.filter_map(|(entity, number)| {
        let records = telemetry::KAFKA_CONSUMER_LAG_RECORDS.get(&[entity.topic(), &number.to_string()])?;
        Some(((entity, number), format!("{records:.0}").parse().expect("a whole number")))
    });
    said.collect()
}

fn seconds(entity: Entity, number: i32) -> Option<f64> {
    telemetry::KAFKA_CONSUMER_LAG_SECONDS.get(&[entity.topic(), &number.to_string()])
}

/// Waits until the gauges agree with the broker; gives how long that took.
async fn agree(world: &World) -> Duration {
    let began = Instant::now();
    let expected = tokio::task::block_in_place(|| of_broker(world));
    eventually(&format!("{expected:?}"), || of_gauges() == expected).await;
    began.elapsed()
}

/// Messages of one entity, which stay unfinished or not.
fn messages(log: &[KafkaMessage], count: usize) -> &[KafkaMessage] {
    &log[..count]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gauges_agree_with_the_broker() {
    let world = World::start(PARTITIONS).await;
    let log = Log::generate_clean(400, 100).messages;
    let mut longest = Duration::ZERO;

    // Caught up.
    world.produce(messages(&log, 100)).await;
    let consumer = world.consumer(Options { in_flight: 5, ..Options::default() });
    eventually("all changes", || world.sink.written() == 100).await;
    eventually("all commits", || world.committed(GROUP) == world.ends()).await;
    longest = longest.max(agree(&world).await);
    assert!(of_gauges().values().all(|records| *records == 0), "{:?}", of_gauges());
    eventually("no lag", || (0..PARTITIONS).all(|number| seconds(Entity::Orders, number) == Some(0.0))).await;

    // Nothing can be written: each partition is paused after a few messages, and the rest waits in the broker or the client.
    world.sink.set_broken(Broken::AllWrites);
    let produced = Instant::now();
    world.produce(&log[100..200]).await;
    longest = longest.max(agree(&world).await);
    // What is produced while it is paused is seen too, although nobody fetches it.
    for chunk in log[200..400].chunks(40) {
        world.produce(chunk).await;
        longest = longest.max(agree(&world).await);
    }
    assert_eq!(of_gauges().values().sum::<i64>(), 300);
    // The oldest message's own time, which is that of its production.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for number in 0..PARTITIONS {
        let (said, age) = (seconds(Entity::Orders, number).expect("a gauge"), produced.elapsed().as_secs_f64());
        assert!((age - said).abs() <= AGREEMENT.as_secs_f64(), "{said} s, and the oldest message is {age} s old");
    }

    // Caught up again.
    world.sink.set_broken(Broken::Nothing);
    eventually("all changes", || world.sink.written() == 400).await;
    eventually("all commits", || world.committed(GROUP) == world.ends()).await;
    longest = longest.max(agree(&world).await);
    eventually("no lag", || (0..PARTITIONS).all(|number| seconds(Entity::Orders, number) == Some(0.0))).await;

    // Who holds no partition says nothing about any.
    assert_eq!(of_gauges().len(), 6);
    assert!(consumer.stop().await.clean);
    eventually("silence", || of_gauges().is_empty() && seconds(Entity::Orders, 0).is_none()).await;
    figure(&format!("gauges agree with the broker after {} ms at most", longest.as_millis()));
    assert!(longest <= AGREEMENT, "{longest:?}");
}

/// A figure of the test, for `--no-capture`.
#[expect(clippy::print_stdout, reason = "figures are read by people")]
fn figure(text: &str) {
    println!("{text}");
}
