//! The cloud behind AWS's SDK: real AWS, or the local platform's endpoint.
//!
//! One HTTP client for all regions and services. On AWS the credentials come from the usual chain and the account is
//! checked before anything else happens; on the local platform they are the platform's own root keys.

mod operations;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{
    Capability, ChangeAction, ChangeSetType, ExecutionStatus, HookStatus, Parameter, Replacement, ResourceChange,
    RollbackConfiguration, RollbackTrigger, Stack as SdkStack, Tag,
};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use aws_smithy_http_client::tls;
use tokio::time::Instant;

use super::cloud::{
    Body, CallClass, CallError, Change, ChangeKind, ChangeSetPage, ChangeSetRequest, Cloud, Event, Functions, Objects,
    Observed, Provisioned, StackRef, Stacks, Status, Tables, backoff,
};
use super::failure::HOOK_SAYS;
use super::lease::{Held, LeaseStore, ObjectVersion};
use super::revision;
use crate::error::Error;

/// Where the calls go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// AWS itself.
    Aws,
    /// Something that speaks AWS's protocols at one address.
    Local {
        /// Base URL: `http://127.0.0.1:4566`.
        url: String,
        /// Access key of its root user.
        access_key: String,
        /// Secret key of its root user.
        secret_key: String,
    },
}

/// AWS's services in the regions of one environment.
#[derive(Debug)]
pub struct Clouds {
    base: SdkConfig,
    endpoint: Endpoint,
    regions: BTreeMap<String, Clients>,
    /// When the next look at a running operation may be taken, by region: one pace for all stacks of a region.
    next_look: Mutex<BTreeMap<String, Instant>>,
    /// The commit that is deployed from here, where it is known.
    revision: Option<String>,
}

#[derive(Debug)]
struct Clients {
    cloudformation: aws_sdk_cloudformation::Client,
    s3: aws_sdk_s3::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    lambda: aws_sdk_lambda::Client,
    sqs: aws_sdk_sqs::Client,
    eventbridge: aws_sdk_eventbridge::Client,
}

