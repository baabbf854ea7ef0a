//! The event router's circuit breakers, for an operator: how they stand, and the commands that they take.
//!
//! Each way from a region to a peer has a record, which the router's instances share ([`breaker`]). A command is one write
//! of it, by compare-and-set as the router's own, so it may be given at any moment. The router finds it within a second.
//!
//! What a command means is decided in the crate `breaker`; [`change`] carries it out and says what came of it.

mod change;
mod report;
mod ways;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use aws::routes::{self, Counted, DynamoRoute, StoreError};
use breaker::{Lot, Millis, Shared, Write};
use events::Timestamp;
use events::dead_letter::chain;
use infra::environment::Environment;

use crate::deploy::Clouds;
use crate::error::Error;
use crate::reach;
use crate::ui::Ui;
use change::{Changed, NotChanged};
use report::{Waiting, consequence};
use ways::Way;

pub use breaker::Command;
pub use report::{Commanded, Shown, Survey};

/// Which breakers are meant, and how to go about it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checkout's root folder.
    pub checkout: PathBuf,
    /// The region whose router sends.
    pub region: Option<String>,
    /// The region that it sends to.
    pub peer: Option<String>,
    /// Don't ask before a breaker on AWS is commanded.
    pub assume_yes: bool,
}

/// A breaker, as far as an operator has to do with it.
trait Breaker {
    /// The record as it is now.
    async fn read(&self) -> Result<Shared, StoreError>;

    /// Carries out a write of the record; false if its condition doesn't hold.
    async fn write(&self, write: &Write) -> Result<bool, StoreError>;

    /// Counts the events that wait, as far as they can be counted.
    async fn count(&self) -> Result<Counted, StoreError>;
}

impl Breaker for DynamoRoute {
    async fn read(&self) -> Result<Shared, StoreError> {
        routes::RouteStore::read(self).await
    }

    async fn write(&self, write: &Write) -> Result<bool, StoreError> {
        routes::RouteStore::write(self, write).await
    }

    async fn count(&self) -> Result<Counted, StoreError> {
        routes::RouteStore::count(self).await
    }
}

/// Says how the breakers stand and what waits for them; changes nothing.
///
/// # Errors
/// The environment can't be reached, has no such region, or a record can't be read.
pub async fn show(environment: &Environment, options: &Options) -> Result<Survey, Error> {
    let ways = ways::find(environment, options.region.as_deref(), options.peer.as_deref())?;
    let clouds = reach::clouds(environment, &options.checkout).await?;
    let mut breakers = Vec::new();
    for way in &ways {
        let breaker = deployed(&clouds, environment, way)?;
        breakers.push(look(environment, way, &breaker).await?);
    }
    Ok(Survey { environment: environment.environment_name().to_owned(), at: timestamp(now()), breakers })
}

/// Commands the breaker of one way, and says how it stood and stands. `reason` is kept in the record.
///
/// # Errors
/// It isn't clear which way is meant, nobody agreed, somebody else commanded it meanwhile, or the record can't be written.
pub async fn command(
    ui: &Ui,
    environment: &Environment,
    command: Command,
    reason: &str,
    options: &Options,
) -> Result<Commanded, Error> {
    let way = ways::one(environment, options.region.as_deref(), options.peer.as_deref())?;
    let clouds = reach::clouds(environment, &options.checkout).await?;
    let breaker = deployed(&clouds, environment, &way)?;
    let seen = breaker.read().await.map_err(|error| unreadable(environment, &way, error))?;
    if !change::is_needed(&seen, command, now()) {
        return Ok(commanded(environment, &way, command, reason, Changed { before: seen.clone(), after: seen }));
    }
    agree(ui, environment, &way, command, &seen, options).await?;
    match change::carry_out(&breaker, command, reason, &seen, now).await {
        Ok(changed) => Ok(commanded(environment, &way, command, reason, changed)),
        Err(error) => Err(not_changed(environment, &way, command, error)),
    }
}

