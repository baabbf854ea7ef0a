//! Rules in the language of CloudFormation Guard 3, for teams that write policy without Rust.
//!
//! The language is the one of `cfn-guard`; the same files run in both. This crate exists for speed and size: it borrows
//! from the template instead of copying it, so that a rule costs microseconds, where the `cfn-guard` library takes
//! milliseconds a rule and a template, and it adds no dependency. `tests/conformance.rs` holds verdicts that
//! `cfn-guard` 3.2.0 gave, and this crate must give the same.
//!
//! What it doesn't have, and refuses with file and line: functions, rules with parameters, captured keys
//! (`[ name | … ]`), variables inside of a path, clauses outside of a rule, and regular expressions that look around.
//! Property names are compared exactly, where `cfn-guard` also tries other ways of writing them.
//!
//! ```
//! let rules = policy::RuleFile::parse(
//!     "queues.guard",
//!     "rule queues_are_encrypted {
//!          Resources.*[ Type == 'AWS::SQS::Queue' ].Properties.KmsMasterKeyId exists << name a key >>
//!      }",
//! )?;
//! let template = serde_json::json!({"Resources": {"Work": {"Type": "AWS::SQS::Queue", "Properties": {}}}});
//! let outcomes = rules.evaluate(&template)?;
//! assert_eq!(outcomes[0].status, policy::Status::Fail);
//! assert_eq!(outcomes[0].failures[0].path, "Resources/Work/Properties");
//! assert_eq!(outcomes[0].failures[0].message.as_deref(), Some("name a key"));
//! # Ok::<(), policy::Problem>(())
//! ```

mod compare;
mod evaluate;
mod parse;
mod syntax;

use std::fmt;

use serde_json::Value as Json;

/// A file of rules, read and ready.
#[derive(Debug)]
pub struct RuleFile {
    name: String,
    syntax: syntax::File,
}

impl RuleFile {
    /// Reads the rules of a file; `name` stands in messages.
    ///
    /// # Errors
    /// The text isn't of the language, or needs what this crate doesn't have.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problem> {
        Ok(Self { name: name.to_owned(), syntax: parse::file(name, text)? })
    }

    /// The file's name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names of the rules, in the file's order.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &str> {
        self.syntax.rules.iter().map(|rule| rule.name.as_str())
    }

    /// What each rule says about a document, in the file's order.
    ///
    /// # Errors
    /// A rule names a variable or a rule that the file doesn't have, needs itself, or compares what can't be compared.
    pub fn evaluate(&self, document: &Json) -> Result<Vec<Outcome>, Problem> {
        evaluate::file(&self.name, &self.syntax, document)
    }
}

/// What a rule says about a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The rule's name.
    pub rule: String,
    /// Its verdict.
    pub status: Status,
    /// The clauses that failed: at least one if the rule failed, else none.
    pub failures: Vec<Failure>,
}

/// A verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// All is well.
    Pass,
    /// Something is wrong.
    Fail,
    /// The rule is not about this document.
    Skip,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
        })
    }
}

/// A clause that failed at one place of the document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// The clause's line in its file.
    pub line: u32,
    /// The clause as it is written.
    pub clause: String,
    /// The place in the document, with `/` between names; where a name is missing, the place that lacks it.
    pub path: String,
    /// What was found there, or that it is missing: short, for people.
    pub found: String,
    /// What the rule's author wrote about it.
    pub message: Option<String>,
}

/// A file that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct Problem {
    /// The file's name, as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What is wrong: lower case, no full stop.
    pub what: String,
}
