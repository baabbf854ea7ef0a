//! The Global Tables that hold the rows, one for each entity.

use cfn::dynamodb::global_table::{
    AttributeDefinition, AttributeType, BillingMode, GlobalTableWitness, KeySchema, KeyType, MultiRegionConsistency,
    PointInTimeRecoverySpecification, ReplicaSSESpecification, ReplicaSpecification, SSESpecification, SSEType,
    StreamSpecification, StreamViewType, TimeToLiveSpecification,
};
use cfn::{Arn, Declared, Resource, Value, dynamodb, kms};
use contracts::{Allows, Bound, Kind, Region, resource};
use events::Entity;

use crate::constructs::{Scope, accepted, stateful};
use crate::system::Subject;

/// The name of the table of authority without system and environment.
pub(crate) const AUTHORITY: &str = "authority";

/// Why nothing need be protected on the local platform.
pub(crate) const FORGETTING: &str = "the local platform forgets everything with its emulator";

/// Adds the Global Table of an entity with a replica in each region.
///
/// Every setting that a replica has of its own is set on every replica: protecting only the home region is an easy slip.
#[track_caller]
pub(crate) fn add(scope: &mut Scope<'_>, entity: Entity, keys: &[(&Region, Value<Arn<kms::Key>>)]) {
    let replicas: Vec<_> = keys.iter().map(|(region, key)| replica(scope, region, key)).collect();
    let name = name(scope, entity);
    let replicated_to = scope.environment.peers(scope.region).cloned().collect();
    scope.watch(logical_id(entity), Subject::Table { table: name.clone(), replicas: replicated_to, lags: true });
    let table = dynamodb::GlobalTable::new(replicas)
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions([AttributeDefinition::new("pk", AttributeType::S)])
        .key_schema([KeySchema::new("pk", KeyType::Hash)])
        .stream_specification(StreamSpecification::new(StreamViewType::NewAndOldImages))
        .time_to_live_specification(TimeToLiveSpecification::new(true).attribute_name("expires_at"))
        .sse_specification(SSESpecification::new(true).sse_type(SSEType::Kms));
    let table = with_reasons(scope, stateful(table));
    scope.add(logical_id(entity), table);
}

fn replica(scope: &Scope<'_>, region: &Region, key: &Value<Arn<kms::Key>>) -> ReplicaSpecification {
    let settings = scope.environment.tables();
    ReplicaSpecification::new(region.as_str())
        .deletion_protection_enabled(settings.deletion_protection)
        .point_in_time_recovery_specification(
            PointInTimeRecoverySpecification::new().point_in_time_recovery_enabled(settings.point_in_time_recovery),
        )
        .sse_specification(ReplicaSSESpecification::new(key))
        .tags(scope.tags())
}

/// Says why tables are neither protected nor backed up where that is so: on the local platform only.
fn with_reasons<R: Resource>(scope: &Scope<'_>, table: Declared<R>) -> Declared<R> {
    let settings = scope.environment.tables();
    let switches =
        [("deletion-protection", settings.deletion_protection), ("recovery", settings.point_in_time_recovery)];
    let off = switches.into_iter().filter(|(_, on)| scope.environment.is_local() && !on);
    accepted(table, &off.map(|(rule, _)| (rule, FORGETTING)).collect::<Vec<_>>())
}

/// Adds the table that says which region owns what.
///
/// It is strongly consistent over three regions, so that two regions never both believe that they own the same; the
/// third is a replica or, where the system has two, a witness that only votes.
/// Such tables have neither time to live nor transactions, so nothing else is kept in it.
#[track_caller]
pub(crate) fn add_authority(scope: &mut Scope<'_>, keys: &[(&Region, Value<Arn<kms::Key>>)]) {
    let replicas: Vec<_> = keys.iter().map(|(region, key)| replica(scope, region, key)).collect();
    let name = scope.environment.name(AUTHORITY);
    let replicated_to = scope.environment.peers(scope.region).cloned().collect();
    scope.watch("Authority", Subject::Table { table: name.clone(), replicas: replicated_to, lags: false });
    let witness = scope.environment.authority().witness.as_ref();
    let mut table = dynamodb::GlobalTable::new(replicas)
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions([AttributeDefinition::new("pk", AttributeType::S)])
        .key_schema([KeySchema::new("pk", KeyType::Hash)])
        .multi_region_consistency(MultiRegionConsistency::Strong)
        .sse_specification(SSESpecification::new(true).sse_type(SSEType::Kms));
    if let Some(region) = witness {
        table = table.global_table_witnesses([GlobalTableWitness::new().region(region.as_str())]);
    }
    let table = with_reasons(scope, stateful(table));
    scope.add("Authority", table);
}

