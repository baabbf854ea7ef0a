//! `data`: the Global Tables, declared once, in the home region, for all regions.
//!
//! A stack in each region would declare the same table twice and drift.

use contracts::Region;
use events::Entity;

use crate::constructs::{Scope, key, table};
use crate::environment::Environment;
use crate::system::StackInstance;

/// The stack of the home region.
pub(crate) fn stack(environment: &Environment, home: &Region) -> StackInstance {
    let mut scope = Scope::new(environment, home, "data", "Global Tables");
    let keys: Vec<_> = environment
        .regions()
        .map(|region| (region, key::of_region(&mut scope, &key_parameter(region), region)))
        .collect();
    for entity in Entity::ALL {
        table::add(&mut scope, entity, &keys);
    }
    scope.finish()
}

/// `us-west-2` becomes `KeyArnUsWest2`.
fn key_parameter(region: &Region) -> String {
    let words = region.as_str().split('-').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    format!("KeyArn{}", words.collect::<String>())
}
