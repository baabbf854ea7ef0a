//! What deployment needs from a cloud, as small traits, so that planning and execution are tested without one.
//!
//! The traits speak in terms of one call each; deciding, waiting and retrying live above them. [`super::sdk`] holds
//! the implementation over AWS's SDK.

mod operations;

use std::collections::BTreeMap;
use std::time::Duration;

pub use operations::Fault;
pub(crate) use operations::{DetectionState, DriftDetection, DriftStatus, Operations, PropertyDrift, ResourceDrift};

/// A stack in CloudFormation: where it is and what it is called there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StackRef<'a> {
    pub(crate) region: &'a str,
    /// Name, or id where a deleted stack must still be found.
    pub(crate) name: &'a str,
}

/// A call to the cloud that brought no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
#[error("`{operation}` for `{subject}` in {region} {}", .class.says())]
pub(crate) struct CallError {
    pub(crate) operation: &'static str,
    pub(crate) subject: String,
    pub(crate) region: String,
    pub(crate) class: CallClass,
    /// The service's own words, or the transport's.
    #[source]
    pub(crate) source: Box<dyn std::error::Error + Send + Sync>,
}

impl CallError {
    /// Whether the same call may well succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.class, CallClass::Throttled | CallClass::Unreachable)
    }

    /// Whether someone else was faster, so that reality has to be looked at again: another operation runs on the stack, or
    /// the change set is gone or void because of one.
    pub(crate) fn is_overtaken(&self) -> bool {
        match self.class {
            CallClass::Overtaken => true,
            CallClass::NotFound => {
                matches!(self.operation, "CreateChangeSet" | "DescribeChangeSet" | "ExecuteChangeSet")
            }
            _ => false,
        }
    }
}

/// Why a call failed, as far as the tool acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallClass {
    /// Too many calls at this moment.
    Throttled,
    /// No answer: connection refused, timeout, 5xx.
    Unreachable,
    /// The caller may not do that.
    Denied,
    /// The thing isn't there.
    NotFound,
    /// Another operation on the same thing runs, or has run since.
    Overtaken,
    /// The service refuses the request.
    Refused,
}

impl CallClass {
    fn says(self) -> &'static str {
        match self {
            Self::Throttled => "is throttled",
            Self::Unreachable => "got no answer",
            Self::Denied => "is not allowed",
            Self::NotFound => "found nothing",
            Self::Overtaken => "meets another operation",
            Self::Refused => "is refused",
        }
    }
}

/// A stack as CloudFormation describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) id: String,
    pub(crate) status: Status,
    pub(crate) status_reason: Option<String>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) termination_protection: bool,
    /// Time of the last change, RFC 3339.
    pub(crate) changed_at: Option<String>,
    /// Name or ARN of the change set that changed it last.
    pub(crate) change_set: Option<String>,
}

/// A stack status such as `UPDATE_COMPLETE`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Status(String);

impl Status {
    /// A status in CloudFormation's own words.
    pub fn new(status: impl Into<String>) -> Self {
        Self(status.into())
    }

    /// CloudFormation's own word.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the status means for a deployment.
    pub(crate) fn standing(&self) -> Standing {
        match self.0.as_str() {
            "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => Standing::Good,
            "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE" => Standing::RolledBack,
            "DELETE_COMPLETE" => Standing::Deleted,
            // An empty shell: its change set was never executed.
            "REVIEW_IN_PROGRESS" => Standing::Leftover,
            "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" => Standing::Leftover,
            status if status.ends_with("_IN_PROGRESS") => Standing::Busy,
            _ => Standing::Stuck,
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a stack's status means for a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Deployed; can be updated.
    Good,
    /// The last update failed and was undone; can be updated.
    RolledBack,
    /// Something runs: wait for it.
    Busy,
    /// The creation failed: what it left is deleted, then created anew. Or it was never begun: the empty stack takes the next
    /// change set that creates.
    Leftover,
    /// Gone.
    Deleted,
    /// Only a person can decide how to go on.
    Stuck,
}

/// One event of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    /// When it happened, by CloudFormation's clock.
    pub(crate) at: Option<jiff::Timestamp>,
    pub(crate) logical_id: String,
    pub(crate) physical_id: String,
    pub(crate) resource_type: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
}

impl Event {
    /// Whether the event is about the stack itself.
    pub(crate) fn is_of_stack(&self) -> bool {
        self.resource_type == "AWS::CloudFormation::Stack"
            && (self.physical_id.contains(":stack/") || self.physical_id.is_empty())
    }
}

/// Where CloudFormation gets a template from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Inline(String),
    Url(String),
}

