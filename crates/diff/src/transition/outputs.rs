//! What others read, and what fits into a template.

use serde_json::Value;

use super::{Context, Found, MOST_RESOURCES};
use crate::model::{Severity, code};
use crate::template::Template;

pub(super) fn outputs_stay(context: &Context<'_>, found: &mut Vec<Found>) {
    let outputs = context.after.map(|after| after.section("Outputs"));
    for (reader, read) in context.reads.iter().filter(|(_, read)| read.stack == *context.key) {
        if outputs.is_none_or(|outputs| !outputs.contains_key(&read.output)) {
            found.push(Found {
                severity: Severity::Refused,
                subject: Some(read.output.clone()),
                message: format!(
                    "output {} goes, and stack {} goes on reading it",
                    code(&read.output),
                    code(&reader.to_string())
                ),
                safe_path: "first deploy the reader without it, then remove the output".to_owned(),
            });
        }
    }
}

pub(super) fn exports_stay(context: &Context<'_>, found: &mut Vec<Found>) {
    let old = context.before.into_iter().flat_map(exports);
    let new: Vec<&Value> = context.after.into_iter().flat_map(exports).map(|(_, export)| export).collect();
    for (output, export) in old {
        if new.contains(&export) {
            continue;
        }
        let reader = context.imports.iter().find(|(_, name)| export == *name).map(|(stack, _)| *stack);
        let (severity, reads) = match reader {
            Some(stack) => (Severity::Refused, format!("stack {} goes on importing it", code(&stack.to_string()))),
            None => (Severity::Warning, "CloudFormation refuses that while any stack imports it".to_owned()),
        };
        let name = export.as_str().map_or_else(|| export.to_string(), str::to_owned);
        found.push(Found {
            severity,
            subject: Some(output.to_owned()),
            message: format!("export {} goes, and {reads}", code(&name)),
            safe_path: "first deploy the importing stacks without it, then remove the export".to_owned(),
        });
    }
}

fn exports(template: &Template) -> impl Iterator<Item = (&str, &Value)> {
    template
        .section("Outputs")
        .iter()
        .filter_map(|(name, output)| Some((name.as_str(), output.pointer("/Export/Name")?)))
}

pub(super) fn resources_fit(context: &Context<'_>, found: &mut Vec<Found>) {
    let count = context.after.map_or(0, |after| after.section("Resources").len());
    let was = context.before.map_or(0, |before| before.section("Resources").len());
    // A template that is over the limit and was before is another matter than this change.
    if count > MOST_RESOURCES && count > was {
        found.push(Found {
            severity: Severity::Refused,
            subject: None,
            message: format!("the template has {count} resources, and CloudFormation takes {MOST_RESOURCES}"),
            safe_path: "move resources that belong together into a stack of their own".to_owned(),
        });
    }
}
