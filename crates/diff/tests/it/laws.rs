//! What holds for whatever templates there are.

use diff::render::{MarkdownOptions, from_json, human, json, markdown};
use diff::{
    Action, ChangeSet, Class, Detail, Diff, Evaluation, PropertyChange, Replacement, ReportedReplacement,
    RequiresRecreation, ResourceReport, Shown, StackChange, StackKey, Template,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::access::{role, statements};
use crate::support::{diff_of, template};

/// Names and values that try to be markup, a mention, a reference to an issue, or a command to a terminal.
fn nasty() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "<script>alert(1)</script>",
        "</details>",
        "|",
        "`",
        "```\n",
        "**bold**",
        "@team",
        "#12",
        "GH-1",
        "\u{1b}[31m",
        "\u{202e}",
        "\u{0}",
        "\r\n# heading",
        "<!-- x -->",
        "[a](http://x)",
        "us-west-2",
        "plain",
        "&lt;",
    ]);
    prop::collection::vec(parts, 1..4).prop_map(|parts| parts.concat())
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!("x")),
        Just(json!("y")),
        Just(json!("30")),
        Just(json!(30)),
        Just(json!(true)),
        Just(json!({"Ref": "A"})),
        Just(json!({"Fn::GetAtt": ["B", "Arn"]})),
        Just(json!({"Fn::Sub": "x-${A}"})),
        nasty().prop_map(Value::String),
    ]
}

fn tags() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-c]", scalar(), 0..3).prop_map(|tags| {
        tags.into_iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect::<Vec<_>>().into()
    })
}

