//! Surveys and sweeps of tables in memory.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use events::authority::{Authority, Scope};
use events::{ChangeSequence, Entity, Region, RowChange, RowState, RowWrite, Timestamp, Version};
use futures::FutureExt as _;
use infra::environment::Environment;

use super::fake::{AT_ONCE, FakeRows, live, row, table, time};
use super::report::Failed;
use super::request::{Request, request};
use super::survey::{Counted, Survey, Table, count};
use super::{Limits, Options, Report, epoch_of, limits, may_go_on, unreadable, work};
use crate::error::Kind;
use crate::exit_code;

const SOURCE: &str = "qlik-sandbox";

/// The committed sandbox, whose consumer writes this generation.
fn environment(generation: u32) -> Environment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments/sandbox.toml");
    let text = std::fs::read_to_string(path).expect("a committed file");
    let text = text.replace("partitions = 3", &format!("partitions = 3\ngeneration = {generation}"));
    Environment::parse("environments/sandbox.toml", &text).expect("a good file")
}

fn options() -> Options {
    Options {
        checkout: PathBuf::new(),
        region: None,
        entities: Entity::ALL.to_vec(),
        generation: None,
        limits: Limits { max_share: 50, max_deletes: None, settled: Duration::from_secs(600) },
        reads_per_second: 1_000_000,
        writes_per_second: 1_000_000,
        assume_yes: false,
    }
}

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

fn now() -> Timestamp {
    time("2026-03-05T00:00:00Z")
}

/// A sweep for generation 2.
fn wanted() -> Request {
    Request {
        patience: AT_ONCE,
        ..request(&environment(2), &options(), &region("us-west-2"), 1, now()).expect("it may be made")
    }
}

fn cdc(generation: u32) -> Version {
    Version::cdc(generation, &ChangeSequence::new(Timestamp::UNIX_EPOCH, 7))
}

fn old(key: &str) -> RowWrite {
    row(SOURCE, key, &cdc(1), live())
}

fn loaded(key: &str) -> RowWrite {
    row(SOURCE, key, &Version::refresh(2), live())
}

/// Rows of every class, most of them loaded.
fn mixed() -> Vec<RowWrite> {
    let mut rows: Vec<RowWrite> = (0..8).map(|number| loaded(&format!("loaded-{number}"))).collect();
    let dead = || RowChange::Tombstone { expires_at: 9 };
    rows.extend([
        old("a"),
        old("b-throttled"),
        row(SOURCE, "c", &Version::refresh(0), live()),
        row(SOURCE, "changed", &cdc(2), live()),
        row(SOURCE, "later", &Version::refresh(3), live()),
        row(SOURCE, "deleted", &cdc(1), dead()),
        row(SOURCE, "deleted-later", &cdc(2), dead()),
        row("another", "foreign", &cdc(1), live()),
        row(SOURCE, "odd", &Version::end_of(1), live()),
    ]);
    rows
}

async fn surveyed(request: &Request, tables: &[Table<FakeRows>]) -> Survey {
    let counted = count(request, tables, |_, _| {}).await.expect("readable");
    Survey::new(&environment(2), request, counted)
}

/// Surveys and sweeps one table of customers.
async fn swept(rows: Vec<RowWrite>) -> (FakeRows, Report) {
    let (request, tables) = (wanted(), [table(Entity::Customers, rows)]);
    let survey = surveyed(&request, &tables).await;
    let report = work::sweep(&request, &tables, &survey, |_| {}).await;
    let [table] = tables;
    (table.rows, report)
}

fn tombstones(rows: &FakeRows) -> Vec<String> {
    let is_swept = |key: &String| {
        let row = rows.row(key);
        row.head.version == Version::end_of(1) && matches!(row.state, RowState::Tombstone { .. })
    };
    let keys: Vec<String> = rows.items.borrow().keys().cloned().collect();
    keys.into_iter().filter(is_swept).collect()
}

#[tokio::test]
async fn a_survey_counts_every_row_once_and_writes_nothing() {
    let request = wanted();
    let mut tables = [table(Entity::Customers, mixed()), table(Entity::Orders, [loaded("1")])];
    tables[1].rows.items.get_mut().get_mut("1").expect("a row").remove("ep");
    let survey = surveyed(&request, &tables).await;
    insta::assert_snapshot!("survey", survey.render().join("\n"));
    insta::assert_snapshot!("survey_json", serde_json::to_string_pretty(&survey).expect("JSON"));
    assert_eq!((survey.outdated(), tables[0].rows.writes.get()), (3, 0));
}

