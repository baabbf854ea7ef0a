//! What the datums of a schema are to Qlik: envelopes, data records, or something else.
//!
//! Decided once for a schema; then a datum is gone through once, field by field.

use std::borrow::Cow;

use super::error::{DatumError, ReadError, UnsupportedValue};
use super::input::Input;
use super::plan::{Plan, RecordPlan};
use super::read::{Binary, MAX_DEPTH, attribute, binary, fields, skip, text};
use crate::AttributeValue;
use crate::qlik::cells::Cells;
use crate::qlik::layout::{FLAT_OR_BARE, Header, HeaderPlace, Role};
use crate::qlik::record::{Headers, Mask, Record};

/// What a schema's datums are.
#[derive(Debug)]
pub(in crate::qlik) enum Shape {
    /// Replicate's envelope.
    Envelope(EnvelopeShape),
    /// A data record.
    Record(RecordShape),
    /// Neither: a key, or nothing of Qlik's.
    Other,
}

impl Shape {
    pub(in crate::qlik) fn of(plan: &Plan) -> Self {
        let Plan::Record(record) = plan else {
            return Self::Other;
        };
        let field = |name: &str| record.names.iter().position(|field| field == name);
        if field("magic").is_some() && field("message").is_some() {
            return Self::Envelope(EnvelopeShape::of(record));
        }
        let nested = field("headers").is_some_and(|index| record.fields[index].as_record().is_some());
        match HeaderPlace::find(nested, |name| field(name).is_some()) {
            Some(place) => Self::Record(RecordShape::of(record, place)),
            None => Self::Other,
        }
    }
}

/// How to read an envelope.
#[derive(Debug)]
pub(in crate::qlik) struct EnvelopeShape {
    fields: Vec<(EnvelopeField, Plan)>,
}

#[derive(Clone, Copy, Debug)]
enum EnvelopeField {
    Magic,
    Type,
    SchemaId,
    Schema,
    Message,
    Other,
}

/// An envelope's parts, as they came.
#[derive(Debug, Default)]
pub(in crate::qlik) struct Envelope<'a> {
    pub(in crate::qlik) magic: &'a [u8],
    pub(in crate::qlik) kind: &'a str,
    pub(in crate::qlik) schema_id: Option<&'a str>,
    pub(in crate::qlik) schema: Option<&'a str>,
    /// None where it isn't bytes.
    pub(in crate::qlik) message: Option<&'a [u8]>,
}

impl EnvelopeShape {
    fn of(record: &RecordPlan) -> Self {
        let role = |name: &str| match name {
            "magic" => EnvelopeField::Magic,
            "type" => EnvelopeField::Type,
            "messageSchemaId" => EnvelopeField::SchemaId,
            "messageSchema" => EnvelopeField::Schema,
            "message" => EnvelopeField::Message,
            _ => EnvelopeField::Other,
        };
        let fields = record.names.iter().zip(&record.fields).map(|(name, plan)| (role(name), plan.clone()));
        Self { fields: fields.collect() }
    }

    pub(in crate::qlik) fn read<'a>(&'a self, bytes: &'a [u8]) -> Result<Envelope<'a>, DatumError> {
        let mut input = Input::new(bytes);
        let mut envelope = Envelope::default();
        for (field, plan) in &self.fields {
            match field {
                EnvelopeField::Magic => {
                    if let Binary::Bytes(bytes) = binary(plan, &mut input)? {
                        envelope.magic = bytes;
                    }
                }
                EnvelopeField::Type => envelope.kind = text(plan, &mut input)?.unwrap_or_default(),
                EnvelopeField::SchemaId => envelope.schema_id = text(plan, &mut input)?,
                EnvelopeField::Schema => envelope.schema = text(plan, &mut input)?,
                EnvelopeField::Message => {
                    if let Binary::Bytes(bytes) = binary(plan, &mut input)? {
                        envelope.message = Some(bytes);
                    }
                }
                EnvelopeField::Other => skip(plan, &mut input)?,
            }
        }
        input.finish()?;
        Ok(envelope)
    }
}

/// How to read a data record.
#[derive(Debug)]
pub(in crate::qlik) struct RecordShape {
    steps: Vec<Step>,
    /// The names of the columns of a flattened image.
    data_columns: Vec<String>,
    before_columns: Vec<String>,
    /// Whether it has an image and members beside it that may be columns.
    is_ambiguous: bool,
}

#[derive(Debug)]
enum Step {
    Headers(HeadersPlan),
    Header(Header, Plan),
    Data(Plan),
    Before(Plan),
    DataColumn(Plan),
    BeforeColumn(Plan),
    Skip(Plan),
}

/// How to read nested headers.
#[derive(Debug)]
enum HeadersPlan {
    Fields(Vec<(Option<Header>, Plan)>),
    Union(Vec<HeadersPlan>),
    Other(Plan),
}

/// Why a datum is no data record.
#[derive(Debug)]
pub(in crate::qlik) enum RecordError {
    Datum(DatumError),
    Column(UnsupportedValue),
    Shape(&'static str),
}

impl From<DatumError> for RecordError {
    fn from(error: DatumError) -> Self {
        Self::Datum(error)
    }
}

impl From<ReadError> for RecordError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Datum(error) => Self::Datum(error),
            ReadError::Unsupported(error) => Self::Column(error),
        }
    }
}

