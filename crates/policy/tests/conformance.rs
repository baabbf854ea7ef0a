//! The same verdicts as `cfn-guard`: `conformance/verdicts.txt` was written by version 3.2.0 from these files.

use std::fmt::Write as _;

use policy::RuleFile;
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
