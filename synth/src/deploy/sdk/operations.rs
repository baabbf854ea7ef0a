//! What is asked of CloudFormation beside making and carrying out change sets, behind AWS's SDK.

use aws_sdk_cloudformation::types::{
    DifferenceType, EventFilter, EventType, HookFailureMode, OperationEvent, PropertyDifference,
    StackDriftDetectionStatus, StackResourceDrift, StackResourceDriftStatus,
};

use super::super::cloud::{
    CallError, DetectionState, DriftDetection, DriftStatus, Fault, Operations, PropertyDrift, ResourceDrift, StackRef,
};
use super::{Clouds, call, moment};

impl Operations for Clouds {
    async fn faults(&self, stack: StackRef<'_>, change_set: &str) -> Result<Vec<Fault>, CallError> {
        let call = call(stack, "DescribeEvents");
        let client = self.cloudformation(stack, call.operation)?;
        // An ARN says by itself of which stack it is.
        let name = (!change_set.starts_with("arn:")).then(|| stack.name.to_owned());
        let mut faults: Vec<Fault> = Vec::new();
        let mut token = None;
        loop {
            let request = client.describe_events().change_set_name(change_set).set_stack_name(name.clone());
            let request = request.filters(EventFilter::builder().failed_events(true).build()).set_next_token(token);
            let answer = request.send().await.map_err(|error| call.failed(&error))?;
            for fault in answer.operation_events().iter().filter_map(fault_of) {
                if !faults.contains(&fault) {
                    faults.push(fault);
                }
            }
            token = match answer.next_token() {
                Some(token) => Some(token.to_owned()),
                None => return Ok(faults),
            };
        }
    }

    async fn cancel_update(&self, stack: StackRef<'_>, token: &str) -> Result<(), CallError> {
        let call = call(stack, "CancelUpdateStack");
        let client = self.cloudformation(stack, call.operation)?;
        let request = client.cancel_update_stack().stack_name(stack.name).client_request_token(token);
        request.send().await.map(drop).map_err(|error| call.failed(&error))
    }

    async fn detect_drift(&self, stack: StackRef<'_>) -> Result<String, CallError> {
        let call = call(stack, "DetectStackDrift");
        let client = self.cloudformation(stack, call.operation)?;
        let answer = client.detect_stack_drift().stack_name(stack.name).send().await;
        let answer = answer.map_err(|error| call.failed(&error))?;
        Ok(answer.stack_drift_detection_id.unwrap_or_default())
    }

    async fn drift_detection(&self, stack: StackRef<'_>, id: &str) -> Result<DriftDetection, CallError> {
        let call = call(stack, "DescribeStackDriftDetectionStatus");
        let client = self.cloudformation(stack, call.operation)?;
        let answer = client.describe_stack_drift_detection_status().stack_drift_detection_id(id).send().await;
        let answer = answer.map_err(|error| call.failed(&error))?;
        Ok(DriftDetection {
            state: match answer.detection_status() {
                Some(StackDriftDetectionStatus::DetectionComplete) => DetectionState::Complete,
                Some(StackDriftDetectionStatus::DetectionFailed) => DetectionState::Failed,
                _ => DetectionState::Running,
            },
            reason: answer.detection_status_reason().filter(|reason| !reason.is_empty()).map(str::to_owned),
            begun: answer.timestamp().and_then(moment),
        })
    }

    async fn drifts(
        &self,
        stack: StackRef<'_>,
        token: Option<&str>,
    ) -> Result<(Vec<ResourceDrift>, Option<String>), CallError> {
        let call = call(stack, "DescribeStackResourceDrifts");
        let client = self.cloudformation(stack, call.operation)?;
        let request = client.describe_stack_resource_drifts().stack_name(stack.name);
        let answer = request.set_next_token(token.map(str::to_owned)).send().await;
        let answer = answer.map_err(|error| call.failed(&error))?;
        let drifts = answer.stack_resource_drifts().iter().map(drift_of).collect();
        Ok((drifts, answer.next_token().map(str::to_owned)))
    }
}

/// An event that says what is wrong; others only say that something is.
fn fault_of(event: &OperationEvent) -> Option<Fault> {
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let (check, mode, reason) = match event.event_type()? {
        EventType::ValidationError => {
            (event.validation_name(), event.validation_failure_mode(), event.validation_status_reason())
        }
        EventType::HookInvocationError => (event.hook_type(), event.hook_failure_mode(), event.hook_status_reason()),
        _ => return None,
    };
    Some(Fault {
        check: text(check).unwrap_or_else(|| "unnamed check".to_owned()),
        stops: mode != Some(&HookFailureMode::Warn),
        logical_id: text(event.logical_resource_id()),
        resource_type: text(event.resource_type()),
        path: text(event.validation_path()),
        reason: text(reason).unwrap_or_else(|| "no reason given".to_owned()),
    })
}

