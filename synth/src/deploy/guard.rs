//! What a deployment to AWS doesn't do unasked: destroy what can't be made again, and changes that CloudFormation refuses or
//! that lose something on the way.

use std::collections::BTreeSet;
use std::str::FromStr;

use cfn::TypeDescription;
use diff::{Diff, Severity};
use serde::{Deserialize, Serialize};

use super::Selection;
use super::changes::Changes;
use super::cloud::{Change, ChangeKind};
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

/// The consent to lose what one resource holds or is known by: `Orders:moved to another table`, or with the stack in front
/// `data@us-west-2/Orders:…`, so that the same resource of another region is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// The resource: its logical id, in one stack or in any.
    pub resource: String,
    /// Why.
    pub reason: String,
}

impl FromStr for Consent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (resource, reason) = text.split_once(':').ok_or("write a logical id, a colon and the reason")?;
        let id = match resource.split_once('/') {
            Some((stack, id))
                if stack.split_once('@').is_some_and(|(name, region)| !name.is_empty() && !region.is_empty()) =>
            {
                id
            }
            Some(_) => return Err(format!("`{resource}` is no `<stack>@<region>/<logical id>`")),
            None => resource,
        };
        let is_id = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric());
        match (is_id, reason.trim()) {
            (false, _) => Err(format!("`{id}` is no logical id")),
            (true, "") => Err("say why after the colon".to_owned()),
            (true, reason) => Ok(Self { resource: resource.to_owned(), reason: reason.to_owned() }),
        }
    }
}

impl Consent {
    fn is_for(&self, stack: &StackKey, logical_id: &str) -> bool {
        match self.resource.split_once('/') {
            Some((key, id)) => key == stack.to_string() && id == logical_id,
            None => self.resource == logical_id,
        }
    }
}

/// Makes sure that nothing is destroyed without consent, and that the way there is safe. Gives what was agreed to, for the record.
///
/// # Errors
/// All that stands against it, each with the way out; or a consent among `given` that nothing needs. One of a plan may be for
/// a part of it that is carried out another time, or is done.
pub(crate) fn check(
    diff: &Diff,
    selection: &Selection,
    planned: &[Consent],
    given: &[Consent],
) -> Result<Vec<String>, Error> {
    let mut against: Vec<String> = Vec::new();
    let mut without_consent: BTreeSet<String> = BTreeSet::new();
    let mut agreed: Vec<String> = Vec::new();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for stack in &diff.stacks {
        let key = StackKey::new(stack.key.name.clone(), stack.key.region.clone());
        if !selection.includes(&key) {
            continue;
        }
        // Each harm: the resource, what happens, the way out, and whether anybody can agree to it.
        let severe = stack.findings.iter().filter(|finding| finding.severity > Severity::Warning);
        let severe = severe.map(|finding| {
            let subject = finding.subject.as_deref().unwrap_or_default();
            let can_be = !subject.is_empty() && !IMPOSSIBLE.contains(&finding.rule.as_str());
            (subject, format!("{}; {}", finding.message, finding.safe_path), can_be)
        });
        let mut harms: Vec<(&str, String, bool)> = severe.collect();
        for resource in stack.resources.iter().filter(|one| one.is_stateful && one.class.is_destructive()) {
            let id = resource.logical_id.as_str();
            if !harms.iter().any(|(subject, _, can_be)| *subject == id && *can_be) {
                let because = resource.because.first().map(|because| format!(" because {because}")).unwrap_or_default();
                harms.push((id, format!("`{id}` ({}) {}{because}", resource.resource_type, resource.class), true));
            }
        }
        for (subject, harm, can_be_agreed_to) in harms {
            let mut consents = given.iter().chain(planned).filter(|consent| consent.is_for(&key, subject));
            match consents.next().filter(|_| can_be_agreed_to) {
                Some(consent) => {
                    used.insert(&consent.resource);
                    agreed.push(format!("agreed to ({}): {key}: {harm}", consent.reason));
                }
                None => {
                    against.push(format!("{key}: {harm}"));
                    without_consent.extend(can_be_agreed_to.then(|| format!("{key}/{subject}")));
                }
            }
        }
    }
    if !against.is_empty() {
        let error = Error::refused("the change is not safe, so nothing was changed");
        let error = against.into_iter().fold(error, Error::detail);
        return Err(without_consent.into_iter().fold(error, |error, resource| {
            error.hint(format!("if that may be lost, say so with `--allow {resource}:<reason>`"))
        }));
    }
    let unused = given.iter().filter(|consent| !used.contains(consent.resource.as_str()));
    let unused: Vec<&str> = unused.map(|consent| consent.resource.as_str()).collect();
    if unused.is_empty() {
        return Ok(agreed);
    }
    Err(Error::usage(format!("nothing needs consent to lose `{}`", unused.join("`, `")))
        .hint("leave it out, or correct the logical id; `synth diff` says what is lost"))
}

