//! The consumer between real peers that crash: nothing is lost, nothing comes back, dead letters are exactly the poison.
//!
//! Real are the consumer's processes, the broker (Tansu, which keeps its log in the emulated S3, so that it can be killed and
//! goes on where it was; `gate` says how), the Schema Registry and an emulated DynamoDB. Between the consumers and DynamoDB is a proxy that
//! refuses requests, delays them and cuts connections before and after the table has done its part.
//!
//! A run has two eras: in the second one the source was reloaded under a new generation after an outage. In both, consumers
//! are killed every few seconds, the broker is killed and frozen, and then, when the group has committed everything, each
//! table is read as a whole and compared with the fold of the traffic.
//!
//! In the end damage is done on purpose, because a comparison that finds nothing would be worth nothing.
//!
//! `settings` says how a larger run is made.

mod chaos;
mod faults;
mod gate;
mod http;
mod platform;
mod process;
mod proxy;
mod report;
mod settings;
mod tables;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chaos::{Chaos, Events};
use events::{AttributeValue, Entity, Item, row};
use faults::Weather;
use platform::Platform;
use report::{DeadLetters, Report, SelfCheck};
use settings::Settings;
use synth::generate::Feed;
use topics::Offsets;
use traffic::{Config, Expected, Letter, LetterDifference, Mix, Place, RowDifference, Traffic, Writer};

/// Generations of a run: a load and a reload.
const ERAS: u64 = 2;
/// How often the state of things is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often the broker is asked what the group has committed.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Messages that are sent while writes are swallowed on purpose.
const FLAWED: u64 = 300;

#[test]
fn crashes_lose_nothing_and_revive_nothing() {
    let settings = Settings::from_environment();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let report = runtime.block_on(run(&settings));
    let text = serde_json::to_string_pretty(&report).expect("JSON");
    if let Some(path) = &settings.report {
        std::fs::write(path, &text).expect("the report is written");
    }
    say(&text);
}

/// Writes to the test's log.
#[expect(clippy::print_stderr, reason = "a test has no `Ui`, and its log is what this is for")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// What is true of a whole run.
struct Run {
    platform: Platform,
    feed: Arc<Feed>,
    traffic: Traffic,
    expected: Expected,
    /// Messages of each partition.
    sent: Offsets,
    events: Events,
    deadline: Instant,
    writer: Writer,
}

async fn run(settings: &Settings) -> Report {
    let platform = Platform::start(settings).await;
    let feed = Arc::new(Feed::connect(&platform.brokers, &platform.registry_url).await.expect("a feed"));
    let config = Config {
        seed: settings.seed,
        keys: settings.keys,
        partitions: topics::PARTITIONS,
        generation: 0,
        mix: Mix::default(),
    };
    let writer = Writer {
        source: platform::SOURCE.parse().expect("a source"),
        epoch: platform::EPOCH,
        region: platform::REGION.parse().expect("a region"),
    };
    let traffic = Traffic::new(&config, |entity| feed.schema_ids(entity));
    let deadline = Instant::now() + settings.limit();
    let mut run = Run {
        platform,
        feed,
        traffic,
        expected: Expected::default(),
        sent: Offsets::new(),
        events: Events::default(),
        deadline,
        writer,
    };
    let mut seconds = 0.0;
    for era in 0..ERAS {
        if era > 0 {
            // Nothing of the generation before may be left, and nobody may write it any more.
            run.platform.stop_consumers().await;
            run.traffic.reload();
        }
        let started = Instant::now();
        run.play(settings, settings.changes / ERAS).await;
        seconds += started.elapsed().as_secs_f64();
        // Of a broker that loses what it has acknowledged, no consumer can be asked for more.
        assert_eq!(run.read(topics::read_log).await.counts, run.sent, "the broker's log holds each message once");
        let differences = run.wrong_rows().await;
        assert!(differences.is_empty(), "{}", run.failure(&format!("after era {era}: {}", listed(&differences))));
    }
    let (log, letters) = (run.read(topics::read_log).await, run.read(topics::read_letters).await);
    let differences = run.expected.compare_letters(&log.poison, &letters);
    assert!(differences.is_empty(), "{}", run.failure(&listed(&differences)));
    let dead_letters = DeadLetters {
        expected: run.expected.poison().len(),
        letters: letters.len(),
        distinct: letters.iter().map(|letter| &letter.place).collect::<std::collections::BTreeSet<_>>().len(),
    };
    let messages = u64::try_from(log.counts.values().sum::<i64>()).expect("a count");
    let counts = Entity::ALL.map(|entity| run.expected.row_counts(entity));
    let report = Report {
        seed: settings.seed,
        messages,
        kinds: report::kinds(&run.expected),
        database: if settings.dynoxide.is_some() { "dynoxide" } else { "ministack" },
        events: run.events.clone(),
        faults: run.platform.proxy.faults().done,
        live_rows: counts.iter().map(|counts| counts.live).sum(),
        tombstones: counts.iter().map(|counts| counts.tombstones).sum(),
        dead_letters,
        said: ["row_write_failed", "commit_failed", "dead_letter_failed", "partitions_revoked", "partition_paused"]
            .map(|text| (text, run.platform.said(text)))
            .into(),
        seconds,
        per_second: messages as f64 / seconds,
        self_check: SelfCheck::default(),
    };
    Report { self_check: run.damage(&log.poison, letters).await, ..report }
}

