#![expect(clippy::disallowed_methods, reason = "tests read the committed environment files")]
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use contracts::{Binding, CdcConsumer, CdcConsumerSettings, Coalescing, GroupProtocol, KafkaSecurity};

use super::*;

#[test]
fn every_committed_file_is_good() {
    let folder = environments();
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).expect("the folder of environments") {
        let path = entry.expect("an entry of the folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a plain file name").to_owned();
        match Environment::parse(&name, &fs::read_to_string(&path).expect("a readable file")) {
            Ok(environment) => names.push(environment.environment_name().to_owned()),
            Err(mistakes) => panic!("{}", listed(&mistakes)),
        }
    }
    names.sort();
    assert_eq!(names, ["production", "sandbox", "staging"]);
}

#[test]
fn sandbox_is_what_its_file_says() {
    let sandbox = parse("sandbox", &committed("sandbox")).expect("a good file");
    assert_eq!(sandbox.name("events"), "tandem-sandbox-events");
    assert!(sandbox.is_local());
    assert_eq!(sandbox.primary().as_str(), "us-west-2");
    assert_eq!(sandbox.secondaries().map(Region::as_str).collect::<Vec<_>>(), ["us-east-1"]);
    assert_eq!(sandbox.peers(sandbox.primary()).map(Region::as_str).collect::<Vec<_>>(), ["us-east-1"]);
    assert_eq!(sandbox.wave(sandbox.primary()), Some(1));
    assert_eq!(sandbox.function(Program::StreamProcessor).memory.mebibytes(), 256);
    assert_eq!(sandbox.function(Program::EventRouter).timeout, Duration::from_secs(30));
    assert_eq!(sandbox.functions().event_router.stream.batch_size, 100);
    assert_eq!(sandbox.kafka().cluster, KafkaCluster::Platform);
    assert_eq!(sandbox.tags()["Environment"], "sandbox");
    assert_eq!(sandbox.tags()["System"], "tandem");
}

#[test]
fn only_aws_needs_a_real_account_to_be_deployed() {
    let parsed = |name: &str, text: &str| parse(name, text).expect("a good file");
    assert_eq!(parsed("sandbox", &committed("sandbox")).deployable(), Ok(()));
    let mistake = parsed("staging", &committed("staging")).deployable().expect_err("a placeholder");
    assert_eq!(
        mistake.to_string(),
        "environments/staging.toml:8: `account` is \"000000000000\", which only stands for an account\n  \
         hint: write the 12 digits of the account that `staging` is deployed to"
    );
    let account = committed("staging").replace("000000000000", "123456789012");
    assert_eq!(parsed("staging", &account).deployable(), Ok(()));
}

#[test]
fn a_third_region_is_a_section_more_and_a_witness_less() {
    let third = "\n[[regions]]\nname = \"us-east-2\"\nrole = \"secondary\"\nwave = 3\nnetwork = \"10.22.0.0/16\"\n";
    let with_third = committed("sandbox") + third;
    let mistakes = parse("sandbox", &with_third).expect_err("the witness is one of the regions now");
    assert_eq!(mistakes.iter().map(Mistake::key).collect::<Vec<_>>(), ["authority.witness"]);
    let environment = parse("sandbox", &with_line(&with_third, "witness", "")).expect("a good file");
    assert_eq!(environment.regions().map(Region::as_str).collect::<Vec<_>>(), ["us-west-2", "us-east-1", "us-east-2"]);
}

#[test]
fn the_primary_comes_first_wherever_it_stands() {
    let text = committed("sandbox")
        .replace("\"primary\"", "\"other\"")
        .replace("\"secondary\"", "\"primary\"")
        .replace("\"other\"", "\"secondary\"");
    let environment = parse("sandbox", &text).expect("a good file");
    assert_eq!(environment.primary().as_str(), "us-east-1");
    assert_eq!(environment.region_settings()[0].role, Role::Primary);
}

