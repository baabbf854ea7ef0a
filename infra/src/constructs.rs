//! Building blocks that several stacks use, each safe by default.

pub(crate) mod bus;
pub(crate) mod function;
pub(crate) mod key;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod scope;
pub(crate) mod table;

pub(crate) use scope::Scope;
