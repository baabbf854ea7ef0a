//! Finds out whether this machine has what the tool needs, and names the command that installs what is missing.
//!
//! Looks only: it installs and changes nothing. [`check`] is the whole list, [`require`] turns what is missing into one
//! error for commands that would fail later and less clearly.

mod checks;
mod machine;
mod packages;

use serde::Serialize;

use crate::error::{Error, Kind};
use machine::Machine;

/// What the tool is to do on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Run an environment with `target = "local"`.
    Local,
    /// Build the functions for AWS.
    Build,
    /// Deploy what is built to an environment with `target = "aws"`.
    Deploy,
    /// Both: deploy an environment with `target = "aws"` from its sources.
    Aws,
}

/// How a prerequisite is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it must be.
    Ok,
    /// The work can go on, but something may be missed.
    Warning,
    /// The work can't go on.
    Missing,
}

/// What was found out about one prerequisite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The prerequisite, as in "Python 3.10 or newer".
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found: a version, a path, an amount.
    pub found: String,
    /// What it is for.
    pub purpose: &'static str,
    /// The command (or step) that repairs it; only where something is to repair.
    pub repair: Option<String>,
}

/// Checks everything that `needs` asks for, on this machine, in the order in which it should be repaired.
pub fn check(needs: Needs) -> Vec<Finding> {
    checks::all(&Machine::this(), needs)
}

/// Fails if something is missing; warnings pass.
///
/// # Errors
/// All missing prerequisites at once, each with the command that installs it.
pub fn require(findings: &[Finding]) -> Result<(), Error> {
    let missing: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict == Verdict::Missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|finding| finding.name.as_str()).collect();
    let error = Error::new(Kind::Configuration, format!("this machine lacks {}", names.join(", ")));
    Err(missing.iter().fold(error, |error, finding| {
        let repair = finding.repair.as_deref().unwrap_or("see the documentation of your system");
        error.hint(format!("{} ({}): {repair}", finding.name, finding.purpose))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(name: &str, verdict: Verdict) -> Finding {
        let repair = (verdict != Verdict::Ok).then(|| format!("install {name}"));
        Finding { name: name.to_owned(), verdict, found: String::new(), purpose: "building", repair }
    }

    #[test]
    fn everything_missing_is_named_at_once_and_warnings_pass() {
        let good = [finding("a", Verdict::Ok), finding("b", Verdict::Warning)];
        assert!(require(&good).is_ok());
        let bad = [finding("a", Verdict::Missing), finding("b", Verdict::Warning), finding("c", Verdict::Missing)];
        let error = require(&bad).expect_err("two are missing");
        assert_eq!(error.kind(), Kind::Configuration);
        assert_eq!(error.to_string(), "this machine lacks a, c");
        assert_eq!(error.hints(), ["a (building): install a", "c (building): install c"]);
    }
}
