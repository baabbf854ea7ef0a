//! `synth diff`

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use diff::render::{MarkdownOptions, Role, Text, human, json, markdown};
use diff::{ChangeClass, Diff, StackChange, StackKey};

use super::{Checkout, Ended, wait_for};
use crate::deploy::pins::PlanFile;
use crate::deploy::{Consent, ManifestOptions, manifests, survey};
use crate::error::Error;
use crate::exit_code;
use crate::offline::{self, Side};
use crate::ui::{Format, Style, Ui};

/// Show what a change does: what is made anew or goes, who may do more, what is unsafe on the way
///
/// Compares what is deployed with what the checkout says, and only reads: no change set is made. What runs in the clusters is
/// asked for by dry runs, which change nothing; who may only read them sees what reading shows.
/// What the functions run isn't compared, because nothing is built.
/// With `--from`, folders are compared that `synth synth --out` wrote, or two templates, and nobody is asked.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes:\n  0  nothing changes\n  2  something changes\n  3  something is replaced or removed, or may be\n  4  more is permitted or reachable\n\nExample:\n  synth diff --env staging\n  synth synth --env staging --out before; git switch my-branch; synth diff --env staging --from before"
)]
pub(crate) struct DiffArgs {
    /// What was: a folder that `synth synth --out` wrote, or a template [default: what is deployed]
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,

    /// What shall be: such a folder or a template [default: what the checkout says]
    #[arg(long, value_name = "PATH", requires = "from")]
    to: Option<PathBuf>,

    /// Write a plan for `synth deploy --plan` to this file
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    out: Option<PathBuf>,

    /// Agree in the plan that what a resource holds or is known by may be lost, and say why: `Orders:moved`, or of one
    /// stack `data@us-west-2/Orders:moved`; may be given several times
    #[arg(long, value_name = "RESOURCE:REASON", requires = "out")]
    allow: Vec<Consent>,

    /// Leave the clusters alone: stacks only
    #[arg(long, conflicts_with = "from")]
    skip_manifests: bool,

    /// Where all of it is, for readers of Markdown that had to be cut short
    #[arg(long, value_name = "WORDS", default_value = "the artifacts of this run")]
    artifact: String,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &DiffArgs) -> Ended {
    let DiffArgs { from, to, out, allow, skip_manifests, artifact } = arguments;
    let mut notes = Vec::new();
    let (name, diff) = match (from, to) {
        (Some(from), Some(to)) => {
            let name = only(environments)?;
            let (before, after) = (offline::read(from, &name)?, offline::read(to, &name)?);
            let diff = compared(&before, &after)?;
            (name, diff)
        }
        (Some(from), None) => {
            let environment = Checkout::find()?.environment(environments)?;
            let name = environment.environment_name().to_owned();
            let diff = compared(&offline::read(from, &name)?, &offline::of_checkout(&environment)?)?;
            (name, diff)
        }
        (None, _) => {
            let checkout = Checkout::find()?;
            let environment = checkout.deployable_environment(environments)?;
            let (surveyed, looks) = wait_for(async {
                let surveyed = survey::survey(&environment, checkout.root()).await?;
                let options = ManifestOptions { skip: *skip_manifests, ..ManifestOptions::default() };
                let looks = manifests::compared(&environment, &surveyed, &options).await?;
                Ok((surveyed, looks))
            })?;
            notes = manifests::notes(&looks);
            let (name, account) = (environment.environment_name(), environment.account().as_str());
            if let Some(path) = out {
                let plan = PlanFile::of(name, account, &surveyed, allow.clone());
                plan.with_manifests(&environment, &looks).write(path)?;
                ui.status(&format!(
                    "the plan is in {}; deploy it with `synth deploy --env {name} --plan {0}`",
                    path.display()
                ));
            }
            let mut diff = survey::compared(&surveyed)?;
            diff.stacks.extend(manifests::stack_diffs(&looks));
            diff.stacks.sort_by(|one, other| one.key.cmp(&other.key));
            (name.to_owned(), diff)
        }
    };
    let against = if from.is_some() { "other templates, and not with what is deployed" } else { "what is deployed" };
    show(ui, &name, &diff, against, &notes, artifact);
    Ok(exit_code_of(&diff))
}

/// The environment that folders are compared for; their files needn't be those of the checkout.
fn only(environments: &[String]) -> Result<String, Error> {
    match environments {
        [] => Ok("sandbox".to_owned()),
        [one] if one != "all" => Ok(one.clone()),
        _ => Err(Error::usage("`diff` compares one environment").hint("name one with `--env`, and run it for each")),
    }
}

fn compared(before: &Side, after: &Side) -> Result<Diff, Error> {
    let keys: BTreeSet<&StackKey> = before.keys().chain(after.keys()).collect();
    let change = |key: &&StackKey| StackChange::new((*key).clone(), before.get(*key), after.get(*key));
    diff::diff(&keys.iter().map(change).collect::<Vec<_>>()).map_err(broken)
}

fn broken(error: diff::DiffError) -> Error {
    Error::internal("the stacks can't be compared").caused_by(error)
}

/// Shows a diff; notes are no change, and have to be seen all the same.
pub(super) fn show(ui: &Ui, environment: &str, diff: &Diff, against: &str, notes: &[String], artifact: &str) {
    for note in notes {
        ui.warning(note);
    }
    match ui.format() {
        Format::Json => ui.answer(json(diff).trim_end()),
        Format::Markdown => {
            // A line of HTML or a mention in somebody else's words stays words.
            let quoted = |note: &String| format!("\n> `{}`\n", note.replace('`', "\u{2bb}").replace(['\r', '\n'], " "));
            let notes: String = notes.iter().map(quoted).collect();
            let options = MarkdownOptions {
                marker: format!("tandem-diff-{environment}"),
                subject: Some(format!("`{environment}`")),
                against: Some(against.to_owned()),
                artifact: Some(artifact.to_owned()),
                ..MarkdownOptions::default()
            };
            let options = MarkdownOptions { cap: options.cap.saturating_sub(notes.len()), ..options };
            ui.answer(format!("{}\n{notes}", markdown(diff, &options).trim_end()).trim_end());
        }
        Format::Human => print(ui, human(diff)),
    }
}

/// The lines of a diff, painted by what they are.
pub(super) fn print(ui: &Ui, text: Text) {
    for line in text.lines {
        let style = match line.role {
            Role::Heading => Some(Style::Heading),
            Role::Broadened | Role::Refused | Role::Removed | Role::Replaced => Some(Style::Bad),
            Role::Warning => Some(Style::Changed),
            Role::Added | Role::Narrowed => Some(Style::Good),
            Role::Detail | Role::Note => Some(Style::Dim),
            Role::Modified | Role::Total => None,
        };
        let text = line.to_string();
        ui.answer(&style.map_or_else(|| text.clone(), |style| ui.paint_answer(style, &text)));
    }
}

/// When several classes apply, the gravest counts.
pub(super) fn exit_code_of(diff: &Diff) -> u8 {
    match diff.summary().gravest() {
        None => exit_code::DONE,
        Some(ChangeClass::Changes) => exit_code::CHANGES,
        Some(ChangeClass::Destructive) => exit_code::DESTRUCTIVE,
        Some(ChangeClass::Broadened) => exit_code::BROADENED,
    }
}
