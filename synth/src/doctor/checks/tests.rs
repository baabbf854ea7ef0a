//! The checks on made-up machines: a folder of small scripts as the only folder of `PATH`.

use std::fs;
use std::process::Command;

use super::*;

/// A machine that has everything.
const COMPLETE: &[(&str, &str)] = &[
    ("cargo", "echo cargo 1.95.0"),
    ("rustc", "echo 'rustc 1.95.0 (abc 2026-01-01)'"),
    ("cc", "exit 0"),
    ("make", "exit 0"),
    ("pkg-config", "echo 3.0.15"),
    ("python3", "echo 3.11.7"),
    ("apt-get", "exit 0"),
];

struct Bench {
    _folder: tempfile::TempDir,
    machine: Machine,
}

/// A machine with the scripts of `COMPLETE`, those of the same name replaced, and those with an empty text left out.
fn machine(changes: &[(&str, &str)], variables: &[(&str, &str)]) -> Bench {
    let folder = tempfile::tempdir().expect("a folder");
    let mut scripts: std::collections::BTreeMap<&str, &str> = COMPLETE.iter().copied().collect();
    scripts.extend(changes.iter().copied());
    for (name, text) in scripts.into_iter().filter(|(_, text)| !text.is_empty()) {
        let path = folder.path().join(name);
        // Written by another process: a file that this one holds open for writing can't be run by its other threads.
        let written = Command::new("/bin/sh")
            .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod +x \"$1\"", "sh"])
            .arg(&path)
            .arg(text)
            .status()
            .expect("a shell");
        assert!(written.success());
    }
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let path = vec![folder.path().to_owned()];
    let machine = Machine { path, variables, work: folder.path().to_owned(), free_mib: Some(50 << 10) };
    Bench { _folder: folder, machine }
}

fn verdicts(findings: &[Finding]) -> Vec<(&str, Verdict)> {
    findings.iter().map(|finding| (finding.name.as_str(), finding.verdict)).collect()
}

#[test]
fn a_complete_machine_has_only_good_findings() {
    let bench = machine(&[], &[]);
    let findings = all(&bench.machine, Needs::Local);
    let expected = [
        "Rust 1.95.0 with cargo",
        "C compiler",
        "make",
        "pkg-config",
        "OpenSSL headers",
        "disk space",
        "Python 3.10 or newer",
        "Python modules venv and pip",
    ];
    assert_eq!(verdicts(&findings), expected.map(|name| (name, Verdict::Ok)), "{findings:#?}");
    assert!(findings.iter().all(|finding| finding.repair.is_none()));
}

#[test]
fn each_missing_or_unfit_prerequisite_is_named_with_its_repair() {
    use Verdict::{Missing, Warning};
    // (replaced scripts, variables, finding, verdict, part of what was found, part of the repair)
    type Case = (
        &'static [(&'static str, &'static str)],
        &'static [(&'static str, &'static str)],
        &'static str,
        Verdict,
        &'static str,
        &'static str,
    );
    let cases: &[Case] = &[
        (&[("cargo", "")], &[], "Rust 1.95.0 with cargo", Missing, "no cargo", "https://rustup.rs"),
        (&[("rustc", "exit 1")], &[], "Rust 1.95.0 with cargo", Missing, "no rustc", "https://rustup.rs"),
        (
            &[("rustc", "echo rustc 1.94.1"), ("rustup", "exit 0")],
            &[],
            "Rust 1.95.0 with cargo",
            Missing,
            "rustc 1.94.1 is too old",
            "rustup toolchain install 1.95.0",
        ),
        (&[("rustc", "echo rustc 1.100.0")], &[], "Rust 1.95.0 with cargo", Warning, "not the tested one", "rustup"),
        (&[("cc", "")], &[], "C compiler", Missing, "no `cc`", "apt-get install -y gcc libc6-dev"),
        (
            &[("make", ""), ("apt-get", ""), ("dnf", "exit 0"), ("sudo", "exit 0")],
            &[("USER", "alice")],
            "make",
            Missing,
            "no `make` or `gmake`",
            "sudo dnf install -y make",
        ),
        (&[("cc", ""), ("apt-get", ""), ("brew", "exit 1")], &[], "C compiler", Missing, "", "xcode-select --install"),
        (&[("make", ""), ("apt-get", "")], &[], "make", Missing, "", "install it with your package manager"),
        (
            &[("pkg-config", "")],
            &[],
            "pkg-config",
            Missing,
            "no `pkg-config` or `pkgconf`",
            "apt-get install -y pkg-config",
        ),
        (&[("pkg-config", "")], &[], "OpenSSL headers", Warning, "unknown", "libssl-dev"),
        (
            &[("pkg-config", "exit 1")],
            &[],
            "OpenSSL headers",
            Missing,
            "knows no `openssl`",
            "apt-get install -y libssl-dev",
        ),
        (&[("python3", "")], &[], "Python 3.10 or newer", Missing, "found none on `PATH`", "python3-venv"),
        (&[("python3", "echo 3.9.2")], &[], "Python 3.10 or newer", Missing, "found only 3.9.2", "python3-venv"),
        (
            &[("python3", "case \"$3\" in *ensurepip*) exit 1;; esac; echo 3.12.0")],
            &[],
            "Python modules venv and pip",
            Missing,
            "has no module venv or ensurepip",
            "python3-venv",
        ),
    ];
    for (scripts, variables, name, verdict, found, repair) in cases {
        let bench = machine(scripts, variables);
        let findings = all(&bench.machine, Needs::Local);
        let finding = findings.iter().find(|finding| finding.name == *name).expect("it is checked");
        assert_eq!(finding.verdict, *verdict, "{scripts:?}: {finding:?}");
        assert!(finding.found.contains(found), "{scripts:?}: {finding:?}");
        assert!(finding.repair.as_deref().is_some_and(|text| text.contains(repair)), "{scripts:?}: {finding:?}");
    }
}

