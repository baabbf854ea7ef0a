//! One mistake in an environment file.

use std::fmt;

/// What is wrong in an environment file, where, and how to repair it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    file: String,
    line: usize,
    key: String,
    problem: String,
    hint: String,
}

impl Mistake {
    pub(super) fn new(file: &str, line: usize, key: &str, problem: String, hint: String) -> Self {
        Self { file: file.to_owned(), line, key: key.to_owned(), problem, hint }
    }

    /// The file's name as it was handed over.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from 1; for a key that is missing, the line of its section.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The key with its sections, such as `functions.event-router.timeout`; empty when the mistake concerns no key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong, as a sentence that names the key.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// How to repair it.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

/// Two lines: file, line and problem; then the hint.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, key: _, problem, hint } = self;
        write!(f, "{file}:{line}: {problem}\n  hint: {hint}")
    }
}

impl std::error::Error for Mistake {}
