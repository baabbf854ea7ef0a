//! `routing`: which region a client reaches. Only where the environment has a domain.
//!
//! The domain leads to the nearest region that is well: latency records, each with a health check that asks the region's
//! own name. When a region fails, its check fails, and Route 53 leaves its records out of the answers. Nobody edits a
//! record for that: edits go through one region of AWS, which may be the one that failed, while checks and answers come
//! from everywhere.
//!
//! About 30 seconds (three checks, ten seconds apart) and the minute that resolvers keep an answer pass until clients are
//! elsewhere. When every region is unhealthy, Route 53 answers as if all were healthy: there is no page that says "down".
//!
//! The hosted zone is not declared here: it is older than the system, and other names live in it.

use cfn::route53::health_check::{HealthCheckConfig, HealthCheckConfigType};
use cfn::route53::record_set::AliasTarget;
use cfn::route53::{HealthCheck, RecordSet};
use cfn::{Declared, Handle, Value};
use contracts::Region;

use crate::constructs::Scope;
use crate::constructs::policy::pascal_case;
use crate::environment::{DomainSettings, Environment};
use crate::stacks::api::{self, Name};
use crate::stacks::observability::{TOPIC_OUTPUT, watch_health_check};
use crate::system::{Place, StackInstance};

/// Seconds between two checks of each checker: the shortest that Route 53 offers.
const CHECK_INTERVAL: i64 = 10;
/// Checks in a row after which a region is unhealthy, or healthy again.
const CHECK_THRESHOLD: i64 = 3;

/// Types of the records of a name, by what logical ids call them.
const RECORD_TYPES: [(&str, &str); 2] = [("Ipv4", "A"), ("Ipv6", "AAAA")];

/// Where Route 53 writes the metrics of its health checks.
const METRICS_REGION: &str = "us-east-1";

/// The output with the id of a region's health check.
fn check_output(region: &Region) -> String {
    format!("HealthCheckId{}", pascal_case(region.as_str()))
}

/// The stack; none where there is no domain.
pub(crate) fn stack(environment: &Environment) -> Option<StackInstance> {
    let domain = environment.domain()?;
    let mut scope = Scope::new(environment, environment.primary(), "routing", "DNS records that follow health");
    for region in environment.regions() {
        let own = records_of_region(&mut scope, domain, region);
        let check = health_check(&mut scope, domain, region, &own);
        latency_records(&mut scope, domain, region, &check);
        scope.output(&check_output(region), &format!("Id of the health check of {region}"), check.reference());
        flows(&mut scope, region);
    }
    Some(scope.finish())
}

/// Alarms over the health checks, in a stack of their own: alarms stand where their metrics are, which is one region of
/// AWS whatever the home region is. None where there is no domain, or the system isn't in that region and so has no topic
/// there.
pub(crate) fn alarms(environment: &Environment) -> Option<StackInstance> {
    environment.domain()?;
    let there = environment.regions().find(|region| region.as_str() == METRICS_REGION)?;
    let mut scope = Scope::new(environment, there, "routing-alarms", "Alarms over the health checks of DNS");
    let topic = scope.output_of(TOPIC_OUTPUT, "Tells of alarms", "observability", there, TOPIC_OUTPUT);
    for region in environment.regions() {
        let output = check_output(region);
        let description = format!("The health check of {region}");
        let check = scope.output_of(&output, &description, "routing", environment.primary(), &output);
        watch_health_check(&mut scope, region, &check, &topic);
    }
    Some(scope.finish())
}

/// The region's own name, by which checks (and people) reach it whether it is well or not.
fn records_of_region(scope: &mut Scope<'_>, domain: &DomainSettings, region: &Region) -> Vec<Handle<RecordSet>> {
    let target = Target::of(scope, &Name::OWN, region);
    let name = api::of_region(domain, region);
    let declared = RECORD_TYPES.map(|(word, kind)| {
        (format!("Region{}{word}", pascal_case(region.as_str())), target.record(domain, &name, kind, false))
    });
    declared.into_iter().map(|(logical_id, record)| scope.add(&logical_id, record)).collect()
}