/// What a change set certainly destroys of resources that hold data, beyond what the comparison showed: CloudFormation has the
/// last word on what is replaced.
pub(crate) fn beyond(diff: &Diff, key: &StackKey, changes: &Changes, consents: &[Consent]) -> Vec<String> {
    let of_stack = diff.stacks.iter().find(|stack| stack.key.name == key.name && stack.key.region == key.region);
    let shown = of_stack.map(Changes::of).unwrap_or_default();
    let holds_data = |of: &str| cfn::describe(of).is_some_and(TypeDescription::is_stateful);
    let destroyed = changes.harm_beyond(&shown).filter(|change| {
        change.kind >= ChangeKind::Replace
            && holds_data(&change.resource_type)
            && !consents.iter().any(|consent| consent.is_for(key, &change.logical_id))
    });
    let say = |change: &Change| {
        let what = if change.kind == ChangeKind::Remove { "removes" } else { "replaces" };
        format!("CloudFormation {what} {key}/{} ({})", change.logical_id, change.resource_type)
    };
    destroyed.map(say).collect()
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
        check(&diff, &Selection::default(), &[], &consents).map(drop).map_err(|error| error.render())
    }

    /// A plan is carried out in parts, and again: then some of its consents have nothing to be for.
    #[test]
    fn a_plans_consent_may_be_for_another_part() {
        let template = |text: &str| Template::parse(text).unwrap();
        let (before, after) = (template(&format!(r#"{{"Resources": {{{QUEUE}}}}}"#)), template(r#"{"Resources": {}}"#));
        let key = diff::StackKey::new("data", "us-west-2");
        let consents: [Consent; 1] = ["Work:drained".parse().unwrap()];
        let of = |before: &Template, after: &Template| {
            diff::diff(&[StackChange::new(key.clone(), Some(before), Some(after))]).unwrap()
        };
        let everything = Selection::default();
        assert_eq!(check(&of(&before, &after), &everything, &consents, &[]).unwrap().len(), 1);
        assert_eq!(check(&of(&after, &after), &everything, &consents, &[]).unwrap().len(), 0);
        let elsewhere = Selection { regions: vec!["us-east-1".to_owned()], ..Selection::default() };
        assert_eq!(check(&of(&before, &after), &elsewhere, &consents, &[]).unwrap().len(), 0);
        assert!(
            check(&of(&after, &after), &everything, &[], &consents).is_err(),
            "a given one has to be for something"
        );
    }

    /// CloudFormation has the last word on what is replaced, and nobody has seen that.
    #[test]
    fn what_a_change_set_destroys_beyond_the_comparison_is_found() {
        let delayed = r#""Work": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "work", "DelaySeconds": 5}}"#;
        let template = |resources: &str| Template::parse(&format!(r#"{{"Resources": {{{resources}}}}}"#)).unwrap();
        let (before, after) = (template(&format!("{QUEUE}, {RULE}")), template(&format!("{delayed}, {RULE}")));
        let key = diff::StackKey::new("data", "us-west-2");
        let diff = diff::diff(&[StackChange::new(key, Some(&before), Some(&after))]).unwrap();
        let key = StackKey::new("data", "us-west-2");
        let change = |id: &str, of: &str, kind| {
            Changes::new(vec![Change { logical_id: id.to_owned(), resource_type: of.to_owned(), kind }])
        };
        let found = |changes: &Changes, consents: &[Consent]| beyond(&diff, &key, changes, consents).len();
        let replaced = change("Work", "AWS::SQS::Queue", ChangeKind::Replace);
        assert_eq!(found(&replaced, &[]), 1);
        assert_eq!(found(&replaced, &["Work:drained".parse().unwrap()]), 0);
        assert_eq!(found(&change("Work", "AWS::SQS::Queue", ChangeKind::Modify), &[]), 0);
        assert_eq!(found(&change("Work", "AWS::SQS::Queue", ChangeKind::Remove), &[]), 1);
        assert_eq!(found(&change("Rule", "AWS::Events::Rule", ChangeKind::Replace), &[]), 0, "a rule holds nothing");
        let renamed = template(&format!("{}, {RULE}", QUEUE.replace(r#""work""#, r#""jobs""#)));
        let shown = diff::diff(&[StackChange::new(diff.stacks[0].key.clone(), Some(&before), Some(&renamed))]).unwrap();
        assert_eq!(
            beyond(&shown, &key, &replaced, &[]).len(),
            0,
            "that was shown, and the guard has asked for consent"
        );
    }

    const QUEUE: &str = r#""Work": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "work"}}"#;
    const RULE: &str = r#""Rule": {"Type": "AWS::Events::Rule", "Properties": {"State": "ENABLED"}}"#;

    #[test]
    fn what_holds_data_goes_only_with_consent() {
        let both = format!("{QUEUE}, {RULE}");
        assert_eq!(checked(&both, &both, &[]), Ok(()));
        assert_eq!(checked(&both, QUEUE, &[]), Ok(()), "a rule holds nothing");
        let refused = checked(&both, RULE, &[]).unwrap_err();
        assert!(refused.contains("data@us-west-2: `Work` (`AWS::SQS::Queue`) is to be removed"), "{refused}");
        assert!(refused.contains("`--allow data@us-west-2/Work:<reason>`"), "{refused}");
        assert_eq!(refused.matches("data@us-west-2: ").count(), 1, "{refused}");
        for consent in ["Work:drained on Monday", "data@us-west-2/Work:drained on Monday"] {
            assert_eq!(checked(&both, RULE, &[consent]), Ok(()));
        }
        for consent in ["Other:gone", "data@us-east-1/Work:drained"] {
            assert!(checked(&both, RULE, &[consent]).unwrap_err().contains("is to be removed"), "{consent}");
        }
        assert!(checked(&both, &both, &["Work:drained"]).unwrap_err().contains("nothing needs consent to lose `Work`"));
        let fifo =
            r#""Work": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "work.fifo", "FifoQueue": true}}"#;
        assert!(checked(QUEUE, fifo, &[]).unwrap_err().contains("/Work:<reason>`"));
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
        assert_eq!("Table: moved ".parse(), Ok(Consent { resource: "Table".to_owned(), reason: "moved".to_owned() }));
        assert!("data@us-west-2/Table:why".parse::<Consent>().is_ok());
        for bad in [
            "data/Table:why",
            "@us-west-2/Table:why",
            "data@us-west-2/:why",
            "Table",
            "Table:",
            "Table: ",
            ":why",
            "Ta ble:why",
        ] {
            assert!(bad.parse::<Consent>().is_err(), "{bad}");
        }
    }
}
