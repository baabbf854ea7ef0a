//! Rules as they are held after reading.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use regex_lite::Regex;
use serde_json::Value as Json;

#[derive(Debug)]
pub(crate) struct File {
    pub(crate) lets: Vec<Let>,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) line: u32,
    pub(crate) when: Option<Conjunction>,
    pub(crate) block: Block,
}

#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) lets: Vec<Let>,
    pub(crate) clauses: Conjunction,
}

#[derive(Debug)]
pub(crate) struct Let {
    pub(crate) name: String,
    pub(crate) value: Operand,
}

/// All must hold; of each inner list, one.
pub(crate) type Conjunction = Vec<Vec<Clause>>;

#[derive(Debug)]
pub(crate) struct Clause {
    pub(crate) line: u32,
    pub(crate) text: String,
    pub(crate) message: Option<String>,
    pub(crate) kind: ClauseKind,
}

#[derive(Debug)]
pub(crate) enum ClauseKind {
    /// Compares what a query finds.
    Compare { query: Query, operator: Comparison, negated: bool, operand: Operand },
    /// Asks something about each thing that a query finds.
    Ask { query: Query, question: Question, negated: bool },
    /// Clauses about each thing that a query finds.
    Each { query: Query, block: Block },
    /// Clauses that hold only under conditions.
    When { conditions: Conjunction, block: Block },
    /// Another rule of the file.
    Rule { name: String, negated: bool },
    /// Clauses about each resource of a type.
    Type { type_name: String, when: Option<Conjunction>, block: Block },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    In,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Exists,
    Empty,
    IsString,
    IsList,
    IsStruct,
    IsBool,
    IsInt,
    IsFloat,
    IsNull,
}

#[derive(Debug)]
pub(crate) enum Operand {
    Literal(Literal),
    Query(Query),
}

/// A value that stands in the rules.
#[derive(Debug)]
pub(crate) enum Literal {
    Json(Json),
    Regex(Pattern),
    Range(Range),
    List(Vec<Literal>),
}

/// A regular expression. The same actions and names stand in many places of many templates, so verdicts are remembered.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    verdicts: Mutex<BTreeMap<Box<str>, bool>>,
}

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Result<Self, regex_lite::Error> {
        Ok(Self { regex: Regex::new(pattern)?, verdicts: Mutex::default() })
    }

    /// Whether it is found in the text.
    pub(crate) fn finds(&self, text: &str) -> bool {
        // A verdict is whole or not there, so a panic elsewhere leaves nothing half done.
        let verdicts = || self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = verdicts().get(text).copied();
        // Not under the lock: templates are judged side by side.
        known.unwrap_or_else(|| {
            let verdict = self.regex.is_match(text);
            verdicts().insert(text.into(), verdict);
            verdict
        })
    }
}

/// Numbers between two bounds.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) with_low: bool,
    pub(crate) with_high: bool,
    /// Whether both bounds are whole: such a range holds whole numbers only.
    pub(crate) whole: bool,
}

/// A way through a document.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) parts: Vec<Part>,
    /// One match is enough.
    pub(crate) some: bool,
}

#[derive(Debug)]
pub(crate) enum Part {
    Variable(String),
    This,
    Key(String),
    Index(i64),
    AllIndices,
    AllValues,
    Filter(Conjunction),
    Keys { operator: Comparison, negated: bool, operand: Operand },
}
