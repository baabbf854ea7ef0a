//! What a deployment did when: a record of it as data, and a page of it for people.
//!
//! The recorder hears what the live table hears and keeps it; nothing here asks the cloud or decides anything.

mod critical;
mod files;
mod operations;
mod page;
pub(crate) mod record;
mod recorder;
#[cfg(test)]
mod tests;

pub(crate) use files::keep;
pub(crate) use recorder::{Ending, Recorder};
