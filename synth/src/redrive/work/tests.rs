use futures::FutureExt;

use super::*;
use crate::redrive::fake::{BEFORE, FakeQueue, START, time};
use crate::redrive::queues::kind_of;
use crate::redrive::survey::{Class, Survey};
use crate::redrive::tests::{letter, region};

fn target(queue: &str) -> Target {
    Target { kind: kind_of(queue), region: region("us-west-2"), peers: vec![region("us-east-1")] }
}

/// A letter of the stream processor at this position, whose record holds the word.
fn stream_letter(position: usize, word: &str) -> String {
    let record = format!(r#"{{"position":"<{position}>","word":"{word}"}}"#);
    letter("stream-processor", "arn:stream", &position.to_string(), &record).to_json()
}

fn letters(words: &[&str]) -> FakeQueue {
    FakeQueue::with(words.iter().enumerate().map(|(position, word)| stream_letter(position, word)))
}

async fn replay_with(queue: &FakeQueue, name: &str, filters: &[&str]) -> Report {
    let filters: Vec<Filter> = filters.iter().map(|text| text.parse().expect("a filter")).collect();
    let target = target(name);
    let run = Run { port: queue, target: &target, filters: &filters, started: time(START) };
    run.replay(Report::default(), |_| ()).await
}

async fn replay(queue: &FakeQueue) -> Report {
    replay_with(queue, "stream-processor-dead-letters", &[]).await
}

fn counts(report: &Report) -> [usize; 6] {
    let Report { replayed, still_failing, skipped, failed, newer, left, .. } = report;
    [*replayed, *still_failing, *skipped, failed.len(), *newer, *left]
}

#[tokio::test]
async fn each_letter_is_replayed_once_and_deleted() {
    let queue = letters(&["fine"; 25]);
    let report = replay(&queue).await;
    assert_eq!((counts(&report), report.stopped), ([25, 0, 0, 0, 0, 0], None));
    assert_eq!((queue.taken.borrow().len(), queue.messages().len()), (25, 0));
    assert_eq!(
        queue.taken.borrow()[0],
        r#"stream-processor {"Records":[{"position":"<0>","word":"fine"}]}"#,
        "oldest first"
    );
}

#[tokio::test]
async fn an_empty_queue_is_no_failure() {
    let report = replay(&letters(&[])).await;
    assert_eq!((counts(&report), report.verdict().is_ok()), ([0; 6], true));
}

#[tokio::test]
async fn what_is_still_poison_is_tried_once_and_its_new_letter_stays() {
    let queue = letters(&["poison", "fine", "poison"]);
    let report = replay(&queue).await;
    assert_eq!((counts(&report), report.stopped.as_deref()), ([1, 2, 0, 0, 0, 2], None));
    assert!(report.verdict().is_err());
    assert_eq!(queue.visible(), 2, "at once");
    let stays = queue.messages();
    assert!(stays.iter().all(|message| message.sent_at > time(BEFORE) && message.body.contains("poison")));
}

#[tokio::test]
async fn what_fails_stays_with_its_reason_and_shows_up_at_once() {
    let queue = letters(&["broken", "again", "odd", "fine"]);
    let malformed = FakeQueue::with(["no letter".to_owned()]);
    let report = replay(&queue).await;
    assert_eq!(counts(&report), [1, 0, 0, 3, 0, 3]);
    for (failed, says) in report.failed.iter().zip(["(Unhandled): panicked", "asks for the record again", "answer"]) {
        assert!(failed.reason.contains(says), "{failed:?}");
        assert_eq!(failed.error_class.as_deref(), Some("malformed_row"));
    }
    assert_eq!((queue.visible(), queue.messages().len()), (3, 3));
    let report = replay(&malformed).await;
    assert_eq!((counts(&report), malformed.visible()), ([0, 0, 0, 1, 0, 1], 1));
    assert!(report.failed[0].reason.starts_with("the message is no dead letter: "), "{report:?}");
}

#[tokio::test]
async fn what_the_filter_leaves_out_stays() {
    let queue = letters(&["fine"; 12]);
    let report = replay_with(&queue, "stream-processor-dead-letters", &["position=1"]).await;
    assert_eq!((counts(&report), queue.visible()), ([3, 0, 9, 0, 0, 9], 9), "1, 10 and 11");
}

#[tokio::test]
async fn a_queue_that_never_ends_ends_the_run() {
    let queue = letters(&["fine"; 3]);
    queue.busy.set(true);
    let report = replay(&queue).await;
    let newer = usize::try_from(IDLE_BATCHES).expect("few") + 1;
    assert_eq!((counts(&report), queue.visible()), ([3, 0, 0, 0, newer, newer], newer));
}

#[tokio::test]
async fn when_everything_fails_the_run_stops() {
    let queue = letters(&["broken"; 30]);
    let report = replay(&queue).await;
    assert_eq!((counts(&report), queue.visible()), ([0, 0, 0, 5, 0, 10], 30));
    assert_eq!(report.stopped.as_deref(), Some("5 replays failed one after the other"));
    let queue = letters(&["broken", "broken", "broken", "broken", "fine", "broken"]);
    assert_eq!(replay(&queue).await.stopped, None, "not one after the other");
}

#[tokio::test]
async fn slow_replays_keep_their_messages_hidden() {
    let queue = letters(&["slow"; 10]);
    let report = replay(&queue).await;
    assert_eq!((counts(&report), queue.taken.borrow().len()), ([10, 0, 0, 0, 0, 0], 10));
}

#[tokio::test]
async fn two_letters_of_one_record_are_not_replayed_in_one_run() {
    let queue = FakeQueue::with([stream_letter(1, "fine"), stream_letter(1, "fine")]);
    let report = replay(&queue).await;
    assert_eq!((counts(&report), queue.visible()), ([1, 0, 0, 0, 0, 1], 1));
    assert_eq!(counts(&replay(&queue).await), [1, 0, 0, 0, 0, 0], "the next run takes the other");
}

#[tokio::test]
async fn raw_events_go_to_their_queue() {
    let queue = FakeQueue::with(["{\"a\":1}".to_owned(), "{\"a\":2}".to_owned()]);
    assert_eq!(counts(&replay_with(&queue, "raw-events-dead-letters", &[]).await), [2, 0, 0, 0, 0, 0]);
    assert_eq!(*queue.taken.borrow(), ["raw-events {\"a\":1}", "raw-events {\"a\":2}"]);
}

#[tokio::test]
async fn a_refused_call_is_told_and_loses_nothing() {
    for (operation, counted, stopped, says) in [
        ("receive", [0; 6], true, "`receive` failed: denied"),
        ("invoke", [0, 0, 0, 2, 0, 2], false, "`invoke` failed: denied"),
        ("delete", [0, 0, 0, 2, 0, 2], false, "replayed but not deleted"),
    ] {
        let queue = letters(&["fine", "fine"]);
        queue.refuse.set(operation);
        let report = replay(&queue).await;
        assert_eq!((counts(&report), report.stopped.is_some()), (counted, stopped), "{operation}");
        let reason = report.stopped.clone().or_else(|| report.failed.first().map(|failed| failed.reason.clone()));
        assert!(reason.as_ref().is_some_and(|reason| reason.contains(says)), "{reason:?}");
        assert_eq!((queue.messages().len(), queue.visible(), report.verdict().is_err()), (2, 2, true), "{operation}");
    }
    let queue = letters(&["broken"]);
    queue.refuse.set("hide");
    let report = replay(&queue).await;
    assert!(report.stopped.is_some_and(|reason| reason.starts_with("what stays is hidden for up to 300 s: ")));
}

/// Whichever call is the last of a killed run: each record was taken over or its letter is still there.
#[tokio::test]
async fn a_run_that_is_killed_anywhere_loses_nothing() {
    let words = ["fine", "poison", "broken", "fine"];
    let whole = letters(&words);
    replay(&whole).await;
    for limit in 0..whole.calls.get() {
        let queue = letters(&words);
        queue.dies_after.set(Some(limit));
        assert_eq!(replay(&queue).now_or_never(), None, "killed");
        for position in 0..words.len() {
            let place = format!("<{position}>");
            let is_taken = queue.taken.borrow().iter().any(|taken| taken.contains(&place));
            let waits = queue.messages().iter().any(|message| message.body.contains(&place));
            assert!(is_taken || waits, "record {position} after {limit} calls");
        }
        // The next run finishes the work, once what was held shows up.
        queue.pass(HIDDEN_FOR);
        queue.dies_after.set(None);
        let report = replay(&queue).await;
        assert_eq!(report.stopped, None, "after {limit} calls");
        for position in [0, 3] {
            let place = format!("<{position}>");
            assert!(queue.taken.borrow().iter().any(|taken| taken.contains(&place)), "{position} after {limit} calls");
            assert!(!queue.messages().iter().any(|message| message.body.contains(&place)));
        }
    }
}

#[tokio::test]
async fn a_survey_changes_nothing() {
    let bodies = (0..23).map(|position| stream_letter(position, "fine")).chain(["no letter".to_owned()]);
    let queue = FakeQueue::with(bodies);
    let target = target("stream-processor-dead-letters");
    let filters = ["error_class=malformed_row".parse().expect("a filter")];
    for (filters, failed, skipped) in [(&[][..], 1, 0), (&filters[..], 0, 1)] {
        let run = Run { port: &queue, target: &target, filters, started: time(START) };
        let survey = run.survey(Survey::default()).await.expect("readable");
        assert_eq!((survey.replayable, survey.failed.len(), survey.skipped), (23, failed, skipped));
        let at = Some(time(BEFORE));
        let class = Class { error_class: "malformed_row".to_owned(), count: 23, oldest: at, newest: at };
        assert_eq!(survey.classes, [class]);
        assert_eq!((survey.letters.len(), queue.taken.borrow().len()), (23, 0));
        assert_eq!((queue.messages().len(), queue.visible()), (24, 24), "at once");
        let json = serde_json::to_string(&survey).expect("JSON");
        assert!(!json.contains("fine"), "no bodies: {json}");
        assert!(survey.render()[1].starts_with("malformed_row  23     2026-03-04T00:00:00Z"), "{:?}", survey.render());
    }
    queue.refuse.set("receive");
    let run = Run { port: &queue, target: &target, filters: &[], started: time(START) };
    run.survey(Survey::default()).await.expect_err("refused");
}
