//! What a change says about its row's columns: all of them, some, or that they are gone.
//!
//! An insert or refresh brings a new row, so it is all there is: what it leaves out is null. Of an update it must be known:
//!
//! - Avro's records hold every column, and the mask says which of them mean something. Without a mask all do.
//! - JSON's objects may leave columns out. An update is all of the row only where a metadata message has told the table's columns
//!   and each of them is there; without that proof it is merged into the row, which is right in both cases.
//!
//! A mask's bits are the columns' ordinals. Avro's records are in that order; of JSON it is known from the table's metadata only.
//! Without it a mask over JSON can still tell by its count whether nulls mean something:
//! as many bits as members or more say that all do, as many as members with values say that nulls stand for what was left out.

use std::collections::HashSet;

use super::cells::Cells;
use super::change::Image;
use super::mask::{Presence, count, presence};
use super::metadata::Announcement;
use super::poison::Poison;
use crate::{AttributeValue, Columns};

/// How an update's image tells which columns it holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form<'t> {
    /// It has every column, in the order of the mask's bits.
    EveryColumn,
    /// It has some columns in any order, of a table that metadata may have told.
    Members(Option<&'t Announcement>),
}

/// Which columns an update's image holds.
pub(super) fn of_update(data: Cells<'_>, form: Form<'_>, mask: Option<&[u8]>) -> Result<Image, Poison> {
    match (form, mask) {
        (Form::EveryColumn, None) => Ok(Image::Complete(data.into_columns())),
        (Form::EveryColumn, Some(mask)) => {
            let has_value: Vec<bool> = data.values().iter().map(is_value).collect();
            match presence(mask, &has_value) {
                Presence::Complete => Ok(Image::Complete(data.into_columns())),
                Presence::Partial(present) => Ok(Image::Partial(data.into_present(&present))),
                Presence::Unclear => Err(unclear(mask)),
            }
        }
        (Form::Members(table), mask) => {
            let columns = data.into_columns();
            let told = table.map(Announcement::columns).filter(|told| {
                let names: HashSet<&str> = told.iter().map(String::as_str).collect();
                columns.keys().all(|name| names.contains(name.as_str()))
            });
            match told {
                Some(told) => of_members(columns, told, mask),
                None => Ok(Image::Partial(meant(columns, mask)?)),
            }
        }
    }
}

/// Members of a table whose columns are told, in the order of the mask's bits.
fn of_members(mut columns: Columns, told: &[String], mask: Option<&[u8]>) -> Result<Image, Poison> {
    if let Some(mask) = mask {
        let has_value: Vec<bool> = told.iter().map(|name| columns.get(name).is_some_and(is_value)).collect();
        match presence(mask, &has_value) {
            Presence::Complete => {}
            Presence::Partial(present) => {
                for (name, _) in told.iter().zip(present).filter(|(_, present)| !present) {
                    columns.remove(name);
                }
            }
            Presence::Unclear => return Err(unclear(mask)),
        }
    }
    let is_whole = columns.len() == told.len();
    Ok(if is_whole { Image::Complete(columns) } else { Image::Partial(columns) })
}

/// Members of a table whose columns aren't told.
fn meant(mut columns: Columns, mask: Option<&[u8]>) -> Result<Columns, Poison> {
    let Some(mask) = mask else {
        return Ok(columns);
    };
    let (bits, with_value) = (count(mask), columns.values().filter(|value| is_value(value)).count());
    if bits >= columns.len() {
        return Ok(columns);
    }
    if bits != with_value {
        return Err(unclear(mask));
    }
    columns.retain(|_, value| is_value(value));
    Ok(columns)
}

fn is_value(value: &AttributeValue) -> bool {
    *value != AttributeValue::Null
}

fn unclear(mask: &[u8]) -> Poison {
    Poison::ColumnMask { mask: mask.iter().take(32).map(|byte| format!("{byte:02x}")).collect() }
}
