//! Templates in steps: each step is one that AWS takes, and the last one is where it should end.

use std::collections::BTreeSet;

use diff::{StackChange, StackKey, Template, sequence};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::template;

const KEY: &str = "pk";

/// A table, by what of it can change.
#[derive(Clone, Debug)]
struct Table {
    indexes: Vec<&'static str>,
    /// Projections, by index.
    projection: &'static str,
    replicas: Vec<&'static str>,
    class: &'static str,
    stream: bool,
}

fn table() -> impl Strategy<Value = Table> {
    (
        prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4),
        prop::sample::select(vec!["ALL", "KEYS_ONLY"]),
        prop::sample::subsequence(vec!["us-east-1", "us-east-2", "eu-west-1"], 0..=3),
        prop::sample::select(vec!["STANDARD", "STANDARD_INFREQUENT_ACCESS"]),
        any::<bool>(),
    )
        .prop_map(|(indexes, projection, mut replicas, class, stream)| {
            replicas.insert(0, "us-west-2");
            Table { indexes, projection, replicas, class, stream }
        })
}

/// Of the table's key and of what its indexes are named after.
fn definitions(indexes: &[&str]) -> Vec<Value> {
    let names = std::iter::once(&KEY).chain(indexes);
    names.map(|name| json!({"AttributeName": name, "AttributeType": "S"})).collect()
}

fn written(table: &Table) -> Value {
    let index = |name: &&str| {
        json!({
            "IndexName": name,
            "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
            "Projection": {"ProjectionType": table.projection}
        })
    };
    let replica = |region: &&str| {
        let settings = table
            .indexes
            .iter()
            .map(|name| json!({"IndexName": name, "ContributorInsightsSpecification": {"Enabled": true}}));
        let settings: Vec<Value> = settings.collect();
        let mut replica = json!({"Region": region, "TableClass": table.class});
        if !settings.is_empty() {
            replica["GlobalSecondaryIndexes"] = settings.into();
        }
        replica
    };
    let mut properties = json!({
        "KeySchema": [{"AttributeName": KEY, "KeyType": "HASH"}],
        "AttributeDefinitions": definitions(&table.indexes),
        "Replicas": table.replicas.iter().map(replica).collect::<Vec<_>>()
    });
    if !table.indexes.is_empty() {
        properties["GlobalSecondaryIndexes"] = table.indexes.iter().map(index).collect();
    }
    if table.stream {
        properties["SSESpecification"] = json!({"SSEEnabled": true, "SSEType": {"Ref": "Kind"}});
    }
    json!({"Type": "AWS::DynamoDB::GlobalTable", "Properties": properties})
}

/// A stack of two tables and what else changes with them.
fn stack() -> impl Strategy<Value = Template> {
    (table(), table(), any::<bool>(), 1..3_u8).prop_map(|(one, two, has_topic, timeout)| {
        let mut document = json!({
            "Resources": {
                "One": written(&one),
                "Two": written(&two),
                "F": {"Type": "AWS::Lambda::Function", "Properties": {"Timeout": timeout}}
            }
        });
        if one.stream || two.stream {
            document["Parameters"] = json!({"Kind": {"Type": "String", "Default": "KMS"}});
        }
        if has_topic {
            document["Resources"]["Topic"] = json!({"Type": "AWS::SNS::Topic"});
            document["Resources"]["F"]["Properties"]["Description"] = json!({"Ref": "Topic"});
            document["Outputs"] = json!({"Topic": {"Value": {"Ref": "Topic"}}});
        }
        Template::new(document).unwrap()
    })
}

