//! What is measured: each function with its usual events, and the bars that it has to meet.

use std::collections::BTreeMap;

use contracts::{Authorizer, EventRouter, EventTransformer, HealthChecker, StreamProcessor};

use crate::{payloads, tokens};

/// What an authorizer's answer holds when a request goes on.
pub const ALLOWED: &str = r#""isAuthorized":true"#;

/// What the answer to a batch holds when all of it is done.
const ALL_DONE: &str = r#"{"batchItemFailures":[]}"#;

/// An issuer whose keys can't be had: the authorizer makes ready to ask it over TLS, and nobody listens there.
const DISTANT_ISSUER: &str = "https://127.0.0.1:9";

/// Different batches of a stream, handed out in turn.
const BATCHES: usize = 64;

/// Variables of a program by name.
pub type Variables = BTreeMap<String, String>;

/// A program with its events, its variables and its bars. Functions get the URL of the AWS stand-in.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What people call it.
    pub name: &'static str,
    /// Which program it is.
    pub kind: Kind,
    /// Its variables.
    pub variables: fn(&str) -> Variables,
    /// Its variables for a start in which everything for TLS is made ready, if it has TLS.
    pub with_tls: Option<fn(&str) -> Variables>,
    /// Its events.
    pub events: fn(&str) -> Vec<Vec<u8>>,
    /// What each answer holds.
    pub expected: &'static str,
    /// How many of AWS's services' requests belong to each event at least.
    pub requests: u64,
    /// Events of one run, when no number is given.
    pub invocations: usize,
    /// What it has to meet.
    pub bars: Bars,
}

/// Which program is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The null bootstrap.
    Null,
    /// A function of this workspace.
    Function(&'static str),
    /// The function on Node.js, with its argument.
    Node(&'static str),
}

/// The most that may be measured. What has no bar is only printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bars {
    /// Start to first request for an event, the median, in milliseconds.
    pub init_p50_ms: Option<f64>,
    /// The 99th percentile of a round trip in milliseconds.
    pub round_trip_p99_ms: Option<f64>,
    /// Processor time of one event in microseconds.
    pub cpu_us: Option<f64>,
    /// Resident memory after the run in MiB.
    pub resident_mib: Option<f64>,
    /// The zip in MiB.
    pub zip_mib: Option<f64>,
}

/// What is there for scale has no bars.
const NONE: Bars = Bars { init_p50_ms: None, round_trip_p99_ms: None, cpu_us: None, resident_mib: None, zip_mib: None };

/// The bars of every function.
const FUNCTION: Bars = Bars {
    init_p50_ms: Some(2.0),
    round_trip_p99_ms: None,
    cpu_us: None,
    resident_mib: Some(10.0),
    zip_mib: Some(3.0),
};