impl RecordShape {
    fn of(record: &RecordPlan, place: HeaderPlace) -> Self {
        let has = |wanted: fn(Role<'_>) -> bool| record.names.iter().any(|name| wanted(place.role(name)));
        let is_bare = !has(|role| !matches!(role, Role::Headers | Role::Header(_) | Role::Other));
        let is_ambiguous = matches!(place, HeaderPlace::Flat(_)) && !is_bare && has(|role| matches!(role, Role::Other));
        let mut shape = Self { steps: Vec::new(), data_columns: Vec::new(), before_columns: Vec::new(), is_ambiguous };
        for (name, plan) in record.names.iter().zip(&record.fields) {
            let plan = plan.clone();
            shape.steps.push(match place.role(name) {
                Role::Headers if place == HeaderPlace::Nested => Step::Headers(HeadersPlan::of(&plan)),
                Role::Headers => Step::Skip(plan),
                Role::Header(header) => Step::Header(header, plan),
                Role::Data => Step::Data(plan),
                Role::Before => Step::Before(plan),
                Role::DataColumn(column) => {
                    shape.data_columns.push(column.to_owned());
                    Step::DataColumn(plan)
                }
                Role::BeforeColumn(column) => {
                    shape.before_columns.push(column.to_owned());
                    Step::BeforeColumn(plan)
                }
                Role::Other if is_bare => {
                    shape.data_columns.push(name.clone());
                    Step::DataColumn(plan)
                }
                Role::Other => Step::Skip(plan),
            });
        }
        shape
    }

    pub(in crate::qlik) fn read<'a>(&'a self, bytes: &'a [u8]) -> Result<Record<'a>, RecordError> {
        if self.is_ambiguous {
            return Err(RecordError::Shape(FLAT_OR_BARE));
        }
        let mut input = Input::new(bytes);
        let mut record = Record { headers: Headers::default(), data: None, before: None };
        let mut data = Vec::with_capacity(self.data_columns.len());
        let mut before = Vec::with_capacity(self.before_columns.len());
        for step in &self.steps {
            match step {
                Step::Headers(plan) => {
                    if !plan.read(&mut input, &mut record.headers)? {
                        return Err(RecordError::Shape("it has no `headers`"));
                    }
                }
                Step::Header(header, plan) => read_header(*header, plan, &mut input, &mut record.headers)?,
                Step::Data(plan) => record.data = image(plan, &mut input)?,
                Step::Before(plan) => record.before = image(plan, &mut input)?,
                Step::DataColumn(plan) => data.push(attribute(plan, &mut input, MAX_DEPTH)?),
                Step::BeforeColumn(plan) => before.push(attribute(plan, &mut input, MAX_DEPTH)?),
                Step::Skip(plan) => skip(plan, &mut input)?,
            }
        }
        input.finish()?;
        record.data = record.data.or_else(|| flat(&self.data_columns, data));
        record.before = record.before.or_else(|| flat(&self.before_columns, before));
        Ok(record)
    }
}

/// A flattened image. What flattens a null image leaves its columns behind, all of them null.
fn flat(names: &[String], values: Vec<AttributeValue>) -> Option<Cells<'_>> {
    Some(Cells::of_schema(names, values)).filter(|cells| !cells.are_null())
}

fn image<'a>(plan: &'a Plan, input: &mut Input<'a>) -> Result<Option<Cells<'a>>, RecordError> {
    match plan {
        Plan::Null => Ok(None),
        Plan::Record(record) => Ok(Some(Cells::of_schema(&record.names, fields(record, input, MAX_DEPTH)?))),
        Plan::Union(variants) => image(&variants[input.index(variants.len())?], input),
        _ => Err(RecordError::Shape("an image is no record")),
    }
}

impl HeadersPlan {
    fn of(plan: &Plan) -> Self {
        match plan {
            Plan::Record(record) => {
                let fields = record.names.iter().zip(&record.fields);
                Self::Fields(fields.map(|(name, plan)| (Header::from_name(name), plan.clone())).collect())
            }
            Plan::Union(variants) => Self::Union(variants.iter().map(Self::of).collect()),
            other => Self::Other(other.clone()),
        }
    }

    /// Reads headers, if there are any.
    fn read<'a>(&'a self, input: &mut Input<'a>, headers: &mut Headers<'a>) -> Result<bool, DatumError> {
        match self {
            Self::Fields(fields) => {
                for (header, plan) in fields {
                    match header {
                        Some(header) => read_header(*header, plan, input, headers)?,
                        None => skip(plan, input)?,
                    }
                }
                Ok(true)
            }
            Self::Union(variants) => variants[input.index(variants.len())?].read(input, headers),
            Self::Other(plan) => skip(plan, input).map(|()| false),
        }
    }
}

fn read_header<'a>(
    header: Header,
    plan: &'a Plan,
    input: &mut Input<'a>,
    headers: &mut Headers<'a>,
) -> Result<(), DatumError> {
    if header == Header::ColumnMask {
        headers.set_mask(match binary(plan, input)? {
            Binary::Null => Mask::Absent,
            Binary::Bytes(bytes) => Mask::Bytes(bytes),
            Binary::Text(digits) => Mask::Hexadecimal(Cow::Borrowed(digits)),
            Binary::Other => Mask::OtherType,
        });
    } else if let Some(text) = text(plan, input)? {
        headers.set(header, Cow::Borrowed(text));
    }
    Ok(())
}
