//! How a realistic change looks in each form.

use diff::render::{JsonError, MarkdownOptions, Role, from_json, human, json, markdown};
use diff::{Diff, StackChange, StackKey, Template};
use serde_json::{Value, json};

use crate::support::diff_of;

fn events(region: &str, new: bool) -> Template {
    let statement =
        |actions: Value| json!({"Effect": "Allow", "Action": actions, "Resource": {"Fn::GetAtt": "Work.Arn"}});
    let actions = if new { json!(["sqs:ReceiveMessage", "sqs:*"]) } else { json!("sqs:ReceiveMessage") };
    let mut resources = json!({
        "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": format!("tandem-{region}")}},
        "Work": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain", "Properties": {
            "QueueName": if new { "jobs" } else { "work" }, "VisibilityTimeout": if new { 180 } else { 60 }
        }},
        "Router": {"Type": "AWS::Lambda::Function", "Properties": {
            "Code": {"S3Bucket": {"Ref": "Bucket"}, "S3Key": {"Ref": "RouterKey"}},
            "MemorySize": if new { 256 } else { 128 },
            "Environment": {"Variables": {"QUEUE_URL": {"Ref": "Work"}, "REGION": region}},
            "Tags": [{"Key": "team", "Value": "events"}]
        }},
        "RouterRole": {"Type": "AWS::IAM::Role", "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"
            }]},
            "Policies": [{"PolicyName": "work", "PolicyDocument": {
                "Version": "2012-10-17", "Statement": [statement(actions)]
            }}]
        }}
    });
    let map = resources.as_object_mut().unwrap();
    if new {
        map.insert("Alarm".to_owned(), json!({"Type": "AWS::CloudWatch::Alarm", "Properties": {"Threshold": 1}}));
    } else {
        map.insert("Old".to_owned(), json!({"Type": "AWS::SNS::Topic"}));
    }
    let parameters = json!({"Bucket": {"Type": "String"}, "RouterKey": {"Type": "String"}});
    Template::new(json!({"Parameters": parameters, "Resources": resources})).unwrap()
}

fn realistic() -> Diff {
    let templates: Vec<(&str, Template, Template)> = ["us-west-2", "us-east-1"]
        .into_iter()
        .map(|region| (region, events(region, false), events(region, true)))
        .collect();
    let mut stacks: Vec<StackChange<'_>> = templates
        .iter()
        .map(|(region, before, after)| StackChange::new(StackKey::new("events", *region), Some(before), Some(after)))
        .collect();
    for stack in &mut stacks {
        for (values, code) in
            [(&mut stack.parameters_before, "router-1.zip"), (&mut stack.parameters_after, "router-2.zip")]
        {
            values.insert("RouterKey".to_owned(), diff::ParameterValue::Known(code.to_owned()));
        }
    }
    let empty =
        Template::new(json!({"Resources": {"Key": {"Type": "AWS::KMS::Key", "DeletionPolicy": "Retain"}}})).unwrap();
    stacks.push(StackChange::new(StackKey::new("keys", "us-west-2"), None, Some(&empty)));
    diff::diff(&stacks).unwrap()
}

#[test]
fn a_realistic_change_for_a_terminal() {
    insta::assert_snapshot!(human(&realistic()));
}

#[test]
fn a_realistic_change_for_a_review() {
    insta::assert_snapshot!(markdown(&realistic(), &MarkdownOptions::default()));
}

#[test]
fn a_realistic_change_for_a_program() {
    insta::assert_snapshot!(json(&realistic()));
}

#[test]
fn no_change_is_said() {
    let same = json!({"A": {"Type": "AWS::SNS::Topic"}});
    let diff = diff_of(&same, &same);
    assert_eq!(human(&diff).to_string(), "no changes\n");
    let expected = "<!-- synth-diff -->\n### No infrastructure change\n\nno changes\n";
    assert_eq!(markdown(&diff, &MarkdownOptions::default()), expected);
}

#[test]
fn lines_have_roles_to_paint_by() {
    let roles: Vec<Role> = human(&realistic()).lines.iter().map(|line| line.role).collect();
    for role in
        [Role::Heading, Role::Broadened, Role::Removed, Role::Replaced, Role::Modified, Role::Added, Role::Total]
    {
        assert!(roles.contains(&role), "{role:?}");
    }
}

/// Many stacks with a replacement, a removal, an addition and a change of many properties each.
fn large(stacks: usize) -> Diff {
    let names: Vec<String> = (0..stacks).map(|number| format!("stack-{number}")).collect();
    let side = |new: bool| {
        let variables: serde_json::Map<String, Value> =
            (0..20).map(|number| (format!("VARIABLE_{number}"), json!(format!("{new} {number}")))).collect();
        let mut resources = json!({
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": if new { "a" } else { "b" }}},
            "F": {"Type": "AWS::Lambda::Function", "Properties": {"Environment": {"Variables": variables}}}
        });
        resources[if new { "New" } else { "Old" }] = json!({"Type": "AWS::SNS::Topic"});
        Template::new(json!({"Resources": resources})).unwrap()
    };
    let (before, after) = (side(false), side(true));
    let stacks: Vec<StackChange<'_>> = names
        .iter()
        .map(|name| StackChange::new(StackKey::new(name.as_str(), "us-west-2"), Some(&before), Some(&after)))
        .collect();
    diff::diff(&stacks).unwrap()
}

