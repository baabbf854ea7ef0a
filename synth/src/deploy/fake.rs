//! A scripted cloud for tests: CloudFormation's states and events in memory, one step per look.
//!
//! Every call is recorded. Faults are put in by name: a resource that fails, a call that is throttled; or by number: the
//! call at which the tool dies, or that fails. It refuses what CloudFormation refuses: inputs that a template doesn't have or
//! lacks, a change set that is void, work on a stack that is being changed, and more than one index or replica of a table
//! in an update.

pub(crate) mod operations;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::cloud::*;
use super::system::StackKey;

/// Looks that an operation takes before it ends.
const STEPS: u32 = 2;

#[derive(Default)]
pub(crate) struct FakeCloud {
    /// By `<region>/<name>`.
    pub(crate) stacks: RefCell<BTreeMap<String, FakeStack>>,
    pub(crate) objects: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Tables with a stream, by `<region>/<table>`, and how often each was made.
    pub(crate) tables: RefCell<BTreeMap<String, u32>>,
    pub(crate) protected_tables: RefCell<BTreeSet<String>>,
    /// Logical ids whose creation or change fails, with the reason; `<region>/<logical id>` for one region only.
    pub(crate) failing: RefCell<BTreeMap<String, String>>,
    /// With which role each stack is changed or deleted: operation, `<region>/<stack>`, ARN.
    pub(crate) roles: RefCell<Vec<(&'static str, String, Option<String>)>>,
    /// Every call: operation and `<region>/<subject>`.
    pub(crate) calls: RefCell<Vec<(&'static str, String)>>,
    /// How many of the next calls of an operation are throttled.
    pub(crate) throttled: RefCell<BTreeMap<&'static str, u32>>,
    /// How many calls come through before the tool is "killed": each further call fails for good.
    pub(crate) dies_after: Cell<Option<u32>>,
    /// How many calls come through before one fails, and how.
    pub(crate) fails_after: Cell<Option<(u32, CallClass)>>,
    /// What others do, what checks find, what has drifted.
    pub(crate) script: operations::Script,
    /// The code that functions run, where it isn't `digest-1`, by `<region>/<function>`; none: the function isn't there.
    pub(crate) codes: RefCell<BTreeMap<String, Option<String>>>,
    counter: Cell<u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct FakeStack {
    pub(crate) status: String,
    pub(crate) template: String,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) protected: bool,
    /// The one that was executed last.
    pub(crate) change_set: Option<String>,
    /// When that was; an update that is undone counts too.
    pub(crate) changed_at: Option<String>,
    /// Newest last.
    pub(crate) events: Vec<Event>,
    change_sets: BTreeMap<String, Pending>,
    operation: Option<Operation>,
}

#[derive(Clone, Debug)]
struct Pending {
    template: String,
    parameters: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    changes: Vec<Change>,
    /// A table that the change set can't change in one update, and what DynamoDB says then.
    impossible: Option<(String, String)>,
    creates: bool,
}

#[derive(Clone, Debug)]
struct Operation {
    steps_left: u32,
    /// Nothing for a deletion.
    goal: Option<Pending>,
    failure: Option<(String, String, String)>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Said(pub(crate) String);

pub(crate) fn said(class: CallClass, operation: &'static str, text: &str) -> CallError {
    CallError {
        operation,
        subject: "subject".to_owned(),
        region: "region".to_owned(),
        class,
        source: Box::new(Said(text.to_owned())),
    }
}

impl FakeCloud {
    /// Calls that change something.
    pub(crate) fn writes(&self) -> Vec<(&'static str, String)> {
        let reads =
            |operation: &str| ["Describe", "Get", "List", "Head"].iter().any(|prefix| operation.starts_with(prefix));
        self.calls.borrow().iter().filter(|(operation, _)| !reads(operation)).cloned().collect()
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        self.calls.borrow().iter().filter(|(called, _)| *called == operation).count()
    }

    pub(crate) fn forget_calls(&self) {
        self.calls.borrow_mut().clear();
    }

    pub(crate) fn status(&self, key: &StackKey) -> Option<String> {
        let id = format!("{}/tandem-test-{}", key.region, key.name);
        self.stacks.borrow().get(&id).map(|stack| stack.status.clone())
    }

    pub(crate) fn set_status(&self, key: &StackKey, status: &str) {
        let id = format!("{}/tandem-test-{}", key.region, key.name);
        let mut stacks = self.stacks.borrow_mut();
        let stack = stacks.entry(id).or_insert_with(|| FakeStack {
            status: String::new(),
            template: "{}".to_owned(),
            parameters: BTreeMap::new(),
            tags: BTreeMap::new(),
            protected: false,
            change_set: None,
            changed_at: None,
            events: Vec::new(),
            change_sets: BTreeMap::new(),
            operation: None,
        });
        stack.status = status.to_owned();
        stack.operation = None;
    }

    fn next(&self) -> u32 {
        self.counter.set(self.counter.get() + 1);
        self.counter.get()
    }

    fn called(&self, operation: &'static str, region: &str, subject: &str) -> Result<(), CallError> {
        if let Some(left) = self.dies_after.get() {
            if left == 0 {
                return Err(said(CallClass::Refused, operation, "killed"));
            }
            self.dies_after.set(Some(left - 1));
        }
        self.calls.borrow_mut().push((operation, format!("{region}/{subject}")));
        if let Some((left, class)) = self.fails_after.get() {
            self.fails_after.set(left.checked_sub(1).map(|left| (left, class)));
            if left == 0 {
                return Err(said(class, operation, "a fault that was put in"));
            }
        }
        match self.throttled.borrow_mut().get_mut(operation) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(said(CallClass::Throttled, operation, "Rate exceeded"))
            }
            _ => Ok(()),
        }
    }

    fn id(stack: StackRef<'_>) -> String {
        format!("{}/{}", stack.region, stack.name.strip_prefix("arn:").unwrap_or(stack.name))
    }

    /// Lets a running operation go one step on.
    fn advance(&self, id: &str) {
        let mut stacks = self.stacks.borrow_mut();
        let Some(stack) = stacks.get_mut(id) else { return };
        let Some(mut operation) = stack.operation.take() else { return };
        if operation.steps_left > 0 {
            operation.steps_left -= 1;
            stack.operation = Some(operation);
            return;
        }
        let Some(goal) = operation.goal else {
            match operation.failure {
                Some(failure) => self.deletion_failed(id, stack, failure),
                None => drop(stacks.remove(id)),
            }
            return;
        };
        let updating = stack.status.starts_with("UPDATE");
        if let Some((logical_id, resource_type, reason)) = operation.failure {
            let verb = if updating { "UPDATE_FAILED" } else { "CREATE_FAILED" };
            let event = |logical_id: &str, resource_type: &str, status: &str, reason: &str| Event {
                id: format!("event-{}", self.next()),
                at: None,
                logical_id: logical_id.to_owned(),
                physical_id: String::new(),
                resource_type: resource_type.to_owned(),
                status: status.to_owned(),
                reason: Some(reason.to_owned()),
            };
            stack.events.push(event(&logical_id, &resource_type, verb, &reason));
            stack.events.push(event("Other", "AWS::SQS::Queue", verb, "Resource creation cancelled"));
            let status = if updating { "UPDATE_ROLLBACK_COMPLETE" } else { "ROLLBACK_COMPLETE" };
            self.stack_event(id, stack, status);
            return;
        }
        stack.template = goal.template;
        stack.parameters = goal.parameters;
        stack.tags = goal.tags;
        let region = id.split('/').next().unwrap_or_default().to_owned();
        for (_, resource) in super::system::resources_of(&parsed(&stack.template)) {
            if resource["Type"] == "AWS::DynamoDB::GlobalTable" {
                for region in [region.as_str(), "us-east-1"] {
                    let table = resource["Properties"]["TableName"].as_str().unwrap_or_default();
                    self.tables.borrow_mut().entry(format!("{region}/{table}")).or_insert(1);
                }
            }
        }
        let status = self.ending(id, if updating { "UPDATE_COMPLETE" } else { "CREATE_COMPLETE" });
        self.stack_event(id, stack, &status);
        drop(stacks);
        self.begin_next(id);
    }

    fn stack_event(&self, id: &str, stack: &mut FakeStack, status: &str) {
        stack.status = status.to_owned();
        stack.events.push(Event {
            id: format!("event-{}", self.next()),
            at: None,
            logical_id: id.to_owned(),
            physical_id: format!("arn:aws:cloudformation:{id}:stack/x"),
            resource_type: "AWS::CloudFormation::Stack".to_owned(),
            status: status.to_owned(),
            reason: None,
        });
    }

    /// Outputs are what the template says, with references and functions left as text.
    fn outputs(stack: &FakeStack) -> BTreeMap<String, String> {
        let document = parsed(&stack.template);
        let outputs = document["Outputs"].as_object().into_iter().flatten();
        outputs.map(|(name, output)| (name.clone(), output["Value"].as_str().unwrap_or_default().to_owned())).collect()
    }
}

impl FakeStack {
    /// A stack that is being changed takes no other change.
    fn takes(&self, operation: &'static str) -> Result<(), CallError> {
        let busy = self.operation.is_some();
        let text = || format!("Stack is in {} state and can not be updated.", self.status);
        if busy { Err(said(CallClass::Overtaken, operation, &text())) } else { Ok(()) }
    }
}

/// CloudFormation takes exactly the template's parameters, but for those that have a default.
fn refuse_wrong_parameters(template: &Value, given: &BTreeMap<String, String>) -> Result<(), CallError> {
    let refused = |text: String| Err(said(CallClass::Refused, "CreateChangeSet", &text));
    let declared = template["Parameters"].as_object().cloned().unwrap_or_default();
    if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
        return refused(format!("Parameters: [{unknown}] do not exist in the template"));
    }
    let lacks = |(name, parameter): &(&String, &Value)| !given.contains_key(*name) && parameter["Default"].is_null();
    match declared.iter().find(lacks) {
        Some((missing, _)) => refused(format!("Parameters: [{missing}] must have values")),
        None => Ok(()),
    }
}

