//! Every vendored type, constructed by generated code, and the names that the generator gives.

use crate::intrinsic::Reference;
use crate::{Declaration, Handle, Resource, Template, Value, check, describe, type_names};

#[path = "../build/names.rs"]
mod names;

include!(concat!(env!("OUT_DIR"), "/construct_each.rs"));

/// The attribute is one that AWS's schema calls read-only.
fn assert_readable<R: Resource, T>(handle: &Handle<R>, attribute: &Value<T>) {
    let Some(Reference::Attribute(logical_id, name)) = Reference::of(attribute.as_json()) else {
        panic!("{attribute:?} is no attribute");
    };
    assert_eq!(logical_id, handle.logical_id());
    let path = name.replace('.', "/");
    assert!(describe(R::TYPE).unwrap().read_only.contains(&path.as_str()), "{} has no `{name}`", R::TYPE);
}

#[test]
fn every_type_is_constructed_with_what_its_schema_requires() {
    let mut template = Template::new();
    construct_each(&mut template);
    let constructed: Vec<&str> = template.resources().map(Declaration::type_name).collect();
    let mut sorted = constructed.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, type_names().collect::<Vec<_>>());

    for declaration in template.resources() {
        let description = describe(declaration.type_name()).unwrap();
        for required in description.required {
            let given = declaration.properties().get(required).is_some() || description.read_only.contains(required);
            assert!(given, "{} lacks {required}", declaration.type_name());
        }
    }
    let rules: Vec<&str> = vec!["unknown-type", "unknown-property", "dangling", "attribute", "type", "logical-id"];
    let unexpected: Vec<String> = check(&template, "us-west-2")
        .into_iter()
        .filter(|violation| rules.contains(&violation.rule))
        .map(|violation| violation.to_string())
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

#[test]
fn methods_are_named_after_properties() {
    for (property, method) in [
        ("VisibilityTimeout", "visibility_timeout"),
        ("KMSMasterKeyId", "kms_master_key_id"),
        ("SSESpecification", "sse_specification"),
        ("deadLetterTargetArn", "dead_letter_target_arn"),
        ("Ipv6CidrBlock", "ipv6_cidr_block"),
        ("S3Bucket", "s3_bucket"),
        ("EventSourceARNs", "event_source_arns"),
        ("CloudWatchMetricsEnabled", "cloudwatch_metrics_enabled"),
        ("OIDCProvider", "oidc_provider"),
        ("Type", "type_"),
    ] {
        assert_eq!(names::snake(property), method);
    }
}

#[test]
fn variants_are_named_after_values() {
    for (value, variant) in [
        ("PAY_PER_REQUEST", "PayPerRequest"),
        ("ReportBatchItemFailures", "ReportBatchItemFailures"),
        ("provided.al2023", "ProvidedAl2023"),
        ("python3.12", "Python3_12"),
        ("x86_64", "X86_64"),
        ("aws:kms", "AwsKms"),
        ("Bytes/Second", "BytesSecond"),
        ("1.0", "V1_0"),
        ("", "Empty"),
    ] {
        assert_eq!(names::variant(value), variant);
    }
}

#[test]
fn other_names_follow_their_rules() {
    assert_eq!(names::pascal("deadLetterConfig"), "DeadLetterConfig");
    assert_eq!(names::literal("a\"b"), "\"a\\\"b\"");
    for (list, item) in [("Targets", "Target"), ("Policies", "Policy"), ("Access", "Access"), ("Egress", "Egress")] {
        assert_eq!(names::singular(list), item);
    }
}
