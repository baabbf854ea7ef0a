//! The Global Tables that hold the rows, one for each entity.

use cfn::dynamodb::global_table::{
    AttributeDefinition, AttributeType, BillingMode, KeySchema, KeyType, PointInTimeRecoverySpecification,
    ReplicaSSESpecification, ReplicaSpecification, SSESpecification, SSEType, StreamSpecification, StreamViewType,
    TimeToLiveSpecification,
};
use cfn::{Arn, Value, dynamodb, kms};
use contracts::{Bound, Region, resource};
use events::Entity;

use crate::constructs::{Scope, stateful};

/// Adds the Global Table of an entity with a replica in each region.
///
/// Every setting that a replica has of its own is set on every replica: protecting only the home region is an easy slip.
#[track_caller]
pub(crate) fn add(scope: &mut Scope<'_>, entity: Entity, keys: &[(&Region, Value<Arn<kms::Key>>)]) {
    let settings = scope.environment.tables();
    let replicas = keys.iter().map(|(region, key)| {
        ReplicaSpecification::new(region.as_str())
            .deletion_protection_enabled(settings.deletion_protection)
            .point_in_time_recovery_specification(
                PointInTimeRecoverySpecification::new().point_in_time_recovery_enabled(settings.point_in_time_recovery),
            )
            .sse_specification(ReplicaSSESpecification::new(key))
            .tags(scope.tags())
    });
    let table = dynamodb::GlobalTable::new(replicas)
        .table_name(name(scope, entity))
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions([AttributeDefinition::new("pk", AttributeType::S)])
        .key_schema([KeySchema::new("pk", KeyType::Hash)])
        .stream_specification(StreamSpecification::new(StreamViewType::NewAndOldImages))
        .time_to_live_specification(TimeToLiveSpecification::new(true).attribute_name("expires_at"))
        .sse_specification(SSESpecification::new(true).sse_type(SSEType::Kms));
    scope.add(logical_id(entity), stateful(table));
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
    Bound::new(name.as_str().into(), vec![arn]).encrypted_by(key.clone().into())
}

/// The logical id of an entity's table.
pub(crate) fn logical_id(entity: Entity) -> &'static str {
    match entity {
        Entity::Customers => "Customers",
        Entity::Orders => "Orders",
        Entity::Products => "Products",
    }
}