/// A table of which more changes than DynamoDB takes in an update, and what it says.
fn table_that_takes_several_updates(old: &Value, new: &Value) -> Option<(String, String)> {
    super::system::resources_of(new).find_map(|(id, after)| {
        let before = old["Resources"].get(id).filter(|before| before["Type"] == after["Type"])?;
        let names = |table: &Value, list: &str, key: &str| -> BTreeSet<String> {
            let items = table["Properties"][list].as_array().cloned().unwrap_or_default();
            items.iter().filter_map(|item| item[key].as_str().map(str::to_owned)).collect()
        };
        let differ = |list, key| names(before, list, key).symmetric_difference(&names(after, list, key)).count();
        let (indexes, replicas) = (differ("GlobalSecondaryIndexes", "IndexName"), differ("Replicas", "Region"));
        let without_replicas = |table: &Value| {
            let mut properties = table["Properties"].clone();
            properties["Replicas"] = Value::Null;
            properties
        };
        let reason = match (indexes, replicas) {
            (2.., _) => "Cannot perform more than one GSI creation or deletion in a single update",
            (_, 2..) => "Only one replica can be added or removed in a single update",
            (_, 1) if without_replicas(before) != without_replicas(after) => {
                "A replica is changed with no other change"
            }
            _ => return None,
        };
        Some((id.to_owned(), reason.to_owned()))
    })
}

