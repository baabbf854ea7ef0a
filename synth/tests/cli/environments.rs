//! Which environment is meant, and what is said about a wrong one.

use super::run::{checkout, command, edit, synth, synth_in};

#[test]
fn all_mistakes_of_all_files_come_at_once() {
    let checkout = checkout();
    edit(&checkout, "sandbox", "timeout = \"60s\"", "timeout = \"3 sec\"");
    edit(&checkout, "sandbox", "[alarms]", "[alarms]\nrecipient = []");
    edit(&checkout, "staging", "security = \"sasl_ssl\"", "security = \"plaintext\"");
    let ended = synth_in(checkout.path(), "check");
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    insta::assert_snapshot!("mistakes", ended.err);
}

#[test]
fn mistakes_are_one_json_document_on_stdout() {
    let checkout = checkout();
    edit(&checkout, "sandbox", "memory = \"256Mi\"", "memory = \"256MB\"");
    let ended = synth_in(checkout.path(), "list --format json");
    assert_eq!((ended.code, ended.err.as_str()), (1, ""));
    let error = &ended.json()["error"];
    assert_eq!(error["kind"], "configuration");
    let detail = error["details"][0].as_str().expect("a detail");
    assert!(detail.starts_with("environments/sandbox.toml:"), "{detail}");
}

#[test]
fn an_unknown_environment_names_the_known_ones() {
    let ended = synth("list --env stagin");
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert_eq!(
        ended.err,
        "usage error: there is no environment `stagin`\n  hint: there are: production, sandbox, staging\n"
    );
}

#[test]
fn sandbox_is_meant_unless_something_else_is_said() {
    let listed = |line: &str, variable: Option<&str>| {
        let mut command = command(&super::run::root(), line);
        if let Some(name) = variable {
            command.env("TANDEM_ENV", name);
        }
        let output = command.output().expect("the tool can be started");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let environments = document["environments"].as_array().expect("a list").clone();
        environments.iter().map(|it| it["environment"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let list = "list --format json";
    assert_eq!(listed(list, None), ["sandbox"]);
    assert_eq!(listed(list, Some("staging")), ["staging"]);
    assert_eq!(listed("--env production list --format json", Some("staging")), ["production"]);
    assert_eq!(listed("list --env staging --env sandbox --format json", None), ["staging", "sandbox"]);
    assert_eq!(listed("list --env all --format json", None), ["production", "sandbox", "staging"]);
}

/// A variable that was set for other commands doesn't make the check look at less.
#[test]
fn a_check_is_of_all_environments_unless_its_own_line_says_otherwise() {
    let checked = |line: &str| {
        let mut command = command(&super::run::root(), line);
        command.env("TANDEM_ENV", "staging");
        super::run::ended(&mut command).json()["environments"].clone()
    };
    assert_eq!(checked("check --format json"), 3);
    assert_eq!(checked("check --env sandbox --format json"), 1);
}

#[test]
fn an_empty_variable_is_none() {
    let mut line = command(&super::run::root(), "list --format json");
    line.env("TANDEM_ENV", "");
    assert_eq!(super::run::ended(&mut line).json()["environments"][0]["environment"], "sandbox");
}
