//! `data`: the Global Tables, declared once, in the home region, for all regions.
//!
//! A stack in each region would declare the same table twice and drift.

use events::Entity;

use crate::constructs::{Scope, key, table};
use crate::environment::Environment;
use crate::system::StackInstance;

/// The stack of the home region.
pub(crate) fn stack(environment: &Environment) -> StackInstance {
    let mut scope = Scope::new(environment, environment.primary(), "data", "Global Tables");
    let keys = key::of_each_region(&mut scope);
    for entity in Entity::ALL {
        table::add(&mut scope, entity, &keys);
    }
    table::add_authority(&mut scope, &keys);
    scope.finish()
}
