//! This system's infrastructure as typed values: an [`Environment`](environment::Environment) goes in, templates come out.
//!
//! Pure: no network, no files, no clock, no process environment, no randomness.
//! Two calls with the same environment give the same bytes.
//! What a program needs comes from its declaration in `contracts`; permissions are derived from there and nowhere else.

pub mod dashboards;
pub mod environment;
pub mod graph;
pub mod kubernetes;
pub mod parity;
pub mod rules;
pub mod system;

mod constructs;
mod consumer;
mod stacks;

pub use consumer::{KafkaEndpoints, consumer_environment};
pub use stacks::access::{HandlerPermission, handler_permissions, read_permissions};
pub use stacks::events::SYNTHETIC_PREFIX;
pub use system::{
    Bake, Flow, Grant, Input, Place, Source, StackId, StackInstance, Subject, System, Watch, system, waves,
};
