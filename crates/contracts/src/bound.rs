//! What `infra` hands over for each need, and what is derived from it.

use std::fmt;
use std::marker::PhantomData;

use crate::resource::{Access, Allows, Kind};

/// A resource with an access, as a stack gives it to a program.
///
/// `V` is the template's value type. Only constructs of the infrastructure make it, by methods like `queue.send()`.
pub struct Bound<V, K, A> {
    address: V,
    resources: Vec<V>,
    key: Option<V>,
    marker: PhantomData<fn() -> (K, A)>,
}

impl<V, K: Kind, A: Access> Bound<V, K, A>
where
    K: Allows<A>,
{
    /// `address` is what the variable holds (a name or URL); `resources` are the ARNs that the permission covers.
    pub fn new(address: V, resources: Vec<V>) -> Self {
        Self { address, resources, key: None, marker: PhantomData }
    }

    /// Says that the resource is encrypted by the customer-managed key with this ARN.
    #[must_use]
    pub fn encrypted_by(mut self, key: V) -> Self {
        self.key = Some(key);
        self
    }

    #[doc(hidden)]
    pub fn variable(&self, name: &'static str) -> Variable<V>
    where
        V: Clone,
    {
        Variable { name, value: Text::Template(self.address.clone()) }
    }

    #[doc(hidden)]
    pub fn need(&self, field: &'static str) -> Need<V>
    where
        V: Clone,
    {
        let key = self.key.clone().filter(|_| !K::KEY_ACTIONS.is_empty());
        Need {
            field,
            actions: K::ACTIONS,
            resources: self.resources.clone(),
            key: key.map(|key| KeyNeed { key, actions: K::KEY_ACTIONS, via_service: K::SERVICE }),
        }
    }
}

impl<V: fmt::Debug, K, A> fmt::Debug for Bound<V, K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, resources, key, marker: _ } = self;
        f.debug_struct("Bound").field("address", address).field("resources", resources).field("key", key).finish()
    }
}

/// One environment variable of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable<V> {
    /// The variable's name.
    pub name: &'static str,
    /// What it holds.
    pub value: Text<V>,
}

/// The text of a variable: known now, or a value of the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text<V> {
    /// Known when the template is written.
    Literal(String),
    /// A value of the template, such as a reference.
    Template(V),
}

/// A permission that a program needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need<V> {
    /// The declaration's field that needs it.
    pub field: &'static str,
    /// IAM actions.
    pub actions: &'static [&'static str],
    /// ARNs.
    pub resources: Vec<V>,
    /// What it takes to use the resource's key.
    pub key: Option<KeyNeed<V>>,
}

/// A permission on a customer-managed key, used only through the resource's service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNeed<V> {
    /// The key's ARN.
    pub key: V,
    /// IAM actions.
    pub actions: &'static [&'static str],
    /// The service prefix for `kms:ViaService`, such as `sqs`.
    pub via_service: &'static str,
}

/// A program's needs, bound to the resources of a stack.
pub trait Binding<V> {
    /// The program's name: its folder, its binary and the last part of its function's name.
    const PROGRAM: &'static str;

    /// Environment variables, in the order of declaration.
    fn variables(&self) -> Vec<Variable<V>>;

    /// Permissions, in the order of declaration.
    fn needs(&self) -> Vec<Need<V>>;

    /// Settings outside their range, as sentences; empty when all is well.
    fn mistakes(&self) -> Vec<String>;
}