#[test]
fn detail_goes_before_danger() {
    let diff = large(60);
    let whole = markdown(&diff, &MarkdownOptions { cap: usize::MAX, ..MarkdownOptions::default() });
    let options = MarkdownOptions { artifact: Some("`diff.json`".to_owned()), ..MarkdownOptions::default() };
    let text = markdown(&diff, &options);
    assert!(whole.len() > 60_000 && text.len() <= 60_000, "{} {}", whole.len(), text.len());
    let destructive =
        |text: &str| text.lines().filter(|line| line.starts_with("- ") && line.contains("(holds data)")).count();
    assert_eq!(destructive(&text), 60);
    assert!(text.lines().any(|line| line.ends_with("left out: see <code>diff.json</code>")));
    assert!(text.contains("#### Replaced or removed (120)"));
    // What is left uses the room that there is.
    assert!(text.len() > 55_000, "{}", text.len());
}

#[test]
fn what_is_destructive_is_counted_when_not_even_that_fits() {
    let text = markdown(&large(200), &MarkdownOptions { cap: 3_000, ..MarkdownOptions::default() });
    assert!(text.len() <= 3_000);
    assert!(text.contains("destructive lines") && text.contains("left out"), "{text}");
    let text = markdown(&large(200), &MarkdownOptions { cap: 400, ..MarkdownOptions::default() });
    assert!(text.len() <= 400 && text.contains("400 destructive lines and 200 details left out"), "{text}");
}

#[test]
fn a_marker_and_a_pointer_are_no_markup() {
    let options = MarkdownOptions {
        marker: "-a--><script>@b".to_owned(),
        subject: Some("<i>`@us`".to_owned()),
        against: Some("**those**".to_owned()),
        cap: 3_000,
        artifact: Some("<b>`@here`</b>".to_owned()),
        ..MarkdownOptions::default()
    };
    let text = markdown(&large(200), &options);
    let head = "<!-- a-scriptb -->\n### &#60;i&#62;<code>&#64;us</code>: infrastructure changes, something is replaced or \
                removed\n\nCompared with &#42;&#42;those&#42;&#42;: 200 stacks changed";
    assert!(text.starts_with(head), "{text}");
    assert!(text.contains("left out: see &#60;b&#62;<code>&#64;here</code>&#60;/b&#62;"), "{text}");
}

/// Names and values that try to be markup, a mention, a link, or to end what they stand in.
fn hostile() -> Diff {
    let names = [
        "<script>alert(1)</script>",
        "</details></code></li></ul>",
        "a|b|---|",
        "`x` ```\n\n# heading",
        "**bold** _it_ ~~gone~~",
        "@team #12 GH-1",
        "\u{1b}[31m\u{202e}",
        "<!-- x --> <img src=x onerror=alert(1)>",
        "[a](http://x) https://example.com www.example.com",
    ];
    let side = |new: bool| {
        let resources: serde_json::Map<String, Value> = names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let value = if new { names[(at + 1) % names.len()] } else { name };
                let properties = json!({"QueueName": value, "Tags": [{"Key": name, "Value": value}]});
                ((*name).to_owned(), json!({"Type": "AWS::SQS::Queue", "Properties": properties}))
            })
            .collect();
        Template::new(json!({"Resources": resources})).unwrap()
    };
    let (before, after) = (side(false), side(true));
    let key = StackKey::new("<b>`events`", "us-west-2`|@x");
    diff::diff(&[StackChange::new(key, Some(&before), Some(&after))]).unwrap()
}

/// Comments for a browser, in the folder that `TANDEM_PAGES` names.
///
/// Without the variable they go nowhere, and only what can be said of their text is looked at.
#[test]
fn comments_for_a_browser() {
    let folder = std::env::var_os("TANDEM_PAGES");
    let options = MarkdownOptions {
        subject: Some("`staging`".to_owned()),
        against: Some("what is deployed".to_owned()),
        artifact: Some("the artifacts of this run".to_owned()),
        ..MarkdownOptions::default()
    };
    let own = [("realistic", realistic()), ("hostile", hostile()), ("capped", large(60)), ("counted", large(800))];
    let own = own.into_iter().map(|(name, diff)| (name.to_owned(), diff));
    let fixtures = crate::fixtures::diffs().into_iter().enumerate();
    let fixtures = fixtures.map(|(number, (file, diff))| (format!("{file}-{number}"), diff));
    for (name, diff) in own.chain(fixtures) {
        let text = markdown(&diff, &options);
        assert!(text.len() <= options.cap);
        // A blank line after it makes what follows Markdown again, one before its end lets that be seen.
        assert_eq!(text.matches("<details><summary>").count(), text.matches("</summary>\n\n- ").count(), "{text}");
        assert_eq!(text.matches("<details>").count(), text.matches("\n\n</details>\n").count(), "{text}");
        if let Some(folder) = &folder {
            let path = std::path::Path::new(folder).join(format!("comment-{name}.md"));
            std::fs::write(path, text).unwrap();
        }
    }
}

#[test]
fn another_version_is_refused() {
    let error = from_json(r#"{"version": 2}"#).unwrap_err();
    assert!(matches!(error, JsonError::Version(2)));
    let expected = "this diff has version 2, and this tool reads version 1; make it anew by `synth diff --format json`";
    assert_eq!(error.to_string(), expected);
    assert!(matches!(from_json("[]").unwrap_err(), JsonError::Form(_)));
    assert!(matches!(from_json(r#"{"version": 1}"#).unwrap_err(), JsonError::Form(_)));
}