fn resource() -> impl Strategy<Value = Value> {
    let policy = prop::sample::select(vec![None, Some("Retain"), Some("Delete")]);
    let properties = prop_oneof![
        (scalar(), scalar(), tags()).prop_map(|(name, delay, tags)| {
            json!({"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name, "DelaySeconds": delay, "Tags": tags}})
        }),
        (scalar(), scalar()).prop_map(|(role, text)| {
            json!({"Type": "AWS::Lambda::Function", "Properties": {"Role": role, "Description": text}})
        }),
        (scalar(), scalar()).prop_map(|(source, name)| {
            json!({"Type": "AWS::Lambda::EventSourceMapping", "Properties": {
                "EventSourceArn": source, "FunctionName": name
            }})
        }),
        statements().prop_map(|statements| role(&statements)["R"].clone()),
        scalar().prop_map(|name| json!({"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}})),
        scalar().prop_map(|size| json!({"Type": "Vendor::Thing::One", "Properties": {"Size": size}})),
    ];
    (properties, policy).prop_map(|(mut resource, policy)| {
        if let Some(policy) = policy {
            resource["DeletionPolicy"] = json!(policy);
        }
        resource
    })
}

fn resources() -> impl Strategy<Value = Value> {
    let id = prop_oneof![4 => "[A-F]", 1 => nasty()];
    prop::collection::btree_map(id, resource(), 0..8)
        .prop_map(|resources| resources.into_iter().collect::<Map<_, _>>().into())
}

/// The same template with every list whose order means nothing the other way round.
fn reordered(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| {
                let mut value = reordered(value);
                let has_no_order = matches!(
                    name.as_str(),
                    "Tags" | "Action" | "NotAction" | "Resource" | "NotResource" | "Statement" | "k"
                );
                if let Value::Array(items) = &mut value
                    && has_no_order
                {
                    items.reverse();
                    if items.len() == 1 && name != "Tags" {
                        value = items.remove(0);
                    }
                }
                (name.clone(), value)
            })
            .collect(),
        Value::Array(items) => items.iter().map(reordered).collect(),
        other => other.clone(),
    }
}

fn two_stacks(before: &Value, after: &Value, turned: bool) -> Diff {
    let (before, after) = (template(before), template(after));
    let mut stacks = vec![
        StackChange::new(StackKey::new("a", "us-west-2"), Some(&before), Some(&after)),
        StackChange::new(StackKey::new("a", "us-east-1"), Some(&after), Some(&before)),
        StackChange::new(StackKey::new("<b>@x|`", "us-west-2"), None, Some(&after)),
        StackChange::new(StackKey::new("c", "@team#1"), Some(&before), None),
    ];
    if turned {
        stacks.reverse();
    }
    diff::diff(&stacks).expect("four stacks")
}

/// A change that no value of a deployment can undo.
fn is_proven(change: &PropertyChange) -> bool {
    let is_literal = |shown: &Option<Shown>| match shown {
        None => true,
        Some(Shown::Value(value)) => {
            let text = value.to_string();
            !text.contains("\"Ref\"") && !text.contains("\"Fn::")
        }
        Some(_) => false,
    };
    !change.is_possible && is_literal(&change.before) && is_literal(&change.after)
}

fn change_set() -> impl Strategy<Value = ChangeSet> {
    let recreation = prop::sample::select(vec![
        RequiresRecreation::Never,
        RequiresRecreation::Conditionally,
        RequiresRecreation::Always,
    ]);
    let evaluation = prop::sample::select(vec![Evaluation::Static, Evaluation::Dynamic]);
    let path =
        prop::sample::select(vec!["QueueName", "Tags", "EventSourceArn", "Description", "Policies", "TopicName"]);
    let detail = (path, recreation, evaluation).prop_map(|(path, requires_recreation, evaluation)| Detail {
        path: path.to_owned(),
        requires_recreation,
        evaluation,
        causing_entity: None,
        before: None,
        after: None,
    });
    let action = prop::sample::select(vec![Action::Add, Action::Modify, Action::Import, Action::Dynamic]);
    let replacement = prop::sample::select(vec![
        None,
        Some(ReportedReplacement::True),
        Some(ReportedReplacement::False),
        Some(ReportedReplacement::Conditional),
    ]);
    let report = ("[A-F]", action, replacement, prop::collection::vec(detail, 0..3)).prop_map(
        |(logical_id, action, replacement, details)| ResourceReport {
            logical_id,
            resource_type: "AWS::SQS::Queue".to_owned(),
            action,
            replacement,
            details,
        },
    );
    (prop::collection::vec(report, 0..5), any::<bool>())
        .prop_map(|(changes, may_be_incomplete)| ChangeSet { changes, may_be_incomplete })
}

fn destructive(diff: &Diff) -> usize {
    diff::groups(diff)
        .iter()
        .flat_map(|group| &group.stack.resources)
        .filter(|resource| resource.class.is_destructive())
        .count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nothing_changes_from_a_template_to_itself(resources in resources()) {
        let diff = diff_of(&resources, &resources);
        prop_assert!(diff.is_empty(), "{diff:?}");
        prop_assert!(diff.summary().classes.is_empty());
    }

    #[test]
    fn order_that_means_nothing_is_no_change(resources in resources()) {
        let diff = diff_of(&resources, &reordered(&resources));
        prop_assert!(diff.is_empty(), "{diff:?}");
        prop_assert!(diff.stacks[0].permissions.is_empty());
    }

    #[test]
    fn order_that_means_nothing_changes_no_class(before in resources(), after in resources()) {
        let classes = |diff: &Diff| -> Vec<_> {
            diff.stacks[0].resources.iter().map(|one| (one.logical_id.clone(), one.class)).collect()
        };
        let straight = diff_of(&before, &after);
        let turned = diff_of(&reordered(&before), &reordered(&after));
        prop_assert_eq!(classes(&straight), classes(&turned));
        prop_assert_eq!(straight.summary(), turned.summary());
    }

    #[test]
    fn the_order_of_stacks_doesnt_matter(before in resources(), after in resources()) {
        let (straight, turned) = (two_stacks(&before, &after, false), two_stacks(&before, &after, true));
        prop_assert_eq!(json(&straight), json(&turned));
    }

    #[test]
    fn a_change_set_hides_nothing_that_the_templates_prove(
        before in resources(), after in resources(), change_set in change_set()
    ) {
        let (before, after) = (template(&before), template(&after));
        let mut stack = StackChange::new(StackKey::new("a", "us-west-2"), Some(&before), Some(&after));
        let alone = diff::diff(std::slice::from_ref(&stack)).unwrap();
        stack.change_set = Some(change_set);
        let merged = diff::diff(std::slice::from_ref(&stack)).unwrap();
        for resource in &alone.stacks[0].resources {
            let proven: Vec<_> = resource.properties.iter().filter(|change| is_proven(change)).collect();
            let is_whole = resource.properties.is_empty() && resource.class != Class::Modified;
            if proven.is_empty() && !is_whole {
                continue;
            }
            let other = merged.stacks[0].resource(&resource.logical_id);
            prop_assert!(other.is_some(), "{resource:?} is hidden");
            let other = other.unwrap();
            for change in proven {
                prop_assert!(other.properties.iter().any(|one| one.path == change.path), "{change:?} is hidden");
                if change.replacement == Replacement::Always {
                    prop_assert!(other.class.is_destructive(), "{other:?} is belittled");
                }
            }
            if resource.class == Class::Removed {
                prop_assert_eq!(other.class, Class::Removed);
            }
        }
    }

    #[test]
    fn json_reads_back_what_it_wrote(before in resources(), after in resources()) {
        let diff = two_stacks(&before, &after, false);
        prop_assert_eq!(from_json(&json(&diff)).unwrap(), diff);
    }

    #[test]
    fn a_comment_fits_and_loses_nothing_destructive(
        before in resources(), after in resources(), cap in 0..9_000_usize
    ) {
        let diff = two_stacks(&before, &after, false);
        let options = MarkdownOptions { cap, artifact: Some("`diff.json`".to_owned()), ..MarkdownOptions::default() };
        let text = markdown(&diff, &options);
        prop_assert!(text.len() <= cap, "{} of {cap}", text.len());
        let wanted = destructive(&diff);
        if cap >= 2_000 && wanted > 0 {
            let start = text.find("#### Replaced or removed (").map_or(text.as_str(), |at| &text[at..]);
            let ends = |line: &str| line.starts_with("####") || line.starts_with("<details>");
            let lines: Vec<&str> = start.lines().skip(1).take_while(|line| !ends(line)).collect();
            let shown = lines.iter().filter(|line| line.starts_with("- ") && !line.contains("left out")).count();
            let counted = text.lines().filter(|line| line.contains("destructive line") && line.contains("left out"));
            let counted: usize = counted
                .filter_map(|line| line.trim_start_matches("- ").split(' ').next()?.parse::<usize>().ok())
                .sum();
            let told = if text.contains("#### Replaced or removed (") { shown + counted } else { counted };
            prop_assert_eq!(told, wanted, "{}", text);
        }
    }

    #[test]
    fn nothing_from_a_template_is_markup(before in resources(), after in resources()) {
        let diff = two_stacks(&before, &after, false);
        let text = markdown(&diff, &MarkdownOptions::default());
        prop_assert!(text.starts_with("<!-- synth-diff -->\n"));
        prop_assert_eq!(text.matches("<!--").count(), 1);
        for forbidden in ["<script", "|", "`", "@", "**bold", "[a]", "\u{202e}", "\u{1b}", "\r", "\u{0}"] {
            prop_assert!(!text.contains(forbidden), "{forbidden:?} in {text}");
        }
        let opened = text.matches("<details>").count();
        prop_assert_eq!(opened, text.matches("</details>").count());
        prop_assert_eq!(text.matches("<code>").count(), text.matches("</code>").count());
        // GitHub makes no link of a mention or an issue within code.
        let outside = text.split("<code>").map(|part| part.split_once("</code>").map_or(part, |(_, after)| after));
        for part in outside {
            prop_assert!(!part.contains("&#64;") && !part.contains("&#35;"), "{part:?}");
        }
        // Every line is one of the renderer's own kinds.
        for line in text.lines().skip(1) {
            let known = ["- ", "  - ", "### ", "#### ", "<details><summary>", "</details>", "Details of "];
            let is_total = line.contains("changed") || line == "no changes";
            prop_assert!(line.is_empty() || is_total || known.iter().any(|start| line.starts_with(start)), "{line:?}");
        }
        for line in human(&diff).lines {
            prop_assert!(!line.text.chars().any(|char| char.is_control() || char == '\u{202e}'), "{line:?}");
        }
    }
}

#[test]
fn stacks_that_cant_be_compared_are_refused() {
    let template = Template::new(json!({"Resources": {}})).unwrap();
    let key = || StackKey::new("a", "us-west-2");
    let stack = StackChange::new(key(), Some(&template), None);
    let twice = diff::diff(&[stack.clone(), stack]).unwrap_err();
    let expected = "stack `a@us-west-2` is given twice; merge what is known about it into one `StackChange`";
    assert_eq!(twice.to_string(), expected);
    let nothing = diff::diff(&[StackChange::new(key(), None, None)]).unwrap_err();
    let expected = "stack `a@us-west-2` has neither a deployed nor a new template; leave it out";
    assert_eq!(nothing.to_string(), expected);
}
