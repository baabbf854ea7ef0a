//! The declarations from both sides: what `infra` derives, and what a program reads back.

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::{Binding, Bound, EventRouter, EventRouterBinding, EventRouterSettings, Region, StreamProcessor, Text};

fn binding(settings: EventRouterSettings) -> EventRouterBinding<String> {
    EventRouterBinding {
        peer_region: Region::new("us-east-1").expect("a region"),
        peer_bus: Bound::new("tandem-test-events".to_owned(), vec!["arn:bus".to_owned()]),
        dead_letters: Bound::new("https://queue".to_owned(), vec!["arn:queue".to_owned()])
            .encrypted_by("arn:key".to_owned()),
        settings,
    }
}

#[test]
fn what_a_stack_binds_is_what_the_program_reads() {
    let bound = binding(EventRouterSettings { publish_timeout: Duration::from_millis(2500), ..Default::default() });
    let mut environment: BTreeMap<&str, String> = bound
        .variables()
        .into_iter()
        .map(|variable| match variable.value {
            Text::Literal(text) | Text::Template(text) => (variable.name, text),
        })
        .collect();
    environment.insert("AWS_REGION", "us-west-2".to_owned());

    let config = EventRouter::from_lookup(|name| environment.get(name).cloned()).expect("a whole environment");
    assert_eq!(config.region.as_str(), "us-west-2");
    assert_eq!(config.peer_region, bound.peer_region);
    assert_eq!(config.peer_bus.as_str(), "tandem-test-events");
    assert_eq!(config.dead_letters.as_str(), "https://queue");
    assert_eq!(config.settings, bound.settings);
}

#[test]
fn permissions_come_from_the_declaration() {
    let needs = binding(EventRouterSettings::default()).needs();
    assert_eq!(needs[0].actions, ["events:PutEvents"]);
    assert_eq!(needs[0].resources, ["arn:bus"]);
    assert_eq!(needs[0].key, None);
    assert_eq!(needs[1].actions, ["sqs:SendMessage"]);
    let key = needs[1].key.as_ref().expect("an encrypted queue needs its key");
    assert_eq!((key.key.as_str(), key.via_service), ("arn:key", "sqs"));
    assert_eq!(key.actions, ["kms:Decrypt", "kms:GenerateDataKey"]);
}

#[test]
fn all_mistakes_at_once() {
    let environment: BTreeMap<&str, &str> = [
        ("AWS_REGION", "nowhere"),
        ("EVENT_BUS_NAME", "a bus"),
        ("PUBLISH_TIMEOUT", "2m"),
        ("DEADLINE_MARGIN", "soon"),
    ]
    .into();
    let error =
        StreamProcessor::from_lookup(|name| environment.get(name).map(ToString::to_string)).expect_err("mistakes");
    insta::assert_snapshot!(error.to_string().replace("; ", "\n"), @r"
    stream-processor cannot start: `AWS_REGION` is `nowhere`, which is not an AWS region name such as `us-west-2`
    `EVENT_BUS_NAME` is `a bus`, which is not an event bus name (1 to 256 letters, digits, `.`, `-`, `_`, `/`)
    `DEAD_LETTER_QUEUE_URL` is missing
    `PUBLISH_TIMEOUT` is `2m`, which is outside its range 1s to 1m
    `DEADLINE_MARGIN` is `soon`, which is not a duration (a whole number and a unit: `250ms`, `30s`, `5m`, `12h`, `14d`)
    ");
}

#[test]
fn a_stack_cannot_bind_a_setting_out_of_range() {
    let bound = binding(EventRouterSettings { publish_timeout: Duration::from_secs(31), ..Default::default() });
    assert_eq!(bound.mistakes(), ["event-router: `publish_timeout` is `31s`, which is outside its range 1s to 30s"]);
}
