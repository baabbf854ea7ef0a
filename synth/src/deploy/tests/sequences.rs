//! Changes that AWS takes only in several updates.

use super::*;
use crate::deploy::cloud::{Body, ChangeSetRequest, Standing};
use crate::deploy::guard;

const INDEXES: [&str; 3] = ["ByCity", "ByName", "ByPhone"];

/// A table with these indexes and replicas, and something beside it.
fn table(indexes: &[&str], replicas: &[&str], parameter: &str) -> Value {
    let index = |name: &&str| {
        json!({
            "IndexName": name,
            "KeySchema": [{ "AttributeName": name.to_lowercase(), "KeyType": "HASH" }],
            "Projection": { "ProjectionType": "ALL" }
        })
    };
    let attribute = |name: &str| json!({ "AttributeName": name.to_lowercase(), "AttributeType": "S" });
    let attributes: Vec<Value> = std::iter::once("id").chain(indexes.iter().copied()).map(attribute).collect();
    let replicas: Vec<Value> = replicas.iter().map(|region| json!({ "Region": region })).collect();
    json!({
        "Parameters": { parameter: { "Type": "String" } },
        "Resources": {
            "Orders": {
                "Type": "AWS::DynamoDB::GlobalTable",
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
                "Properties": {
                    "TableName": "tandem-test-orders",
                    "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
                    "AttributeDefinitions": attributes,
                    "GlobalSecondaryIndexes": indexes.iter().map(index).collect::<Vec<_>>(),
                    "Replicas": replicas
                }
            },
            "Queue": { "Type": "AWS::SQS::Queue", "Properties": { "KmsMasterKeyId": { "Ref": parameter } } }
        },
        "Outputs": { "OrdersArn": { "Value": "arn:orders" } }
    })
}

/// delivery ← data, with another name for its only input.
fn stacks(indexes: &[&str], replicas: &[&str], parameter: &str) -> Vec<Stack> {
    let mut data = stack("data@us-west-2", &table(indexes, replicas, parameter), &["delivery@us-west-2"]);
    data.inputs.insert(parameter.to_owned(), Source::CodeBucket);
    vec![delivery(WEST), data]
}

fn before() -> Vec<Stack> {
    stacks(&INDEXES[..1], &[WEST, EAST], "Old")
}

/// One index goes, two come, and so does a replica; and the input has another name.
fn after() -> Vec<Stack> {
    stacks(&INDEXES[1..], &[WEST, EAST, "us-east-2"], "New")
}

/// One for each index and replica.
const UPDATES: usize = 4;

async fn deployed() -> Bench {
    let bench = Bench::new();
    assert_eq!(summary(&bench.deploy(before()).await), "created created");
    bench.cloud.forget_calls();
    bench
}

#[tokio::test]
async fn the_double_takes_one_index_or_replica_in_an_update() {
    for (indexes, replicas, expected) in [
        (&INDEXES[..], &[WEST, EAST][..], Some("Cannot perform more than one GSI")),
        (&INDEXES[..1], &[WEST, "us-east-2"], Some("Only one replica")),
        (&INDEXES[..2], &[WEST], Some("no other change")),
        (&INDEXES[..2], &[WEST, EAST], None),
        (&INDEXES[..1], &[WEST], None),
    ] {
        let bench = deployed().await;
        let target = StackRef { region: WEST, name: "tandem-test-data" };
        let parameters = BTreeMap::from([("Old".to_owned(), "bucket-us-west-2".to_owned())]);
        let request = ChangeSetRequest {
            stack: target,
            change_set_name: "at-once",
            creates: false,
            role: None,
            body: Body::Inline(table(indexes, replicas, "Old").to_string()),
            parameters: &parameters,
            tags: &BTreeMap::new(),
            undone_by: None,
        };
        let id = bench.cloud.create_change_set(&request).await.unwrap();
        bench.cloud.execute_change_set(target, &id).await.unwrap();
        while bench.cloud.stack(target).await.unwrap().unwrap().status.standing() == Standing::Busy {}
        let status = if expected.is_some() { "UPDATE_ROLLBACK_COMPLETE" } else { "UPDATE_COMPLETE" };
        assert_eq!(bench.cloud.status(&key("data@us-west-2")).as_deref(), Some(status));
        let failed = bench.cloud.stacks.borrow()["us-west-2/tandem-test-data"].events.iter().rev().find_map(|event| {
            (event.logical_id == "Orders" && event.status.ends_with("FAILED")).then(|| event.reason.clone().unwrap())
        });
        assert_eq!(failed.is_some(), expected.is_some(), "{expected:?}");
        assert!(expected.is_none_or(|expected| failed.unwrap().contains(expected)));
    }
}