#[test]
fn an_older_python_is_passed_over_for_a_newer_one() {
    let bench = machine(&[("python3", "echo 3.8.10"), ("python3.12", "echo 3.12.1")], &[]);
    let findings = all(&bench.machine, Needs::Local);
    let python = findings.iter().find(|finding| finding.name.starts_with("Python 3")).expect("it is checked");
    assert!(python.verdict == Verdict::Ok && python.found.starts_with("3.12.1 ("), "{python:?}");
}

#[test]
fn openssl_of_one_s_own_or_of_homebrew_is_enough() {
    for (scripts, variables) in [
        (&[("pkg-config", "exit 1")][..], &[("OPENSSL_DIR", "/opt/ssl")][..]),
        (&[("pkg-config", "exit 1"), ("brew", "echo /opt/homebrew/opt/openssl@3")][..], &[][..]),
    ] {
        let bench = machine(scripts, variables);
        assert_eq!(openssl(&bench.machine).verdict, Verdict::Ok, "{variables:?}");
    }
}

#[test]
fn little_disk_space_warns_and_almost_none_stops() {
    let mut bench = machine(&[], &[]);
    for (free_mib, verdict) in [(1 << 10, Verdict::Missing), (5 << 10, Verdict::Warning), (10 << 10, Verdict::Ok)] {
        bench.machine.free_mib = Some(free_mib);
        assert_eq!(disk(&bench.machine).verdict, verdict, "{free_mib}");
    }
}

#[test]
fn credentials_are_looked_for_where_the_sdk_looks() {
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join(".aws")).expect("writable");
    fs::write(home.path().join(".aws/config"), "").expect("writable");
    let home = home.path().to_str().expect("a name");
    let cases: [(&[(&str, &str)], Verdict); 7] = [
        (&[], Verdict::Warning),
        (&[("AWS_ACCESS_KEY_ID", "a")], Verdict::Warning),
        (&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "")], Verdict::Warning),
        (&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")], Verdict::Ok),
        (&[("AWS_PROFILE", "a")], Verdict::Ok),
        (&[("AWS_WEB_IDENTITY_TOKEN_FILE", "a"), ("AWS_ROLE_ARN", "b")], Verdict::Ok),
        (&[("HOME", home)], Verdict::Ok),
    ];
    for (variables, verdict) in cases {
        let bench = machine(&[], variables);
        let findings = all(&bench.machine, Needs::Aws);
        let finding = findings.iter().find(|finding| finding.name == "AWS credentials").expect("it is checked");
        assert_eq!(finding.verdict, verdict, "{variables:?}");
        assert!(!findings.iter().any(|finding| finding.name.starts_with("Python")), "AWS needs no emulator");
    }
}

#[test]
fn what_builds_for_lambda_is_looked_for() {
    let library = tempfile::tempdir().expect("a folder");
    let rustc = format!("case $1 in --print) echo {};; *) echo rustc 1.95.0;; esac", library.path().display());
    let linker = [("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc")];
    let bench = machine(&[("rustc", &rustc)], &linker);
    assert_eq!(lambda_target(&bench.machine).verdict, Verdict::Ok);
    assert_eq!(lambda_linker(&bench.machine).verdict, Verdict::Ok);
    let bench = machine(&[], &[]);
    let target = lambda_target(&bench.machine);
    assert_eq!(target.verdict, Verdict::Missing);
    assert_eq!(target.repair.as_deref(), Some("rustup target add aarch64-unknown-linux-gnu"));
    let found = all(&bench.machine, Needs::Aws);
    assert!(found.iter().any(|finding| finding.name == "linker for arm64"), "{found:?}");
}

#[cfg(not(all(target_arch = "aarch64", target_os = "linux")))]
#[test]
fn an_installed_arm64_compiler_that_cargo_is_not_told_of_is_not_enough() {
    let variable = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER";
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join(".cargo")).expect("writable");
    fs::write(home.path().join(".cargo/config.toml"), "[target.aarch64-unknown-linux-gnu]\n").expect("writable");
    let bench = machine(&[], &[("HOME", home.path().to_str().expect("a name"))]);
    assert_eq!(lambda_linker(&bench.machine).verdict, Verdict::Ok);
    for (scripts, repair) in [
        (&[][..], "apt-get install -y gcc-aarch64-linux-gnu libc6-dev-arm64-cross, then export "),
        (&[("aarch64-linux-gnu-gcc", "exit 0")][..], "export "),
    ] {
        let finding = lambda_linker(&machine(scripts, &[]).machine);
        assert_eq!(finding.verdict, Verdict::Missing);
        assert_eq!(finding.repair, Some(format!("{repair}{variable}=aarch64-linux-gnu-gcc")));
    }
}

#[test]
fn the_pinned_version_is_read_from_the_toolchain_file() {
    assert_eq!(number(pinned_rust()).len(), 3);
}
