//! Every dashboard and alert rule of every committed environment, byte for byte; and their queries ask for what is measured.

use std::collections::BTreeSet;
use std::path::Path;

use infra::dashboards::files;
use infra::environment::Environment;
use promql_parser::parser::{Expr, LabelModifier, VectorSelector, parse};
use serde_json::Value as Json;
use telemetry::Kind;

const ENVIRONMENTS: [(&str, &str); 3] = [
    ("sandbox", include_str!("../../environments/sandbox.toml")),
    ("staging", include_str!("../../environments/staging.toml")),
    ("production", include_str!("../../environments/production.toml")),
];

/// Metrics that the consumer counts. The crate declares more: those of the functions, which nobody scrapes.
const OF_CONSUMER: [&str; 11] = [
    "cdc_events_processed_total",
    "cdc_partial_image_total",
    "consumer_ownership",
    "dead_letters_total",
    "dynamodb_errors_total",
    "dynamodb_operations_total",
    "kafka_consumer_lag_records",
    "kafka_consumer_lag_seconds",
    "kafka_messages_consumed_total",
    "kafka_processing_duration_seconds",
    "region_authority_epoch",
];

/// Labels that scraping a pod adds (Prometheus operator, `PodMonitor`).
const OF_SCRAPE: [&str; 5] = ["container", "instance", "job", "namespace", "pod"];

/// Metrics of others with their labels, as far as they are used: Prometheus itself, the kubelet (cAdvisor),
/// kube-state-metrics.
const STANDARD: [(&str, &[&str]); 4] = [
    ("up", &["container", "instance", "job", "namespace", "pod"]),
    ("container_memory_working_set_bytes", &["container", "namespace", "pod"]),
    ("kube_deployment_spec_replicas", &["deployment", "namespace"]),
    ("kube_pod_container_resource_limits", &["container", "namespace", "node", "pod", "resource", "unit"]),
];

/// What rules record, with its labels.
const RECORDED: [(&str, &[&str]); 1] =
    [("partition:kafka_consumer_lag_records:clamp_max", &["namespace", "topic", "partition"])];

fn environments() -> impl Iterator<Item = Environment> {
    ENVIRONMENTS.into_iter().map(|(name, text)| {
        Environment::parse(&format!("environments/{name}.toml"), text)
            .unwrap_or_else(|mistakes| panic!("{name}: {mistakes:#?}"))
    })
}

fn all_files() -> impl Iterator<Item = (String, Json)> {
    environments().flat_map(|environment| files(&environment)).map(|(name, content)| {
        let content = serde_json::from_str(&content).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, content)
    })
}

#[test]
fn the_files() {
    for environment in environments() {
        for (name, content) in files(&environment) {
            let (folder, file) = name.split_once('/').expect("a folder");
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(Path::new("dashboards").join(environment.environment_name()).join(folder));
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.bind(|| insta::assert_snapshot!(file, content));
        }
    }
}

/// A query and the labels that somebody uses of its results.
struct Asked {
    place: String,
    query: String,
    used: Vec<String>,
}

/// Every PromQL query, of dashboards and of alert rules.
fn asked() -> Vec<Asked> {
    let mut asked = Vec::new();
    for (name, content) in all_files() {
        for panel in content["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().expect("targets") {
                if let Some(query) = target["expr"].as_str() {
                    let legend = target["legendFormat"].as_str().expect("a legend");
                    let place = format!("{name} {}", panel["title"]);
                    asked.push(Asked { place, query: query.to_owned(), used: between(legend, "{{", "}}") });
                }
            }
        }
        for rule in rules(&content) {
            let query = rule["expr"].as_str().expect("a query").to_owned();
            let used = match rule["annotations"]["summary"].as_str() {
                Some(summary) => between(summary, "$labels.", " "),
                None => Vec::new(),
            };
            asked.push(Asked { place: format!("{name} {}{}", rule["alert"], rule["record"]), query, used });
        }
    }
    asked
}

fn rules(content: &Json) -> Vec<Json> {
    let groups = [&content["groups"], &content["spec"]["groups"]].into_iter().find_map(Json::as_array);
    groups.into_iter().flatten().flat_map(|group| group["rules"].as_array().expect("rules")).cloned().collect()
}

fn between(text: &str, begin: &str, end: &str) -> Vec<String> {
    text.split(begin).skip(1).filter_map(|rest| rest.split(end).next()).map(|found| found.trim().to_owned()).collect()
}

