//! Replicate's metadata messages: what they announce about a table.
//!
//! Without a schema registry, a data message names its schema by an id that only a metadata message before it explains
//! (Qlik Replicate help, "Metadata and data messages", read 2026-11).

use std::sync::Arc;

use super::avro::read::MAX_DEPTH;
use super::json::{self, Members};
use super::poison::Poison;
use super::schema::{InvalidSchema, WriterSchema};
use crate::AttributeValue;

/// What a metadata message announces.
#[derive(Clone, Debug)]
pub struct Announcement {
    id: String,
    schema: Option<Arc<WriterSchema>>,
    columns: Vec<String>,
    table: Option<String>,
    bytes: usize,
}

impl Announcement {
    /// Reads a metadata message that is an Avro record or a JSON object, as an attribute. `data_schema` is its member of that name.
    fn from_parts(message: &AttributeValue, data_schema: Option<&str>) -> Result<Self, MetadataError> {
        let member = |value: &AttributeValue, name: &str| value.as_map().and_then(|entries| entries.get(name).cloned());
        let id = match member(message, "schemaId") {
            Some(AttributeValue::S(id) | AttributeValue::N(id)) if !id.is_empty() => id,
            _ => return Err(MetadataError::NoId),
        };
        let schema = data_schema.map(WriterSchema::parse).transpose().map_err(MetadataError::DataSchema)?.map(Arc::new);
        let columns = match member(message, "tableStructure").and_then(|structure| member(&structure, "tableColumns")) {
            Some(AttributeValue::M(columns)) => columns,
            _ => std::collections::BTreeMap::new(),
        };
        let mut ordered = Vec::with_capacity(columns.len());
        for (name, column) in columns {
            let ordinal = match member(&column, "ordinal") {
                Some(AttributeValue::N(ordinal) | AttributeValue::S(ordinal)) => ordinal.parse::<u32>().ok(),
                _ => None,
            };
            ordered.push((ordinal.ok_or(MetadataError::Ordinal)?, name));
        }
        ordered.sort();
        if ordered.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(MetadataError::Ordinal);
        }
        let columns: Vec<String> = ordered.into_iter().map(|(_, name)| name).collect();
        let lineage = member(message, "lineage");
        let part = |name: &str| match lineage.as_ref().and_then(|lineage| member(lineage, name)) {
            Some(AttributeValue::S(text)) => Some(text),
            _ => None,
        };
        let table = part("schema").zip(part("table")).map(|(schema, table)| format!("{schema}.{table}"));
        // What a schema takes in memory follows from its text; measured, it is below eight times that.
        let bytes = id.len()
            + 8 * data_schema.map_or(0, str::len)
            + columns.iter().map(|name| name.len() + size_of::<String>()).sum::<usize>();
        Ok(Self { id, schema, columns, table, bytes })
    }

    /// Reads an Avro message.
    pub(super) fn from_avro(message: &AttributeValue) -> Result<Self, MetadataError> {
        let data_schema = match message.as_map().and_then(|entries| entries.get("dataSchema")) {
            Some(AttributeValue::S(json)) if !json.is_empty() => Some(json.as_str()),
            _ => None,
        };
        Self::from_parts(message, data_schema)
    }

    /// Reads a JSON message, whose schema is an object or the text of one.
    pub(super) fn from_json(message: &str) -> Result<Self, Poison> {
        let members = Members::parse(message).map_err(Poison::Json)?;
        let object = members.get("dataSchema").filter(|value| value.starts_with(['{', '[']));
        let text = members.text("dataSchema")?;
        let data_schema = object.or(text.as_deref()).filter(|json| !json.is_empty());
        let mut parts = std::collections::BTreeMap::new();
        for name in ["schemaId", "lineage", "tableStructure"] {
            if let Some(value) = members.get(name) {
                parts.insert(name.to_owned(), json::attribute(value, MAX_DEPTH)?);
            }
        }
        Ok(Self::from_parts(&AttributeValue::M(parts), data_schema)?)
    }

    /// The id by which data messages name it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The schema of the data messages; there is none where they are JSON.
    pub fn schema(&self) -> Option<&Arc<WriterSchema>> {
        self.schema.as_ref()
    }

    /// The table's columns in the order of their ordinals, which is the order of a mask's bits.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The table in the source, `schema.table`.
    pub(super) fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }

    /// What it takes in memory, in bytes, at most.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Ids are of one task and never used twice, so an announcement is what its id says.
impl PartialEq for Announcement {
    fn eq(&self, other: &Self) -> bool {
        let Self { id, schema: _, columns, table, bytes } = self;
        (id, columns, table, bytes) == (&other.id, &other.columns, &other.table, &other.bytes)
    }
}

/// Why metadata can't be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// It has no id, so no message can refer to it.
    #[error("it has no `schemaId`")]
    NoId,
    /// A column has no place of its own.
    #[error("a column of its `tableStructure` has no ordinal, or that of another one")]
    Ordinal,
    /// Its schema for data messages is no Avro schema.
    #[error("its `dataSchema` can't be used")]
    DataSchema(#[source] InvalidSchema),
}
