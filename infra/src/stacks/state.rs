//! `state`: what a region's functions remember. Nothing of it is replicated: the other region has its own.
//!
//! A breaker that both regions wrote would be torn between their views, and a lock that both could take would be none.

use cfn::{Arn, Value, kms};
use contracts::{Bound, Region, resource};

use crate::constructs::table::{self, Regional};
use crate::constructs::{Scope, key};
use crate::environment::Environment;
use crate::system::StackInstance;

/// Verdicts and canary rows of the health checker.
const HEALTH: &str = "health";

/// State of the breakers.
const BREAKERS: &str = "breakers";

/// Events that wait for a breaker to close.
const PARKING: &str = "parking";

/// What was already done.
const IDEMPOTENCY: &str = "idempotency";

const TABLES: [Regional; 4] = [
    // Breaker and probe lease for each (from, to, target).
    Regional { logical_id: "Breakers", name: BREAKERS, sorted: false, expires: false },
    // In order per key.
    Regional { logical_id: "Parking", name: PARKING, sorted: true, expires: false },
    // So that a redelivery does nothing.
    Regional { logical_id: "Idempotency", name: IDEMPOTENCY, sorted: false, expires: true },
    Regional { logical_id: "Health", name: HEALTH, sorted: false, expires: true },
];

/// The stack of one region.
pub(crate) fn stack(environment: &Environment, region: &Region) -> StackInstance {
    let mut scope = Scope::new(environment, region, "state", "State of the functions");
    let key = key::of_region(&mut scope, "KeyArn", region);
    for table in &TABLES {
        table::add_regional(&mut scope, table, &key);
    }
    scope.finish()
}

/// Sharing the state of breakers in the region.
pub(crate) fn share_breakers(
    scope: &Scope<'_>,
    key: &Value<Arn<kms::Key>>,
) -> Bound<Value<String>, resource::Table, resource::Share> {
    let (name, arns) = regional(scope, BREAKERS);
    Bound::new(BREAKERS, name, arns).encrypted_by(key.clone().into())
}

/// Parking events in the region.
pub(crate) fn park_events(
    scope: &Scope<'_>,
    key: &Value<Arn<kms::Key>>,
) -> Bound<Value<String>, resource::Table, resource::Park> {
    let (name, arns) = regional(scope, PARKING);
    Bound::new(PARKING, name, arns).encrypted_by(key.clone().into())
}

/// Claiming work in the region.
pub(crate) fn claim_work(
    scope: &Scope<'_>,
    key: &Value<Arn<kms::Key>>,
) -> Bound<Value<String>, resource::Table, resource::Claim> {
    let (name, arns) = regional(scope, IDEMPOTENCY);
    Bound::new(IDEMPOTENCY, name, arns).encrypted_by(key.clone().into())
}

/// Name and ARN of a table of this region.
fn regional(scope: &Scope<'_>, table: &str) -> (Value<String>, Vec<Value<String>>) {
    let name = scope.environment.name(table);
    let arn = scope.arn_in(scope.region, "dynamodb", &format!("table/{name}"));
    (name.as_str().into(), vec![arn])
}

/// Probing the health table of every region; `peers` are the other regions with their keys.
pub(crate) fn probe_health(
    scope: &Scope<'_>,
    key: &Value<Arn<kms::Key>>,
    peers: &[(&Region, Value<Arn<kms::Key>>)],
) -> Bound<Value<String>, resource::Table, resource::Probe> {
    let name = scope.environment.name(HEALTH);
    let arns = scope
        .environment
        .from_region(scope.region)
        .map(|region| scope.arn_in(region, "dynamodb", &format!("table/{name}")));
    let bound = Bound::new(HEALTH, name.as_str().into(), arns.collect())
        .in_regions(scope.environment.from_region(scope.region))
        .encrypted_by(key.clone().into());
    peers.iter().fold(bound, |bound, (region, key)| bound.encrypted_in((*region).clone(), key.clone().into()))
}
