//! What a resource type is, how one is declared, and the handle that other resources refer to it by.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::intrinsic;
use crate::properties::Properties;
use crate::template::ConditionName;
use crate::value::Value;

/// A generated resource type.
///
/// Besides its properties a resource has options that CloudFormation itself understands. They are set after the
/// properties and give a [`Declared`] resource.
pub trait Resource: Sized {
    /// CloudFormation's name of the type, such as `AWS::SQS::Queue`.
    const TYPE: &'static str;

    /// Kind of what `Ref` yields: [`Arn`](crate::Arn) or [`Id`](crate::Id) of the type.
    type Reference;

    /// A resource with these properties, unchecked.
    fn from_properties(properties: Properties) -> Self;

    /// The properties that were set.
    fn into_properties(self) -> Properties;

    /// Keeps the real resource when it leaves the template or has to be replaced.
    fn retain(self) -> Declared<Self> {
        Declared::from(self).retain()
    }

    /// What happens to the real resource when it leaves the template. CloudFormation's default is to delete it.
    fn deletion_policy(self, policy: RemovalPolicy) -> Declared<Self> {
        Declared::from(self).deletion_policy(policy)
    }

    /// What happens to the old real resource when a change replaces it. CloudFormation's default is to delete it.
    fn update_replace_policy(self, policy: RemovalPolicy) -> Declared<Self> {
        Declared::from(self).update_replace_policy(policy)
    }

    /// Creates this resource after the other one. References already order resources; this is for hidden needs.
    fn depends_on<D: Resource>(self, other: &Handle<D>) -> Declared<Self> {
        Declared::from(self).depends_on(other)
    }

    /// Creates this resource only if the condition holds.
    fn only_if(self, condition: &ConditionName) -> Declared<Self> {
        Declared::from(self).only_if(condition)
    }

    /// Attaches data for tools. CloudFormation keeps it and does nothing with it.
    fn metadata(self, key: impl Into<String>, value: impl Into<Json>) -> Declared<Self> {
        Declared::from(self).metadata(key, value)
    }
}

/// What becomes of a real resource that the template no longer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalPolicy {
    /// It is deleted.
    Delete,
    /// It is left alone and leaves the stack.
    Retain,
    /// It is left alone, except if its creation itself is rolled back. For the deletion policy only.
    RetainExceptOnCreate,
    /// A snapshot is taken, then it is deleted. Only a few types allow that.
    Snapshot,
}

impl RemovalPolicy {
    /// CloudFormation's name of the policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Retain => "Retain",
            Self::RetainExceptOnCreate => "RetainExceptOnCreate",
            Self::Snapshot => "Snapshot",
        }
    }
}

/// The options of a resource that CloudFormation itself understands.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Options {
    pub(crate) deletion_policy: Option<RemovalPolicy>,
    pub(crate) update_replace_policy: Option<RemovalPolicy>,
    pub(crate) depends_on: Vec<String>,
    pub(crate) condition: Option<String>,
    pub(crate) metadata: serde_json::Map<String, Json>,
}

/// A resource with its options, ready for [`Template::add`](crate::Template::add).
#[derive(Clone, Debug)]
pub struct Declared<R> {
    pub(crate) resource: R,
    pub(crate) options: Options,
}

impl<R: Resource> From<R> for Declared<R> {
    fn from(resource: R) -> Self {
        Self { resource, options: Options::default() }
    }
}

impl<R: Resource> Declared<R> {
    /// Keeps the real resource when it leaves the template or has to be replaced.
    pub fn retain(self) -> Self {
        self.deletion_policy(RemovalPolicy::Retain).update_replace_policy(RemovalPolicy::Retain)
    }

    /// What happens to the real resource when it leaves the template.
    pub fn deletion_policy(mut self, policy: RemovalPolicy) -> Self {
        self.options.deletion_policy = Some(policy);
        self
    }

    /// What happens to the old real resource when a change replaces it.
    pub fn update_replace_policy(mut self, policy: RemovalPolicy) -> Self {
        self.options.update_replace_policy = Some(policy);
        self
    }

    /// Creates this resource after the other one.
    pub fn depends_on<D: Resource>(mut self, other: &Handle<D>) -> Self {
        self.options.depends_on.push(other.logical_id().to_owned());
        self
    }

    /// Creates this resource only if the condition holds.
    pub fn only_if(mut self, condition: &ConditionName) -> Self {
        self.options.condition = Some(condition.as_str().to_owned());
        self
    }

    /// Attaches data for tools.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Json>) -> Self {
        self.options.metadata.insert(key.into(), value.into());
        self
    }
}

/// What [`Template::add`](crate::Template::add) takes: a resource, or a resource with options.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a CloudFormation resource")]
pub trait Declare {
    /// The resource type.
    type Resource: Resource;

    /// The resource with its options.
    fn declare(self) -> Declared<Self::Resource>;
}

impl<R: Resource> Declare for R {
    type Resource = R;

    fn declare(self) -> Declared<R> {
        self.into()
    }
}

impl<R: Resource> Declare for Declared<R> {
    type Resource = R;

    fn declare(self) -> Declared<R> {
        self
    }
}

/// A resource of a template, for others to refer to.
///
/// Its generated methods are the attributes that CloudFormation can read (`queue.arn()`), and nothing else can be.
/// A handle belongs to the template that gave it; used in another one it is reported as dangling.
pub struct Handle<R> {
    logical_id: Arc<str>,
    resource: PhantomData<fn() -> R>,
}

impl<R: Resource> Handle<R> {
    pub(crate) fn new(logical_id: &str) -> Self {
        Self { logical_id: logical_id.into(), resource: PhantomData }
    }

    /// The name that the author gave.
    pub fn logical_id(&self) -> &str {
        &self.logical_id
    }

    /// `Ref`: the resource's id, name or ARN, whichever its type has.
    pub fn reference(&self) -> Value<R::Reference> {
        intrinsic::reference(&self.logical_id)
    }

    /// `Fn::GetAtt`, for the generated attribute methods.
    pub(crate) fn attribute<T>(&self, name: &str) -> Value<T> {
        intrinsic::attribute(&self.logical_id, name)
    }
}

impl<R> Clone for Handle<R> {
    fn clone(&self) -> Self {
        Self { logical_id: Arc::clone(&self.logical_id), resource: PhantomData }
    }
}

impl<R: Resource> fmt::Debug for Handle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.logical_id, R::TYPE)
    }
}
