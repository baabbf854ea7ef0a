//! What a deployment to AWS doesn't do unasked: destroy what can't be made again, and changes that CloudFormation refuses or
//! that lose something on the way.

use std::collections::BTreeSet;
use std::str::FromStr;

use diff::{Diff, Severity};
use serde::{Deserialize, Serialize};

use super::Selection;
use super::system::StackKey;
use crate::error::Error;

/// Rules about what CloudFormation or the service doesn't do, whoever agrees to it.
const IMPOSSIBLE: [&str; 11] = [
    "event-source-mapping-conflict",
    "export-removed",
    "index-with-replica",
    "name-is-taken",
    "one-index-per-update",
    "one-replica-per-update",
    "output-removed",
    "own-replica-removed",
    "replica-alone",
    "table-becomes-global",
    "too-many-resources",
];

/// The consent to destroy one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// The resource, in whatever stack it is.
    pub logical_id: String,
    /// Why.
    pub reason: String,
}

impl FromStr for Consent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (logical_id, reason) = text.split_once(':').ok_or("write a logical id, a colon and the reason")?;
        let is_id = !logical_id.is_empty() && logical_id.chars().all(|c| c.is_ascii_alphanumeric());
        match (is_id, reason.trim()) {
            (false, _) => Err(format!("`{logical_id}` is no logical id")),
            (true, "") => Err("say why after the colon".to_owned()),
            (true, reason) => Ok(Self { logical_id: logical_id.to_owned(), reason: reason.to_owned() }),
        }
    }
}

/// Makes sure that nothing is destroyed without consent, and that the way there is safe.
///
/// # Errors
/// All that stands against it, each with the way out.
pub(crate) fn check(diff: &Diff, selection: &Selection, consents: &[Consent]) -> Result<(), Error> {
    let mut against: Vec<String> = Vec::new();
    let mut without_consent: BTreeSet<&str> = BTreeSet::new();
    let is_allowed = |id: &str| consents.iter().any(|consent| consent.logical_id == id);
    for stack in &diff.stacks {
        let key = StackKey::new(stack.key.name.clone(), stack.key.region.clone());
        if !selection.includes(&key) {
            continue;
        }
        let severe = || stack.findings.iter().filter(|finding| finding.severity > Severity::Warning);
        for finding in severe() {
            let subject = finding.subject.as_deref().unwrap_or_default();
            let is_impossible = IMPOSSIBLE.contains(&finding.rule.as_str());
            if is_impossible || !is_allowed(subject) {
                against.push(format!("{key}: {}; {}", finding.message, finding.safe_path));
                without_consent.extend((!is_impossible && !subject.is_empty()).then_some(subject));
            }
        }
        let told: BTreeSet<&str> = severe().filter_map(|finding| finding.subject.as_deref()).collect();
        for resource in &stack.resources {
            let id = resource.logical_id.as_str();
            if resource.is_stateful && resource.class.is_destructive() && !is_allowed(id) && !told.contains(id) {
                let because = resource.because.first().map(|because| format!(" because {because}")).unwrap_or_default();
                against.push(format!("{key}: `{id}` ({}) {}{because}", resource.resource_type, resource.class));
                without_consent.insert(id);
            }
        }
    }
    if against.is_empty() {
        return Ok(());
    }
    let error = Error::refused("the change is not safe, so nothing was changed");
    let error = against.into_iter().fold(error, Error::detail);
    Err(without_consent
        .into_iter()
        .fold(error, |error, id| error.hint(format!("if the data may go, say so with `--allow {id}:<reason>`"))))
}

#[cfg(test)]
mod tests {
    use diff::{StackChange, Template};

    use super::*;

    fn checked(before: &str, after: &str, consents: &[&str]) -> Result<(), String> {
        let template = |resources: &str| Template::parse(&format!(r#"{{"Resources": {{{resources}}}}}"#)).unwrap();
        let (before, after) = (template(before), template(after));
        let key = diff::StackKey::new("data", "us-west-2");
        let diff = diff::diff(&[StackChange::new(key, Some(&before), Some(&after))]).unwrap();
        let consents: Vec<Consent> = consents.iter().map(|text| text.parse().unwrap()).collect();
        check(&diff, &Selection::default(), &consents).map_err(|error| error.render())
    }

    const QUEUE: &str = r#""Work": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "work"}}"#;
    const RULE: &str = r#""Rule": {"Type": "AWS::Events::Rule", "Properties": {"State": "ENABLED"}}"#;

    #[test]
    fn what_holds_data_goes_only_with_consent() {
        let both = format!("{QUEUE}, {RULE}");
        assert_eq!(checked(&both, &both, &[]), Ok(()));
        assert_eq!(checked(&both, QUEUE, &[]), Ok(()), "a rule holds nothing");
        let refused = checked(&both, RULE, &["Other:gone"]).unwrap_err();
        assert!(refused.contains("data@us-west-2: `Work` (`AWS::SQS::Queue`) is to be removed"), "{refused}");
        assert!(refused.contains("`--allow Work:<reason>`"), "{refused}");
        assert_eq!(refused.matches("data@us-west-2").count(), 1, "{refused}");
        assert_eq!(checked(&both, RULE, &["Work:drained on Monday"]), Ok(()));
        let fifo =
            r#""Work": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "work.fifo", "FifoQueue": true}}"#;
        assert!(checked(QUEUE, fifo, &[]).unwrap_err().contains("`--allow Work:<reason>`"));
        assert_eq!(checked(QUEUE, fifo, &["Work:drained"]), Ok(()));
    }

    #[test]
    fn rules_that_nobody_can_waive_are_rules() {
        let known = diff::rules();
        assert!(IMPOSSIBLE.iter().all(|rule| known.contains(rule)), "{known:?}");
    }

    #[test]
    fn unsafe_ways_are_refused_with_the_safe_one() {
        let table = |indexes: &str| {
            format!(
                r#""Table": {{"Type": "AWS::DynamoDB::GlobalTable", "DeletionPolicy": "Retain", "Properties": {{
                    "TableName": "t", "KeySchema": [], "AttributeDefinitions": [], "Replicas": [{{"Region": "us-west-2"}}],
                    "GlobalSecondaryIndexes": [{indexes}]}}}}"#
            )
        };
        let index = |name: &str| format!(r#"{{"IndexName": "{name}", "KeySchema": [], "Projection": {{}}}}"#);
        let two = format!("{}, {}", index("a"), index("b"));
        let refused = checked(&table(""), &table(&two), &[]).unwrap_err();
        assert!(refused.contains("index"), "{refused}");
        assert!(checked(&table(""), &table(&two), &["Table:I insist"]).is_err());
        assert_eq!(checked(&table(""), &table(&index("a")), &[]), Ok(()));
    }

    #[test]
    fn consents_have_a_reason() {
        assert_eq!("Table: moved ".parse(), Ok(Consent { logical_id: "Table".to_owned(), reason: "moved".to_owned() }));
        for bad in ["Table", "Table:", "Table: ", ":why", "Ta ble:why"] {
            assert!(bad.parse::<Consent>().is_err(), "{bad}");
        }
    }
}
