//! The declarations from both sides: what `infra` derives, and what a program reads back.

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::{
    Authorizer, AuthorizerBinding, AuthorizerSettings, Binding, Bound, CaFile, CdcConsumer, CredentialsFolder,
    EventRouter, EventRouterBinding, EventRouterSettings, EventTransformer, EventTransformerBinding,
    EventTransformerSettings, GeoDatabaseFile, Grants, HealthChecker, HealthCheckerBinding, HealthCheckerSettings,
    KeyIssuer, Region, Regions, Setting, StreamProcessor, Text, WhenUnread,
};

fn region(name: &str) -> Region {
    Region::new(name).expect("a region")
}

fn binding(settings: EventRouterSettings) -> EventRouterBinding<String> {
    EventRouterBinding {
        peers: Regions::new([region("us-east-1"), region("eu-west-1")]).expect("two regions"),
        peer_bus: Bound::new(
            "PeerBus",
            "tandem-test-events".to_owned(),
            vec!["arn:bus:east".to_owned(), "arn:bus:eu".to_owned()],
        ),
        dead_letters: Bound::new("DeadLetters", "https://queue".to_owned(), vec!["arn:queue".to_owned()])
            .encrypted_by("arn:key".to_owned()),
        breakers: Bound::new("Breakers", "tandem-test-breakers".to_owned(), vec!["arn:breakers".to_owned()]),
        parking: Bound::new("Parking", "tandem-test-parking".to_owned(), vec!["arn:parking".to_owned()]),
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
    assert_eq!(environment["PEER_REGIONS"], "us-east-1,eu-west-1");
    assert_eq!(config.peers, bound.peers);
    assert_eq!(config.peer_bus.as_str(), "tandem-test-events");
    assert_eq!(config.dead_letters.as_str(), "https://queue");
    assert_eq!(config.settings, bound.settings);
}

#[test]
fn permissions_come_from_the_declaration() {
    let needs = binding(EventRouterSettings::default()).needs();
    assert_eq!(needs[0].actions, ["events:PutEvents"]);
    assert_eq!(needs[0].resources, ["arn:bus:east", "arn:bus:eu"]);
    assert_eq!((needs[0].verb, needs[0].kind, needs[0].target.as_str()), ("publishes to", "event bus", "PeerBus"));
    assert!(needs[0].keys.is_empty());
    assert_eq!(needs[1].actions, ["sqs:SendMessage"]);
    assert_eq!(needs[1].keys.len(), 1, "an encrypted queue needs its key");
    let key = &needs[1].keys[0];
    assert_eq!((key.key.as_str(), key.via_service, &key.region), ("arn:key", "sqs", &None));
    assert_eq!(key.actions, ["kms:Decrypt", "kms:GenerateDataKey"]);
}

#[test]
fn a_breaker_opens_no_longer_than_it_may() {
    let settings = EventRouterSettings {
        breaker_open: Duration::from_secs(90),
        breaker_open_max: Duration::from_secs(60),
        ..Default::default()
    };
    assert_eq!(
        binding(settings).mistakes(),
        ["event-router: `BREAKER_OPEN` is `90s`, which is longer than `1m` (`BREAKER_OPEN_MAX`); make it shorter"]
    );
}

#[test]
fn keys_of_other_regions_say_which() {
    let queue: Bound<String, contracts::resource::NamedQueue, contracts::resource::Probe> =
        Bound::new("Canaries", "canaries".to_owned(), vec!["arn:west".to_owned(), "arn:east".to_owned()])
            .encrypted_by("key:west".to_owned())
            .encrypted_in(region("us-east-1"), "key:east".to_owned());
    let keys = queue.need("canaries").expect("it is used").keys;
    let regions: Vec<_> = keys.iter().map(|key| (key.key.as_str(), key.region.clone())).collect();
    assert_eq!(regions, [("key:west", None), ("key:east", Some(region("us-east-1")))]);
}

#[test]
fn what_is_not_used_needs_no_permission() {
    type Planes = Bound<String, contracts::resource::ControlPlanes, contracts::resource::List>;
    let ignored = Planes::unused("ignored".to_owned());
    assert_eq!(ignored.need("control_planes"), None);
    assert_eq!(ignored.variable("CONTROL_PLANES").value, Text::Template("ignored".to_owned()), "the program is told");
    let listed = Planes::new("names", "listed".to_owned(), Vec::new()).need("control_planes").expect("it is used");
    assert_eq!(listed.actions, ["dynamodb:ListTables", "events:ListEventBuses", "sqs:ListQueues"]);
    assert!(listed.on_any_because.is_some_and(|reason| reason.split(' ').count() > 3), "every resource needs a reason");
    let refused = refused(
        |lookup| HealthChecker::from_lookup(lookup),
        &[
            ("AWS_REGION", "us-west-2"),
            ("CHECKED_REGIONS", "us-west-2"),
            ("HEALTH_TABLE", "tandem-test-health"),
            ("AUTHORITY_TABLE", "tandem-test-authority"),
            ("EVENT_BUS_NAME", "tandem-test-events"),
            ("CANARY_QUEUE_NAME", "tandem-test-canaries"),
        ],
        &[("CONTROL_PLANES", "yes")],
    );
    assert_eq!(refused, ["`CONTROL_PLANES` is `yes`, which is not `listed` or `ignored`"]);
}

#[test]
fn peers_are_a_list_without_repeats() {
    let problem = |peers: &'static str| {
        let lookup = move |name: &str| match name {
            "PEER_REGIONS" => Some(peers.to_owned()),
            "AWS_REGION" => Some("us-west-2".to_owned()),
            "PEER_EVENT_BUS_NAME" => Some("tandem-test-events".to_owned()),
            "DEAD_LETTER_QUEUE_URL" => Some("https://queue".to_owned()),
            "BREAKERS_TABLE_NAME" => Some("tandem-test-breakers".to_owned()),
            "PARKING_TABLE_NAME" => Some("tandem-test-parking".to_owned()),
            _ => None,
        };
        EventRouter::from_lookup(lookup).map(|config| config.peers).map_err(|error| error.to_string())
    };
    assert_eq!(problem("us-east-1").expect("one peer").iter().count(), 1);
    for bad in ["", "us-east-1,us-east-1", "us-east-1,", "nowhere"] {
        let message = problem(bad).expect_err(bad);
        assert!(message.contains("`PEER_REGIONS`"), "{message}");
    }
}

