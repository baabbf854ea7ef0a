//! What is watched has alarms, alarms reach somebody and say what to do, and what they look at is measured.

use std::collections::BTreeSet;

use infra::environment::Environment;
use infra::{StackInstance, Subject, System, Watch, system};
use serde_json::Value as Json;

const RUNBOOKS: &str = include_str!("../../docs/runbooks.md");

const ENVIRONMENTS: [(&str, &str); 3] = [
    ("sandbox", include_str!("../../environments/sandbox.toml")),
    ("staging", include_str!("../../environments/staging.toml")),
    ("production", include_str!("../../environments/production.toml")),
];

fn environments() -> impl Iterator<Item = Environment> {
    ENVIRONMENTS.into_iter().map(|(name, text)| parse(name, text))
}

fn parse(name: &str, text: &str) -> Environment {
    Environment::parse(&format!("environments/{name}.toml"), text)
        .unwrap_or_else(|mistakes| panic!("{name}: {mistakes:#?}"))
}

fn systems() -> impl Iterator<Item = System> {
    environments().map(|environment| system(&environment))
}

/// Stacks with alarms, each with all other stacks of its system.
fn observed(system: &System) -> impl Iterator<Item = &StackInstance> {
    system.stacks.iter().filter(|stack| stack.id.name == "observability")
}

fn properties(stack: &StackInstance, type_name: &str) -> Vec<Json> {
    let resources = stack.template.resources().filter(|resource| resource.type_name() == type_name);
    resources.map(|resource| Json::Object(resource.properties().as_map().clone().into_iter().collect())).collect()
}

fn alarms(stack: &StackInstance) -> Vec<Json> {
    properties(stack, "AWS::CloudWatch::Alarm")
}

fn text<'a>(alarm: &'a Json, property: &str) -> &'a str {
    alarm[property].as_str().unwrap_or_else(|| panic!("`{property}` is no text in {alarm:#}"))
}

/// What an alarm on the subject has in it: a name of AWS's, or a reference to one that is known at deployment.
fn mark(subject: &Subject) -> String {
    match subject {
        Subject::DeadLetters { queue: name }
        | Subject::Pointers { queue: name }
        | Subject::WorkQueue { queue: name }
        | Subject::Function { function: name, .. }
        | Subject::Rule { rule: name, .. }
        | Subject::Schedule { group: name }
        | Subject::Table { table: name, .. }
        | Subject::Cluster { cluster: name } => name.clone(),
        Subject::Api { id_output: parameter, .. } | Subject::NatGateway { id_output: parameter, .. } => {
            format!("{{\"Ref\":\"{parameter}\"}}")
        }
    }
}

/// Whether an alarm looks at the subject: a dimension's value is its mark, or a query has it in quotes.
fn looks_at(alarm: &Json, subject: &Subject) -> bool {
    let metrics = alarm["Metrics"].as_array().into_iter().flatten();
    let own = [alarm].into_iter().chain(metrics.clone().map(|metric| &metric["MetricStat"]["Metric"]));
    let dimensions = own.flat_map(|metric| metric["Dimensions"].as_array().into_iter().flatten());
    let mark = mark(subject);
    let in_dimensions = dimensions
        .map(|dimension| &dimension["Value"])
        .any(|value| value.as_str().map_or(value.to_string(), str::to_owned) == mark);
    let in_query =
        metrics.filter_map(|metric| metric["Expression"].as_str()).any(|query| query.contains(&format!("'{mark}'")));
    in_dimensions || in_query
}

#[test]
fn everything_watched_has_an_alarm() {
    for system in systems() {
        for stack in observed(&system) {
            let alarms = alarms(stack);
            let of_region = system.stacks.iter().filter(|other| other.id.region == stack.id.region);
            let watches: Vec<&Watch> = of_region.flat_map(|other| &other.watches).collect();
            assert!(watches.len() > 20, "{}: only {} watches", stack.id, watches.len());
            for watch in watches {
                let found = alarms.iter().filter(|alarm| looks_at(alarm, &watch.subject)).count();
                assert!(found > 0, "{}: nothing looks at {watch:?}", stack.id);
            }
        }
    }
}

