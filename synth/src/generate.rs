//! Sends made-up traffic of Qlik Replicate to a local environment, and tells what must come of it.
//!
//! What is sent is decided by the crate `traffic`; here it is put into Kafka. Whether it has arrived is not looked at: that
//! is the matter of `smoke`, and of the crash test.
//!
//! There is no reload: it needs another generation of the environment, which a deployment makes.

mod feed;
mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use infra::environment::{Environment, Target};
use traffic::{Config, Expected, Message, Mix, Traffic};

use crate::error::Error;
use crate::local::Platform;
use crate::ui::Ui;

pub use feed::Feed;
pub use report::{Report, TableReport};

/// How much to send, and of what.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checkout's root folder.
    pub checkout: PathBuf,
    /// Messages in total; at least 1.
    pub count: u64,
    /// Messages a second; 0 for as fast as possible.
    pub rate: u32,
    /// What the traffic follows from.
    pub seed: u64,
    /// Rows that each table can have.
    pub keys: u32,
}

/// Longest wait for the broker's last acknowledgements.
const FLUSH_LIMIT: Duration = Duration::from_secs(60);
/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// Sends the messages; done when the broker has all of them.
///
/// # Errors
/// The environment is on AWS, it isn't deployed, the registry or Kafka refuses.
pub async fn run(ui: &Ui, environment: &Environment, options: &Options) -> Result<Report, Error> {
    let name = environment.environment_name();
    match environment.target() {
        Target::Local => {}
        Target::Aws => {
            return Err(Error::refused(format!(
                "environment `{name}` is on AWS, and traffic can't be produced to its Kafka: this speaks neither SASL nor TLS \
                 yet"
            ))
            .hint("the nearest real thing is the local platform: `synth generate --env sandbox`"));
        }
    }
    let platform = Platform::find(&options.checkout, name)?.ok_or_else(|| {
        Error::remote(format!("the local platform of `{name}` does not run"))
            .hint(format!("deploy first: `synth deploy --env {name}`"))
    })?;
    let feed = Feed::connect(&platform.kafka_brokers, &platform.schema_registry_url).await?;
    let consumer = environment.consumer();
    let config = Config {
        seed: options.seed,
        keys: options.keys,
        partitions: consumer.partitions,
        generation: consumer.generation,
        mix: Mix::default(),
    };
    let mut traffic = Traffic::new(&config, |entity| feed.schema_ids(entity));
    ui.status(&format!(
        "sending {} messages of `{}` (seed {}) to {}",
        options.count,
        traffic.run(),
        options.seed,
        platform.kafka_brokers
    ));
    let started = Instant::now();
    let run = traffic.run().to_owned();
    let expected = tokio::task::block_in_place(|| produce(ui, &feed, &mut traffic, options))?;
    Ok(Report::new(name, &run, options, &expected, started.elapsed()))
}

fn produce(ui: &Ui, feed: &Feed, traffic: &mut Traffic, options: &Options) -> Result<Expected, Error> {
    let live = ui.live();
    let mut expected = Expected::default();
    let started = Instant::now();
    let mut shown = started;
    for number in 0..options.count {
        if options.rate > 0 {
            let due = Duration::from_secs_f64(number as f64 / f64::from(options.rate));
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
        let Some(message) = traffic.next() else { break };
        send(feed, &mut expected, &message)?;
        if ui.is_terminal() && shown.elapsed() >= SHOW_EVERY {
            shown = Instant::now();
            live.row("generate", &format!("{number} of {} messages", options.count));
        }
    }
    feed.flush(FLUSH_LIMIT)?;
    Ok(expected)
}

fn send(feed: &Feed, expected: &mut Expected, message: &Message) -> Result<(), Error> {
    expected.take(message);
    feed.send(message)
}