#[tokio::test]
async fn what_takes_several_updates_is_done_in_several() {
    let bench = deployed().await;
    let planned = bench.plan(after()).await;
    assert_eq!(actions(&planned), "unchanged later");
    let table = crate::deploy::outcome::plan_table(&planned).join("\n");
    assert!(table.contains("4 updates, one after the other (estimate)"), "{table}");
    assert_eq!(bench.cloud.writes(), [], "change sets are made one after the other");

    let applied = bench.apply(planned).await;
    assert_eq!(summary(&applied), "unchanged updated", "{}", cause_of(&applied));
    assert_eq!(bench.cloud.count("ExecuteChangeSet"), UPDATES);
    let deployed = bench.cloud.stacks.borrow()["us-west-2/tandem-test-data"].clone();
    assert!(after()[1].template.says_the_same_as(&deployed.template));
    assert_eq!(deployed.parameters.keys().collect::<Vec<_>>(), ["New"]);
    assert!(bench.plan(after()).await.is_nothing());
}

#[tokio::test]
async fn a_run_that_is_killed_between_two_updates_is_carried_on() {
    let bench = deployed().await;
    bench.deploy(after()).await;
    let calls = u32::try_from(bench.cloud.calls.borrow().len()).unwrap();
    let mut seen_half = 0;
    for call in 0..calls {
        let bench = deployed().await;
        let (plan_file, _) = plan_of(&bench, after()).await;
        let code_keys = artifacts(&bench.folder, 1).keys();
        bench.cloud.dies_after.set(Some(call));
        let drafted = Drafted { stacks: after(), context: Vec::new(), code_keys, seen: Seen::new() };
        if let Ok(planned) = plan(&bench.cloud, drafted).await {
            bench.apply(planned).await;
        }
        bench.cloud.dies_after.set(None);
        let template = bench.cloud.stacks.borrow()["us-west-2/tandem-test-data"].template.clone();
        let is_half = [before(), after()].iter().all(|stacks| !stacks[1].template.says_the_same_as(&template));
        seen_half += u32::from(is_half);
        // What the reviewed plan wants is half there.
        let is_busy = bench.cloud.status(&key("data@us-west-2")).is_some_and(|status| status.ends_with("PROGRESS"));
        if !is_busy {
            let surveyed = survey::read(&bench.cloud, after()).await.unwrap();
            plan_file.check(&surveyed, &Selection::default()).unwrap_or_else(|error| panic!("{call}: {error}"));
        }
        let applied = bench.deploy(after()).await;
        assert_eq!(summary(&applied).matches("failed").count(), 0, "{call}: {}", cause_of(&applied));
        assert!(bench.plan(after()).await.is_nothing(), "{call}");
    }
    assert!(seen_half > 3, "killed between two updates {seen_half} times");
}

/// The guard looks at the ways that are taken, and at what is lost in the end.
#[tokio::test]
async fn the_guard_lets_a_sequence_pass_and_nothing_else() {
    let bench = deployed().await;
    let surveyed = survey::read(&bench.cloud, after()).await.unwrap();
    let text = diff::render::human(&survey::compared(&surveyed).unwrap()).to_string();
    assert!(text.contains("a deployment makes 4 updates, one after the other"), "{text}");
    let refused = guard::check(&survey::compared(&surveyed).unwrap(), &Selection::default(), &[], &[]).unwrap_err();
    assert!(refused.render().contains("indexes"), "{}", refused.render());
    let agreed = guard::check(&survey::carried_out(&surveyed).unwrap(), &Selection::default(), &[], &[]).unwrap();
    assert_eq!(agreed, [] as [String; 0]);

    // Beside it something goes that holds data.
    let mut without_queue = after();
    let mut document = without_queue[1].template.document().clone();
    document["Resources"].as_object_mut().unwrap().remove("Queue");
    document["Parameters"] = json!({});
    without_queue[1].template = Template::parse(document.to_string(), BTreeMap::new()).unwrap();
    without_queue[1].inputs.clear();
    let surveyed = survey::read(&bench.cloud, without_queue).await.unwrap();
    let error = guard::check(&survey::carried_out(&surveyed).unwrap(), &Selection::default(), &[], &[]).unwrap_err();
    assert!(error.render().contains("`Queue`"), "{}", error.render());
}

#[tokio::test]
async fn an_update_that_fails_on_the_way_is_told_and_the_rest_is_not_tried() {
    let bench = deployed().await;
    let planned = bench.plan(after()).await;
    bench.cloud.failing.borrow_mut().insert("Orders".to_owned(), "Internal failure".to_owned());
    let applied = bench.apply(planned).await;
    assert_eq!(summary(&applied), "unchanged failed");
    assert_eq!(bench.cloud.count("ExecuteChangeSet"), 1);
    bench.cloud.failing.borrow_mut().clear();
    assert_eq!(summary(&bench.deploy(after()).await), "unchanged updated");
}
