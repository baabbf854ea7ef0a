//! Building blocks that several stacks use, each safe by default.

pub(crate) mod bus;
pub(crate) mod function;
pub(crate) mod key;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod role;
pub(crate) mod scope;
pub(crate) mod table;
pub(crate) mod trigger;

pub(crate) use scope::Scope;

use cfn::{Declared, RemovalPolicy, Resource};
use serde_json::{Map, Value as Json, json};

/// Key of a resource's metadata: why it may go, although its type holds data.
pub(crate) const DISPOSABLE: &str = "Disposable";

/// A resource that holds what can't be made again: it stays when its stack goes or when a change replaces it.
///
/// Except when its own creation is rolled back: then it holds nothing, and would block the next try by its name.
pub(crate) fn stateful<R: Resource>(resource: R) -> Declared<R> {
    resource.deletion_policy(RemovalPolicy::RetainExceptOnCreate).update_replace_policy(RemovalPolicy::Retain)
}

/// Says in a resource's metadata why rules of judges don't fit it: each is a rule's name with the reason.
///
/// Names that begin with `CKV` are checkov's, all others those of `cfn::policy`.
pub(crate) fn accepted<R: Resource>(resource: impl Into<Declared<R>>, rules: &[(&str, &str)]) -> Declared<R> {
    let (checkov, own): (Vec<_>, Vec<_>) = rules.iter().partition(|(name, _)| name.starts_with("CKV"));
    let mut resource = resource.into();
    if !own.is_empty() {
        let reasons: Map<String, Json> = own.iter().map(|(name, why)| ((*name).to_owned(), json!(why))).collect();
        resource = resource.metadata("Accepted", Json::Object(reasons));
    }
    if !checkov.is_empty() {
        let skipped: Vec<Json> = checkov.iter().map(|(id, why)| json!({"id": id, "comment": why})).collect();
        resource = resource.metadata("checkov", json!({"skip": skipped}));
    }
    resource
}
