//! What each program needs from its surroundings, declared once.
//!
//! One [`program!`] declaration says which settings a program reads and which resources it uses with which access.
//! Two things come from it, so that code and infrastructure agree by compiling:
//!
//! - at run time `X::from_env()` parses everything and reports **every** missing or malformed variable at once;
//! - in `infra` the struct `XBinding<V>` has one field for each need, and each resource field takes only a [`Bound`] of
//!   the right kind and access. Environment variables and IAM statements are derived from that value.
//!   `V` is whatever a template puts in such a place (a literal or an intrinsic), so this crate knows no template model.
//!
//! This crate holds no AWS SDK and does no I/O besides reading the process environment in `from_env()`.

mod bound;
mod config;
mod grants;
mod macros;
mod region;
pub mod resource;
mod setting;

mod authorizer;
mod cdc_consumer;
mod coalescing;
mod event_router;
mod event_transformer;
mod health_checker;
mod kafka;
mod ownership;
mod stream_processor;

pub use authorizer::{Authorizer, AuthorizerBinding, AuthorizerSettings, BadToken, HttpAnswer, KeyIssuer};

pub use bound::{Binding, Bound, KeyNeed, Need, Text, Variable};
pub use cdc_consumer::{CdcConsumer, CdcConsumerBinding, CdcConsumerSettings};
pub use coalescing::Coalescing;
pub use config::{ConfigError, Mistake};
pub use event_router::{EventRouter, EventRouterBinding, EventRouterSettings};
pub use event_transformer::{EventTransformer, EventTransformerBinding, EventTransformerSettings, GeoDatabaseFile};
pub use grants::{Grant, Grants};
pub use health_checker::{HealthChecker, HealthCheckerBinding, HealthCheckerSettings};
pub use kafka::{CaFile, CredentialsFolder, GroupProtocol, KafkaSecurity, SaslMechanism};
pub use ownership::{WhenUnread, WithoutRecord};
pub use region::{InvalidRegion, Region, Regions};
pub use resource::{
    Access, Allows, AuthoritySource, BusName, ControlPlaneListing, Flow, Kind, QueueName, QueueUrl, SecretName,
    TableName,
};
pub use setting::{Setting, duration};
pub use stream_processor::{StreamProcessor, StreamProcessorBinding, StreamProcessorSettings};

#[doc(hidden)]
pub use config::Reader;