/// A table of one region.
pub(crate) struct Regional {
    /// Its logical id.
    pub(crate) logical_id: &'static str,
    /// Its name without system and environment.
    pub(crate) name: &'static str,
    /// Whether rows of one partition key are told apart by a sort key `sk`.
    pub(crate) sorted: bool,
    /// Whether rows go when the second in `expires_at` has passed.
    pub(crate) expires: bool,
}

/// Adds a table that belongs to its region: nothing in it is replicated.
#[track_caller]
pub(crate) fn add_regional(scope: &mut Scope<'_>, table: &Regional, key: &Value<Arn<kms::Key>>) {
    use cfn::dynamodb::table as regional;
    let settings = scope.environment.tables();
    let name = scope.environment.name(table.name);
    scope.watch(table.logical_id, Subject::Table { table: name.clone(), replicas: Vec::new(), lags: false });
    let keys = [("pk", "HASH"), ("sk", "RANGE")];
    let keys = &keys[..1 + usize::from(table.sorted)];
    let mut declared = dynamodb::Table::new(
        keys.iter().map(|(name, kind)| regional::KeySchema::new(*name, *kind)).collect::<Vec<_>>(),
    )
    .table_name(name)
    .billing_mode(regional::BillingMode::PayPerRequest)
    .attribute_definitions(
        keys.iter().map(|(name, _)| regional::AttributeDefinition::new(*name, regional::AttributeType::S)),
    )
    .deletion_protection_enabled(settings.deletion_protection)
    .point_in_time_recovery_specification(
        regional::PointInTimeRecoverySpecification::new()
            .point_in_time_recovery_enabled(settings.point_in_time_recovery),
    )
    .sse_specification(regional::SSESpecification::new(true).sse_type(regional::SSEType::Kms).kms_master_key_id(key));
    if table.expires {
        declared = declared
            .time_to_live_specification(regional::TimeToLiveSpecification::new(true).attribute_name("expires_at"));
    }
    let declared = with_reasons(scope, stateful(declared));
    scope.add(table.logical_id, declared);
}

/// The table's name, the same in each region.
pub(crate) fn name(scope: &Scope<'_>, entity: Entity) -> String {
    scope.environment.name(entity.as_str())
}

/// Writing rows into the region's replica of a table.
pub(crate) fn write(
    scope: &Scope<'_>,
    entity: Entity,
    key: &Value<Arn<kms::Key>>,
) -> Bound<Value<String>, resource::Table, resource::Write> {
    let name = name(scope, entity);
    let arn = scope.arn_in(scope.region, "dynamodb", &format!("table/{name}"));
    Bound::new(entity.as_str(), name.as_str().into(), vec![arn]).encrypted_by(key.clone().into())
}

/// Reading the region's replica of the table of authority.
pub(crate) fn read_authority<K: Kind + Allows<resource::Read>>(
    scope: &Scope<'_>,
    key: &Value<Arn<kms::Key>>,
) -> Bound<Value<String>, K, resource::Read> {
    let name = scope.environment.name(AUTHORITY);
    let arn = scope.arn_in(scope.region, "dynamodb", &format!("table/{name}"));
    Bound::new(AUTHORITY, name.as_str().into(), vec![arn]).encrypted_by(key.clone().into())
}

/// The logical id of an entity's table.
pub(crate) fn logical_id(entity: Entity) -> &'static str {
    match entity {
        Entity::Customers => "Customers",
        Entity::Orders => "Orders",
        Entity::Products => "Products",
    }
}
