//! How a run ends on a machine that isn't as it must be; in checkouts in which nothing can start.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::run::{checkout, command, ended, synth_in};

/// Where a failure is said: what the run is given, and what it must say on stderr.
struct Case {
    line: &'static str,
    says: &'static [&'static str],
}

fn check(run: impl Fn(&str) -> Command, cases: &[Case]) {
    for Case { line, says } in cases {
        let ended = ended(&mut run(line));
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "`{line}`: {}", ended.err);
        for part in *says {
            assert!(ended.err.contains(part), "`{line}` does not say `{part}`: {}", ended.err);
        }
    }
}

#[test]
fn a_port_that_another_program_has_is_named_with_both_ways_out() {
    let checkout = checkout();
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = holder.local_addr().expect("bound").port().to_string();
    let taken = format!("configuration error: port {port} on 127.0.0.1, which the ");
    for (variable, process) in [
        ("TANDEM_EMULATOR_PORT", "emulator"),
        ("TANDEM_KAFKA_PORT", "Kafka broker"),
        ("TANDEM_SCHEMA_REGISTRY_PORT", "Schema Registry"),
        ("TANDEM_CONSUMER_PORT", "consumer"),
    ] {
        let ended = ended(command(checkout.path(), "local up").env(variable, &port));
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{variable}: {}", ended.err);
        assert!(ended.err.contains(&format!("{taken}{process} is to use, is taken")), "{}", ended.err);
        assert!(ended.err.contains(&format!("lsof -nP -iTCP:{port}")), "{}", ended.err);
        assert!(ended.err.contains(&format!("unset `{variable}`")), "{}", ended.err);
    }
    let ended = ended(command(checkout.path(), "local up").env("TANDEM_EMULATOR_PORT", "70000"));
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("`TANDEM_EMULATOR_PORT` is `70000`, which is not a port"), "{}", ended.err);
}

#[test]
fn what_is_missing_comes_with_the_command_that_installs_it() {
    let checkout = checkout();
    let programs = tempfile::tempdir().expect("a folder");
    // A package manager and nothing else.
    let manager = programs.path().join("apt-get");
    fs::write(&manager, "#!/bin/sh\n").expect("writable");
    fs::set_permissions(&manager, fs::Permissions::from_mode(0o755)).expect("writable");
    let bare = |line: &str| {
        let mut command = command(checkout.path(), line);
        command.env("PATH", programs.path()).env_remove("OPENSSL_DIR");
        command
    };
    check(
        bare,
        &[Case {
            line: "deploy",
            says: &[
                "configuration error: this machine lacks Rust ",
                "C compiler",
                "Python 3.10 or newer",
                "apt-get install -y gcc libc6-dev",
                "apt-get install -y python3 python3-venv",
            ],
        }],
    );
    let doctor = ended(&mut bare("doctor"));
    assert_eq!((doctor.code, doctor.err.as_str()), (1, ""));
    assert!(doctor.out.contains("missing  Python 3.10 or newer: found none on `PATH`"), "{}", doctor.out);
    assert!(doctor.out.contains("repair: apt-get install -y python3 python3-venv"), "{}", doctor.out);
    assert!(doctor.out.contains("missing  C compiler: no `cc` on `PATH`"), "{}", doctor.out);
}

#[test]
fn without_a_platform_each_command_says_what_to_do_first() {
    let checkout = checkout();
    check(
        |line| command(checkout.path(), line),
        &[
            Case {
                line: "smoke",
                says: &["the local platform of `sandbox` does not run", "synth deploy --env sandbox"],
            },
            Case { line: "local logs consumer", says: &["there is no log of `consumer`; there are none yet"] },
        ],
    );
    let status = synth_in(checkout.path(), "status --format json");
    assert_eq!((status.code, status.err.as_str()), (0, ""));
    let status = status.json();
    assert_eq!((&status["reachable"], &status["cause"]), (&false.into(), &serde_json::Value::Null), "{status:#}");
    assert!(status["stacks"].as_array().is_some_and(|stacks| stacks.iter().all(|one| one["compared"] == "missing")));
    let destroyed = synth_in(checkout.path(), "destroy --yes");
    assert_eq!((destroyed.code, destroyed.out.as_str()), (0, "no stack was there\n"), "{}", destroyed.err);
}

#[test]
fn logs_have_no_json_form() {
    let ended = synth_in(checkout().path(), "local logs --format json");
    assert_eq!(ended.code, 1);
    assert_eq!(ended.json()["error"]["message"], "logs are lines of text and have no JSON form");
}

#[test]
fn the_smoke_test_refuses_what_it_cannot_speak_to() {
    let checkout = checkout();
    super::run::edit(&checkout, "staging", "account = \"000000000000\"", "account = \"123456789012\"");
    let ended = synth_in(checkout.path(), "smoke --env staging");
    assert_eq!((ended.code, ended.out.as_str()), (5, ""), "{}", ended.err);
    assert!(ended.err.starts_with("refused: environment `staging` is on AWS"), "{}", ended.err);
    assert!(ended.err.contains("synth smoke --env sandbox"), "{}", ended.err);
}