fn parsed(template: &str) -> Value {
    serde_json::from_str(template).unwrap_or_default()
}

impl Stacks for FakeCloud {
    async fn stack(&self, stack: StackRef<'_>) -> Result<Option<Observed>, CallError> {
        self.called("DescribeStacks", stack.region, stack.name)?;
        let id = Self::id(stack);
        self.begin_later(&id);
        self.advance(&id);
        Ok(self.stacks.borrow().get(&id).map(|stack| Observed {
            id: format!("arn:{}", id.split_once('/').unwrap().1),
            status: Status::new(stack.status.clone()),
            status_reason: stack.events.iter().rfind(|event| event.is_of_stack()).and_then(|told| told.reason.clone()),
            parameters: stack.parameters.clone(),
            outputs: Self::outputs(stack),
            tags: stack.tags.clone(),
            termination_protection: stack.protected,
            changed_at: stack.changed_at.clone(),
            change_set: stack.change_set.clone(),
        }))
    }

    async fn template(&self, stack: StackRef<'_>) -> Result<String, CallError> {
        self.called("GetTemplate", stack.region, stack.name)?;
        let stacks = self.stacks.borrow();
        Ok(stacks.get(&Self::id(stack)).map(|stack| stack.template.clone()).unwrap_or_default())
    }

