//! The property map inside every generated struct.

use serde_json::Value as Json;

use crate::value::{IntoList, Literal, Value};

/// The properties that were set, by their CloudFormation name.
///
/// Setting one again replaces it. Order of setting has no influence on what is rendered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties(serde_json::Map<String, Json>);

impl Properties {
    /// No property set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of one property.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    /// The map itself. Its order is not the rendered order.
    pub fn as_map(&self) -> &serde_json::Map<String, Json> {
        &self.0
    }

    /// Sets a property without knowing its type. Generated setters are the typed way.
    pub fn set(&mut self, name: &str, value: Json) {
        self.0.insert(name.to_owned(), value);
    }

    pub(crate) fn set_list<T>(&mut self, name: &str, items: impl IntoList<T>) {
        self.set(name, items.into_list().into_inner());
    }

    pub(crate) fn set_map<T, K: Into<String>, V: Into<Value<T>>>(
        &mut self,
        name: &str,
        entries: impl IntoIterator<Item = (K, V)>,
    ) {
        let map = entries.into_iter().map(|(key, value)| (key.into(), value.into().into_inner())).collect();
        self.set(name, Json::Object(map));
    }
}

impl Literal for Properties {
    fn into_json(self) -> Json {
        Json::Object(self.0)
    }
}

/// A key and a value that are attached to a resource, for cost reports, search and access rules.
///
/// One type stands for the tags of every resource type. Tag properties also take `("key", "value")` pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Tag(Properties);

impl Tag {
    /// A tag. Keys have up to 128 characters, values up to 256.
    pub fn new(key: impl Into<Value<String>>, value: impl Into<Value<String>>) -> Self {
        let mut properties = Properties::new();
        properties.set("Key", key.into().into_inner());
        properties.set("Value", value.into().into_inner());
        Self(properties)
    }
}

impl Literal for Tag {
    fn into_json(self) -> Json {
        self.0.into_json()
    }
}

impl<K: Into<Value<String>>, V: Into<Value<String>>> From<(K, V)> for Value<Tag> {
    fn from((key, value): (K, V)) -> Self {
        Tag::new(key, value).into()
    }
}
