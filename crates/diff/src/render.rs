//! A diff for people and for programs.
//!
//! [`human()`] is for a terminal, [`markdown()`] for a comment in a review, [`json()`] for programs. Whatever came from
//! a template is escaped for where it goes.

mod escape;
mod human;
mod item;
mod json;
mod markdown;

pub use escape::visible;
pub use human::{Line, Role, Text, human, human_about};
pub use json::{JsonError, VERSION, from_json, json};
pub use markdown::{MarkdownOptions, markdown};

/// A sentence for GitHub's Markdown: what stands between backticks is code, and nothing else in it is markup.
pub fn escaped(sentence: &str) -> String {
    escape::html(sentence)
}

/// What a diff tells of, for the words around its lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum About {
    /// What a change of templates does.
    #[default]
    Change,
    /// What is live beside what is deployed: a diff of [`crate::drift()`].
    Drift,
}