#[test]
fn queries_ask_for_what_is_measured() {
    let asked = asked();
    assert!(asked.len() > 3 * 30, "only {} queries", asked.len());
    for Asked { place, query, used } in asked {
        let parsed = parse(&query).unwrap_or_else(|error| panic!("{place}: {error} in {query}"));
        let mistakes = mistakes(&parsed);
        assert!(mistakes.is_empty(), "{place}: {mistakes:?} in {query}");
        if let Some(labels) = labels_of(&parsed) {
            for label in used {
                assert!(labels.contains(&label), "{place}: the result has no `{label}`, only {labels:?}: {query}");
            }
        }
    }
}

/// The check above finds what it is for.
#[test]
fn wrong_queries_are_found() {
    let cases = [
        ("sum(kafka_lag)", "`kafka_lag` is measured by nobody"),
        ("sum(rate(lambda_errors_total[5m]))", "`lambda_errors_total` is measured by nobody"),
        ("sum by (table) (kafka_consumer_lag_records)", "`kafka_consumer_lag_records` has no label `table`"),
        ("kafka_consumer_lag_records{entity=\"orders\"}", "`kafka_consumer_lag_records` has no label `entity`"),
        ("sum(cdc_partial_image_total)", "`cdc_partial_image_total` is a counter and needs its increase"),
        (
            "rate(kafka_processing_duration_seconds[5m])",
            "`kafka_processing_duration_seconds` is a histogram: ask for its parts",
        ),
        ("rate(kafka_consumer_lag_records_count[5m])", "`kafka_consumer_lag_records_count` is measured by nobody"),
        ("rate(kafka_consumer_lag_records[5m])", "`kafka_consumer_lag_records` is no counter"),
        (
            "histogram_quantile(0.9, sum by (topic) (rate(kafka_processing_duration_seconds_bucket[5m])))",
            "a quantile needs `le`",
        ),
        (
            "histogram_quantile(0.9, sum by (le) (rate(kafka_processing_duration_seconds_sum[5m])))",
            "`kafka_processing_duration_seconds_sum` has no label `le`",
        ),
    ];
    for (query, expected) in cases {
        let found = mistakes(&parse(query).expect(query));
        assert!(found.iter().any(|mistake| mistake.starts_with(expected)), "{query}: {found:?}");
    }
}

/// How a selector stands in its query.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// Nothing but aggregation.
    Plain,
    /// `rate` or `increase`.
    Increase,
    /// Beside `unless`: only whether there is a series counts.
    Existence,
}

fn mistakes(query: &Expr) -> Vec<String> {
    let mut found = Vec::new();
    walk(query, Around::Plain, &mut found);
    found
}

/// Looks at each selector; gives back the labels of what is selected below, for those who group it.
fn walk(query: &Expr, around: Around, found: &mut Vec<String>) -> Vec<(String, BTreeSet<String>)> {
    match query {
        Expr::VectorSelector(selector) => look_at(selector, around, found).into_iter().collect(),
        Expr::MatrixSelector(selector) => look_at(&selector.vs, around, found).into_iter().collect(),
        Expr::Aggregate(aggregate) => {
            let below = walk(&aggregate.expr, around, found);
            grouped_by(aggregate.modifier.as_ref(), &below, found);
            below
        }
        Expr::Binary(binary) => {
            let beside = if binary.op.to_string() == "unless" { Around::Existence } else { around };
            let mut below = walk(&binary.lhs, beside, found);
            below.extend(walk(&binary.rhs, beside, found));
            let matching = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
            grouped_by(matching, &below, found);
            below
        }
        Expr::Call(call) => {
            let around = match call.func.name {
                "rate" | "increase" => Around::Increase,
                _ => around,
            };
            let below: Vec<_> = call.args.args.iter().flat_map(|argument| walk(argument, around, found)).collect();
            let keeps_buckets = || {
                call.args.args.iter().any(|argument| labels_of(argument).is_some_and(|labels| labels.contains("le")))
            };
            if call.func.name == "histogram_quantile" && !keeps_buckets() {
                found.push("a quantile needs `le`".to_owned());
            }
            below
        }
        Expr::Paren(inner) => walk(&inner.expr, around, found),
        Expr::Unary(inner) => walk(&inner.expr, around, found),
        Expr::Subquery(inner) => walk(&inner.expr, around, found),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Vec::new(),
    }
}

