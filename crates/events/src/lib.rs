//! What flows through Tandem: change records, rows, domain events and the cross-region envelope.
//!
//! One decision shaped this crate: it is pure.
//! It does no I/O, reads no clock and knows no AWS SDK, so each program can test what it does with an event without a cloud,
//! and two programs that meet only through a table or a bus share the same types.
//!
//! The way of a change: [`qlik`] decodes a Kafka message into a [`qlik::Change`], which becomes [`row::RowWrite`]s;
//! a table's stream gives [`stream::Record`]s, which become [`domain::DomainEvent`]s; [`cross_region`] carries those to the peer region.
//! Events of the API have a way of their own: [`raw`].
//! Rows that a reload from the source no longer had are found by [`sweep`].
//! Who owns what, and where no traffic goes, is said by [`authority`].
//!
//! Numbers are carried as decimal text and never become floating-point numbers here, so their value stays exact,
//! also that of an integer above 2^53 or a long decimal. Their spelling doesn't: a table gives `9.10` back as `9.1`.

pub mod attribute;
pub mod authority;
pub mod cross_region;
pub mod dead_letter;
pub mod domain;
mod entity;
pub mod geo;
mod hash;
pub mod health;
mod id;
mod json;
mod key;
pub mod qlik;
pub mod raw;
pub mod row;
pub mod schemas;
pub mod stream;
pub mod sweep;
mod text;
pub mod trace_context;
mod version;

pub use attribute::{AttributeValue, Item};
pub use contracts::Region;
pub use domain::DomainEvent;
pub use entity::{Entity, Operation, UnknownName};
pub use id::{EventId, InvalidEventId, InvalidSourceId, SourceId};
pub use jiff::Timestamp;
pub use json::{InvalidJson, JsonText};
pub use key::{EntityKey, InvalidKey};
pub use row::{Columns, Row, RowChange, RowHead, RowState, RowWrite, Trace};
pub use trace_context::{Correlation, TraceId, TraceParent};
pub use version::{ChangeSequence, InvalidChangeSequence, InvalidVersion, Version};