/// Every case, the floor first and what is only there for scale last.
pub const CASES: [Case; 12] = [
    Case {
        name: "null bootstrap",
        kind: Kind::Null,
        variables: |_| Variables::new(),
        with_tls: None,
        events: hs256_requests,
        expected: ALLOWED,
        requests: 0,
        invocations: 10_000,
        bars: NONE,
    },
    Case {
        name: "authorizer, HS256",
        kind: Kind::Function(Authorizer::NAME),
        variables: |stub| authorizer(stub, "none"),
        with_tls: Some(|stub| authorizer(stub, DISTANT_ISSUER)),
        events: hs256_requests,
        expected: ALLOWED,
        requests: 0,
        invocations: 10_000,
        bars: Bars { cpu_us: Some(20.0), round_trip_p99_ms: Some(0.1), ..FUNCTION },
    },
    Case {
        name: "authorizer, RS256",
        kind: Kind::Function(Authorizer::NAME),
        variables: |stub| authorizer(stub, stub),
        with_tls: None,
        events: rs256_requests,
        expected: ALLOWED,
        requests: 0,
        invocations: 10_000,
        bars: Bars { cpu_us: Some(50.0), round_trip_p99_ms: Some(0.1), ..FUNCTION },
    },
    Case {
        name: "event-router, 1 record",
        kind: Kind::Function(EventRouter::NAME),
        variables: |stub| with_stub(stub, event_router()),
        with_tls: Some(|_| event_router()),
        events: |_| payloads::stream_batches(1, BATCHES),
        expected: ALL_DONE,
        requests: 1,
        invocations: 10_000,
        bars: Bars { cpu_us: Some(45.0), ..FUNCTION },
    },
    Case {
        name: "event-router, 100 records",
        kind: Kind::Function(EventRouter::NAME),
        variables: |stub| with_stub(stub, event_router()),
        with_tls: None,
        events: |_| payloads::stream_batches(100, BATCHES),
        expected: ALL_DONE,
        requests: 10,
        invocations: 500,
        bars: FUNCTION,
    },
    Case {
        name: "stream-processor, 1 record",
        kind: Kind::Function(StreamProcessor::NAME),
        variables: |stub| with_stub(stub, publisher()),
        with_tls: Some(|_| publisher()),
        events: |_| payloads::stream_batches(1, BATCHES),
        expected: ALL_DONE,
        requests: 1,
        invocations: 10_000,
        bars: FUNCTION,
    },
    Case {
        name: "stream-processor, 100 records",
        kind: Kind::Function(StreamProcessor::NAME),
        variables: |stub| with_stub(stub, publisher()),
        with_tls: None,
        events: |_| payloads::stream_batches(100, BATCHES),
        expected: ALL_DONE,
        requests: 10,
        invocations: 500,
        bars: FUNCTION,
    },
    Case {
        name: "event-transformer, 1 message",
        kind: Kind::Function(EventTransformer::NAME),
        variables: |stub| with_stub(stub, event_transformer()),
        with_tls: Some(|_| event_transformer()),
        events: |_| vec![payloads::queue_batch(1)],
        expected: ALL_DONE,
        // The claim, the event, the completion.
        requests: 3,
        invocations: 10_000,
        bars: FUNCTION,
    },
    Case {
        name: "health-checker, 2 regions",
        kind: Kind::Function(HealthChecker::NAME),
        variables: |stub| with_stub(stub, health_checker()),
        with_tls: Some(|_| health_checker()),
        events: |_| vec![payloads::schedule()],
        expected: r#""overall":"healthy","authority":{"epoch":1,"#,
        // A region's probes make nine calls, and the record of authority is read.
        requests: 19,
        invocations: 500,
        bars: FUNCTION,
    },
    Case {
        name: "Node.js authorizer, HS256",
        kind: Kind::Node("authorize"),
        variables: |_| node(tokens::SECRET_ISSUER),
        with_tls: None,
        events: hs256_requests,
        expected: ALLOWED,
        requests: 0,
        invocations: 10_000,
        bars: NONE,
    },
    Case {
        name: "Node.js authorizer, RS256",
        kind: Kind::Node("authorize"),
        variables: |stub| node(stub),
        with_tls: None,
        events: rs256_requests,
        expected: ALLOWED,
        requests: 0,
        invocations: 10_000,
        bars: NONE,
    },
    Case {
        name: "Node.js echo",
        kind: Kind::Node("echo"),
        variables: |_| Variables::new(),
        with_tls: None,
        events: hs256_requests,
        expected: r#""version":"2.0""#,
        requests: 0,
        invocations: 10_000,
        bars: NONE,
    },
];

fn hs256_requests(_: &str) -> Vec<Vec<u8>> {
    vec![payloads::authorization(&tokens::hs256())]
}

fn rs256_requests(issuer: &str) -> Vec<Vec<u8>> {
    vec![payloads::authorization(&tokens::rs256(issuer))]
}

