//! Every template of every committed environment, byte for byte, and what must hold for all of them.

use std::path::Path;

use infra::environment::Environment;
use infra::{Source, System, parity, system};

const ENVIRONMENTS: [(&str, &str); 3] = [
    ("sandbox", include_str!("../../environments/sandbox.toml")),
    ("staging", include_str!("../../environments/staging.toml")),
    ("production", include_str!("../../environments/production.toml")),
];

fn systems() -> impl Iterator<Item = (&'static str, System)> {
    ENVIRONMENTS.into_iter().map(|(name, text)| {
        let environment = Environment::parse(&format!("environments/{name}.toml"), text)
            .unwrap_or_else(|mistakes| panic!("{name}: {mistakes:#?}"));
        (name, system(&environment))
    })
}

#[test]
fn templates() {
    for (name, system) in systems() {
        for stack in system.stacks {
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(Path::new("templates").join(name).join(stack.id.region.as_str()));
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.bind(|| insta::assert_snapshot!(stack.id.name, stack.template.render()));
        }
    }
}

#[test]
fn two_runs_give_the_same_bytes() {
    for ((name, first), (_, second)) in systems().zip(systems()) {
        for (first, second) in first.stacks.iter().zip(&second.stacks) {
            assert_eq!(first.template.render(), second.template.render(), "{name} {}", first.id);
        }
    }
}

#[test]
fn nothing_is_wrong() {
    for (name, system) in systems() {
        assert!(system.mistakes.is_empty(), "{name}: {:?}", system.mistakes);
        for stack in &system.stacks {
            let violations: Vec<String> = cfn::check(&stack.template, stack.id.region.as_str())
                .iter()
                .filter(|violation| violation.severity == cfn::Severity::Error)
                .map(ToString::to_string)
                .collect();
            assert!(violations.is_empty(), "{name} {}: {violations:#?}", stack.id);
        }
    }
}

#[test]
fn each_stack_comes_after_what_it_depends_on() {
    for (name, system) in systems() {
        for (index, stack) in system.stacks.iter().enumerate() {
            let twice = system.stacks[..index].iter().any(|other| other.id == stack.id);
            assert!(!twice, "{name}: {} stands twice", stack.id);
            for needed in &stack.depends_on {
                let place = system.stacks.iter().position(|other| other.id == *needed);
                assert!(place.is_some_and(|place| place < index), "{name}: {} needs {needed}", stack.id);
            }
        }
    }
}

/// An output that an input names must exist, or the deployment would stop half way.
#[test]
fn inputs_name_outputs_that_exist() {
    for (name, system) in systems() {
        let output_exists = |stack: &infra::StackId, output: &str| {
            system
                .stacks
                .iter()
                .any(|other| other.id == *stack && other.template.outputs().any(|(existing, _)| existing == output))
        };
        for stack in &system.stacks {
            for input in &stack.inputs {
                if let Source::StackOutput { stack: from, output } = &input.source {
                    assert!(output_exists(from, output), "{name}: {} wants {output} of {from}", stack.id);
                }
            }
        }
    }
}

