//! Colour: which text gets which, and when.

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless the variable `NO_COLOR` is set to something.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    /// Whether a stream is coloured.
    pub(super) fn applies_to(self, terminal: bool) -> bool {
        // The convention of no-color.org: set and not empty, whatever its value.
        let refused = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Self::Auto => terminal && !refused(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// What a piece of text means; everything must stay understandable without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A heading.
    Heading,
    /// Finished well, added, healthy.
    Good,
    /// Changed, in progress, a warning.
    Changed,
    /// Failed, removed, an error.
    Bad,
    /// Of less interest.
    Dim,
}

impl Style {
    pub(super) fn apply(self, text: &str, color: bool) -> String {
        if !color {
            return text.to_owned();
        }
        format!("\x1b[{}m{text}\x1b[0m", self.code())
    }

    /// The parameter of the SGR escape sequence.
    fn code(self) -> &'static str {
        match self {
            Self::Heading => "1",
            Self::Good => "32",
            Self::Changed => "33",
            Self::Bad => "1;31",
            Self::Dim => "2",
        }
    }
}
