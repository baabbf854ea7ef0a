//! The region's event bus, and other regions' buses.

use cfn::{Handle, Value, events};
use contracts::{Bound, Region, resource};

use crate::constructs::Scope;

/// The bus's name without system and environment.
pub(crate) const BUS: &str = "events";

/// Publishing to a bus of this account.
pub(crate) type PublishTo = Bound<Value<String>, resource::EventBus, resource::Publish>;

/// Publishing to the stack's own bus.
pub(crate) fn publish(bus: &Handle<events::EventBus>) -> PublishTo {
    Bound::new(BUS, bus.reference().into(), vec![bus.arn().into()])
}

/// Publishing to the buses of the same name in other regions.
pub(crate) fn publish_in<'a>(scope: &Scope<'_>, regions: impl IntoIterator<Item = &'a Region>) -> PublishTo {
    let regions: Vec<&Region> = regions.into_iter().collect();
    let arns = regions.iter().map(|region| arn_in(scope, region)).collect();
    Bound::new(BUS, name(scope).as_str().into(), arns).in_regions(regions)
}

/// The ARN of the region's bus, written out.
pub(crate) fn arn_in(scope: &Scope<'_>, region: &Region) -> Value<String> {
    scope.arn_in(region, "events", &format!("event-bus/{}", name(scope)))
}

/// The name of the environment's bus, the same in each region.
pub(crate) fn name(scope: &Scope<'_>) -> String {
    scope.environment.name(BUS)
}
