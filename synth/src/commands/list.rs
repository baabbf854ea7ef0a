//! `synth list`

use cfn::Template;
use clap::Args;
use infra::environment::Environment;
use infra::rules::INLINE_BYTES;
use serde::Serialize;

use super::{Checkout, Ended};
use crate::exit_code;
use crate::ui::{Style, Ui, table};

/// List the stacks of an environment with regions, resources and sizes
///
/// Nothing is asked of AWS: this is what the checkout says.
/// Stacks stand in an order in which each comes after those it depends on. Bytes are those that are sent to AWS.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth list --env production --format json")]
pub(crate) struct ListArgs {}

#[derive(Serialize)]
struct Listed {
    environment: String,
    target: &'static str,
    stacks: Vec<ListedStack>,
}

#[derive(Serialize)]
struct ListedStack {
    stack: &'static str,
    region: String,
    name: String,
    resources: usize,
    inputs: usize,
    bytes: usize,
    depends_on: Vec<String>,
}

pub(super) fn run(ui: &Ui, environments: &[String], _: &ListArgs) -> Ended {
    let environments = Checkout::find()?.environments(environments)?;
    let listed: Vec<Listed> = environments.iter().map(listed).collect();
    if ui.is_json() {
        ui.json(&serde_json::json!({ "environments": listed }));
    } else {
        let blocks: Vec<String> = listed.iter().map(|listed| human(ui, listed)).collect();
        ui.answer(&blocks.join("\n\n"));
    }
    Ok(exit_code::DONE)
}

fn listed(environment: &Environment) -> Listed {
    let stacks = infra::system(environment).stacks.into_iter().map(|stack| ListedStack {
        stack: stack.id.name,
        region: stack.id.region.to_string(),
        name: stack.cloudformation_name,
        resources: stack.template.resources().len(),
        inputs: stack.inputs.len(),
        bytes: sent_bytes(&stack.template),
        depends_on: stack.depends_on.iter().map(ToString::to_string).collect(),
    });
    Listed {
        environment: environment.environment_name().to_owned(),
        target: environment.target().name(),
        stacks: stacks.collect(),
    }
}

/// Bytes of a template as it is sent: without white space where that makes it short enough for a call.
fn sent_bytes(template: &Template) -> usize {
    let readable = template.render().len();
    if readable <= INLINE_BYTES {
        return readable;
    }
    let compact = template.compact_len();
    if compact <= INLINE_BYTES { compact } else { readable }
}

fn human(ui: &Ui, listed: &Listed) -> String {
    let mut rows = vec![["stack", "region", "resources", "bytes", "after"].map(str::to_owned).to_vec()];
    rows.extend(listed.stacks.iter().map(|stack| {
        let after = if stack.depends_on.is_empty() { "-".to_owned() } else { stack.depends_on.join(", ") };
        vec![stack.stack.to_owned(), stack.region.clone(), stack.resources.to_string(), stack.bytes.to_string(), after]
    }));
    let mut lines = table(&rows);
    lines[0] = ui.paint_answer(Style::Dim, &lines[0]);
    let heading = format!("{} ({})", listed.environment, listed.target);
    lines.insert(0, ui.paint_answer(Style::Heading, &heading));
    lines.join("\n")
}