#[test]
fn every_region_watches_its_replicas_of_the_global_tables() {
    for system in systems() {
        for stack in observed(&system) {
            let latencies: Vec<Json> =
                alarms(stack).into_iter().filter(|alarm| alarm["MetricName"] == "ReplicationLatency").collect();
            let regions: BTreeSet<&str> = system.stacks.iter().map(|stack| stack.id.region.as_str()).collect();
            assert_eq!(latencies.len(), 3 * (regions.len() - 1), "{}", stack.id);
            for alarm in latencies {
                let receiver = alarm["Dimensions"][1]["Value"].as_str().expect("a region");
                assert!(receiver != stack.id.region.as_str() && regions.contains(receiver), "{alarm:#}");
            }
        }
    }
}

#[test]
fn a_third_region_has_alarms_for_each_pair() {
    let third =
        "[[regions]]\nname = \"us-east-2\"\nrole = \"secondary\"\nwave = 3\nnetwork = \"10.42.0.0/16\"\n\n[logs]";
    let text = ENVIRONMENTS[2].1.replacen("[logs]", third, 1).replace("witness = \"us-east-2\"\n", "");
    let system = system(&parse("production", &text));
    assert!(system.mistakes.is_empty(), "{:?}", system.mistakes);
    for stack in observed(&system) {
        let count = |failure: &str| alarms(stack).iter().filter(|alarm| text_ends(alarm, failure)).count();
        assert_eq!(count("-replication-behind"), 6, "{}", stack.id);
        assert_eq!(count("-peer-unhealthy"), 2, "{}", stack.id);
        assert_eq!(count("-cross-region-slow"), 2, "{}", stack.id);
    }
}

fn text_ends(alarm: &Json, end: &str) -> bool {
    text(alarm, "AlarmName").ends_with(end)
}

#[test]
fn every_alarm_reaches_somebody_and_says_what_to_do() {
    let headings = headings();
    for environment in environments() {
        for stack in observed(&system(&environment)) {
            let topic = serde_json::json!([{"Fn::GetAtt": ["Alarms", "TopicArn"]}]);
            let all = [alarms(stack), properties(stack, "AWS::CloudWatch::CompositeAlarm")].concat();
            for alarm in all {
                let name = text(&alarm, "AlarmName");
                assert!(name.starts_with(&environment.name("")), "{name}");
                assert_eq!(alarm["AlarmActions"], topic, "{name}");
                assert_eq!(alarm["OKActions"], topic, "{name}");
                let description = text(&alarm, "AlarmDescription");
                assert!(description.starts_with("[page] ") || description.starts_with("[ticket] "), "{description}");
                let anchor = anchor(&environment, description);
                assert!(headings.contains(anchor), "{name}: docs/runbooks.md has no section `{anchor}`");
                assert!(name.ends_with(&format!("-{anchor}")), "{name} leads to {anchor}");
            }
        }
    }
}

/// A pointer without its record is worth little, so it rings at once, and it isn't called a dead letter.
#[test]
fn what_holds_only_pointers_pages() {
    for system in systems() {
        for stack in observed(&system) {
            let queues = |failure: &str| {
                let all = alarms(stack);
                let of_failure = all.iter().filter(|alarm| text_ends(alarm, failure));
                let names = of_failure.map(|alarm| {
                    if failure == "-pointers-waiting" {
                        assert!(text(alarm, "AlarmDescription").starts_with("[page] "));
                    }
                    text(&alarm["Dimensions"][0], "Value").to_owned()
                });
                names.collect::<BTreeSet<String>>()
            };
            let pointers = queues("-pointers-waiting");
            let ends = ["-event-router-failures", "-stream-processor-failures"];
            assert!(pointers.len() == 2 && pointers.iter().zip(ends).all(|(name, end)| name.ends_with(end)));
            assert!(pointers.is_disjoint(&queues("-dead-letters-waiting")), "{}", stack.id);
        }
    }
}

/// Where clients call seldom, a rate over a minute never has enough requests to say anything.
#[test]
fn an_api_that_is_seldom_called_is_watched_too() {
    for system in systems() {
        for stack in observed(&system) {
            let all = alarms(stack);
            let down: Vec<&Json> = all.iter().filter(|alarm| text_ends(alarm, "-api-down")).collect();
            let [down] = down.as_slice() else { panic!("{}: {down:?}", stack.id) };
            assert_eq!(down["Threshold"], 100.0);
            assert_eq!(down["Metrics"][0]["Expression"], "IF(all > 0, 100 * FILL(failed, 0) / all, 0)");
            for metric in down["Metrics"].as_array().expect("metrics").iter().skip(1) {
                assert_eq!(metric["MetricStat"]["Period"], 900);
            }
        }
    }
}