impl Clouds {
    /// Clients for `regions`; nothing is called.
    pub async fn connect<'r>(endpoint: Endpoint, regions: impl IntoIterator<Item = &'r str>) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(30))
            .operation_timeout(Duration::from_secs(90))
            .build();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http.build_https())
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(4));
        let regions: Vec<&str> = regions.into_iter().collect();
        let home = Region::new(regions.first().copied().unwrap_or("us-west-2").to_owned());
        let loader = match &endpoint {
            Endpoint::Aws => loader.region(home),
            Endpoint::Local { url, access_key, secret_key } => loader
                .region(home)
                .endpoint_url(url)
                .credentials_provider(Credentials::new(access_key, secret_key, None, None, "local platform")),
        };
        let base = loader.load().await;
        let regions = regions.into_iter().map(|region| (region.to_owned(), Clients::new(&base, &endpoint, region)));
        Self { regions: regions.collect(), base, endpoint, next_look: Mutex::default(), revision: None }
    }

    /// The same for changes that are made from a commit; see [`super::revision`].
    #[must_use]
    pub(crate) fn of_revision(mut self, revision: Option<String>) -> Self {
        self.revision = revision;
        self
    }

    /// Makes sure that the credentials belong to `account`.
    ///
    /// # Errors
    /// No credentials, no answer, or another account.
    pub async fn check_account(&self, account: &str) -> Result<(), Error> {
        let sts = aws_sdk_sts::Client::new(&self.base);
        let identity = sts.get_caller_identity().send().await.map_err(|error| {
            Error::remote("AWS does not say whose credentials these are")
                .caused_by(describe(&error))
                .hint("sign in first, for example with `aws sso login`, or set `AWS_PROFILE`")
        })?;
        match identity.account() {
            Some(actual) if actual == account => Ok(()),
            actual => Err(Error::refused(format!(
                "the credentials belong to account {}, but the environment is for account {account}",
                actual.unwrap_or("(unknown)")
            ))
            .hint("choose the right profile with `AWS_PROFILE`, or correct `account` in the environment file")),
        }
    }

    /// The environment's lock in the artifact bucket of `region`.
    ///
    /// # Errors
    /// The environment has no such region.
    pub(crate) fn lease(&self, region: &str, bucket: &str, environment: &str) -> Result<LeaseObject, Error> {
        Ok(LeaseObject {
            client: self.clients_of(region)?.s3.clone(),
            region: region.to_owned(),
            bucket: bucket.to_owned(),
            // Where every deployment may write.
            key: format!("templates/locks/{environment}.json"),
        })
    }

    /// What clients in `region` are made from.
    ///
    /// # Errors
    /// The environment has no such region.
    pub fn config(&self, region: &str) -> Result<SdkConfig, Error> {
        self.clients_of(region)?;
        Ok(in_region(&self.base, region))
    }

    /// DynamoDB in `region`.
    ///
    /// # Errors
    /// The environment has no such region.
    pub fn dynamodb(&self, region: &str) -> Result<&aws_sdk_dynamodb::Client, Error> {
        self.clients_of(region).map(|clients| &clients.dynamodb)
    }

    /// SQS in `region`.
    ///
    /// # Errors
    /// The environment has no such region.
    pub fn sqs(&self, region: &str) -> Result<&aws_sdk_sqs::Client, Error> {
        self.clients_of(region).map(|clients| &clients.sqs)
    }

    /// Lambda in `region`.
    ///
    /// # Errors
    /// The environment has no such region.
    pub fn lambda(&self, region: &str) -> Result<&aws_sdk_lambda::Client, Error> {
        self.clients_of(region).map(|clients| &clients.lambda)
    }

    /// EventBridge in `region`.
    ///
    /// # Errors
    /// The environment has no such region.
    pub fn eventbridge(&self, region: &str) -> Result<&aws_sdk_eventbridge::Client, Error> {
        self.clients_of(region).map(|clients| &clients.eventbridge)
    }

    fn clients_of(&self, region: &str) -> Result<&Clients, Error> {
        let unknown = || Error::internal(format!("there are no clients for region {region}"));
        self.regions.get(region).ok_or_else(unknown)
    }

    fn clients(&self, region: &str, operation: &'static str) -> Result<&Clients, CallError> {
        self.clients_of(region).map_err(|error| CallError {
            operation,
            subject: region.to_owned(),
            region: region.to_owned(),
            class: CallClass::Refused,
            source: Box::new(error),
        })
    }

    fn is_local(&self) -> bool {
        matches!(self.endpoint, Endpoint::Local { .. })
    }
}

impl Clients {
    fn new(base: &SdkConfig, endpoint: &Endpoint, region: &str) -> Self {
        let config = in_region(base, region);
        // A bucket's name as a host name does not resolve on a local endpoint.
        let path_style = matches!(endpoint, Endpoint::Local { .. });
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(path_style).build();
        Self {
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            eventbridge: aws_sdk_eventbridge::Client::new(&config),
        }
    }
}

fn in_region(base: &SdkConfig, region: &str) -> SdkConfig {
    base.to_builder().region(Region::new(region.to_owned())).build()
}

/// The SDK's error with its whole chain in one text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Described(String);

/// The words of the service where there are some, else the whole chain.
pub(crate) fn describe<E>(error: &SdkError<E>) -> Box<dyn std::error::Error + Send + Sync>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let text = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{message} ({code})"),
        _ => DisplayErrorContext(error).to_string(),
    };
    Box::new(Described(text))
}

