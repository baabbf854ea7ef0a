//! The next command for each state that a stack can be in.

use super::cloud::{Standing, Status};
use super::system::Stack;

/// What to do about a stack that isn't as it should be; nothing for one that is deployed or gone.
pub(crate) fn way_out(stack: &Stack, status: &Status, reason: Option<&str>) -> Option<String> {
    let (name, region) = (&stack.cloudformation_name, &stack.key.region);
    let environment = environment_of(stack);
    let aws = |verb: &str| format!("aws cloudformation {verb} --stack-name {name} --region {region}");
    // The stack's own, as everything else that is done to it.
    let role = stack.role.as_ref().map(|role| format!(" --role-arn {role}")).unwrap_or_default();
    let failed = failed_in(reason.unwrap_or_default());
    let those = if failed.is_empty() { "<logical ids>".to_owned() } else { failed.join(" ") };
    let next = match status.as_str() {
        "UPDATE_ROLLBACK_FAILED" => {
            let named = if failed.is_empty() {
                "what the stack's events name".to_owned()
            } else {
                failed.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
            };
            format!(
                "repair {named}, then run `{}{role}` with an administrator's rights and deploy again; what can't be \
                 brought back as it was can be left out with `--resources-to-skip {those}`, and has to be made as the template says before the next deployment",
                aws("continue-update-rollback")
            )
        }
        "UPDATE_FAILED" => {
            format!("run `{}{role}` with an administrator's rights and deploy again", aws("rollback-stack"))
        }
        "DELETE_FAILED" => format!(
            "run `synth destroy --env {environment}` again, or keep what can't be deleted with `{}{role} \
             --retain-resources {those}`; what is kept has to be deleted by hand before the stack can be made again",
            aws("delete-stack")
        ),
        "IMPORT_ROLLBACK_FAILED" => format!(
            "no command carries an import's rollback on: see `{}`, repair or remove what it names, and ask AWS's \
             support if the state stays; deleting the stack deletes what was imported unless its template retains it",
            aws("describe-stack-events")
        ),
        "REVIEW_IN_PROGRESS" => format!("{}: it goes on in the empty stack", again(stack)),
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" => format!(
            "{}: what the failed creation left is deleted first, but for what its template retains",
            again(stack)
        ),
        "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE" => format!("repair the cause and {}", again(stack)),
        _ => match status.standing() {
            Standing::Good | Standing::Deleted => return None,
            Standing::Busy => format!("follow it with `synth watch --env {environment}`"),
            Standing::RolledBack | Standing::Leftover | Standing::Stuck => {
                format!("this tool doesn't know that state: see `{}`", aws("describe-stack-events"))
            }
        },
    };
    Some(next)
}

/// The command that brings the stack to what the checkout says.
pub(crate) fn again(stack: &Stack) -> String {
    format!("deploy again with `synth deploy --env {}`", environment_of(stack))
}

/// The environment in the stack's name.
fn environment_of(stack: &Stack) -> &str {
    let name = stack.cloudformation_name.as_str();
    let name = name.strip_prefix(infra::environment::SYSTEM).and_then(|name| name.strip_prefix('-')).unwrap_or(name);
    name.strip_suffix(stack.key.name.as_str()).and_then(|name| name.strip_suffix('-')).unwrap_or(name)
}

