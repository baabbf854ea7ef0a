//! The sweep after a reload from the source: rows that the load no longer had become tombstones, and are told as deletions.
//!
//! Which rows those are is decided in [`events::sweep`], and [`aws::sweep`] has the calls. Here is what an operator needs around
//! them: a survey before, reasons to refuse ([`limits`]), consent, and a report of what was done.
//!
//! The tables are scanned twice, once to count and once to sweep, so nothing has to be kept between the two: what a killed run
//! has left is found by the next one. Rows are judged anew the second time, and each write asks for the row as it was seen.

mod limits;
mod report;
mod request;
mod survey;
mod work;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use aws::authority::{AuthorityTable, ReadAuthority};
use aws::sweep::{CallFailed, DynamoRows};
use contracts::{Region, TableName};
use events::authority::Authority;
use events::{Entity, Timestamp};
use infra::environment::Environment;

use crate::deploy::Clouds;
use crate::error::Error;
use crate::reach;
use crate::ui::Ui;
use request::{Request, request};
use survey::Table;

pub use limits::Limits;
pub use report::{Failed, Report, Swept};
pub use survey::{Counted, Sampled, Survey};

/// The table of authority, without system and environment.
const AUTHORITY: &str = "authority";

/// What to sweep, and how carefully.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checkout's root folder.
    pub checkout: PathBuf,
    /// The region whose tables are written; the home region when none is named.
    pub region: Option<String>,
    /// The entities, each once.
    pub entities: Vec<Entity>,
    /// The generation of the load; the one that the environment's consumer writes when none is named.
    pub generation: Option<u32>,
    /// When to refuse.
    pub limits: Limits,
    /// Read units of a table a second.
    pub reads_per_second: u32,
    /// Writes to a table a second.
    pub writes_per_second: u32,
    /// Don't ask before something is swept on AWS.
    pub assume_yes: bool,
}

/// Says what a sweep would do, and changes nothing.
///
/// # Errors
/// The generation can't be swept for, the region owns nothing, or a table can't be read.
pub async fn survey(ui: &Ui, environment: &Environment, options: &Options) -> Result<Survey, Error> {
    let region = reach::region(environment, options.region.as_deref())?;
    // What can be refused without asking anybody is refused first.
    request(environment, options, &region, 0, Timestamp::now())?;
    let clouds = reach::clouds(environment, &options.checkout).await?;
    let epoch = owned(environment, &clouds, &region).await?;
    let request = request(environment, options, &region, epoch, Timestamp::now())?;
    look(ui, environment, &request, &deployed(environment, &clouds, &request)?).await
}

/// Sweeps what a survey finds.
///
/// Writes that fail are no error here: see [`Report::verdict`].
///
/// # Errors
/// As [`survey`]; the survey gives a reason to refuse, or nobody agreed.
pub async fn run(ui: &Ui, environment: &Environment, options: &Options) -> Result<Report, Error> {
    let region = reach::region(environment, options.region.as_deref())?;
    // What can be refused without asking anybody is refused first.
    request(environment, options, &region, 0, Timestamp::now())?;
    let clouds = reach::clouds(environment, &options.checkout).await?;
    let epoch = owned(environment, &clouds, &region).await?;
    let request = request(environment, options, &region, epoch, Timestamp::now())?;
    let tables = deployed(environment, &clouds, &request)?;
    let survey = look(ui, environment, &request, &tables).await?;
    if survey.outdated() > 0 {
        // What was counted is the answer of a dry run, and here it is what somebody decides by.
        for line in survey.render() {
            if options.assume_yes || environment.is_local() { ui.status(&line) } else { ui.notice(&line) }
        }
        may_go_on(&survey)?;
        agree(ui, environment, &survey, options).await?;
        // Counting and asking take their time.
        if owned(environment, &clouds, &region).await? != epoch {
            return Err(Error::refused("authority was decided anew since the rows were counted, so nothing was swept")
                .hint("look at the record of authority, then sweep again"));
        }
    }
    let live = ui.is_terminal().then(|| ui.live());
    let progress = |swept: &Swept| {
        if let Some(live) = &live {
            live.row(&swept.entity, &swept.progress());
        }
    };
    Ok(work::sweep(&request, &tables, &survey, progress).await)
}

