//! Alarms over what the functions themselves measure.
//!
//! They write it in the embedded metric format. CloudWatch keeps a metric for exactly the set of dimensions that it was
//! written with: the function, then the metric's own labels; `infra/tests/observability.rs` compares both with the
//! declarations. Labels whose values aren't known here are left to a query.

use std::time::Duration;

use contracts::Region;

use super::alarm::{Alarm, Breach, Measure, Metric, Silence, Stat, When};
use super::failure::Failure;
use crate::dashboards::PROGRAM_METRICS;
use crate::environment::{Environment, Program};
use crate::system::{Subject, Watch};

/// Checks of the health checker that may be missed: the verdict expires after as many.
const MISSED_CHECKS: u32 = 3;

/// Alarms of the functions that the region has.
pub(super) fn alarms(environment: &Environment, region: &Region, watches: &[Watch]) -> Vec<Alarm> {
    let runs_here = |program: &Program| {
        let name = environment.name(program.name());
        watches.iter().any(|watch| matches!(&watch.subject, Subject::Function { function, .. } if *function == name))
    };
    Program::ALL.into_iter().filter(runs_here).flat_map(|program| of_program(environment, region, program)).collect()
}

fn of_program(environment: &Environment, region: &Region, program: Program) -> Vec<Alarm> {
    let function = environment.name(program.name());
    match program {
        Program::StreamProcessor | Program::EventTransformer => vec![publish_failing(program, &function)],
        Program::EventRouter => {
            let mut alarms = vec![publish_failing(program, &function)];
            alarms.extend(environment.peers(region).map(|peer| cross_region_slow(&function, region, peer)));
            alarms.extend(environment.peers(region).map(|peer| parked_long(&function, peer)));
            alarms
        }
        Program::HealthChecker => of_health_checker(environment, region, &function),
        Program::Authorizer => of_authorizer(&function),
    }
}

fn publish_failing(program: Program, function: &str) -> Alarm {
    Alarm {
        thing: program.name().to_owned(),
        failure: Failure::PublishFailing,
        measure: Measure::Query(format!(
            "SELECT SUM(\"eventbridge_publish_errors_total\") FROM SCHEMA(\"{PROGRAM_METRICS}\", \"class\", \"function\", \
             \"region\") WHERE \"function\" = '{function}'"
        )),
        breach: Breach::minutes(When::Above(0.0), 3, 5),
        silence: Silence::Good,
    }
}

fn cross_region_slow(function: &str, region: &Region, peer: &Region) -> Alarm {
    let dimensions = [("function", function), ("source_region", region.as_str()), ("target_region", peer.as_str())];
    Alarm {
        thing: format!("{}-{peer}", Program::EventRouter.name()),
        failure: Failure::CrossRegionSlow,
        measure: Measure::Metric(Metric::new(PROGRAM_METRICS, "cross_region_latency_seconds", dimensions, Stat::P99)),
        breach: Breach::five_minutes(When::AtLeast(60.0), 3),
        silence: Silence::Good,
    }
}

fn parked_long(function: &str, peer: &Region) -> Alarm {
    let dimensions = [("function", function), ("target_region", peer.as_str())];
    Alarm {
        thing: format!("{}-{peer}", Program::EventRouter.name()),
        failure: Failure::ParkedLong,
        measure: Measure::Metric(Metric::new(PROGRAM_METRICS, "parking_oldest_age_seconds", dimensions, Stat::Maximum)),
        breach: Breach::minutes(When::AtLeast(900.0), 2, 3),
        // The drain tells it each minute; that it runs at all, the schedule's alarms say.
        silence: Silence::Good,
    }
}

fn of_health_checker(environment: &Environment, region: &Region, function: &str) -> Vec<Alarm> {
    let every = environment.functions().health_checker.every;
    let in_a_row = |when, count| Breach { when, period: every, bad: count, of: count };
    let verdict = |region: &Region, failure, breach| Alarm {
        thing: match failure {
            Failure::PeerUnhealthy => region.to_string(),
            _ => Program::HealthChecker.name().to_owned(),
        },
        failure,
        measure: Measure::Metric(Metric::new(
            PROGRAM_METRICS,
            "health_status",
            [("function", function), ("region", region.as_str())],
            Stat::Maximum,
        )),
        breach,
        silence: Silence::SaysNothing,
    };
    let mut alarms = vec![
        // The verdict itself waits for several bad checks, so one unhealthy verdict is enough.
        verdict(region, Failure::VerdictUnhealthy, in_a_row(When::AtLeast(2.0), 1)),
        verdict(region, Failure::VerdictDegraded, in_a_row(When::AtLeast(1.0), checks_within(every))),
        Alarm {
            thing: Program::HealthChecker.name().to_owned(),
            failure: Failure::CheckerSilent,
            measure: Measure::Query(format!(
                "SELECT SUM(\"health_probes_total\") FROM SCHEMA(\"{PROGRAM_METRICS}\", \"function\", \"region\", \
                 \"service\", \"status\") WHERE \"function\" = '{function}'"
            )),
            breach: in_a_row(When::Below(1.0), MISSED_CHECKS),
            silence: Silence::Bad,
        },
    ];
    // What was decided before goes on to count, so nothing else would tell.
    alarms.push(Alarm {
        thing: Program::HealthChecker.name().to_owned(),
        failure: Failure::AuthorityUnread,
        measure: Measure::Query(format!(
            "SELECT SUM(\"dynamodb_errors_total\") FROM SCHEMA(\"{PROGRAM_METRICS}\", \"class\", \"function\", \
             \"operation\") WHERE \"function\" = '{function}' AND \"operation\" = 'read_authority'"
        )),
        breach: in_a_row(When::Above(0.0), MISSED_CHECKS),
        silence: Silence::Good,
    });
    // A region that has failed may be unable to tell; its peers can.
    let peers = environment.peers(region);
    alarms.extend(peers.map(|peer| verdict(peer, Failure::PeerUnhealthy, in_a_row(When::AtLeast(2.0), 1))));
    alarms
}

/// How many checks a quarter of an hour has; at least one.
fn checks_within(every: Duration) -> u32 {
    u32::try_from(900 / every.as_secs().max(1)).unwrap_or(u32::MAX).max(1)
}

fn of_authorizer(function: &str) -> Vec<Alarm> {
    let thing = Program::Authorizer.name().to_owned();
    let breach = Breach::minutes(When::Above(0.0), 3, 5);
    vec![
        Alarm {
            thing: thing.clone(),
            failure: Failure::AuthorizerFailing,
            measure: Measure::Metric(Metric::new(
                PROGRAM_METRICS,
                "authorizations_total",
                [("function", function), ("outcome", "failed")],
                Stat::Sum,
            )),
            breach,
            silence: Silence::Good,
        },
        Alarm {
            thing,
            failure: Failure::TokenKeysUnreachable,
            measure: Measure::Query(format!(
                "SELECT SUM(\"token_key_fetches_total\") FROM SCHEMA(\"{PROGRAM_METRICS}\", \"function\", \"outcome\", \
                 \"source\") WHERE \"function\" = '{function}' AND \"outcome\" = 'failed'"
            )),
            breach,
            silence: Silence::Good,
        },
    ]
}