/// The resources that a stack's reason names: `The following resource(s) failed to update: [Queue, Table].`.
fn failed_in(reason: &str) -> Vec<&str> {
    let list = reason.split_once("failed to ").and_then(|(_, rest)| rest.split_once('['));
    let list = list.and_then(|(_, rest)| rest.split_once(']')).map_or("", |(list, _)| list);
    let is_id = |id: &&str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    list.split(',').map(str::trim).filter(is_id).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aws_sdk_cloudformation::types::StackStatus;

    use super::*;
    use crate::deploy::system::{StackKey, Template};

    fn next(status: &str, reason: Option<&str>) -> Option<String> {
        next_with(None, status, reason)
    }

    fn next_with(role: Option<&str>, status: &str, reason: Option<&str>) -> Option<String> {
        let stack = Stack {
            key: StackKey::new("events", "us-west-2"),
            cloudformation_name: "tandem-pre-prod-events".to_owned(),
            template: Template::parse("{}".to_owned(), BTreeMap::new()).unwrap(),
            inputs: BTreeMap::new(),
            depends_on: Vec::new(),
            tags: BTreeMap::new(),
            termination_protection: false,
            role: role.map(str::to_owned),
            bake: None,
        };
        way_out(&stack, &Status::new(status), reason)
    }

    /// Every status that CloudFormation has, as the SDK lists them.
    #[test]
    fn each_state_has_its_next_command() {
        let stack = "--stack-name tandem-pre-prod-events --region us-west-2";
        for status in StackStatus::values() {
            let expected: &[String] = &match *status {
                "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" | "DELETE_COMPLETE" => {
                    assert_eq!(next(status, None), None, "{status}");
                    continue;
                }
                "UPDATE_ROLLBACK_FAILED" => vec![
                    format!("`aws cloudformation continue-update-rollback {stack}` with an administrator's rights"),
                    "`--resources-to-skip <logical ids>`".to_owned(),
                ],
                "UPDATE_FAILED" => {
                    vec![format!("`aws cloudformation rollback-stack {stack}` with an administrator's rights")]
                }
                "DELETE_FAILED" => vec![
                    "`synth destroy --env pre-prod`".to_owned(),
                    format!("`aws cloudformation delete-stack {stack} --retain-resources <logical ids>`"),
                ],
                "IMPORT_ROLLBACK_FAILED" => vec![format!("`aws cloudformation describe-stack-events {stack}`")],
                "REVIEW_IN_PROGRESS" => {
                    vec!["`synth deploy --env pre-prod`: it goes on in the empty stack".to_owned()]
                }
                "CREATE_FAILED" | "ROLLBACK_FAILED" | "ROLLBACK_COMPLETE" => {
                    vec!["`synth deploy --env pre-prod`".to_owned(), "deleted first".to_owned()]
                }
                "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE" => {
                    vec!["`synth deploy --env pre-prod`".to_owned(), "repair the cause".to_owned()]
                }
                busy if busy.ends_with("_IN_PROGRESS") => vec!["`synth watch --env pre-prod`".to_owned()],
                other => panic!("nobody has thought of {other}"),
            };
            let next = next(status, None).unwrap_or_default();
            for part in expected {
                assert!(next.contains(part), "{status}: {next}");
            }
        }
        assert!(next("SOMETHING_NEW", None).is_some_and(|next| next.contains("describe-stack-events")));
    }

    /// What changes a stack works with the stack's own role, and what only looks takes none.
    #[test]
    fn commands_name_the_stacks_role() {
        let role = "arn:aws:iam::123456789012:role/tandem-pre-prod-cfn-events";
        for (status, expected) in [
            ("UPDATE_ROLLBACK_FAILED", format!("--region us-west-2 --role-arn {role}`")),
            ("UPDATE_FAILED", format!("--region us-west-2 --role-arn {role}`")),
            ("DELETE_FAILED", format!("--region us-west-2 --role-arn {role} --retain-resources <logical ids>`")),
        ] {
            let text = next_with(Some(role), status, None).unwrap();
            assert!(text.contains(&expected), "{status}: {text}");
        }
        let text = next_with(Some(role), "IMPORT_ROLLBACK_FAILED", None).unwrap();
        assert!(!text.contains("--role-arn"), "{text}");
    }

    #[test]
    fn resources_that_failed_are_named_in_the_command() {
        let reason = "The following resource(s) failed to update: [Queue, Table]. ";
        let text = next("UPDATE_ROLLBACK_FAILED", Some(reason)).unwrap();
        assert!(text.contains("repair `Queue`, `Table`, then"), "{text}");
        assert!(text.contains("`--resources-to-skip Queue Table`"), "{text}");
        let reason = "The following resource(s) failed to delete: [Bucket]. ";
        let text = next("DELETE_FAILED", Some(reason)).unwrap();
        assert!(text.contains("--retain-resources Bucket`"), "{text}");
        for odd in ["", "Rate exceeded", "failed to update: [", "failed to update: [; rm -rf /]"] {
            let text = next("DELETE_FAILED", Some(odd)).unwrap();
            assert!(text.contains("--retain-resources <logical ids>`"), "{odd}: {text}");
        }
    }
}
