//! Checks JSON against the JSON Schemas of this repository; only tests use it.
//!
//! One decision shaped this crate: it knows the part of JSON Schema 2020-12 that our schemas use, and refuses a schema with
//! any other word. So a check never passes because a word was ignored. Whole validators exist; they bring regular
//! expressions, numbers and addresses of their own, with features that would change what the programs are tested with.
//!
//! Besides checking it tells which members of a schema some values use, so that a schema which describes what is no more
//! is found too.
//!
//! ```
//! let schema = json_schema::Schema::parse(r#"{"type": "object", "required": ["id"]}"#).expect("a schema");
//! assert_eq!(schema.problems(&serde_json::json!({})), ["`` lacks the member `id`"]);
//! ```

mod check;
mod words;

use check::Check;
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A schema whose words are all known and whose references lead somewhere.
#[derive(Clone, Debug)]
pub struct Schema {
    root: Value,
    patterns: BTreeMap<String, Regex>,
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// Everything that this crate doesn't know or that can't be right, each with its place in the schema.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let schema: Value = serde_json::from_str(text).map_err(|error| vec![error.to_string()])?;
        let problems = words::problems(&schema);
        if problems.is_empty() { Ok(Self::of(schema)) } else { Err(problems) }
    }

    /// Its `$id`.
    pub fn id(&self) -> Option<&str> {
        self.root["$id"].as_str()
    }

    /// The same schema with nothing in its objects but the members that it names: what a receiver has to accept, because
    /// a newer sender may say more, is stricter here for the sender itself.
    #[must_use]
    pub fn closed(&self) -> Self {
        let mut schema = self.root.clone();
        words::close(&mut schema);
        Self::of(schema)
    }

    /// What is wrong with a value, each with its place; nothing when it is valid.
    pub fn problems(&self, value: &Value) -> Vec<String> {
        let mut check = Check::new(&self.root, &self.patterns);
        check.value(value);
        check.problems
    }

    /// The members that the schema names and none of these values has, by their places in the schema.
    pub fn unused<'a>(&self, values: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
        let mut unused = words::members(&self.root);
        for value in values {
            let mut check = Check::new(&self.root, &self.patterns);
            check.value(value);
            unused.retain(|member| !check.used.contains(member));
        }
        unused
    }

    fn of(root: Value) -> Self {
        let patterns = words::patterns(&root);
        Self { root, patterns }
    }
}
