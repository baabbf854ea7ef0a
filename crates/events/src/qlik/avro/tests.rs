//! The law of this reader: what it reads is what the Avro crate reads, for all schemas and values.

use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{BigDecimal, Decimal, Duration, Schema};
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::error::{DatumError, ReadError, UnsupportedValue};
use super::input::Input;
use super::read::{MAX_DEPTH, attribute, skip};
use super::reference::Reference;
use crate::AttributeValue;
use crate::qlik::schema::WriterSchema;

/// A type, as far as making schemas and values needs it.
#[derive(Clone, Debug)]
enum Type {
    /// One that is written so in a schema.
    Plain(&'static str),
    Decimal {
        scale: usize,
    },
    FixedDecimal {
        size: usize,
        scale: usize,
    },
    Fixed(usize),
    Enum(usize),
    List(Box<Type>),
    Map(Box<Type>),
    /// Null, a text, and one more.
    Union(Box<Type>),
    Record(Vec<Type>),
    /// A record of one field, and the same record by its name.
    Twice(Box<Type>),
}

const PLAIN: [&str; 23] = [
    r#""null""#,
    r#""boolean""#,
    r#""int""#,
    r#""long""#,
    r#""float""#,
    r#""double""#,
    r#""bytes""#,
    r#""string""#,
    r#"{"type":"string","logicalType":"uuid"}"#,
    r#"{"type":"fixed","name":"Id","size":16,"logicalType":"uuid"}"#,
    r#"{"type":"bytes","logicalType":"big-decimal"}"#,
    r#"{"type":"int","logicalType":"date"}"#,
    r#"{"type":"int","logicalType":"time-millis"}"#,
    r#"{"type":"long","logicalType":"time-micros"}"#,
    r#"{"type":"long","logicalType":"timestamp-millis"}"#,
    r#"{"type":"long","logicalType":"timestamp-micros"}"#,
    r#"{"type":"long","logicalType":"timestamp-nanos"}"#,
    r#"{"type":"long","logicalType":"local-timestamp-millis"}"#,
    r#"{"type":"long","logicalType":"local-timestamp-micros"}"#,
    r#"{"type":"long","logicalType":"local-timestamp-nanos"}"#,
    r#"{"type":"fixed","name":"Span","size":12,"logicalType":"duration"}"#,
    // A logical type that nobody knows means nothing.
    r#"{"type":"long","logicalType":"unheard-of"}"#,
    r#"{"type":"string","logicalType":"unheard-of"}"#,
];

fn types() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        6 => select(&PLAIN[..]).prop_map(Type::Plain),
        1 => (0_usize..5).prop_map(|scale| Type::Decimal { scale }),
        1 => (1_usize..20, 0_usize..3).prop_map(|(size, scale)| Type::FixedDecimal { size, scale }),
        1 => (0_usize..9).prop_map(Type::Fixed),
        1 => (1_usize..4).prop_map(Type::Enum),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|items| Type::List(items.into())),
            inner.clone().prop_map(|values| Type::Map(values.into())),
            inner.clone().prop_map(|other| Type::Union(other.into())),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Type::Record),
            inner.prop_map(|inner| Type::Twice(inner.into())),
        ]
    })
}