fn look_at(selector: &VectorSelector, around: Around, found: &mut Vec<String>) -> Option<(String, BTreeSet<String>)> {
    let name = selector.name.clone().unwrap_or_default();
    let Some((kind, labels)) = known(&name) else {
        found.push(format!("`{name}` is measured by nobody"));
        return None;
    };
    for matcher in &selector.matchers.matchers {
        if !labels.contains(&matcher.name) {
            found.push(format!("`{name}` has no label `{}`", matcher.name));
        }
    }
    match (kind, around) {
        (Some(Kind::Histogram), _) => found.push(format!("`{name}` is a histogram: ask for its parts")),
        (Some(Kind::Counter), Around::Plain) => found.push(format!("`{name}` is a counter and needs its increase")),
        (Some(Kind::Gauge) | None, Around::Increase) => found.push(format!("`{name}` is no counter")),
        _ => {}
    }
    Some((name, labels))
}

/// What a name in a query stands for; the parts of a histogram are counters.
fn known(name: &str) -> Option<(Option<Kind>, BTreeSet<String>)> {
    let owned = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect::<BTreeSet<_>>();
    if let Some((_, labels)) = STANDARD.iter().chain(&RECORDED).find(|(known, _)| *known == name) {
        return Some((None, owned(labels)));
    }
    for metric in telemetry::ALL.iter().filter(|metric| OF_CONSUMER.contains(&metric.name())) {
        let labels = || owned(&[metric.labels(), &OF_SCRAPE].concat());
        if name == metric.name() {
            return Some((Some(metric.kind()), labels()));
        }
        let part = name.strip_prefix(metric.name()).filter(|_| metric.kind() == Kind::Histogram);
        match part {
            Some("_sum" | "_count") => return Some((Some(Kind::Counter), labels())),
            Some("_bucket") => {
                let mut labels = labels();
                labels.insert("le".to_owned());
                return Some((Some(Kind::Counter), labels));
            }
            _ => {}
        }
    }
    None
}

fn grouped_by(modifier: Option<&LabelModifier>, below: &[(String, BTreeSet<String>)], found: &mut Vec<String>) {
    let (Some(LabelModifier::Include(labels)) | Some(LabelModifier::Exclude(labels))) = modifier else {
        return;
    };
    for label in &labels.labels {
        for (name, known) in below.iter().filter(|(_, known)| !known.contains(label)) {
            found.push(format!("`{name}` has no label `{label}`, only {known:?}"));
        }
    }
}

/// The labels that a query's results have; none when that isn't said by the query.
fn labels_of(query: &Expr) -> Option<BTreeSet<String>> {
    match query {
        Expr::Aggregate(aggregate) => match (&aggregate.modifier, aggregate.op.to_string().as_str()) {
            (None, "topk" | "bottomk") => labels_of(&aggregate.expr),
            (Some(LabelModifier::Include(labels)), _) => Some(labels.labels.iter().cloned().collect()),
            (Some(LabelModifier::Exclude(_)), _) => None,
            (None, _) => Some(BTreeSet::new()),
        },
        Expr::Binary(binary) => match &binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref()) {
            Some(LabelModifier::Include(labels)) if binary.op.to_string() != "unless" => {
                Some(labels.labels.iter().cloned().collect())
            }
            _ => labels_of(&binary.lhs),
        },
        Expr::Call(call) => {
            let mut labels = call.args.args.iter().find_map(|argument| labels_of(argument))?;
            if call.func.name == "histogram_quantile" {
                labels.remove("le");
            }
            Some(labels)
        }
        Expr::Paren(inner) => labels_of(&inner.expr),
        Expr::VectorSelector(selector) => known(selector.name.as_deref()?).map(|(_, labels)| labels),
        Expr::MatrixSelector(selector) => known(selector.vs.name.as_deref()?).map(|(_, labels)| labels),
        _ => None,
    }
}

/// The consumer counts what is listed, and the list is of things that are declared.
#[test]
fn the_consumers_metrics_are_declared_and_counted() {
    let consumer = [
        include_str!("../../consumer/src/lag.rs"),
        include_str!("../../consumer/src/presence.rs"),
        include_str!("../../consumer/src/tenure.rs"),
        include_str!("../../consumer/src/lane/apply.rs"),
        include_str!("../../consumer/src/lane/worker.rs"),
        include_str!("../../crates/aws/src/table_writer.rs"),
    ]
    .concat();
    for name in OF_CONSUMER {
        assert!(telemetry::ALL.iter().any(|metric| metric.name() == name), "{name} isn't declared");
        assert!(consumer.contains(&format!("telemetry::{}", name.to_uppercase())), "the consumer doesn't count {name}");
    }
}