#[test]
fn optional_keys_are_taken_when_they_are_there() {
    let text = committed("staging")
        .replace("partitions = 6", "partitions = 6\ngeneration = 3")
        .replace("provider = \"create\"", "provider = \"existing\"\nbranch = \"release\"");
    let environment = parse("staging", &text).expect("a good file");
    assert_eq!(environment.consumer().generation, 3);
    let mutual = with_line(&committed("staging"), "security", "security = \"mtls\"\nprivate_ca = true");
    let mutual =
        mutual.replace("partitions = 6", "partitions = 6\ngroup_protocol = \"consumer\"\ncoalescing = \"waiting\"");
    let mutual = parse("staging", &mutual).expect("a good file");
    assert_eq!(mutual.consumer().group_protocol, GroupProtocol::Consumer);
    assert_eq!(mutual.consumer().contract(KafkaSecurity::Mtls).coalescing, Coalescing::Waiting);
    let KafkaCluster::Existing { security, private_ca, .. } = mutual.kafka().cluster else { panic!("on AWS") };
    assert_eq!((security, private_ca), (KafkaSecurity::Mtls, true));
    let github = environment.github().expect("a section");
    assert_eq!((github.branch.as_str(), github.provider), ("release", OidcProvider::Existing));
    assert_eq!(environment.domain().map(|domain| domain.name.as_str()), Some("events.staging.example.com"));
    let geo = |name: &str, lines: &str| {
        let text = with_line(&committed(name), "[functions.event-transformer] concurrency", lines);
        parse(name, &text).expect("a good file").functions().event_transformer.geo.clone()
    };
    assert_eq!(geo("sandbox", "concurrency = 4"), GeoSource::None);
    let file = "concurrency = 4\ngeo_database = \"/opt/geo.mmdb\"";
    let path = || "/opt/geo.mmdb".to_owned();
    assert_eq!(geo("sandbox", file), GeoSource::Machine { path: path() });
    let layer = geo("staging", &format!("{file}\ngeo_layer_version = 3"));
    assert_eq!(layer, GeoSource::Layer { path: path(), version: 3 });
    let ports = committed("sandbox").replace("# [local]", "[local]").replace("# kafka_port", "kafka_port");
    assert_eq!(parse("sandbox", &ports).expect("a good file").local().kafka_port, Some(9092));
}

/// What the file accepts, the programs must accept too: both ends of each range go through the contract.
#[test]
fn every_accepted_value_is_within_the_contract() {
    let ends = [
        [
            "shards = 1",
            "in_flight_per_partition = 1",
            "fetch_wait = \"1ms\"",
            "drain_deadline = \"1s\"\nauthority_unread = \"fail_safe:10s\"",
        ],
        [
            "shards = 1024",
            "in_flight_per_partition = 100000",
            "fetch_wait = \"1s\"",
            "drain_deadline = \"29s\"\nauthority_unread = \"fail_safe:1h\"",
        ],
    ];
    for (end, retention) in ends.into_iter().zip(["14d", "365d"]) {
        let mut text =
            with_line(&committed("sandbox"), "tombstone_retention", &format!("tombstone_retention = \"{retention}\""));
        for line in end {
            let key = line.split(' ').next().expect("a key");
            text = with_line(&text, key, line);
        }
        let environment = parse("sandbox", &text).expect("a good file");
        assert_eq!(mistakes_of(environment.consumer().contract(KafkaSecurity::Plaintext)), Vec::<String>::new());
    }
}

#[test]
fn wrong_files_are_told_everything_at_once() {
    let mut report = String::new();
    for (case, base, key, line) in WRONG {
        let text = with_line(&committed(base), key, line);
        let mistakes = parse(base, &text).expect_err(case);
        assert!(!mistakes.is_empty(), "{case}");
        writeln!(report, "# {case}: {}\n{}", line.replace('\n', " ⏎ "), listed(&mistakes)).expect("a text takes all");
    }
    insta::assert_snapshot!("wrong_files", report);
}

#[test]
fn an_empty_file_names_every_section() {
    insta::assert_snapshot!("empty_file", listed(&parse("sandbox", "").expect_err("an empty file")));
}

#[test]
fn many_mistakes_come_in_the_order_of_lines() {
    let text = [
        ("account", "account = 1"),
        ("timeout", "timeout = \"3 sec\""),
        ("partitions", "partition = 3"),
        ("retries", "retries = -1"),
    ]
    .into_iter()
    .fold(committed("sandbox"), |text, (key, line)| with_line(&text, key, line));
    let mistakes = parse("sandbox", &text).expect_err("four mistakes");
    let keys: Vec<&str> = mistakes.iter().map(Mistake::key).collect();
    assert_eq!(
        keys,
        [
            "account",
            "functions.stream-processor.timeout",
            "functions.stream-processor.stream.retries",
            "consumer.partition"
        ]
    );
    assert!(mistakes.is_sorted_by_key(Mistake::line));
}

