//! Stories of deployments, and what the record and the page say of them.

use std::path::Path;

use serde_json::Value;

use super::files::keep;
use super::page::page;
use super::record::{LaneResult, OperationOutcome, PhaseKind, Record, RunResult, StepKind, Trouble};
use super::recorder::{Ending, Recorder};
use crate::deploy::apply::Progress as _;
use crate::deploy::cloud::Event;
use crate::deploy::history::{History, StackWork};
use crate::deploy::story::{Hands, Story, Twists, after, production};
use crate::deploy::system::{Location, Stack, StackKey, Template};
use crate::deploy::times::Times;
use crate::error::Error;

/// Two stacks, the second of which needs the first.
fn two() -> Vec<Stack> {
    let queue = |key: StackKey, document: Value, depends_on: Vec<StackKey>| Stack {
        cloudformation_name: format!("tandem-test-{}", key.name),
        key,
        template: Template::parse(
            document.to_string(),
            [("Topic".to_owned(), Location { file: "infra/src/a.rs".to_owned(), line: 7 })].into(),
        )
        .unwrap(),
        inputs: [].into(),
        depends_on,
        tags: [].into(),
        termination_protection: false,
        role: None,
        bake: None,
    };
    let first = serde_json::json!({"Resources": {
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Policy": {"Type": "AWS::SNS::TopicPolicy", "Properties": {"Topics": [{"Ref": "Topic"}]}},
        "Alone": {"Type": "AWS::SQS::Queue"}
    }});
    let second = serde_json::json!({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}});
    let (data, events) = (StackKey::new("data", "us-west-2"), StackKey::new("events", "us-east-1"));
    vec![queue(data.clone(), first, vec![]), queue(events, second, vec![data])]
}

fn ready<T>(value: T) -> std::future::Ready<Result<T, Error>> {
    std::future::ready(Ok(value))
}

/// A record of a story, with a build before it and a verification after it.
async fn record(stacks: Vec<Stack>, twists: &Twists) -> Record {
    let hands = Hands::new();
    let recorder = Recorder::new("production", hands.clock());
    let build = async {
        hands.set(41_300);
        ready(()).await
    };
    recorder.step(StepKind::Build, build).await.unwrap();
    let plan = async {
        hands.set(52_000);
        ready(()).await
    };
    recorder.step(StepKind::Plan, plan).await.unwrap();
    recorder.expect(&stacks);
    let left_alone = stacks.iter().filter(|stack| twists.unchanged.contains(&stack.key.name.as_str()));
    recorder.leave_alone(left_alone.map(|stack| stack.key.clone()));
    let story = Story::of(stacks, 53_000, twists);
    let end = story.end();
    let failed = story.told.iter().any(|(.., told)| matches!(told, crate::deploy::story::Told::Ended(Err(_))));
    let changing = async {
        story.tell(&hands, &recorder);
        if failed { Err(Error::remote("data@us-west-2 failed")) } else { ready(()).await }
    };
    let ending = if twists.breaks_off_after.is_some() {
        let mut changing = Box::pin(recorder.step(StepKind::Stacks, async {
            story.tell(&hands, &recorder);
            std::future::pending::<Result<(), Error>>().await
        }));
        assert!(futures::poll!(changing.as_mut()).is_pending());
        drop(changing);
        let details = vec!["what CloudFormation has begun goes on without the tool".to_owned()];
        let hints = vec!["run the command again: it waits for what still runs and carries on from there".to_owned()];
        let trouble = Trouble { message: "the command was ended by Ctrl-C".to_owned(), details, hints };
        Ending::Bad(RunResult::Interrupted, trouble)
    } else if let Err(error) = recorder.step(StepKind::Stacks, changing).await {
        let hints = vec!["what succeeded stays; deploy again to carry on".to_owned()];
        Ending::Bad(RunResult::Failed, Trouble { message: error.to_string(), details: vec![], hints })
    } else {
        let verification = async {
            hands.set(end + 1_900);
            ready(()).await
        };
        recorder.step(StepKind::Verification, verification).await.unwrap();
        Ending::Good(RunResult::Succeeded)
    };
    recorder.finish(ending)
}

