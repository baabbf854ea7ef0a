//! One module a stack.

pub(crate) mod data;
pub(crate) mod delivery;
pub(crate) mod events;
pub(crate) mod keys;
