//! `keys`: the environment's multi-region key in the primary region, its replica in each secondary.

use cfn::{Arn, Value, kms};
use contracts::Region;

use crate::constructs::{Scope, accepted, key, stateful};
use crate::environment::Environment;
use crate::system::{Source, StackId, StackInstance};

/// The stack of the primary region.
pub(crate) fn primary(environment: &Environment) -> StackInstance {
    let mut scope = Scope::new(environment, environment.primary(), "keys", "Encryption key");
    let key = kms::Key::new()
        .description(format!("encrypts everything of {}", environment.environment_name()))
        .key_policy(key::policy(environment.primary()))
        .multi_region(true)
        .enable_key_rotation(true)
        .pending_window_in_days(30);
    let key = scope.add("Key", accepted(stateful(key), &key::ACCEPTED));
    scope.output("KeyArn", "ARN of the key in this region", key.arn());
    scope.finish()
}

/// The stack of a secondary region: a replica with the same key id, so that what one region encrypts the other can read.
pub(crate) fn replica(environment: &Environment, region: &Region) -> StackInstance {
    let mut scope = Scope::new(environment, region, "keys", "Replica of the encryption key");
    let home = StackId { name: "keys", region: environment.primary().clone() };
    let primary_arn: Value<Arn<kms::Key>> = scope.input(
        "PrimaryKeyArn",
        "ARN of the key in the primary region",
        Source::StackOutput { stack: home, output: "KeyArn".to_owned() },
    );
    let replica = kms::ReplicaKey::new(key::policy(region), primary_arn)
        .description(format!("encrypts everything of {}", environment.environment_name()))
        .pending_window_in_days(30);
    let replica = scope.add("Key", stateful(replica));
    scope.output("KeyArn", "ARN of the key in this region", replica.arn());
    scope.finish()
}