    async fn create_change_set(&self, request: &ChangeSetRequest<'_>) -> Result<String, CallError> {
        self.called("CreateChangeSet", request.stack.region, request.stack.name)?;
        let id = Self::id(request.stack);
        self.roles.borrow_mut().push(("CreateChangeSet", id.clone(), request.role.map(str::to_owned)));
        let template = match &request.body {
            Body::Inline(text) => text.clone(),
            Body::Url(url) => String::from_utf8(self.objects.borrow()[url].clone()).unwrap(),
        };
        self.stacks.borrow().get(&id).map_or(Ok(()), |stack| stack.takes("CreateChangeSet"))?;
        let found = self.stacks.borrow().get(&id).map(|stack| stack.status.clone());
        let is_new = found.as_deref().is_none_or(|status| status == "REVIEW_IN_PROGRESS");
        match (request.creates, is_new) {
            (true, false) => {
                let text = "Stack already exists and cannot be created again with the changeSet";
                return Err(said(CallClass::Overtaken, "CreateChangeSet", text));
            }
            (false, true) => return Err(said(CallClass::NotFound, "CreateChangeSet", "Stack does not exist")),
            _ => {}
        }
        if found.is_none() {
            self.set_status(
                &StackKey::new(request.stack.name.strip_prefix("tandem-test-").unwrap(), request.stack.region),
                "REVIEW_IN_PROGRESS",
            );
        }
        let mut stacks = self.stacks.borrow_mut();
        let stack = stacks.get_mut(&id).unwrap();
        let (old, new) = (parsed(&stack.template), parsed(&template));
        refuse_wrong_parameters(&new, request.parameters)?;
        let impossible = table_that_takes_several_updates(&old, &new);
        let old: BTreeMap<_, _> = super::system::resources_of(&old).collect();
        let same_parameters = stack.parameters == *request.parameters;
        let mut changes = Vec::new();
        for (logical_id, resource) in super::system::resources_of(&new) {
            let reads_parameter = resource.to_string().contains("\"Ref\"") && !same_parameters;
            let kind = match old.get(logical_id) {
                None => ChangeKind::Add,
                Some(before) if *before != resource && before["Type"] != resource["Type"] => ChangeKind::Replace,
                Some(before) if *before != resource || reads_parameter => ChangeKind::Modify,
                Some(_) => continue,
            };
            let resource_type = resource["Type"].as_str().unwrap().to_owned();
            changes.push(Change { logical_id: logical_id.to_owned(), resource_type, kind });
        }
        for (logical_id, resource) in &old {
            if new["Resources"].get(*logical_id).is_none() {
                let resource_type = resource["Type"].as_str().unwrap().to_owned();
                changes.push(Change { logical_id: (*logical_id).to_owned(), resource_type, kind: ChangeKind::Remove });
            }
        }
        let pending = Pending {
            template,
            parameters: request.parameters.clone(),
            tags: request.tags.clone(),
            changes,
            impossible,
            creates: request.creates,
        };
        stack.change_sets.insert(request.change_set_name.to_owned(), pending);
        Ok(request.change_set_name.to_owned())
    }

    async fn change_set(&self, stack: StackRef<'_>, id: &str, token: Option<&str>) -> Result<ChangeSetPage, CallError> {
        self.called("DescribeChangeSet", stack.region, stack.name)?;
        if let Some(refusal) = self.refusal(&Self::id(stack)) {
            return Ok(refusal);
        }
        let stacks = self.stacks.borrow();
        let gone = || said(CallClass::NotFound, "DescribeChangeSet", "ChangeSet does not exist");
        let pending = stacks.get(&Self::id(stack)).and_then(|stack| stack.change_sets.get(id)).ok_or_else(gone)?;
        let unchanged = pending.changes.is_empty() && pending.tags == stacks[&Self::id(stack)].tags;
        if unchanged {
            let reason = "The submitted information didn't contain changes. Submit different information.";
            return Ok(ChangeSetPage {
                status: "FAILED".to_owned(),
                status_reason: Some(reason.to_owned()),
                ..ChangeSetPage::default()
            });
        }
        // One change a page, so that reading only the first page shows.
        let at: usize = token.map_or(0, |token| token.parse().unwrap());
        Ok(ChangeSetPage {
            status: "CREATE_COMPLETE".to_owned(),
            status_reason: None,
            changes: pending.changes.get(at).cloned().into_iter().collect(),
            next_token: (at + 1 < pending.changes.len()).then(|| (at + 1).to_string()),
        })
    }

