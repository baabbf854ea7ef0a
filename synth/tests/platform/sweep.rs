//! A reload from the source: rows that the load no longer has are swept by the tool, and told as deletions once.

use serde_json::{Value as Json, json};

use crate::aws::Aws;
use crate::checkout::Checkout;
use crate::queues::Witness;
use crate::rows::{TABLE, put_row, row};
use crate::{BUS, HOME, PEER, eventually};

/// The task of the sandbox's consumer.
const SOURCE: &str = "qlik-sandbox";
/// Above all versions of generation 0, below all of generation 1.
const SWEPT: &str = "0000000000|1|99999999999999999999999999999999999";

pub(crate) fn missing_rows_are_deleted(checkout: &Checkout) {
    let (home, peer) = (checkout.aws(HOME), checkout.aws(PEER));
    let mark = format!("reload-{}", std::process::id());
    let (missing, loaded) = (["gone-1", "gone-2"].map(|name| format!("{mark}-{name}")), format!("{mark}-kept"));
    let refused = |arguments: &[&str], says: &str| {
        let (answer, status) = checkout.start(&[&["sweep", "--format", "json"], arguments].concat()).end();
        assert_eq!((status.code(), &answer["error"]["kind"]), (Some(5), &json!("refused")), "{answer:#}");
        assert!(answer["error"].to_string().contains(says), "`{says}`: {answer:#}");
    };
    refused(&["--dry-run"], "generation 0 is the first one");

    checkout.change_the_environment("[consumer]\n", "[consumer]\ngeneration = 1\n");
    checkout.answer(&["deploy"]);
    missing.iter().for_each(|key| put(&home, key, 0));
    refused(&[], "no row has generation 1: the load has not run");
    put(&home, &loaded, 1);
    refused(&["--max-share", "0%"], "which is more than 0 %");
    refused(&["--generation", "2"], "writes generation 1, so nothing was loaded as generation 2");

    let survey = checkout.answer(&["sweep", "--dry-run"]);
    let customers = of_customers(&survey);
    let outdated = sum(&survey, "outdated");
    assert!(outdated >= 2 && customers["loaded"] == 1, "{survey:#}");
    assert!(customers["foreign"].as_u64() > Some(0) && customers["tombstones"].as_u64() > Some(0), "{survey:#}");
    assert_eq!(missing.each_ref().map(|key| version(&home, key)), ["0000000000|0|"; 2], "it was only looked at");

    let (mut at_home, mut at_peer) = (Witness::of(&home, BUS), Witness::of(&peer, BUS));
    let report = checkout.answer(&["sweep", "--max-share", "100%"]);
    assert_eq!((sum(&report, "swept"), sum(&report, "changed")), (outdated, 0), "{report:#}");
    for key in &missing {
        let item = item(&home, key);
        assert_eq!([&item["ver"]["S"], &item["op"]["S"]], [&json!(SWEPT), &json!("delete")], "{item:#}");
        assert_eq!((&item["deleted"]["BOOL"], item.get("data")), (&json!(true), None), "{item:#}");
        assert!(eventually(60, || version(&peer, key) == SWEPT), "`{key}` is replicated");
    }
    assert_eq!(version(&home, &loaded), "0000000001|0|");
    let deleted = Some("customer.deleted");
    for key in &missing {
        assert!(eventually(60, || at_home.saw("tandem.cdc", deleted, key)), "`{key}` is told at home");
        assert!(eventually(60, || at_peer.versions_of(key).iter().any(|version| version == SWEPT)), "and in {PEER}");
    }

    let again = checkout.answer(&["sweep"]);
    assert_eq!((sum(&again, "agreed"), sum(&again, "swept")), (0, 0), "{again:#}");
    for key in &missing {
        assert_eq!(at_home.times("tandem.cdc", deleted, key), 1, "`{key}` is told once");
    }
    assert_eq!(at_home.times("tandem.cdc", deleted, &loaded), 0);
    at_home.end();
    at_peer.end();
}

/// A row of the consumer's source, as a load of this generation brings it.
fn put(aws: &Aws, key: &str, generation: u32) {
    let mut row = row(key);
    row["src"]["S"] = json!(SOURCE);
    row["ver"]["S"] = json!(format!("{generation:010}|0|"));
    put_row(aws, &row);
}

fn item(aws: &Aws, key: &str) -> Json {
    let request = json!({"TableName": TABLE, "Key": {"pk": {"S": key}}, "ConsistentRead": true});
    aws.call("dynamodb", "GetItem", &request)["Item"].clone()
}

fn version(aws: &Aws, key: &str) -> String {
    item(aws, key)["ver"]["S"].as_str().unwrap_or_default().to_owned()
}

fn tables(answer: &Json) -> &[Json] {
    answer["tables"].as_array().map(Vec::as_slice).unwrap_or_else(|| panic!("tables: {answer:#}"))
}

fn of_customers(answer: &Json) -> &Json {
    tables(answer).iter().find(|table| table["entity"] == "customers").unwrap_or_else(|| panic!("{answer:#}"))
}

fn sum(answer: &Json, count: &str) -> u64 {
    tables(answer).iter().map(|table| table[count].as_u64().expect("a number")).sum()
}
