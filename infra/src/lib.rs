//! This system's infrastructure as typed values: an [`Environment`](environment::Environment) goes in, templates come out.
//!
//! Pure: no network, no files, no clock, no process environment, no randomness.
//! Two calls with the same environment give the same bytes.
//! What a program needs comes from its declaration in `contracts`; permissions are derived from there and nowhere else.

pub mod environment;
pub mod system;

mod constructs;
mod consumer;
mod stacks;

pub use consumer::{KafkaEndpoints, consumer_environment};
pub use stacks::events::SYNTHETIC_PREFIX;
pub use system::{Input, Source, StackId, StackInstance, System, system};
