//! Parameters are filled, and what fills them exists: else a deployment would stop half way.

use cfn::{Json, known_text};

use super::{Finding, stack};
use crate::system::{Input, Source, StackInstance, System};

/// Every parameter has its input, every input its parameter and its source.
pub(super) fn check(system: &System, found: &mut Vec<Finding>) {
    for stack in &system.stacks {
        parameters(stack, found);
        for input in &stack.inputs {
            source(system, stack, input, found);
        }
    }
}

fn parameters(stack: &StackInstance, found: &mut Vec<Finding>) {
    for (name, parameter) in stack.template.parameters() {
        // The Parameter Store and defaults fill what nobody else does.
        let filled = parameter.get("Default").is_some();
        let inputs = stack.inputs.iter().filter(|input| input.parameter == name).count();
        let message = match inputs {
            0 if !filled => format!("nothing fills the parameter `{name}`"),
            0 | 1 => continue,
            _ => format!("{inputs} inputs fill the parameter `{name}`"),
        };
        let hint = "declare it by `Scope::input`, once";
        found.push(Finding::new("input", stack, message, hint).named(name));
    }
    let known = |wanted: &str| stack.template.parameters().any(|(name, _)| name == wanted);
    for input in stack.inputs.iter().filter(|input| !known(&input.parameter)) {
        let message = format!("an input fills `{}`, which the template does not have", input.parameter);
        found.push(Finding::new("input", stack, message, "declare both by `Scope::input`").named(&input.parameter));
    }
}

fn source(system: &System, reader: &StackInstance, input: &Input, found: &mut Vec<Finding>) {
    let report = |message: String, hint: String| Finding::new("input", reader, message, hint).named(&input.parameter);
    match &input.source {
        Source::StackOutput { stack: id, output } => match stack(system, id) {
            None => {
                let message = format!("reads `{output}` of {id}, which the system does not have");
                found.push(report(message, "name a stack of this environment".to_owned()));
            }
            Some(source) if source.template.outputs().all(|(name, _)| name != output) => {
                let known: Vec<&str> = source.template.outputs().map(|(name, _)| name).collect();
                let message = format!("reads the output `{output}` of {id}, which that stack does not have");
                found.push(report(message, format!("it has {}", told(&known))).with(id));
            }
            Some(_) => {}
        },
        Source::TableStream { table } => {
            if home_of_stream(system, table, reader.id.region.as_str()).is_none() {
                let message = format!("reads the stream of `{table}`, which has none in {}", reader.id.region);
                let hint = "declare the table with a stream, and this region among its replicas";
                found.push(report(message, hint.to_owned()));
            }
        }
        Source::CodeBucket | Source::CodeKey { .. } => {}
    }
}

/// The stack whose table of that name has a stream in the region.
pub(super) fn home_of_stream<'a>(system: &'a System, table: &str, region: &str) -> Option<&'a StackInstance> {
    system.stacks.iter().find(|stack| {
        stack.template.resources().any(|declaration| {
            let properties = declaration.properties();
            let home = stack.id.region.as_str();
            let named = properties.get("TableName").and_then(|name| known_text(name, home)).as_deref() == Some(table);
            let here = match declaration.type_name() {
                "AWS::DynamoDB::GlobalTable" => {
                    let replicas = properties.get("Replicas").and_then(Json::as_array).into_iter().flatten();
                    replicas.into_iter().any(|replica| replica["Region"] == region)
                }
                "AWS::DynamoDB::Table" => home == region,
                _ => false,
            };
            named && here && properties.get("StreamSpecification").is_some()
        })
    })
}

fn told(names: &[&str]) -> String {
    if names.is_empty() { "no outputs".to_owned() } else { names.join(", ") }
}
