//! The database of addresses: what an environment gets that names one, and that no other has anything of it.

use infra::environment::Environment;
use infra::rules::check;
use infra::{System, system};
use serde_json::{Value as Json, json};

const STAGING: &str = include_str!("../../environments/staging.toml");
const SANDBOX: &str = include_str!("../../environments/sandbox.toml");

/// An environment's system with lines added to the transformer's section.
fn with_lines(name: &str, text: &str, lines: &str) -> System {
    let section = "[functions.event-transformer]\n";
    let text = text.replace(section, &format!("{section}{lines}\n"));
    system(&Environment::parse(&format!("environments/{name}.toml"), &text).expect("a good file"))
}

fn stack(system: &System, name: &str, region: &str) -> Json {
    let stack = system.stacks.iter().find(|stack| stack.id.name == name && stack.id.region.as_str() == region);
    stack.expect("a stack").template.to_json()
}

fn transformer(system: &System, region: &str) -> Json {
    stack(system, "events", region)["Resources"]["EventTransformer"]["Properties"].clone()
}

#[test]
fn on_aws_the_file_comes_in_a_layer_of_each_region() {
    let system = with_lines("staging", STAGING, "geo_database = \"/opt/geo.mmdb\"\ngeo_layer_version = 3");
    for region in ["us-west-2", "us-east-1"] {
        let function = transformer(&system, region);
        assert_eq!(function["Environment"]["Variables"]["GEO_DATABASE"], "/opt/geo.mmdb");
        let arn = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:layer:tandem-staging-geo:3";
        assert_eq!(function["Layers"], json!([{ "Fn::Sub": arn }]));
        let events = stack(&system, "events", region);
        let layers = events["Resources"].as_object().expect("resources").values();
        assert_eq!(layers.filter(|resource| !resource["Properties"]["Layers"].is_null()).count(), 1);
    }
    let findings: Vec<String> = check(&system).iter().map(ToString::to_string).collect();
    let before: Vec<String> = check(&with_lines("staging", STAGING, "")).iter().map(ToString::to_string).collect();
    assert_eq!(findings, before, "no rule has more to say");
}

/// CloudFormation makes the function, so its role must be able to read the layer; the function's own role needs nothing.
#[test]
fn cloudformation_may_read_the_layer_and_no_other() {
    let statements = |system: &System| -> Vec<Json> {
        let access = stack(system, "access", "us-west-2");
        let text = access["Resources"].as_object().expect("resources").values();
        let all = text.flat_map(|resource| {
            let policies = resource["Properties"]["Policies"].as_array().cloned().unwrap_or_default();
            let inline = policies.into_iter().map(|policy| policy["PolicyDocument"].clone());
            inline.chain([resource["Properties"]["PolicyDocument"].clone()])
        });
        let all = all.flat_map(|document| document["Statement"].as_array().cloned().unwrap_or_default());
        all.filter(|statement| statement["Action"].to_string().contains("GetLayerVersion")).collect()
    };
    let with = statements(&with_lines("staging", STAGING, "geo_database = \"/opt/a\"\ngeo_layer_version = 1"));
    assert_eq!(with.len(), 1, "{with:#?}");
    let resources = with[0]["Resource"].to_string();
    assert!(resources.contains(":layer:tandem-staging-*"), "{resources}");
    assert_eq!(statements(&with_lines("staging", STAGING, "")), Vec::<Json>::new());
}

#[test]
fn on_this_machine_it_is_a_file() {
    let system = with_lines("sandbox", SANDBOX, "geo_database = \"/var/lib/geo.mmdb\"");
    let function = transformer(&system, "us-east-1");
    assert_eq!(function["Environment"]["Variables"]["GEO_DATABASE"], "/var/lib/geo.mmdb");
    assert_eq!(function["Layers"], Json::Null);
}

#[test]
fn who_names_none_has_nothing_of_it() {
    let function = transformer(&with_lines("staging", STAGING, ""), "us-west-2");
    assert_eq!(
        (&function["Layers"], &function["Environment"]["Variables"]["GEO_DATABASE"]),
        (&Json::Null, &Json::Null)
    );
}