#[test]
fn the_window_of_raw_events_is_read_with_units() {
    let lookup = |name: &str| match name {
        "AWS_REGION" => Some("us-west-2".to_owned()),
        "EVENT_BUS_NAME" => Some("tandem-test-events".to_owned()),
        "DEAD_LETTER_QUEUE_URL" => Some("https://queue".to_owned()),
        "IDEMPOTENCY_TABLE_NAME" => Some("tandem-test-idempotency".to_owned()),
        "OLDEST_EVENT" => Some("30d".to_owned()),
        "FURTHEST_AHEAD" => Some("2h".to_owned()),
        _ => None,
    };
    let error = EventTransformer::from_lookup(lookup).expect_err("too far");
    assert_eq!(
        error.to_string(),
        "event-transformer cannot start: `FURTHEST_AHEAD` is `2h`, which is outside its range 1s to 1h"
    );
    let config = EventTransformer::from_lookup(|name| lookup(name).filter(|_| name != "FURTHEST_AHEAD"));
    let settings = config.expect("a whole environment").settings;
    assert_eq!(settings.oldest, Duration::from_secs(30 * 86_400));
    assert_eq!(settings.furthest_ahead, Duration::from_secs(300));
}

#[test]
fn a_folder_of_credentials_is_a_path_or_none() {
    let mounted = CredentialsFolder::Mounted("/var/run/secrets/registry".to_owned());
    for folder in [CredentialsFolder::None, mounted] {
        assert_eq!(CredentialsFolder::parse(&folder.render()), Ok(folder));
    }
    for wrong in ["", "None", "secrets", "./none"] {
        assert!(CredentialsFolder::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_geo_database_is_a_file_or_none() {
    let file = GeoDatabaseFile::At("/opt/geo.mmdb".to_owned());
    for file in [GeoDatabaseFile::None, file] {
        assert_eq!(GeoDatabaseFile::parse(&file.render()), Ok(file));
    }
    for wrong in ["", "None", "geo.mmdb", "./none", "/", "/opt/", "/opt//geo.mmdb", "/opt/../geo.mmdb", "/./geo.mmdb"] {
        assert!(GeoDatabaseFile::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_setting_whose_absence_says_the_same_is_left_out() {
    let variable = |geo_database: GeoDatabaseFile| {
        let binding = EventTransformerBinding {
            bus: Bound::new("Bus", "bus".to_owned(), Vec::new()),
            dead_letters: Bound::new("DeadLetters", "https://queue".to_owned(), Vec::new()),
            idempotency: Bound::new("Idempotency", "idempotency".to_owned(), Vec::new()),
            settings: EventTransformerSettings { geo_database, ..Default::default() },
        };
        assert_eq!(binding.mistakes(), Vec::<String>::new());
        let variables = binding.variables();
        variables.into_iter().find(|variable| variable.name == "GEO_DATABASE").map(|variable| variable.value)
    };
    assert_eq!(variable(GeoDatabaseFile::None), None);
    let path = "/opt/geo.mmdb".to_owned();
    assert_eq!(variable(GeoDatabaseFile::At(path.clone())), Some(Text::Literal(path)));
    assert_eq!(EventTransformerSettings::default().geo_database, GeoDatabaseFile::None, "what its absence means");
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

/// What a program says about its environment: `changes` to one that is good.
fn refused<T>(
    from_lookup: impl Fn(&dyn Fn(&str) -> Option<String>) -> Result<T, contracts::ConfigError>,
    good: &[(&str, &str)],
    changes: &[(&str, &str)],
) -> Vec<String> {
    let lookup = |name: &str| {
        let found = changes.iter().chain(good).find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    match from_lookup(&lookup) {
        Ok(_) => Vec::new(),
        Err(error) => error.mistakes.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_router_is_not_its_own_peer() {
    let good = [
        ("AWS_REGION", "us-west-2"),
        ("PEER_REGIONS", "us-east-1"),
        ("PEER_EVENT_BUS_NAME", "tandem-test-events"),
        ("DEAD_LETTER_QUEUE_URL", "https://queue"),
        ("BREAKERS_TABLE_NAME", "tandem-test-breakers"),
        ("PARKING_TABLE_NAME", "tandem-test-parking"),
    ];
    let refused = |changes: &[(&str, &str)]| refused(|lookup| EventRouter::from_lookup(lookup), &good, changes);
    assert_eq!(refused(&[]), [""; 0]);
    let mistakes = refused(&[("PEER_REGIONS", "us-east-1,us-west-2")]);
    assert_eq!(
        mistakes,
        ["`PEER_REGIONS` holds `us-west-2`, where the router itself runs; its events would come back to it; remove it"]
    );
}

#[test]
fn an_authorizers_settings_fit_together() {
    let good = [
        ("AWS_REGION", "us-west-2"),
        ("JWT_SECRET_ISSUER", "tandem"),
        ("JWT_KEY_ISSUER", "https://login.example.com"),
        ("JWT_AUDIENCE", "tandem-api"),
        ("JWT_SECRET_NAME", "tandem-test-jwt"),
        ("ROUTE_GRANTS", "POST /v1/events *"),
    ];
    let refused = |changes: &[(&str, &str)]| refused(|lookup| Authorizer::from_lookup(lookup), &good, changes);
    assert!(refused(&[]).is_empty());
    assert!(refused(&[("JWT_LONGEST_LIFE", "60s"), ("ANSWER_KEPT", "60s")]).is_empty());
    assert!(refused(&[("JWT_SECRET_ISSUER", "none"), ("JWT_KEY_ISSUER", "none")]).is_empty());
    for issuer in ["https://login.example.com", "https://login.example.com/"] {
        let mistakes = refused(&[("JWT_SECRET_ISSUER", issuer), ("JWT_LONGEST_LIFE", "60s"), ("ANSWER_KEPT", "61s")]);
        assert_eq!(mistakes.len(), 2, "both at once: {mistakes:?}");
        assert!(mistakes[0].starts_with("`JWT_KEY_ISSUER` is `https://login.example.com`, which"), "{mistakes:?}");
        assert!(
            mistakes[1].starts_with("`ANSWER_KEPT` is `61s`, and no token lives for longer than `1m`"),
            "{mistakes:?}"
        );
    }
    for (variable, bad) in [("ROUTE_GRANTS", "POST /v1/events"), ("HTTP_ANSWER", "yes"), ("TOKEN_REFUSAL", "401")] {
        let mistakes = refused(&[(variable, bad)]);
        assert!(
            mistakes.len() == 1 && mistakes[0].starts_with(&format!("`{variable}` is `{bad}`, which is")),
            "{mistakes:?}"
        );
    }
    // A value that can't be read is told before what it contradicts.
    assert_eq!(refused(&[("ANSWER_KEPT", "soon"), ("JWT_SECRET_ISSUER", "https://login.example.com")]).len(), 1);

    let bound = AuthorizerBinding {
        secret_issuer: "https://login.example.com".to_owned(),
        key_issuer: KeyIssuer::Url("https://login.example.com".to_owned()),
        audience: "tandem-api".to_owned(),
        grants: Grants::parse("POST /v1/events *").expect("grants"),
        signing_secret: Bound::new("Jwt", "tandem-test-jwt".to_owned(), Vec::new()),
        settings: AuthorizerSettings { longest_life: Duration::from_secs(60), ..Default::default() },
    };
    let mistakes = bound.mistakes();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].starts_with("authorizer: `JWT_KEY_ISSUER` is"), "the same words for a stack: {mistakes:?}");
}

#[test]
fn a_health_checkers_settings_fit_together() {
    let good = [
        ("AWS_REGION", "us-west-2"),
        ("CHECKED_REGIONS", "us-west-2,us-east-1"),
        ("HEALTH_TABLE", "tandem-test-health"),
        ("AUTHORITY_TABLE", "tandem-test-authority"),
        ("EVENT_BUS_NAME", "tandem-test-events"),
        ("CANARY_QUEUE_NAME", "tandem-test-canaries"),
        ("CONTROL_PLANES", "ignored"),
    ];
    let refused = |changes: &[(&str, &str)]| refused(|lookup| HealthChecker::from_lookup(lookup), &good, changes);
    assert!(refused(&[]).is_empty());
    assert!(refused(&[("UNHEALTHY_AFTER", "3"), ("HEALTH_WINDOW", "3"), ("VERDICT_EXPIRY", "60s")]).is_empty());
    for (changes, expected) in [
        (&[("UNHEALTHY_AFTER", "3"), ("HEALTH_WINDOW", "2")][..], "`UNHEALTHY_AFTER` is `3`, and of the last 2 checks"),
        (&[("CHECKED_REGIONS", "us-east-1")], "`CHECKED_REGIONS` lacks `us-west-2`, where the checker itself runs"),
        (&[("VERDICT_EXPIRY", "59s")], "`VERDICT_EXPIRY` is `59s`, and the next check comes only after `1m`"),
        (&[("CHECK_INTERVAL", "6m")], "`VERDICT_EXPIRY` is `5m`, and the next check comes only after `6m`"),
    ] {
        let mistakes = refused(changes);
        assert!(mistakes.len() == 1 && mistakes[0].starts_with(expected), "{mistakes:?}");
    }

    let bound = HealthCheckerBinding {
        // Where the checker runs isn't known to a binding.
        regions: Regions::new([region("us-east-1")]).expect("a region"),
        health: Bound::new("Health", "tandem-test-health".to_owned(), Vec::new()),
        authority: Bound::new("Authority", "tandem-test-authority".to_owned(), Vec::new()),
        bus: Bound::new("Bus", "tandem-test-events".to_owned(), Vec::new()),
        canaries: Bound::new("Canaries", "tandem-test-canaries".to_owned(), Vec::new()),
        control_planes: Bound::unused("ignored".to_owned()),
        settings: HealthCheckerSettings { unhealthy_after: 4, ..Default::default() },
    };
    let mistakes = bound.mistakes();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].starts_with("health-checker: `UNHEALTHY_AFTER` is `4`"), "{mistakes:?}");
}

#[test]
fn a_consumers_settings_fit_together() {
    let good = [
        ("AWS_REGION", "us-west-2"),
        ("KAFKA_BROKERS", "b-1.kafka.example.com:9094"),
        ("SCHEMA_REGISTRY_URL", "https://registry.example.com"),
        ("SOURCE_ID", "shop"),
        ("CUSTOMERS_TABLE", "tandem-test-customers"),
        ("ORDERS_TABLE", "tandem-test-orders"),
        ("PRODUCTS_TABLE", "tandem-test-products"),
        ("AUTHORITY", "tandem-test-authority"),
    ];
    let refused = |changes: &[(&str, &str)]| refused(|lookup| CdcConsumer::from_lookup(lookup), &good, changes);
    for changes in [
        &[][..],
        &[("AUTHORITY", "epoch:3")],
        &[("KAFKA_SECURITY", "mtls"), ("KAFKA_CA_FILE", "/ca.pem"), ("KAFKA_GROUP_PROTOCOL", "consumer")],
        &[("KAFKA_SECURITY", "sasl_ssl"), ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"), ("KAFKA_CA_FILE", "system")],
        &[("AUTHORITY_UNREAD", "fail_safe:7s"), ("AUTHORITY_ABSENT", "own")],
    ] {
        assert!(refused(changes).is_empty(), "{changes:?}");
    }
    // What is wrong with single variables is told at once.
    let mistakes = refused(&[
        ("AUTHORITY", "epoch:0"),
        ("KAFKA_SECURITY", "ssl"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI"),
        ("KAFKA_CA_FILE", "ca.pem"),
        ("KAFKA_GROUP_PROTOCOL", "kip-848"),
        ("AUTHORITY_UNREAD", "fail_safe"),
        ("AUTHORITY_ABSENT", "yes"),
    ]);
    assert_eq!(
        mistakes,
        [
            "`AUTHORITY` is `epoch:0`, which is neither a table name nor `epoch:` and a whole number from 1",
            "`KAFKA_SECURITY` is `ssl`, which is none of `plaintext`, `sasl_ssl` and `mtls`",
            "`KAFKA_SASL_MECHANISM` is `GSSAPI`, which is neither `PLAIN` nor `SCRAM-SHA-512`",
            "`KAFKA_CA_FILE` is `ca.pem`, which is neither `system` nor the absolute path of a file",
            "`KAFKA_GROUP_PROTOCOL` is `kip-848`, which is neither `classic` nor `consumer`",
            "`AUTHORITY_UNREAD` is `fail_safe`, which is neither `fail_static` nor `fail_safe:` and a duration, such as `fail_safe:30s`",
            "`AUTHORITY_ABSENT` is `yes`, which is neither `stand_by` nor `own`",
        ]
    );
    // So are contradictions.
    let mistakes = refused(&[
        ("KAFKA_SECURITY", "plaintext"),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
        ("KAFKA_CA_FILE", "/ca.pem"),
        ("AUTHORITY_INTERVAL", "1s"),
        ("AUTHORITY_UNREAD", "fail_safe:2s"),
    ]);
    for (mistake, expected) in mistakes.iter().zip([
        "`KAFKA_SASL_MECHANISM` is `SCRAM-SHA-512`, and a connection that is `plaintext` (`KAFKA_SECURITY`) uses no SASL",
        "`KAFKA_CA_FILE` is `/ca.pem`, and a connection that is `plaintext` (`KAFKA_SECURITY`) shows no certificate",
        "`AUTHORITY_TIMEOUT` is `2s`, and the next reading is due after `1s` (`AUTHORITY_INTERVAL`)",
        "`AUTHORITY_UNREAD` is `fail_safe:2s`, and a single reading that fails",
    ]) {
        assert!(mistake.starts_with(expected), "{mistake}");
    }
    assert_eq!(mistakes.len(), 4, "{mistakes:?}");
    for text in ["fail_static", "fail_safe:30s"] {
        assert_eq!(WhenUnread::parse(text).expect(text).render(), text);
    }
    for text in ["system", "/ca.pem"] {
        assert_eq!(CaFile::parse(text).expect(text).render(), text);
    }
}
