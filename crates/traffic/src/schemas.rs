//! The schemas that the messages are written by, and the ids that a Schema Registry gives them.

use events::Entity;
use events::qlik::encode::{Encoder, key_schema_json, schema_json};

/// A schema id that no registry gives: ids count up from 1. A few further ones follow it.
pub(crate) const UNKNOWN_SCHEMA: u32 = 2_000_000_000;

/// Schemas to register before the traffic is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schemas<T> {
    /// What data records are written by.
    pub value: T,
    /// What key records are written by.
    pub key: T,
    /// What data records are written by whose operation nobody knows.
    pub odd_value: T,
}

/// The registry's ids of an entity's schemas.
pub type SchemaIds = Schemas<u32>;

/// The Avro schemas of an entity, each with the subject that it belongs to.
pub fn schemas(entity: Entity) -> Schemas<(String, String)> {
    let subject = |suffix: &str| format!("{}-{suffix}", entity.topic());
    let value = schema_json(entity);
    // Same bytes, another word: what says REFRESH in the one says TRUNCATE in the other.
    let odd_value = value.replace(r#""REFRESH""#, r#""TRUNCATE""#);
    Schemas {
        value: (subject("value"), value),
        key: (subject("key"), key_schema_json(entity)),
        odd_value: (subject("value"), odd_value),
    }
}

/// How the messages of one topic are written. Deployments differ in it, so the three topics do.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) entity: Entity,
    pub(crate) encoder: Encoder,
    pub(crate) ids: SchemaIds,
    /// Whether Kafka keys are key records in Avro instead of plain text.
    key_record: bool,
    /// The bit of a column mask that stands for the first column.
    first_bit: usize,
}

impl Form {
    pub(crate) fn new(entity: Entity, ids: SchemaIds) -> Self {
        let (key_record, first_bit) = match entity {
            Entity::Customers => (false, 0),
            Entity::Orders => (true, 1),
            Entity::Products => (false, 8),
        };
        Self { entity, encoder: Encoder::new(entity), ids, key_record, first_bit }
    }

    /// The Kafka key of a row.
    pub(crate) fn key(&self, key: &str) -> Vec<u8> {
        match self.key_record {
            true => self.encoder.key(self.ids.key, key).expect("invariant: keys are one text"),
            false => key.as_bytes().to_vec(),
        }
    }

    /// A column mask; `present` says of each column, in the schema's order, whether it is there.
    pub(crate) fn mask(&self, present: impl IntoIterator<Item = bool>) -> Vec<u8> {
        let mut mask = Vec::new();
        for (column, _) in present.into_iter().enumerate().filter(|(_, present)| *present) {
            let bit = self.first_bit + column;
            mask.resize(bit / 8 + 1, 0);
            mask[bit / 8] |= 1 << (bit % 8);
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_little_endian_and_trimmed() {
        let form = |entity| Form::new(entity, Schemas { value: 1, key: 2, odd_value: 3 });
        let present = [true, false, true, false, false, false];
        assert_eq!(form(Entity::Customers).mask(present), [0b0000_0101]);
        assert_eq!(form(Entity::Orders).mask(present), [0b0000_1010]);
        assert_eq!(form(Entity::Products).mask(present), [0, 0b0000_0101]);
        assert_eq!(form(Entity::Products).mask([false; 6]), [0; 0]);
    }

    #[test]
    fn the_odd_schema_is_another_one() {
        for entity in Entity::ALL {
            let schemas = schemas(entity);
            assert_ne!(schemas.value.1, schemas.odd_value.1);
            assert!(schemas.odd_value.1.contains("TRUNCATE"));
        }
    }
}
