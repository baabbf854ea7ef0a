//! What goes over the wire, and that its conditions are those of [`Write::is_allowed`].

use super::super::{Claim, Idempotency, Work};
use super::*;
use crate::testing::{Script, sdk_config};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

fn table_name() -> TableName {
    "tandem-test-idempotency".parse().expect("a table name")
}

fn idempotency(script: &Script) -> Idempotency<IdempotencyTable> {
    Idempotency::new(IdempotencyTable::new(&sdk_config(script), table_name()), Duration::from_secs(86_400))
}

fn work() -> Work {
    Work { key: Key::new("scope", "id"), payload: PayloadHash::of(b"content") }
}

async fn claim(script: Script) -> Result<Claim, StoreError> {
    let owner = Owner::in_invocation("request-1", 2);
    let until = Timestamp::from_second(1_030).expect("a time");
    idempotency(&script).claim(&work(), owner, until, Timestamp::from_second(1_000).expect("a time")).await
}

/// A record as it lies in the table.
fn stored(state: &Value) -> Value {
    let mut item = json!({
        "pk": { "S": work().key.as_str() },
        "owner": { "S": "request-0/1" },
        "payload_hash": { "S": work().payload.as_str() },
        "expires_at": { "N": "90000" },
    });
    for (name, value) in state.as_object().expect("attributes") {
        item[name] = value.clone();
    }
    item
}

fn refused(item: &Value) -> Script {
    Script::new().error_with(400, "ConditionalCheckFailedException", json!({ "Item": item }))
}

#[tokio::test]
async fn a_claim_is_one_conditional_write() {
    let script = Script::new().ok(json!({}));
    let Ok(Claim::Claimed(claimed)) = claim(script.clone()).await else { panic!("it is free") };
    let expected = json!({
        "TableName": "tandem-test-idempotency",
        "Item": {
            "pk": { "S": work().key.as_str() },
            "state": { "S": "PENDING" },
            "owner": { "S": "request-1/2" },
            "payload_hash": { "S": work().payload.as_str() },
            "lease_until": { "N": "1030000" },
            "expires_at": { "N": "87431" },
        },
        "ConditionExpression": FREE,
        "ExpressionAttributeNames": { "#state": "state" },
        "ExpressionAttributeValues": {
            ":pending": { "S": "PENDING" },
            ":second": { "N": "1000" },
            ":now": { "N": "1000000" },
            ":payload": { "S": work().payload.as_str() },
        },
        "ReturnValues": "ALL_OLD",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    });
    assert_eq!(script.bodies(), [expected]);
    let script = Script::new().ok(json!({}));
    let now = Timestamp::from_second(1_001).expect("a time");
    idempotency(&script).complete(claimed, ResultHash::of(b"event"), now).await.expect("it is the owner");
    let request = &script.bodies()[0];
    assert_eq!(request["ConditionExpression"], OWN);
    assert_eq!(request["Item"]["state"]["S"], "DONE");
    assert_eq!(request["Item"]["result_hash"]["S"], ResultHash::of(b"event").as_str());
    assert_eq!((&request["Item"]["lease_until"], &request["Item"]["expires_at"]["N"]), (&Value::Null, &json!("87402")));
}

#[tokio::test]
async fn a_release_deletes_the_record_of_its_owner() {
    let Ok(Claim::Claimed(claimed)) = claim(Script::new().ok(json!({}))).await else { panic!("it is free") };
    let script = Script::new().ok(json!({}));
    idempotency(&script).release(claimed, Timestamp::UNIX_EPOCH).await.expect("it is the owner");
    let expected = json!({
        "TableName": "tandem-test-idempotency",
        "Key": { "pk": { "S": work().key.as_str() } },
        "ConditionExpression": OWN,
        "ExpressionAttributeNames": { "#owner": "owner", "#state": "state" },
        "ExpressionAttributeValues": { ":owner": { "S": "request-1/2" }, ":pending": { "S": "PENDING" } },
        "ReturnValues": "ALL_OLD",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    });
    assert_eq!(script.bodies(), [expected]);
}

#[tokio::test]
async fn one_call_tells_all_answers_apart() {
    let done = stored(&json!({ "state": { "S": "DONE" }, "result_hash": { "S": ResultHash::of(b"event").as_str() } }));
    assert_eq!(claim(refused(&done)).await, Ok(Claim::Duplicate(ResultHash::of(b"event"))));
    let pending = stored(&json!({ "state": { "S": "PENDING" }, "lease_until": { "N": "1020000" } }));
    let until = Timestamp::from_second(1_020).expect("a time");
    assert_eq!(claim(refused(&pending)).await, Ok(Claim::InProgress(until)));
    let mut other = pending.clone();
    other["payload_hash"]["S"] = json!("00");
    assert_eq!(claim(refused(&other)).await, Ok(Claim::Mismatch));
    let mut own = pending.clone();
    own["owner"]["S"] = json!("request-1/2");
    assert!(matches!(claim(refused(&own)).await, Ok(Claim::Claimed(claimed)) if !claimed.took_over()));
    let over = Script::new().ok(json!({ "Attributes": pending }));
    assert!(matches!(claim(over).await, Ok(Claim::Claimed(claimed)) if claimed.took_over()));
}