#[test]
fn the_line_is_that_of_the_value() {
    let text = committed("sandbox");
    let expected = 1 + text.lines().position(|line| line.starts_with("drain_deadline")).expect("the key");
    let wrong = with_line(&text, "drain_deadline", "drain_deadline = \"40s\"");
    let mistakes = parse("sandbox", &wrong).expect_err("too long");
    assert_eq!(mistakes.iter().map(Mistake::line).collect::<Vec<_>>(), [expected]);
}

/// Name of the case, committed file, first key whose line is replaced, the line.
const WRONG: &[(&str, &str, &str, &str)] = &[
    ("unknown key", "sandbox", "parallelization", "parallelization = 1\nbananas = 2"),
    ("typo in a key", "sandbox", "memory", "memroy = \"256Mi\""),
    ("typo in a section", "sandbox", "[archive]", "[archives]"),
    ("unknown function", "sandbox", "[functions.event-router]", "[functions.event-roter]"),
    ("missing key", "sandbox", "timeout", ""),
    ("missing section", "sandbox", "[alarms]", "[tags.alarms]"),
    ("no TOML", "sandbox", "target", "target = local"),
    ("key twice", "sandbox", "target", "target = \"local\"\ntarget = \"aws\""),
    ("name of another file", "sandbox", "name", "name = \"staging\""),
    ("name with a hyphen", "sandbox", "name", "name = \"my-sandbox\""),
    ("name too long", "sandbox", "name", "name = \"abcdefghijklmnopq\""),
    ("unknown target", "sandbox", "target", "target = \"azure\""),
    ("typo in a word", "sandbox", "target", "target = \"locla\""),
    ("account as a number", "sandbox", "account", "account = 123456789012"),
    ("account too short", "staging", "account", "account = \"12345\""),
    ("local with a real account", "sandbox", "account", "account = \"123456789012\""),
    ("typo in a region", "sandbox", "name = \"us-east-1\"", "name = \"us-eats-1\""),
    ("no such region", "sandbox", "name = \"us-east-1\"", "name = \"mars-north-1\""),
    ("region with two zones", "sandbox", "name = \"us-east-1\"", "name = \"us-west-1\""),
    ("region twice", "sandbox", "name = \"us-east-1\"", "name = \"us-west-2\""),
    ("two primaries", "sandbox", "role = \"secondary\"", "role = \"primary\""),
    ("no primary", "sandbox", "role = \"primary\"", "role = \"secondary\""),
    ("wave out of range", "sandbox", "wave", "wave = 0"),
    ("regions as text", "sandbox", "[[regions]]", "[regions]"),
    ("log retention without unit", "sandbox", "retention = \"7d\"", "retention = 7"),
    ("log retention that is not accepted", "sandbox", "retention = \"7d\"", "retention = \"45d\""),
    ("queue retention too long", "sandbox", "retention = \"14d\"", "retention = \"15d\""),
    ("flag as text", "sandbox", "deletion_protection", "deletion_protection = \"no\""),
    ("memory in megabytes", "sandbox", "memory", "memory = \"256MB\""),
    ("memory too small", "sandbox", "memory", "memory = \"64Mi\""),
    ("timeout with a word", "sandbox", "timeout", "timeout = \"3 sec\""),
    ("timeout without unit", "sandbox", "timeout", "timeout = 60"),
    ("timeout of milliseconds", "sandbox", "timeout", "timeout = \"60500ms\""),
    ("timeout too long", "sandbox", "timeout", "timeout = \"16m\""),
    ("timeout used up", "sandbox", "timeout", "timeout = \"12s\""),
    ("unknown log level", "sandbox", "log_level", "log_level = \"verbose\""),
    ("no concurrency at all", "production", "reserved_concurrency", "reserved_concurrency = 0"),
    ("batch too large", "sandbox", "batch_size", "batch_size = 10001"),
    ("endless retries", "sandbox", "retries", "retries = -1"),
    ("older than the stream", "sandbox", "max_age", "max_age = \"24h\""),
    ("too parallel", "sandbox", "parallelization", "parallelization = 11"),
    ("tombstones too short for queues", "sandbox", "tombstone_retention", "tombstone_retention = \"10d\""),
    ("tombstones too short for both", "sandbox", "tombstone_retention", "tombstone_retention = \"3d\""),
    ("events forgotten before messages", "sandbox", "idempotency_retention", "idempotency_retention = \"13d\""),
    ("draining too long", "sandbox", "drain_deadline", "drain_deadline = \"30s\""),
    ("source id with a space", "sandbox", "source_id", "source_id = \"qlik task\""),
    ("number as text", "sandbox", "partitions", "partitions = \"3\""),
    ("local with a secret", "sandbox", "[kafka]", "[kafka]\ncredentials_secret = \"kafka\""),
    ("local with brokers", "sandbox", "[kafka]", "[kafka]\nbrokers = [\"localhost:9092\"]"),
    ("no brokers on AWS", "staging", "brokers", ""),
    ("empty brokers on AWS", "staging", "brokers", "brokers = []"),
    ("broker without a port", "staging", "brokers", "brokers = [\"b-1.example.com\", \"b-2.example.com:0\"]"),
    ("registry without TLS", "staging", "schema_registry", "schema_registry = \"http://registry.example.com\""),
    ("SASL's mechanism without SASL", "staging", "security", "security = \"mtls\"\nsasl_mechanism = \"PLAIN\""),
    (
        "an unknown mechanism of SASL",
        "staging",
        "security",
        "security = \"sasl_ssl\"\nsasl_mechanism = \"scram-sha-512\"",
    ),
    ("a word for a flag", "staging", "security", "security = \"mtls\"\nprivate_ca = \"yes\""),
    ("an unknown group protocol", "staging", "source_id", "source_id = \"qlik\"\ngroup_protocol = \"kip-848\""),
    ("fail_safe without a time", "staging", "source_id", "source_id = \"qlik\"\nauthority_unread = \"fail_safe\""),
    ("fail_safe after a moment", "staging", "source_id", "source_id = \"qlik\"\nauthority_unread = \"fail_safe:2s\""),
    ("plaintext on AWS", "staging", "security", "security = \"plaintext\""),
    ("secret instead of its name", "staging", "credentials_secret", "credentials_secret = \"pass word!\""),
    ("nobody is told", "staging", "recipients", "recipients = []"),
    ("no e-mail address", "staging", "recipients", "recipients = [\"platform-team\"]"),
    ("half a domain", "staging", "hosted_zone", ""),
    ("domain of one word", "staging", "name = \"events.", "name = \"events\""),
    ("hosted zone in small letters", "staging", "hosted_zone", "hosted_zone = \"z123\""),
    ("domain without a health key", "staging", "health_key", ""),
    ("health key that is short", "staging", "health_key", "health_key = \"status\""),
    ("health key with a path", "staging", "health_key", "health_key = \"0f3a9c/7b21d84e65\""),
    ("health key of one letter", "staging", "health_key", "health_key = \"aaaaaaaaaaaaaaaaaaaa\""),
    ("no runbooks", "staging", "runbooks", ""),
    ("runbooks without TLS", "staging", "runbooks", "runbooks = \"http://example.com/runbooks\""),
    ("network with host bits", "sandbox", "network = ", "network = \"10.20.0.1/16\""),
    ("network too small", "sandbox", "network = ", "network = \"10.20.0.0/24\""),
    ("networks that overlap", "sandbox", "network = ", "network = \"10.21.0.0/16\""),
    ("region without a network", "sandbox", "network = ", ""),
    ("authorizer that API Gateway doesn't wait for", "sandbox", "timeout = \"5s\"", "timeout = \"11s\""),
    ("checks that overlap", "sandbox", "[functions.health-checker] timeout", "timeout = \"61s\""),
    ("parts of a minute", "sandbox", "every", "every = \"90s\""),
    ("messages of more than a batch", "sandbox", "[functions.event-transformer] batch_size", "batch_size = 11"),
    (
        "layer without a file",
        "staging",
        "[functions.event-transformer] concurrency",
        "concurrency = 4\ngeo_layer_version = 1",
    ),
    (
        "file without a layer",
        "staging",
        "[functions.event-transformer] concurrency",
        "concurrency = 4\ngeo_database = \"/opt/geo.mmdb\"",
    ),
    (
        "file that no layer has",
        "staging",
        "[functions.event-transformer] concurrency",
        "concurrency = 4\ngeo_database = \"/var/geo.mmdb\"\ngeo_layer_version = 1",
    ),
    (
        "file and layer that are none",
        "staging",
        "[functions.event-transformer] concurrency",
        "concurrency = 4\ngeo_database = \"geo.mmdb\"\ngeo_layer_version = 0",
    ),
    ("none as a file", "sandbox", "concurrency", "concurrency = 4\ngeo_database = \"none\""),
    (
        "layer on this machine",
        "sandbox",
        "concurrency",
        "concurrency = 4\ngeo_database = \"/opt/geo.mmdb\"\ngeo_layer_version = 1",
    ),
    ("one worker only", "sandbox", "concurrency", "concurrency = 1"),
    ("issuer without TLS", "staging", "key_issuer", "key_issuer = \"http://login.example.com\""),
    ("answers kept for days", "staging", "answer_kept", "answer_kept = \"2d\""),
    ("grant without a role", "staging", "rate", "rate = 10\ngrants = [\"POST /v1/events\"]"),
    ("grant with a star in the middle", "staging", "rate", "rate = 10\ngrants = [\"GET /v1/*/events *\"]"),
    ("bad tokens that are welcome", "staging", "rate", "rate = 10\nbad_token = \"welcome\""),
    ("no witness", "sandbox", "witness", ""),
    ("witness among the regions", "sandbox", "witness", "witness = \"us-east-1\""),
    ("witness across an ocean", "sandbox", "witness", "witness = \"eu-west-1\""),
    ("unknown kind of gateways", "sandbox", "nat = ", "nat = \"two\""),
    ("old Kubernetes", "sandbox", "version", "version = \"1.24\""),
    ("cluster open to everybody", "sandbox", "api_access", "api_access = [\"0.0.0.0/0\"]"),
    (
        "administrator that is a user",
        "sandbox",
        "administrators",
        "administrators = [\"arn:aws:iam::123456789012:user/me\"]",
    ),
    ("cluster that nobody administers", "staging", "administrators", "administrators = []"),
    ("nodes of no type", "sandbox", "instance_types", "instance_types = []"),
    ("nodes of another architecture", "sandbox", "instance_types", "instance_types = [\"m7i.large\"]"),
    ("more nodes at least than at most", "sandbox", "min = 1", "min = 3"),
    ("repository without an owner", "staging", "repository", "repository = \"tandem\""),
    ("unknown provider", "staging", "provider", "provider = \"none\""),
    ("more pods than partitions", "sandbox", "max_replicas", "max_replicas = 4"),
    ("more pods at least than at most", "staging", "min_replicas", "min_replicas = 7"),
    ("ports on AWS", "staging", "[alarms]", "[local]\nkafka_port = 9092\n\n[alarms]"),
    ("port of the system", "sandbox", "[alarms]", "[local]\nkafka_port = 80\n\n[alarms]"),
    ("port twice", "sandbox", "[alarms]", "[local]\nkafka_port = 9092\nconsumer_port = 9092\n\n[alarms]"),
    ("reserved tags", "sandbox", "Owner", "\"aws:owner\" = \"me\"\nSystem = \"mine\""),
    ("tag that is no text", "sandbox", "Owner", "Owner = 7"),
    ("section as a value", "sandbox", "[logs]", "[[logs]]"),
];