#[tokio::test]
async fn only_what_is_outdated_is_swept_and_a_second_sweep_finds_nothing() {
    let (request, tables) = (wanted(), [table(Entity::Customers, mixed()), table(Entity::Products, [loaded("1")])]);
    let before = tables[0].rows.items.borrow().clone();
    let survey = surveyed(&request, &tables).await;
    assert_eq!(survey.refusals, Vec::<String>::new());
    let progress = RefCell::new(Vec::new());
    let report = work::sweep(&request, &tables, &survey, |swept| progress.borrow_mut().push(swept.progress())).await;
    assert_eq!(progress.take().last().map(String::as_str), Some("3 of 3 swept, 0 changed, 0 failed"));
    insta::assert_snapshot!("report", report.render().join("\n"));
    insta::assert_snapshot!("report_json", serde_json::to_string_pretty(&report).expect("JSON"));
    assert!(report.verdict().is_ok());
    assert_eq!(tombstones(&tables[0].rows), ["a", "b-throttled", "c"]);
    let after = tables[0].rows.items.borrow().clone();
    assert!(before.iter().all(|(key, item)| after[key] == *item || tombstones(&tables[0].rows).contains(key)));

    let survey = surveyed(&request, &tables).await;
    let report = work::sweep(&request, &tables, &survey, |_| {}).await;
    assert_eq!((survey.outdated(), survey.refusals.len(), report.verdict().is_ok()), (0, 0, true));
    assert_eq!(report.render(), ["nothing to sweep: no row of `qlik-sandbox` in us-west-2 is older than generation 2"]);
    assert_eq!(*tables[0].rows.items.borrow(), after);
}

#[tokio::test]
async fn what_changes_meanwhile_stays_and_is_no_failure() {
    let (rows, report) = swept(vec![old("a"), old("moves"), old("lost"), loaded("1")]).await;
    let customers = &report.tables[0];
    assert_eq!((customers.swept, customers.changed, report.verdict().is_ok()), (2, 1, true), "{report:?}");
    assert_eq!(tombstones(&rows), ["a", "lost"]);
    assert_eq!(rows.row("moves").head.version, Version::refresh(2));
}

#[tokio::test]
async fn what_changes_before_it_is_met_again_is_counted_too() {
    let (request, tables) = (wanted(), [table(Entity::Customers, [old("a"), old("b"), loaded("1")])]);
    let survey = surveyed(&request, &tables).await;
    tables[0].rows.items.borrow_mut().insert("b".to_owned(), loaded("b").item());
    let report = work::sweep(&request, &tables, &survey, |_| {}).await;
    assert_eq!((report.tables[0].swept, report.tables[0].changed), (1, 1), "{report:?}");
}

#[tokio::test]
async fn no_more_rows_go_than_were_agreed_to() {
    let (request, tables) = (wanted(), [table(Entity::Customers, [old("a"), loaded("1")])]);
    let survey = surveyed(&request, &tables).await;
    for key in ["b", "c", "d"] {
        tables[0].rows.items.borrow_mut().insert(key.to_owned(), old(key).item());
    }
    let report = work::sweep(&request, &tables, &survey, |_| {}).await;
    assert_eq!((report.tables[0].swept, tombstones(&tables[0].rows).len()), (1, 1), "{report:?}");
    let error = report.verdict().expect_err("something writes old rows");
    assert!(error.details()[0].contains("something writes such rows still"), "{}", error.render());
}

#[tokio::test]
async fn writes_that_fail_are_reported_and_many_in_a_row_end_the_run() {
    let (rows, report) = swept(vec![old("fails"), old("a"), loaded("1")]).await;
    let reason = "`put_item` on `tandem-sandbox-customers` failed (AccessDeniedException: told to fail)".to_owned();
    assert_eq!(report.tables[0].failed, [Failed { key: "fails".to_owned(), reason }]);
    assert_eq!(tombstones(&rows), ["a"]);
    let error = report.verdict().expect_err("one failed");
    assert_eq!(
        (error.kind().exit_code(), error.to_string().as_str()),
        (exit_code::ERROR, "1 write failed, and 1 row are swept")
    );

    let (rows, report) = swept((0..30).map(|number| old(&format!("fails-{number}"))).collect()).await;
    assert!(rows.writes.get() < 12, "{} writes were tried", rows.writes.get());
    insta::assert_snapshot!("stopped", report.verdict().expect_err("it stopped").render());
    assert_eq!(report.tables[0].agreed, 30);
}

