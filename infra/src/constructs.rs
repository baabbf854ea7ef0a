//! Building blocks that several stacks use, each safe by default.

pub(crate) mod bus;
pub(crate) mod function;
pub(crate) mod key;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod scope;
pub(crate) mod table;

pub(crate) use scope::Scope;

use cfn::{Declared, RemovalPolicy, Resource};

/// A resource that holds what can't be made again: it stays when its stack goes or when a change replaces it.
///
/// Except when its own creation is rolled back: then it holds nothing, and would block the next try by its name.
pub(crate) fn stateful<R: Resource>(resource: R) -> Declared<R> {
    resource.deletion_policy(RemovalPolicy::RetainExceptOnCreate).update_replace_policy(RemovalPolicy::Retain)
}