fn failing() -> Twists {
    let reason = "Resource handler returned message: \"Table already exists: tandem-production-orders (Service: DynamoDb, \
                  Status Code: 400)\" (HandlerErrorCode: AlreadyExists)";
    let denied = "User: arn:aws:sts::222222222222:assumed-role/tandem-production-cfn-events/x is not authorized to perform: \
                  lambda:TagResource on resource: arn:aws:lambda:us-east-1:222222222222:function:tandem-production-event-router";
    Twists {
        failing: vec![
            (StackKey::new("api", "us-east-1"), "Authorizer", denied),
            (StackKey::new("cluster", "us-east-1"), "NodeTemplate", reason),
        ],
        ..Twists::default()
    }
}

#[tokio::test]
async fn a_record_of_a_small_deployment() {
    let record = record(two(), &Twists::default()).await;
    insta::assert_snapshot!(serde_json::to_string_pretty(&record).unwrap());
}

#[tokio::test]
async fn a_failure_is_told_from_what_it_took_with_it() {
    let twists =
        Twists { failing: vec![(StackKey::new("data", "us-west-2"), "Topic", "it exists")], ..Twists::default() };
    let record = record(two(), &twists).await;
    let [data, events] = record.lanes.as_slice() else { panic!("two lanes") };
    assert_eq!((data.result, events.result), (LaneResult::Failed, LaneResult::NotTried));
    assert_eq!(events.because_of.as_deref(), Some("data@us-west-2"));
    let failure = data.failure.as_ref().unwrap();
    assert_eq!(failure.resource.as_deref(), Some("Topic"));
    assert_eq!(failure.declared_at.as_deref(), Some("infra/src/a.rs:7"));
    assert_eq!(failure.reason.as_deref(), Some("it exists"));
    let outcomes: Vec<(&str, &str, OperationOutcome, bool)> = data
        .operations
        .iter()
        .map(|operation| (operation.resource.as_str(), operation.verb.as_str(), operation.outcome, operation.is_undo))
        .collect();
    // What had not begun isn't there; what was made before is undone.
    assert_eq!(
        outcomes,
        [
            ("Alone", "create", OperationOutcome::Done, false),
            ("Topic", "create", OperationOutcome::Failed, false),
            ("Alone", "delete", OperationOutcome::Done, true),
        ]
    );
    let kinds: Vec<PhaseKind> = data.phases.iter().map(|phase| phase.kind).collect();
    assert_eq!(kinds, [PhaseKind::ChangeSet, PhaseKind::Execution, PhaseKind::Rollback]);
}

#[tokio::test]
async fn what_ran_when_it_was_broken_off_has_no_end() {
    let record = record(two(), &Twists { breaks_off_after: Some(64), ..Twists::default() }).await;
    let [data, events] = record.lanes.as_slice() else { panic!("two lanes") };
    assert_eq!((data.result, events.result), (LaneResult::Unfinished, LaneResult::NotBegun));
    assert!(data.took().is_none() && data.phases.last().unwrap().span.ended_at.is_none());
    assert!(data.operations.iter().any(|operation| operation.outcome == OperationOutcome::Running));

    // What was to be left alone is as it should be, whether or not it had its turn.
    let twists = Twists { unchanged: vec!["events"], breaks_off_after: Some(64), ..Twists::default() };
    let results: Vec<LaneResult> = self::record(two(), &twists).await.lanes.iter().map(|lane| lane.result).collect();
    assert_eq!(results, [LaneResult::Unfinished, LaneResult::Unchanged]);
}

/// Of two queues that run beside each other, one is needed by the policy.
#[tokio::test]
async fn the_longest_chain_is_marked() {
    let record = record(two(), &Twists::default()).await;
    assert!(record.lanes.iter().all(|lane| lane.is_critical));
    let critical = |lane: usize| -> Vec<&str> {
        let operations = record.lanes[lane].operations.iter().filter(|operation| operation.is_critical);
        operations.map(|operation| operation.resource.as_str()).collect()
    };
    assert_eq!((critical(0), critical(1)), (vec!["Topic", "Policy"], vec!["Queue"]));
}

