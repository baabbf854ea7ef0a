//! The same verdicts as `cfn-guard`: `conformance/verdicts.txt` was written by version 3.2.0 from these files.

use std::fmt::Write as _;

use policy::{RuleFile, Status};
use serde_json::Value as Json;

const RULES: &str = include_str!("conformance/language.guard");
const DOCUMENTS: [(&str, &str); 4] = [
    ("bare", include_str!("conformance/bare.json")),
    ("good", include_str!("conformance/good.json")),
    ("mixed", include_str!("conformance/mixed.json")),
    ("others", include_str!("conformance/others.json")),
];

#[test]
fn verdicts_are_those_of_cfn_guard() {
    let rules = RuleFile::parse("language.guard", RULES).expect("rules of the language");
    let mut verdicts = String::new();
    for (name, text) in DOCUMENTS {
        let document: Json = serde_json::from_str(text).expect("JSON");
        for outcome in rules.evaluate(&document).expect("verdicts") {
            assert_eq!(outcome.status == Status::Fail, !outcome.failures.is_empty(), "{name} {}", outcome.rule);
            writeln!(verdicts, "{name} {} {}", outcome.rule, outcome.status).expect("a text");
        }
    }
    let expected = include_str!("conformance/verdicts.txt");
    let different: Vec<_> = expected.lines().zip(verdicts.lines()).filter(|(left, right)| left != right).collect();
    assert!(different.is_empty(), "cfn-guard and this crate differ: {different:#?}");
    assert_eq!(expected.lines().count(), verdicts.lines().count());
    // Each verdict occurs often enough that the comparison means something.
    for status in ["PASS", "FAIL", "SKIP"] {
        assert!(verdicts.matches(status).count() >= 20, "{status}");
    }
}

/// Whoever reads failures only must still see that the rule failed.
#[test]
fn some_of_nothing_fails_and_says_where() {
    for (name, clause, subject, place) in [
        ("an empty list", "some %things.Kinds == 'wanted'", r#"{"Kinds": []}"#, "Things/one/Kinds"),
        ("each item of an empty list", "some %things.Kinds[*] == 'wanted'", r#"{"Kinds": []}"#, "Things/one/Kinds"),
        ("a missing list", "some %things.Kinds[*] == 'wanted'", "{}", "Things/one"),
    ] {
        let text = format!("let things = Things.*\nrule wanted when %things !empty {{\n  {clause} << want it >>\n}}");
        let rules = RuleFile::parse("some.guard", &text).expect(name);
        let document = serde_json::from_str(&format!(r#"{{"Things": {{"one": {subject}}}}}"#)).expect("JSON");
        let outcomes = rules.evaluate(&document).expect("verdicts");
        let [outcome] = outcomes.as_slice() else { panic!("{name}: {outcomes:#?}") };
        assert_eq!(outcome.status, Status::Fail, "{name}");
        let [failure] = outcome.failures.as_slice() else { panic!("{name}: {outcome:#?}") };
        assert_eq!((failure.path.as_str(), failure.message.as_deref()), (place, Some("want it")), "{name}");
    }
}

/// Words were compared byte by byte: a letter of several bytes where a keyword could be was cut in its middle, with a panic.
#[test]
fn letters_of_any_length_may_stand_where_a_keyword_could() {
    for text in
        ["été", "ルール", "rul\u{e9}", "rule a {\n  é exists\n}", "rule a {\n  b == nué\n}", "let a = tru\u{1f600}"]
    {
        RuleFile::parse("words.guard", text).expect_err(text);
    }
    RuleFile::parse("words.guard", "rule a {\n  'é' exists << étés >>\n}").expect("a rule");
}

/// Reading and evaluating go as deep as the text, and used to end the process where the stack did.
#[test]
fn depth_is_limited() {
    let parse = |open: &str, inner: &str, close: &str, depth: usize| {
        let clause = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
        // A list is no clause, but what a clause compares with.
        let clause = if open.starts_with(['[', '{']) { format!("b == {clause}") } else { clause };
        RuleFile::parse("deep.guard", &format!("rule a {{\n  {clause}\n}}"))
    };
    for (open, inner, close) in [
        ("when b exists { ", "b exists", " }"),
        ("b { ", "b exists", " }"),
        ("b[ ", "b exists", " ] exists"),
        ("[", "1", "]"),
        ("{a: ", "1", "}"),
    ] {
        for depth in [65, 100_000] {
            let problem = parse(open, inner, close, depth).map(|_| ()).expect_err("too deep");
            assert_eq!(problem.what, "more than 64 blocks, filters, lists and maps lie in each other", "{open}");
        }
        parse(open, inner, close, 60).expect("not too deep").evaluate(&Json::Null).expect("verdicts");
    }
}
