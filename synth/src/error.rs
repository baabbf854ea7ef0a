//! The tool's one error type: a kind that decides the exit code, a message, details, a cause, hints.
//!
//! Each layer says only its own part. The whole chain is printed once, by [`crate::cli::main`].

use std::fmt;

use serde_json::{Value, json};

use crate::exit_code;

/// What sort of failure it is; decides heading and exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// A file of the checkout or a prerequisite of the machine is wrong.
    Configuration,
    /// The tool refuses, because going on would do harm.
    Refused,
    /// A plan that was reviewed isn't what would be done any more.
    Stale,
    /// AWS, the local platform or Kafka failed or refused.
    Remote,
    /// Someone ended the command before it was done.
    Interrupted,
    /// A broken invariant of the tool.
    Internal,
}

impl Kind {
    /// The kind's stable name, as in `error.kind` of the JSON form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Configuration => "configuration",
            Self::Refused => "refused",
            Self::Stale => "stale",
            Self::Remote => "remote",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal",
        }
    }

    /// What stands before the message for people.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Usage => "usage error",
            Self::Configuration => "configuration error",
            Self::Refused => "refused",
            Self::Stale => "stale plan",
            Self::Remote => "remote error",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal error",
        }
    }

    /// The exit code of a run that ended with such an error.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Refused | Self::Stale => exit_code::REFUSED,
            Self::Interrupted => exit_code::INTERRUPTED,
            Self::Usage | Self::Configuration | Self::Remote | Self::Internal => exit_code::ERROR,
        }
    }
}

/// A failure with everything a person needs to repair it.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    details: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    hints: Vec<String>,
}

impl Error {
    /// An error of `kind` that says what happened and where.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: Vec::new(), source: None, hints: Vec::new() }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A file of the checkout or a prerequisite of the machine is wrong.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Kind::Configuration, message)
    }

    /// The tool refuses, because going on would do harm.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// AWS, the local platform or Kafka failed or refused.
    pub fn remote(message: impl Into<String>) -> Self {
        Self::new(Kind::Remote, message)
    }

    /// A broken invariant of the tool.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// Adds the cause, which is printed once, after the message.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds one way to repair it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds one of several findings that together are this error; may have more than one line.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Ways to repair it, best first.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The findings that together are this error.
    pub fn details(&self) -> &[String] {
        &self.details
    }

    /// The causes, outermost first, without this error's own message; equal neighbours are said once.
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            let text = cause.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }

    /// The form for people: heading and message, details, causes, hints; ends without a line break.
    pub fn render(&self) -> String {
        let mut lines = vec![format!("{}: {}", self.kind.heading(), self.message)];
        for detail in &self.details {
            lines.extend(detail.lines().map(|line| format!("  {line}")));
        }
        lines.extend(self.causes().iter().map(|cause| format!("  cause: {cause}")));
        lines.extend(self.hints.iter().map(|hint| format!("  hint: {hint}")));
        lines.join("\n")
    }

    /// The form for programs: `{"error": {"kind", "message", "details", "chain", "hints"}}`.
    pub fn to_json(&self) -> Value {
        json!({
            "error": {
                "kind": self.kind.name(),
                "message": self.message,
                "details": self.details,
                "chain": self.causes(),
                "hints": self.hints,
            }
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn example() -> Error {
        let inner = Error::remote("the broker refused the topic").caused_by(io::Error::other("connection reset"));
        Error::new(Kind::Configuration, "cannot start the platform")
            .detail("port 4566 is taken\nby another process")
            .caused_by(inner)
            .hint("choose another port")
    }

    #[test]
    fn people_read_message_details_causes_and_hints_once() {
        assert_eq!(
            example().render(),
            "configuration error: cannot start the platform\n  port 4566 is taken\n  by another process\n  \
             cause: the broker refused the topic\n  cause: connection reset\n  hint: choose another port"
        );
    }

    #[test]
    fn programs_read_the_same_parts() {
        assert_eq!(
            example().to_json(),
            json!({"error": {
                "kind": "configuration",
                "message": "cannot start the platform",
                "details": ["port 4566 is taken\nby another process"],
                "chain": ["the broker refused the topic", "connection reset"],
                "hints": ["choose another port"],
            }})
        );
    }

    #[test]
    fn only_a_refusal_has_its_own_exit_code() {
        assert_eq!((Kind::Refused.exit_code(), Kind::Stale.exit_code()), (5, 5));
        assert_eq!(Kind::Interrupted.exit_code(), 130);
        for kind in [Kind::Usage, Kind::Configuration, Kind::Remote, Kind::Internal] {
            assert_eq!(kind.exit_code(), 1, "{kind:?}");
        }
    }

    #[test]
    fn a_cause_that_repeats_its_own_cause_is_said_once() {
        let error = Error::remote("outer").caused_by(Error::remote("same").caused_by(io::Error::other("same")));
        assert_eq!(error.causes(), ["same"]);
    }
}
