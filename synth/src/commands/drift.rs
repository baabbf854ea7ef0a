//! `synth drift`

use clap::Args;
use diff::render::{About, human_about};

use super::diff::{exit_code_of, print};
use super::{Checkout, Ended, wait_for};
use crate::deploy::Selection;
use crate::deploy::drift::{self, Options, Report};
use crate::exit_code;
use crate::ui::{Format, Style, Ui};

/// Show where what is live isn't what was deployed: what somebody changed or deleted by hand
///
/// CloudFormation compares every resource with its deployed template, stack beside stack, and nothing is changed. What functions
/// run is compared by its digest. What can't be seen is told too: resource types without drift detection, and properties that no
/// service gives back. A deployment doesn't undo drift in what it leaves alone: undo it in the service, or write it into the code
/// and deploy.
///
/// On AWS it reads with the caller's rights; the role `drift` has just those. The local platform knows some types only.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes:\n  0  all that could be looked at is as deployed\n  1  something could not be looked at, and nothing else was found\n  2  something has drifted\n  3  something is gone, or is another one than was deployed\n  4  more is permitted or reachable\n\nExamples:\n  synth drift --env production\n  synth drift --env production --stack data --region us-east-1 --format json"
)]
pub(crate) struct DriftArgs {
    /// Only stacks of this name; may be given several times
    #[arg(long, value_name = "STACK")]
    stack: Vec<String>,

    /// Only stacks in this region; may be given several times
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,

    /// Where all of it is, for readers of Markdown that had to be cut short
    #[arg(long, value_name = "WORDS", default_value = "`synth drift --format json`")]
    artifact: String,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &DriftArgs) -> Ended {
    let checkout = Checkout::find()?;
    let environment = checkout.deployable_environment(environments)?;
    let DriftArgs { stack, region, artifact } = arguments;
    let selection = Selection { stacks: stack.clone(), regions: region.clone() };
    let options = Options { checkout: checkout.root().to_owned(), selection };
    let report = wait_for(drift::run(ui, &environment, &options))?;
    show(ui, &report, artifact);
    let failures = report.failures().count();
    if failures > 0 {
        ui.warning(&format!("{failures} could not be looked at, so there may be more drift than is shown"));
    }
    Ok(code_of(&report))
}

fn show(ui: &Ui, report: &Report, artifact: &str) {
    match ui.format() {
        Format::Json => ui.json(&report.json()),
        Format::Markdown => ui.answer(report.markdown(artifact).trim_end()),
        Format::Human => {
            print(ui, human_about(&report.diff, About::Drift));
            report.notes().iter().for_each(|note| ui.answer(&ui.paint_answer(Style::Dim, note)));
        }
    }
}

/// What was found counts; without anything, it is only good news if everything could be looked at.
fn code_of(report: &Report) -> u8 {
    match exit_code_of(&report.diff) {
        exit_code::DONE if report.failures().next().is_some() => exit_code::ERROR,
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_to_know_is_no_good_news_and_never_hides_drift() {
        let data = || crate::deploy::system::StackKey::new("data", "us-west-2");
        let report = |unchecked: &str, resources: &str, is_missing: bool| -> Report {
            let text = format!(
                r#"{{"version": 1, "stacks": [{{"key": {{"name": "data", "region": "us-west-2"}}, "fate": "stays",
                "resources": [{resources}], "sections": [], "permissions": [], "network": [], "findings": [],
                "metadata_only": 0, "notes": []}}]}}"#
            );
            let diff = diff::render::from_json(&text).unwrap();
            let reason = (!unchecked.is_empty()).then(|| unchecked.to_owned());
            let one = drift::Unchecked {
                stack: data(),
                logical_id: Some("Orders".to_owned()),
                resource_type: Some("AWS::DynamoDB::Table".to_owned()),
                reason,
            };
            Report {
                environment: "test".to_owned(),
                diff,
                unchecked: vec![one],
                unseen: Vec::new(),
                not_deployed: is_missing.then(data).into_iter().collect(),
            }
        };
        let gone = r#"{"logical_id": "Orders", "resource_type": "AWS::DynamoDB::Table", "class": "removed", "because": [],
            "is_stateful": true, "sources": ["live"], "properties": [], "attributes": []}"#;
        assert_eq!(code_of(&report("", "", false)), exit_code::DONE, "a type without drift detection is no failure");
        assert_eq!(code_of(&report("access denied", "", false)), exit_code::ERROR);
        assert_eq!(code_of(&report("access denied", gone, false)), exit_code::DESTRUCTIVE);
        assert_eq!(code_of(&report("", "", true)), exit_code::DONE, "an environment that was never deployed");
        assert_eq!(code_of(&report("it isn't deployed", "", true)), exit_code::ERROR);
        assert_eq!(code_of(&report("it isn't deployed", gone, true)), exit_code::DESTRUCTIVE);
    }
}