/// A change set to make.
#[derive(Clone, Debug)]
pub(crate) struct ChangeSetRequest<'a> {
    pub(crate) stack: StackRef<'a>,
    pub(crate) change_set_name: &'a str,
    /// For a stack that isn't there yet.
    pub(crate) creates: bool,
    /// ARN of the role that CloudFormation works with, from now on; none: with the caller's rights.
    pub(crate) role: Option<&'a str>,
    pub(crate) body: Body,
    pub(crate) parameters: &'a BTreeMap<String, String>,
    pub(crate) tags: &'a BTreeMap<String, String>,
    /// The alarm that undoes the update, and the minutes for which it is watched afterwards.
    pub(crate) undone_by: Option<(&'a str, u32)>,
}

/// One page of a change set's description.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangeSetPage {
    /// `CREATE_PENDING`, `CREATE_COMPLETE`, `FAILED`, ….
    pub(crate) status: String,
    pub(crate) status_reason: Option<String>,
    pub(crate) changes: Vec<Change>,
    pub(crate) next_token: Option<String>,
}

/// What a change set does to one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Change {
    /// The resource.
    pub logical_id: String,
    /// Its type.
    pub resource_type: String,
    /// What happens to it.
    pub kind: ChangeKind,
}

/// What happens to a resource, the most harmful last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is made, or taken into the stack.
    Add,
    /// It is changed in place.
    Modify,
    /// It is replaced by a new one if a value that is known only later has changed.
    MayReplace,
    /// It is replaced by a new one.
    Replace,
    /// It goes.
    Remove,
}

/// A resource of a deployed stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provisioned {
    pub(crate) logical_id: String,
    pub(crate) physical_id: String,
    pub(crate) resource_type: String,
    pub(crate) status: String,
}

