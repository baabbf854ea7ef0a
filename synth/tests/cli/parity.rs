//! `parity`: what is said about regions that are alike, and how a run ends.

use super::run::{command, ended, root, synth};

#[test]
fn the_committed_environments_are_alike() {
    for environment in ["sandbox", "staging", "production"] {
        let ended = synth(&format!("parity --env {environment}"));
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
        assert!(ended.out.starts_with(&format!("{environment}\n")), "{}", ended.out);
        assert!(ended.out.contains("  the regions are alike but for what is allowed ("), "{}", ended.out);
        let differences: Vec<&str> = ended.out.lines().filter(|line| line.contains("us-east-1")).collect();
        assert!(
            !differences.is_empty() && differences.iter().all(|line| line.contains("(allowed: ")),
            "{differences:#?}"
        );
    }
}

#[test]
fn json_tells_what_is_allowed_and_why() {
    let answer = synth("parity --env all --format json").json();
    let environments = answer["environments"].as_array().expect("environments");
    assert_eq!(environments.len(), 3);
    for environment in environments {
        assert_eq!(environment["differences"], serde_json::json!([]));
        let allowed = environment["allowed"].as_array().expect("a list");
        assert!(
            allowed.iter().any(|one| one["stack"] == "keys" && one["path"] == "/Resources/Key/Type"),
            "{allowed:#?}"
        );
        assert!(allowed.iter().all(|one| one["allowed"].as_str().is_some_and(|reason| reason.contains(' '))));
    }
}

/// Which environment is meant follows the same rules as elsewhere.
#[test]
fn one_environment_unless_several_are_named() {
    let mut line = command(&root(), "parity --format json");
    line.env("TANDEM_ENV", "staging");
    let answer = ended(&mut line).json();
    assert_eq!(answer["environments"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["environments"][0]["environment"], "staging");
}
