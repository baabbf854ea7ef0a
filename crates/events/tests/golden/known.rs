//! A registry that has this system's schemas of customers, and what metadata announced.

use std::collections::HashMap;
use std::sync::Arc;

use events::Entity;
use events::qlik::encode::{
    Carriage, ENVELOPE_SCHEMA, Encoder, SchemaIds, flat_schema_json, key_schema_json, schema_json,
};
use events::qlik::{Announcement, Announcements, Decoded, SchemaGuid, SchemaId, SchemaLookup, WriterSchema, decode};

pub(crate) const VALUE: u32 = 7;
pub(crate) const KEY: u32 = 8;
pub(crate) const ENVELOPE: u32 = 9;
pub(crate) const FLAT: u32 = 10;
/// Announced in Avro, with a schema.
pub(crate) const ANNOUNCED: &str = "7d1f3c0e9a5b4c6d8e2f10a1b2c3d4e5";
/// Announced in JSON.
pub(crate) const ANNOUNCED_JSON: &str = "00000000000000000000000000000001";

pub(crate) fn guid(last: u8) -> SchemaId {
    SchemaId::Guid(SchemaGuid::from_bytes([0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, last]))
}

pub(crate) struct Known {
    schemas: HashMap<SchemaId, Arc<WriterSchema>>,
    announcements: Announcements,
}

impl Default for Known {
    fn default() -> Self {
        let entity = Entity::Customers;
        let parse = |json: &str| Arc::new(WriterSchema::parse(json).expect("a schema"));
        let (value, key) = (parse(&schema_json(entity)), parse(&key_schema_json(entity)));
        let schemas = HashMap::from([
            (VALUE.into(), Arc::clone(&value)),
            (KEY.into(), Arc::clone(&key)),
            (ENVELOPE.into(), parse(ENVELOPE_SCHEMA)),
            (FLAT.into(), parse(&flat_schema_json(entity))),
            (guid(1), value),
            (guid(2), key),
        ]);
        let known = Self { schemas, announcements: Announcements::default() };
        for (carriage, announced) in
            [(Carriage::EnvelopeAnnounced, ANNOUNCED), (Carriage::JsonEnvelope, ANNOUNCED_JSON)]
        {
            let ids = SchemaIds { value: VALUE.into(), key: KEY.into(), envelope: ENVELOPE, announced };
            let metadata = Encoder::new(entity).metadata(carriage, &ids).expect("encoded").expect("an envelope");
            match decode(&known, &metadata.message(entity)) {
                Ok(Decoded::Metadata(Some(announcement))) => assert!(known.announcements.add(*announcement)),
                other => panic!("{other:?}"),
            }
        }
        known
    }
}

impl SchemaLookup for Known {
    fn schema(&self, id: u32) -> Option<Arc<WriterSchema>> {
        self.schemas.get(&id.into()).cloned()
    }

    fn schema_by_guid(&self, guid: SchemaGuid) -> Option<Arc<WriterSchema>> {
        self.schemas.get(&SchemaId::Guid(guid)).cloned()
    }

    fn announced(&self, id: &str) -> Option<Arc<Announcement>> {
        self.announcements.get(id)
    }
}
