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
pub use human::{Line, Role, Text, human};
pub use json::{JsonError, VERSION, from_json, json};
pub use markdown::{MarkdownOptions, markdown};