/// What the bus refuses behind a 200 shows in no metric of the API.
#[test]
fn refused_events_are_counted_for_the_whole_region() {
    for system in systems() {
        for stack in observed(&system) {
            let all = alarms(stack);
            let refused: Vec<&Json> =
                all.iter().filter(|alarm| alarm["MetricName"] == "PutEventsFailedEntriesCount").collect();
            let [refused] = refused.as_slice() else { panic!("{}: {refused:?}", stack.id) };
            assert!(refused["Namespace"] == "AWS/Events" && refused["Dimensions"].is_null(), "{refused:#}");
        }
    }
}

/// A section that no alarm leads to is about something that is gone.
#[test]
fn every_runbook_has_an_alarm() {
    let mut led_to = BTreeSet::new();
    for environment in environments() {
        for stack in &system(&environment).stacks {
            for alarm in [alarms(stack), properties(stack, "AWS::CloudWatch::CompositeAlarm")].concat() {
                led_to.insert(anchor(&environment, text(&alarm, "AlarmDescription")).to_owned());
            }
        }
        for (_, content) in infra::dashboards::files(&environment).iter().filter(|(name, _)| name.starts_with("prom")) {
            let url = format!("{}#", environment.alarms().runbooks);
            let anchors = content.split(&url).skip(1).filter_map(|rest| rest.split('"').next());
            led_to.extend(anchors.map(str::to_owned));
        }
    }
    let unused: Vec<&str> = headings().into_iter().filter(|heading| !led_to.contains(*heading)).collect();
    assert!(unused.is_empty(), "docs/runbooks.md has sections without an alarm: {unused:?}");
    let missing: Vec<&String> = led_to.iter().filter(|anchor| !headings().contains(anchor.as_str())).collect();
    assert!(missing.is_empty(), "docs/runbooks.md lacks sections: {missing:?}");
}

/// Each section says the same things in the same order, and leads only to sections that exist.
#[test]
fn runbooks_are_complete() {
    let headings = headings();
    for section in of_alarms().split("\n### ").skip(1) {
        let name = section.lines().next().unwrap_or_default();
        let own = section.split("\n## ").next().unwrap_or_default();
        for part in ["**Means:**", "**Look", "**Over:**"] {
            assert_eq!(own.matches(part).count(), 1, "`{name}` has not one `{part}`");
        }
        assert!(own.contains("**Do:**") || own.contains("**Look and do:**"), "`{name}` doesn't say what to do");
    }
    let links = RUNBOOKS.split("](#").skip(1).filter_map(|rest| rest.split(')').next());
    let named = RUNBOOKS.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let others: BTreeSet<String> = named.map(slug).collect();
    for link in links {
        assert!(headings.contains(link) || others.contains(link), "a link leads to `#{link}`, which is no section");
    }
}

/// The sections that alarms lead to: all but the last part, which is about work that no alarm asks for.
fn of_alarms() -> &'static str {
    RUNBOOKS.split_once("\n## Planned work\n").expect("the part without alarms").0
}

fn headings() -> BTreeSet<&'static str> {
    of_alarms().lines().filter_map(|line| line.strip_prefix("### ")).collect()
}

/// The anchor of a heading in words, as GitHub makes it.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchor<'a>(environment: &Environment, description: &'a str) -> &'a str {
    let (_, address) = description.split_once(" Runbook: ").expect("a link to the runbook");
    let (page, anchor) = address.split_once('#').expect("an anchor");
    assert_eq!(page, environment.alarms().runbooks);
    anchor
}

