//! The same declarations give the same bytes.

use cfn::prelude::*;
use cfn::{sns, sqs};
use proptest::prelude::*;
use serde_json::json;

use crate::example;

#[test]
fn two_runs_give_the_same_bytes() {
    assert_eq!(example::stack().render(), example::stack().render());
    assert_eq!(example::stack().compact_len(), example::stack().to_json().to_string().len());
}

#[test]
fn the_text_is_the_template() {
    let stack = example::stack();
    let parsed: serde_json::Value = serde_json::from_str(stack.render()).unwrap();
    assert_eq!(parsed, stack.to_json());
}

#[test]
fn an_added_resource_can_be_changed() {
    let mut stack = Template::new();
    let queue = stack.add("Work", sqs::Queue::new().delay_seconds(1));
    let topic = stack.add("News", sns::Topic::new());
    stack.update(&queue, |queue| queue.visibility_timeout(60));
    stack.depends_on(&queue, &topic);
    stack.depends_on(&queue, &topic);
    let expected = json!({
        "Type": "AWS::SQS::Queue",
        "DependsOn": ["News"],
        "Properties": {"DelaySeconds": 1, "VisibilityTimeout": 60},
    });
    assert_eq!(stack.resource("Work").unwrap().to_json(), expected);
}

#[test]
fn options_are_written_beside_the_properties() {
    let mut stack = Template::new();
    let mode =
        stack.parameter::<String>("Mode", Parameter::new().default_value("full").allowed_values(["full", "small"]));
    let full = stack.condition("Full", cfn::Condition::equals(mode, "full"));
    let topic = stack.add("News", sns::Topic::new());
    stack.add(
        "Work",
        sqs::Queue::new()
            .visibility_timeout(cfn::either(&full, 60, 30))
            .depends_on(&topic)
            .deletion_policy(cfn::RemovalPolicy::RetainExceptOnCreate)
            .only_if(&full)
            .metadata("owner", "orders"),
    );
    stack.output("WorkArn", "x").description("which").export("work").only_if(&full);
    insta::assert_snapshot!(stack.render());
    assert_eq!(cfn::check(&stack, "us-west-2"), []);
}

proptest! {
    /// Order of declaring, and of setting properties, leaves no trace in the text.
    #[test]
    fn order_leaves_no_trace(
        timeouts in proptest::collection::btree_map("[A-Z][a-z0-9]{0,8}", 0_i32..43_200, 0..20),
        rotation in 0_usize..20,
    ) {
        let mut in_order = Template::new();
        for (name, timeout) in &timeouts {
            in_order.add(name, sqs::Queue::new().visibility_timeout(*timeout).delay_seconds(5));
        }
        let mut names: Vec<_> = timeouts.iter().collect();
        if !names.is_empty() {
            let middle = rotation % names.len();
            names.rotate_left(middle);
        }
        let mut shuffled = Template::new();
        for (name, timeout) in names {
            shuffled.add(name, sqs::Queue::new().delay_seconds(9).delay_seconds(5).visibility_timeout(*timeout));
        }
        prop_assert_eq!(in_order.render(), shuffled.render());
    }

    /// Any text survives rendering.
    #[test]
    fn text_survives(text in any::<String>()) {
        let mut stack = Template::new();
        stack.add("News", sns::Topic::new().display_name(text.as_str()));
        let parsed: serde_json::Value = serde_json::from_str(stack.render()).unwrap();
        prop_assert_eq!(&parsed["Resources"]["News"]["Properties"]["DisplayName"], &json!(text));
    }
}