async fn look(
    ui: &Ui,
    environment: &Environment,
    request: &Request,
    tables: &[Table<DynamoRows>],
) -> Result<Survey, Error> {
    let live = ui.is_terminal().then(|| ui.live());
    let progress = |entity: &str, read: u64| {
        if let Some(live) = &live {
            live.row(entity, &format!("{read} rows counted"));
        }
    };
    let counted = survey::count(request, tables, progress).await;
    let counted = counted.map_err(|error| unreadable(environment, request, error))?;
    Ok(Survey::new(environment, request, counted))
}

fn deployed(environment: &Environment, clouds: &Clouds, request: &Request) -> Result<Vec<Table<DynamoRows>>, Error> {
    let config = clouds.config(request.region.as_str())?;
    let table = |entity: &Entity| {
        let name = table_name(environment, entity.as_str())?;
        Ok(Table { entity: *entity, name: name.as_str().to_owned(), rows: DynamoRows::new(&config, name) })
    };
    request.entities.iter().map(table).collect()
}

/// The epoch under which a region owns the data. Refuses one that doesn't.
async fn owned(environment: &Environment, clouds: &Clouds, region: &Region) -> Result<u64, Error> {
    let table = table_name(environment, AUTHORITY)?;
    let record = AuthorityTable::new(&clouds.config(region.as_str())?, table).read().await.map_err(|error| {
        Error::remote(format!("nobody knows which region owns the data: `{AUTHORITY}` can't be read in {region}"))
            .caused_by(error)
            .hint(format!("see `synth status --env {}`: is the environment deployed?", environment.environment_name()))
            .hint("you need `dynamodb:GetItem` on that table and the use of the region's key")
    })?;
    epoch_of(environment, record.as_ref(), region)
}

/// Until somebody has made the record, the home region owns everything, and its consumer writes with epoch 0.
fn epoch_of(environment: &Environment, record: Option<&Authority>, region: &Region) -> Result<u64, Error> {
    let owner = record.map_or(environment.primary(), |record| &record.owner);
    if owner == region {
        return Ok(record.map_or(0, |record| record.epoch.get()));
    }
    Err(Error::refused(format!(
        "{region} doesn't own the data, {owner} does; a sweep writes where the consumer writes"
    ))
    .hint(format!("sweep there: `--region {owner}`; what is written is replicated")))
}

/// Refuses what the survey gives a reason against.
fn may_go_on(survey: &Survey) -> Result<(), Error> {
    if survey.refusals.is_empty() {
        return Ok(());
    }
    let error = Error::refused("this looks like no finished load, so nothing was swept");
    let error = survey.refusals.iter().fold(error, |error, refusal| error.detail(refusal.clone()));
    Err(error.hint("see \"Reload from the source\" in docs/runbooks.md; look with `--dry-run`"))
}

async fn agree(ui: &Ui, environment: &Environment, survey: &Survey, options: &Options) -> Result<(), Error> {
    if options.assume_yes || environment.is_local() {
        return Ok(());
    }
    ui.notice(
        "Is Qlik's load of all tables over, is the consumer's lag 0, and has each of its pods been restarted since the \
         generation was raised? None of that can be seen in the tables.",
    );
    let question = format!(
        "delete {} in {}, environment `{}`, account {}, as missing from the load of generation {}?",
        survey.says_what(),
        survey.region,
        environment.environment_name(),
        environment.account(),
        survey.generation,
    );
    match ui.confirm(&question).await {
        Some(true) => Ok(()),
        Some(false) => Err(Error::refused("the sweep was declined, nothing was changed")),
        None => Err(Error::refused("nobody can be asked to approve the sweep, nothing was changed")
            .hint("look with `--dry-run`, and add `--yes` when you are sure")),
    }
}

fn table_name(environment: &Environment, name: &str) -> Result<TableName, Error> {
    let name = environment.name(name);
    name.parse().map_err(|error| Error::internal(format!("`{name}` is no table name")).caused_by(error))
}

fn unreadable(environment: &Environment, request: &Request, error: CallFailed) -> Error {
    let message = format!("`{}` in {} can't be looked through, nothing was changed", error.table, request.region);
    Error::remote(message)
        .caused_by(error)
        .hint(format!("see `synth status --env {}`: is the environment deployed?", environment.environment_name()))
        .hint(
            "you need `dynamodb:Scan`, and to sweep `dynamodb:PutItem`, on the tables, and the use of the region's key",
        )
}

/// How long a call is tried beyond the attempts of the configuration.
const PATIENCE: aws::sweep::Patience = aws::sweep::Patience { rounds: 8, longest_pause: Duration::from_secs(10) };