/// An alarm over a metric or a dimension that nobody writes would never ring, or always.
#[test]
fn the_programs_measure_what_alarms_look_at() {
    let mut seen = BTreeSet::new();
    for system in systems() {
        for stack in observed(&system) {
            for alarm in alarms(stack).iter().filter(|alarm| alarm["Namespace"] == telemetry::invocation::NAMESPACE) {
                let dimensions = alarm["Dimensions"].as_array().expect("dimensions");
                let names = dimensions.iter().map(|dimension| text(dimension, "Name"));
                seen.insert(measured(text(alarm, "MetricName"), names.collect()));
            }
            for query in queries(stack) {
                seen.extend(measured_by(&query));
            }
        }
    }
    let expected = [
        "authorizations_total",
        "cross_region_latency_seconds",
        "dynamodb_errors_total",
        "eventbridge_publish_errors_total",
        "health_probes_total",
        "health_status",
        "parking_oldest_age_seconds",
        "token_key_fetches_total",
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
}

fn queries(stack: &StackInstance) -> Vec<String> {
    let alarms = alarms(stack);
    let metrics = alarms.iter().flat_map(|alarm| alarm["Metrics"].as_array().into_iter().flatten());
    let expressions = metrics.filter_map(|metric| metric["Expression"].as_str());
    expressions.filter(|expression| expression.starts_with("SELECT ")).map(str::to_owned).collect()
}

/// The metric of a query over what programs measure: `SELECT SUM("name") FROM SCHEMA("Tandem", "label", …) WHERE …`.
fn measured_by(query: &str) -> Option<&'static str> {
    let quoted: Vec<&str> = query.split('"').skip(1).step_by(2).collect();
    let schema = query.split("SCHEMA(").nth(1).and_then(|rest| rest.split(')').next()).expect("a schema");
    let in_schema = schema.matches('"').count() / 2;
    let (name, schema) = (quoted[0], &quoted[1..=in_schema]);
    if schema[0] != telemetry::invocation::NAMESPACE {
        assert_eq!(schema[0], "AWS/DynamoDB", "{query}");
        return None;
    }
    for condition in &quoted[1 + in_schema..] {
        assert!(schema.contains(condition), "{query} asks for a dimension outside its schema");
    }
    Some(measured(name, schema[1..].to_vec()))
}

/// Functions write their name and then the metric's labels.
fn measured(name: &str, dimensions: Vec<&str>) -> &'static str {
    let metric = telemetry::ALL.iter().find(|metric| metric.name() == name);
    let metric = metric.unwrap_or_else(|| panic!("no program measures `{name}`"));
    let written: BTreeSet<&str> = ["function"].into_iter().chain(metric.labels().iter().copied()).collect();
    assert_eq!(dimensions.into_iter().collect::<BTreeSet<_>>(), written, "dimensions of `{name}`");
    metric.name()
}

/// What CloudWatch refuses only at deployment.
#[test]
fn alarms_keep_cloudwatchs_rules() {
    for system in systems() {
        for stack in observed(&system) {
            for alarm in alarms(stack) {
                let name = text(&alarm, "AlarmName");
                let periods = alarm["EvaluationPeriods"].as_u64().expect("periods");
                assert!(alarm["DatapointsToAlarm"].as_u64().is_some_and(|bad| bad <= periods), "{name}");
                let metrics = alarm["Metrics"].as_array();
                assert_eq!(metrics.is_some(), alarm["MetricName"].is_null(), "{name}: one metric, or a formula");
                let period = metrics.map_or(alarm["Period"].as_u64(), |metrics| {
                    let results = metrics.iter().filter(|metric| metric["ReturnData"] == true).count();
                    assert_eq!(results, 1, "{name}: one result");
                    assert!(metrics.len() <= 11, "{name}: at most ten metrics");
                    let own = |metric: &Json| metric["Period"].as_u64().or(metric["MetricStat"]["Period"].as_u64());
                    metrics.iter().find_map(own)
                });
                let period = period.expect("a period");
                assert!(period.is_multiple_of(60), "{name}: {period}");
                // Of alarms with a period of an hour or less, all periods together are a day at most.
                assert!(period * periods <= 86_400, "{name}");
            }
        }
    }
}

