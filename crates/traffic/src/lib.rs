//! Realistic CDC traffic of Qlik Replicate, and what tables and dead-letter topic must hold after it.
//!
//! One decision shaped this crate: each message says what it means ([`Meaning`]), so that the expected end ([`Expected`]) is a
//! plain fold over what was sent, whoever sent it and however it arrived. The tests hold it against a fold that is written
//! independently: it decodes the bytes as the consumer does and applies the writes under the writer's conditions, in any order
//! between partitions.
//!
//! Everything follows from a configuration and its seed: no clock, no network, no chance. Nothing here sends anything.
//!
//! What the traffic has: three topics in different forms (text keys and key records, column masks that begin at different
//! bits), few rows that change often and many that rarely do, inserts, updates with the whole row and with some columns, rows
//! that get another key, deletions, marks for log compaction, repetitions of single messages and of the end of a partition,
//! messages that can't be applied, trace contexts, and reloads under a new generation.
//!
//! What it hasn't: source transactions that must be seen as a whole, schemas that change on the way, changes of some columns
//! that may overtake their row from another partition (whether the consumer still waits for it is a matter of time).

mod expected;
mod generator;
mod letters;
mod message;
mod poison;
mod popularity;
mod random;
mod rows;
mod schemas;
mod source;

pub use expected::{Expected, RowCounts};
pub use generator::{Config, Mix, Traffic};
pub use letters::{Letter, LetterDifference, Place};
pub use message::{Kind, Meaning, Message, NUMBER_HEADER, RowAfter};
pub use poison::Poison;
pub use random::Random;
pub use rows::{RowDifference, Writer, WrongRow};
pub use schemas::{SchemaIds, Schemas, schemas};