/// Asks the region for its health from all over the world; with the name in the handshake, which API Gateway needs to
/// show the right certificate.
///
/// It comes after the region's records, so that no checker remembers that there is no such name.
fn health_check(
    scope: &mut Scope<'_>,
    domain: &DomainSettings,
    region: &Region,
    records: &[Handle<RecordSet>],
) -> Handle<HealthCheck> {
    let name = api::of_region(domain, region);
    let config = HealthCheckConfig::new(HealthCheckConfigType::Https)
        .fully_qualified_domain_name(&name)
        .port(443)
        .resource_path(api::checkers_path(domain))
        .enable_sni(true)
        .request_interval(CHECK_INTERVAL)
        .failure_threshold(CHECK_THRESHOLD)
        .measure_latency(true);
    // CloudFormation doesn't hand the stack's tags on to this type. The console knows a check by its tag `Name` only.
    let tags: Vec<(&str, &str)> = scope.tags().chain([("Name", name.as_str())]).collect();
    let check = HealthCheck::new(config).health_check_tags(tags);
    let check = records.iter().fold(Declared::from(check), Declared::depends_on);
    scope.add(&format!("Health{}", pascal_case(region.as_str())), check)
}

/// The domain's records for clients that are near the region.
fn latency_records(scope: &mut Scope<'_>, domain: &DomainSettings, region: &Region, check: &Handle<HealthCheck>) {
    let target = Target::of(scope, &Name::SHARED, region);
    for (word, kind) in RECORD_TYPES {
        let record = target
            .record(domain, &domain.name, kind, true)
            .region(region.as_str())
            .set_identifier(region.as_str())
            .health_check_id(check.reference());
        scope.add(&format!("Domain{}{word}", pascal_case(region.as_str())), record);
    }
}

fn flows(scope: &mut Scope<'_>, region: &Region) {
    let outside = |kind, name: &str| Place { kind, name: name.to_owned(), region: None };
    scope.flow(outside("client", "clients"), "ask for the region", outside("dns", "dns"));
    for verb in ["leads clients to", "checks the health of"] {
        scope.flow(outside("dns", "dns"), verb, api::place(region));
    }
}

/// Where alias records of a name lead to in a region.
struct Target {
    host: Value<String>,
    zone: Value<String>,
}

impl Target {
    fn of(scope: &mut Scope<'_>, name: &Name, region: &Region) -> Self {
        let mut read = |output: &str, what: &str| {
            let parameter = format!("{output}{}", pascal_case(region.as_str()));
            let description = format!("{what} of the API in {region}");
            scope.output_of(&parameter, &description, "api", region, output)
        };
        Self {
            host: read(name.target_output, "Host name"),
            zone: read(name.zone_output, "Hosted zone of the host name"),
        }
    }