/// The composite alarm rings for every alarm that pages, but for those about other regions.
#[test]
fn severe_alarms_ring_together() {
    for system in systems() {
        for stack in observed(&system) {
            let composite = properties(stack, "AWS::CloudWatch::CompositeAlarm");
            let rule = composite[0]["AlarmRule"]["Fn::Sub"].as_str().expect("a rule");
            let mut rung: BTreeSet<&str> = BTreeSet::new();
            for part in rule.split(" OR ") {
                let id = part.strip_prefix("ALARM(\"${").and_then(|rest| rest.strip_suffix("}\")"));
                rung.insert(id.unwrap_or_else(|| panic!("{part}")));
            }
            let pages = stack.template.resources().filter(|resource| {
                let properties = resource.properties().as_map();
                let starts = |property: &str, start: &str| {
                    properties.get(property).and_then(Json::as_str).is_some_and(|text| text.starts_with(start))
                };
                let about_peer = resource.logical_id().ends_with("PeerUnhealthy");
                resource.type_name() == "AWS::CloudWatch::Alarm" && starts("AlarmDescription", "[page]") && !about_peer
            });
            assert_eq!(rung, pages.map(cfn::Declaration::logical_id).collect(), "{}", stack.id);
            assert!((10..=100).contains(&rung.len()), "{}: {} alarms", stack.id, rung.len());
        }
    }
}

/// CloudWatch shows a dashboard with a broken widget without a word.
#[test]
fn the_dashboard_shows_every_alarm_and_everything_watched() {
    for system in systems() {
        for stack in observed(&system) {
            let dashboards = properties(stack, "AWS::CloudWatch::Dashboard");
            let body = dashboards[0]["DashboardBody"]["Fn::Sub"].as_str().expect("a body");
            let body: Json = serde_json::from_str(body).expect("JSON");
            let widgets = body["widgets"].as_array().expect("widgets");
            let shown: Vec<&str> = widgets
                .iter()
                .filter_map(|widget| widget["properties"]["alarms"].as_array())
                .flat_map(|alarms| alarms.iter().filter_map(Json::as_str))
                .collect();
            for alarm in alarms(stack) {
                let end = format!(":alarm:{}", text(&alarm, "AlarmName"));
                assert_eq!(shown.iter().filter(|arn| arn.ends_with(&end)).count(), 1, "{end}");
            }
            let values: BTreeSet<String> = widgets
                .iter()
                .filter_map(|widget| widget["properties"]["metrics"].as_array())
                .flatten()
                .flat_map(|line| line.as_array().into_iter().flatten().filter_map(Json::as_str))
                .map(str::to_owned)
                .collect();
            for other in system.stacks.iter().filter(|other| other.id.region == stack.id.region) {
                for watch in &other.watches {
                    let wanted = match &watch.subject {
                        Subject::Api { id_output, .. } | Subject::NatGateway { id_output, .. } => {
                            format!("${{{id_output}}}")
                        }
                        subject => mark(subject),
                    };
                    assert!(values.contains(&wanted), "{}: no graph shows {watch:?}", stack.id);
                }
            }
            // No widget lies over another.
            let place = |widget: &Json| (widget["x"].as_u64(), widget["y"].as_u64());
            let places: BTreeSet<_> = widgets.iter().map(place).collect();
            assert_eq!(places.len(), widgets.len(), "{}", stack.id);
        }
    }
}

/// CloudWatch of this account and nobody else publishes, and nobody without TLS.
#[test]
fn the_topic_is_closed() {
    for environment in environments() {
        for stack in observed(&system(&environment)) {
            let topic = &properties(stack, "AWS::SNS::Topic")[0];
            assert_eq!(topic["KmsMasterKeyId"], serde_json::json!({"Ref": "KeyArn"}));
            let policies = properties(stack, "AWS::SNS::TopicPolicy");
            let statements = policies[0]["PolicyDocument"]["Statement"].as_array().expect("statements");
            let allowed: Vec<&Json> = statements.iter().filter(|statement| statement["Effect"] == "Allow").collect();
            assert_eq!(allowed.len(), 1);
            assert_eq!(allowed[0]["Principal"], serde_json::json!({"Service": "cloudwatch.amazonaws.com"}));
            assert!(allowed[0]["Condition"]["StringEquals"]["aws:SourceAccount"].is_object());
            assert!(allowed[0]["Condition"]["ArnLike"]["aws:SourceArn"].is_object());
            let denied = statements.iter().find(|statement| statement["Effect"] == "Deny").expect("a denial");
            assert_eq!(denied["Condition"]["Bool"]["aws:SecureTransport"], "false");
            let addresses = properties(stack, "AWS::SNS::Subscription");
            let addresses: BTreeSet<&str> = addresses.iter().map(|address| text(address, "Endpoint")).collect();
            assert_eq!(addresses, environment.alarms().recipients.iter().map(String::as_str).collect());
        }
    }
}
