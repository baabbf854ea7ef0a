//! Makes a change set and reads all of it.
//!
//! A change set is the only way in which the tool changes a stack: CloudFormation checks more when one is made than on
//! a direct update, and what was looked at is what is executed.

use std::collections::BTreeMap;

use super::changes::Changes;
use super::cloud::{Body, CallError, ChangeSetRequest, Cloud, Fault, StackRef, patiently};
use super::hints::hint_for;
use super::inputs::{Outputs, delivery_of};
use super::system::{BUCKET_OUTPUT, Stack, StackKey};

/// Bytes of a template that CloudFormation takes within the call.
///
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>, read 2026-11.
const INLINE_BYTES: usize = 51_200;

/// How the names of the tool's change sets begin.
pub(crate) const PREFIX: &str = "synth-";

/// What came of making a change set.
#[derive(Debug)]
pub(crate) enum Made {
    /// It can be executed.
    Ready(ReadyChangeSet),
    /// There is nothing to change; it is deleted again.
    NoChange,
}

/// A change set that can be executed, and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadyChangeSet {
    pub(crate) id: String,
    pub(crate) changes: Changes,
    /// What CloudFormation warns of: quotas, images that keep a repository from going.
    pub(crate) warnings: Vec<Fault>,
}

/// Why there is no change set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeSetError {
    #[error("CloudFormation refuses the change set of {stack}: {reason}{}", listed(.faults))]
    Refused { stack: StackKey, reason: String, faults: Vec<String>, hint: Option<&'static str> },
    #[error(
        "the template of {stack} has {bytes} bytes, over the {INLINE_BYTES} that go without a bucket, and \
         {delivery} has no bucket yet"
    )]
    NoBucket { stack: StackKey, bytes: usize, delivery: StackKey },
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Makes a change set for the stack as it should be and waits until it can be executed.
pub(crate) async fn make(
    cloud: &impl Cloud,
    stack: &Stack,
    creates: bool,
    parameters: &BTreeMap<String, String>,
    outputs: &Outputs,
) -> Result<Made, ChangeSetError> {
    let region = &stack.key.region;
    let target = StackRef { region, name: &stack.cloudformation_name };
    if !creates {
        remove_earlier(cloud, target).await?;
    }
    let name = cloud.change_set_name();
    let body = body_of(cloud, stack, outputs).await?;
    let request = ChangeSetRequest {
        stack: target,
        change_set_name: &name,
        creates,
        role: stack.role.as_deref(),
        undone_by: stack
            .bake
            .as_ref()
            .filter(|bake| !creates && outputs.contains_key(&bake.watched_by))
            .map(|bake| (bake.alarm.as_str(), bake.minutes)),
        body,
        parameters,
        tags: &stack.tags,
    };
    let id = patiently(cloud, region, async || cloud.create_change_set(&request).await).await.map_err(|error| {
        // A refusal here (types that don't exist, a malformed template) is about the stack, not about the call.
        match error.class {
            super::cloud::CallClass::Refused => refused(stack, &error.source.to_string(), &Ok(Vec::new())),
            _ => error.into(),
        }
    })?;
    let (status, reason, changes) = read_when_made(cloud, target, &id).await?;
    let reason = reason.unwrap_or_else(|| format!("its change set is {status}"));
    if status != "CREATE_COMPLETE" && says_no_change(&reason) {
        patiently(cloud, region, async || cloud.delete_change_set(target, &id).await).await?;
        return Ok(Made::NoChange);
    }
    // The description says that checks failed, and only the events say which, where and why. Warnings are there alone.
    let faults = patiently(cloud, region, async || cloud.faults(target, &id).await).await;
    if status == "CREATE_COMPLETE" {
        return Ok(Made::Ready(ReadyChangeSet { id, changes, warnings: faults.unwrap_or_default() }));
    }
    patiently(cloud, region, async || cloud.delete_change_set(target, &id).await).await?;
    Err(refused(stack, &reason, &faults))
}

/// Deletes what killed runs left: change sets that nobody executes any more count against a quota of the stack.
///
/// A plan that someone else is just looking at goes too; its execution then fails, and nothing is changed unseen.
async fn remove_earlier(cloud: &impl Cloud, stack: StackRef<'_>) -> Result<(), CallError> {
    let waiting = patiently(cloud, stack.region, async || cloud.waiting_change_sets(stack).await).await?;
    for (id, _) in waiting.iter().filter(|(_, name)| name.starts_with(PREFIX)) {
        patiently(cloud, stack.region, async || cloud.delete_change_set(stack, id).await).await?;
    }
    Ok(())
}

