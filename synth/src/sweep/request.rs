//! What was asked for, checked against the environment.

use std::num::NonZeroU32;

use contracts::Region;
use events::sweep::Sweep;
use events::{Entity, Timestamp};
use infra::environment::Environment;

use super::{Limits, Options, PATIENCE};
use crate::error::Error;
use aws::sweep::Patience;

/// A sweep that may be made, as far as the environment knows.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) region: Region,
    pub(super) entities: Vec<Entity>,
    pub(super) sweep: Sweep,
    pub(super) limits: Limits,
    pub(super) reads_per_second: u32,
    pub(super) writes_per_second: u32,
    pub(super) patience: Patience,
}

/// The sweep that is meant, begun `at` this time in `region`, under the epoch of its consumer.
pub(super) fn request(
    environment: &Environment,
    options: &Options,
    region: &Region,
    epoch: u64,
    at: Timestamp,
) -> Result<Request, Error> {
    let consumer = environment.consumer();
    let name = environment.environment_name();
    let generation = options.generation.unwrap_or(consumer.generation);
    if generation > consumer.generation {
        return Err(Error::refused(format!(
            "the consumer of `{name}` writes generation {}, so nothing was loaded as generation {generation}",
            consumer.generation
        ))
        .hint(RELOAD_FIRST));
    }
    let Some(generation) = NonZeroU32::new(generation) else {
        return Err(Error::refused("generation 0 is the first one: no row can be of an earlier one").hint(RELOAD_FIRST));
    };
    let source = consumer.source_id.parse();
    let source = source.map_err(|error| Error::internal("the source has no valid id").caused_by(error))?;
    Ok(Request {
        region: region.clone(),
        entities: options.entities.clone(),
        sweep: Sweep {
            source,
            generation,
            epoch,
            origin_region: region.clone(),
            at,
            tombstone_retention: consumer.tombstone_retention.duration(),
        },
        limits: options.limits,
        reads_per_second: options.reads_per_second,
        writes_per_second: options.writes_per_second,
        patience: PATIENCE,
    })
}

const RELOAD_FIRST: &str = "first raise `generation` under `[consumer]`, deploy, and load all tables again: see \"Reload from \
                            the source\" in docs/runbooks.md";
