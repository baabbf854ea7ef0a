//! What is asked of CloudFormation beside making and carrying out change sets: what it found wrong with one, breaking an
//! update off, and whether what is live is still what was deployed.

use jiff::Timestamp;

use super::{CallError, StackRef};

/// Something that CloudFormation or a hook found wrong with a change set before anything was changed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The check: `NAME_CONFLICT_VALIDATION`, or a hook's type.
    pub check: String,
    /// Whether it keeps the change set from being made; otherwise it is a warning.
    pub stops: bool,
    /// Logical id of the resource.
    pub logical_id: Option<String>,
    /// The resource's type.
    pub resource_type: Option<String>,
    /// Where in the template: `/Resources/Queue/Properties/DelaySeconds`.
    pub path: Option<String>,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.logical_id, &self.resource_type) {
            (Some(id), Some(kind)) => write!(f, "`{id}` ({kind})")?,
            (Some(id), None) => write!(f, "`{id}`")?,
            (None, _) => f.write_str("the stack")?,
        }
        if let Some(path) = &self.path {
            write!(f, " at `{path}`")?;
        }
        write!(f, ": {} ({})", self.reason, self.check)
    }
}

/// How a search for drift stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DriftDetection {
    pub(crate) state: DetectionState,
    /// Why some resources could not be looked at.
    pub(crate) reason: Option<String>,
    /// When it began. What was found before is of an earlier search.
    pub(crate) begun: Option<Timestamp>,
}

/// Whether a search for drift has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DetectionState {
    Running,
    /// All resources whose type can be looked at were.
    Complete,
    /// At least one could not be looked at; the others were.
    Failed,
}

/// What the last search for drift found of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResourceDrift {
    pub(crate) logical_id: String,
    pub(crate) resource_type: String,
    pub(crate) status: DriftStatus,
    pub(crate) found_at: Option<Timestamp>,
    /// The properties as they should be, with values filled in: a JSON object.
    pub(crate) expected: Option<String>,
    /// The properties as they are.
    pub(crate) actual: Option<String>,
    pub(crate) differences: Vec<PropertyDrift>,
}

/// What became of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DriftStatus {
    InSync,
    Modified,
    Deleted,
    /// Nobody knows, for this reason.
    Unknown(Option<String>),
    /// CloudFormation can't look at resources of the type, or didn't at this one.
    NotChecked(Option<String>),
}

/// A property that isn't as it should be. The values are JSON, or plain text for a scalar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PropertyDrift {
    /// `/RedrivePolicy/maxReceiveCount`.
    pub(crate) path: String,
    /// None when the property was added.
    pub(crate) expected: Option<String>,
    /// None when the property was removed.
    pub(crate) actual: Option<String>,
}

/// CloudFormation, about what runs and what is live.
pub(crate) trait Operations {
    /// What was found wrong with a change set, warnings included.
    async fn faults(&self, stack: StackRef<'_>, change_set: &str) -> Result<Vec<Fault>, CallError>;
    /// Breaks the update that runs off, so that it is rolled back; refused unless the stack is in `UPDATE_IN_PROGRESS`.
    /// `token` names the request, so that one whose answer was lost can be repeated.
    async fn cancel_update(&self, stack: StackRef<'_>, token: &str) -> Result<(), CallError>;
    /// Starts to search for drift; gives the search's id.
    async fn detect_drift(&self, stack: StackRef<'_>) -> Result<String, CallError>;
    async fn drift_detection(&self, stack: StackRef<'_>, id: &str) -> Result<DriftDetection, CallError>;
    /// What was found, resource by resource, with a token for more.
    async fn drifts(
        &self,
        stack: StackRef<'_>,
        token: Option<&str>,
    ) -> Result<(Vec<ResourceDrift>, Option<String>), CallError>;
}
