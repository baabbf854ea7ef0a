//! Sends synthetic changes through the whole deployed system and proves their arrival in both regions.
//!
//! Each change is followed over four hops: to its row in the home region, to the replica's row, to the home region's
//! bus as a domain event, to the peer region's bus as a cross-region event. A change is proven to have been applied
//! once by exactly one domain event with its own id; rows alone show only the last of a key's changes.
//! The events are read from the observer queues, which the stacks put behind a rule for synthetic keys.
//!
//! Only local environments can be tested so: Kafka clusters beside AWS want SASL and TLS, which this does not speak.
//!
//! Real data is never touched: synthetic keys have a prefix of their own. What a run wrote ends as tombstones, which
//! expire, and the events it caused are taken out of the observer queues.

mod feed;
mod follow;
mod ledger;
mod observer;
mod report;
mod workload;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use contracts::Region;
use infra::environment::{Environment, Target};

use crate::deploy::{Clouds, endpoint_of};
use crate::error::Error;
use crate::local::Platform;
use crate::ui::Ui;
use feed::Feed;
use ledger::Ledger;
use workload::Workload;

pub use report::{HopReport, Missing, Report};

/// How much to send, and how long to wait.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checkout's root folder.
    pub checkout: PathBuf,
    /// Changes in total, over all three topics; at least 1.
    pub count: u32,
    /// Changes per second; as fast as the broker takes them when none is given.
    pub rate: Option<u32>,
}

/// The run fails when nothing has arrived for so long. Longer than Kafka takes to notice a dead consumer (45 s).
const PATIENCE: Duration = Duration::from_secs(90);

/// Where a run sends to and looks.
struct Surroundings {
    clouds: Clouds,
    home: Region,
    peer: Region,
    brokers: String,
    registry: String,
}

/// Sends the changes, follows them, cleans up.
///
/// A report of changes that did not arrive, came twice or went round is no error here: see [`Report::verdict`].
///
/// # Errors
/// The system can't be used at all: it is on AWS, it isn't deployed, Kafka refuses, the observer queues can't be read.
pub async fn run(ui: &Ui, environment: &Environment, options: &Options) -> Result<Report, Error> {
    if options.count == 0 {
        return Err(
            Error::usage("a smoke test needs at least one change").hint("for example `synth smoke --count 300`")
        );
    }
    match environment.target() {
        Target::Local => {}
        Target::Aws => {
            let name = environment.environment_name();
            return Err(Error::refused(format!(
                "environment `{name}` is on AWS, and the smoke test can't produce to its Kafka: it speaks neither SASL nor \
                 TLS yet"
            ))
            .hint("the nearest real thing is the local platform: `synth smoke --env sandbox`"));
        }
    }
    let surroundings = surroundings(environment, options).await?;
    let feed = Feed::connect(&surroundings.brokers, &surroundings.registry).await?;
    let workload = Workload::new(environment, options.count)?;
    let ledger = Ledger::new(&workload);
    ui.status(&format!(
        "smoke run {}: {} changes of {} keys into {}, observed in {} and {}",
        workload.run(),
        options.count,
        workload.keys().len(),
        surroundings.brokers,
        surroundings.home,
        surroundings.peer
    ));
    let started = Instant::now();
    let ledger = follow::follow(ui, environment, &surroundings, &feed, &workload, ledger, options).await?;
    Ok(Report::of(environment, &surroundings.home, &surroundings.peer, &workload, &ledger, started.elapsed()))
}

async fn surroundings(environment: &Environment, options: &Options) -> Result<Surroundings, Error> {
    let home = environment.primary().clone();
    let peer = environment.peers(&home).next().cloned();
    let peer = peer.ok_or_else(|| Error::configuration("the environment has no second region to look at"))?;
    let name = environment.environment_name();
    let platform = Platform::find(&options.checkout, name)?.ok_or_else(|| {
        Error::remote(format!("the local platform of `{name}` does not run"))
            .hint(format!("deploy first: `synth deploy --env {name}`"))
    })?;
    let clouds = Clouds::connect(endpoint_of(&platform), [home.as_str(), peer.as_str()]).await;
    Ok(Surroundings { clouds, home, peer, brokers: platform.kafka_brokers, registry: platform.schema_registry_url })
}