/// What a failed call means, told from its code and HTTP status.
fn class_of(code: Option<&str>, message: Option<&str>, status: Option<u16>) -> CallClass {
    let code = code.unwrap_or_default();
    let message = message.unwrap_or_default();
    if code.contains("Throttl")
        || code.contains("TooManyRequests")
        || code == "RequestLimitExceeded"
        || code == "SlowDown"
    {
        return CallClass::Throttled;
    }
    if code.contains("AccessDenied") || code.contains("UnauthorizedOperation") || code == "InvalidClientTokenId" {
        return CallClass::Denied;
    }
    // A change set is void when the stack has changed since, and a stack that is being changed takes none.
    const BUSY: [&str; 2] = ["_IN_PROGRESS state and can not be ", "already exists and cannot be created"];
    let is_busy = BUSY.iter().any(|text| message.contains(text));
    if code.starts_with("InvalidChangeSetStatus") || code.starts_with("OperationInProgress") || is_busy {
        return CallClass::Overtaken;
    }
    // CloudFormation says "does not exist" with the code of every other mistake.
    if code.contains("NotFound") || code.contains("NoSuch") || message.contains("does not exist") {
        return CallClass::NotFound;
    }
    match status {
        None => CallClass::Unreachable,
        Some(429 | 503) => CallClass::Throttled,
        Some(status) if status >= 500 => CallClass::Unreachable,
        Some(404) => CallClass::NotFound,
        Some(403) => CallClass::Denied,
        Some(_) => CallClass::Refused,
    }
}

/// Names a call and sorts its failure.
struct Call<'a> {
    operation: &'static str,
    subject: &'a str,
    region: &'a str,
}

impl Call<'_> {
    fn failed<E>(&self, error: &SdkError<E>) -> CallError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let class = class_of(error.code(), error.message(), status);
        self.error(class, describe(error))
    }

    fn error(&self, class: CallClass, source: Box<dyn std::error::Error + Send + Sync>) -> CallError {
        CallError {
            operation: self.operation,
            subject: self.subject.to_owned(),
            region: self.region.to_owned(),
            class,
            source,
        }
    }
}