fn environments() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../environments"))
}

fn committed(name: &str) -> String {
    fs::read_to_string(environments().join(format!("{name}.toml"))).expect("a committed file")
}

fn parse(name: &str, text: &str) -> Result<Environment, Vec<Mistake>> {
    Environment::parse(&format!("environments/{name}.toml"), text)
}

/// `text` with its first line that starts with `start` replaced; `[section] key` looks for the key after the section.
fn with_line(text: &str, start: &str, replacement: &str) -> String {
    let (section, start) = match start.split_once("] ") {
        Some((section, key)) => (format!("{section}]"), key),
        None => (String::new(), start),
    };
    let after = text.lines().position(|line| line.starts_with(&section)).unwrap_or_default();
    let position = text.lines().skip(after).position(|line| line.starts_with(start));
    let position = after + position.unwrap_or_else(|| panic!("no line `{start}`"));
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| if index == position { replacement } else { line })
        .fold(String::new(), |text, line| text + line + "\n")
}

fn listed(mistakes: &[Mistake]) -> String {
    mistakes.iter().fold(String::new(), |text, mistake| text + &mistake.to_string() + "\n")
}

/// What the contract finds wrong with the settings when a stack binds them.
fn mistakes_of(settings: CdcConsumerSettings) -> Vec<String> {
    use contracts::Bound;
    use contracts::CdcConsumerBinding;
    let binding = CdcConsumerBinding {
        region: Region::new("us-west-2").expect("a region"),
        kafka_brokers: "host:9092".to_owned(),
        schema_registry_url: "http://host".to_owned(),
        source_id: "qlik".to_owned(),
        customers: Bound::new("table", "table", vec![]),
        orders: Bound::new("table", "table", vec![]),
        products: Bound::new("table", "table", vec![]),
        authority: Bound::new("table", "table", vec![]),
        settings,
    };
    assert_eq!(<CdcConsumerBinding<&str> as Binding<&str>>::PROGRAM, CdcConsumer::NAME);
    binding.mistakes()
}
