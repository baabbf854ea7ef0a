//! The breaker between the regions: its record and the events that wait, and the loss of the peer region.

use serde_json::{Value as Json, json};

use crate::aws::Aws;
use crate::checkout::Checkout;
use crate::queues::Witness;
use crate::rows::{put_row, row};
use crate::{BUS, HOME, PEER, eventually, say};

const ROUTE: &str = "us-west-2#us-east-1#tandem-sandbox-events";
const BREAKERS: &str = "tandem-sandbox-breakers";
const PARKING: &str = "tandem-sandbox-parking";

/// Writes the record, as an operator's command or another instance does. The version is above every other.
pub(crate) fn put(aws: &Aws, state: &str, lot: &str) {
    let number = |number: u64| json!({"N": number.to_string()});
    let text = |text: &str| json!({"S": text});
    let stored = record(aws);
    let read =
        |name: &str| stored[name]["N"].as_str().and_then(|digits| digits.parse::<u64>().ok()).unwrap_or_default();
    let item = json!({
        "pk": text(ROUTE), "version": number(read("version") + 1), "state": text(state), "lot": text(lot),
        "until": number(0), "step": number(0), "successes": number(0), "probes": {"L": []},
        "episode": number(read("episode") + 1), "since": number(0), "reason": text("operator"),
        "parks": number(read("parks")),
    });
    aws.call("dynamodb", "PutItem", &json!({"TableName": BREAKERS, "Item": item}));
}

/// Marks a key as one with parked events, though it has none.
pub(crate) fn flag(aws: &Aws, key: &str) {
    let item = json!({
        "pk": {"S": ROUTE}, "sk": {"S": format!("parked#customers/{key}")}, "event_key": {"S": format!("customers/{key}")},
        "tail_run": {"N": "1"}, "tail_number": {"N": "1"},
    });
    aws.call("dynamodb", "PutItem", &json!({"TableName": PARKING, "Item": item}));
}

/// Starts the drain, as the schedule does each minute.
pub(crate) fn start_drain(aws: &Aws) {
    let path = "/2015-03-31/functions/tandem-sandbox-event-router/invocations";
    let event = json!({"source": "aws.scheduler", "detail-type": "Scheduled Event"});
    aws.rest("lambda", ("POST", path), &[("x-amz-invocation-type", "Event")], Some(&event));
}

/// The sort keys of flags and events that wait.
pub(crate) fn sort_keys(aws: &Aws) -> Vec<String> {
    let found = aws.call("dynamodb", "Scan", &json!({"TableName": PARKING, "ConsistentRead": true}));
    let items = found["Items"].as_array().cloned().unwrap_or_default();
    items.iter().filter_map(|item| item["sk"]["S"].as_str().map(str::to_owned)).collect()
}

fn record(aws: &Aws) -> Json {
    let request = json!({"TableName": BREAKERS, "Key": {"pk": {"S": ROUTE}}, "ConsistentRead": true});
    aws.call("dynamodb", "GetItem", &request)["Item"].clone()
}

/// While the peer region is away, its events wait; when it is back they all arrive, those of a key in their order.
pub(crate) fn events_wait_for_a_lost_region(checkout: &Checkout) {
    const KEYS: usize = 6;
    const VERSIONS: usize = 5;
    let (home, peer) = (checkout.aws(HOME), checkout.aws(PEER));
    // It fetches from a queue of the peer region, so it begins before the region is lost and looks after it is back.
    let mut witness = Witness::of(&peer, BUS);
    home.local_post(&format!("/_local/region/{PEER}/down"));
    let mark = format!("outage-{}", std::process::id());
    for version in 0..VERSIONS {
        for key in 0..KEYS {
            let mut changed = row(&format!("{mark}-{key}"));
            changed["ver"] = json!({"S": format!("{version:010}|0|")});
            put_row(&home, &changed);
        }
    }
    let waiting =
        |text: &str| sort_keys(&home).iter().filter(|key| key.starts_with("event#") && key.contains(text)).count();
    assert!(
        eventually(60, || record(&home)["state"]["S"] != json!("closed") && waiting(&mark) >= KEYS),
        "the breaker opens and events are parked: {}",
        record(&home)
    );
    say(&format!("  breaker {} with {} events parked", record(&home)["state"]["S"], waiting(&mark)));
    home.local_post(&format!("/_local/region/{PEER}/up"));
    let closed = || record(&home)["lot"]["S"] == json!("empty") && sort_keys(&home).is_empty();
    assert!(eventually(150, closed), "everything is drained: {} {:?}", record(&home), sort_keys(&home));
    for key in 0..KEYS {
        let text = format!("{mark}-{key}");
        assert!(eventually(60, || witness.saw("tandem.cross-region", None, &text)), "{text} has arrived");
        let versions = witness.versions_of(&text);
        assert_eq!(versions.len(), VERSIONS, "each change of {text}: {versions:?}");
        assert!(versions.is_sorted(), "in order: {versions:?}");
    }
    witness.end();
}

/// The tool shows the breaker and commands it; what waits meanwhile arrives when it is released, the oldest first.
pub(crate) fn an_operator_commands_it(checkout: &Checkout) {
    let (home, peer) = (checkout.aws(HOME), checkout.aws(PEER));
    let mut witness = Witness::of(&peer, BUS);
    let show = || checkout.answer(&["breaker", "show", "--region", HOME])["breakers"][0].clone();
    let command = |name: &str, reason: &str| {
        checkout.answer(&["breaker", name, "--region", HOME, "--peer", PEER, "--reason", reason])
    };
    assert_eq!(show()["state"], "closed", "{:#}", show());
    assert_eq!(checkout.answer(&["breaker", "show"])["breakers"].as_array().map(Vec::len), Some(2));

    let done = command("force-open", "a drill");
    assert_eq!(
        [&done["changed"], &done["before"]["state"], &done["after"]["state"], &done["after"]["note"]],
        [&json!(true), &json!("closed"), &json!("forced_open"), &json!("a drill")],
        "{done:#}"
    );
    let mark = format!("drill-{}", std::process::id());
    // The one that is last by name is parked first.
    let keys = ["z", "m", "a"].map(|name| format!("{mark}-{name}"));
    for (number, key) in (1..).zip(&keys) {
        put_row(&home, &row(key));
        assert!(eventually(60, || show()["waiting"]["events"] == number), "{key} is parked: {:#}", show());
    }
    let shown = show();
    assert_eq!([&shown["state"], &shown["note"]], [&json!("forced_open"), &json!("a drill")], "{shown:#}");
    assert_eq!(command("force-open", "once more")["changed"], false);
    assert!(witness.keys_with(&mark).is_empty(), "nothing is sent");

    let done = command("release", "the drill is over");
    assert_eq!([&done["before"]["note"], &done["after"]["state"]], [&json!("a drill"), &json!("open")], "{done:#}");
    start_drain(&home);
    assert!(eventually(150, || show()["state"] == "closed" && sort_keys(&home).is_empty()), "{:#}", show());
    assert!(eventually(60, || witness.keys_with(&mark).len() == keys.len()), "{:?}", witness.keys_with(&mark));
    assert_eq!(witness.keys_with(&mark)[0], keys[0], "the oldest was the probe");
    witness.end();
}