impl Type {
    /// The schema; `names` is how many names are given so far.
    fn schema(&self, names: &mut usize) -> String {
        *names += 1;
        let name = format!("N{names}");
        match self {
            Self::Plain(json) => {
                json.replace("\"Id\"", &format!("\"{name}\"")).replace("\"Span\"", &format!("\"{name}\""))
            }
            Self::Decimal { scale } => {
                format!(r#"{{"type":"bytes","logicalType":"decimal","precision":38,"scale":{scale}}}"#)
            }
            Self::FixedDecimal { size, scale } => format!(
                r#"{{"type":"fixed","name":"{name}","size":{size},"logicalType":"decimal","precision":{},"scale":{scale}}}"#,
                // As many digits as surely fit.
                (2 * size).max(*scale).max(1),
            ),
            Self::Fixed(size) => format!(r#"{{"type":"fixed","name":"{name}","size":{size}}}"#),
            Self::Enum(symbols) => {
                let symbols: Vec<String> = (0..*symbols).map(|symbol| format!("\"S{symbol}\"")).collect();
                format!(r#"{{"type":"enum","name":"{name}","symbols":[{}]}}"#, symbols.join(","))
            }
            Self::List(items) => format!(r#"{{"type":"array","items":{}}}"#, items.schema(names)),
            Self::Map(values) => format!(r#"{{"type":"map","values":{}}}"#, values.schema(names)),
            Self::Union(other) => format!(
                r#"["null",{},{}]"#,
                record(&format!("{name}a"), &["\"string\"".to_owned()]),
                record(&format!("{name}b"), &[other.schema(names)])
            ),
            Self::Record(fields) => {
                let fields: Vec<String> = fields.iter().map(|field| field.schema(names)).collect();
                record(&name, &fields)
            }
            Self::Twice(inner) => {
                let first = record(&format!("{name}a"), &[inner.schema(names)]);
                record(&name, &[first, format!("\"{name}a\"")])
            }
        }
    }

    fn values(&self) -> BoxedStrategy<Value> {
        let named = |values: Vec<Value>| {
            Value::Record(values.into_iter().enumerate().map(|(index, value)| (format!("f{index}"), value)).collect())
        };
        match self {
            Self::Plain(json) => plain_values(json),
            Self::Decimal { .. } => {
                prop::collection::vec(any::<u8>(), 1..20).prop_map(|bytes| Value::Decimal(Decimal::from(bytes))).boxed()
            }
            Self::FixedDecimal { size, .. } => {
                prop::collection::vec(any::<u8>(), *size).prop_map(|bytes| Value::Decimal(Decimal::from(bytes))).boxed()
            }
            Self::Fixed(size) => {
                let size = *size;
                prop::collection::vec(any::<u8>(), size).prop_map(move |bytes| Value::Fixed(size, bytes)).boxed()
            }
            Self::Enum(symbols) => (0..u32::try_from(*symbols).expect("small"))
                .prop_map(|index| Value::Enum(index, format!("S{index}")))
                .boxed(),
            Self::List(items) => prop::collection::vec(items.values(), 0..4).prop_map(Value::Array).boxed(),
            Self::Map(values) => {
                prop::collection::hash_map("[a-d]{1,2}", values.values(), 0..4).prop_map(Value::Map).boxed()
            }
            Self::Union(other) => prop_oneof![
                Just(Value::Union(0, Box::new(Value::Null))),
                ".{0,4}".prop_map(move |text| Value::Union(1, Box::new(named(vec![Value::String(text)])))),
                other.values().prop_map(move |value| Value::Union(2, Box::new(named(vec![value])))),
            ]
            .boxed(),
            Self::Record(fields) => {
                let fields: Vec<_> = fields.iter().map(Self::values).collect();
                fields.prop_map(named).boxed()
            }
            Self::Twice(inner) => (inner.values(), inner.values())
                .prop_map(move |(a, b)| named(vec![named(vec![a]), named(vec![b])]))
                .boxed(),
        }
    }
}

fn record(name: &str, fields: &[String]) -> String {
    let fields: Vec<String> =
        fields.iter().enumerate().map(|(index, field)| format!(r#"{{"name":"f{index}","type":{field}}}"#)).collect();
    format!(r#"{{"type":"record","name":"{name}","fields":[{}]}}"#, fields.join(","))
}

fn plain_values(json: &str) -> BoxedStrategy<Value> {
    let schema = Schema::parse_str(json).expect("a schema");
    // Mostly of this age, so that dates and times are in range.
    let time = prop_oneof![3 => -5_000_000_000_000_000_i64..5_000_000_000_000_000, 1 => any::<i64>()];
    match schema {
        Schema::Null => Just(Value::Null).boxed(),
        Schema::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Schema::Int => any::<i32>().prop_map(Value::Int).boxed(),
        Schema::Long => any::<i64>().prop_map(Value::Long).boxed(),
        Schema::Float => any::<f32>().prop_map(Value::Float).boxed(),
        Schema::Double => any::<f64>().prop_map(Value::Double).boxed(),
        Schema::Bytes => prop::collection::vec(any::<u8>(), 0..9).prop_map(Value::Bytes).boxed(),
        Schema::String => ".{0,9}".prop_map(Value::String).boxed(),
        Schema::Uuid(_) => any::<u128>().prop_map(|id| Value::Uuid(Uuid::from_u128(id))).boxed(),
        Schema::BigDecimal => (prop::collection::vec(any::<u8>(), 1..20), -40_i64..40)
            .prop_map(|(bytes, scale)| Value::BigDecimal(BigDecimal::new(Decimal::from(bytes).into(), scale)))
            .boxed(),
        Schema::Date => prop_oneof![-1_000_000..1_000_000, any::<i32>()].prop_map(Value::Date).boxed(),
        Schema::TimeMillis => (-5..90_000_000).prop_map(Value::TimeMillis).boxed(),
        Schema::TimeMicros => (-5_i64..90_000_000_000).prop_map(Value::TimeMicros).boxed(),
        Schema::TimestampMillis => time.prop_map(Value::TimestampMillis).boxed(),
        Schema::TimestampMicros => time.prop_map(Value::TimestampMicros).boxed(),
        Schema::TimestampNanos => any::<i64>().prop_map(Value::TimestampNanos).boxed(),
        Schema::LocalTimestampMillis => time.prop_map(Value::LocalTimestampMillis).boxed(),
        Schema::LocalTimestampMicros => time.prop_map(Value::LocalTimestampMicros).boxed(),
        Schema::LocalTimestampNanos => any::<i64>().prop_map(Value::LocalTimestampNanos).boxed(),
        Schema::Duration(_) => any::<[u8; 12]>().prop_map(|bytes| Value::Duration(Duration::from(bytes))).boxed(),
        other => panic!("{other:?}"),
    }
}

/// A schema that may be used, its datum, and the value in it.
fn datums() -> impl Strategy<Value = (String, Vec<u8>)> {
    types()
        .prop_flat_map(|kind| (Just(kind.clone()), kind.values()))
        .prop_map(|(kind, value)| {
            let json = kind.schema(&mut 0);
            let reference = Reference::parse(&json);
            let writer = GenericDatumWriter::builder(reference.schema()).build().expect("a writer");
            let datum = writer.write_value_to_vec(value).unwrap_or_else(|error| panic!("{json}: {error}"));
            (json, datum)
        })
        // Lists of nothing are refused.
        .prop_filter("a schema that is taken", |(json, _)| WriterSchema::parse(json).is_ok())
}

fn read(json: &str, datum: &[u8]) -> Result<AttributeValue, ReadError> {
    let writer = WriterSchema::parse(json).expect("a schema");
    let mut input = Input::new(datum);
    let value = attribute(writer.plan(), &mut input, MAX_DEPTH)?;
    input.finish()?;
    let mut skipped = Input::new(datum);
    assert_eq!(
        skip(writer.plan(), &mut skipped).and_then(|()| skipped.finish()),
        Ok(()),
        "what is read can be skipped"
    );
    Ok(value)
}

fn expected(json: &str, datum: &[u8]) -> Option<Result<AttributeValue, UnsupportedValue>> {
    let reference = Reference::parse(json);
    reference.read(datum).map(|value| reference.attribute(&value))
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_avro_crate_reads_it((json, datum) in datums()) {
        let expected = expected(&json, &datum).expect("written just now").map_err(ReadError::Unsupported);
        prop_assert_eq!(read(&json, &datum), expected, "{}", json);
    }

    /// Of damaged datums both take the same, but for what is refused here on purpose.
    #[test]
    fn damaged_datums_are_taken_or_refused_alike(
        (json, mut datum) in datums(),
        damages in prop::collection::vec(fuzz::damage(), 1..3),
    ) {
        damages.iter().for_each(|damage| damage.apply(&mut datum));
        match (read(&json, &datum), expected(&json, &datum)) {
            (Ok(read), expected) => prop_assert_eq!(Some(Ok(read)), expected, "{}", json),
            (Err(ReadError::Datum(DatumError::LongNumber | DatumError::TooLarge)), _) => {}
            (Err(ReadError::Datum(error)), expected) => prop_assert!(expected.is_none_or(|value| value.is_err()), "{error}: {json}"),
            (Err(ReadError::Unsupported(_)), expected) => prop_assert!(expected.is_none_or(|value| value.is_err()), "{json}"),
        }
    }
}

#[test]
fn nesting_has_a_limit() {
    let nested = |levels: usize| {
        let schema =
            (0..levels).fold("\"long\"".to_owned(), |inner, _| format!(r#"{{"type":"array","items":{inner}}}"#));
        let datum = [vec![2; levels], vec![2], vec![0; levels]].concat();
        read(&schema, &datum)
    };
    assert!(nested(29).is_ok());
    assert_eq!(nested(30), Err(UnsupportedValue::TooDeep.into()));
}

/// A count may say anything; nothing is allocated for elements that aren't there.
#[test]
fn counts_that_lie_are_refused() {
    let list = r#"{"type":"array","items":"boolean"}"#;
    let long = |number: i64| {
        let writer = Schema::Long;
        let writer = GenericDatumWriter::builder(&writer).build().expect("a writer");
        writer.write_value_to_vec(Value::Long(number)).expect("written")
    };
    for count in [3, 299_593, 1 << 40, i64::MAX, i64::MIN + 1] {
        assert_eq!(read(list, &[long(count), vec![1, 0]].concat()), Err(DatumError::Truncated.into()), "{count}");
    }
    assert_eq!(read(list, &[long(i64::MIN), vec![1, 0]].concat()), Err(DatumError::NegativeLength.into()));
    let many = 600_000;
    let datum = [long(many), vec![1; 600_000], vec![0]].concat();
    assert_eq!(read(list, &datum), Err(DatumError::TooLarge.into()));
}