    async fn waiting_change_sets(&self, stack: StackRef<'_>) -> Result<Vec<(String, String)>, CallError> {
        self.called("ListChangeSets", stack.region, stack.name)?;
        let stacks = self.stacks.borrow();
        let names = stacks.get(&Self::id(stack)).map(|stack| stack.change_sets.keys().cloned()).into_iter().flatten();
        Ok(names.map(|name| (name.clone(), name)).collect())
    }

    async fn execute_change_set(&self, stack: StackRef<'_>, id: &str) -> Result<(), CallError> {
        self.called("ExecuteChangeSet", stack.region, stack.name)?;
        let stack_id = Self::id(stack);
        let region = stack.region;
        let mut stacks = self.stacks.borrow_mut();
        let gone = || said(CallClass::NotFound, "ExecuteChangeSet", "ChangeSet does not exist");
        let stack = stacks.get_mut(&stack_id).ok_or_else(gone)?;
        stack.takes("ExecuteChangeSet")?;
        let goal = stack.change_sets.remove(id).ok_or_else(gone)?;
        // The others were made for what is about to be gone.
        stack.change_sets.clear();
        stack.change_set = Some(id.to_owned());
        stack.changed_at = Some(format!("moment {}", self.next()));
        let failing = self.failing.borrow();
        let failure = goal.changes.iter().find_map(|change| {
            let id = &change.logical_id;
            let of_table = goal.impossible.iter().find(|(table, _)| table == id).map(|(_, reason)| reason);
            let reason = failing.get(id).or_else(|| failing.get(&format!("{region}/{id}"))).or(of_table)?;
            Some((id.clone(), change.resource_type.clone(), reason.clone()))
        });
        let status = if goal.creates { "CREATE_IN_PROGRESS" } else { "UPDATE_IN_PROGRESS" };
        stack.operation = Some(Operation { steps_left: STEPS, goal: Some(goal), failure });
        self.stack_event(&stack_id, stack, status);
        Ok(())
    }

    async fn delete_change_set(&self, stack: StackRef<'_>, id: &str) -> Result<(), CallError> {
        self.called("DeleteChangeSet", stack.region, stack.name)?;
        if let Some(stack) = self.stacks.borrow_mut().get_mut(&Self::id(stack)) {
            stack.change_sets.remove(id);
        }
        Ok(())
    }

    async fn delete_stack(&self, stack: StackRef<'_>, role: Option<&str>) -> Result<(), CallError> {
        self.called("DeleteStack", stack.region, stack.name)?;
        let id = Self::id(stack);
        self.roles.borrow_mut().push(("DeleteStack", id.clone(), role.map(str::to_owned)));
        let mut stacks = self.stacks.borrow_mut();
        // Nothing happens to a stack that isn't there, and nobody is told.
        let Some(stack) = stacks.get_mut(&id) else { return Ok(()) };
        assert!(!stack.protected, "{id} is protected");
        let failure = self.undeletable(&id);
        stack.operation = Some(Operation { steps_left: STEPS, goal: None, failure });
        self.stack_event(&id, stack, "DELETE_IN_PROGRESS");
        Ok(())
    }

    async fn protect_stack(&self, stack: StackRef<'_>, protect: bool) -> Result<(), CallError> {
        self.called("UpdateTerminationProtection", stack.region, stack.name)?;
        self.stacks.borrow_mut().get_mut(&Self::id(stack)).unwrap().protected = protect;
        Ok(())
    }

