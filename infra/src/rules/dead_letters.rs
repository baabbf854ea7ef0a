//! A dead letter that nobody hears of is lost all the same: every queue of them has an alarm in its region.

use std::collections::BTreeSet;

use cfn::{Declaration, Json, Template, known_text};

use super::{Finding, stack};
use crate::system::{Source, StackInstance, System};

/// Properties that name a queue for what failed.
const PLACES: [&str; 3] = ["deadLetterTargetArn", "DeadLetterConfig", "OnFailure"];

/// The metric of how many messages wait in a queue. What was sent is no measure: SQS moves dead letters without sending.
const WAITING: &str = "ApproximateNumberOfMessagesVisible";

/// Every queue that takes dead letters or failures is known and watched by an alarm of its region.
pub(super) fn check(system: &System, found: &mut Vec<Finding>) {
    for user in &system.stacks {
        let region = user.id.region.as_str();
        let mut told: BTreeSet<String> = BTreeSet::new();
        for declaration in user.template.resources() {
            for target in targets(declaration) {
                let Some((home, queue)) = queue(system, user, target) else {
                    let message = format!("gives up on things to {target}, which is no queue of the system");
                    let hint = "name a queue of the same stack by `Fn::GetAtt`, or one that an input brings";
                    found.push(Finding::new("dead-letter-alarm", user, message, hint).of(declaration));
                    continue;
                };
                if !told.insert(format!("{}/{}", home.id, queue.logical_id())) {
                    continue;
                }
                let name = queue.properties().get("QueueName").and_then(|name| known_text(name, region));
                let watched = name.as_deref().is_some_and(|name| has_alarm(system, region, name));
                if !watched {
                    let name = name.unwrap_or_else(|| "a queue without a name".to_owned());
                    let message = format!(
                        "`{name}` takes what `{}` gives up on, and no alarm watches how many wait there",
                        declaration.logical_id()
                    );
                    let hint = format!("name the queue and declare a `Scope::watch`: an alarm on `{WAITING}`");
                    found.push(Finding::new("dead-letter-alarm", home, message, hint).of(queue).with(&user.id));
                }
            }
        }
    }
}

/// The ARNs under a resource's dead-letter properties.
fn targets(declaration: &Declaration) -> Vec<&Json> {
    let mut targets = Vec::new();
    for json in declaration.properties().as_map().iter() {
        collect(json, &mut targets);
    }
    targets
}

fn collect<'a>((name, json): (&String, &'a Json), targets: &mut Vec<&'a Json>) {
    if PLACES.contains(&name.as_str()) {
        let inner = ["Arn", "TargetArn", "Destination"].iter().find_map(|name| json.get(name));
        targets.push(inner.unwrap_or(json));
        return;
    }
    match json {
        Json::Object(map) => map.iter().for_each(|entry| collect(entry, targets)),
        Json::Array(items) => items.iter().for_each(|item| collect((name, item), targets)),
        _ => {}
    }
}

/// The queue that an ARN stands for, in the stack itself or behind a parameter.
fn queue<'a>(system: &'a System, user: &'a StackInstance, arn: &Json) -> Option<(&'a StackInstance, &'a Declaration)> {
    let (stack, name) = (user, target(arn)?);
    if let Some(declaration) = queue_named(&stack.template, &name) {
        return Some((stack, declaration));
    }
    let input = user.inputs.iter().find(|input| input.parameter == name)?;
    let Source::StackOutput { stack: id, output } = &input.source else { return None };
    let home = self::stack(system, id)?;
    let (_, value) = home.template.outputs().find(|(name, _)| name == output)?;
    Some((home, queue_named(&home.template, &target(&value["Value"])?)?))
}

fn queue_named<'a>(template: &'a Template, logical_id: &str) -> Option<&'a Declaration> {
    template.resource(logical_id).filter(|declaration| declaration.type_name() == "AWS::SQS::Queue")
}

/// The logical id that a `Ref` or `Fn::GetAtt` names.
fn target(json: &Json) -> Option<String> {
    let name = json.get("Ref").or_else(|| json.get("Fn::GetAtt")?.get(0))?;
    name.as_str().map(str::to_owned)
}