#[tokio::test]
async fn failures_are_sorted_and_nothing_unreadable_is_guessed_at() {
    let class = async |script| claim(script).await.expect_err("a failure").class();
    assert_eq!(class(Script::new().error(500, "InternalServerError")).await, "claims_unavailable");
    assert_eq!(class(Script::new().error(400, "ThrottlingException")).await, "claims_unavailable");
    assert_eq!(class(Script::new().lost_connection()).await, "claims_unavailable");
    assert_eq!(class(Script::new().error(400, "AccessDeniedException")).await, "claims_denied");
    assert_eq!(class(Script::new().error(400, "ResourceNotFoundException")).await, "claims_denied");
    for state in [
        json!({ "state": { "S": "NEW" } }),
        json!({ "state": { "S": "DONE" } }),
        json!({ "state": { "S": "PENDING" }, "lease_until": { "S": "soon" } }),
        json!({ "state": { "S": "DONE" }, "result_hash": { "S": "00" }, "owner": { "N": "1" } }),
    ] {
        assert_eq!(class(refused(&stored(&state))).await, "claim_unreadable", "{state}");
    }
    assert_eq!(class(refused(&Value::Null)).await, "claim_unreadable");
}

/// The condition held, so the record had expired.
#[tokio::test]
async fn a_claim_over_an_old_record_that_cannot_be_read_holds() {
    for state in [json!({ "state": { "S": "NEW" } }), json!({ "state": { "S": "DONE" }, "owner": { "N": "1" } })] {
        let script = Script::new().ok(json!({ "Attributes": stored(&state) }));
        assert!(matches!(claim(script).await, Ok(Claim::Claimed(claimed)) if !claimed.took_over()), "{state}");
    }
}

/// Whether a condition of ours holds for an item: comparisons, `attribute_not_exists`, `AND`, `OR` and parentheses.
fn holds(request: &Value, item: Option<&Value>) -> bool {
    let condition =
        request["ConditionExpression"].as_str().expect("a condition").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = condition.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    let result = any_of(&mut rest, request, item);
    assert!(rest.is_empty(), "{rest:?} is left");
    result
}

fn any_of(rest: &mut &[&str], request: &Value, item: Option<&Value>) -> bool {
    let mut result = all_of(rest, request, item);
    while let ["OR", after @ ..] = *rest {
        *rest = after;
        result |= all_of(rest, request, item);
    }
    result
}

fn all_of(rest: &mut &[&str], request: &Value, item: Option<&Value>) -> bool {
    let mut result = term(rest, request, item);
    while let ["AND", after @ ..] = *rest {
        *rest = after;
        result &= term(rest, request, item);
    }
    result
}

fn term(rest: &mut &[&str], request: &Value, item: Option<&Value>) -> bool {
    match *rest {
        ["attribute_not_exists", "(", "pk", ")", after @ ..] => {
            *rest = after;
            item.is_none()
        }
        ["(", after @ ..] => {
            *rest = after;
            let result = any_of(rest, request, item);
            let [")", after @ ..] = *rest else { panic!("no end: {rest:?}") };
            *rest = after;
            result
        }
        [name, operator, value, after @ ..] => {
            *rest = after;
            let name = request["ExpressionAttributeNames"][*name].as_str().unwrap_or(name);
            // An attribute that isn't there compares as false.
            let Some(found) = item.map(|item| &item[name]).filter(|found| !found.is_null()) else { return false };
            let wanted = &request["ExpressionAttributeValues"][*value];
            assert!(wanted.is_object(), "`{value}` has a value");
            let number = |value: &Value| value["N"].as_str().map(|text| text.parse::<i64>().expect("a number"));
            match *operator {
                "=" => found == wanted,
                "<=" => number(found).zip(number(wanted)).is_some_and(|(found, wanted)| found <= wanted),
                other => panic!("`{other}` isn't known here"),
            }
        }
        _ => panic!("no condition: {rest:?}"),
    }
}

fn times() -> impl Strategy<Value = Timestamp> {
    (0..6_i64, 0..3_i64)
        .prop_map(|(second, milli)| Timestamp::from_millisecond(second * 1_000 + milli).expect("a time"))
}

fn records() -> impl Strategy<Value = Record> {
    let state = prop_oneof![
        times().prop_map(|lease_until| RecordState::Pending { lease_until }),
        "[ab]".prop_map(|result| RecordState::Done { result: ResultHash(result) }),
    ];
    ("[ab]", "[ab]", state, 0..6_i64).prop_map(|(owner, payload, state, expires_at)| Record {
        owner: Owner(owner),
        payload: PayloadHash(payload),
        state,
        expires_at,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_conditions_are_those_of_the_model(
        there in proptest::option::weighted(0.9, records()),
        new in records(),
        now in times(),
        kind in 0..3_u8,
    ) {
        let change = match kind {
            0 => Change::Claim(new),
            1 => Change::Complete(new),
            _ => Change::Release(new.owner),
        };
        let write = Write { key: Key::new("scope", "id"), change, now };
        let table = table_name();
        let (_, request) = request(&table, &write);
        let request = serde_json::to_value(&request).expect("serialises");
        let stored = there.as_ref().map(|record| serde_json::to_value(item(&write.key, record)).expect("serialises"));
        prop_assert_eq!(holds(&request, stored.as_ref()), write.is_allowed(there.as_ref()), "{}", request);
    }

    #[test]
    fn a_record_is_read_as_it_was_written(record in records()) {
        prop_assert_eq!(read(&item(&Key::new("scope", "id"), &record)), Ok(record));
    }
}
