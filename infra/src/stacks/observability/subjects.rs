//! From what is watched to its alarms.
//!
//! Services measure most failures only when there are any, so silence is good unless it is said otherwise.

use std::time::Duration;

use cfn::Value;
use contracts::Region;

use super::alarm::{Alarm, Breach, Measure, Metric, Silence, Stat, When};
use super::failure::Failure;
use crate::constructs::Scope;
use crate::system::Subject;

/// A work queue's message waits no longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(900);

/// A function is no further behind its streams than this. Records are given up on after hours, so it leaves time to act.
const FURTHEST_BEHIND: Duration = Duration::from_secs(600);

/// A change reaches the other regions' replicas within this time; a second is usual.
const SLOWEST_REPLICATION: Duration = Duration::from_secs(60);

/// Events that buses of the region refused, whoever sent them.
pub(super) const PUT_EVENTS_FAILED: &str = "PutEventsFailedEntriesCount";

/// Of a metric that counts for the whole account in the region.
const NO_DIMENSIONS: [(&str, Value<String>); 0] = [];

/// The part of a queue's retention after which the oldest dead letter is urgent: with 14 days, three and a half are left.
///
/// CloudWatch counts a dead letter's age from its arrival in the dead-letter queue, but SQS deletes it by the time of its
/// first queue; what it spent there is minutes, so the rest is more than enough.
const URGENT_AGE: f64 = 0.75;

/// Alarms of one subject; `is_scheduled` says whether it is a function that a schedule starts.
#[track_caller]
pub(super) fn alarms(scope: &mut Scope<'_>, subject: &Subject, is_scheduled: bool) -> Vec<Alarm> {
    let environment = scope.environment;
    let short = |name: &str| name.strip_prefix(&environment.name("")).unwrap_or(name).to_owned();
    match subject {
        Subject::DeadLetters { queue } => of_dead_letters(&short(queue), queue, environment.queues().retention),
        Subject::Pointers { queue } => of_pointers(&short(queue), queue),
        Subject::WorkQueue { queue } => of_work_queue(&short(queue), queue),
        Subject::Function { function, timeout, reads_streams } => {
            of_function(&short(function), function, *timeout, *reads_streams, is_scheduled)
        }
        Subject::Rule { bus, rule } => of_rule(&short(rule), bus, rule),
        Subject::Schedule { group } => of_schedule(&short(group), group),
        Subject::Table { table, replicas, lags } => of_table(&short(table), table, if *lags { replicas } else { &[] }),
        Subject::Api { id_output, stage, method, path, .. } => {
            let id = scope.output_of(id_output, "The region's HTTP API", "api", scope.region, id_output);
            of_api(&id, [stage, method, path])
        }
        Subject::NatGateway { id_output, zone } => {
            let description = format!("The NAT gateway of zone {zone}");
            let id = scope.output_of(id_output, &description, "network", scope.region, id_output);
            of_nat_gateway(&format!("nat-{zone}"), &id)
        }
        Subject::Cluster { cluster } => of_cluster(cluster),
    }
}

fn of_dead_letters(thing: &str, queue: &str, retention: Duration) -> Vec<Alarm> {
    let metric = |name| Metric::new("AWS/SQS", name, [("QueueName", queue)], Stat::Maximum);
    let urgent = (retention.as_secs_f64() * URGENT_AGE).round();
    vec![
        // SQS measures nothing of a queue that was empty and unused for six hours; one with messages is never silent.
        alarm(
            thing,
            Failure::DeadLettersWaiting,
            metric("ApproximateNumberOfMessagesVisible"),
            Breach::minutes(When::Above(0.0), 1, 1),
        ),
        alarm(
            thing,
            Failure::DeadLettersExpiring,
            metric("ApproximateAgeOfOldestMessage"),
            Breach::five_minutes(When::Above(urgent), 1),
        ),
    ]
}

/// The age of a pointer doesn't matter: as soon as one is there, the records that it points to are about to be forgotten.
fn of_pointers(thing: &str, queue: &str) -> Vec<Alarm> {
    let waiting = Metric::new("AWS/SQS", "ApproximateNumberOfMessagesVisible", [("QueueName", queue)], Stat::Maximum);
    vec![alarm(thing, Failure::PointersWaiting, waiting, Breach::minutes(When::Above(0.0), 1, 1))]
}

fn of_work_queue(thing: &str, queue: &str) -> Vec<Alarm> {
    let age = Metric::new("AWS/SQS", "ApproximateAgeOfOldestMessage", [("QueueName", queue)], Stat::Maximum);
    let breach = Breach::minutes(When::Above(LONGEST_WAIT.as_secs_f64()), 5, 5);
    vec![alarm(thing, Failure::MessagesLate, age, breach)]
}