#[tokio::test]
async fn whoever_is_fenced_stops() {
    let (rows, report) = swept(vec![old("fenced"), loaded("1")]).await;
    let error = report.verdict().expect_err("authority has moved");
    assert_eq!((error.kind(), tombstones(&rows).len(), report.is_fenced), (Kind::Refused, 0, true));
    assert!(error.details()[0].starts_with("a row carries epoch 2"), "{}", error.render());
}

/// The segments of a table are worked on side by side, and one that knows of the new owner stops all.
#[tokio::test]
async fn no_segment_goes_on_when_one_is_fenced() {
    let many = (0..400).map(|number| old(&format!("row-{number}")));
    let (rows, report) = swept([old("fenced")].into_iter().chain(many).chain([loaded("1")]).collect()).await;
    assert!(report.is_fenced);
    let written = tombstones(&rows).len();
    assert!(written < 100, "{written} rows were swept");
}

/// Cut off after each write in turn, then run again: everything is swept in the end, and nothing twice.
#[tokio::test]
async fn a_killed_run_is_finished_by_the_next_one() {
    let rows = || [old("a"), old("b"), old("c"), old("d-lost"), old("e"), loaded("1"), loaded("2")];
    for writes in 0..6 {
        let (request, tables) = (wanted(), [table(Entity::Customers, rows())]);
        let survey = surveyed(&request, &tables).await;
        tables[0].rows.dies_after.set(Some(writes));
        let run = work::sweep(&request, &tables, &survey, |_| {});
        let cut_off = tokio::time::timeout(Duration::from_millis(20), run).await.is_err();
        let done = tombstones(&tables[0].rows).len() as u64;
        assert!(cut_off && done <= u64::from(writes), "{writes} writes, {done} swept");
        tables[0].rows.dies_after.set(None);
        let survey = surveyed(&request, &tables).await;
        let report = work::sweep(&request, &tables, &survey, |_| {}).await;
        assert_eq!((report.tables[0].swept, report.verdict().is_ok()), (5 - done, true), "{report:?}");
        assert_eq!(tombstones(&tables[0].rows).len(), 5);
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_an_error_with_hints() {
    let (request, tables) = (wanted(), [table(Entity::Customers, [])]);
    tables[0].rows.is_denied.set(true);
    let error = count(&request, &tables, |_, _| {}).await.expect_err("denied");
    let error = unreadable(&environment(2), &request, error);
    insta::assert_snapshot!("unreadable", error.render());
    assert_eq!(error.kind(), Kind::Remote);
}

#[test]
fn a_generation_that_was_not_loaded_is_refused() {
    let check = |configured, wanted: Option<u32>, expected: Result<u32, &str>| {
        let options = Options { generation: wanted, ..options() };
        let made = request(&environment(configured), &options, &region("us-west-2"), 1, now());
        match (made, expected) {
            (Ok(request), Ok(generation)) => assert_eq!(request.sweep.generation.get(), generation),
            (Err(error), Err(says)) => {
                assert_eq!(error.kind(), Kind::Refused);
                assert!(error.to_string().contains(says) && error.hints().len() == 1, "{}", error.render());
            }
            (made, expected) => panic!("{made:?}, and not {expected:?}"),
        }
    };
    check(3, None, Ok(3));
    check(3, Some(2), Ok(2));
    check(3, Some(4), Err("the consumer of `sandbox` writes generation 3, so nothing was loaded as generation 4"));
    check(0, None, Err("generation 0 is the first one"));
    check(3, Some(0), Err("generation 0 is the first one"));
}

#[test]
fn a_sweep_writes_as_the_consumer_does() {
    let environment = environment(2);
    let Request { sweep, region, .. } = wanted();
    assert_eq!((sweep.source.as_str(), sweep.origin_region.as_str()), (SOURCE, "us-west-2"));
    assert_eq!((sweep.epoch, region.as_str()), (1, environment.primary().as_str()));
    assert_eq!(sweep.tombstone_retention, Duration::from_secs(30 * 86_400));
}

#[test]
fn only_the_region_that_owns_the_data_is_swept() {
    let environment = environment(2);
    let record = |owner: &str| Authority {
        scope: Scope::all(),
        owner: region(owner),
        epoch: std::num::NonZeroU64::MIN,
        lease_until: None,
        withdrawn: std::collections::BTreeMap::new(),
        changed_at: now(),
        changed_by: "ada".to_owned(),
    };
    let check = |record: Option<Authority>, named: &str| epoch_of(&environment, record.as_ref(), &region(named));
    assert_eq!(check(None, "us-west-2").expect("it is at home"), 0);
    assert_eq!(check(Some(record("us-east-1")), "us-east-1").expect("it owns"), 1);
    for (record, named) in [(None, "us-east-1"), (Some(record("us-east-1")), "us-west-2")] {
        let error = check(record, named).expect_err(named);
        assert_eq!((error.kind(), error.hints().len()), (Kind::Refused, 1), "{}", error.render());
    }
}

#[test]
fn what_looks_like_no_finished_load_is_refused() {
    let good = || Counted {
        entity: "orders".to_owned(),
        loaded: 900,
        outdated: 100,
        loaded_until: Some(time("2026-03-04T23:00:00Z")),
        ..Counted::default()
    };
    let strict = Limits { max_share: 20, max_deletes: Some(100), settled: Duration::from_secs(600) };
    let check = |tables: Vec<Counted>, expected: &[&str]| {
        let refusals = limits::refusals(&tables, 2, 1, now(), &strict);
        assert_eq!(refusals.len(), expected.len(), "{refusals:#?}");
        for (refusal, expected) in refusals.iter().zip(expected) {
            assert!(refusal.starts_with(expected), "{refusal}");
        }
    };
    let customers = || Counted { entity: "customers".to_owned(), ..good() };
    check(vec![good()], &[]);
    check(vec![Counted { outdated: 0, loaded: 0, fenced: 1, ..good() }], &[]);
    check(vec![Counted { fenced: 2, ..good() }], &["2 rows of orders carry a higher epoch than 1"]);
    check(
        vec![Counted { loaded: 0, loaded_until: None, later: 900, ..good() }],
        &["no row has generation 2: the load has not run"],
    );
    check(vec![Counted { loaded: 0, loaded_until: None, changed: 900, ..good() }], &["no row is as a load brings it"]);
    check(
        vec![Counted { loaded: 0, loaded_until: None, changed: 900, ..good() }, Counted { outdated: 0, ..customers() }],
        &[],
    );
    check(
        vec![good(), Counted { loaded_until: Some(time("2026-03-04T23:57:30Z")), outdated: 0, ..customers() }],
        &["the load seems to go on: its newest row, of customers, came 2 min 30 s ago, and 10 min 00 s must pass"],
    );
    check(vec![Counted { loaded_until: Some(time("2026-03-06T00:00:00Z")), ..good() }], &["the load seems to go on"]);
    check(vec![Counted { loaded: 400, ..good() }], &[]);
    check(vec![Counted { loaded: 399, ..good() }], &["100 of 499 live orders would go, which is more than 20 %"]);
    check(vec![Counted { outdated: 101, ..good() }], &["101 rows would go, and at most 100 may"]);
    check(
        vec![Counted { outdated: 99, loaded: 0, ..good() }, Counted { outdated: 1, ..customers() }],
        &["99 of 99 live orders would go"],
    );
}

#[tokio::test]
async fn a_refusal_names_every_reason() {
    let request = Request {
        limits: Limits { max_share: 10, max_deletes: Some(1), settled: Duration::from_secs(999_999) },
        ..wanted()
    };
    let survey = surveyed(&request, &[table(Entity::Customers, mixed())]).await;
    let error = may_go_on(&survey).expect_err("refused");
    insta::assert_snapshot!("refused", error.render());
    assert_eq!(error.kind().exit_code(), exit_code::REFUSED);
}

#[test]
fn many_failures_are_cut_for_people() {
    let survey = Survey::new(
        &environment(2),
        &wanted(),
        vec![Counted { entity: "orders".to_owned(), outdated: 30, ..Counted::default() }],
    );
    let mut report = Report::new(&survey);
    let failed = |number| Failed { key: format!("k-{number}"), reason: "told".to_owned() };
    report.tables[0].failed = (0..25).map(failed).collect();
    let lines = report.render();
    assert_eq!(
        (lines[2].as_str(), lines[22].as_str()),
        ("orders k-0: told", "and 5 more failed; `--format json` has them all")
    );
    assert!(lines[1].split_whitespace().eq(["orders", "0", "0", "25", "5"]), "{}", lines[1]);
}

#[tokio::test]
async fn nothing_to_sweep_reads_and_writes_no_more() {
    let (request, tables) = (wanted(), [table(Entity::Customers, [loaded("1")])]);
    let survey = surveyed(&request, &tables).await;
    let pages = tables[0].rows.pages.get();
    let report = work::sweep(&request, &tables, &survey, |_| {}).now_or_never().expect("nothing is waited for");
    assert_eq!((tables[0].rows.pages.get(), report.verdict().is_ok()), (pages, true));
}
