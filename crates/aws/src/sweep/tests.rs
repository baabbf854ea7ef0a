//! The calls as DynamoDB gets them, and what its answers mean.

use super::*;
use crate::testing::{Script, row_write, sdk_config};
use events::RowChange;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::time::Duration;

const AT_ONCE: Patience = Patience { rounds: 2, longest_pause: Duration::ZERO };

fn rows(script: &Script) -> DynamoRows {
    DynamoRows::new(&sdk_config(script), "tandem-test-customers".parse().expect("a table"))
}

fn write() -> SweepWrite {
    let seen = row_write(RowChange::Put(events::Columns::new())).head.version;
    let mut tombstone = row_write(RowChange::Tombstone { expires_at: 1_900_000_000 });
    tombstone.head.version = Version::end_of(1);
    SweepWrite { seen, tombstone }
}

fn before() -> Wanted {
    Wanted::Before { source: "qlik-task".parse().expect("a source"), generation: Version::refresh(2) }
}

#[tokio::test]
async fn a_page_is_asked_for_with_what_a_sweep_knows_rows_by() {
    let key = json!({ "pk": { "S": "k" } });
    let script = Script::new()
        .ok(json!({ "Items": [key], "ScannedCount": 7, "LastEvaluatedKey": key, "ConsumedCapacity": { "CapacityUnits": 1.5 } }))
        .ok(json!({ "Items": [] }));
    let request = PageRequest { segment: 1, segments: 4, wanted: &before(), after: None };
    let page = rows(&script).page(&request).await.expect("a page");
    assert_eq!((page.items.len(), page.read, page.units), (1, 7, 1.5));
    let all = PageRequest { wanted: &Wanted::All, after: page.next, ..request };
    assert_eq!(rows(&script).page(&all).await, Ok(Page::default()));
    let names = SeenRow::ATTRIBUTES.map(|name| (format!("#{name}"), json!(name)));
    let names = Value::from_iter(names);
    let expected = json!({
        "TableName": "tandem-test-customers",
        "Segment": 1,
        "TotalSegments": 4,
        "ProjectionExpression": "#pk,#src,#ver,#ep,#deleted,#committed_at,#trace",
        "ExpressionAttributeNames": names,
        "FilterExpression": OUTDATED,
        "ExpressionAttributeValues": { ":floor": { "S": "0000000002|" }, ":src": { "S": "qlik-task" } },
        "ReturnConsumedCapacity": "TOTAL",
    });
    let next = json!({
        "TableName": "tandem-test-customers",
        "Segment": 1,
        "TotalSegments": 4,
        "ProjectionExpression": "#pk,#src,#ver,#ep,#deleted,#committed_at,#trace",
        "ExpressionAttributeNames": names,
        "ExclusiveStartKey": key,
        "ReturnConsumedCapacity": "TOTAL",
    });
    assert_eq!(script.bodies(), [expected, next]);
}

