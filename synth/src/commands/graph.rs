//! `synth graph`

use clap::{Args, ValueEnum};
use contracts::Region;
use infra::graph;
use infra::graph::Diagram;

use super::{Checkout, Ended};
use crate::error::Error;
use crate::exit_code;
use crate::ui::Ui;

/// Draw the stacks, or which way events and data flow
///
/// Everything is derived: dependencies from the stacks' inputs, flows from what the programs declare that they need.
/// Mermaid shows in Markdown on GitHub; `dot -Tsvg` makes a picture of the other form. With `--format json` the answer
/// is nodes and edges, and `--as` means nothing.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  synth graph --region us-west-2\n  synth graph stacks --as dot | dot -Tsvg > stacks.svg"
)]
pub(crate) struct GraphArgs {
    /// What to draw
    #[arg(value_enum, default_value_t = Subject::Flow)]
    subject: Subject,

    /// Language of the diagram
    #[arg(long = "as", value_enum, value_name = "LANGUAGE", default_value_t = Language::Mermaid)]
    language: Language,

    /// Only what begins in this region
    #[arg(long, value_name = "REGION")]
    region: Option<Region>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Subject {
    /// Which way events and data flow.
    Flow,
    /// Which stack comes after which.
    Stacks,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    /// For Markdown.
    Mermaid,
    /// For Graphviz.
    Dot,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &GraphArgs) -> Ended {
    let environment = Checkout::find()?.environment(environments)?;
    if let Some(region) = arguments.region.as_ref().filter(|region| environment.region(region).is_none()) {
        let known: Vec<&str> = environment.regions().map(Region::as_str).collect();
        let name = environment.environment_name();
        return Err(Error::usage(format!("`{region}` is no region of `{name}`"))
            .hint(format!("its regions are {}", known.join(", "))));
    }
    let system = infra::system(&environment);
    let diagram: Diagram = match arguments.subject {
        Subject::Flow => graph::flows(&system, arguments.region.as_ref()),
        Subject::Stacks => graph::stacks(&system, arguments.region.as_ref()),
    };
    if ui.is_json() {
        let mut answer = diagram.to_json();
        answer["environment"] = environment.environment_name().into();
        ui.json(&answer);
        return Ok(exit_code::DONE);
    }
    let text = match arguments.language {
        Language::Mermaid => diagram.mermaid(),
        Language::Dot => diagram.dot(),
    };
    ui.answer(text.trim_end());
    Ok(exit_code::DONE)
}
