//! Access against models that decide single requests by the book.

use diff::Direction;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::diff_of;

fn statement() -> impl Strategy<Value = Value> {
    let actions = || prop::sample::subsequence(vec!["s:A", "s:B", "t:A", "s:*", "*"], 1..3);
    let resources = || prop::sample::subsequence(vec!["r1", "r2", "q1", "r*", "*"], 1..3);
    let condition = prop_oneof![
        3 => Just(None),
        1 => prop::sample::subsequence(vec!["x", "y"], 1..=2).prop_map(|v| Some(json!({"StringEquals": {"k": v}}))),
        1 => prop::sample::subsequence(vec!["x", "y"], 1..=2).prop_map(|v| Some(json!({"StringNotEquals": {"k": v}}))),
    ];
    (any::<bool>(), actions(), resources(), condition, 0..8_u8).prop_map(
        |(allow, actions, resources, condition, not)| {
            let mut statement = Map::new();
            statement.insert("Effect".into(), json!(if allow { "Allow" } else { "Deny" }));
            statement.insert(if not & 3 == 3 { "NotAction" } else { "Action" }.into(), json!(actions));
            statement.insert(if not & 4 == 4 { "NotResource" } else { "Resource" }.into(), json!(resources));
            statement.extend(condition.map(|condition| ("Condition".to_owned(), condition)));
            Value::Object(statement)
        },
    )
}

pub(crate) fn statements() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(statement(), 0..4)
}

pub(crate) fn role(statements: &[Value]) -> Value {
    json!({"R": {"Type": "AWS::IAM::Role", "Properties": {
        "AssumeRolePolicyDocument": {"Statement": {
            "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"
        }},
        "Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": statements}}]
    }}})
}

/// A rule of a security group over a few blocks and ports.
fn rule() -> impl Strategy<Value = Value> {
    let blocks = prop::sample::select(vec!["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16", "10.1.0.1/32"]);
    let ports = prop::sample::select(vec![(1, 1), (1, 3), (2, 2), (2, 4), (0, 65_535)]);
    (blocks, ports, prop::sample::select(vec!["tcp", "udp", "-1"])).prop_map(|(block, (from, to), protocol)| {
        json!({"CidrIp": block, "FromPort": from, "ToPort": to, "IpProtocol": protocol})
    })
}

fn rules() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(rule(), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn broadening_one_way_is_narrowing_the_other(before in statements(), after in statements()) {
        let direction = |before: &[Value], after: &[Value]| {
            let diff = diff_of(&role(before), &role(after));
            diff.stacks[0].permissions.first().map(|change| change.direction)
        };
        let turned = direction(&after, &before).map(|direction| match direction {
            Direction::Broadened => Direction::Narrowed,
            Direction::Narrowed => Direction::Broadened,
            other => other,
        });
        prop_assert_eq!(direction(&before, &after), turned);
    }

    #[test]
    fn what_is_called_narrower_allows_nothing_more(before in statements(), after in statements()) {
        let diff = diff_of(&role(&before), &role(&after));
        let broadens = diff.stacks[0].permissions.iter().any(|change| change.direction.broadens());
        for request in requests() {
            let gains = !is_allowed(&before, request) && is_allowed(&after, request);
            prop_assert!(!gains || broadens, "{request:?} is new in {after:?}");
        }
    }

    #[test]
    fn what_is_called_broader_or_same_allows_nothing_less(before in statements(), after in statements()) {
        let diff = diff_of(&role(&before), &role(&after));
        let narrows = diff.stacks[0].permissions.iter().any(|change| {
            matches!(change.direction, Direction::Narrowed | Direction::Both)
        });
        for request in requests() {
            let loses = is_allowed(&before, request) && !is_allowed(&after, request);
            prop_assert!(!loses || narrows, "{request:?} is gone in {after:?}");
        }
    }

    #[test]
    fn what_is_called_closed_lets_nothing_in(before in rules(), after in rules()) {
        let group = |rules: &[Value]| json!({"G": {"Type": "AWS::EC2::SecurityGroup", "Properties": {
            "GroupDescription": "g", "SecurityGroupIngress": rules
        }}});
        let diff = diff_of(&group(&before), &group(&after));
        let directions: Vec<Direction> = diff.stacks[0].network.iter().map(|change| change.direction).collect();
        let turned = diff_of(&group(&after), &group(&before));
        let broadens = directions.iter().any(|direction| direction.broadens());
        let narrows = turned.stacks[0].network.iter().any(|change| change.direction.broadens());
        prop_assert_eq!(narrows, directions.iter().any(|one| matches!(one, Direction::Narrowed | Direction::Both)));
        for packet in packets() {
            let (was, is) = (lets_in(&before, packet), lets_in(&after, packet));
            prop_assert!(was || !is || broadens, "{packet:?} gets in by {after:?}");
            prop_assert!(!was || is || narrows, "{packet:?} got in by {before:?}");
        }
    }
}

