//! What a change of templates means.
//!
//! Two templates of a stack, and whatever else is known, become a [`Diff`]: what happens to each resource and why, who
//! may do more or less than before, what can be reached, and what makes the way there unsafe. Everything is computed
//! from the arguments: nothing here reads files, the network, the clock or the environment, and nothing knows this
//! system's stacks. Facts about resource types come from [`cfn::describe`].
//!
//! ```
//! use diff::{ChangeClass, Class, StackChange, StackKey, Template};
//!
//! let deployed = Template::parse(r#"{"Resources": {
//!     "Work": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "work", "DelaySeconds": "0"}}
//! }}"#)?;
//! let new = Template::parse(r#"{"Resources": {
//!     "Work": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "jobs", "DelaySeconds": 0}}
//! }}"#)?;
//! let key = StackKey::new("events", "us-west-2");
//! let diff = diff::diff(&[StackChange::new(key, Some(&deployed), Some(&new))])?;
//!
//! let work = &diff.stacks[0].resources[0];
//! assert_eq!(work.class, Class::Replaced);
//! assert_eq!(work.because, ["`QueueName` can't be changed in place"]);
//! assert_eq!(diff.summary().gravest(), Some(ChangeClass::Destructive));
//! println!("{}", diff::render::human(&diff));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What goes in
//!
//! A [`StackChange`] has two templates, either of which may be absent. Values of parameters, a change set, live
//! differences and readers of outputs make the answer more exact; without them it is right and says "may" more often.
//!
//! # What comes out
//!
//! - [`Diff`] with one [`StackDiff`] for each stack, in order of their keys.
//! - [`Diff::summary`] with the classes for exit codes.
//! - [`render::human`], [`render::markdown`] and [`render::json`]; [`groups`] shows alike regions once.
//! - [`drift()`] makes a [`Diff`] of what is live beside what is deployed.
//! - [`sequence()`] gives intermediate templates where AWS wants a change in several updates.
//!
//! # The decision that shaped it
//!
//! What isn't known is said, in the direction that costs a look and not a table. A change set's silence never hides a
//! difference that the templates prove. A permission that can't be proven narrower is broadened. A replacement that
//! hangs on a value known later is a "may" with its reason. And a value that must not be seen is taken out when the
//! result is made, so that no renderer has to remember it.

mod access;
mod compare;
mod differs;
mod draft;
mod group;
mod input;
mod live;
mod merge;
mod model;
mod parameters;
mod pieces;
mod propagate;
mod references;
pub mod render;
mod secret;
mod sections;
mod sequence;
mod summary;
mod tables;
mod template;
mod transition;

use std::collections::BTreeMap;

pub use group::{Group, groups};
pub use input::{
    Action, ChangeSet, Detail, Drift, Evaluation, OutputRead, ParameterValue, ReportedReplacement, RequiresRecreation,
    ResourceReport, StackChange, StackKey,
};
pub use live::{LiveDifference, LiveResource, LiveStack, LiveState, drift};
pub use model::{
    AccessChange, AttributeChange, Class, Diff, Direction, Finding, Flag, PropertyChange, Provenance, Replacement,
    ResourceDiff, SectionChange, Severity, Shown, StackDiff, StackFate,
};
pub use sequence::sequence;
pub use summary::{ChangeClass, Summary};
pub use template::{Template, TemplateError};
pub use transition::rules;

use parameters::Side;

/// Stacks that can't be compared.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    /// A stack was given twice.
    #[error("stack `{0}` is given twice; merge what is known about it into one `StackChange`")]
    Twice(StackKey),
    /// A stack has no template on either side.
    #[error("stack `{0}` has neither a deployed nor a new template; leave it out")]
    Nothing(StackKey),
}

/// Compares stacks. Their order doesn't matter.
///
/// # Errors
/// A stack is given twice, or without any template.
pub fn diff(stacks: &[StackChange<'_>]) -> Result<Diff, DiffError> {
    let mut ordered: BTreeMap<&StackKey, &StackChange<'_>> = BTreeMap::new();
    for stack in stacks {
        if stack.latest().is_none() {
            return Err(DiffError::Nothing(stack.key.clone()));
        }
        if ordered.insert(&stack.key, stack).is_some() {
            return Err(DiffError::Twice(stack.key.clone()));
        }
    }
    let reads: Vec<_> = ordered.values().flat_map(|stack| stack.reads.iter().map(|read| (&stack.key, read))).collect();
    let mut imports: BTreeMap<&str, Vec<(&StackKey, &str)>> = BTreeMap::new();
    for stack in ordered.values() {
        let names = transition::imports(stack).into_iter().map(|name| (&stack.key, name));
        imports.entry(&stack.key.region).or_default().extend(names);
    }
    let readers = |stack: &StackChange<'_>| imports.get(stack.key.region.as_str()).map_or(&[] as &[_], Vec::as_slice);
    Ok(Diff { stacks: ordered.values().map(|stack| stack_diff(stack, &reads, readers(stack))).collect() })
}

fn stack_diff(stack: &StackChange<'_>, reads: &[(&StackKey, &OutputRead)], imports: &[(&StackKey, &str)]) -> StackDiff {
    let (before, after) = (Side::before(stack), Side::after(stack));
    let mut draft = draft::draft(before, after);
    propagate::propagate(&mut draft, before, after);
    let notes =
        stack.change_set.as_ref().map(|changes| merge::merge(&mut draft, changes, before, after)).unwrap_or_default();
    merge::merge_drift(&mut draft, &stack.drift, before, after);
    let context = transition::Context {
        key: &stack.key,
        before: stack.before,
        after: stack.after,
        resources: &draft.resources,
        reads,
        imports,
    };
    let findings = transition::findings(&context);
    let (marked_before, marked_after) = (access::marked(before, after), access::marked(after, before));
    let (shown_before, shown_after) =
        (before.with_template(marked_before.as_ref()), after.with_template(marked_after.as_ref()));
    let same_values = stack.parameters_before == stack.parameters_after && parameters::same_defaults(before, after);
    StackDiff {
        key: stack.key.clone(),
        fate: match (stack.before, stack.after) {
            (None, _) => StackFate::Created,
            (_, None) => StackFate::Deleted,
            _ => StackFate::Stays,
        },
        sections: sections::sections(before, after, &draft.resources),
        permissions: access::permissions(shown_before, shown_after, same_values),
        network: access::network(shown_before, shown_after),
        findings,
        metadata_only: draft.metadata_only,
        notes,
        resources: draft.resources.into_values().collect(),
    }
}
