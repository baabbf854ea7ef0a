//! CloudFormation with types.
//!
//! Resource types are generated from AWS's own schemas: one struct a type, required properties as arguments of `new`,
//! enums as enums, and one method for each attribute that can be read. What the compiler can't hold, [`check`] says,
//! with the file and line that declared it. Nothing here reads files, the network, the clock or the environment, and
//! nothing deploys.
//!
//! ```
//! use cfn::prelude::*;
//! use cfn::{dynamodb::*, kms, sqs};
//!
//! let mut stack = Template::new();
//! let key = stack.add("Key", kms::Key::new().description("orders").enable_key_rotation(true).retain());
//! let dead_letters = stack.add(
//!     "DeadLetters",
//!     sqs::Queue::new().kms_master_key_id(key.arn()).message_retention_period(14 * 24 * 3600),
//! );
//! let redrive = sqs::queue::RedrivePolicy::new().dead_letter_target_arn(dead_letters.arn()).max_receive_count(5);
//! let work = stack.add(
//!     "Work",
//!     sqs::Queue::new().kms_master_key_id(key.arn()).visibility_timeout(180).redrive_policy(redrive),
//! );
//! stack.add(
//!     "Orders",
//!     Table::new([table::KeySchema::new("pk", "HASH")])
//!         .attribute_definitions([table::AttributeDefinition::new("pk", table::AttributeType::S)])
//!         .billing_mode(table::BillingMode::PayPerRequest)
//!         .tags([("team", "orders")])
//!         .retain(),
//! );
//! stack.output("WorkUrl", work.reference()).description("where orders are queued");
//!
//! assert_eq!(cfn::check(&stack, "us-west-2"), []);
//! assert!(stack.render().starts_with("{\n  \"AWSTemplateFormatVersion\""));
//! ```
//!
//! # How to read and write it
//!
//! - Modules are services, types have CloudFormation's names, setters its property names in snake case. What belongs to
//!   one resource lives in a module named after it: `sqs::queue::RedrivePolicy`.
//! - `new` takes the required properties in alphabetical order of their names.
//! - A setter takes a literal, a nested struct, an enum, or a [`Value`]: something that CloudFormation resolves.
//!   Lists take anything iterable, maps and tags take pairs.
//! - [`Template::add`] gives a [`Handle`]. `handle.reference()` is `Ref`, `handle.arn()` and the like are the attributes.
//! - A reference knows what it refers to ([`Arn`], [`Id`], [`AnyKey`], [`AnyFunction`]), so a queue can't stand for a key.
//!   [`Value::assume`] is the way around, for things that the template does not hold.
//! - Options of CloudFormation itself ([`Resource::retain`], [`Resource::depends_on`], …) come last.
//! - Logical ids are the names that the author wrote, and the rendered text depends on nothing else than what was
//!   declared.
//!
//! # Facts and opinions
//!
//! [`check`] says what AWS refuses and what loses data. [`policy`] says what a careful team wants besides: no wildcard
//! permission, keys of one's own, dead letters, alarms with a runbook. Callers choose whether to ask for opinions;
//! both speak in [`Violation`]s, and an opinion can be overruled by a reason in the resource's metadata.
//!
//! # How it is generated
//!
//! The schemas lie in `schemas/`, with their source, licence and regions; `cargo xtask schemas` renews them, and a line
//! in `schemas/types.txt` adds a type. The build script turns them into one file a service. To stay light for the
//! compiler, each struct wraps one [`Properties`] map: no derived serialisation and no field types. Facts for tools come
//! from [`describe`]; they are constant data, so nothing is parsed when a program starts.

mod check;
mod describe;
mod intrinsic;
mod properties;
mod render;
mod resource;
mod rules;
mod schema;
mod template;
mod value;

pub use check::{Severity, SkippedPattern, Violation, check, skipped_patterns};
pub use describe::{Handler, Replacement, TypeDescription, describe, type_names};
pub use intrinsic::{
    availability_zones, base64, cidr, either, import_value, join, pseudo, select, split, sub, sub_with,
};
pub use properties::{Properties, Tag};
pub use resource::{Declare, Declared, Handle, RemovalPolicy, Resource};
pub use rules::{POLICY_RULES, is_broad, known_text, policy};
pub use schema::Schema;
pub use template::{Condition, ConditionName, Declaration, Output, Parameter, ParameterKind, Template};
pub use value::{AnyFunction, AnyKey, Arn, Id, IntoList, List, Literal, Value};

/// Free-form JSON: policy documents, event patterns, bodies.
pub use serde_json::Value as Json;

/// What nearly every stack needs in scope.
pub mod prelude {
    pub use crate::{Handle, Parameter, Resource, Tag, Template, Value, pseudo};
}

include!(concat!(env!("OUT_DIR"), "/services.rs"));

#[cfg(test)]
mod tests;