/// An address, a port and a protocol.
type Packet = (u32, i64, &'static str);

fn packets() -> impl Iterator<Item = Packet> {
    let addresses = [0x0a01_0001, 0x0a01_0002, 0x0a02_0001, 0x0a03_0001, 0x0b00_0001];
    addresses.into_iter().flat_map(|address| {
        [0, 1, 2, 3, 4, 5]
            .into_iter()
            .flat_map(move |port| ["tcp", "udp", "icmp"].into_iter().map(move |protocol| (address, port, protocol)))
    })
}

fn lets_in(rules: &[Value], (address, port, protocol): Packet) -> bool {
    rules.iter().any(|rule| {
        let (base, length) = match rule["CidrIp"].as_str().unwrap() {
            "0.0.0.0/0" => (0, 0),
            "10.0.0.0/8" => (0x0a00_0000, 8),
            "10.1.0.0/16" => (0x0a01_0000, 16),
            "10.2.0.0/16" => (0x0a02_0000, 16),
            _ => (0x0a01_0001, 32),
        };
        let in_block = length == 0 || (address ^ base) >> (32 - length) == 0;
        let any_protocol = rule["IpProtocol"] == "-1";
        let in_ports = (rule["FromPort"].as_i64().unwrap()..=rule["ToPort"].as_i64().unwrap()).contains(&port);
        in_block && (any_protocol || (rule["IpProtocol"] == protocol && in_ports))
    })
}

/// An action on a resource, with the value of the key `k` if the request has one.
type Request = (&'static str, &'static str, Option<&'static str>);

fn requests() -> impl Iterator<Item = Request> {
    ["s:A", "s:B", "s:C", "t:A"].into_iter().flat_map(|action| {
        ["r1", "r2", "r3", "q1", "q2"].into_iter().flat_map(move |resource| {
            [None, Some("x"), Some("y"), Some("z")].into_iter().map(move |value| (action, resource, value))
        })
    })
}

/// IAM's decision by its definition, for the statements that [`statement`] makes.
fn is_allowed(statements: &[Value], request: Request) -> bool {
    let applies = |effect: &str| statements.iter().any(|one| one["Effect"] == effect && fits(one, request));
    applies("Allow") && !applies("Deny")
}

fn fits(statement: &Value, (action, resource, value): Request) -> bool {
    let any = |name: &str, text: &str| {
        statement.get(name).map(|list| list.as_array().unwrap().iter().any(|one| glob(one.as_str().unwrap(), text)))
    };
    let part = |name: &str, not: &str, text: &str| any(name, text).unwrap_or_else(|| !any(not, text).unwrap());
    let names = |operator: &str| {
        let list = statement.pointer(&format!("/Condition/{operator}/k")).and_then(Value::as_array)?;
        Some(list.iter().any(|one| value.is_some_and(|value| one == value)))
    };
    part("Action", "NotAction", action)
        && part("Resource", "NotResource", resource)
        && names("StringEquals").unwrap_or(true)
        && !names("StringNotEquals").unwrap_or(false)
}

/// Only patterns with one `*` at the end are made here.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => pattern == text,
    }
}
