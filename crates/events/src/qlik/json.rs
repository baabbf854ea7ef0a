//! Data records in JSON.
//!
//! A member's text is taken apart only where it is needed, so numbers keep every digit.
//! The order of members means nothing, and of several with the same name the last one counts.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::avro::error::UnsupportedValue;
use super::avro::read::MAX_DEPTH;
use super::cells::Cells;
use super::layout::{FLAT_OR_BARE, Header, HeaderPlace, Role};
use super::poison::Poison;
use super::record::{Headers, Mask, Record};
use crate::AttributeValue;

/// An object's members: names, and the texts of their values.
#[derive(Debug)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Members<'a> {
    pub(super) fn parse(object: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(object)
    }

    /// The text of a member's value.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rfind(|(member, _)| member == name).map(|(_, value)| *value)
    }

    /// A member that is a string.
    pub(super) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, Poison> {
        self.get(name).map_or(Ok(None), text)
    }

    /// A member that is an object.
    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, Poison> {
        let object = self.get(name).filter(|value| value.starts_with('{'));
        object.map(|value| Self::parse(value).map_err(Poison::Json)).transpose()
    }

    /// The members as columns.
    pub(super) fn cells(self) -> Result<Cells<'static>, Poison> {
        let cells = self.0.into_iter().map(|(name, value)| Ok((name.into_owned(), attribute(value, MAX_DEPTH)?)));
        Ok(Cells::named(cells.collect::<Result<Vec<_>, Poison>>()?))
    }
}

/// Whether these may be the members of a data record.
pub(super) fn has_headers(members: &Members<'_>) -> bool {
    header_place(members).is_some()
}

fn header_place(members: &Members<'_>) -> Option<HeaderPlace> {
    let is_nested = members.get("headers").is_some_and(|value| value.starts_with('{'));
    HeaderPlace::find(is_nested, |name| members.get(name).is_some())
}

/// Reads a data record from its members.
pub(super) fn record(members: Members<'_>) -> Result<Record<'_>, Poison> {
    let place = header_place(&members).ok_or(Poison::Shape("it has no `headers`"))?;
    let mut record =
        Record { headers: Headers::default(), data: image(&members, "data")?, before: image(&members, "beforeData")? };
    if let Some(Members(nested)) = members.object("headers")? {
        for (name, value) in nested {
            if let Some(header) = Header::from_name(&name) {
                set_header(&mut record.headers, header, value)?;
            }
        }
    }
    let (mut data, mut before, mut bare, mut has_image) = (Vec::new(), Vec::new(), Vec::new(), false);
    for (name, value) in members.0 {
        match place.role(&name) {
            Role::Header(header) => set_header(&mut record.headers, header, value)?,
            Role::Headers => {}
            Role::Data | Role::Before => has_image = true,
            Role::DataColumn(column) => data.push((column.to_owned(), value)),
            Role::BeforeColumn(column) => before.push((column.to_owned(), value)),
            Role::Other => bare.push((name.into_owned(), value)),
        }
    }
    let has_flat = !data.is_empty() || !before.is_empty();
    if matches!(place, HeaderPlace::Flat(_)) && !bare.is_empty() && (has_image || has_flat) {
        return Err(Poison::Shape(FLAT_OR_BARE));
    }
    if !has_image && !has_flat {
        data = bare;
    }
    if record.data.is_none() {
        record.data = flat(data)?;
    }
    if record.before.is_none() {
        record.before = flat(before)?;
    }
    Ok(record)
}

fn image(members: &Members<'_>, name: &str) -> Result<Option<Cells<'static>>, Poison> {
    match members.get(name) {
        None | Some("null") => Ok(None),
        Some(value) if value.starts_with('{') => Members::parse(value).map_err(Poison::Json)?.cells().map(Some),
        Some(_) => Err(Poison::Shape("an image is no object")),
    }
}

/// A flattened image. What flattens a null image may leave its columns behind, all of them null.
fn flat(columns: Vec<(String, &str)>) -> Result<Option<Cells<'static>>, Poison> {
    let cells = columns.into_iter().map(|(name, value)| Ok((name, attribute(value, MAX_DEPTH)?)));
    let cells = Cells::named(cells.collect::<Result<Vec<_>, Poison>>()?);
    Ok(Some(cells).filter(|cells| !cells.are_null()))
}

fn set_header<'a>(headers: &mut Headers<'a>, header: Header, value: &'a str) -> Result<(), Poison> {
    match (text(value)?, header) {
        (Some(text), _) => headers.set(header, text),
        (None, Header::ColumnMask) => {
            headers.set_mask(if value == "null" { Mask::Absent } else { Mask::OtherType });
        }
        (None, _) => {}
    }
    Ok(())
}

/// The content of a string; none of any other value.
pub(super) fn text(value: &str) -> Result<Option<Cow<'_, str>>, Poison> {
    if !value.starts_with('"') {
        return Ok(None);
    }
    serde_json::from_str(value).map(|Text(text)| Some(text)).map_err(Poison::Json)
}

/// A value as an attribute, which may be `depth` levels deep. Numbers keep their spelling.
pub(super) fn attribute(value: &str, depth: usize) -> Result<AttributeValue, Poison> {
    let inner_depth = depth.checked_sub(1).ok_or(UnsupportedValue::TooDeep)?;
    Ok(match value.as_bytes().first() {
        Some(b'n') => AttributeValue::Null,
        Some(b't') => AttributeValue::Bool(true),
        Some(b'f') => AttributeValue::Bool(false),
        Some(b'"') => AttributeValue::S(serde_json::from_str(value).map_err(Poison::Json)?),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(value).map_err(Poison::Json)?;
            let items = items.into_iter().map(|item| attribute(item.get(), inner_depth));
            AttributeValue::L(items.collect::<Result<_, _>>()?)
        }
        Some(b'{') => {
            let Members(members) = Members::parse(value).map_err(Poison::Json)?;
            let entries =
                members.into_iter().map(|(name, value)| Ok((name.into_owned(), attribute(value, inner_depth)?)));
            AttributeValue::M(entries.collect::<Result<_, Poison>>()?)
        }
        _ => AttributeValue::number(value),
    })
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    members.push((name, value.get()));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A string that is copied only where it has escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed;

        impl<'de> Visitor<'de> for Borrowed {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Borrowed)
    }
}
