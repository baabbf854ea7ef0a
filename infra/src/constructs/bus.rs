//! The region's event bus, and other regions' buses.

use cfn::{Handle, Value, events};
use contracts::{Bound, Region, resource};

use crate::constructs::Scope;

/// Publishing to a bus of this account.
pub(crate) type PublishTo = Bound<Value<String>, resource::EventBus, resource::Publish>;

/// Publishing to the stack's own bus.
pub(crate) fn publish(bus: &Handle<events::EventBus>) -> PublishTo {
    Bound::new(bus.reference().into(), vec![bus.arn().into()])
}

/// Publishing to the bus of the same name in another region.
pub(crate) fn publish_in(scope: &Scope<'_>, region: &Region) -> PublishTo {
    let name = name(scope);
    let arn = scope.arn_in(region, "events", &format!("event-bus/{name}"));
    Bound::new(name.as_str().into(), vec![arn])
}

/// The name of the environment's bus, the same in each region.
pub(crate) fn name(scope: &Scope<'_>) -> String {
    scope.environment.name("events")
}
