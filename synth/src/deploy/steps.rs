//! The templates through which a stack goes where AWS takes a change only in several updates, such as two indexes of a table.
//!
//! Worked out anew from what is deployed before each run, so that a run that was killed between two updates is carried on
//! from where it stood.

use std::collections::BTreeMap;

use super::cloud::Observed;
use super::system::{Stack, Template};

/// What to update the stack with, one after the other; the last is what it shall be. One as a rule.
pub(crate) fn steps(deployed: &str, stack: &Stack) -> Vec<Stack> {
    let sequence = sequence(deployed, &stack.template);
    let intermediate = sequence.iter().take(sequence.len().saturating_sub(1));
    let with = |template: &diff::Template| Stack {
        template: stack.template.with_document(template.document().clone()),
        ..stack.clone()
    };
    intermediate.map(with).chain([stack.clone()]).collect()
}

/// The same as templates. A deployed template that can't be taken apart is followed by the new one.
pub(crate) fn sequence(deployed: &str, new: &Template) -> Vec<diff::Template> {
    let parsed = (diff::Template::parse(deployed), diff::Template::new(new.document().clone()));
    match parsed {
        (Ok(deployed), Ok(new)) => diff::sequence(&deployed, &new),
        (Err(_), Ok(new)) => vec![new],
        (_, Err(_)) => Vec::new(),
    }
}

/// The values for the parameters of one of the templates: those of the new one, and for what only the deployed one has,
/// those that it has.
pub(crate) fn parameters_of(
    step: &Stack,
    values: &BTreeMap<String, String>,
    observed: &Observed,
) -> BTreeMap<String, String> {
    let mut chosen = values.clone();
    for name in step.template.parameters() {
        if let (false, Some(value)) = (chosen.contains_key(name), observed.parameters.get(name)) {
            chosen.insert(name.to_owned(), value.clone());
        }
    }
    chosen
}
