//! Messages that can't be applied, one class a way to be wrong.

use events::qlik::VALUE_SCHEMA_HEADER;
use events::qlik::encode::Record;
use events::{ChangeSequence, Columns, Operation, Timestamp};

use crate::random::Random;
use crate::schemas::{Form, UNKNOWN_SCHEMA};

/// How a message is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Poison {
    /// The value has no schema id before it.
    Unframed,
    /// The value is JSON.
    Json,
    /// The value ends too early.
    Truncated,
    /// Something follows the value.
    Trailing,
    /// Nobody has registered the value's schema.
    UnknownSchema,
    /// The operation is none of the four.
    UnknownOperation,
    /// An update has no place in the order of changes.
    ChangeSequence,
    /// The column mask says that columns aren't there which are.
    ColumnMask,
    /// The Kafka key and the row are of different rows.
    WrongKey,
    /// The schema id is in a header.
    SchemaInHeader,
}

/// One in so many messages that can't be applied names a schema that isn't there. The consumer asks the registry several times
/// with seconds between before it believes that, and the partition waits meanwhile: more would be a test of patience.
const UNKNOWN_SCHEMA_EVERY: u64 = 50;

impl Poison {
    /// Every class.
    pub const ALL: [Self; 10] = [
        Self::Unframed,
        Self::Json,
        Self::Truncated,
        Self::Trailing,
        Self::UnknownSchema,
        Self::UnknownOperation,
        Self::ChangeSequence,
        Self::ColumnMask,
        Self::WrongKey,
        Self::SchemaInHeader,
    ];

    /// The class that the dead letter names.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Unframed => "unframed",
            Self::Json => "record_shape",
            Self::Truncated | Self::Trailing => "avro_value",
            Self::UnknownSchema => "schema_not_found",
            Self::UnknownOperation => "unknown_operation",
            Self::ChangeSequence => "change_sequence",
            Self::ColumnMask => "column_mask",
            Self::WrongKey => "row_key",
            Self::SchemaInHeader => "schema_header",
        }
    }

    pub(crate) fn draw(random: &mut Random) -> Self {
        if random.below(UNKNOWN_SCHEMA_EVERY) == 0 {
            return Self::UnknownSchema;
        }
        loop {
            match random.pick(&Self::ALL) {
                Self::UnknownSchema => {}
                other => return other,
            }
        }
    }
}

/// The parts of a message that can't be applied.
pub(crate) struct Parts {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) header: Option<(&'static str, Vec<u8>)>,
}

/// Writes an update of `columns`, which belong to `key`, that is wrong in the given way.
pub(crate) fn write(
    poison: Poison,
    form: &Form,
    key: &str,
    columns: &Columns,
    sequence: &ChangeSequence,
    committed_at: Timestamp,
    random: &mut Random,
) -> Parts {
    let record = Record {
        entity: form.entity,
        operation: Operation::Update,
        columns,
        before: None,
        change_sequence: Some(sequence),
        committed_at,
        stream_position: sequence.as_str(),
        transaction_id: "0",
        column_mask: None,
    };
    let encode = |schema_id: u32, record: &Record<'_>| {
        form.encoder.value(schema_id, record).expect("invariant: sample columns fit their schema")
    };
    let good = || encode(form.ids.value, &record);
    let value = match poison {
        Poison::Unframed => format!("no Avro {}", random.below(1_000)).into_bytes(),
        Poison::Json => format!(r#"{{"operation":"UPDATE","key":"{key}"}}"#).into_bytes(),
        Poison::Truncated => {
            let mut value = good();
            let cut = 1 + random.index(value.len() / 2);
            value.truncate(value.len() - cut);
            value
        }
        Poison::Trailing => good().into_iter().chain(random.number().to_be_bytes()).collect(),
        Poison::UnknownSchema => encode(UNKNOWN_SCHEMA + (random.number() % 4) as u32, &record),
        Poison::UnknownOperation => {
            encode(form.ids.odd_value, &Record { operation: Operation::Refresh, ..record.clone() })
        }
        Poison::ChangeSequence => encode(form.ids.value, &Record { change_sequence: None, ..record.clone() }),
        // The first column's bit alone, while the others have values.
        Poison::ColumnMask => {
            encode(form.ids.value, &Record { column_mask: Some(&form.mask([true])), ..record.clone() })
        }
        Poison::WrongKey | Poison::SchemaInHeader => good(),
    };
    let key = match poison {
        Poison::WrongKey => form.key(&format!("{key}-elsewhere")),
        _ => form.key(key),
    };
    let header = (poison == Poison::SchemaInHeader).then(|| {
        let id = form.ids.value.to_be_bytes();
        // No way of naming a schema begins with this byte.
        (VALUE_SCHEMA_HEADER, [9].into_iter().chain(id).collect())
    });
    Parts { key, value, header }
}
