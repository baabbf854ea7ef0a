//! The sweep after a reload, in DynamoDB: a table is scanned in segments side by side, and what the load no longer had becomes
//! tombstones.
//!
//! Which row is swept, and by what write, is decided in [`events::sweep`]. A write has its own condition, which differs from the
//! consumer's: not "older than the tombstone" but "exactly as it was seen", because what the row was judged by is its version.
//!
//! ```text
//! ver = :seen AND src = :src AND attribute_not_exists(deleted) AND (attribute_not_exists(ep) OR ep <= :ep)
//! ```
//!
//! Nothing of the progress is kept. Whoever was cut off begins again, and finds only what is left. Reads needn't be consistent:
//! an image that is older than the row costs a write that is refused, never a row.

mod pace;
mod scan;

pub use pace::{Pace, Patience};
pub use scan::{ScanSettings, scan};

use crate::failure::{Failure, FailureKind};
use crate::tables::{self, Done, Operation, Tables, is_condition};
use aws_types::SdkConfig;
use contracts::TableName;
use events::row::names;
use events::sweep::{SeenRow, SweepWrite};
use events::{AttributeValue, Item, SourceId, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::Future;

/// The condition of a sweep's write.
const AS_SEEN: &str =
    "#ver = :seen AND #src = :src AND attribute_not_exists(#deleted) AND (attribute_not_exists(#ep) OR #ep <= :ep)";
/// Which items of a scan are worth their way.
const OUTDATED: &str = "#ver < :floor AND #src = :src AND attribute_not_exists(#deleted)";

/// The rows of one table.
pub trait SweepRows {
    /// One page of a segment.
    fn page(&self, request: &PageRequest<'_>) -> impl Future<Output = Result<Page, CallFailed>>;

    /// Writes a tombstone, if the row is as it was seen.
    fn sweep(&self, write: &SweepWrite) -> impl Future<Output = Result<Swept, CallFailed>>;
}

/// Which page of a scan.
#[derive(Clone, Debug)]
pub struct PageRequest<'a> {
    /// The segment, from 0.
    pub segment: u32,
    /// How many segments the table is scanned in.
    pub segments: u32,
    /// Which rows are wanted.
    pub wanted: &'a Wanted,
    /// Where the page before ended.
    pub after: Option<Item>,
}

/// Which rows a scan gives. All are read, whichever are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All, to count them.
    All,
    /// Live rows of one source with versions of earlier generations than this one's.
    Before {
        /// The source.
        source: SourceId,
        /// A version of the generation that is the first to stay.
        generation: Version,
    },
}

/// What a request of a scan gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The attributes of rows that a sweep knows them by.
    pub items: Vec<Item>,
    /// How many rows were read for it.
    pub read: u64,
    /// What that cost, in read capacity units.
    pub units: f64,
    /// Where the next page begins; none at the segment's end.
    pub next: Option<Item>,
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swept {
    /// The row is a tombstone of this sweep, by this write or by an earlier attempt.
    Written,
    /// The row isn't as it was seen any more, so it stays as it is.
    Changed,
    /// The row carries a higher epoch: authority has moved on, and this sweep must stop.
    Fenced {
        /// The row's epoch.
        found: String,
    },
}

/// A call that got no useful answer. A write that it asked for may have taken place; to repeat it does no harm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{operation}` on `{table}` failed ({code}: {message})")]
pub struct CallFailed {
    /// DynamoDB's operation.
    pub operation: &'static str,
    /// The table.
    pub table: String,
    /// DynamoDB's error code or the kind of failure.
    pub code: String,
    /// What was reported.
    pub message: String,
    /// Whether it may succeed later.
    pub passes: bool,
}

/// A table of DynamoDB.
#[derive(Debug)]
pub struct DynamoRows {
    tables: Tables,
    table: TableName,
}

impl DynamoRows {
    /// The table `table`; retries and timeouts are those of `config`.
    pub fn new(config: &SdkConfig, table: TableName) -> Self {
        Self { tables: Tables::new(config), table }
    }

    fn failed(&self, operation: Operation, failure: Failure) -> CallFailed {
        let Failure { kind, code, message, .. } = failure;
        let passes = matches!(kind, FailureKind::Throttled | FailureKind::Unavailable);
        CallFailed { operation: operation.name, table: self.table.as_str().to_owned(), code, message, passes }
    }
}

type Names = BTreeMap<String, &'static str>;