fn of_function(thing: &str, function: &str, timeout: Duration, reads_streams: bool, is_scheduled: bool) -> Vec<Alarm> {
    let metric = |name, statistic| Metric::new("AWS/Lambda", name, [("FunctionName", function)], statistic);
    let nearly_all_of_it = 0.8 * timeout.as_secs_f64() * 1_000.0;
    let mut alarms = vec![
        // One failed run is repeated and harms nobody; runs that keep failing do.
        alarm(thing, Failure::FunctionErrors, metric("Errors", Stat::Sum), Breach::minutes(When::Above(0.0), 3, 5)),
        alarm(
            thing,
            Failure::FunctionThrottled,
            metric("Throttles", Stat::Sum),
            Breach::minutes(When::Above(0.0), 3, 5),
        ),
        alarm(
            thing,
            Failure::FunctionSlow,
            metric("Duration", Stat::P99),
            Breach::five_minutes(When::AtLeast(nearly_all_of_it), 3),
        ),
    ];
    if reads_streams {
        // Idle streams give no value, and neither does a mapping that somebody disabled.
        let behind = FURTHEST_BEHIND.as_secs_f64() * 1_000.0;
        let age = metric("IteratorAge", Stat::Maximum);
        alarms.push(alarm(thing, Failure::StreamBehind, age, Breach::minutes(When::Above(behind), 5, 5)));
    }
    if reads_streams || is_scheduled {
        let lost = metric("DestinationDeliveryFailures", Stat::Sum);
        alarms.push(alarm(thing, Failure::FailuresLost, lost, Breach::minutes(When::Above(0.0), 1, 1)));
    }
    if is_scheduled {
        let dropped = metric("AsyncEventsDropped", Stat::Sum);
        alarms.push(alarm(thing, Failure::StartsDropped, dropped, Breach::minutes(When::Above(0.0), 1, 1)));
    }
    alarms
}

/// EventBridge measures rules of buses other than the default one by both names (EventBridge user guide, "Monitoring").
fn of_rule(thing: &str, bus: &str, rule: &str) -> Vec<Alarm> {
    let dimensions = || [("EventBusName", bus), ("RuleName", rule)];
    let one =
        |failure, name, breach| alarm(thing, failure, Metric::new("AWS/Events", name, dimensions(), Stat::Sum), breach);
    let any = Breach::minutes(When::Above(0.0), 1, 1);
    vec![
        one(Failure::RuleFailed, "FailedInvocations", any),
        one(Failure::RuleUndelivered, "InvocationsSentToDlq", any),
        one(Failure::RuleEventsLost, "InvocationsFailedToBeSentToDlq", any),
        // EventBridge repeats what it throttled; only lasting throttling delays anybody.
        one(Failure::RuleThrottled, "ThrottledRules", Breach::minutes(When::Above(0.0), 5, 5)),
    ]
}

/// Starts that are late or lost are cause for a ticket only: if the checks really stop, the silence pages.
fn of_schedule(thing: &str, group: &str) -> Vec<Alarm> {
    let metric = |name| Metric::new("AWS/Scheduler", name, [("ScheduleGroup", group)], Stat::Sum);
    let lasting = Breach::minutes(When::Above(0.0), 3, 5);
    vec![
        alarm(thing, Failure::ScheduleFailed, metric("TargetErrorCount"), lasting),
        Alarm {
            thing: thing.to_owned(),
            failure: Failure::ScheduleThrottled,
            measure: Measure::Formula(
                "FILL(own, 0) + FILL(target, 0)",
                vec![("own", metric("InvocationThrottleCount")), ("target", metric("TargetErrorThrottledCount"))],
            ),
            breach: lasting,
            silence: Silence::Good,
        },
        Alarm {
            thing: thing.to_owned(),
            failure: Failure::ScheduleDropped,
            measure: Measure::Formula(
                "FILL(dropped, 0) + FILL(letters, 0)",
                vec![
                    ("dropped", metric("InvocationDroppedCount")),
                    ("letters", metric("InvocationsFailedToBeSentToDeadLetterCount")),
                ],
            ),
            breach: Breach::minutes(When::Above(0.0), 1, 1),
            silence: Silence::Good,
        },
    ]
}

fn of_table(thing: &str, table: &str, replicas: &[Region]) -> Vec<Alarm> {
    let throttled = |name| Metric::new("AWS/DynamoDB", name, [("TableName", table)], Stat::Sum);
    let mut alarms = vec![
        Alarm {
            thing: thing.to_owned(),
            failure: Failure::TableThrottled,
            measure: Measure::Formula(
                "FILL(reads, 0) + FILL(writes, 0)",
                vec![("reads", throttled("ReadThrottleEvents")), ("writes", throttled("WriteThrottleEvents"))],
            ),
            breach: Breach::minutes(When::Above(0.0), 3, 5),
            silence: Silence::Good,
        },
        Alarm {
            thing: thing.to_owned(),
            failure: Failure::TableFailing,
            // DynamoDB measures its errors by operation, and which operations a table sees is the programs' business.
            measure: Measure::Query(format!(
                "SELECT SUM(\"SystemErrors\") FROM SCHEMA(\"AWS/DynamoDB\", \"Operation\", \"TableName\") \
                 WHERE \"TableName\" = '{table}'"
            )),
            // A single internal error is usual; clients repeat the request.
            breach: Breach::minutes(When::AtLeast(10.0), 3, 5),
            silence: Silence::Good,
        },
    ];
    let slowest = SLOWEST_REPLICATION.as_secs_f64() * 1_000.0;
    alarms.extend(replicas.iter().map(|region| {
        let dimensions = [("TableName", table), ("ReceivingRegion", region.as_str())];
        alarm(
            &format!("{thing}-{region}"),
            Failure::ReplicationBehind,
            Metric::new("AWS/DynamoDB", "ReplicationLatency", dimensions, Stat::Average),
            Breach::minutes(When::Above(slowest), 5, 5),
        )
    }));
    alarms
}