    /// An alias record, which costs nothing and follows the target's addresses.
    fn record(&self, domain: &DomainSettings, name: &str, kind: &str, evaluate_health: bool) -> RecordSet {
        let alias = AliasTarget::new(&self.host, &self.zone).evaluate_target_health(evaluate_health);
        RecordSet::new(name, kind).hosted_zone_id(Value::assume(&domain.hosted_zone)).alias_target(alias)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::stacks::api::fixtures;
    use crate::system::{Source, StackId, system};

    fn template(environment: &Environment) -> Json {
        stack(environment).expect("a domain").template.to_json()
    }

    fn of_type<'a>(template: &'a Json, type_name: &'a str) -> impl Iterator<Item = &'a Json> {
        let resources = template["Resources"].as_object().expect("resources").values();
        resources.filter(move |resource| resource["Type"] == type_name)
    }

    /// Every record of `name`: its type and its properties.
    fn records<'a>(template: &'a Json, name: &'a str) -> Vec<&'a Json> {
        let records = of_type(template, "AWS::Route53::RecordSet").map(|record| &record["Properties"]);
        records.filter(|properties| properties["Name"] == name).collect()
    }

    #[test]
    fn each_region_is_asked_for_its_own_health() {
        for environment in [fixtures::sandbox(), fixtures::staging(), fixtures::three_regions()] {
            let template = template(&environment);
            let settings = environment.domain().expect("a domain");
            let (domain, path) = (&settings.name, format!("/health/{}", settings.health_key));
            let mut checked = Vec::new();
            for check in of_type(&template, "AWS::Route53::HealthCheck") {
                let config = check["Properties"]["HealthCheckConfig"].clone();
                checked.push(config["FullyQualifiedDomainName"].as_str().expect("a name").to_owned());
                let rest = json!({
                    "EnableSNI": true, "FailureThreshold": 3, "MeasureLatency": true, "Port": 443,
                    "RequestInterval": 10, "ResourcePath": path, "Type": "HTTPS",
                    "FullyQualifiedDomainName": config["FullyQualifiedDomainName"],
                });
                assert_eq!(config, rest);
            }
            let mut expected: Vec<String> = environment.regions().map(|region| format!("{region}.{domain}")).collect();
            expected.sort();
            checked.sort();
            assert_eq!(checked, expected);
        }
    }

    #[test]
    fn the_domain_leads_to_every_region_that_is_well() {
        for environment in [fixtures::sandbox(), fixtures::staging(), fixtures::three_regions()] {
            let template = template(&environment);
            let domain = environment.domain().expect("a domain");
            let mut found: Vec<(String, String)> = Vec::new();
            for record in records(&template, &domain.name) {
                let region = record["Region"].as_str().expect("a latency record");
                found.push((region.to_owned(), record["Type"].as_str().expect("a type").to_owned()));
                assert_eq!(record["SetIdentifier"], record["Region"]);
                assert_eq!(record["HostedZoneId"], domain.hosted_zone.as_str());
                let suffix = pascal_case(region);
                assert_eq!(record["HealthCheckId"], json!({"Ref": format!("Health{suffix}")}));
                let alias = json!({
                    "DNSName": {"Ref": format!("RegionalDomainName{suffix}")},
                    "HostedZoneId": {"Ref": format!("RegionalHostedZoneId{suffix}")},
                    "EvaluateTargetHealth": true,
                });
                assert_eq!(record["AliasTarget"], alias);
                let health = &template["Resources"][format!("Health{suffix}")]["Properties"]["HealthCheckConfig"];
                assert_eq!(health["FullyQualifiedDomainName"], format!("{region}.{}", domain.name));
            }
            found.sort();
            let mut expected: Vec<(String, String)> = environment
                .regions()
                .flat_map(|region| ["A", "AAAA"].map(|kind| (region.to_string(), kind.to_owned())))
                .collect();
            expected.sort();
            assert_eq!(found, expected);
        }
    }

    /// A check that went by health-checked records would ask another region as soon as its own failed.
    #[test]
    fn a_regions_own_name_leads_there_whether_it_is_well_or_not() {
        let environment = fixtures::three_regions();
        let template = template(&environment);
        let domain = environment.domain().expect("a domain");
        for region in environment.regions() {
            let name = format!("{region}.{}", domain.name);
            let records = records(&template, &name);
            assert_eq!(records.iter().map(|record| &record["Type"]).collect::<Vec<_>>(), ["A", "AAAA"]);
            for record in records {
                assert!(record.get("HealthCheckId").is_none() && record.get("SetIdentifier").is_none());
                assert_eq!(record["AliasTarget"]["EvaluateTargetHealth"], false);
                let parameter = format!("RegionDomainRegionalDomainName{}", pascal_case(region.as_str()));
                assert_eq!(record["AliasTarget"]["DNSName"], json!({"Ref": parameter}));
            }
        }
    }

    #[test]
    fn a_check_begins_when_the_regions_name_is_known() {
        let template = template(&fixtures::staging());
        for check in of_type(&template, "AWS::Route53::HealthCheck") {
            let after = check["DependsOn"].as_array().expect("a list");
            assert_eq!(after.len(), 2);
            for record in after {
                let name = &template["Resources"][record.as_str().expect("a name")]["Properties"]["Name"];
                assert_eq!(*name, check["Properties"]["HealthCheckConfig"]["FullyQualifiedDomainName"]);
            }
        }
    }

    #[test]
    fn targets_are_read_from_the_region_that_they_are_of() {
        let environment = fixtures::three_regions();
        let stack = stack(&environment).expect("a domain");
        assert_eq!(stack.id.region, *environment.primary());
        let apis: Vec<StackId> =
            environment.regions().map(|region| StackId { name: "api", region: region.clone() }).collect();
        assert_eq!(stack.depends_on, apis);
        assert_eq!(stack.inputs.len(), 4 * apis.len());
        for input in &stack.inputs {
            let Source::StackOutput { stack: from, output } = &input.source else {
                panic!("{} is no output of a stack", input.parameter)
            };
            assert_eq!(input.parameter, format!("{output}{}", pascal_case(from.region.as_str())));
        }
    }

    #[test]
    fn the_checks_have_the_tags_that_cloudformation_does_not_hand_on() {
        let environment = fixtures::staging();
        for check in of_type(&template(&environment), "AWS::Route53::HealthCheck") {
            let tags = check["Properties"]["HealthCheckTags"].as_array().expect("tags").clone();
            assert_eq!(tags.len(), environment.tags().len() + 1);
            assert!(tags.contains(&json!({"Key": "Environment", "Value": "staging"})), "{tags:?}");
        }
    }

    #[test]
    fn without_a_domain_there_are_no_records() {
        let environment = fixtures::without_domain();
        assert!(stack(&environment).is_none() && alarms(&environment).is_none());
        assert!(system(&environment).stacks.iter().all(|stack| !stack.id.name.starts_with("routing")));
    }

    #[test]
    fn every_health_check_has_an_alarm_where_its_metric_is() {
        for environment in [fixtures::sandbox(), fixtures::staging(), fixtures::three_regions()] {
            let home = environment.primary();
            let stack = alarms(&environment).expect("a domain, and the region of the metrics");
            assert_eq!(stack.id.region.as_str(), "us-east-1");
            let template = stack.template.to_json();
            let watched: Vec<&Json> = of_type(&template, "AWS::CloudWatch::Alarm")
                .map(|alarm| {
                    let properties = &alarm["Properties"];
                    assert_eq!(properties["AlarmActions"], json!([{"Ref": "AlarmTopicArn"}]));
                    &properties["Dimensions"][0]["Value"]["Ref"]
                })
                .collect();
            let routing = super::stack(&environment).expect("a domain").template.to_json();
            for region in environment.regions() {
                let output = check_output(region);
                assert!(watched.iter().any(|id| **id == output.as_str()), "{output} is not in {watched:?}");
                let check = format!("Health{}", pascal_case(region.as_str()));
                assert_eq!(routing["Outputs"][&output]["Value"], json!({"Ref": check}));
            }
            assert_eq!(watched.len(), environment.regions().count());
            let first: Vec<String> = stack.depends_on.iter().map(ToString::to_string).collect();
            assert_eq!(first, ["observability@us-east-1".to_owned(), format!("routing@{home}")]);
        }
    }

    #[test]
    fn without_a_topic_where_the_metrics_are_there_are_no_alarms() {
        let elsewhere = fixtures::other_secondary();
        assert!(stack(&elsewhere).is_some() && alarms(&elsewhere).is_none());
    }

    #[test]
    fn nothing_is_wrong_with_any_environment() {
        for environment in [fixtures::sandbox(), fixtures::staging(), fixtures::three_regions()] {
            for stack in [stack(&environment), alarms(&environment)].into_iter().flatten() {
                let mut violations = cfn::check(&stack.template, stack.id.region.as_str());
                violations.extend(cfn::policy(&stack.template, stack.id.region.as_str()));
                assert!(violations.is_empty(), "{violations:#?}");
            }
        }
    }
}