/// A third region and a fourth environment are data: no line of code knows how many there are.
#[test]
fn a_third_region_and_a_fourth_environment_are_data() {
    let third = "\n[[regions]]\nname = \"us-east-2\"\nrole = \"secondary\"\nwave = 3\nnetwork = \"10.42.0.0/16\"\n";
    let witness = "witness = \"us-east-2\"\n";
    let production = ENVIRONMENTS[2].1;
    assert!(production.contains(witness));
    let text = production.replace(witness, "").replacen("\"production\"", "\"drill\"", 1) + third;
    let environment = Environment::parse("environments/drill.toml", &text).expect("a good file");
    let drill = system(&environment);
    assert!(drill.mistakes.is_empty(), "{:?}", drill.mistakes);
    let (_, production) = systems().find(|(name, _)| *name == "production").expect("production");
    for region in ["us-west-2", "us-east-1", "us-east-2"] {
        let of = |system: &System, region: &str| {
            // What is in a region of its own, wherever the others are, doesn't come with a further one.
            let stacks = system.stacks.iter().filter(|stack| stack.id.name != "routing-alarms");
            let stacks = stacks.filter(|stack| stack.id.region.as_str() == region);
            stacks.map(|stack| stack.id.name).collect::<Vec<_>>()
        };
        let like = if region == "us-east-2" { "us-east-1" } else { region };
        assert_eq!(of(&drill, region), of(&production, like), "{region}");
    }
    for stack in &drill.stacks {
        let violations: Vec<String> = cfn::check(&stack.template, stack.id.region.as_str())
            .iter()
            .filter(|violation| violation.severity == cfn::Severity::Error)
            .map(ToString::to_string)
            .collect();
        assert!(violations.is_empty(), "{}: {violations:#?}", stack.id);
    }
    let text_of = |name: &str, region: &str| {
        let stack = drill.stacks.iter().find(|stack| stack.id.name == name && stack.id.region.as_str() == region);
        stack.unwrap_or_else(|| panic!("{name}@{region}")).template.render().to_owned()
    };
    assert!(text_of("events", "us-east-2").contains(r#""PEER_REGIONS": "us-west-2,us-east-1""#));
    assert!(text_of("events", "us-west-2").contains(r#""PEER_REGIONS": "us-east-1,us-east-2""#));
    assert_eq!(text_of("data", "us-west-2").matches(r#""Region": "us-east-2""#).count(), 4, "a replica of each table");
    assert!(!text_of("data", "us-west-2").contains("GlobalTableWitnesses"));
    let unlike: Vec<String> = parity::differences(&environment, &drill)
        .into_iter()
        .filter(|difference| difference.allowed.is_none())
        .map(|difference| difference.to_string())
        .collect();
    assert!(unlike.is_empty(), "{unlike:#?}");
}

/// A failover needs a region that can do what the other does.
#[test]
fn regions_are_alike() {
    for (name, text) in ENVIRONMENTS {
        let environment = Environment::parse(&format!("environments/{name}.toml"), text).expect("a good file");
        let unlike: Vec<String> = parity::differences(&environment, &system(&environment))
            .into_iter()
            .filter(|difference| difference.allowed.is_none())
            .map(|difference| difference.to_string())
            .collect();
        assert!(unlike.is_empty(), "{name}: {unlike:#?}");
    }
}

/// Whoever reads `synth roles` learns of each statement who needs it.
#[test]
fn every_statement_says_why() {
    for (name, system) in systems() {
        let mut statements = 0;
        for stack in &system.stacks {
            for resource in stack.template.resources() {
                for statement in statements_of(resource) {
                    statements += 1;
                    let sid = statement["Sid"].as_str().unwrap_or_default();
                    let grants = stack.grants.iter().filter(|one| one.role == resource.logical_id() && one.sid == sid);
                    let reasons: Vec<&str> = grants.map(|grant| grant.why.as_str()).collect();
                    let [reason] = &reasons[..] else {
                        panic!("{name} {}: {} `{sid}` has {reasons:?}", stack.id, resource.logical_id())
                    };
                    assert!(!reason.is_empty(), "{name} {}: {} `{sid}`", stack.id, resource.logical_id());
                }
            }
        }
        assert!(statements > 50, "{name}: {statements} statements");
    }
}

/// Looking at control planes takes names of everything, so a role may do it only where an environment says so, with a reason.
#[test]
fn control_planes_are_listed_only_where_that_is_wanted() {
    let listed = |text: &str| {
        let environment = Environment::parse("environments/staging.toml", text).expect("a good file");
        let system = system(&environment);
        let mut listed = Vec::new();
        for stack in system.stacks.iter().filter(|stack| stack.id.name == "events") {
            for resource in stack.template.resources() {
                let statements = statements_of(resource).into_iter().filter(|one| one["Sid"] == "ControlPlanes");
                let reasons = resource.metadata("AnyResource").cloned().unwrap_or_default();
                listed.extend(statements.map(|one| (resource.logical_id().to_owned(), one.clone(), reasons.clone())));
            }
            let region = stack.id.region.as_str();
            let unwise: Vec<String> = cfn::policy(&stack.template, region).iter().map(ToString::to_string).collect();
            assert!(unwise.is_empty(), "{unwise:#?}");
        }
        listed
    };
    let staging = ENVIRONMENTS[1].1;
    assert!(listed(staging).is_empty());
    let section = "[functions.health-checker]\n";
    assert!(staging.contains(section));
    let wanted = listed(&staging.replace(section, &format!("{section}list_control_planes = true\n")));
    assert_eq!(wanted.len(), 2, "in each region: {wanted:#?}");
    for (role, statement, reasons) in wanted {
        assert_eq!(role, "HealthCheckerRole");
        let actions = ["dynamodb:ListTables", "events:ListEventBuses", "sqs:ListQueues"];
        assert_eq!(
            (&statement["Resource"], &statement["Action"]),
            (&cfn::Json::from("*"), &cfn::Json::from(actions.to_vec()))
        );
        assert!(reasons["ControlPlanes"].as_str().is_some_and(|reason| !reason.is_empty()), "{reasons}");
    }
}

/// Functions are traced only where an environment says so: each has the mode and the two rights then, with a reason, and no
/// other role has. The boundary allows what the roles do.
#[test]
fn functions_are_traced_only_where_that_is_wanted() {
    let actions = cfn::Json::from(vec!["xray:PutTelemetryRecords", "xray:PutTraceSegments"]);
    for (path, text) in ENVIRONMENTS {
        let traced = match text.contains("tracing = false") {
            true => text.replace("tracing = false", "tracing = true"),
            false => text.replacen("[functions.", "[functions]\ntracing = true\n\n[functions.", 1),
        };
        for (text, wanted) in [(text.to_owned(), false), (traced, true)] {
            let environment = Environment::parse(path, &text).expect("a good file");
            for stack in system(&environment).stacks {
                for resource in stack.template.resources() {
                    let place = format!("{path} {}: {}", stack.id, resource.logical_id());
                    let statements = statements_of(resource);
                    let traces: Vec<_> =
                        statements.iter().filter(|one| one["Action"].to_string().contains("xray:")).collect();
                    match resource.type_name() {
                        "AWS::Lambda::Function" => {
                            let mode = resource.properties().get("TracingConfig").map(|config| config["Mode"].clone());
                            assert_eq!(mode, wanted.then(|| cfn::Json::from("Active")), "{place}");
                        }
                        "AWS::IAM::Role" if is_of_a_function(resource) && wanted => {
                            let [statement] = traces[..] else { panic!("{place}: {traces:?}") };
                            assert_eq!(
                                (&statement["Action"], &statement["Resource"]),
                                (&actions, &"*".into()),
                                "{place}"
                            );
                            let reason = resource.metadata("AnyResource").map(|reasons| reasons["Traces"].clone());
                            assert!(reason.is_some_and(|reason| reason.is_string()), "{place}");
                        }
                        "AWS::IAM::ManagedPolicy" if resource.logical_id() == "Boundary" && wanted => {
                            let allowed = traces.iter().map(|one| one["Action"].to_string()).collect::<String>();
                            for action in actions.as_array().expect("a list") {
                                assert!(allowed.contains(&action.to_string()), "{place}: {action}");
                            }
                        }
                        _ => assert!(traces.is_empty(), "{place}: {traces:?}"),
                    }
                }
                let unwise = cfn::policy(&stack.template, stack.id.region.as_str());
                assert!(unwise.is_empty(), "{path} {}: {} findings", stack.id, unwise.len());
            }
        }
    }
}

fn is_of_a_function(role: &cfn::Declaration) -> bool {
    let properties = role.properties();
    let trust = properties.get("AssumeRolePolicyDocument").expect("every role says who may take it");
    trust.to_string().contains("lambda.amazonaws.com")
}

/// The statements of what roles may do: of inline policies and of managed ones.
fn statements_of(resource: &cfn::Declaration) -> Vec<&cfn::Json> {
    let properties = resource.properties();
    let inline = properties.get("Policies").and_then(cfn::Json::as_array).into_iter().flatten();
    let documents: Vec<&cfn::Json> = match resource.type_name() {
        "AWS::IAM::Role" => inline.map(|policy| &policy["PolicyDocument"]).collect(),
        "AWS::IAM::ManagedPolicy" | "AWS::IAM::RolePolicy" => properties.get("PolicyDocument").into_iter().collect(),
        _ => Vec::new(),
    };
    documents.into_iter().flat_map(|document| document["Statement"].as_array().expect("statements")).collect()
}

/// What can't be made again stays when its stack goes or when a change replaces it.
#[test]
fn what_holds_data_is_kept() {
    for (name, system) in systems() {
        for stack in &system.stacks {
            for resource in stack.template.resources() {
                let description = cfn::describe(resource.type_name()).expect("a vendored schema");
                if description.is_stateful() && resource.metadata("Disposable").is_none() {
                    let kept = resource.deletion_policy() == Some(cfn::RemovalPolicy::RetainExceptOnCreate)
                        && resource.update_replace_policy() == Some(cfn::RemovalPolicy::Retain);
                    assert!(kept, "{name} {}: {}", stack.id, resource.logical_id());
                }
            }
        }
    }
}

/// In production the secondary region goes first, so that a bad release meets the region that can be spared.
#[test]
fn waves_order_the_regions() {
    let (_, production) = systems().find(|(name, _)| *name == "production").expect("production");
    let events: Vec<_> = production.stacks.iter().filter(|stack| stack.id.name == "events").collect();
    assert_eq!(events.iter().map(|stack| stack.id.region.as_str()).collect::<Vec<_>>(), ["us-east-1", "us-west-2"]);
    assert!(events[1].depends_on.contains(&events[0].id));
}

/// A mapping without an end blocks its shard until the stream forgets; one without a filter starts the function for rows that
/// time to live took away and for those of the other region.
#[test]
fn streams_are_read_with_an_end_and_without_clean_ups() {
    for (name, system) in systems() {
        let mut mappings = 0;
        for stack in &system.stacks {
            let of_streams = |resource: &&cfn::Declaration| resource.properties().get("StartingPosition").is_some();
            for mapping in stack.template.resources().filter(of_streams) {
                mappings += 1;
                let place = format!("{name} {}: {}", stack.id, mapping.logical_id());
                let property = |key: &str| mapping.properties().get(key).cloned().unwrap_or_default();
                let number = |key: &str| property(key).as_i64().unwrap_or(i64::MAX);
                assert!((0..=10_000).contains(&number("MaximumRetryAttempts")), "{place}");
                assert!((60..86_400).contains(&number("MaximumRecordAgeInSeconds")), "{place}");
                assert!((1..=10).contains(&number("ParallelizationFactor")), "{place}");
                assert_eq!(property("BisectBatchOnFunctionError"), true, "{place}");
                assert_eq!(property("FunctionResponseTypes")[0], "ReportBatchItemFailures", "{place}");
                assert!(!property("DestinationConfig")["OnFailure"]["Destination"].is_null(), "{place}");
                let criteria = property("FilterCriteria");
                let filters = criteria["Filters"].as_array().expect("filters");
                for filter in filters {
                    let pattern = filter["Pattern"].as_str().expect("a text");
                    let pattern: cfn::Json = serde_json::from_str(pattern).expect("JSON");
                    assert_eq!(pattern["eventName"], cfn::Json::from(vec!["INSERT", "MODIFY"]), "{place}");
                    let origin = &pattern["dynamodb"]["NewImage"]["origin_region"]["S"][0];
                    let is_own = origin == stack.id.region.as_str() || origin["exists"] == false;
                    assert!(is_own, "{place}: {pattern}");
                }
                assert_eq!(filters.len(), 2, "{place}");
            }
        }
        // Two functions, three tables, two regions.
        assert_eq!(mappings, 12, "{name}");
    }
}

/// Each stack of a wave comes after all of the waves before.
#[test]
fn waves_are_what_a_release_of_a_region_consists_of() {
    for (name, text) in [
        ("sandbox", include_str!("../../environments/sandbox.toml")),
        ("staging", include_str!("../../environments/staging.toml")),
        ("production", include_str!("../../environments/production.toml")),
    ] {
        let environment = Environment::parse(&format!("{name}.toml"), text).expect("a good file");
        let system = infra::system(&environment);
        let waves = infra::waves(&environment);
        let regions = environment.regions().count();
        assert_eq!(waves.iter().flatten().count(), 4 * regions, "{name}");
        let mut earlier: Vec<&infra::StackId> = Vec::new();
        for wave in &waves {
            for id in wave {
                let stack = system.stacks.iter().find(|stack| stack.id == *id).expect("a stack of the system");
                for before in &earlier {
                    assert!(stack.depends_on.contains(before), "{name}: {id} after {before}");
                }
            }
            earlier.extend(wave);
        }
    }
}