async fn look(environment: &Environment, way: &Way, breaker: &impl Breaker) -> Result<Shown, Error> {
    let shared = breaker.read().await.map_err(|error| unreadable(environment, way, error))?;
    let waiting = match shared.state.lot() {
        Lot::Empty => Waiting::none(),
        Lot::InUse => match breaker.count().await {
            Ok(Counted { is_partial: true, .. }) => {
                Waiting::by_record(&shared, Some("more wait than are counted each time".to_owned()))
            }
            Ok(counted) => Waiting::counted(&counted),
            // The state is worth showing without it.
            Err(error) => Waiting::by_record(&shared, Some(chain(&error))),
        },
    };
    Ok(Shown::new(way, &shared, waiting))
}

fn deployed(clouds: &Clouds, environment: &Environment, way: &Way) -> Result<DynamoRoute, Error> {
    let table = |name: &str| {
        let name = environment.name(name);
        name.parse().map_err(|error| Error::internal(format!("`{name}` is no table name")).caused_by(error))
    };
    let config = clouds.config(way.from.as_str())?;
    Ok(DynamoRoute::new(&config, table(ways::BREAKERS)?, table(ways::PARKING)?, &way.route()))
}

fn commanded(environment: &Environment, way: &Way, command: Command, reason: &str, changed: Changed) -> Commanded {
    let Changed { before, after } = changed;
    let shown = |shared: &Shared| Shown::new(way, shared, Waiting::by_record(shared, None));
    Commanded {
        environment: environment.environment_name().to_owned(),
        at: timestamp(now()),
        command: report::name_of(command).to_owned(),
        reason: reason.to_owned(),
        changed: before.version != after.version,
        before: shown(&before),
        after: shown(&after),
    }
}

async fn agree(
    ui: &Ui,
    environment: &Environment,
    way: &Way,
    command: Command,
    seen: &Shared,
    options: &Options,
) -> Result<(), Error> {
    let from_now_on = consequence(command, seen, way);
    if options.assume_yes || environment.is_local() {
        ui.status(&format!("{way}: {from_now_on}"));
        return Ok(());
    }
    for line in Shown::new(way, seen, Waiting::by_record(seen, None)).render(timestamp(now())) {
        ui.notice(&line);
    }
    ui.notice(&format!("from now on: {from_now_on}"));
    let question = format!(
        "{} of {way}, environment `{}`, account {}?",
        report::question(command),
        environment.environment_name(),
        environment.account()
    );
    match ui.confirm(&question).await {
        Some(true) => Ok(()),
        Some(false) => Err(Error::refused("the command was declined, nothing was changed")),
        None => Err(Error::refused("nobody can be asked to approve the command, nothing was changed")
            .hint("look with `synth breaker show`, and add `--yes` when you are sure")),
    }
}

fn unreadable(environment: &Environment, way: &Way, error: StoreError) -> Error {
    with_hints(Error::remote(format!("the breaker of {way} can't be read")).caused_by(error), environment)
}

fn not_changed(environment: &Environment, way: &Way, command: Command, error: NotChanged) -> Error {
    let name = report::name_of(command);
    let message = format!("`{name}` for {way} {error}");
    match error {
        NotChanged::Overruled { .. } => {
            Error::refused(message).hint("look with `synth breaker show`, then decide again")
        }
        NotChanged::Contended { .. } => Error::remote(message)
            .hint("run the same command again: nothing was changed, and it does no harm to repeat it"),
        NotChanged::Unreadable(error) | NotChanged::NotWritten(error) | NotChanged::Unknown(error) => {
            let again = "look with `synth breaker show`, then run the same command again if it is still needed";
            with_hints(Error::remote(message).caused_by(error).hint(again), environment)
        }
    }
}

fn with_hints(error: Error, environment: &Environment) -> Error {
    let (name, breakers) = (environment.environment_name(), environment.name(ways::BREAKERS));
    error.hint(format!("see `synth status --env {name}`: is the environment deployed?")).hint(format!(
        "you need `dynamodb:GetItem`, and for commands `dynamodb:UpdateItem`, on `{breakers}`, and the use of the region's key"
    ))
}

/// The machine's time.
fn now() -> Millis {
    Millis(u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default())
}

fn timestamp(Millis(millis): Millis) -> Timestamp {
    i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()).unwrap_or_default()
}