/// CloudFormation's clock is 90 s ahead, or behind: what it tells is moved as little as it takes.
#[test]
fn a_clock_that_cant_be_right_is_corrected() {
    for (skew, expected) in [(0, 0), (-90_000, 90_000 - 500), (90_000, 400 - 90_000), (-300, 0), (300, 0)] {
        let hands = Hands::new();
        let recorder = Recorder::new("test", hands.clock());
        let stacks = two();
        recorder.expect(&stacks);
        let event = |at: i64, status: &str| Event {
            id: status.to_owned(),
            at: Some(after(at + skew)),
            logical_id: "Topic".to_owned(),
            physical_id: String::new(),
            resource_type: "AWS::SNS::Topic".to_owned(),
            status: status.to_owned(),
            reason: None,
        };
        hands.set(1_000);
        recorder.began(&stacks[0]);
        recorder.phase(&stacks[0], "creating");
        hands.set(3_000);
        recorder.event(&stacks[0], &event(1_500, "CREATE_IN_PROGRESS"));
        recorder.event(&stacks[0], &event(2_600, "CREATE_COMPLETE"));
        let record = recorder.finish(Ending::Good(RunResult::Succeeded));
        assert_eq!(record.clock_shift_ms, expected, "{skew}");
        let operation = &record.lanes[0].operations[0];
        assert!(
            operation.span.started_at >= after(1_000) && operation.span.ended_at.unwrap() <= after(3_000),
            "{skew}"
        );
        assert_eq!(operation.span.took().unwrap().as_millis(), 1_100, "{skew}");
    }
}

#[tokio::test]
async fn how_long_it_took_is_said_and_learned() {
    let twists = Twists { unchanged: vec!["data"], ..Twists::default() };
    let good = record(two(), &twists).await;
    insta::assert_snapshot!("times_of_a_good_one", Times::of(&good).render().join("\n"));
    let twists = Twists { failing: vec![(StackKey::new("events", "us-east-1"), "Queue", "no")], ..Twists::default() };
    let bad = record(two(), &twists).await;
    insta::assert_snapshot!("times_of_a_bad_one", Times::of(&bad).render().join("\n"));

    let mut history = History::default();
    history.learn(&bad);
    let expected = |history: &History, stack: &str, region: &str| {
        history.expected(&StackKey::new(stack, region), StackWork::Create).map(|expected| expected.as_millis())
    };
    // What failed says nothing about how long it takes.
    assert_eq!(expected(&history, "data", "us-west-2"), Some(19_002));
    assert_eq!(expected(&history, "events", "us-east-1"), None);
    for _ in 0..20 {
        history.learn(&good);
    }
    assert_eq!(expected(&history, "data", "us-west-2"), Some(19_002));
    assert_eq!(expected(&history, "events", "us-east-1"), Some(15_002));
    assert_eq!(history.expected_step(StepKind::Verification).map(|expected| expected.as_millis()), Some(1_900));
    let kept = serde_json::to_value(&history).unwrap();
    assert_eq!(kept["durations"]["stack events@us-east-1 create"].as_array().map(Vec::len), Some(9));
}

/// Everything that a page has to hold, counted in its text.
fn check_page(record: &Record, html: &str) {
    let count = |text: &str| html.matches(text).count();
    let rows = record.steps.len()
        + record.lanes.iter().map(|lane| 1 + lane.phases.len() + lane.operations.len()).sum::<usize>();
    assert_eq!(count("<th scope=\"row\">"), rows);
    assert_eq!(count("<details"), count("</details>"));
    assert_eq!(count("<h1>"), 1);
    for forbidden in ["<script", "<img", "<link", "<iframe", "url(h", " style=\"", "http://", "https://"] {
        assert_eq!(count(forbidden), 0, "{forbidden}");
    }
    let failed = record.lanes.iter().filter(|lane| lane.failure.is_some()).count();
    assert!(count("<article class=\"failure\">") >= failed);
    for position in 0..record.lanes.len() {
        let is_linked = html.contains(&format!("\"#lane-{position}\""));
        assert!(!is_linked || html.contains(&format!("id=\"lane-{position}\"")), "a link to nowhere: {position}");
    }
}

