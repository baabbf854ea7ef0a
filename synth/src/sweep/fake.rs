//! A table in memory, whose rows do at a write what their keys say.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use aws::sweep::{CallFailed, Page, PageRequest, Patience, SweepRows, Swept, Wanted};
use events::row::names;
use events::sweep::SweepWrite;
use events::{
    AttributeValue, Columns, Entity, EventId, Item, Operation, Row, RowChange, RowHead, RowWrite, Timestamp, Trace,
    Version,
};

use super::survey::Table;

/// Nothing waits in tests.
pub(super) const AT_ONCE: Patience = Patience { rounds: 3, longest_pause: Duration::ZERO };

/// The table, with pages of two rows.
///
/// What a write meets depends on a word in the key: `moves` is loaded just before, `fenced` gets a higher epoch just before,
/// `fails` is refused always, `throttled` the first time, `lost` takes place the first time and isn't answered.
#[derive(Default)]
pub(super) struct FakeRows {
    pub(super) items: RefCell<BTreeMap<String, Item>>,
    /// How often each key was written or tried to be.
    tries: RefCell<BTreeMap<String, u32>>,
    /// After so many writes none is ever answered.
    pub(super) dies_after: Cell<Option<u32>>,
    pub(super) pages: Cell<u32>,
    pub(super) writes: Cell<u32>,
    /// Pages can't be read.
    pub(super) is_denied: Cell<bool>,
}

/// A row of `source` with this version.
pub(super) fn row(source: &str, key: &str, version: &Version, change: RowChange) -> RowWrite {
    let (source, key) = (source.parse().expect("a source"), key.parse().expect("a key"));
    RowWrite {
        head: RowHead {
            entity: Entity::Customers,
            event_id: EventId::new(&source, Entity::Customers, &key, version),
            key,
            source,
            version: version.clone(),
            epoch: 1,
            origin_region: "us-west-2".parse().expect("a region"),
            operation: Operation::Update,
            committed_at: time("2026-03-04T00:00:00Z"),
            trace: Trace::default(),
            traceparent: None,
        },
        change,
    }
}

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub(super) fn live() -> RowChange {
    RowChange::Put(Columns::from([("name".to_owned(), AttributeValue::text("Ada"))]))
}

pub(super) fn table(entity: Entity, rows: impl IntoIterator<Item = RowWrite>) -> Table<FakeRows> {
    let items = rows.into_iter().map(|row| (row.head.key.as_str().to_owned(), row.item()));
    let rows = FakeRows { items: RefCell::new(items.collect()), ..FakeRows::default() };
    Table { entity, name: format!("tandem-sandbox-{entity}"), rows }
}

fn failed(operation: &'static str, passes: bool) -> CallFailed {
    let code = if passes { "ThrottlingException" } else { "AccessDeniedException" };
    CallFailed {
        operation,
        table: "tandem-sandbox-customers".to_owned(),
        code: code.to_owned(),
        message: "told to fail".to_owned(),
        passes,
    }
}

impl FakeRows {
    pub(super) fn row(&self, key: &str) -> Row {
        Row::from_item(Entity::Customers, &self.items.borrow()[key]).expect("a row")
    }

    fn set(&self, key: &str, attribute: &str, value: AttributeValue) {
        let mut items = self.items.borrow_mut();
        items.get_mut(key).expect("it is there").insert(attribute.to_owned(), value);
    }

    fn apply(&self, write: &SweepWrite) -> Swept {
        let key = write.tombstone.head.key.as_str();
        let stored = self.row(key);
        if write.holds_for(Some(&stored)) {
            self.items.borrow_mut().insert(key.to_owned(), write.tombstone.item());
            return Swept::Written;
        }
        match stored.head {
            head if head.epoch > write.tombstone.head.epoch => Swept::Fenced { found: head.epoch.to_string() },
            head if head.version == write.tombstone.head.version => Swept::Written,
            _ => Swept::Changed,
        }
    }
}

impl SweepRows for FakeRows {
    async fn page(&self, request: &PageRequest<'_>) -> Result<Page, CallFailed> {
        tokio::task::yield_now().await;
        self.pages.set(self.pages.get() + 1);
        if self.is_denied.get() {
            return Err(failed("scan", false));
        }
        let items = self.items.borrow();
        let segment_of = |key: &str| key.bytes().map(u32::from).sum::<u32>() % request.segments;
        let last = request.after.as_ref().and_then(|key| key[names::PK].as_text()).unwrap_or_default();
        let mut rest = items.iter().filter(|(key, _)| segment_of(key) == request.segment && key.as_str() > last);
        let page: Vec<(&String, &Item)> = rest.by_ref().take(2).collect();
        let is_wanted = |item: &&Item| match request.wanted {
            Wanted::All => true,
            Wanted::Before { source, generation } => {
                let text = |name| item.get(name).and_then(AttributeValue::as_text);
                text(names::VER).is_some_and(|version| version < generation.generation_floor())
                    && text(names::SRC) == Some(source.as_str())
                    && !item.contains_key(names::DELETED)
            }
        };
        let next = page
            .last()
            .filter(|_| rest.next().is_some())
            .map(|(key, _)| Item::from([(names::PK.to_owned(), AttributeValue::text(key.as_str()))]));
        let wanted = page.iter().map(|(_, item)| *item).filter(is_wanted).cloned().collect();
        Ok(Page { items: wanted, read: page.len() as u64, units: 0.5, next })
    }

    async fn sweep(&self, write: &SweepWrite) -> Result<Swept, CallFailed> {
        tokio::task::yield_now().await;
        if self.dies_after.get().is_some_and(|most| self.writes.get() >= most) {
            std::future::pending::<()>().await;
        }
        self.writes.set(self.writes.get() + 1);
        let key = write.tombstone.head.key.as_str();
        let tries = {
            let mut all = self.tries.borrow_mut();
            let tries = all.entry(key.to_owned()).or_default();
            *tries += 1;
            *tries
        };
        if key.contains("moves") {
            self.set(key, names::VER, AttributeValue::text(Version::refresh(2).as_str()));
        }
        if key.contains("fenced") {
            self.set(key, names::EP, AttributeValue::N("2".to_owned()));
        }
        if key.contains("fails") || (key.contains("throttled") && tries == 1) {
            return Err(failed("put_item", key.contains("throttled")));
        }
        let swept = self.apply(write);
        if key.contains("lost") && tries == 1 { Err(failed("put_item", true)) } else { Ok(swept) }
    }
}
