//! Dead letters of deployed functions, replayed by the tool.

use serde_json::{Value as Json, json};

use crate::aws::Aws;
use crate::checkout::Checkout;
use crate::queues::{Inbox, Witness};
use crate::rows::{put_row, row};
use crate::{BUS, HOME, PEER, eventually};

/// A row that no program can read becomes a dead letter of both readers of its stream. Its replay fails as long as the record
/// is as it is; once that is mended, it goes the normal way, once.
pub(crate) fn dead_letters_are_replayed(checkout: &Checkout) {
    let (home, peer) = (checkout.aws(HOME), checkout.aws(PEER));
    let key = format!("replayed-{}", std::process::id());
    let readers = [
        ("stream-processor-dead-letters", "tandem.cdc", Witness::of(&home, BUS)),
        ("event-router-dead-letters", "tandem.cross-region", Witness::of(&peer, BUS)),
    ];
    for (queue, ..) in &readers {
        Inbox::of(&home, &full(queue)).count();
    }
    let mut broken = row(&key);
    broken.as_object_mut().expect("an item").remove("ep").expect("an epoch");
    put_row(&home, &broken);
    let mut arrived = Vec::new();
    for (queue, source, mut witness) in readers {
        assert!(eventually(60, || held(checkout, queue) == (1, 0)), "the letter is in `{queue}`");

        let survey = checkout.answer(&["redrive", "--queue", queue, "--dry-run"]);
        assert_eq!((&survey["replayable"], &survey["failed"]), (&json!(1), &json!([])), "{survey:#}");
        assert_eq!(survey["classes"][0]["error_class"], "malformed_row", "{survey:#}");
        assert_eq!(held(checkout, queue), (1, 0), "it was only looked at");

        let (report, status) = checkout.start(&["redrive", "--queue", queue, "--format", "json"]).end();
        assert_eq!((&report["still_failing"], status.success()), (&json!(1), false), "{report:#}");
        assert_eq!(held(checkout, queue), (1, 0), "the new letter is there");
        assert_eq!(witness.count(source, &key), 0, "nobody could read it");

        mend(&home, queue);
        let report = checkout.answer(&["redrive", "--queue", queue]);
        let counts = ["replayed", "still_failing", "skipped", "newer", "left"].map(|name| report[name].as_u64());
        assert_eq!(counts, [1, 0, 0, 0, 0].map(Some), "{report:#}");
        assert_eq!((&report["failed"], held(checkout, queue)), (&json!([]), (0, 0)), "{report:#}");
        assert!(eventually(60, || witness.count(source, &key) > 0), "it has arrived from `{queue}`");
        arrived.push((source, witness));
    }
    // The other queue's replay, and whatever came late, took some seconds.
    for (source, mut witness) in arrived {
        assert_eq!(witness.count(source, &key), 1, "{source}");
        witness.end();
    }
}

fn full(queue: &str) -> String {
    format!("tandem-sandbox-{queue}")
}

/// How many messages the tool lists as waiting and as hidden.
fn held(checkout: &Checkout, queue: &str) -> (u64, u64) {
    let list = checkout.answer(&["redrive", "--region", HOME]);
    let found = list["queues"].as_array().and_then(|queues| queues.iter().find(|listed| listed["queue"] == queue));
    let listed = found.unwrap_or_else(|| panic!("`{queue}` is listed: {list:#}"));
    let number = |name: &str| listed[name].as_u64().expect("a number");
    (number("waiting"), number("hidden"))
}

/// Gives the record of the one letter in the queue the epoch that it lacks.
fn mend(aws: &Aws, queue: &str) {
    let mut inbox = Inbox::of(aws, &full(queue));
    assert_eq!(inbox.count(), 1);
    let mut letter: Json = serde_json::from_str(inbox.last()).expect("a letter");
    letter["record"]["dynamodb"]["NewImage"]["ep"] = json!({"N": "1"});
    inbox.put(&letter);
}
