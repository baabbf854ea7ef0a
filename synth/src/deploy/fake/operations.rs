//! The scripted cloud's part of what is asked beside change sets: operations that somebody else has begun, faults, drift.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::{FakeCloud, FakeStack, Operation, Pending, said};
use crate::deploy::cloud::*;
use crate::deploy::system::StackKey;

/// What a test puts in, by `<region>/<stack>`.
#[derive(Default)]
pub(crate) struct Script {
    /// What is wrong with change sets that are made.
    pub(crate) faults: RefCell<BTreeMap<String, Vec<Fault>>>,
    /// Stacks whose next operation ends in another status than it would.
    endings: RefCell<BTreeMap<String, String>>,
    /// What begins when an operation has ended: stack, status, looks.
    next: RefCell<BTreeMap<String, (StackKey, String, u32)>>,
    /// What begins after so many looks at its stack: looks, status, looks that it takes.
    later: RefCell<BTreeMap<String, (u32, String, u32)>>,
    /// A resource for which a stack can't be deleted: logical id, type, reason.
    undeletable: RefCell<BTreeMap<String, (String, String, String)>>,
    /// Stacks whose operation ends right before it would be broken off.
    hasty: RefCell<BTreeSet<String>>,
    /// What is found by the next search for drift.
    pub(crate) drift: RefCell<BTreeMap<String, Search>>,
}

/// A search for drift.
#[derive(Clone, Debug, Default)]
pub(crate) struct Search {
    pub(crate) found: Vec<ResourceDrift>,
    /// Looks that it takes.
    pub(crate) looks: u32,
    /// Why it failed for some.
    pub(crate) fails: Option<String>,
    /// Searches of somebody else that have to end first.
    pub(crate) others: u32,
}

impl FakeCloud {
    fn id_of(key: &StackKey) -> String {
        format!("{}/tandem-test-{}", key.region, key.name)
    }

    /// Lets something run that somebody has begun; it ends well after so many looks.
    pub(crate) fn begin(&self, key: &StackKey, status: &str, looks: u32) {
        let id = Self::id_of(key);
        if !self.stacks.borrow().contains_key(&id) {
            self.set_status(key, "REVIEW_IN_PROGRESS");
        }
        let mut stacks = self.stacks.borrow_mut();
        let stack = stacks.get_mut(&id).expect("it was made");
        self.stack_event(&id, stack, status);
        let goal = Pending {
            template: stack.template.clone(),
            parameters: stack.parameters.clone(),
            tags: stack.tags.clone(),
            changes: Vec::new(),
            impossible: None,
            creates: status.starts_with("CREATE"),
        };
        let goal = (!status.starts_with("DELETE")).then_some(goal);
        let runs = status.ends_with("_IN_PROGRESS");
        stack.operation = runs.then_some(Operation { steps_left: looks, goal, failure: None });
    }

    /// Adds an event of a resource.
    pub(crate) fn resource_event(&self, key: &StackKey, logical_id: &str, status: &str, reason: Option<&str>) {
        let event = Event {
            id: format!("event-{}", self.next()),
            logical_id: logical_id.to_owned(),
            physical_id: String::new(),
            resource_type: "AWS::SQS::Queue".to_owned(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
            at: None,
        };
        self.stacks.borrow_mut().get_mut(&Self::id_of(key)).expect("the stack").events.push(event);
    }

    /// What runs ends in this status.
    pub(crate) fn ends_in(&self, key: &StackKey, status: &str) {
        self.script.endings.borrow_mut().insert(Self::id_of(key), status.to_owned());
    }

    /// When what runs in `key` has ended, something begins in `next`.
    pub(crate) fn begins_next(&self, key: &StackKey, next: &StackKey, status: &str, looks: u32) {
        self.script.next.borrow_mut().insert(Self::id_of(key), (next.clone(), status.to_owned(), looks));
    }

    /// After so many looks at the stack, something begins in it.
    pub(crate) fn begins_after(&self, looks: u32, key: &StackKey, status: &str, takes: u32) {
        self.script.later.borrow_mut().insert(Self::id_of(key), (looks, status.to_owned(), takes));
    }

    /// The stack's deletion fails for a queue.
    pub(crate) fn can_not_delete(&self, key: &StackKey, logical_id: &str, reason: &str) {
        let failure = (logical_id.to_owned(), "AWS::SQS::Queue".to_owned(), reason.to_owned());
        self.script.undeletable.borrow_mut().insert(Self::id_of(key), failure);
    }

    /// What runs ends right before anybody breaks it off.
    pub(crate) fn ends_before_it_is_broken_off(&self, key: &StackKey) {
        self.script.hasty.borrow_mut().insert(Self::id_of(key));
    }

    /// The status in which an operation ends.
    pub(super) fn ending(&self, id: &str, usual: &str) -> String {
        self.script.endings.borrow_mut().remove(id).unwrap_or_else(|| usual.to_owned())
    }

    /// Begins what was waiting for the end of an operation in the stack.
    pub(super) fn begin_next(&self, id: &str) {
        let next = self.script.next.borrow_mut().remove(id);
        if let Some((key, status, looks)) = next {
            self.begin(&key, &status, looks);
        }
    }

    /// Counts a look, and begins what was waiting for the last one.
    pub(super) fn begin_later(&self, id: &str) {
        let begins = {
            let mut later = self.script.later.borrow_mut();
            let Some((looks, ..)) = later.get_mut(id) else { return };
            *looks = looks.saturating_sub(1);
            if *looks > 0 {
                return;
            }
            later.remove(id)
        };
        let place = id.split_once('/').and_then(|(region, name)| Some((region, name.strip_prefix("tandem-test-")?)));
        if let (Some((_, status, takes)), Some((region, name))) = (begins, place) {
            self.begin(&StackKey::new(name, region), &status, takes);
        }
    }

    /// What a deletion of the stack fails for.
    pub(super) fn undeletable(&self, id: &str) -> Option<(String, String, String)> {
        self.script.undeletable.borrow().get(id).cloned()
    }

    /// Ends a deletion that failed, as CloudFormation tells it.
    pub(super) fn deletion_failed(&self, id: &str, stack: &mut FakeStack, failure: (String, String, String)) {
        let (logical_id, resource_type, reason) = failure;
        let of_stack = format!("The following resource(s) failed to delete: [{logical_id}]. ");
        stack.events.push(Event {
            id: format!("event-{}", self.next()),
            logical_id,
            physical_id: String::new(),
            resource_type,
            status: "DELETE_FAILED".to_owned(),
            reason: Some(reason),
            at: None,
        });
        self.stack_event(id, stack, "DELETE_FAILED");
        if let Some(event) = stack.events.last_mut() {
            event.reason = Some(of_stack);
        }
    }

    /// The description of a change set that has faults.
    pub(super) fn refusal(&self, id: &str) -> Option<ChangeSetPage> {
        let faults = self.script.faults.borrow();
        let stops = faults.get(id)?.iter().any(|fault| fault.stops);
        stops.then(|| ChangeSetPage {
            status: "FAILED".to_owned(),
            status_reason: Some(
                "The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck]. To troubleshoot \
                 Early Validation errors, use the DescribeEvents API for detailed failure information."
                    .to_owned(),
            ),
            ..ChangeSetPage::default()
        })
    }

    fn end_hasty(&self, id: &str) {
        if self.script.hasty.borrow_mut().remove(id) {
            if let Some(operation) = self.stacks.borrow_mut().get_mut(id).and_then(|stack| stack.operation.as_mut()) {
                operation.steps_left = 0;
            }
            self.advance(id);
        }
    }
}

impl Operations for FakeCloud {
    async fn faults(&self, stack: StackRef<'_>, _change_set: &str) -> Result<Vec<Fault>, CallError> {
        self.called("DescribeEvents", stack.region, stack.name)?;
        Ok(self.script.faults.borrow().get(&Self::id(stack)).cloned().unwrap_or_default())
    }