/// `#name` for each name, so that none can be one of DynamoDB's reserved words.
fn placeholders<const N: usize>(names: [&'static str; N]) -> Names {
    names.map(|name| (format!("#{name}"), name)).into()
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Scan<'a> {
    table_name: &'a str,
    segment: u32,
    total_segments: u32,
    projection_expression: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_expression: Option<&'static str>,
    #[serde(skip_serializing_if = "Item::is_empty")]
    expression_attribute_values: Item,
    expression_attribute_names: Names,
    #[serde(skip_serializing_if = "Option::is_none")]
    exclusive_start_key: Option<&'a Item>,
    return_consumed_capacity: &'static str,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Scanned {
    #[serde(default)]
    items: Vec<Item>,
    #[serde(default)]
    scanned_count: u64,
    last_evaluated_key: Option<Item>,
    consumed_capacity: Option<Consumed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Consumed {
    #[serde(default)]
    capacity_units: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Put<'a> {
    table_name: &'a str,
    item: Item,
    condition_expression: &'static str,
    expression_attribute_values: Item,
    expression_attribute_names: Names,
    return_values_on_condition_check_failure: &'static str,
}

impl SweepRows for DynamoRows {
    async fn page(&self, request: &PageRequest<'_>) -> Result<Page, CallFailed> {
        let (filter_expression, expression_attribute_values) = match request.wanted {
            Wanted::All => (None, Item::new()),
            Wanted::Before { source, generation } => {
                let floor = AttributeValue::text(generation.generation_floor());
                (Some(OUTDATED), tables::item([(":floor", floor), (":src", AttributeValue::text(source.as_str()))]))
            }
        };
        let request = Scan {
            table_name: self.table.as_str(),
            segment: request.segment,
            total_segments: request.segments,
            projection_expression: SeenRow::ATTRIBUTES.map(|name| format!("#{name}")).join(","),
            filter_expression,
            expression_attribute_values,
            expression_attribute_names: placeholders(SeenRow::ATTRIBUTES),
            exclusive_start_key: request.after.as_ref(),
            return_consumed_capacity: "TOTAL",
        };
        let answer = self.tables.call(Operation::SCAN, &request).await;
        let Scanned { items, scanned_count, last_evaluated_key, consumed_capacity } =
            answer.map_err(|failure| self.failed(Operation::SCAN, failure))?;
        Ok(Page {
            items,
            read: scanned_count,
            units: consumed_capacity.map_or(0.0, |consumed| consumed.capacity_units),
            next: last_evaluated_key.filter(|key| !key.is_empty()),
        })
    }

    async fn sweep(&self, write: &SweepWrite) -> Result<Swept, CallFailed> {
        let SweepWrite { seen, tombstone } = write;
        let values = [
            (":seen", AttributeValue::text(seen.as_str())),
            (":src", AttributeValue::text(tombstone.head.source.as_str())),
            (":ep", tables::number(tombstone.head.epoch)),
        ];
        let request = Put {
            table_name: self.table.as_str(),
            item: tombstone.item(),
            condition_expression: AS_SEEN,
            expression_attribute_values: tables::item(values),
            expression_attribute_names: placeholders([names::VER, names::SRC, names::DELETED, names::EP]),
            return_values_on_condition_check_failure: "ALL_OLD",
        };
        match self.tables.call(Operation::PUT_ITEM, &request).await {
            Ok(Done {}) => Ok(Swept::Written),
            Err(failure) if is_condition(&failure) => Ok(refused(write, &failure)),
            Err(failure) => Err(self.failed(Operation::PUT_ITEM, failure)),
        }
    }
}

/// What the row is that refused the write. A repeated attempt meets what the one before has written, if only its answer was
/// lost; two sweeps of one generation write the same.
fn refused(write: &SweepWrite, failure: &Failure) -> Swept {
    #[derive(Deserialize)]
    struct Refused {
        #[serde(rename = "Item", default)]
        item: Item,
    }
    let Ok(Refused { item }) = serde_json::from_slice(&failure.answer) else { return Swept::Changed };
    let own = &write.tombstone.head;
    if let Some(found) = item.get(names::EP).and_then(AttributeValue::as_number)
        && found.parse::<u64>().map_or(true, |found| found > own.epoch)
    {
        return Swept::Fenced { found: found.to_owned() };
    }
    let text = |name| item.get(name).and_then(AttributeValue::as_text);
    let is_swept = text(names::VER) == Some(own.version.as_str()) && text(names::SRC) == Some(own.source.as_str());
    if is_swept { Swept::Written } else { Swept::Changed }
}

#[cfg(test)]
mod tests;
