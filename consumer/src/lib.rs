//! The Kafka CDC consumer: change records of Qlik Replicate become rows, each applied once.
//!
//! Kafka delivers at least once and in any interleaving of keys. Three things make the effect exactly one:
//!
//! - every write is conditional on the row's version, so a change that comes twice or late changes nothing ([`sink`]);
//! - an offset is committed only when it and everything before it in its partition is done ([`tracker`]);
//! - a message that can't be applied is done only when the dead-letter topic has acknowledged it ([`dead_letter`]).
//!
//! How the parts hang together: [`pipeline`] polls a [`source`] and owns the phases consuming, draining and complete;
//! each assigned partition has one [`lane`], a task that decodes and applies its messages, in order per key and in parallel across keys
//! ([`keyed`]); [`assignment`] starts and ends [`lanes`] as the group rebalances.
//!
//! Only the consumers of the region that owns the topics are in the group: [`ownership`] decides that by the record of authority,
//! and [`tenure`] carries it out.
//!
//! What it doesn't do: publish events (the tables' streams do), fail over to another region, group source transactions.

pub mod assignment;
pub mod backoff;
pub mod clock;
pub mod credentials;
pub mod dead_letter;
pub mod fold;
mod groups;
pub mod http;
pub mod kafka;
pub mod keyed;
pub mod lag;
pub mod lane;
pub mod lanes;
pub mod limiter;
mod message;
pub mod ownership;
pub mod pipeline;
pub mod presence;
pub mod registry;
pub mod signals;
pub mod sink;
pub mod source;
pub mod tenure;
pub mod tracker;
