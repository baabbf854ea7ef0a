//! `--help` of every command, byte for byte.

use super::run::synth;

#[test]
fn every_command_teaches() {
    let commands = [
        "",
        "list",
        "synth",
        "check",
        "roles",
        "parity",
        "graph",
        "diff",
        "build",
        "deploy",
        "watch",
        "cancel",
        "status",
        "drift",
        "destroy",
        "kubernetes",
        "kubernetes apply",
        "kubernetes diff",
        "smoke",
        "generate",
        "redrive",
        "breaker",
        "breaker show",
        "breaker force-open",
        "breaker force-closed",
        "breaker metrics-only",
        "breaker release",
        "sweep",
        "local",
        "local up",
        "local down",
        "local logs",
        "local reset",
        "doctor",
    ];
    for command in commands {
        let ended = synth(&format!("{command} --help"));
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{command}");
        assert!(
            ["Example:\n  synth ", "Examples:\n  synth "].iter().any(|part| ended.out.contains(part)),
            "{command}: {}",
            ended.out
        );
        let name = if command.is_empty() { "all".to_owned() } else { command.replace(' ', "_") };
        insta::assert_snapshot!(format!("help_{name}"), ended.out);
    }
}

#[test]
fn the_supervisor_is_not_offered() {
    assert!(!synth("local --help").out.contains("supervise"));
}

#[test]
fn version_is_an_answer() {
    let ended = synth("--version");
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert!(ended.out.starts_with("synth "), "{ended:?}");
}
