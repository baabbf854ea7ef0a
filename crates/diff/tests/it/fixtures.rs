//! Pairs of templates with what is to be said about them, in `tests/fixtures/`, one file a matter.
//!
//! A case has a name, `before` and `after` (a template, its resources, or nothing), what else is known, and what is
//! expected: the classes of the summary and every line for people but the last. A case with `stacks` has several.

use diff::{ChangeClass, Diff, StackChange};
use serde_json::Value;

use crate::support::Templates;

const FILES: [(&str, &str); 8] = [
    ("access", include_str!("../fixtures/access.json")),
    ("change_set", include_str!("../fixtures/change_set.json")),
    ("grouping", include_str!("../fixtures/grouping.json")),
    ("network", include_str!("../fixtures/network.json")),
    ("replacement", include_str!("../fixtures/replacement.json")),
    ("secrets", include_str!("../fixtures/secrets.json")),
    ("structure", include_str!("../fixtures/structure.json")),
    ("transition", include_str!("../fixtures/transition.json")),
];

#[test]
fn every_pair_means_what_is_written_beside_it() {
    let mut wrong = Vec::new();
    let mut number = 0;
    for (file, text) in FILES {
        let cases: Vec<Value> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        for case in &cases {
            number += 1;
            let actual = outcome(case);
            let expected = (strings(&case["classes"]), strings(&case["lines"]));
            if actual != expected {
                let name = case["name"].as_str().unwrap_or_default();
                wrong.push(format!("{file}: {name}\n  {:?}\n  {}", actual.0, actual.1.join("\n  ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {number} cases say something else:\n{}", wrong.len(), wrong.join("\n"));
    assert!(number >= 60, "only {number} cases were read");
}

#[test]
fn no_secret_is_in_any_form() {
    const SECRET: &str = "pa55";
    let secrets = include_str!("../fixtures/secrets.json");
    assert!(secrets.matches(SECRET).count() > 10);
    let cases: Vec<Value> = serde_json::from_str(secrets).unwrap();
    for case in &cases {
        let templates = Templates::of(case);
        let diff = diff::diff(&[templates.stack(case)]).unwrap();
        let markdown = diff::render::markdown(&diff, &diff::render::MarkdownOptions::default());
        for form in [diff::render::human(&diff).to_string(), markdown, diff::render::json(&diff)] {
            assert!(!form.contains(SECRET), "{}: {form}", case["name"]);
        }
    }
}

#[test]
fn every_rule_about_transitions_has_a_pair() {
    let mut told: String = FILES.iter().map(|(_, text)| *text).collect();
    told.push_str(include_str!("limits.rs"));
    let missing: Vec<&str> = diff::rules().into_iter().filter(|rule| !told.contains(&format!("`{rule}`"))).collect();
    assert_eq!(missing, [] as [&str; 0]);
}

/// The diff of every pair, with the name of its file.
pub(crate) fn diffs() -> Vec<(&'static str, Diff)> {
    let cases = |text: &str| serde_json::from_str::<Vec<Value>>(text).expect("cases");
    FILES.iter().flat_map(|(file, text)| cases(text).into_iter().map(|case| (*file, diff_of(&case)))).collect()
}

fn diff_of(case: &Value) -> Diff {
    let one = std::slice::from_ref(case);
    let cases = case["stacks"].as_array().map_or(one, Vec::as_slice);
    let templates: Vec<Templates> = cases.iter().map(Templates::of).collect();
    let stacks: Vec<StackChange<'_>> =
        templates.iter().zip(cases).map(|(templates, case)| templates.stack(case)).collect();
    diff::diff(&stacks).expect("stacks that differ")
}

fn outcome(case: &Value) -> (Vec<String>, Vec<String>) {
    let diff = diff_of(case);
    let class = |class: &ChangeClass| match class {
        ChangeClass::Changes => "changes".to_owned(),
        ChangeClass::Destructive => "destructive".to_owned(),
        ChangeClass::Broadened => "broadened".to_owned(),
    };
    let mut lines: Vec<String> = diff::render::human(&diff).lines.iter().map(ToString::to_string).collect();
    lines.pop();
    (diff.summary().classes.iter().map(class).collect(), lines)
}

fn strings(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten();
    texts.map(|text| text.as_str().expect("a text").to_owned()).collect()
}