/// Whether an alarm of the region looks at how many messages wait in a queue of that name.
fn has_alarm(system: &System, region: &str, queue: &str) -> bool {
    let stacks = system.stacks.iter().filter(|stack| stack.id.region.as_str() == region);
    let mut alarms = stacks
        .flat_map(|stack| stack.template.resources())
        .filter(|declaration| declaration.type_name() == "AWS::CloudWatch::Alarm");
    alarms.any(|alarm| {
        let properties = alarm.properties().as_map();
        // One metric stands in the alarm itself, several stand in a list.
        let several = properties.get("Metrics").and_then(Json::as_array).into_iter().flatten();
        let mut several = several
            .map(|query| (&query["MetricStat"]["Metric"]["MetricName"], &query["MetricStat"]["Metric"]["Dimensions"]));
        let single = properties.get("MetricName").zip(properties.get("Dimensions"));
        let fits = |(metric, dimensions): (&Json, &Json)| *metric == WAITING && names_queue(dimensions, queue, region);
        single.is_some_and(fits) || several.any(fits)
    })
}

fn names_queue(dimensions: &Json, queue: &str, region: &str) -> bool {
    dimensions.as_array().into_iter().flatten().any(|dimension| {
        let value = dimension.get("Value").and_then(|value| known_text(value, region));
        dimension["Name"] == "QueueName" && value.as_deref() == Some(queue)
    })
}

#[cfg(test)]
mod tests {
    use cfn::Resource as _;
    use serde_json::json;

    use super::*;
    use crate::rules::tests::{broken, stack_of};

    const QUEUE: &str = "tandem-production-raw-events-dead-letters";

    /// Adds a queue that gives up to `target`.
    fn giving_up_to(target: &Json) -> Vec<Finding> {
        broken(|system| {
            add_queue(&mut stack_of(system, "events@us-west-2").template, target);
        })
    }

    fn add_queue(template: &mut Template, letters: &Json) {
        let mut queue = cfn::Properties::new();
        queue.set("QueueName", json!("tandem-production-test"));
        queue.set("RedrivePolicy", json!({"deadLetterTargetArn": letters, "maxReceiveCount": 3}));
        template.add("TestQueue", cfn::sqs::Queue::from_properties(queue));
    }

    #[test]
    fn a_target_that_nobody_knows_is_a_finding() {
        for target in [
            json!("arn:aws:sqs:us-west-2:000000000000:elsewhere"),
            json!({"Ref": "CodeBucket"}),
            json!({"Fn::GetAtt": ["Nowhere", "Arn"]}),
        ] {
            let found = giving_up_to(&target);
            let said =
                found.iter().any(|one| one.rule == "dead-letter-alarm" && one.message.contains(&target.to_string()));
            assert!(said, "{target}: {found:#?}");
        }
    }

    #[test]
    fn a_queue_without_an_alarm_is_a_finding() {
        let found = broken(|system| {
            system.stacks.retain(|stack| stack.id.to_string() != "observability@us-east-1");
        });
        assert!(found.iter().any(|one| one.message.starts_with(&format!("`{QUEUE}` takes what `"))), "{found:#?}");
    }

    /// An alarm on another metric of the queue, or on another queue, doesn't hear of what waits there.
    #[test]
    fn the_alarm_is_on_what_waits() {
        let found = |metric: &str, watched: &str| {
            let found = broken(|system| {
                let template = &mut stack_of(system, "events@us-west-2").template;
                let letters = cfn::sqs::Queue::new().queue_name("tandem-production-test-dead-letters");
                let letters = template.add("TestDeadLetters", letters);
                add_queue(template, &letters.arn().into_inner());
                let mut alarm = cfn::Properties::new();
                alarm.set("MetricName", json!(metric));
                alarm.set("Dimensions", json!([{"Name": "QueueName", "Value": watched}]));
                template.add("TestAlarm", cfn::cloudwatch::Alarm::from_properties(alarm));
            });
            found.len()
        };
        assert_eq!(found("ApproximateNumberOfMessagesVisible", "tandem-production-test-dead-letters"), 0);
        assert_eq!(found("NumberOfMessagesSent", "tandem-production-test-dead-letters"), 1);
        assert_eq!(found("ApproximateNumberOfMessagesVisible", "tandem-production-test"), 1);
    }
}
