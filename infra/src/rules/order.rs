//! An order in which stacks can be created: each after what it needs, and nothing that needs itself.

use contracts::Region;

use super::{Finding, inputs, stack};
use crate::system::{Source, StackId, StackInstance, System};

/// Every stack is there once, comes after those that it depends on, and depends on those that it reads.
pub(super) fn check(system: &System, found: &mut Vec<Finding>) {
    for (index, stack) in system.stacks.iter().enumerate() {
        unique(system, index, stack, found);
        earlier(system, index, stack, found);
        declared(system, stack, found);
    }
}

fn unique(system: &System, index: usize, stack: &StackInstance, found: &mut Vec<Finding>) {
    let twin = system.stacks[..index].iter().find(|other| {
        let same_place = other.id.region == stack.id.region;
        other.id == stack.id || (same_place && other.cloudformation_name == stack.cloudformation_name)
    });
    if let Some(twin) = twin {
        let message = format!("`{}` is the name of {} too", stack.cloudformation_name, twin.id);
        found.push(Finding::new("stack-order", stack, message, "give each stack a name of its own").with(&twin.id));
    }
}

fn earlier(system: &System, index: usize, stack: &StackInstance, found: &mut Vec<Finding>) {
    for needed in &stack.depends_on {
        let message = match system.stacks.iter().position(|other| other.id == *needed) {
            None => format!("depends on {needed}, which the system does not have"),
            Some(place) if place < index => continue,
            Some(_) => match circle(system, &stack.id) {
                Some(circle) => format!("needs itself: {circle}"),
                None => format!("comes before {needed}, which it depends on"),
            },
        };
        let hint = "put what is needed first in `system`, and take one edge out of a circle";
        found.push(Finding::new("stack-order", stack, message, hint));
    }
}

/// What a stack reads must be there first, whoever else demands it.
fn declared(system: &System, reader: &StackInstance, found: &mut Vec<Finding>) {
    for input in &reader.inputs {
        let Some((needed, what)) = source(system, reader, &input.source) else { continue };
        let report =
            |message: String, hint: &str| Finding::new("stack-order", reader, message, hint).named(&input.parameter);
        if stack(system, &needed).is_none() {
            // That outputs come from stacks that exist is a rule about inputs.
            if !matches!(input.source, Source::StackOutput { .. }) {
                let message = format!("reads {what} of {needed}, which the system does not have");
                found.push(report(message, "add the stack to `system`"));
            }
        } else if !reaches(system, &reader.id, &needed) {
            let message = format!("reads {what} of {needed} and does not depend on it");
            let hint = "declare the parameter by `Scope::input`, and by `Scope::after` what that can't tell";
            found.push(report(message, hint).with(&needed));
        }
    }
}

/// The stack that fills an input, and with what. None if no stack has such a table, which is a rule about inputs.
fn source(system: &System, reader: &StackInstance, source: &Source) -> Option<(StackId, String)> {
    let region = &reader.id.region;
    Some(match source {
        Source::StackOutput { stack, output } => (stack.clone(), format!("`{output}`")),
        Source::TableStream { table } => {
            let home = inputs::home_of_stream(system, table, region.as_str())?;
            (home.id.clone(), format!("the stream of `{table}`"))
        }
        Source::CodeBucket => (delivery_in(region), "the bucket of artifacts".to_owned()),
        Source::CodeKey { program } => (delivery_in(region), format!("the code of `{program}`")),
    })
}

/// The stack with a region's bucket of artifacts.
pub(super) fn delivery_in(region: &Region) -> StackId {
    StackId { name: "delivery", region: region.clone() }
}

/// Whether `from` depends on `to`, directly or through others.
pub(super) fn reaches(system: &System, from: &StackId, to: &StackId) -> bool {
    path(system, from, to).is_some()
}

/// The circle that a stack is part of, if any.
fn circle(system: &System, start: &StackId) -> Option<String> {
    let path = path(system, start, start)?;
    Some(path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → "))
}

/// A way of at least one step along the dependencies, from its start to its end.
fn path(system: &System, from: &StackId, to: &StackId) -> Option<Vec<StackId>> {
    let mut seen: Vec<&StackId> = Vec::new();
    let mut waiting: Vec<Vec<StackId>> = vec![vec![from.clone()]];
    while let Some(path) = waiting.pop() {
        let Some(last) = path.last().and_then(|last| stack(system, last)) else { continue };
        for next in &last.depends_on {
            let mut longer = path.clone();
            longer.push(next.clone());
            if next == to {
                return Some(longer);
            }
            if !seen.contains(&next) {
                seen.push(next);
                waiting.push(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::rules::tests::{broken, stack_of};

    /// Each kind of source demands its stack: a reader that depends on nothing is told of all that it reads.
    #[test]
    fn what_is_read_comes_first() {
        for (reader, what) in [
            ("events@us-west-2", "reads the stream of `tandem-production-customers` of data@us-west-2"),
            ("events@us-east-1", "reads the stream of `tandem-production-customers` of data@us-west-2"),
            ("events@us-west-2", "reads the bucket of artifacts of delivery@us-west-2"),
            ("events@us-east-1", "reads the code of `event-router` of delivery@us-east-1"),
            ("keys@us-east-1", "reads `KeyArn` of keys@us-west-2"),
        ] {
            let found = broken(|system| stack_of(system, reader).depends_on.clear());
            let said = found.iter().any(|finding| {
                let of_reader = finding.rule == "stack-order" && finding.stacks[0].to_string() == reader;
                of_reader && finding.message == format!("{what} and does not depend on it")
            });
            assert!(said, "{reader} {what}: {found:#?}");
        }
    }

    /// A way through another stack is a way.
    #[test]
    fn what_comes_first_by_others_is_enough() {
        let found = broken(|system| {
            let api = stack_of(system, "api@us-east-1").id.clone();
            let observability = stack_of(system, "observability@us-east-1");
            observability.depends_on.retain(|id| *id == api || !["keys", "events"].contains(&id.name));
            observability.depends_on.push(api);
        });
        assert_eq!(found, []);
    }

    #[test]
    fn code_needs_a_place_to_lie() {
        let found = broken(|system| system.stacks.retain(|stack| stack.id.to_string() != "delivery@us-east-1"));
        let message = "reads the bucket of artifacts of delivery@us-east-1, which the system does not have";
        assert!(found.iter().any(|finding| finding.message == message), "{found:#?}");
    }
}