fn variables<const N: usize>(pairs: [(&str, &str); N]) -> Variables {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn with_stub(stub: &str, mut variables: Variables) -> Variables {
    variables.insert("AWS_ENDPOINT_URL".to_owned(), stub.to_owned());
    variables
}

/// The secret always comes from the stand-in: it is read at the start.
fn authorizer(stub: &str, key_issuer: &str) -> Variables {
    let own = [
        ("JWT_SECRET_ISSUER", tokens::SECRET_ISSUER),
        ("JWT_KEY_ISSUER", key_issuer),
        ("JWT_AUDIENCE", tokens::AUDIENCE),
        ("JWT_SECRET_NAME", "tandem-bench-jwt"),
        ("ROUTE_GRANTS", "POST /events *"),
    ];
    with_stub(stub, variables(own))
}

fn event_router() -> Variables {
    variables([
        ("PEER_REGIONS", "us-east-1"),
        ("PEER_EVENT_BUS_NAME", "tandem-bench-events"),
        ("BREAKERS_TABLE_NAME", "tandem-bench-breakers"),
        ("PARKING_TABLE_NAME", "tandem-bench-parking"),
        ("DEAD_LETTER_QUEUE_URL", DEAD_LETTERS),
    ])
}

/// What the stream processor and the event transformer need.
fn publisher() -> Variables {
    variables([("EVENT_BUS_NAME", "tandem-bench-events"), ("DEAD_LETTER_QUEUE_URL", DEAD_LETTERS)])
}

fn event_transformer() -> Variables {
    let mut variables = publisher();
    variables.insert("IDEMPOTENCY_TABLE_NAME".to_owned(), "tandem-bench-idempotency".to_owned());
    variables
}

fn health_checker() -> Variables {
    variables([
        ("CHECKED_REGIONS", "us-east-1,us-west-2"),
        ("HEALTH_TABLE", "tandem-bench-health"),
        ("AUTHORITY_TABLE", "tandem-bench-authority"),
        ("CONTROL_PLANES", "ignored"),
        ("EVENT_BUS_NAME", "tandem-bench-events"),
        ("CANARY_QUEUE_NAME", "tandem-bench-health-canaries"),
    ])
}

fn node(issuer: &str) -> Variables {
    variables([
        ("JWT_ISSUER", issuer),
        ("JWT_AUDIENCE", tokens::AUDIENCE),
        ("JWT_SECRET", tokens::SECRET),
        ("JWKS", &tokens::key_set()),
    ])
}

/// Nobody sends there: the events are good.
const DEAD_LETTERS: &str = "https://sqs.us-west-2.amazonaws.com/000000000000/tandem-bench-dead-letters";

#[cfg(test)]
mod tests {
    use super::*;
    use ::programs::FUNCTIONS;
    use std::collections::BTreeSet;

    const STUB: &str = "http://127.0.0.1:4566";

    /// Reads a case's variables as the program does.
    fn problem(program: &str, variables: &Variables) -> Option<String> {
        let lookup = |name: &str| match name {
            "AWS_REGION" => Some("us-west-2".to_owned()),
            _ => variables.get(name).cloned(),
        };
        let error = match program {
            Authorizer::NAME => Authorizer::from_lookup(lookup).err(),
            EventRouter::NAME => EventRouter::from_lookup(lookup).err(),
            EventTransformer::NAME => EventTransformer::from_lookup(lookup).err(),
            HealthChecker::NAME => HealthChecker::from_lookup(lookup).err(),
            StreamProcessor::NAME => StreamProcessor::from_lookup(lookup).err(),
            other => panic!("`{other}` is no function"),
        };
        error.map(|error| error.to_string())
    }

    #[test]
    fn every_function_is_measured_with_variables_that_it_takes() {
        let mut measured = BTreeSet::new();
        for case in CASES {
            let Kind::Function(program) = case.kind else { continue };
            measured.insert(program);
            for variables in [Some(case.variables), case.with_tls].into_iter().flatten() {
                assert_eq!(problem(program, &variables(STUB)), None, "{}", case.name);
            }
        }
        assert_eq!(measured, BTreeSet::from(FUNCTIONS));
    }

    #[test]
    fn every_function_is_started_with_tls_once() {
        for program in FUNCTIONS {
            let with_tls = CASES.iter().filter(|case| case.kind == Kind::Function(program) && case.with_tls.is_some());
            assert_eq!(with_tls.count(), 1, "{program}");
        }
    }
}
