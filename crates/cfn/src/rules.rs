//! Rules between properties and between resources, which schemas don't say: one table of rules, one module a service.
//!
//! Each rule here says what AWS refuses or what loses data; what a careful team wants besides is in [`policy`](policy()).

mod documents;
mod dynamodb;
mod evaluate;
mod lambda;
mod names;
mod policy;
mod select;
mod sqs;
pub(crate) mod stateful;

use serde_json::Value as Json;

use crate::check::Violation;
use crate::intrinsic::Reference;
use crate::template::{Declaration, Template};

pub use evaluate::known_text;
pub use policy::{POLICY_RULES, is_broad, policy};

/// A rule over all resources of one type.
struct Rule {
    resource_type: &'static str,
    check: fn(&Context<'_>, &Declaration, &mut Vec<Violation>),
}

/// What a rule may look at besides its resource.
struct Context<'a> {
    template: &'a Template,
    region: &'a str,
}

const RULES: &[Rule] = &[
    Rule { resource_type: "AWS::DynamoDB::GlobalTable", check: dynamodb::own_region_is_a_replica },
    Rule { resource_type: "AWS::DynamoDB::GlobalTable", check: dynamodb::replicas_are_set_alike },
    Rule { resource_type: "AWS::DynamoDB::GlobalTable", check: dynamodb::replication_needs_a_stream },
    Rule { resource_type: "AWS::DynamoDB::GlobalTable", check: dynamodb::strong_consistency_needs_three_regions },
    Rule { resource_type: "AWS::DynamoDB::GlobalTable", check: dynamodb::a_region_has_one_replica },
    Rule { resource_type: "AWS::DynamoDB::GlobalTable", check: dynamodb::a_witness_belongs_to_strong_consistency },
    Rule { resource_type: "AWS::DynamoDB::GlobalTable", check: dynamodb::strong_consistency_excludes_features },
    Rule { resource_type: "AWS::DynamoDB::GlobalTable", check: dynamodb::each_replica_has_a_key_of_its_region },
    Rule { resource_type: "AWS::DynamoDB::GlobalTable", check: dynamodb::replicas_know_the_indexes },
    Rule { resource_type: "AWS::DynamoDB::GlobalTable", check: dynamodb::capacity_fits_the_billing_mode },
    Rule { resource_type: "AWS::DynamoDB::GlobalTable", check: dynamodb::keys_are_defined },
    Rule { resource_type: "AWS::DynamoDB::Table", check: dynamodb::keys_are_defined },
    Rule { resource_type: "AWS::Lambda::EventSourceMapping", check: lambda::stream_needs_a_start },
    Rule { resource_type: "AWS::Lambda::EventSourceMapping", check: lambda::a_source_is_named_in_full },
    Rule { resource_type: "AWS::Lambda::EventSourceMapping", check: lambda::queue_has_no_start },
    Rule { resource_type: "AWS::Lambda::EventSourceMapping", check: lambda::large_batches_need_a_window },
    Rule { resource_type: "AWS::Lambda::Permission", check: lambda::services_are_told_apart },
    Rule { resource_type: "AWS::SQS::Queue", check: sqs::fifo_names_end_in_fifo },
    Rule { resource_type: "AWS::SQS::Queue", check: sqs::dead_letters_are_of_the_same_kind },
];

pub(crate) fn check(template: &Template, region: &str, found: &mut Vec<Violation>) {
    let context = Context { template, region };
    for declaration in template.resources() {
        documents::check(&context, declaration, found);
        names::fit(&context, declaration, found);
        for rule in RULES.iter().filter(|rule| rule.resource_type == declaration.type_name()) {
            (rule.check)(&context, declaration, found);
        }
    }
}

impl<'a> Context<'a> {
    /// The resource of that type that a property refers to, if it is in the same template.
    fn referred(&self, property: Option<&Json>, resource_type: &str) -> Option<&'a Declaration> {
        let target = self.template.resource(Reference::target(property?)?)?;
        (target.type_name() == resource_type).then_some(target)
    }
}

/// A property by its path; none if it is missing, or taken away by `AWS::NoValue`.
fn property<'a>(declaration: &'a Declaration, path: &str) -> Option<&'a Json> {
    let mut parts = path.split('/');
    let first = declaration.properties().get(parts.next()?).and_then(select::set)?;
    parts.try_fold(first, |json, part| json.get(part).and_then(select::set))
}

/// Items of a list property; none if it is missing or an intrinsic.
fn items<'a>(declaration: &'a Declaration, path: &str) -> &'a [Json] {
    property(declaration, path).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default()
}
