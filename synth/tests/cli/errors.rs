//! How a failed run ends.

use std::process::Stdio;

use super::run::{command, root, synth, synth_in};

#[test]
fn a_wrong_command_line_is_a_usage_error_with_code_1() {
    for line in ["", "lst", "list --formt json", "list --format yaml", "smoke --count many", "local"] {
        let ended = synth(line);
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "`{line}`");
        assert!(ended.err.contains("--help"), "`{line}`: {}", ended.err);
    }
}

#[test]
fn a_wrong_command_line_is_json_when_asked_for() {
    let ended = synth("lst --format json");
    assert_eq!((ended.code, ended.err.as_str()), (1, ""));
    let error = &ended.json()["error"];
    assert_eq!(error["kind"], "usage");
    assert_eq!(error["message"], "unrecognized subcommand 'lst'");
}

#[test]
fn outside_a_checkout_the_way_back_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ended = synth_in(folder.path(), "list");
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert!(ended.err.starts_with("configuration error: `"), "{}", ended.err);
    assert!(ended.err.ends_with("\n  hint: change into a folder of the checkout\n"), "{}", ended.err);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = command(&root(), "list --env all")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool can be started");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the tool ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn colour_comes_only_when_it_is_wanted() {
    let escape = '\x1b';
    assert!(!synth("list").out.contains(escape));
    assert!(synth("list --color always").out.contains(escape));
    assert!(!synth("list --color always --format json").out.contains(escape));
    assert!(synth("list --env none --color always").err.contains(escape));
}

#[test]
fn the_local_platform_is_for_local_environments() {
    let ended = synth("local up --env staging");
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert!(ended.err.starts_with("usage error: environment `staging` is on AWS"), "{}", ended.err);
}

#[test]
fn a_placeholder_account_is_not_deployed_to() {
    for line in [
        "deploy --env staging --yes",
        "destroy --env staging --yes",
        "status --env staging",
        "smoke --env staging",
        "generate --env staging",
        "redrive --env staging",
        "sweep --env staging",
    ] {
        let ended = synth(line);
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{line}: {}", ended.err);
        assert!(ended.err.contains("`account` is \"000000000000\""), "{line}: {}", ended.err);
    }
}

#[test]
fn what_can_be_replayed_is_said_before_anything_is_asked() {
    for (line, says) in [
        (
            "redrive --queue nothing",
            "usage error: there is no dead-letter queue `nothing` in us-west-2\n  hint: there are: event-bus-dead-letters, ",
        ),
        ("redrive --queue event-router-failures --dry-run", "refused: `event-router-failures` can't be replayed: "),
        ("redrive --queue raw-events-dead-letters --filter program=x", "usage error: `raw-events-dead-letters` holds "),
        (
            "redrive --queue observer-dead-letters --region eu-west-1",
            "usage error: environment `sandbox` has no region",
        ),
        ("redrive --dry-run", "error: the following required arguments were not provided:\n  --queue"),
        (
            "redrive --queue x --filter class=x",
            "error: invalid value 'class=x' for '--filter <KEY=VALUE>': a letter can't",
        ),
    ] {
        let ended = synth(line);
        assert_eq!(ended.out, "", "{line}");
        assert!(ended.err.starts_with(says), "{line}: {}", ended.err);
        assert_eq!(ended.code, if says.starts_with("refused") { 5 } else { 1 }, "{line}");
    }
}

#[test]
fn what_can_be_swept_is_said_before_anything_is_asked() {
    for (line, says, code) in [
        ("sweep", "refused: generation 0 is the first one: no row can be of an earlier one\n  hint: first raise ", 5),
        (
            "sweep --generation 1 --dry-run",
            "refused: the consumer of `sandbox` writes generation 0, so nothing was ",
            5,
        ),
        ("sweep --region eu-west-1", "usage error: environment `sandbox` has no region", 1),
        ("sweep --entity order", "error: invalid value 'order' for '--entity <ENTITY>': `order` is no entity", 1),
        ("sweep --max-share 101%", "error: invalid value '101%' for '--max-share <PERCENT>': expected a share of ", 1),
        ("sweep --writes 0", "error: invalid value '0' for '--writes <ROWS>': 0 is not in ", 1),
    ] {
        let ended = synth(line);
        assert_eq!((ended.out.as_str(), ended.code), ("", code), "{line}: {}", ended.err);
        assert!(ended.err.starts_with(says), "{line}: {}", ended.err);
    }
}
