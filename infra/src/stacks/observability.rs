//! `observability`: a region's alarms, the topic that they tell, and the region's dashboard.
//!
//! Alarms are made from what the other stacks ask to be watched, so a new queue has its alarms without a line here.
//! What the consumer's pods measure is watched by Prometheus (`crate::dashboards`), not here.

mod alarm;
mod dashboard;
mod failure;
mod health_check;
mod programs;
mod subjects;
mod topic;

use cfn::{Handle, Value, cloudwatch};
use contracts::Region;

use crate::constructs::{Scope, key};
use crate::environment::Environment;
use crate::system::{StackInstance, Subject, Watch};
use alarm::Alarm;
use failure::Severity;
pub(crate) use health_check::watch as watch_health_check;

/// The output with the ARN of the topic that tells of the region's alarms.
pub(crate) const TOPIC_OUTPUT: &str = "AlarmTopicArn";

/// The name of the composite alarm, without system and environment.
pub(crate) const REGION_UNHEALTHY: &str = "region-unhealthy";

/// A composite alarm looks at no more than this many alarms (`PutCompositeAlarm`, CloudWatch API reference, read 2026-11).
const MOST_CHILDREN: usize = 100;

/// The longest rule of a composite alarm in characters (`PutCompositeAlarm`, read 2026-11).
const LONGEST_RULE: usize = 10_240;

/// The stack of one region.
pub(crate) fn stack(environment: &Environment, region: &Region, watches: &[Watch]) -> StackInstance {
    let mut scope = Scope::new(environment, region, "observability", "Alarms and dashboard");
    let key = key::of_region(&mut scope, "KeyArn", region);
    let topic = topic::add(&mut scope, &key);

    let mut alarms: Vec<Alarm> = Vec::new();
    for Watch { subject, .. } in watches {
        alarms.extend(subjects::alarms(&mut scope, subject, is_scheduled(subject, watches)));
    }
    alarms.extend(programs::alarms(environment, region, watches));
    let added: Vec<Handle<cloudwatch::Alarm>> = alarms.iter().map(|alarm| alarm.add(&mut scope, &topic)).collect();
    let severe = alarms.iter().zip(&added).filter(|(alarm, _)| alarm.failure.severity() == Severity::PagesForRegion);
    region_unhealthy(&mut scope, &severe.collect::<Vec<_>>(), &topic);
    dashboard::add(&mut scope, watches, &alarms);
    scope.output(TOPIC_OUTPUT, "Tells of the region's alarms", topic);
    scope.finish()
}

/// Whether a schedule starts the function: its group has the function's name.
fn is_scheduled(subject: &Subject, watches: &[Watch]) -> bool {
    let Subject::Function { function, .. } = subject else {
        return false;
    };
    watches.iter().any(|watch| matches!(&watch.subject, Subject::Schedule { group } if group == function))
}

/// One alarm for all severe ones of the region: whoever is on call is woken once, not once a symptom.
fn region_unhealthy(scope: &mut Scope<'_>, severe: &[(&Alarm, &Handle<cloudwatch::Alarm>)], topic: &Value<String>) {
    let length = any_of(severe.iter().map(|(alarm, _)| alarm.name(scope.environment))).len();
    if severe.len() > MOST_CHILDREN || length > LONGEST_RULE {
        scope.report(vec![format!(
            "`{}` looks at {} alarms in a rule of {length} characters; CloudWatch takes {MOST_CHILDREN} alarms and \
             {LONGEST_RULE} characters: group some of them in a composite alarm of their own",
            scope.environment.name(REGION_UNHEALTHY),
            severe.len(),
        )]);
    }
    // By reference and not by name, so that CloudFormation sees which alarms come first.
    let rule = any_of(severe.iter().map(|(_, added)| format!("${{{}}}", added.logical_id())));
    let composite = cloudwatch::CompositeAlarm::new(cfn::sub(&rule))
        .alarm_name(scope.environment.name(REGION_UNHEALTHY))
        .alarm_description(failure::describe(
            Severity::Pages,
            "At least one severe alarm of the region is on.",
            &scope.environment.alarms().runbooks,
            REGION_UNHEALTHY,
        ))
        .alarm_actions([topic.clone()])
        .ok_actions([topic.clone()]);
    scope.add("RegionUnhealthy", composite);
}

/// A composite alarm's rule: one of these alarms is on.
fn any_of(names: impl Iterator<Item = String>) -> String {
    names.map(|name| format!("ALARM(\"{name}\")")).collect::<Vec<_>>().join(" OR ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::system;

    fn production() -> Environment {
        let text = include_str!("../../../environments/production.toml");
        Environment::parse("production.toml", text).expect("a good file")
    }

    #[test]
    fn a_new_queue_has_its_alarms() {
        let environment = production();
        let queue = "tandem-production-new".to_owned();
        let letters = "tandem-production-new-dead-letters".to_owned();
        let pointers = "tandem-production-new-failures".to_owned();
        let watches = [
            Watch { logical_id: "New".to_owned(), subject: Subject::WorkQueue { queue } },
            Watch { logical_id: "NewFailures".to_owned(), subject: Subject::Pointers { queue: pointers } },
            Watch { logical_id: "NewDeadLetters".to_owned(), subject: Subject::DeadLetters { queue: letters } },
        ];
        let stack = stack(&environment, environment.primary(), &watches);
        let ids: Vec<&str> = stack.template.resources().map(cfn::Declaration::logical_id).collect();
        for id in [
            "NewMessagesLate",
            "NewDeadLettersDeadLettersWaiting",
            "NewDeadLettersDeadLettersExpiring",
            "NewFailuresPointersWaiting",
        ] {
            assert!(ids.contains(&id), "{id} is not in {ids:?}");
        }
    }

    #[test]
    fn too_many_severe_alarms_for_one_composite_are_reported() {
        let environment = production();
        let watch = |number: u32| Watch {
            logical_id: format!("Queue{number}"),
            subject: Subject::WorkQueue { queue: format!("tandem-production-queue{number}") },
        };
        let watches: Vec<Watch> = (0..101).map(watch).collect();
        let mistakes = stack(&environment, environment.primary(), &watches).mistakes;
        assert!(mistakes.len() == 1 && mistakes[0].contains("region-unhealthy"), "{mistakes:?}");
    }

    #[test]
    fn names_are_used_once() {
        let system = system(&production());
        for stack in system.stacks.iter().filter(|stack| stack.id.name == "observability") {
            let ids: Vec<&str> = stack.template.resources().map(cfn::Declaration::logical_id).collect();
            let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
            assert_eq!(ids.len(), distinct.len(), "{}", stack.id);
        }
    }
}
