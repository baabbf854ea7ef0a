//! Rules that need more than a small pair to be seen.

use serde_json::{Map, Value, json};

use crate::support::diff_of;

fn topics(number: usize) -> Value {
    let topics: Map<String, Value> =
        (0..number).map(|at| (format!("T{at}"), json!({"Type": "AWS::SNS::Topic"}))).collect();
    topics.into()
}

#[test]
fn a_stack_with_too_many_resources_is_refused() {
    let rules = |before: usize, after: usize| -> Vec<String> {
        let diff = diff_of(&topics(before), &topics(after));
        diff.stacks[0].findings.iter().map(|finding| format!("{} `{}`", finding.severity, finding.rule)).collect()
    };
    assert_eq!(rules(0, 501), ["refused `too-many-resources`"]);
    assert_eq!(rules(0, 500), [] as [&str; 0]);
    assert_eq!(rules(501, 501), [] as [&str; 0]);
}

#[test]
fn a_short_name_of_a_region_breaks_no_word() {
    let (before, after) = (crate::support::template(&topics(1)), crate::support::template(&topics(2)));
    for region in ["", "a", "e", "added", "template"] {
        let stack = |name| diff::StackChange::new(diff::StackKey::new(name, region), Some(&before), Some(&after));
        let diff = diff::diff(&[stack("a"), stack("b")]).unwrap();
        assert_eq!(diff::groups(&diff).len(), 2, "{region}");
        assert_eq!(diff::render::from_json(&diff::render::json(&diff)).unwrap(), diff);
    }
}
