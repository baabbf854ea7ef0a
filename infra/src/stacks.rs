//! One module a stack.

pub(crate) mod access;
pub(crate) mod api;
pub(crate) mod cluster;
pub(crate) mod data;
pub(crate) mod delivery;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod network;
pub(crate) mod observability;
pub(crate) mod routing;
pub(crate) mod secrets;
pub(crate) mod state;