/// What is asked of CloudWatch under the functions' namespace is what they write: the function, then the labels.
#[test]
fn cloudwatch_is_asked_for_what_functions_measure() {
    let mut seen = BTreeSet::new();
    for (name, content) in all_files() {
        for panel in content["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().expect("targets") {
                if target["namespace"] != telemetry::invocation::NAMESPACE {
                    continue;
                }
                let asked = target["metricName"].as_str().expect("a metric");
                let metric = telemetry::ALL.iter().find(|metric| metric.name() == asked);
                let metric = metric.unwrap_or_else(|| panic!("{name}: nobody measures `{asked}`"));
                let written: BTreeSet<&str> = ["function"].into_iter().chain(metric.labels().iter().copied()).collect();
                let dimensions = target["dimensions"].as_object().expect("dimensions");
                assert_eq!(dimensions.keys().map(String::as_str).collect::<BTreeSet<_>>(), written, "{name}: {asked}");
                seen.insert(asked.to_owned());
            }
        }
    }
    assert!(seen.len() >= 10, "{seen:?}");
}

#[test]
fn graphs_lie_side_by_side_and_have_queries() {
    for (name, content) in all_files().filter(|(name, _)| name.starts_with("grafana/")) {
        let panels = content["panels"].as_array().expect("panels");
        let places: BTreeSet<_> =
            panels.iter().map(|panel| (panel["gridPos"]["x"].as_u64(), panel["gridPos"]["y"].as_u64())).collect();
        assert_eq!(places.len(), panels.len(), "{name}");
        let variables = content["templating"]["list"].as_array().expect("variables");
        for panel in panels {
            let targets = panel["targets"].as_array().expect("targets");
            let references: BTreeSet<&str> = targets.iter().filter_map(|target| target["refId"].as_str()).collect();
            assert!(!targets.is_empty() && references.len() == targets.len(), "{name} {}", panel["title"]);
            for target in targets {
                let kind = &target["datasource"]["type"];
                assert_eq!(&target["datasource"], &panel["datasource"], "{name} {}", panel["title"]);
                assert!(variables.iter().any(|variable| variable["query"] == *kind), "{name}: no variable for {kind}");
            }
        }
    }
}

/// The operator's manifest and the plain file hold the same rules, each complete.
#[test]
fn rules_are_complete() {
    for environment in environments() {
        let files = files(&environment);
        let content = |wanted: &str| -> Json {
            let (_, text) = files.iter().find(|(name, _)| name == wanted).expect("the file");
            serde_json::from_str(text).expect("JSON")
        };
        let plain = rules(&content("prometheus/consumer-rules.json"));
        assert_eq!(plain, rules(&content("prometheus/prometheus-rule.json")));
        let (recording, alerts): (Vec<Json>, Vec<Json>) =
            plain.into_iter().partition(|rule| rule.get("record").is_some());
        let recorded: Vec<&str> = recording.iter().map(|rule| rule["record"].as_str().expect("a name")).collect();
        assert_eq!(recorded, RECORDED.map(|(name, _)| name));
        for (rule, (name, labels)) in recording.iter().zip(RECORDED) {
            let query = parse(rule["expr"].as_str().expect("a query")).expect("PromQL");
            let expected = labels.iter().map(|label| (*label).to_owned()).collect();
            assert_eq!(labels_of(&query), Some(expected), "{name}");
        }
        assert_eq!(alerts.len(), 9);
        for rule in alerts {
            let alert = rule["alert"].as_str().expect("a name");
            assert!(["page", "ticket"].iter().any(|severity| rule["labels"]["severity"] == *severity), "{alert}");
            let url = rule["annotations"]["runbook_url"].as_str().expect("a runbook");
            let anchor = url.strip_prefix(&format!("{}#", environment.alarms().runbooks)).expect("an anchor");
            let words = anchor.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
            assert_eq!(alert, format!("Tandem{}", words.collect::<String>()));
        }
    }
}

#[test]
fn two_runs_give_the_same_bytes() {
    for environment in environments() {
        assert_eq!(files(&environment), files(&environment));
    }
}

/// Functions write their metrics there, and dashboards and alarms look there.
#[test]
fn there_is_one_namespace_of_the_programs() {
    assert_eq!(infra::dashboards::PROGRAM_METRICS, telemetry::invocation::NAMESPACE);
}
