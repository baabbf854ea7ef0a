//! The kinds of things that the source owns, and what can happen to them.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// A kind of thing with its own topic and table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// People and companies that buy.
    Customers,
    /// What they bought.
    Orders,
    /// What can be bought.
    Products,
}

impl Entity {
    /// Every entity.
    pub const ALL: [Entity; 3] = [Entity::Customers, Entity::Orders, Entity::Products];

    /// The plural name: the last part of the table's and of the topic's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Orders => "orders",
            Self::Products => "products",
        }
    }

    /// The singular name: the first part of an event type.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Customers => "customer",
            Self::Orders => "order",
            Self::Products => "product",
        }
    }

    /// The Kafka topic with its changes.
    pub const fn topic(self) -> &'static str {
        match self {
            Self::Customers => "qlik.customers",
            Self::Orders => "qlik.orders",
            Self::Products => "qlik.products",
        }
    }

    /// The columns that identify a row in the source, used where a message doesn't name them itself.
    /// Names are compared without regard to ASCII case, because some sources report them in upper case.
    pub const fn key_columns(self) -> &'static [&'static str] {
        match self {
            Self::Customers => &["customer_id"],
            Self::Orders => &["order_id"],
            Self::Products => &["product_id"],
        }
    }

    /// The entity whose changes a topic carries.
    pub fn from_topic(topic: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.topic() == topic)
    }

    /// The entity that a table called `tandem-<env>-<entity>` holds.
    pub fn from_table_name(table: &str) -> Option<Self> {
        let (_, suffix) = table.rsplit_once('-')?;
        suffix.parse().ok()
    }

    /// The entity of a stream, from its ARN `arn:aws:dynamodb:<region>:<account>:table/<table>/stream/<label>`.
    pub fn from_stream_arn(arn: &str) -> Option<Self> {
        let (_, path) = arn.split_once(":table/")?;
        Self::from_table_name(path.split('/').next()?)
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Entity {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|entity| entity.as_str() == text)
            .ok_or_else(|| UnknownName::new("entity", text, "`customers`, `orders` or `products`"))
    }
}

/// What the source did to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// The row is new.
    Insert,
    /// The row changed.
    Update,
    /// The row is gone.
    Delete,
    /// The row was read by a full load; it carries no change sequence.
    Refresh,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Operation; 4] = [Self::Insert, Self::Update, Self::Delete, Self::Refresh];

    /// The name as rows and metrics hold it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Refresh => "refresh",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Operation {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.as_str() == text)
            .ok_or_else(|| UnknownName::new("operation", text, "`insert`, `update`, `delete` or `refresh`"))
    }
}

serde_as_text!(Entity, Operation);

/// A text that names none of a closed set of things.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no {kind}; expected {expected}")]
pub struct UnknownName {
    kind: &'static str,
    found: String,
    expected: &'static str,
}

impl UnknownName {
    pub(crate) fn new(kind: &'static str, found: &str, expected: &'static str) -> Self {
        Self { kind, found: found.to_owned(), expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_found_by_their_names() {
        for entity in Entity::ALL {
            assert_eq!(entity.as_str().parse(), Ok(entity));
            assert_eq!(Entity::from_topic(entity.topic()), Some(entity));
            assert_eq!(Entity::from_table_name(&format!("tandem-staging-{entity}")), Some(entity));
            let arn =
                format!("arn:aws:dynamodb:us-west-2:000000000000:table/tandem-a-{entity}/stream/2026-01-01T00:00:00");
            assert_eq!(Entity::from_stream_arn(&arn), Some(entity));
        }
        assert_eq!(Entity::from_table_name("customers"), None);
        assert_eq!(Entity::from_stream_arn("arn:aws:dynamodb:us-west-2:0:table/tandem-a-authority/stream/x"), None);
        assert_eq!(
            "client".parse::<Entity>().map_err(|error| error.to_string()),
            Err("`client` is no entity; expected `customers`, `orders` or `products`".to_owned())
        );
    }
}