/// CloudFormation.
pub(crate) trait Stacks {
    /// The stack, or none when it isn't there.
    async fn stack(&self, stack: StackRef<'_>) -> Result<Option<Observed>, CallError>;
    /// The text of the deployed template.
    async fn template(&self, stack: StackRef<'_>) -> Result<String, CallError>;
    /// Starts to make a change set; gives its id.
    async fn create_change_set(&self, request: &ChangeSetRequest<'_>) -> Result<String, CallError>;
    async fn change_set(&self, stack: StackRef<'_>, id: &str, token: Option<&str>) -> Result<ChangeSetPage, CallError>;
    /// The stack's change sets that were never executed: id and name.
    async fn waiting_change_sets(&self, stack: StackRef<'_>) -> Result<Vec<(String, String)>, CallError>;
    async fn execute_change_set(&self, stack: StackRef<'_>, id: &str) -> Result<(), CallError>;
    async fn delete_change_set(&self, stack: StackRef<'_>, id: &str) -> Result<(), CallError>;
    /// Starts to delete the stack, with `role` (an ARN) instead of the one that it was made with, if there is one.
    async fn delete_stack(&self, stack: StackRef<'_>, role: Option<&str>) -> Result<(), CallError>;
    async fn protect_stack(&self, stack: StackRef<'_>, protect: bool) -> Result<(), CallError>;
    /// Events, newest first, with a token for older ones.
    async fn events(&self, stack: StackRef<'_>, token: Option<&str>)
    -> Result<(Vec<Event>, Option<String>), CallError>;
    async fn resources(&self, stack: StackRef<'_>) -> Result<Vec<Provisioned>, CallError>;
}

/// S3, for code and templates.
pub(crate) trait Objects {
    async fn has_object(&self, region: &str, bucket: &str, key: &str) -> Result<bool, CallError>;
    async fn put_object(&self, region: &str, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<(), CallError>;
    /// The address under which CloudFormation reads the object.
    fn object_url(&self, region: &str, bucket: &str, key: &str) -> String;
    /// Deletes every object in every version; gives how many.
    async fn empty_bucket(&self, region: &str, bucket: &str) -> Result<usize, CallError>;
}

/// DynamoDB.
pub(crate) trait Tables {
    /// ARN of the table's current stream, or none when the table isn't there or has no stream.
    async fn stream_arn(&self, region: &str, table: &str) -> Result<Option<String>, CallError>;
    /// Regions of the table's replicas whose deletion is refused.
    async fn protected_replicas(&self, region: &str, table: &str) -> Result<Vec<String>, CallError>;
    async fn unprotect_table(&self, region: &str, table: &str) -> Result<(), CallError>;
}

/// Lambda.
pub(crate) trait Functions {
    /// Base64 SHA-256 of the code that the function runs, or none when it isn't there.
    async fn code_digest(&self, region: &str, function: &str) -> Result<Option<String>, CallError>;
    /// State of an event source mapping: `Enabled`, `Creating`, ….
    async fn mapping_state(&self, region: &str, mapping: &str) -> Result<String, CallError>;
}

/// All of it, and the pace at which it may be asked.
pub(crate) trait Cloud: Stacks + Operations + Objects + Tables + Functions {
    /// Waits before the `attempt`-th look (from 0) at something that runs in `region`.
    async fn pause(&self, region: &str, attempt: u32);
    /// A name for a change set that no other run uses, and that tells the commit; see [`super::revision`].
    fn change_set_name(&self) -> String;
}

/// Repeats a call that is throttled or unanswered, with the cloud's own pauses in between.
///
/// The SDK retries by itself for some seconds; this outlives a longer storm of a big deployment.
pub(crate) async fn patiently<T>(
    cloud: &impl Cloud,
    region: &str,
    call: impl AsyncFn() -> Result<T, CallError>,
) -> Result<T, CallError> {
    let mut attempt = 0;
    loop {
        match call().await {
            Err(error) if error.is_transient() && attempt < TRANSIENT_RETRIES => {
                attempt += 1;
                cloud.pause(region, attempt * 2).await;
            }
            outcome => return outcome,
        }
    }
}

/// How often a throttled or unanswered call is repeated, beyond the SDK's own retries.
const TRANSIENT_RETRIES: u32 = 5;

/// How long to wait before the next look: starts at `first`, grows by half each time, up to `longest`.
pub(crate) fn backoff(first: Duration, longest: Duration, attempt: u32) -> Duration {
    first.mul_f64(1.5_f64.powi(attempt.min(20).cast_signed())).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_a_standing() {
        for (status, standing) in [
            ("CREATE_COMPLETE", Standing::Good),
            ("UPDATE_COMPLETE", Standing::Good),
            ("UPDATE_ROLLBACK_COMPLETE", Standing::RolledBack),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Standing::Busy),
            ("CREATE_IN_PROGRESS", Standing::Busy),
            ("ROLLBACK_IN_PROGRESS", Standing::Busy),
            ("DELETE_IN_PROGRESS", Standing::Busy),
            ("REVIEW_IN_PROGRESS", Standing::Leftover),
            ("ROLLBACK_COMPLETE", Standing::Leftover),
            ("ROLLBACK_FAILED", Standing::Leftover),
            ("CREATE_FAILED", Standing::Leftover),
            ("DELETE_COMPLETE", Standing::Deleted),
            ("DELETE_FAILED", Standing::Stuck),
            ("UPDATE_FAILED", Standing::Stuck),
            ("UPDATE_ROLLBACK_FAILED", Standing::Stuck),
            ("SOMETHING_NEW", Standing::Stuck),
        ] {
            assert_eq!(Status::new(status).standing(), standing, "{status}");
        }
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let pause = |attempt| backoff(Duration::from_millis(200), Duration::from_secs(2), attempt).as_millis();
        assert_eq!([pause(0), pause(1), pause(2), pause(9), pause(900)], [200, 300, 450, 2000, 2000]);
    }
}