/// Alarms of the API's route for events. The health endpoint isn't looked at: it answers 503 when the region is unhealthy,
/// and the verdict has an alarm of its own.
fn of_api(api: &Value<String>, [stage, method, path]: [&String; 3]) -> Vec<Alarm> {
    let dimensions = || {
        [
            ("ApiId", api.clone()),
            ("Method", method.as_str().into()),
            ("Resource", path.as_str().into()),
            ("Stage", stage.as_str().into()),
        ]
    };
    let metric = |name, statistic| Metric::new("AWS/ApiGateway", name, dimensions(), statistic);
    vec![
        Alarm {
            thing: "api".to_owned(),
            failure: Failure::ApiFailing,
            // Of a handful of requests, one that failed is no rate.
            measure: Measure::Formula(
                "IF(all >= 10, 100 * FILL(failed, 0) / all, 0)",
                vec![("all", metric("Count", Stat::Sum)), ("failed", metric("5xx", Stat::Sum))],
            ),
            breach: Breach::minutes(When::Above(5.0), 3, 5),
            silence: Silence::Good,
        },
        Alarm {
            thing: "api".to_owned(),
            failure: Failure::ApiDown,
            // Where clients call seldom, the rate above never has enough of them.
            measure: Measure::Formula(
                "IF(all > 0, 100 * FILL(failed, 0) / all, 0)",
                vec![("all", metric("Count", Stat::Sum)), ("failed", metric("5xx", Stat::Sum))],
            ),
            breach: Breach { when: When::AtLeast(100.0), period: Duration::from_secs(900), bad: 1, of: 1 },
            silence: Silence::Good,
        },
        // The API answers 200 for an event that the bus refuses, so none of its own metrics shows it. This one counts the
        // whole account's events in the region, without dimensions; its name is from general knowledge, no source was at
        // hand to confirm it.
        alarm(
            "api",
            Failure::EntriesRefused,
            Metric::new("AWS/Events", PUT_EVENTS_FAILED, NO_DIMENSIONS, Stat::Sum),
            Breach::five_minutes(When::Above(0.0), 1),
        ),
        alarm("api", Failure::ApiSlow, metric("Latency", Stat::P99), Breach::five_minutes(When::AtLeast(1_000.0), 3)),
    ]
}

fn of_nat_gateway(thing: &str, gateway: &Value<String>) -> Vec<Alarm> {
    let metric = |name| Metric::new("AWS/NATGateway", name, [("NatGatewayId", gateway.clone())], Stat::Sum);
    let lasting = Breach::minutes(When::Above(0.0), 3, 5);
    vec![
        alarm(thing, Failure::NatPortsExhausted, metric("ErrorPortAllocation"), lasting),
        alarm(thing, Failure::NatDropping, metric("PacketsDropCount"), Breach::minutes(When::Above(0.0), 5, 5)),
    ]
}

/// EKS measures its control plane by itself (EKS user guide, "Monitor cluster data with Amazon CloudWatch").
fn of_cluster(cluster: &str) -> Vec<Alarm> {
    let metric = |name| Metric::new("AWS/EKS", name, [("ClusterName", cluster)], Stat::Sum);
    vec![
        // A node takes some minutes to come; after a quarter of an hour none will.
        alarm(
            "cluster",
            Failure::PodsPending,
            metric("scheduler_pending_pods_UNSCHEDULABLE"),
            Breach::minutes(When::Above(0.0), 15, 15),
        ),
        Alarm {
            thing: "cluster".to_owned(),
            failure: Failure::ControlPlaneFailing,
            measure: Measure::Formula(
                "IF(all >= 10, 100 * FILL(failed, 0) / all, 0)",
                vec![("all", metric("apiserver_request_total")), ("failed", metric("apiserver_request_total_5XX"))],
            ),
            breach: Breach::minutes(When::Above(5.0), 5, 5),
            silence: Silence::Good,
        },
    ]
}

/// An alarm over one metric that is only measured when something happens.
fn alarm(thing: &str, failure: Failure, metric: Metric, breach: Breach) -> Alarm {
    Alarm { thing: thing.to_owned(), failure, measure: Measure::Metric(metric), breach, silence: Silence::Good }
}