fn names(table: &Value, list: &str, key: &str) -> BTreeSet<String> {
    let items = table["Properties"][list].as_array().into_iter().flatten();
    items.map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

/// Every attribute that a key of the table uses.
fn used(table: &Value) -> BTreeSet<String> {
    let properties = &table["Properties"];
    let indexes = properties["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
    let keys = std::iter::once(properties).chain(indexes).flat_map(|holder| holder["KeySchema"].as_array().unwrap());
    keys.map(|key| key["AttributeName"].as_str().unwrap().to_owned()).collect()
}

fn assert_step(before: &Template, after: &Template) {
    for id in ["One", "Two"] {
        let (old, new) = (&before.document()["Resources"][id], &after.document()["Resources"][id]);
        let delta = |list, key| names(old, list, key).symmetric_difference(&names(new, list, key)).count();
        let (indexes, replicas) = (delta("GlobalSecondaryIndexes", "IndexName"), delta("Replicas", "Region"));
        assert!(indexes + replicas <= 1, "{indexes} indexes and {replicas} replicas of {id} at once");
        assert_eq!(used(new), names(new, "AttributeDefinitions", "AttributeName"), "definitions of {id}");
        let there = names(new, "GlobalSecondaryIndexes", "IndexName");
        for replica in new["Properties"]["Replicas"].as_array().unwrap() {
            let settings = replica["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
            for setting in settings {
                assert!(
                    there.contains(setting["IndexName"].as_str().unwrap()),
                    "settings of an index that isn't there"
                );
            }
        }
    }
    let key = StackKey::new("data", "us-west-2");
    let diff = diff::diff(&[StackChange::new(key, Some(before), Some(after))]).unwrap();
    let broken: Vec<&str> = diff.stacks[0].findings.iter().map(|finding| finding.rule.as_str()).collect();
    assert_eq!(broken, [] as [&str; 0]);
}

/// Every name that something refers to is there.
fn assert_whole(template: &Template) {
    fn refs(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("Ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| refs(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| refs(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    refs(template.document(), &mut found);
    for name in found {
        let is_there =
            ["Resources", "Parameters"].iter().any(|section| template.document()[section].get(&name).is_some());
        assert!(is_there, "{name} isn't there");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_step_is_one_that_aws_takes(deployed in stack(), new in stack()) {
        let steps = sequence(&deployed, &new);
        prop_assert_eq!(steps.last(), Some(&new));
        let mut last = &deployed;
        for step in &steps {
            assert_step(last, step);
            assert_whole(step);
            last = step;
        }
    }
}

fn with_indexes(names: &[&str], function: &Value) -> Template {
    let index = |name: &&str| json!({"IndexName": name, "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}]});
    template(&json!({
        "T": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {
            "KeySchema": [{"AttributeName": KEY, "KeyType": "HASH"}],
            "AttributeDefinitions": definitions(names),
            "Replicas": [{"Region": "us-west-2"}],
            "GlobalSecondaryIndexes": names.iter().map(index).collect::<Vec<_>>()
        }},
        "F": {"Type": "AWS::Lambda::Function", "Properties": {"Description": function}}
    }))
}

fn shape(steps: &[Template]) -> Vec<(BTreeSet<String>, Value)> {
    let one = |step: &Template| {
        let resources = &step.document()["Resources"];
        let indexes = names(&resources["T"], "GlobalSecondaryIndexes", "IndexName");
        (indexes, resources["F"]["Properties"]["Description"].clone())
    };
    steps.iter().map(one).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn one_change_is_one_template() {
    let (old, new) = (with_indexes(&["a"], &json!("old")), with_indexes(&["a", "b"], &json!("new")));
    assert_eq!(sequence(&old, &new), std::slice::from_ref(&new));
    assert_eq!(sequence(&new, &new), [new]);
}

#[test]
fn who_uses_a_new_index_waits_for_it() {
    let (old, new) = (with_indexes(&["a"], &json!("old")), with_indexes(&["b", "c"], &json!("new")));
    let expected = [(set(&[]), json!("old")), (set(&["b"]), json!("old")), (set(&["b", "c"]), json!("new"))];
    assert_eq!(shape(&sequence(&old, &new)), expected);
}

#[test]
fn who_used_an_index_lets_go_before_it_goes() {
    let (old, new) = (with_indexes(&["a", "b", "c"], &json!("old")), with_indexes(&["c"], &json!("new")));
    let expected = [(set(&["b", "c"]), json!("new")), (set(&["c"]), json!("new"))];
    assert_eq!(shape(&sequence(&old, &new)), expected);
}
