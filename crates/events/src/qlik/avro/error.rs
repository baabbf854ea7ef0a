//! Why a datum can't be read.

/// Why bytes are no datum of a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatumError {
    /// The bytes end before the datum does.
    #[error("the bytes end before the datum does")]
    Truncated,
    /// The datum ends before the bytes do, so they were written with another schema.
    #[error("{bytes} bytes are left after the datum, so it was written with another schema")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// A number takes more than 64 bits.
    #[error("a number has more than 64 bits")]
    LongNumber,
    /// An `int` takes more than 32 bits.
    #[error("an `int` has more than 32 bits")]
    IntRange,
    /// A length or count is below zero.
    #[error("a length is negative")]
    NegativeLength,
    /// A list or map would take more memory than one value may.
    #[error("a list or map takes more than 16 MiB")]
    TooLarge,
    /// A boolean is neither 0 nor 1.
    #[error("a boolean is {0}; expected 0 or 1")]
    Boolean(u8),
    /// A text isn't UTF-8.
    #[error("a text isn't UTF-8")]
    Utf8,
    /// A union or enum has no such member.
    #[error("a union or enum of {of} members has no member {index}")]
    Index {
        /// What the datum says.
        index: i64,
        /// The members of the schema.
        of: usize,
    },
    /// A UUID is malformed.
    #[error("a UUID is malformed")]
    Uuid,
}

/// Why a value can't be kept in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedValue {
    /// Deeper than DynamoDB allows.
    #[error("a value is nested deeper than the 32 levels that DynamoDB takes")]
    TooDeep,
    /// A decimal of more than 128 bytes, or of none.
    #[error("a decimal has no bytes or more than 128")]
    Decimal,
    /// A date or time outside the years -9999 to 9999, or a time of day beyond 24 hours.
    #[error("a date or time is out of range")]
    Time,
}

/// Why a datum gives no attribute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::qlik) enum ReadError {
    #[error(transparent)]
    Datum(#[from] DatumError),
    #[error(transparent)]
    Unsupported(#[from] UnsupportedValue),
}
