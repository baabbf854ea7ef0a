//! Environments for tests of what depends on the API: other numbers of regions, and none with a domain.

use crate::environment::Environment;

const STAGING: &str = include_str!("../../../../environments/staging.toml");
const SANDBOX: &str = include_str!("../../../../environments/sandbox.toml");

const THIRD_REGION: &str =
    "\n[[regions]]\nname = \"us-east-2\"\nrole = \"secondary\"\nwave = 3\nnetwork = \"10.99.0.0/16\"\n";

/// Two regions on AWS, with a domain.
pub(crate) fn staging() -> Environment {
    parse("staging", STAGING)
}

/// Staging with its secondary region and its witness changed about.
pub(crate) fn other_secondary() -> Environment {
    let text = STAGING.replace("us-east-1", "us-east-0").replace("us-east-2", "us-east-1");
    parse("staging", &text.replace("us-east-0", "us-east-2"))
}

/// Two regions on this machine, with a domain.
pub(crate) fn sandbox() -> Environment {
    parse("sandbox", SANDBOX)
}

/// Three regions on AWS, with a domain; three need no witness.
pub(crate) fn three_regions() -> Environment {
    let lines = STAGING.lines().filter(|line| !line.starts_with("witness"));
    parse("staging", &(lines.collect::<Vec<_>>().join("\n") + THIRD_REGION))
}

/// Two regions on AWS, without a domain.
pub(crate) fn without_domain() -> Environment {
    let start = STAGING.find("[domain]").expect("staging has a domain");
    let length = STAGING[start + 1..].find("\n[").expect("a section follows");
    parse("staging", &(STAGING[..start].to_owned() + &STAGING[start + 1 + length..]))
}

/// Staging with pages of two origins.
pub(crate) fn with_origins() -> Environment {
    let origins = "[api]\norigins = [\"https://app.example.com\", \"https://admin.example.com\"]";
    parse("staging", &STAGING.replacen("[api]", origins, 1))
}

/// Staging where events are for writers.
pub(crate) fn with_grants() -> Environment {
    parse("staging", &STAGING.replacen("[api]", "[api]\ngrants = [\"POST /v1/events writer\"]", 1))
}

fn parse(name: &str, text: &str) -> Environment {
    Environment::parse(&format!("{name}.toml"), text).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:#?}"))
}
