//! A schema as what a reader does, step by step.
//!
//! Made once for a schema: references are resolved, names are shared, and what a reader doesn't need is left out.
//! It has no more nodes than the schema's text has types, because a named type is made once and shared.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, Name, UuidSchema};

/// How to read one value.
#[derive(Clone, Debug)]
pub(in crate::qlik) enum Plan {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Arc<[String]>),
    UuidText,
    UuidBytes,
    UuidFixed,
    /// A decimal of bytes with their own length.
    Decimal {
        scale: usize,
    },
    /// A decimal of always so many bytes.
    FixedDecimal {
        size: usize,
        scale: usize,
    },
    BigDecimal,
    Date,
    TimeMillis,
    TimeMicros,
    /// An instant, in units of so many nanoseconds.
    Timestamp {
        nanos_each: i64,
    },
    /// A date and time without zone, in units of so many nanoseconds.
    LocalTimestamp {
        nanos_each: i64,
    },
    Duration,
    List(Arc<Plan>),
    Map(Arc<Plan>),
    Union(Arc<[Plan]>),
    Record(Arc<RecordPlan>),
}

/// How to read a record.
#[derive(Debug)]
pub(in crate::qlik) struct RecordPlan {
    /// The fields' names, in the order of the schema.
    pub(in crate::qlik) names: Vec<String>,
    /// How to read each field.
    pub(in crate::qlik) fields: Vec<Plan>,
}

impl Plan {
    /// The record that a value of this plan is, if it isn't null.
    pub(in crate::qlik) fn as_record(&self) -> Option<&Arc<RecordPlan>> {
        match self {
            Self::Record(record) => Some(record),
            Self::Union(variants) => variants.iter().find_map(Self::as_record),
            _ => None,
        }
    }
}

/// Makes plans of schemas.
pub(in crate::qlik) struct Planner<'s> {
    names: &'s HashMap<Name, Schema>,
    made: HashMap<&'s Name, Plan>,
}

impl<'s> Planner<'s> {
    /// A planner that finds named types here.
    pub(in crate::qlik) fn new(names: &'s HashMap<Name, Schema>) -> Self {
        Self { names, made: HashMap::new() }
    }

    /// The plan of a schema. Gives none for a reference that leads nowhere.
    ///
    /// Invariant: no record of `schema` lies in itself, else this doesn't end.
    pub(in crate::qlik) fn plan(&mut self, schema: &'s Schema) -> Option<Plan> {
        Some(match schema {
            Schema::Null => Plan::Null,
            Schema::Boolean => Plan::Boolean,
            Schema::Int => Plan::Int,
            Schema::Long => Plan::Long,
            Schema::Float => Plan::Float,
            Schema::Double => Plan::Double,
            Schema::Bytes => Plan::Bytes,
            Schema::String => Plan::Text,
            Schema::Fixed(fixed) => Plan::Fixed(fixed.size),
            Schema::Enum(symbols) => {
                if let Some(made) = self.made.get(&symbols.name) {
                    return Some(made.clone());
                }
                let plan = Plan::Enum(symbols.symbols.iter().cloned().collect());
                self.made.insert(&symbols.name, plan.clone());
                plan
            }
            Schema::Uuid(UuidSchema::String) => Plan::UuidText,
            Schema::Uuid(UuidSchema::Bytes) => Plan::UuidBytes,
            Schema::Uuid(UuidSchema::Fixed(_)) => Plan::UuidFixed,
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Bytes => Plan::Decimal { scale: decimal.scale },
                InnerDecimalSchema::Fixed(fixed) => Plan::FixedDecimal { size: fixed.size, scale: decimal.scale },
            },
            Schema::BigDecimal => Plan::BigDecimal,
            Schema::Date => Plan::Date,
            Schema::TimeMillis => Plan::TimeMillis,
            Schema::TimeMicros => Plan::TimeMicros,
            Schema::TimestampMillis => Plan::Timestamp { nanos_each: 1_000_000 },
            Schema::TimestampMicros => Plan::Timestamp { nanos_each: 1_000 },
            Schema::TimestampNanos => Plan::Timestamp { nanos_each: 1 },
            Schema::LocalTimestampMillis => Plan::LocalTimestamp { nanos_each: 1_000_000 },
            Schema::LocalTimestampMicros => Plan::LocalTimestamp { nanos_each: 1_000 },
            Schema::LocalTimestampNanos => Plan::LocalTimestamp { nanos_each: 1 },
            Schema::Duration(_) => Plan::Duration,
            Schema::Array(array) => Plan::List(Arc::new(self.plan(&array.items)?)),
            Schema::Map(map) => Plan::Map(Arc::new(self.plan(&map.types)?)),
            Schema::Union(union) => {
                let variants = union.variants().iter().map(|variant| self.plan(variant));
                Plan::Union(variants.collect::<Option<_>>()?)
            }
            Schema::Record(record) => {
                if let Some(made) = self.made.get(&record.name) {
                    return Some(made.clone());
                }
                let fields = record.fields.iter().map(|field| self.plan(&field.schema));
                let fields = fields.collect::<Option<_>>()?;
                let names = record.fields.iter().map(|field| field.name.clone()).collect();
                let plan = Plan::Record(Arc::new(RecordPlan { names, fields }));
                self.made.insert(&record.name, plan.clone());
                plan
            }
            Schema::Ref { name } => {
                let names = self.names;
                self.plan(names.get(name)?)?
            }
        })
    }
}
