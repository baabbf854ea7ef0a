//! Files that people write.

use infra::environment::Environment;
use policy::RuleFile;
use serde_json::json;

use crate::parser::{Parser, monsters};
use crate::text;

/// An environment file.
pub(crate) const ENVIRONMENT: Parser = Parser {
    corpus: &["../../environments"],
    // The name of a file counts; only that of staging speaks of staging.
    parse: |bytes| {
        let body = text(bytes);
        let names = ["staging.toml", "production.toml", "sandbox.toml"];
        let name = names.into_iter().find(|name| body.contains(&name[..name.len() - 5])).unwrap_or("sandbox.toml");
        let read = Environment::parse(name, &body);
        assert!(!read.as_ref().is_err_and(Vec::is_empty), "refused without a mistake");
        read.is_ok()
    },
    memory: [2 * 1024 * 1024, 800],
    hostile: || {
        let file = include_str!("../../../../environments/sandbox.toml");
        let arrays = format!("{file}\nx = {}{}\n", "[".repeat(500_000), "]".repeat(500_000));
        let tables =
            format!("{file}\n{}\n", (0..10_000).map(|number| format!("[t{number}.a.b]\n")).collect::<String>());
        let dots = format!("{file}\n[{}]\n", vec!["a"; 500_000].join("."));
        let text = format!("{file}\nx = \"{}\"\n", "a".repeat(1_000_000));
        let keys =
            format!("{file}\n{}", (0..60_000).map(|number| format!("unknown_{number} = 1\n")).collect::<String>());
        [arrays, tables, dots, text, keys].into_iter().map(String::into_bytes).collect()
    },
};

/// A file of Guard rules, evaluated over a small template.
pub(crate) const GUARD_FILE: Parser = Parser {
    corpus: &["../../infra/policy"],
    parse: |bytes| {
        let Ok(file) = RuleFile::parse("rules.guard", &text(bytes)) else { return false };
        let template = json!({
            "Resources": {
                "Table": { "Type": "AWS::DynamoDB::Table", "Properties": { "Tags": [{ "Key": "a", "Value": "b" }] } },
                "Role": { "Type": "AWS::IAM::Role", "Properties": { "Policies": [{ "Statement": { "Action": "*" } }] } },
            },
        });
        file.evaluate(&template).is_ok()
    },
    // A pattern may compile to 10 MB, and its library needs as much again while it does.
    memory: [32 * 1024 * 1024, 400],
    hostile: || {
        let rule = "rule a {\n  Resources exists\n}\n";
        let mut files: Vec<String> = vec![
            format!("rule a {{\n  {}\n", "when Resources exists {".repeat(50_000)),
            format!("rule a {{\n  Resources == {}{}\n}}\n", "[".repeat(500_000), "]".repeat(500_000)),
            format!("rule a {{\n  Resources{} exists\n}}\n", ".a".repeat(500_000)),
            format!("rule a {{\n  Resources{} exists\n}}\n", "[ a exists ".repeat(100_000)),
            format!("rule a {{\n  {} exists\n}}\n", "some ".repeat(200_000)),
            format!("rule a {{\n  {} Resources exists\n}}\n", "not ".repeat(250_000)),
            format!("rule a {{\n  Resources == /{}/\n}}\n", "(a{1,1000}){1,1000}"),
            format!("let a = \"{}\"\n{rule}", "a".repeat(1_000_000)),
            (0..4_000).map(|number| format!("rule r{number} {{\n  Resources exists\n}}\n")).collect(),
            (0..2_000).map(|number| format!("let v{} = %v{number}\n", number + 1)).collect::<String>() + rule,
            "rule a { a }\n".to_owned(),
        ];
        files.push("rule a {\n  b\n}\nrule b {\n  a\n}\n".to_owned());
        files.into_iter().map(String::into_bytes).chain(monsters("", &[])).collect()
    },
};
