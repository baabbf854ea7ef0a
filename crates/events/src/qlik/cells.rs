//! An image's or a key's columns, in the order in which they came.

use std::borrow::Cow;

use crate::{AttributeValue, Columns};

/// Names and values in order. Avro's names are those of the schema, which aren't copied before they are needed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cells<'a> {
    names: Cow<'a, [String]>,
    values: Vec<AttributeValue>,
}

impl<'a> Cells<'a> {
    /// Cells of a schema.
    ///
    /// Invariant: there are as many values as names.
    pub(super) fn of_schema(names: &'a [String], values: Vec<AttributeValue>) -> Self {
        debug_assert_eq!(names.len(), values.len());
        Self { names: Cow::Borrowed(names), values }
    }

    /// Cells that bring their names.
    pub(super) fn named(cells: impl IntoIterator<Item = (String, AttributeValue)>) -> Self {
        let (names, values): (Vec<String>, _) = cells.into_iter().unzip();
        Self { names: Cow::Owned(names), values }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn values(&self) -> &[AttributeValue] {
        &self.values
    }

    /// The value of a column. Some sources report names in upper case, so where no name is the same, its ASCII case is ignored.
    pub(super) fn get(&self, name: &str) -> Option<&AttributeValue> {
        let find = |same: fn(&str, &str) -> bool| self.names.iter().rposition(|found| same(found, name));
        let index = find(|a, b| a == b).or_else(|| find(str::eq_ignore_ascii_case))?;
        self.values.get(index)
    }

    /// Whether every value is null.
    pub(super) fn are_null(&self) -> bool {
        self.values.iter().all(|value| *value == AttributeValue::Null)
    }

    /// All of them. Of several with the same name the last one counts.
    pub(super) fn into_columns(self) -> Columns {
        // Inserted one by one: rows have few columns, and collecting would sort them in a list of their own first.
        let mut columns = Columns::new();
        match self.names {
            Cow::Borrowed(names) => columns.extend(names.iter().cloned().zip(self.values)),
            Cow::Owned(names) => columns.extend(names.into_iter().zip(self.values)),
        }
        columns
    }

    /// Those that are present.
    pub(super) fn into_present(self, present: &[bool]) -> Columns {
        let cells = self.names.iter().zip(self.values).zip(present);
        cells.filter(|(_, present)| **present).map(|((name, value), _)| (name.clone(), value)).collect()
    }
}
