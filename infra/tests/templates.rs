//! Every template of every committed environment, byte for byte, and what must hold for all of them.

use std::path::Path;

use infra::environment::Environment;
use infra::{Source, System, system};

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

/// What can't be made again stays when its stack goes or when a change replaces it.
#[test]
fn what_holds_data_is_kept() {
    // Events of synthetic rows: nobody misses them.
    let exceptions = ["Observer"];
    for (name, system) in systems() {
        for stack in &system.stacks {
            for resource in stack.template.resources() {
                let description = cfn::describe(resource.type_name()).expect("a vendored schema");
                if description.stateful && !exceptions.contains(&resource.logical_id()) {
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
