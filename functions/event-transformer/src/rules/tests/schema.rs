//! The schema of the rules' file agrees with what is read, and reading takes any text.

use super::*;
use json_schema::Schema;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse(include_str!("../../../rules.schema.json")).expect("a schema"));

#[test]
fn the_rules_have_the_form_of_the_schema() {
    assert_eq!(SCHEMA.id(), Some("urn:tandem:schema:event-rules:1"));
    let rules: Value = serde_json::from_str(EMBEDDED).expect("JSON");
    assert_eq!(SCHEMA.problems(&rules), Vec::<String>::new());
}

/// A good value or, now and then, one that isn't.
fn mostly(good: impl Strategy<Value = Value> + 'static, bad: &[Value]) -> BoxedStrategy<Value> {
    prop_oneof![30 => good, 1 => prop::sample::select(bad.to_vec())].boxed()
}

/// Some of these members.
fn members(all: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Value> {
    let optional = |(name, value): (&'static str, BoxedStrategy<Value>)| {
        prop::option::of(value).prop_map(move |value| value.map(|value| (name.to_owned(), value)))
    };
    all.into_iter().map(optional).collect::<Vec<_>>().prop_map(|members| members.into_iter().flatten().collect())
}

fn flag() -> BoxedStrategy<Value> {
    mostly(any::<bool>().prop_map(Value::from), &[json!("true"), json!(1)])
}

fn pointer() -> BoxedStrategy<Value> {
    mostly("(/([a-z]|~0|~1){0,3}){1,2}".prop_map(Value::from), &[json!(7), json!({})])
}

fn kind() -> impl Strategy<Value = Value> {
    let words =
        ["anything", "boolean", "email", "ip_address", "lower_case_email", "timestamp", "uuid"].map(Value::from);
    let length =
        || mostly(prop_oneof![Just(65_536), 0..70_000_u32].prop_map(Value::from), &[json!(-1), json!("1"), json!(1.5)]);
    let allowed = prop::collection::vec(".{0,3}", 1..3).prop_map(Value::from);
    let pattern = prop_oneof!["[a-z]{1,3}", "[(\\[a-z{*]{0,4}"].prop_map(Value::from);
    let text = members(vec![
        ("min_length", length()),
        ("max_length", length()),
        ("allowed", mostly(allowed, &[json!("a"), json!([1])])),
        ("pattern", mostly(pattern, &[json!(1)])),
    ]);
    let number = || prop_oneof![any::<i32>().prop_map(Value::from), any::<f32>().prop_map(|float| json!(float))];
    let number = members(vec![
        ("minimum", mostly(number().prop_filter("a number", Value::is_number), &[json!(1)])),
        ("maximum", mostly(number().prop_filter("a number", Value::is_number), &[json!(2)])),
        ("whole", flag()),
    ]);
    prop_oneof![
        3 => prop::sample::select(words.to_vec()),
        2 => text.prop_map(|text| json!({ "text": text })),
        2 => number.prop_map(|number| json!({ "number": number })),
        1 => prop::sample::select(vec![json!("url"), json!({}), json!({ "text": {}, "number": {} }), json!({ "date": {} })]),
    ]
}

fn rule() -> BoxedStrategy<Value> {
    let rule = (pointer(), members(vec![("required", flag()), ("is", kind().boxed())]));
    let rule = rule.prop_map(|(pointer, mut rule)| {
        rule["pointer"] = pointer;
        rule
    });
    mostly(rule, &[json!({}), json!({ "pointer": "/a", "requires": true }), json!("/a")])
}

fn file() -> impl Strategy<Value = Value> {
    let rules = || prop::collection::vec(rule(), 0..4).prop_map(Value::from);
    let version = mostly((1..9_u32).prop_map(Value::from), &[json!("1"), json!(-1), json!(1.5), json!(1_u64 << 32)]);
    let types = prop::collection::btree_map("[A-Za-z][a-z.]{0,5}", rules(), 0..3).prop_map(|types| json!(types));
    let geo = (pointer(), members(vec![("keep_address", flag())])).prop_map(|(address, mut geo)| {
        geo["address"] = address;
        geo
    });
    let versions = prop::sample::subsequence(vec![4, 5, 7], 1..4).prop_map(Value::from);
    let optional = members(vec![
        ("geo", mostly(geo, &[json!({}), json!({ "address": "/a", "keep": true })])),
        ("event_id_versions", mostly(versions, &[json!(4), json!([-1])])),
    ]);
    (version, rules(), types, optional).prop_map(|(version, every_event, types, mut file)| {
        file["version"] = version;
        file["every_event"] = every_event;
        file["event_types"] = types;
        file
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// A file of another form is refused as such, and what is read has the schema's form.
    #[test]
    fn the_schema_accepts_what_is_read(file in file()) {
        let problems = SCHEMA.problems(&file);
        match RuleSet::parse(&file.to_string()) {
            Ok(_) => prop_assert_eq!(problems, Vec::<String>::new(), "{}", file),
            Err(RulesError::Malformed(error)) => prop_assert!(!problems.is_empty(), "{} {}", file, error),
            // What the schema says of single values, or what it can't say.
            Err(RulesError::Mistakes(_)) => {}
        }
    }

    #[test]
    fn any_text_is_handled(text in ".{0,200}") {
        prop_assert!(RuleSet::parse(&text).is_err());
    }

    #[test]
    fn damaged_rules_are_handled(damaged in fuzz::damaged_text(EMBEDDED)) {
        let _ = RuleSet::parse(&damaged);
    }
}

#[test]
fn many_generated_files_are_good() {
    use proptest::strategy::ValueTree;
    // Otherwise the property above would hold for nothing.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let outcomes =
        (0..500).map(|_| RuleSet::parse(&file().new_tree(&mut runner).expect("a file").current().to_string()));
    let (good, malformed) = outcomes.fold((0, 0), |(good, malformed), outcome| match outcome {
        Ok(_) => (good + 1, malformed),
        Err(RulesError::Malformed(_)) => (good, malformed + 1),
        Err(RulesError::Mistakes(_)) => (good, malformed),
    });
    assert!(good > 50 && malformed > 50, "{good} {malformed}");
}