    async fn events(
        &self,
        stack: StackRef<'_>,
        token: Option<&str>,
    ) -> Result<(Vec<Event>, Option<String>), CallError> {
        self.called("DescribeStackEvents", stack.region, stack.name)?;
        let stacks = self.stacks.borrow();
        let Some(stack) = stacks.get(&Self::id(stack)) else {
            return Err(said(CallClass::NotFound, "DescribeStackEvents", "Stack does not exist"));
        };
        // Two a page.
        let at: usize = token.map_or(0, |token| token.parse().unwrap());
        let page = stack.events.iter().rev().skip(at).take(2).cloned().collect();
        Ok((page, (at + 2 < stack.events.len()).then(|| (at + 2).to_string())))
    }

    async fn resources(&self, stack: StackRef<'_>) -> Result<Vec<Provisioned>, CallError> {
        self.called("ListStackResources", stack.region, stack.name)?;
        let stacks = self.stacks.borrow();
        let Some(stack) = stacks.get(&Self::id(stack)) else { return Ok(Vec::new()) };
        let document = parsed(&stack.template);
        let provisioned = |(logical_id, resource): (&str, &Value)| Provisioned {
            logical_id: logical_id.to_owned(),
            physical_id: logical_id.to_lowercase(),
            resource_type: resource["Type"].as_str().unwrap().to_owned(),
            status: "CREATE_COMPLETE".to_owned(),
        };
        Ok(super::system::resources_of(&document).map(provisioned).collect())
    }
}

impl Objects for FakeCloud {
    async fn has_object(&self, region: &str, bucket: &str, key: &str) -> Result<bool, CallError> {
        self.called("HeadObject", region, key)?;
        Ok(self.objects.borrow().contains_key(&self.object_url(region, bucket, key)))
    }

    async fn put_object(&self, region: &str, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<(), CallError> {
        self.called("PutObject", region, key)?;
        self.objects.borrow_mut().insert(self.object_url(region, bucket, key), bytes);
        Ok(())
    }

    fn object_url(&self, region: &str, bucket: &str, key: &str) -> String {
        format!("http://{region}/{bucket}/{key}")
    }

    async fn empty_bucket(&self, region: &str, bucket: &str) -> Result<usize, CallError> {
        self.called("DeleteObjects", region, bucket)?;
        let before = self.objects.borrow().len();
        self.objects.borrow_mut().retain(|url, _| !url.starts_with(&format!("http://{region}/{bucket}/")));
        Ok(before - self.objects.borrow().len())
    }
}

impl Tables for FakeCloud {
    async fn stream_arn(&self, region: &str, table: &str) -> Result<Option<String>, CallError> {
        self.called("DescribeTable", region, table)?;
        let made = self.tables.borrow().get(&format!("{region}/{table}")).copied();
        Ok(made.map(|made| format!("arn:{region}:{table}:stream/{made}")))
    }

    async fn protected_replicas(&self, region: &str, table: &str) -> Result<Vec<String>, CallError> {
        self.called("DescribeTable", region, table)?;
        let protected = self.protected_tables.borrow().contains(table);
        Ok(if protected { vec![region.to_owned()] } else { Vec::new() })
    }

    async fn unprotect_table(&self, region: &str, table: &str) -> Result<(), CallError> {
        self.called("UpdateTable", region, table)?;
        self.protected_tables.borrow_mut().remove(table);
        Ok(())
    }
}

impl Functions for FakeCloud {
    async fn code_digest(&self, region: &str, function: &str) -> Result<Option<String>, CallError> {
        self.called("GetFunctionConfiguration", region, function)?;
        let scripted = self.codes.borrow().get(&format!("{region}/{function}")).cloned();
        Ok(scripted.unwrap_or_else(|| Some("digest-1".to_owned())))
    }

    async fn mapping_state(&self, region: &str, mapping: &str) -> Result<String, CallError> {
        self.called("GetEventSourceMapping", region, mapping)?;
        Ok("Enabled".to_owned())
    }
}

impl Cloud for FakeCloud {
    async fn pause(&self, _region: &str, _attempt: u32) {
        tokio::task::yield_now().await;
    }

    fn change_set_name(&self) -> String {
        super::revision::change_set_name(Some("0123456789ab"), &self.next().to_string())
    }
}