fn drift_of(drift: &StackResourceDrift) -> ResourceDrift {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let reason = || drift.drift_status_reason().filter(|reason| !reason.is_empty()).map(str::to_owned);
    ResourceDrift {
        logical_id: text(drift.logical_resource_id()),
        resource_type: text(drift.resource_type()),
        status: match drift.stack_resource_drift_status() {
            Some(StackResourceDriftStatus::InSync) => DriftStatus::InSync,
            Some(StackResourceDriftStatus::Modified) => DriftStatus::Modified,
            Some(StackResourceDriftStatus::Deleted) => DriftStatus::Deleted,
            Some(StackResourceDriftStatus::NotChecked) => DriftStatus::NotChecked(reason()),
            // The reason says that the type can't be looked at, which is no failure.
            Some(StackResourceDriftStatus::Unsupported) => DriftStatus::NotChecked(None),
            _ => DriftStatus::Unknown(reason()),
        },
        found_at: drift.timestamp().and_then(moment),
        expected: drift.expected_properties().map(str::to_owned),
        actual: drift.actual_properties().map(str::to_owned),
        differences: drift.property_differences().iter().map(difference_of).collect(),
    }
}

fn difference_of(difference: &PropertyDifference) -> PropertyDrift {
    let kind = difference.difference_type();
    let value = |is_there: bool, value: Option<&str>| value.filter(|_| is_there).map(str::to_owned);
    PropertyDrift {
        path: difference.property_path().unwrap_or_default().to_owned(),
        expected: value(kind != Some(&DifferenceType::Add), difference.expected_value()),
        actual: value(kind != Some(&DifferenceType::Remove), difference.actual_value()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_events_that_say_what_is_wrong_are_faults() {
        let event = || OperationEvent::builder().logical_resource_id("Bucket").resource_type("AWS::S3::Bucket");
        let conflict = event()
            .event_type(EventType::ValidationError)
            .validation_name("NAME_CONFLICT_VALIDATION")
            .validation_status_reason("Resource of type 'AWS::S3::Bucket' with identifier 'artifacts' already exists.")
            .validation_path("/Resources/Bucket/Properties/BucketName")
            .build();
        assert_eq!(
            fault_of(&conflict).map(|fault| (fault.stops, fault.to_string())),
            Some((
                true,
                "`Bucket` (AWS::S3::Bucket) at `/Resources/Bucket/Properties/BucketName`: Resource of type \
                 'AWS::S3::Bucket' with identifier 'artifacts' already exists. (NAME_CONFLICT_VALIDATION)"
                    .to_owned()
            ))
        );
        let quota =
            event().event_type(EventType::ValidationError).validation_failure_mode(HookFailureMode::Warn).build();
        assert_eq!(fault_of(&quota).map(|fault| fault.stops), Some(false));
        let hook = OperationEvent::builder()
            .event_type(EventType::HookInvocationError)
            .hook_type("Private::Guard::Hook")
            .hook_status_reason("Template failed validation")
            .build();
        assert_eq!(
            fault_of(&hook).map(|fault| fault.to_string()).as_deref(),
            Some("the stack: Template failed validation (Private::Guard::Hook)")
        );
        assert_eq!(fault_of(&event().event_type(EventType::StackEvent).build()), None);
    }

    #[test]
    fn what_was_added_was_not_expected_and_what_was_removed_is_not_there() {
        for (kind, expected, actual) in [
            (DifferenceType::Add, None, Some("5")),
            (DifferenceType::Remove, Some("3"), None),
            (DifferenceType::NotEqual, Some("3"), Some("5")),
        ] {
            let difference = PropertyDifference::builder()
                .property_path("/DelaySeconds")
                .expected_value("3")
                .actual_value("5")
                .difference_type(kind)
                .build();
            let found = difference_of(&difference);
            assert_eq!((found.expected.as_deref(), found.actual.as_deref()), (expected, actual));
        }
    }

    #[test]
    fn only_what_was_looked_at_counts_as_in_sync() {
        let of =
            |status| drift_of(&StackResourceDrift::builder().set_stack_resource_drift_status(status).build()).status;
        assert_eq!(of(Some(StackResourceDriftStatus::InSync)), DriftStatus::InSync);
        assert_eq!(of(Some(StackResourceDriftStatus::UnknownValue)), DriftStatus::Unknown(None));
        let with_reason = |status: StackResourceDriftStatus| {
            let drift = StackResourceDrift::builder().stack_resource_drift_status(status);
            drift_of(&drift.drift_status_reason("Resource type is not supported").build()).status
        };
        assert_eq!(with_reason(StackResourceDriftStatus::Unsupported), DriftStatus::NotChecked(None));
        let reason = Some("Resource type is not supported".to_owned());
        assert_eq!(with_reason(StackResourceDriftStatus::NotChecked), DriftStatus::NotChecked(reason));
        assert_eq!(of(Some(StackResourceDriftStatus::from("SOMETHING_NEW"))), DriftStatus::Unknown(None));
        assert_eq!(of(None), DriftStatus::Unknown(None));
    }
}