impl Run {
    /// Sends messages while everything crashes, until all of them are done with.
    async fn play(&mut self, settings: &Settings, count: u64) {
        let generation = self.traffic.generation();
        self.platform.start_consumers(generation);
        self.platform.proxy.faults().weather = Weather::Rough;
        let mut chaos = Chaos::new(settings.seed, generation);
        let started = Instant::now();
        let producer = self.produce(count, settings.rate);
        let mut asked = started;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            chaos.act(&mut self.platform, &mut self.events).await;
            if started.elapsed() >= settings.chaos_most() {
                chaos.calm_down();
            }
            if producer.is_done() && !chaos.broker_is_away() && asked.elapsed() >= ASK_EVERY {
                asked = Instant::now();
                let lag = self.lag().await;
                let nearly_done = lag.is_some_and(|lag| lag <= i64::try_from(count / 10).expect("few"));
                if nearly_done && started.elapsed() >= settings.chaos_least() {
                    chaos.calm_down();
                }
                if chaos.is_over() && lag == Some(0) {
                    break;
                }
            }
            assert!(Instant::now() < self.deadline, "{}", self.failure("the run takes too long"));
        }
        self.take_back(producer).await;
        self.platform.proxy.faults().weather = Weather::Calm;
    }

    /// Sends on a thread of its own, because the client waits for the broker.
    fn produce(&mut self, count: u64, rate: u32) -> Production {
        let (feed, mut expected) = (Arc::clone(&self.feed), std::mem::take(&mut self.expected));
        let idle =
            Traffic::new(&Config { seed: 0, keys: 2, partitions: 1, generation: 0, mix: Mix::default() }, |entity| {
                feed.schema_ids(entity)
            });
        let mut traffic = std::mem::replace(&mut self.traffic, idle);
        let mut sent = std::mem::take(&mut self.sent);
        let done = Arc::new(AtomicBool::new(false));
        let is_done = Arc::clone(&done);
        let task = tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            for number in 0..count {
                // In bursts, one a second: the broker's storage keeps each batch as an object, and the emulated S3 slows down
                // with thousands of them.
                if number.is_multiple_of(u64::from(rate)) {
                    let due = Duration::from_secs(number / u64::from(rate));
                    std::thread::sleep(due.saturating_sub(started.elapsed()));
                }
                let message = traffic.next().expect("it never ends");
                expected.take(&message);
                *sent.entry((message.entity.topic().to_owned(), message.partition)).or_default() += 1;
                feed.send(&message).expect("the broker takes it in the end");
            }
            feed.flush(Duration::from_secs(120)).expect("the broker takes everything in the end");
            is_done.store(true, Ordering::Release);
            (traffic, expected, sent)
        });
        Production { done, task }
    }

    async fn take_back(&mut self, production: Production) {
        (self.traffic, self.expected, self.sent) = production.task.await.expect("everything was sent");
    }

    async fn lag(&self) -> Option<i64> {
        let ends = self.feed.delivered();
        self.read(move |brokers| topics::lag(brokers, &ends)).await
    }

    async fn wait_for_no_lag(&self) {
        while self.lag().await != Some(0) {
            assert!(Instant::now() < self.deadline, "{}", self.failure("the last messages take too long"));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn wrong_rows(&self) -> Vec<RowDifference> {
        let mut differences = Vec::new();
        for entity in Entity::ALL {
            let rows = self.platform.tables.rows(entity).await;
            differences.extend(self.expected.compare_rows(entity, &rows, &self.writer));
        }
        differences
    }

    /// Reads topics, on a thread that may wait.
    async fn read<T: Send + 'static>(&self, read: impl FnOnce(&str) -> T + Send + 'static) -> T {
        let brokers = self.platform.brokers.clone();
        tokio::task::spawn_blocking(move || read(&brokers)).await.expect("it reads")
    }

    /// Does damage and sees whether it is found.
    async fn damage(mut self, log: &BTreeMap<Place, u64>, mut letters: Vec<Letter>) -> SelfCheck {
        let found = |differences: Vec<RowDifference>| {
            assert_eq!(differences.len(), 1, "one damaged row: {}", listed(&differences));
            differences[0].to_string()
        };
        let items = self.platform.tables.items(Entity::Orders).await;
        let mut check = SelfCheck::default();

        let live = items.iter().find(|item| item.contains_key(row::names::DATA)).expect("a live row");
        let mut damaged = live.clone();
        if let Some(AttributeValue::M(columns)) = damaged.get_mut(row::names::DATA) {
            columns.insert("status".to_owned(), AttributeValue::text("damaged"));
        }
        self.platform.tables.put(Entity::Orders, &damaged).await;
        check.a_changed_column = found(self.wrong_rows().await);
        self.platform.tables.put(Entity::Orders, live).await;

        let tombstone = items.iter().find(|item| row::is_tombstone(item)).expect("a tombstone");
        let mut revived: Item = tombstone.clone();
        revived.remove(row::names::DELETED);
        revived.remove(row::names::EXPIRES_AT);
        revived.insert(row::names::DATA.to_owned(), AttributeValue::M(BTreeMap::new()));
        self.platform.tables.put(Entity::Orders, &revived).await;
        check.a_revived_tombstone = found(self.wrong_rows().await);
        self.platform.tables.put(Entity::Orders, tombstone).await;

        let lost = letters.pop().expect("there are letters").place;
        letters.retain(|letter| letter.place != lost);
        let differences = self.expected.compare_letters(log, &letters);
        assert!(
            matches!(&differences[..], [LetterDifference::Lost(place)] if *place == lost),
            "{}",
            listed(&differences)
        );
        check.a_lost_letter = differences[0].to_string();

        // A table that says it has written and hasn't.
        self.platform.proxy.faults().weather = Weather::Flawed;
        let production = self.produce(FLAWED, 1_000_000);
        self.take_back(production).await;
        self.wait_for_no_lag().await;
        check.swallowed_writes = self.platform.proxy.faults().done.swallowed;
        check.rows_found_wrong_by_them = self.wrong_rows().await.len();
        assert!(check.swallowed_writes > 10 && check.rows_found_wrong_by_them > 5, "lost writes are found: {check:?}");
        check
    }

    /// What is to be known of a failed run.
    fn failure(&self, what: &str) -> String {
        let faults = self.platform.proxy.faults().done;
        format!("{what}\n{:?}\n{faults:?}\n{}", self.events, self.platform.logs())
    }
}

/// Messages on their way.
struct Production {
    done: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(Traffic, Expected, Offsets)>,
}

impl Production {
    /// Whether the broker has everything, or it has failed.
    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire) || self.task.is_finished()
    }
}

/// The first of many.
fn listed(differences: &[impl ToString]) -> String {
    let first: Vec<String> = differences.iter().take(20).map(ToString::to_string).collect();
    format!("{} differences:\n{}", differences.len(), first.join("\n"))
}
