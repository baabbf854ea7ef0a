//! Reading a program's configuration with every mistake reported at once.

use std::fmt;

/// One variable that is missing, malformed or in contradiction to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The environment variable.
    pub variable: &'static str,
    /// What is wrong with it, as the rest of a sentence that starts with the variable.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.variable, self.problem)
    }
}

/// All mistakes in a program's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The program that was configured.
    pub program: &'static str,
    /// At least one mistake, in the order of declaration.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot start: ", self.program)?;
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Collects values and mistakes while a configuration is read; used by the code that `program!` writes.
#[derive(Debug)]
pub struct Reader<F> {
    lookup: F,
    mistakes: Vec<Mistake>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    /// A reader over `lookup`, which gives a variable's text.
    pub fn new(lookup: F) -> Self {
        Self { lookup, mistakes: Vec::new() }
    }

    /// Reads a variable that has no default.
    pub fn required<T>(&mut self, variable: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        match (self.lookup)(variable) {
            Some(text) => self.parsed(variable, &text, parse),
            None => {
                self.mistakes.push(Mistake { variable, problem: "is missing".to_owned() });
                None
            }
        }
    }

    /// Reads a variable that has a default and a check of its range.
    pub fn optional<T>(
        &mut self,
        variable: &'static str,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match (self.lookup)(variable) {
            Some(text) => self.parsed(variable, &text, parse),
            None => Some(default),
        }
    }

    /// All mistakes, if there is one.
    ///
    /// # Errors
    /// When anything was missing or malformed.
    pub fn finish(self, program: &'static str) -> Result<(), ConfigError> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(ConfigError { program, mistakes: self.mistakes }) }
    }

    fn parsed<T>(
        &mut self,
        variable: &'static str,
        text: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        parse(text)
            .map_err(|problem| {
                self.mistakes.push(Mistake { variable, problem: format!("is `{text}`, which is {problem}") });
            })
            .ok()
    }
}
