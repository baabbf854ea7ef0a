//! Why an object can't be applied as it is, each with the way out.

use std::fmt;

use super::Failed;
use crate::call::{CallClass, CallError};
use crate::cluster::Unserved;
use crate::object::Key;

/// An object that can't be applied as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which object.
    pub key: Key,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The cluster doesn't serve its kind.
    Unserved(Box<Unserved>),
    /// It has a namespace and its kind has none, or the other way round.
    Scope {
        /// Whether its kind has one.
        is_namespaced: bool,
    },
    /// Its namespace isn't there.
    NoNamespace(String),
    /// Somebody else has to make it first; the text says who and how.
    MadeElsewhere(String),
    /// The cluster finds mistakes in it.
    Invalid {
        /// Fields with what is wrong with each.
        causes: Vec<(String, String)>,
        /// The cluster's own words.
        said: String,
    },
    /// Who asks may not even read it.
    Forbidden(String),
}

impl Trouble {
    /// What to do.
    pub fn repair(&self) -> String {
        match self {
            Self::Unserved(unserved) => unserved.repair(),
            Self::Scope { is_namespaced: true } => "give it a `metadata.namespace`".to_owned(),
            Self::Scope { is_namespaced: false } => "leave its `metadata.namespace` out".to_owned(),
            Self::NoNamespace(namespace) => format!("make the namespace `{namespace}` first"),
            Self::MadeElsewhere(maker) => maker.clone(),
            Self::Invalid { said, causes } => {
                let is_fixed = said.contains("immutable") || causes.iter().any(|(_, why)| why.contains("immutable"));
                match is_fixed {
                    true => "what can't be changed needs another name, or a deletion by hand first".to_owned(),
                    false => "correct the manifest".to_owned(),
                }
            }
            Self::Forbidden(_) => "let who asks read objects of that kind".to_owned(),
        }
    }
}

/// For people: `Deployment web/shop: …`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.trouble)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unserved(unserved) => unserved.fmt(f),
            Self::Scope { is_namespaced: true } => f.write_str("its kind has a namespace, and it names none"),
            Self::Scope { is_namespaced: false } => f.write_str("its kind has no namespace, and it names one"),
            Self::NoNamespace(namespace) => write!(f, "there is no namespace `{namespace}`"),
            Self::MadeElsewhere(_) => f.write_str("it isn't there yet, and must not be made by this application"),
            Self::Invalid { causes, said } if causes.is_empty() => f.write_str(said),
            Self::Invalid { causes, .. } => {
                let causes: Vec<String> = causes.iter().map(|(field, why)| format!("`{field}`: {why}")).collect();
                f.write_str(&causes.join("; "))
            }
            Self::Forbidden(said) => f.write_str(said),
        }
    }
}

/// What a failure says about an object; what says nothing about it is the survey's failure.
pub(super) fn of(key: &Key, failed: Failed) -> Result<Problem, CallError> {
    let trouble = match failed {
        Failed::Trouble(trouble) => trouble,
        Failed::Call(error) => match error.class {
            CallClass::NotFound { instead: Some((_, namespace)) } => Trouble::NoNamespace(namespace),
            CallClass::Invalid { causes } => Trouble::Invalid { causes, said: error.source.0 },
            CallClass::Forbidden => Trouble::Forbidden(error.source.0),
            _ => return Err(error),
        },
    };
    Ok(Problem { key: key.clone(), trouble })
}

pub(super) fn count(problems: &[Problem]) -> String {
    match problems {
        [one] => one.to_string(),
        more => format!("{} objects can't be applied as they are", more.len()),
    }
}
