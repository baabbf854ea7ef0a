//! `drift`, `watch` and `cancel`, as far as they go without a platform.

use super::run::{checkout, edit, synth_in};

const COMMANDS: [&str; 3] = ["drift", "watch", "cancel --yes"];

#[test]
fn a_wrong_name_is_said_before_anybody_is_asked() {
    let checkout = checkout();
    edit(&checkout, "production", "account = \"000000000000\"", "account = \"222222222222\"");
    for command in COMMANDS {
        for selection in ["--stack nothing", "--region eu-west-1", "--stack data --region us-east-1"] {
            // Of production: asking would need credentials, and their lack would be another error.
            let ended = synth_in(checkout.path(), &format!("{command} --env production {selection}"));
            assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{command} {selection}");
            assert!(ended.err.starts_with("usage error: no stack has that name in that region"), "{}", ended.err);
            assert!(ended.err.contains("data@us-west-2"), "{}", ended.err);
        }
    }
}

#[test]
fn without_a_platform_there_is_nothing_to_ask() {
    let checkout = checkout();
    for command in COMMANDS {
        let ended = synth_in(checkout.path(), &format!("{command} --env sandbox --format json"));
        assert_eq!(ended.code, 1, "{command}");
        let error = &ended.json()["error"];
        assert_eq!(error["message"], "the local platform of `sandbox` does not run", "{command}");
        assert_eq!(error["hints"][0], "deploy first: `synth deploy --env sandbox`", "{command}");
    }
}

#[test]
fn only_what_can_be_a_comment_is_markdown() {
    let checkout = checkout();
    for command in ["watch", "cancel"] {
        let ended = synth_in(checkout.path(), &format!("{command} --env sandbox --format markdown"));
        assert_eq!(ended.code, 1);
        assert!(ended.err.starts_with("usage error: only `diff` and `drift` write Markdown"), "{}", ended.err);
    }
}