#[tokio::test]
async fn a_page_has_all_of_the_record_and_failures_first() {
    let record = record(production(), &failing()).await;
    let operations: usize = record.lanes.iter().map(|lane| lane.operations.len()).sum();
    assert!(record.lanes.len() >= 20 && operations > 60, "{} {operations}", record.lanes.len());
    let html = page(&record);
    check_page(&record, &html);
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("no {text}"));
    assert!(place("What failed") < place("What it waited for") && place("What it waited for") < place(">The whole<"));
    assert!(html.contains("already exists: tandem-production-orders"));
    assert!(html.contains("What to do: "));
    assert!(html.contains("Not tried because of it: "));
}

/// A deployment whose every name tries to be markup.
async fn hostile() -> Record {
    let evil = "<img src=x onerror=alert(1)></style><script>alert(1)</script>\"'\u{202e}`**";
    let mut stacks = two();
    stacks[0].key = StackKey::new(evil, "us-west-2\"><b>");
    stacks[1].depends_on = vec![stacks[0].key.clone()];
    let document = serde_json::json!({"Resources": { evil: {"Type": evil} }});
    stacks[0].template = Template::parse(document.to_string(), [].into()).unwrap();
    let reason: &'static str = "</td></table><script>alert(1)</script>\u{1b}[31m";
    let twists = Twists { failing: vec![(stacks[0].key.clone(), evil, reason)], ..Twists::default() };
    Record { environment: evil.to_owned(), ..record(stacks, &twists).await }
}

#[tokio::test]
async fn what_comes_from_outside_is_no_markup() {
    let html = page(&hostile().await);
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("\"><b>"), "{html}");
    assert!(!html.contains('\u{202e}') && !html.contains('\u{1b}'));
    assert!(html.contains("\\u{202e}") && html.contains("&lt;script&gt;"));
    assert_eq!(html.matches("</style>").count(), 1);
    assert_eq!(html.matches("</table>").count(), 1);
}

#[tokio::test]
async fn the_last_deployments_are_kept_and_one_is_put_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, copy) = (folder.path().join("timelines"), folder.path().join("out/of/here.html"));
    let mut record = record(two(), &Twists::default()).await;
    for number in 0..25 {
        record.started_at = after(number * 1_000);
        let path = keep(&record, &kept, None).unwrap();
        assert!(path.starts_with(&kept) && path.exists());
    }
    assert_eq!(keep(&record, &kept, Some(&copy)).unwrap(), copy);
    let document: Value = serde_json::from_slice(&std::fs::read(copy.with_extension("json")).unwrap()).unwrap();
    assert_eq!((&document["version"], document["lanes"].as_array().map(Vec::len)), (&Value::from(1), Some(2)));
    let mut names: Vec<String> =
        std::fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 2 * 20);
    assert_eq!(names[0], "2026-12-01T09-50-35.000Z-succeeded.html");
    let blocked = folder.path().join("out/of/here.html/x.html");
    assert!(keep(&record, &kept, Some(&blocked)).unwrap_err().to_string().ends_with("can't be written"));
}

/// Pages for a browser, and the records that they are made from, in the folder that `TANDEM_PAGES` names.
///
/// Without the variable they go nowhere, and only what can be said of their text is looked at.
#[tokio::test]
async fn pages_for_a_browser() {
    let elsewhere = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("TANDEM_PAGES");
    let folder = folder.as_deref().map_or(elsewhere.path(), Path::new);
    let update =
        Twists { updates: true, unchanged: vec!["access", "delivery", "keys", "network"], ..Twists::default() };
    let mut records = vec![("hostile", hostile().await)];
    for (name, stacks, twists) in [
        ("created", production(), Twists::default()),
        ("failed", production(), failing()),
        ("updated", production(), update.clone()),
        ("update-failed", production(), Twists { failing: failing().failing, ..update.clone() }),
        ("broken-off", production(), Twists { breaks_off_after: Some(260), ..Twists::default() }),
        ("small", two(), Twists::default()),
    ] {
        records.push((name, record(stacks, &twists).await));
    }
    for (name, record) in records {
        let html = page(&record);
        check_page(&record, &html);
        let page = folder.join(format!("timeline-{name}.html"));
        std::fs::write(&page, html).unwrap();
        std::fs::write(page.with_extension("json"), serde_json::to_string(&record).unwrap()).unwrap();
    }
}