    async fn cancel_update(&self, stack: StackRef<'_>, token: &str) -> Result<(), CallError> {
        self.called("CancelUpdateStack", stack.region, token)?;
        let id = Self::id(stack);
        self.end_hasty(&id);
        let mut stacks = self.stacks.borrow_mut();
        let found = stacks.get_mut(&id);
        let Some(stack) = found.filter(|stack| stack.status == "UPDATE_IN_PROGRESS") else {
            let text = "CancelUpdateStack cannot be called from current stack status";
            return Err(said(CallClass::Refused, "CancelUpdateStack", text));
        };
        let rolled_back = self.ending(&id, "UPDATE_ROLLBACK_COMPLETE");
        self.script.endings.borrow_mut().insert(id.clone(), rolled_back);
        self.stack_event(&id, stack, "UPDATE_ROLLBACK_IN_PROGRESS");
        if let Some(event) = stack.events.last_mut() {
            event.reason = Some("User Initiated".to_owned());
        }
        if let Some(operation) = stack.operation.as_mut() {
            operation.steps_left = 2;
            if let Some(goal) = operation.goal.as_mut() {
                (goal.template, goal.parameters, goal.tags) =
                    (stack.template.clone(), stack.parameters.clone(), stack.tags.clone());
            }
        }
        Ok(())
    }

    async fn detect_drift(&self, stack: StackRef<'_>) -> Result<String, CallError> {
        self.called("DetectStackDrift", stack.region, stack.name)?;
        let mut searches = self.script.drift.borrow_mut();
        let search = searches.entry(Self::id(stack)).or_default();
        if search.others > 0 {
            search.others -= 1;
            let text = "Drift detection operation is already in progress for stack";
            return Err(said(CallClass::Refused, "DetectStackDrift", text));
        }
        Ok(format!("search of {}", stack.name))
    }

    async fn drift_detection(&self, stack: StackRef<'_>, id: &str) -> Result<DriftDetection, CallError> {
        self.called("DescribeStackDriftDetectionStatus", stack.region, stack.name)?;
        assert_eq!(id, format!("search of {}", stack.name));
        let mut searches = self.script.drift.borrow_mut();
        let search = searches.get_mut(&Self::id(stack)).expect("a search that was begun");
        let state = match (search.looks, &search.fails) {
            (1.., _) => DetectionState::Running,
            (0, None) => DetectionState::Complete,
            (0, Some(_)) => DetectionState::Failed,
        };
        search.looks = search.looks.saturating_sub(1);
        Ok(DriftDetection { state, reason: search.fails.clone(), begun: Some(BEGUN.parse().expect("a time")) })
    }

    async fn drifts(
        &self,
        stack: StackRef<'_>,
        token: Option<&str>,
    ) -> Result<(Vec<ResourceDrift>, Option<String>), CallError> {
        self.called("DescribeStackResourceDrifts", stack.region, stack.name)?;
        let searches = self.script.drift.borrow();
        let found = &searches[&Self::id(stack)].found;
        // One a page.
        let at: usize = token.map_or(0, |token| token.parse().expect("a token of this cloud"));
        let page = found.get(at).cloned().into_iter().collect();
        Ok((page, (at + 1 < found.len()).then(|| (at + 1).to_string())))
    }
}

/// When every search begins.
pub(crate) const BEGUN: &str = "2026-12-01T04:17:00Z";
