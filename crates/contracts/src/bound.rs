//! What `infra` hands over for each need, and what is derived from it.

use std::fmt;
use std::marker::PhantomData;

use crate::Region;
use crate::resource::{Access, Allows, Flow, Kind};

/// A resource with an access, as a stack gives it to a program.
///
/// `V` is the template's value type. Only constructs of the infrastructure make it, by methods like `queue.send()`.
pub struct Bound<V, K, A> {
    target: String,
    regions: Vec<Region>,
    address: V,
    resources: Vec<V>,
    keys: Vec<(Option<Region>, V)>,
    is_used: bool,
    marker: PhantomData<fn() -> (K, A)>,
}

impl<V, K: Kind, A: Access> Bound<V, K, A>
where
    K: Allows<A>,
{
    /// `target` is the resource's name in diagrams; `address` is what the variable holds (a name or URL); `resources`
    /// are the ARNs that the permission covers.
    pub fn new(target: impl Into<String>, address: V, resources: Vec<V>) -> Self {
        let target = target.into();
        Self { target, regions: Vec::new(), address, resources, keys: Vec::new(), is_used: true, marker: PhantomData }
    }

    /// Binds nothing: the program is told so by `address`, and gets no permission.
    pub fn unused(address: V) -> Self {
        Self { is_used: false, ..Self::new("", address, Vec::new()) }
    }

    /// Says that the resource is in these regions, and not in the program's own alone.
    #[must_use]
    pub fn in_regions<'a>(mut self, regions: impl IntoIterator<Item = &'a Region>) -> Self {
        self.regions = regions.into_iter().cloned().collect();
        self
    }

    /// Says that the resource is encrypted by the customer-managed key with this ARN, in the program's own region.
    #[must_use]
    pub fn encrypted_by(mut self, key: V) -> Self {
        self.keys.push((None, key));
        self
    }

    /// Says that the resource in `region` is encrypted by the customer-managed key with this ARN.
    #[must_use]
    pub fn encrypted_in(mut self, region: Region, key: V) -> Self {
        self.keys.push((Some(region), key));
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
    pub fn need(&self, field: &'static str) -> Option<Need<V>>
    where
        V: Clone,
    {
        if !self.is_used {
            return None;
        }
        let keys = self.keys.iter().filter(|_| !K::KEY_ACTIONS.is_empty()).map(|(region, key)| KeyNeed {
            key: key.clone(),
            actions: K::KEY_ACTIONS,
            via_service: K::SERVICE,
            region: region.clone(),
        });
        Some(Need {
            field,
            verb: A::NAME,
            flow: A::FLOW,
            kind: K::NAME,
            target: self.target.clone(),
            regions: self.regions.clone(),
            actions: K::ACTIONS,
            resources: self.resources.clone(),
            on_any_because: K::ON_ANY_BECAUSE,
            keys: keys.collect(),
        })
    }
}

impl<V: fmt::Debug, K, A> fmt::Debug for Bound<V, K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, regions, address, resources, keys, is_used, marker: _ } = self;
        f.debug_struct("Bound")
            .field("target", target)
            .field("regions", regions)
            .field("address", address)
            .field("resources", resources)
            .field("keys", keys)
            .field("is_used", is_used)
            .finish()
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
    /// What the program does with it, such as `publishes to`.
    pub verb: &'static str,
    /// Which way data goes.
    pub flow: Flow,
    /// The kind of resource, such as `event bus`.
    pub kind: &'static str,
    /// The resource's name in diagrams.
    pub target: String,
    /// The regions that the resource is in; none: the program's own.
    pub regions: Vec<Region>,
    /// IAM actions.
    pub actions: &'static [&'static str],
    /// ARNs.
    pub resources: Vec<V>,
    /// Why the actions need every resource instead of `resources`, if they do.
    pub on_any_because: Option<&'static str>,
    /// What it takes to use the resource's keys: one for each region.
    pub keys: Vec<KeyNeed<V>>,
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
    /// The region of the key; none for the program's own.
    pub region: Option<Region>,
}

/// A program's needs, bound to the resources of a stack.
pub trait Binding<V> {
    /// The program's name: its folder, its binary and the last part of its function's name.
    const PROGRAM: &'static str;

    /// Environment variables, in the order of declaration.
    fn variables(&self) -> Vec<Variable<V>>;

    /// Permissions, in the order of declaration.
    fn needs(&self) -> Vec<Need<V>>;

    /// Settings outside their range or in contradiction to each other, as sentences; empty when all is well. What depends on
    /// the region that the program runs in isn't looked at: the program itself does, when it starts.
    fn mistakes(&self) -> Vec<String>;
}
