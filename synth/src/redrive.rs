//! Replays what was given up on: messages of dead-letter queues go the way again that failed.
//!
//! Nothing is written past the functions' own checks: a stream's record goes through its function, a raw event through the
//! queue of the transformer. Only an event that was parked for a peer goes to the peer's bus directly, sealed as it is; whoever
//! takes it there knows by id and version whether it says anything new.
//!
//! What is to be done with a message is decided in [`plan`] without any call; [`work`] does it and keeps count.

mod filter;
mod list;
mod plan;
mod port;
mod queues;
mod report;
mod sdk;
mod survey;
mod work;

#[cfg(test)]
mod fake;
#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;

use events::Timestamp;
use events::dead_letter::chain;
use infra::environment::Environment;

use crate::deploy::Clouds;
use crate::error::Error;
use crate::reach;
use crate::ui::Ui;
use plan::Target;
use queues::{Kind, Queue};
use sdk::Deployed;
use work::Run;

pub use filter::Filter;
pub use list::{List, Listed};
pub use plan::Letter;
pub(crate) use report::counted;
pub use report::{Failed, Report};
pub use survey::{Class, Survey};

/// What to replay.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checkout's root folder.
    pub checkout: PathBuf,
    /// The queue's region; the home region when none is named.
    pub region: Option<String>,
    /// Which letters are meant; all when there is no filter.
    pub filters: Vec<Filter>,
    /// Don't ask before something is replayed on AWS.
    pub assume_yes: bool,
}

/// Lists the queues of what was given up on, with what they hold; of one region if one is named.
///
/// # Errors
/// The environment can't be reached, or has no such region.
pub async fn list(environment: &Environment, options: &Options) -> Result<List, Error> {
    let region = options.region.as_deref().map(|named| reach::region(environment, Some(named))).transpose()?;
    let clouds = reach::clouds(environment, &options.checkout).await?;
    list::list(&clouds, environment, region.as_ref()).await
}

/// Says what a replay of the queue of this short name would do, and changes nothing.
///
/// # Errors
/// There is no such queue, its messages can't be replayed, or it can't be read.
pub async fn survey(environment: &Environment, queue: &str, options: &Options) -> Result<Survey, Error> {
    let (queue, target) = choose(environment, queue, options)?;
    let clouds = reach::clouds(environment, &options.checkout).await?;
    let port = Deployed::find(&clouds, environment, &queue).await?;
    let run = Run { port: &port, target: &target, filters: &options.filters, started: now() };
    let survey = Survey {
        environment: environment.environment_name().to_owned(),
        region: queue.region.to_string(),
        queue: queue.name.clone(),
        ..Survey::default()
    };
    run.survey(survey).await.map_err(|error| {
        Error::remote(format!("queue `{}` in {} can't be looked through", queue.name, queue.region))
            .detail(chain(&error))
            .hint(format!("nothing was changed; what was read shows up again within {} s", work::HIDDEN_FOR.as_secs()))
    })
}

/// Replays what is in the queue of this short name now.
///
/// Failed replays are no error here: see [`Report::verdict`].
///
/// # Errors
/// There is no such queue, its messages can't be replayed, or nobody agreed.
pub async fn run(ui: &Ui, environment: &Environment, queue: &str, options: &Options) -> Result<Report, Error> {
    let (queue, target) = choose(environment, queue, options)?;
    let clouds = reach::clouds(environment, &options.checkout).await?;
    let port = Deployed::find(&clouds, environment, &queue).await?;
    agree(ui, &clouds, environment, (&queue, target.kind), options).await?;
    let started = now();
    let report = Report {
        environment: environment.environment_name().to_owned(),
        region: queue.region.to_string(),
        queue: queue.name.clone(),
        started_at: started,
        ..Report::default()
    };
    let run = Run { port: &port, target: &target, filters: &options.filters, started };
    let live = ui.is_terminal().then(|| ui.live());
    let progress = |report: &Report| {
        if let Some(live) = &live {
            live.row(&queue.name, &report.progress());
        }
    };
    Ok(run.replay(report, progress).await)
}

fn choose(environment: &Environment, name: &str, options: &Options) -> Result<(Queue, Target), Error> {
    let region = reach::region(environment, options.region.as_deref())?;
    let (queue, kind) = queues::find(environment, &region, name)?;
    if kind == Kind::Messages && !options.filters.is_empty() {
        return Err(Error::usage(format!("`{name}` holds messages as they came, so nothing can be filtered by"))
            .hint("leave out `--filter`"));
    }
    let peers = environment.peers(&region).cloned().collect();
    Ok((queue, Target { kind, region, peers }))
}

async fn agree(
    ui: &Ui,
    clouds: &Clouds,
    environment: &Environment,
    (queue, kind): (&Queue, Kind),
    options: &Options,
) -> Result<(), Error> {
    if options.assume_yes || environment.is_local() {
        return Ok(());
    }
    let waiting = sdk::count(clouds, environment, queue).await?.waiting;
    let filters: Vec<String> = options.filters.iter().map(|filter| format!(" with {filter}")).collect();
    let question = format!(
        "replay about {}{} of `{}` in {} {}, environment `{}`, account {}?",
        report::counted(usize::try_from(waiting).unwrap_or(usize::MAX), "message"),
        filters.concat(),
        queue.name,
        queue.region,
        kind.says(),
        environment.environment_name(),
        environment.account()
    );
    match ui.confirm(&question).await {
        Some(true) => Ok(()),
        Some(false) => Err(Error::refused("the replay was declined, nothing was changed")),
        None => Err(Error::refused("nobody can be asked to approve the replay, nothing was changed")
            .hint("look with `--dry-run`, and add `--yes` when you are sure")),
    }
}

/// The present, to the millisecond, as queues count.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
