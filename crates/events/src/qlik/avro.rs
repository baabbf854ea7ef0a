//! Avro datums, read by a plan that is made once for each writer's schema.
//!
//! The Avro crate parses schemas, and in tests it is the reference for what a datum means.
//! It isn't used to read: a generic value with a name for each field costs several times what a row needs.

pub(super) mod error;
pub(super) mod input;
pub(super) mod plan;
pub(super) mod read;
mod scalar;
pub(super) mod shape;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
