//! The typed ports to AWS: what the programs do to buses, queues and tables, and nothing else.
//!
//! One decision shapes this crate: **a caller never sees an SDK error.** Each port has its own small error type that
//! says what the caller has to decide: try again later, or give this record up. A failure that is not the record's own
//! fault (throttling, an outage, a missing permission) is never a reason to give a record up.
//!
//! - [`config`]: clients put together by hand, with every timeout written down.
//! - [`connector`]: the connections of all clients, and which roots they trust.
//! - [`publisher`]: events to an EventBridge bus, answered entry by entry, order kept per key.
//! - [`dead_letters`]: records that cannot be processed, to an SQS queue with everything needed to replay them.
//! - [`table_writer`]: the conditional write that makes redelivery and reordering harmless.
//! - [`sweep`]: the scan of a table after a reload, and the conditional write of tombstones.
//! - [`batch`]: what batches of streams and of queues have in common, the partial-batch answer among it.
//! - [`idempotency`]: what was already done, so that a repetition does nothing.
//! - [`queue`]: one batch of an SQS queue, answered message by message.
//! - [`stream`]: one batch of a DynamoDB stream, from JSON to the partial-batch answer.
//! - [`routes`]: what the breaker shares between instances, and the events that wait.
//! - [`secrets`]: the versions of one secret.
//! - [`authority`]: the record that says which region owns what and which get no traffic.
//! - [`health`]: small reads and writes that show whether a region works, and where verdicts are kept.
//! - [`fakes`]: ports that only remember, for tests of the programs.
//!
//! Control planes (CloudFormation, Lambda, …) are not reached from here.

pub mod authority;
pub mod batch;
pub mod config;
pub mod connector;
mod credentials;
pub mod dead_letters;
mod failure;
pub mod fakes;
pub mod health;
pub mod idempotency;
mod json_service;
pub mod publisher;
pub mod queue;
pub mod routes;
pub mod secrets;
mod signature;
pub mod stream;
pub mod sweep;
pub mod table_writer;
mod tables;
#[cfg(test)]
mod testing;

pub use config::{CallBudget, SdkConfigError, sdk_config, sdk_config_with, with_fresh_connections, with_region};
pub use connector::https_connector;
pub use dead_letters::{DeadLetterError, DeadLetters, SendDeadLetters};
pub use idempotency::{Idempotency, IdempotencyTable};
pub use publisher::{EventPublisher, OutgoingEvent, PublishError, PublishEvents};
pub use secrets::{ReadSecret, Secret, SecretError, SecretStage, SecretText, SecretVersion};
pub use table_writer::{Applied, TableNames, TableWriter, WriteError};