#[tokio::test]
async fn a_tombstone_is_written_over_exactly_what_was_seen() {
    let script = Script::new().ok(json!({}));
    assert_eq!(rows(&script).sweep(&write()).await, Ok(Swept::Written));
    let request = &script.bodies()[0];
    assert_eq!(request["ConditionExpression"], AS_SEEN);
    assert_eq!(request["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
    let values = json!({ ":seen": { "S": write().seen.as_str() }, ":src": { "S": "qlik-task" }, ":ep": { "N": "3" } });
    assert_eq!(request["ExpressionAttributeValues"], values);
    let names = json!({ "#ver": "ver", "#src": "src", "#deleted": "deleted", "#ep": "ep" });
    assert_eq!(request["ExpressionAttributeNames"], names);
    assert_eq!(request["Item"]["ver"]["S"], Version::end_of(1).as_str());
    assert_eq!((&request["Item"]["deleted"]["BOOL"], request["Item"].get("data")), (&json!(true), None));
}

#[tokio::test]
async fn the_row_that_refuses_a_tombstone_tells_why() {
    let meets = async |item: Value| {
        let script = Script::new().error_with(400, "ConditionalCheckFailedException", json!({ "Item": item }));
        rows(&script).sweep(&write()).await.expect("an answer")
    };
    let stored = |source: &str, version: &str, epoch: u64| json!({ "pk": { "S": "C-1" }, "src": { "S": source }, "ver": { "S": version }, "ep": { "N": epoch.to_string() } });
    let own = Version::end_of(1);
    assert_eq!(meets(stored("qlik-task", own.as_str(), 3)).await, Swept::Written, "an earlier attempt took place");
    assert_eq!(meets(stored("other", own.as_str(), 3)).await, Swept::Changed);
    assert_eq!(meets(stored("qlik-task", Version::refresh(2).as_str(), 3)).await, Swept::Changed);
    assert_eq!(meets(stored("qlik-task", own.as_str(), 4)).await, Swept::Fenced { found: "4".to_owned() });
    assert_eq!(meets(json!({})).await, Swept::Changed);
    let script = Script::new().error(400, "ConditionalCheckFailedException");
    assert_eq!(rows(&script).sweep(&write()).await, Ok(Swept::Changed), "the row is gone");
}

#[tokio::test]
async fn failures_say_whether_they_pass() {
    for (status, code, passes) in [
        (400, "ProvisionedThroughputExceededException", true),
        (500, "InternalServerError", true),
        (400, "AccessDeniedException", false),
        (400, "ValidationException", false),
    ] {
        let script = Script::new().error(status, code).error(status, code);
        let error = rows(&script).sweep(&write()).await.expect_err(code);
        assert_eq!((error.operation, error.passes, error.code.as_str()), ("put_item", passes, code));
        let request = PageRequest { segment: 0, segments: 1, wanted: &Wanted::All, after: None };
        let error = rows(&script).page(&request).await.expect_err(code);
        assert_eq!((error.operation, error.table.as_str()), ("scan", "tandem-test-customers"));
    }
}

/// Three pages in each of two segments; a page that is told to fail does so for ever.
#[derive(Default)]
struct Pages {
    failing: Option<(u32, u64)>,
    asked: RefCell<Vec<(u32, u64)>>,
}

impl SweepRows for Pages {
    async fn page(&self, request: &PageRequest<'_>) -> Result<Page, CallFailed> {
        // The other segments get their turn.
        tokio::task::yield_now().await;
        let number = |item: &Item| item["n"].as_number().and_then(|text| text.parse::<u64>().ok()).expect("a number");
        let page = request.after.as_ref().map_or(0, number);
        self.asked.borrow_mut().push((request.segment, page));
        if self.failing == Some((request.segment, page)) {
            return Err(CallFailed {
                operation: "scan",
                table: "t".to_owned(),
                code: "Told".to_owned(),
                message: "to fail".to_owned(),
                passes: true,
            });
        }
        let item = |number: u64| tables::item([("n", AttributeValue::N(number.to_string()))]);
        Ok(Page { items: vec![item(page)], read: 1, units: 0.0, next: (page < 2).then(|| item(page + 1)) })
    }

    async fn sweep(&self, _: &SweepWrite) -> Result<Swept, CallFailed> {
        Ok(Swept::Changed)
    }
}

async fn scanned(pages: &Pages, visit: impl AsyncFn() -> Result<(), CallFailed>) -> Result<u64, CallFailed> {
    let (reads, count) = (Pace::of(1_000), Cell::new(0));
    let settings = ScanSettings { segments: 2, reads: &reads, patience: AT_ONCE };
    let counted = scan(pages, &Wanted::All, &settings, async |items: Vec<Item>, read| {
        assert_eq!(items.len() as u64, read);
        count.set(count.get() + read);
        visit().await
    });
    counted.await.map(|()| count.get())
}

#[tokio::test]
async fn every_segment_is_read_to_its_end() {
    let pages = Pages::default();
    assert_eq!(scanned(&pages, async || Ok(())).await, Ok(6));
    let mut asked = pages.asked.take();
    asked.sort_unstable();
    assert_eq!(asked, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
}

#[tokio::test]
async fn a_page_that_fails_is_asked_for_again_and_then_ends_all_segments() {
    let pages = Pages { failing: Some((0, 0)), ..Pages::default() };
    assert_eq!(scanned(&pages, async || Ok(())).await.map_err(|error| error.code), Err("Told".to_owned()));
    let asked = pages.asked.take();
    assert_eq!(asked.iter().filter(|page| **page == (0, 0)).count(), 2, "{asked:?}");
    assert!(!asked.contains(&(0, 1)) && !asked.contains(&(1, 2)), "the other segment went on: {asked:?}");
}

#[tokio::test]
async fn a_visit_that_fails_ends_all_segments_and_cuts_none_off() {
    let (pages, begun, ended) = (Pages::default(), Cell::new(0), Cell::new(0));
    let visit = async || {
        begun.set(begun.get() + 1);
        let number = begun.get();
        for _ in 0..number * 3 {
            tokio::task::yield_now().await;
        }
        ended.set(ended.get() + 1);
        let failed = || CallFailed {
            operation: "put_item",
            table: "t".to_owned(),
            code: "Visit".to_owned(),
            message: String::new(),
            passes: false,
        };
        if number == 1 { Err(failed()) } else { Ok(()) }
    };
    assert_eq!(scanned(&pages, visit).await.map_err(|error| error.code), Err("Visit".to_owned()));
    assert_eq!((begun.get(), ended.get()), (2, 2));
}