fn refused(stack: &Stack, reason: &str, faults: &Result<Vec<Fault>, CallError>) -> ChangeSetError {
    let reason = without_body(reason);
    let found = faults.as_ref().map(Vec::as_slice).unwrap_or_default();
    let stops: Vec<&Fault> = found.iter().filter(|fault| fault.stops).collect();
    let hint = stops.iter().find_map(|fault| hint_for(&fault.reason)).or_else(|| hint_for(&reason));
    let faults = match faults {
        Ok(_) => stops.into_iter().map(|fault| told(stack, fault)).collect(),
        Err(error) => vec![format!("what exactly is wrong can't be read: {error}: {}", error.source)],
    };
    ChangeSetError::Refused { stack: stack.key.clone(), reason, faults, hint }
}

/// A fault with the place where its resource is declared.
pub(crate) fn told(stack: &Stack, fault: &Fault) -> String {
    let declared_at = fault.logical_id.as_deref().and_then(|id| stack.template.declared_at(id));
    declared_at.map_or_else(|| fault.to_string(), |place| format!("{fault}, declared at {place}"))
}

/// Each on a line of its own.
fn listed(faults: &[String]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

/// The reason without the request's own words: CloudFormation quotes a whole template that is too long, and what stands
/// in the template would be taken for the reason.
fn without_body(reason: &str) -> String {
    const LONGEST: usize = 2_000;
    if reason.len() <= LONGEST {
        return reason.to_owned();
    }
    let (first, last) = (reason.floor_char_boundary(200), reason.floor_char_boundary(reason.len() - 400));
    format!("{} … {}", &reason[..first], &reason[last..])
}

/// CloudFormation reports "nothing to change" as a failure, in one of two wordings (the second with a transform).
fn says_no_change(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}

/// The template within the call, or in the region's artifact bucket when it is too large for that.
async fn body_of(cloud: &impl Cloud, stack: &Stack, outputs: &Outputs) -> Result<Body, ChangeSetError> {
    let text = stack.template.text();
    if text.len() <= INLINE_BYTES {
        return Ok(Body::Inline(text.to_owned()));
    }
    // The first stacks are deployed before there is a bucket.
    let compact = stack.template.compact();
    if compact.len() <= INLINE_BYTES {
        return Ok(Body::Inline(compact));
    }
    let delivery = delivery_of(stack);
    let Some(bucket) = outputs.get(&delivery).and_then(|outputs| outputs.get(BUCKET_OUTPUT)) else {
        return Err(ChangeSetError::NoBucket { stack: stack.key.clone(), bytes: compact.len(), delivery });
    };
    let region = &stack.key.region;
    let key = format!("templates/{}/{}.json", stack.key.name, crate::artifacts::hex_sha256(text.as_bytes()));
    let uploaded = patiently(cloud, region, async || {
        if cloud.has_object(region, bucket, &key).await? {
            return Ok(());
        }
        cloud.put_object(region, bucket, &key, text.as_bytes().to_vec()).await
    });
    uploaded.await?;
    Ok(Body::Url(cloud.object_url(region, bucket, &key)))
}

/// Waits until the change set is made (or failed) and reads every page of it.
async fn read_when_made(
    cloud: &impl Cloud,
    stack: StackRef<'_>,
    id: &str,
) -> Result<(String, Option<String>, Changes), CallError> {
    let page = async |token: Option<&str>| {
        patiently(cloud, stack.region, async || cloud.change_set(stack, id, token).await).await
    };
    let mut attempt = 0;
    let first = loop {
        let first = page(None).await?;
        if !matches!(first.status.as_str(), "CREATE_PENDING" | "CREATE_IN_PROGRESS") {
            break first;
        }
        cloud.pause(stack.region, attempt).await;
        attempt += 1;
    };
    let mut changes = first.changes;
    let mut token = first.next_token;
    while let Some(next) = token {
        let more = page(Some(&next)).await?;
        changes.extend(more.changes);
        token = more.next_token;
    }
    Ok((first.status, first.status_reason, Changes::new(changes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_template_is_not_taken_for_the_reason() {
        let body = "\"Description\": \"ä throttling policy, access denied\", ".repeat(2_000);
        let refusal = format!(
            "1 validation error: value '{body}' at 'templateBody' failed to satisfy constraint: Member \
             must have length less than or equal to 51200"
        );
        let short = without_body(&refusal);
        assert!(short.len() < 1_000, "{}", short.len());
        assert!(hint_for(&short).is_some_and(|hint| hint.contains("too long for a call")), "{:?}", hint_for(&short));
        assert_eq!(without_body("Template format error"), "Template format error");
    }
}