fn found<T>(outcome: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.class == CallClass::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Clouds {
    fn cloudformation(
        &self,
        stack: StackRef<'_>,
        operation: &'static str,
    ) -> Result<&aws_sdk_cloudformation::Client, CallError> {
        Ok(&self.clients(stack.region, operation)?.cloudformation)
    }
}

fn call<'a>(stack: StackRef<'a>, operation: &'static str) -> Call<'a> {
    Call { operation, subject: stack.name, region: stack.region }
}

impl Stacks for Clouds {
    async fn stack(&self, stack: StackRef<'_>) -> Result<Option<Observed>, CallError> {
        let call = call(stack, "DescribeStacks");
        let client = self.cloudformation(stack, call.operation)?;
        let answer = client.describe_stacks().stack_name(stack.name).send().await.map_err(|error| call.failed(&error));
        Ok(found(answer)?.and_then(|answer| answer.stacks().first().map(observed)))
    }

    async fn template(&self, stack: StackRef<'_>) -> Result<String, CallError> {
        let call = call(stack, "GetTemplate");
        let client = self.cloudformation(stack, call.operation)?;
        let answer = client.get_template().stack_name(stack.name).send().await.map_err(|error| call.failed(&error))?;
        Ok(answer.template_body.unwrap_or_default())
    }

    async fn create_change_set(&self, request: &ChangeSetRequest<'_>) -> Result<String, CallError> {
        let call = call(request.stack, "CreateChangeSet");
        let client = self.cloudformation(request.stack, call.operation)?;
        let parameters = request
            .parameters
            .iter()
            .map(|(parameter, value)| Parameter::builder().parameter_key(parameter).parameter_value(value).build());
        let tags = request.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let change_set = client
            .create_change_set()
            .stack_name(request.stack.name)
            .change_set_name(request.change_set_name)
            .client_token(request.change_set_name)
            .change_set_type(if request.creates { ChangeSetType::Create } else { ChangeSetType::Update })
            .capabilities(Capability::CapabilityNamedIam)
            .set_role_arn(request.role.map(str::to_owned))
            .set_parameters(Some(parameters.collect()))
            .set_tags(Some(tags.collect()));
        // Those of the last update stay unless an empty list takes them away.
        let triggers = request.undone_by.map(|(alarm, minutes)| {
            let trigger = RollbackTrigger::builder().arn(alarm).r#type("AWS::CloudWatch::CompositeAlarm").build();
            (trigger, i32::try_from(minutes).unwrap_or(i32::MAX))
        });
        let (triggers, minutes) = triggers.map_or((Vec::new(), 0), |(trigger, minutes)| (vec![trigger], minutes));
        let rollback = RollbackConfiguration::builder()
            .set_rollback_triggers(Some(triggers))
            .monitoring_time_in_minutes(minutes)
            .build();
        let change_set = change_set.set_rollback_configuration((!request.creates).then_some(rollback));
        let change_set = match &request.body {
            Body::Inline(text) => change_set.template_body(text),
            Body::Url(url) => change_set.template_url(url),
        };
        let answer = change_set.send().await.map_err(|error| call.failed(&error))?;
        Ok(answer.id.unwrap_or_else(|| request.change_set_name.to_owned()))
    }

    async fn change_set(&self, stack: StackRef<'_>, id: &str, token: Option<&str>) -> Result<ChangeSetPage, CallError> {
        let call = call(stack, "DescribeChangeSet");
        let client = self.cloudformation(stack, call.operation)?;
        let request = client.describe_change_set().stack_name(stack.name).change_set_name(id);
        let answer =
            request.set_next_token(token.map(str::to_owned)).send().await.map_err(|error| call.failed(&error))?;
        let changes = answer.changes().iter().filter_map(|change| change.resource_change()).map(change_of);
        Ok(ChangeSetPage {
            status: answer.status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            status_reason: answer.status_reason().map(str::to_owned),
            changes: changes.collect(),
            next_token: answer.next_token().map(str::to_owned),
        })
    }

    async fn waiting_change_sets(&self, stack: StackRef<'_>) -> Result<Vec<(String, String)>, CallError> {
        let call = call(stack, "ListChangeSets");
        let client = self.cloudformation(stack, call.operation)?;
        let mut waiting = Vec::new();
        let mut token = None;
        loop {
            let request = client.list_change_sets().stack_name(stack.name).set_next_token(token);
            let answer = found(request.send().await.map_err(|error| call.failed(&error)))?;
            let Some(answer) = answer else { return Ok(waiting) };
            let summaries = answer.summaries().iter().filter(|summary| {
                matches!(
                    summary.execution_status(),
                    Some(ExecutionStatus::Available | ExecutionStatus::Unavailable | ExecutionStatus::Obsolete)
                )
            });
            waiting.extend(summaries.filter_map(|summary| {
                Some((summary.change_set_id()?.to_owned(), summary.change_set_name()?.to_owned()))
            }));
            token = match answer.next_token() {
                Some(token) => Some(token.to_owned()),
                None => return Ok(waiting),
            };
        }
    }

    async fn execute_change_set(&self, stack: StackRef<'_>, id: &str) -> Result<(), CallError> {
        let call = call(stack, "ExecuteChangeSet");
        let client = self.cloudformation(stack, call.operation)?;
        let request = client.execute_change_set().stack_name(stack.name).change_set_name(id);
        // With a token, a repeated call after a lost answer starts nothing a second time.
        let request = request.client_request_token(change_set_name(id));
        request.send().await.map(drop).map_err(|error| call.failed(&error))
    }

    async fn delete_change_set(&self, stack: StackRef<'_>, id: &str) -> Result<(), CallError> {
        let call = call(stack, "DeleteChangeSet");
        let client = self.cloudformation(stack, call.operation)?;
        let request = client.delete_change_set().stack_name(stack.name).change_set_name(id);
        found(request.send().await.map(drop).map_err(|error| call.failed(&error))).map(drop)
    }

    async fn delete_stack(&self, stack: StackRef<'_>, role: Option<&str>) -> Result<(), CallError> {
        let call = call(stack, "DeleteStack");
        let client = self.cloudformation(stack, call.operation)?;
        let request = client.delete_stack().stack_name(stack.name).set_role_arn(role.map(str::to_owned));
        request.send().await.map(drop).map_err(|error| call.failed(&error))
    }

    async fn protect_stack(&self, stack: StackRef<'_>, protect: bool) -> Result<(), CallError> {
        let call = call(stack, "UpdateTerminationProtection");
        let client = self.cloudformation(stack, call.operation)?;
        let request = client.update_termination_protection().stack_name(stack.name);
        let request = request.enable_termination_protection(protect);
        request.send().await.map(drop).map_err(|error| call.failed(&error))
    }

    async fn events(
        &self,
        stack: StackRef<'_>,
        token: Option<&str>,
    ) -> Result<(Vec<Event>, Option<String>), CallError> {
        let call = call(stack, "DescribeStackEvents");
        let client = self.cloudformation(stack, call.operation)?;
        let request = client.describe_stack_events().stack_name(stack.name);
        let answer =
            request.set_next_token(token.map(str::to_owned)).send().await.map_err(|error| call.failed(&error))?;
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let events = answer.stack_events().iter().map(|event| Event {
            id: text(event.event_id()),
            at: event.timestamp().and_then(moment),
            logical_id: text(event.logical_resource_id()),
            physical_id: text(event.physical_resource_id()),
            resource_type: text(event.resource_type()),
            status: event.resource_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            reason: event.resource_status_reason().filter(|reason| !reason.is_empty()).map(str::to_owned).or_else(
                || {
                    // Of a hook the resource's own reason says nothing.
                    let failed =
                        matches!(event.hook_status(), Some(HookStatus::HookCompleteFailed | HookStatus::HookFailed));
                    let hook = event.hook_type().zip(event.hook_status_reason()).filter(|_| failed);
                    hook.map(|(kind, reason)| format!("{HOOK_SAYS}{kind}: {reason}"))
                },
            ),
        });
        Ok((events.collect(), answer.next_token().map(str::to_owned)))
    }

    async fn resources(&self, stack: StackRef<'_>) -> Result<Vec<Provisioned>, CallError> {
        let call = call(stack, "ListStackResources");
        let client = self.cloudformation(stack, call.operation)?;
        let mut resources = Vec::new();
        let mut token = None;
        loop {
            let request = client.list_stack_resources().stack_name(stack.name).set_next_token(token);
            let answer = request.send().await.map_err(|error| call.failed(&error))?;
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            resources.extend(answer.stack_resource_summaries().iter().map(|resource| Provisioned {
                logical_id: text(resource.logical_resource_id()),
                physical_id: text(resource.physical_resource_id()),
                resource_type: text(resource.resource_type()),
                status: resource.resource_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            }));
            token = match answer.next_token() {
                Some(token) => Some(token.to_owned()),
                None => return Ok(resources),
            };
        }
    }
}

/// The name in a change set's ARN (`…:changeSet/<name>/<uuid>`); a name is its own.
fn change_set_name(id: &str) -> &str {
    id.split('/').nth(1).unwrap_or(id)
}

fn observed(stack: &SdkStack) -> Observed {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let parameters =
        stack.parameters().iter().map(|parameter| (text(parameter.parameter_key()), text(parameter.parameter_value())));
    let outputs = stack.outputs().iter().map(|output| (text(output.output_key()), text(output.output_value())));
    let tags = stack.tags().iter().map(|tag| (text(tag.key()), text(tag.value())));
    let changed_at = stack.last_updated_time().or(stack.creation_time());
    Observed {
        id: text(stack.stack_id()),
        status: Status::new(
            stack.stack_status().map(aws_sdk_cloudformation::types::StackStatus::as_str).unwrap_or_default(),
        ),
        status_reason: stack.stack_status_reason().filter(|reason| !reason.is_empty()).map(str::to_owned),
        parameters: parameters.collect(),
        outputs: outputs.collect(),
        tags: tags.collect(),
        termination_protection: stack.enable_termination_protection().unwrap_or_default(),
        changed_at: changed_at
            .and_then(|time| jiff::Timestamp::from_second(time.secs()).ok())
            .map(|time| time.to_string()),
        change_set: stack.change_set_id().map(str::to_owned),
    }
}

/// The SDK's moment as the tool's.
fn moment(time: &aws_sdk_cloudformation::primitives::DateTime) -> Option<jiff::Timestamp> {
    jiff::Timestamp::new(time.secs(), time.subsec_nanos().cast_signed()).ok()
}

fn change_of(change: &ResourceChange) -> Change {
    let kind = match change.action() {
        Some(ChangeAction::Add | ChangeAction::Import) => ChangeKind::Add,
        Some(ChangeAction::Remove) => ChangeKind::Remove,
        _ => match change.replacement() {
            Some(Replacement::True) => ChangeKind::Replace,
            Some(Replacement::Conditional) => ChangeKind::MayReplace,
            _ => ChangeKind::Modify,
        },
    };
    Change {
        logical_id: change.logical_resource_id().unwrap_or_default().to_owned(),
        resource_type: change.resource_type().unwrap_or_default().to_owned(),
        kind,
    }
}

impl Objects for Clouds {
    async fn has_object(&self, region: &str, bucket: &str, key: &str) -> Result<bool, CallError> {
        let call = Call { operation: "HeadObject", subject: key, region };
        let client = &self.clients(region, call.operation)?.s3;
        let answer = client.head_object().bucket(bucket).key(key).send().await.map_err(|error| call.failed(&error));
        Ok(found(answer)?.is_some())
    }

    async fn put_object(&self, region: &str, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<(), CallError> {
        let call = Call { operation: "PutObject", subject: key, region };
        let client = &self.clients(region, call.operation)?.s3;
        let request = client.put_object().bucket(bucket).key(key).body(bytes.into());
        request.send().await.map(drop).map_err(|error| call.failed(&error))
    }

    fn object_url(&self, region: &str, bucket: &str, key: &str) -> String {
        match &self.endpoint {
            Endpoint::Aws => format!("https://{bucket}.s3.{region}.amazonaws.com/{key}"),
            Endpoint::Local { url, .. } => format!("{}/{bucket}/{key}", url.trim_end_matches('/')),
        }
    }

    async fn empty_bucket(&self, region: &str, bucket: &str) -> Result<usize, CallError> {
        let call = Call { operation: "DeleteObjects", subject: bucket, region };
        let client = &self.clients(region, call.operation)?.s3;
        let mut deleted = 0;
        // Deleted pages don't come back, so the first page is read until it is empty.
        loop {
            let listed = client.list_object_versions().bucket(bucket).send().await.map_err(|error| call.failed(&error));
            let Some(page) = found(listed)? else { return Ok(deleted) };
            let identifier = |key: Option<&str>, version: Option<&str>| {
                let identifier = ObjectIdentifier::builder().key(key.unwrap_or_default());
                identifier.set_version_id(version.map(str::to_owned)).build().ok()
            };
            let versions = page.versions().iter().filter_map(|version| identifier(version.key(), version.version_id()));
            let markers =
                page.delete_markers().iter().filter_map(|marker| identifier(marker.key(), marker.version_id()));
            let objects: Vec<ObjectIdentifier> = versions.chain(markers).take(1000).collect();
            if objects.is_empty() {
                return Ok(deleted);
            }
            let count = objects.len();
            let invalid = |error| call.error(CallClass::Refused, Box::new(error));
            let batch = Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(invalid)?;
            let request = client.delete_objects().bucket(bucket).delete(batch);
            let answer = request.send().await.map_err(|error| call.failed(&error))?;
            if let Some(refused) = answer.errors().first() {
                let text = format!(
                    "{}: {}",
                    refused.key().unwrap_or_default(),
                    refused.message().unwrap_or("the object can't be deleted")
                );
                return Err(call.error(CallClass::Refused, Box::new(Described(text))));
            }
            deleted += count;
        }
    }
}

/// An environment's lock in an artifact bucket.
#[derive(Debug)]
pub(crate) struct LeaseObject {
    client: aws_sdk_s3::Client,
    region: String,
    bucket: String,
    key: String,
}

impl LeaseObject {
    fn call(&self, operation: &'static str) -> Call<'_> {
        Call { operation, subject: &self.key, region: &self.region }
    }
}

impl LeaseStore for LeaseObject {
    async fn read(&self) -> Result<Option<(Held, ObjectVersion)>, CallError> {
        let call = self.call("GetObject");
        let answer = self.client.get_object().bucket(&self.bucket).key(&self.key).send().await;
        let Some(object) = found(answer.map_err(|error| call.failed(&error)))? else { return Ok(None) };
        let version = ObjectVersion(object.e_tag.unwrap_or_default());
        let broken = |error: Box<dyn std::error::Error + Send + Sync>| call.error(CallClass::Unreachable, error);
        let bytes = object.body.collect().await.map_err(|error| broken(Box::new(error)))?.into_bytes();
        let held = serde_json::from_slice(&bytes).map_err(|error| call.error(CallClass::Refused, Box::new(error)))?;
        Ok(Some((held, version)))
    }

    async fn write(&self, held: &Held, over: Option<&ObjectVersion>) -> Result<Option<ObjectVersion>, CallError> {
        let call = self.call("PutObject");
        let bytes = serde_json::to_vec(held).map_err(|error| call.error(CallClass::Refused, Box::new(error)))?;
        let request = self.client.put_object().bucket(&self.bucket).key(&self.key).body(bytes.into());
        let request = match over {
            Some(version) => request.if_match(&version.0),
            None => request.if_none_match("*"),
        };
        match request.send().await {
            Ok(answer) => Ok(Some(ObjectVersion(answer.e_tag.unwrap_or_default()))),
            // Somebody else has written: before, or at the same moment.
            Err(error) if matches!(error.raw_response().map(|answer| answer.status().as_u16()), Some(409 | 412)) => {
                Ok(None)
            }
            Err(error) => Err(call.failed(&error)),
        }
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

impl Tables for Clouds {
    async fn stream_arn(&self, region: &str, table: &str) -> Result<Option<String>, CallError> {
        let call = Call { operation: "DescribeTable", subject: table, region };
        let client = &self.clients(region, call.operation)?.dynamodb;
        let answer = client.describe_table().table_name(table).send().await.map_err(|error| call.failed(&error));
        Ok(found(answer)?.and_then(|answer| answer.table?.latest_stream_arn))
    }

    async fn protected_replicas(&self, region: &str, table: &str) -> Result<Vec<String>, CallError> {
        let call = Call { operation: "DescribeTable", subject: table, region };
        let describe = async |region: &str| {
            let client = &self.clients(region, call.operation)?.dynamodb;
            let answer = client.describe_table().table_name(table).send().await.map_err(|error| call.failed(&error));
            Ok::<_, CallError>(found(answer)?.and_then(|answer| answer.table))
        };
        let Some(home) = describe(region).await? else { return Ok(Vec::new()) };
        let replicas = home.replicas().iter().filter_map(|replica| replica.region_name()).map(str::to_owned);
        let mut regions: Vec<String> = replicas.chain([region.to_owned()]).collect();
        regions.sort();
        regions.dedup();
        let mut protected = Vec::new();
        for region in regions {
            let table = describe(&region).await?;
            if table.is_some_and(|table| table.deletion_protection_enabled == Some(true)) {
                protected.push(region);
            }
        }
        Ok(protected)
    }

    async fn unprotect_table(&self, region: &str, table: &str) -> Result<(), CallError> {
        let call = Call { operation: "UpdateTable", subject: table, region };
        let client = &self.clients(region, call.operation)?.dynamodb;
        let request = client.update_table().table_name(table).deletion_protection_enabled(false);
        request.send().await.map(drop).map_err(|error| call.failed(&error))
    }
}

impl Functions for Clouds {
    async fn code_digest(&self, region: &str, function: &str) -> Result<Option<String>, CallError> {
        let call = Call { operation: "GetFunctionConfiguration", subject: function, region };
        let client = &self.clients(region, call.operation)?.lambda;
        let request = client.get_function_configuration().function_name(function);
        let answer = found(request.send().await.map_err(|error| call.failed(&error)))?;
        Ok(answer.and_then(|answer| answer.code_sha256))
    }

    async fn mapping_state(&self, region: &str, mapping: &str) -> Result<String, CallError> {
        let call = Call { operation: "GetEventSourceMapping", subject: mapping, region };
        let client = &self.clients(region, call.operation)?.lambda;
        let answer =
            client.get_event_source_mapping().uuid(mapping).send().await.map_err(|error| call.failed(&error))?;
        Ok(answer.state.unwrap_or_default())
    }
}

impl Cloud for Clouds {
    async fn pause(&self, region: &str, attempt: u32) {
        let (first, longest, spacing) = if self.is_local() {
            (Duration::from_millis(50), Duration::from_millis(500), Duration::from_millis(5))
        } else {
            (Duration::from_secs(1), Duration::from_secs(5), Duration::from_millis(150))
        };
        let wanted = Instant::now() + backoff(first, longest, attempt);
        let look = {
            let mut next_look = self.next_look.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let free = next_look.entry(region.to_owned()).or_insert_with(Instant::now);
            let look = wanted.max(*free);
            *free = look + spacing;
            look
        };
        tokio::time::sleep_until(look).await;
    }

    fn change_set_name(&self) -> String {
        let unique = uuid::Uuid::new_v4().simple().to_string();
        revision::change_set_name(self.revision.as_deref(), &unique)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_throttling_and_refusal_are_told_apart() {
        for (code, message, status, class) in [
            (Some("ValidationError"), Some("Stack with id x does not exist"), Some(400), CallClass::NotFound),
            (Some("ValidationError"), Some("Template format error"), Some(400), CallClass::Refused),
            (
                Some("ValidationError"),
                Some("Stack:arn:aws:… is in UPDATE_IN_PROGRESS state and can not be updated."),
                Some(400),
                CallClass::Overtaken,
            ),
            (
                Some("ValidationError"),
                Some("Stack:arn:aws:… is in ROLLBACK_COMPLETE state and can not be updated."),
                Some(400),
                CallClass::Refused,
            ),
            (
                Some("ValidationError"),
                Some("Stack [x] already exists and cannot be created again with the changeSet [y]."),
                Some(400),
                CallClass::Overtaken,
            ),
            (
                Some("InvalidChangeSetStatus"),
                Some("ChangeSet [x] cannot be executed in its current execution status of [OBSOLETE]"),
                Some(400),
                CallClass::Overtaken,
            ),
            (Some("Throttling"), Some("Rate exceeded"), Some(400), CallClass::Throttled),
            (Some("AccessDenied"), Some("not authorized"), Some(403), CallClass::Denied),
            (Some("ResourceNotFoundException"), None, Some(400), CallClass::NotFound),
            (None, None, Some(404), CallClass::NotFound),
            (None, None, Some(503), CallClass::Throttled),
            (None, None, Some(500), CallClass::Unreachable),
            (None, None, None, CallClass::Unreachable),
        ] {
            assert_eq!(class_of(code, message, status), class, "{code:?} {message:?} {status:?}");
        }
    }

    #[test]
    fn the_token_of_an_execution_is_the_name_of_its_change_set() {
        let arn = "arn:aws:cloudformation:us-west-2:123456789012:changeSet/synth-0a1b/8d7c";
        assert_eq!(change_set_name(arn), "synth-0a1b");
        assert_eq!(change_set_name("synth-0a1b"), "synth-0a1b");
    }

    #[tokio::test]
    async fn templates_in_a_bucket_are_addressed_as_the_endpoint_resolves_them() {
        let local = Endpoint::Local {
            url: "http://127.0.0.1:4566/".to_owned(),
            access_key: "test".to_owned(),
            secret_key: "test".to_owned(),
        };
        let clouds = Clouds::connect(local, ["us-west-2"]).await;
        assert_eq!(clouds.object_url("us-west-2", "bucket", "a/b.json"), "http://127.0.0.1:4566/bucket/a/b.json");
    }
}
